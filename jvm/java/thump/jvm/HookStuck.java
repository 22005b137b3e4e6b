/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

/**
 * A hook that did not end: what it waits for, where it is, and who holds what it waits for. Also thrown into a hook that
 * does not heed an interrupt.
 */
public final class HookStuck extends Error {

    private static final long serialVersionUID = 1L;

    HookStuck(String finding) {
        super(finding, null, true, false);
    }
}

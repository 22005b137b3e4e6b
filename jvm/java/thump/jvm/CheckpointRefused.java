/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

/**
 * One thing that cannot be saved: which, what it is, and what to do about it.
 */
public final class CheckpointRefused extends Exception {

    private static final long serialVersionUID = 1L;

    CheckpointRefused(String problem) {
        super(problem, null, false, false);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
package jdk.crac;

/**
 * The program was restored, but not every resource could be restored. Every reason is a suppressed exception.
 */
public class RestoreException extends Exception {

    private static final long serialVersionUID = 1L;

    public RestoreException() {
        super();
    }

    public RestoreException(String message) {
        super(message);
    }
}

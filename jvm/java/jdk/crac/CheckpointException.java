/* SPDX-License-Identifier: Apache-2.0 */
package jdk.crac;

/**
 * The checkpoint was not made and the program goes on in the original process. Every reason is a suppressed exception.
 */
public class CheckpointException extends Exception {

    private static final long serialVersionUID = 1L;

    public CheckpointException() {
        super();
    }

    public CheckpointException(String message) {
        super(message);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import jdk.crac.CheckpointException;

/**
 * What became of a capture.
 */
final class Outcome {

    private final CheckpointException failure;

    private Outcome(CheckpointException failure) {
        this.failure = failure;
    }

    /**
     * @param refused what the resources threw, or null
     * @param problems what the engine refused, one problem a line, or null
     */
    static Outcome of(CheckpointException refused, String problems) {
        CheckpointException failure = refused;

        if (problems != null && !problems.isEmpty()) {
            failure = failure != null ? failure : new CheckpointException();
            for (String problem : problems.split("\n")) {
                failure.addSuppressed(new CheckpointRefused(problem));
            }
        }
        return new Outcome(failure);
    }

    /** Why there is no image, or null. */
    CheckpointException failure() {
        return failure;
    }
}

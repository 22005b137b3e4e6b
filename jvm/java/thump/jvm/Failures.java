/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.io.PrintWriter;
import java.io.StringWriter;

/**
 * Collects what went wrong, so that all of it is reported at once.
 */
final class Failures {

    private Failures() {
    }

    /**
     * Adds an exception to the suppressed ones of another. An exception of the same class without a message is only a
     * container (a nested context): its own suppressed exceptions are taken instead, so that the list stays flat.
     */
    static void collect(Throwable into, Throwable thrown) {
        if (thrown instanceof InterruptedException) {
            Thread.currentThread().interrupt();
        }
        if (thrown.getClass() != into.getClass()) {
            into.addSuppressed(thrown);
            return;
        }
        if (thrown.getMessage() != null) {
            into.addSuppressed(thrown);
        }
        for (Throwable suppressed : thrown.getSuppressed()) {
            into.addSuppressed(suppressed);
        }
    }

    /** The exception with everything in it, as text. */
    static String text(Throwable thrown) {
        StringWriter text = new StringWriter();
        thrown.printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}

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

    /** How many frames of a stack say enough about where a hook failed. */
    private static final int FRAMES = 3;

    /**
     * One line for each reason, for who asked from outside: an exception with its causes, and where it was thrown. What
     * only holds others (it has suppressed ones and no message) has no line of its own.
     */
    static String lines(Throwable thrown) {
        StringBuilder lines = new StringBuilder();
        if (thrown.getSuppressed().length == 0 || thrown.getMessage() != null) {
            lines.append(line(thrown)).append('\n');
        }
        for (Throwable suppressed : thrown.getSuppressed()) {
            lines.append(lines(suppressed));
        }
        return lines.toString();
    }

    private static String line(Throwable thrown) {
        StringBuilder line = new StringBuilder(thrown.toString());
        for (Throwable cause = thrown.getCause(); cause != null; cause = cause.getCause()) {
            line.append("; caused by ").append(cause);
        }
        StackTraceElement[] frames = thrown.getStackTrace();
        for (int i = 0; i < frames.length && i < FRAMES; i++) {
            line.append(i == 0 ? "; at " : ", ").append(frames[i]);
        }
        return line.toString().replace('\r', ' ').replace('\n', ' ');
    }

    /** The exception with everything in it, as text. */
    static String text(Throwable thrown) {
        StringWriter text = new StringWriter();
        thrown.printStackTrace(new PrintWriter(text));
        return text.toString();
    }
}

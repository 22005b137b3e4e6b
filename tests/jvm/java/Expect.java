/* SPDX-License-Identifier: Apache-2.0 */
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/** What the test programs share: an expectation that is not met ends the program with status 1. */
final class Expect {

    private Expect() {
    }

    static void that(boolean fine, String what) {
        if (!fine) {
            throw new AssertionError(what);
        }
    }

    static void same(Object wanted, Object got, String what) {
        that(Objects.equals(wanted, got), what + ": expected " + wanted + ", got " + got);
    }

    /** The suppressed exceptions, each as "Class: message". */
    static List<String> reasons(Throwable thrown) {
        return Arrays.stream(thrown.getSuppressed())
                .map(reason -> reason.getClass().getSimpleName() + ": " + reason.getMessage())
                .toList();
    }
}

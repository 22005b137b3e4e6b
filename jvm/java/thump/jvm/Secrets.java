/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Environment variables and system properties whose names say that their values are secrets: an image has them in it.
 */
final class Secrets {

    private static final String[] WORDS = {
        "password", "passwd", "secret", "token", "credential", "apikey", "privatekey", "accesskey"
    };

    private Secrets() {
    }

    /** Names them, without their values, on standard error; says nothing when there are none. */
    static void warn() {
        List<String> found = new ArrayList<>();
        add(found, "variable ", System.getenv());
        add(found, "property ", System.getProperties());
        if (!found.isEmpty()) {
            System.err.println("thump: warning: the image will contain what look like secrets: "
                    + String.join(", ", found) + "; guard it like them");
        }
    }

    private static void add(List<String> found, String kind, Map<?, ?> map) {
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            if (isSecret(String.valueOf(entry.getKey())) && !String.valueOf(entry.getValue()).isEmpty()) {
                found.add(kind + entry.getKey());
            }
        }
    }

    private static boolean isSecret(String name) {
        String plain = name.toLowerCase(Locale.ROOT).replace("_", "").replace("-", "").replace(".", "");
        for (String word : WORDS) {
            if (plain.contains(word)) {
                return true;
            }
        }
        return false;
    }
}

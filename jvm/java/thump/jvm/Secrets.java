/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Environment variables and system properties whose names say that their values are secrets, or whose values are URLs
 * with a password: an image has them in it.
 */
final class Secrets {

    /** Anywhere in a name, whatever separates its parts. */
    private static final String[] WORDS = {
        "password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "privatekey", "accesskey",
        "signingkey", "encryptionkey"
    };
    /** Too short for that: DB_PASS and dbPass, but not COMPASS; MYSQL_PWD, but not the shell's PWD. */
    private static final Pattern LAST_PART = Pattern.compile("(?:[_.-](?i:pass|pwd)|[a-z0-9](?:Pass|Pwd))$");
    /** "scheme://user:password@host", or a parameter, as drivers of databases take it. */
    private static final Pattern PASSWORD_IN_URL =
            Pattern.compile("://(?:[^\\s/?#:@]*:[^\\s/?#@]+@|[^\\s?;]*[?;](?:\\S*[&;])?(?i:password)=[^\\s&;])");

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
            String value = String.valueOf(entry.getValue());
            boolean secret = isSecret(String.valueOf(entry.getKey())) || PASSWORD_IN_URL.matcher(value).find();
            if (secret && !value.isEmpty()) {
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
        return LAST_PART.matcher(name).find();
    }
}

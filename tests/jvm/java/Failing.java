/* SPDX-License-Identifier: Apache-2.0 */
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;

import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

/** Its hook fails after a restore whose environment says so; it ends when its input does. */
public final class Failing implements Resource {

    private Failing() {
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) {
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws IOException {
        if (System.getenv("FAIL") != null) {
            throw new IOException("the database is gone", new IllegalStateException("no route"));
        }
        System.out.println("back");
    }

    public static void main(String[] args) throws IOException {
        Failing failing = new Failing();
        Core.getGlobalContext().register(failing);
        System.out.println("up");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            System.out.println("read " + line);
        }
        System.out.println(failing == null ? "" : "end");
    }
}

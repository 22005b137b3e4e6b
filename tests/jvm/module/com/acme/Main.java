/* SPDX-License-Identifier: Apache-2.0 */
package com.acme;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import javax.management.ObjectName;

import org.crac.CheckpointException;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;
import org.crac.management.CRaCMXBean;

/** All of CRaC's API, used by a named module. */
public final class Main implements Resource {

    private final List<String> calls = new ArrayList<>();
    private boolean refuses;

    private Main() {
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) {
        calls.add("before");
        if (refuses) {
            throw new IllegalStateException("not now");
        }
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) {
        calls.add("after");
    }

    private static void expect(boolean fine, Object what) {
        if (!fine) {
            throw new AssertionError(what);
        }
    }

    /**
     * Says "passed".
     *
     * @param args none
     * @throws Exception when it is not passed
     */
    public static void main(String[] args) throws Exception {
        Main resource = new Main();
        expect(Core.class.getModule().isNamed() && Main.class.getModule().isNamed(), Core.class.getModule());
        Core.getGlobalContext().register(resource);
        Core.checkpointRestore();
        resource.refuses = true;
        try {
            Core.checkpointRestore();
            throw new AssertionError("a checkpoint that should have been refused");
        } catch (CheckpointException thrown) {
            expect(thrown.getSuppressed()[0] instanceof IllegalStateException, thrown.getSuppressed()[0]);
        }
        expect(resource.calls.equals(List.of("before", "after", "before", "after")), resource.calls);
        long time = CRaCMXBean.getCRaCMXBean().getRestoreTime();
        expect(time > 0, time);
        expect(ManagementFactory.getPlatformMBeanServer()
                .isRegistered(new ObjectName("jdk.management:type=CRaC")), "the MBean server has it");
        System.out.println("passed");
    }
}

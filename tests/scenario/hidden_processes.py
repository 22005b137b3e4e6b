#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A /proc with hidepid=2 shows an ordinary user no process of others, thump's own ancestors
included: checkpoint and restore work all the same."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal

from thumptest import scenario, world as worlds
from thumptest.events import Failure
from thumptest.workload import expect_pass, wait_ready

# It stays root's, and the parent of what it starts as a user.
HIDDEN = ["unshare", "--mount", "sh", "-c",
          'mount -t proc -o hidepid=2 hidden /proc && "$@"; exit', "sh", *worlds.AS_USER]


def test(world, options):
    os.chown(world.directory, worlds.USER_ID, worlds.USER_ID)
    workload = world.reachable(options.workload)
    original = world.start([*worlds.AS_USER, workload], "original")
    wait_ready(original)
    image = world.path("image")
    world.run([*HIDDEN, world.thump_path, "checkpoint", original.pid, "-o", image], "checkpoint")
    original.status()
    restored = world.start([*HIDDEN, world.thump_path, "restore", image, "--json"], "restore")
    report = restored.json()
    if not report["pid"]:
        raise Failure(f"restore: {report}")
    os.kill(report["pid"], signal.SIGUSR2)
    expect_pass(restored, "the restored program")


if __name__ == "__main__":
    scenario.run("hidden_processes", test, 60,
                 workload={"type": pathlib.Path, "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A JVM whose monotonic clock is another one after the restore, by 30 days either way, where no
time namespace lets it go on: tests/jvm/java/Clocks.java looks at itself. The machine's clocks are
those of time namespaces that the test makes."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import shutil
import subprocess

from thumptest import java
from thumptest.events import Failure, Skip
from thumptest.scenario import REFUSED

DAY = 24 * 3600
START, MOVED = 90 * DAY, (60 * DAY, 120 * DAY)


def on_machine(seconds, words):
    """A command on a machine that has been up for so much longer than this one."""
    return ["unshare", "--time", f"--monotonic={seconds}", f"--boottime={seconds}", "--fork", *words]


def can_move_clocks():
    return shutil.which("unshare") and \
        subprocess.run(on_machine(DAY, ["true"]), check=False, capture_output=True).returncode == 0


def test(world, options):
    if not can_move_clocks():
        raise Skip("no time namespaces can be made here")
    program = java.Java(world, options)
    image = world.path("image")
    run = world.start(on_machine(START, [world.thump_path, "run", "--image", image, "--",
                                         *program.command("Clocks")]), "program")
    java.expect_end(run)
    for seconds in MOVED:
        process = world.start(on_machine(seconds, [world.thump_path, "restore", image]),
                              f"restore-{seconds // DAY}")
        output = java.expect_end(process)
        if output != "passed\n":
            raise Failure(f"{seconds // DAY} days: {output!r}\n{process.stderr_text()}")
    refused = world.start(on_machine(MOVED[0], [world.thump_path, "restore", image,
                                                "--clock", "real"]), "real")
    java.expect_end(refused, 120 + REFUSED)
    if "CLOCK_MONOTONIC would run back" not in refused.stderr_text():
        raise Failure(f"--clock real: {refused.stderr_text()}")


if __name__ == "__main__":
    java.run("clock", test, 100)

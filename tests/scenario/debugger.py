#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gdb shows every thread of an image with its backtrace, as of any core file."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import re
import shutil
import subprocess

from thumptest import scenario
from thumptest.events import Failure, Skip
from thumptest.workload import wait_ready

THREADS = 5


def test(world, options):
    if shutil.which("gdb") is None:
        raise Skip("gdb is not installed")
    workload = world.reachable(options.workload)
    original = world.start([workload], "original")
    wait_ready(original)
    image = world.path("image")
    world.checkpoint(original.pid, image)
    original.status()
    output = world.run(["gdb", "--batch", "--nx", "-ex", "set debuginfod enabled off", "-ex",
                        "thread apply all backtrace", workload, image], "gdb",
                       stderr=subprocess.STDOUT)[1]
    if "Unexpected size of section" in output:
        raise Failure(f"gdb does not like the registers:\n{output}")
    threads = re.findall(r"^Thread \d+ .*\bLWP (\d+)", output, re.M)
    if len(threads) != THREADS or str(original.pid) not in threads:
        raise Failure(f"gdb shows threads {threads}:\n{output}")
    for function, times in (("thread_main", THREADS - 1), ("workload_checkpoint", 1)):
        if len(re.findall(rf"\b{function} \(", output)) != times:
            raise Failure(f"gdb does not show {times} x {function}:\n{output}")


if __name__ == "__main__":
    scenario.run("debugger", test, 60, workload={"type": pathlib.Path, "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory that two processes share: the checkpoint of one warns, naming the other and the memory;
its own shared memory alone is worth no word."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os

from thumptest import scenario
from thumptest.events import Failure

MAPS = """
import mmap, os, sys, time
both = mmap.mmap(int(sys.argv[1]), 4096)
os.close(int(sys.argv[1]))
alone = mmap.mmap(-1, 4096)
alone[:5] = b"alone"
print("ready", flush=True)
time.sleep(1000)
"""


def warnings(world, pid):
    return [problem["text"] for problem in world.dry_run(pid)["problems"]
            if problem["kind"] == "shared-memory"]


def test(world, _options):
    memory = os.memfd_create("in-common", 0)
    os.ftruncate(memory, 4096)
    os.fchmod(memory, 0o666)
    first, second = [world.start(["/usr/bin/python3", "-c", MAPS, str(memory)], name,
                                 pass_fds=[memory]) for name in ("first", "second")]
    os.close(memory)
    for process in (first, second):
        process.expect_line("ready")
    said = warnings(world, first.pid)
    if len(said) != 1 or "/memfd:in-common" not in said[0] or str(second.pid) not in said[0]:
        raise Failure(f"two processes share memory, and the warnings are {said}")
    second.popen.kill()
    second.status()
    said = warnings(world, first.pid)
    if said:
        raise Failure(f"nobody else has the memory, and the warnings are {said}")


if __name__ == "__main__":
    scenario.run("shared_memory", test, 60)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program in namespaces of its own (host name, System V objects), with a coredump_filter of its own:
the checkpoint warns, and the restored program has those of thump restore."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import scenario
from thumptest.events import Failure

FILTER = "0x21"
PROGRAM = f"""
import os, socket, sys
socket.sethostname("elsewhere")
open("/proc/self/coredump_filter", "w").write("{FILTER}")
print("ready", flush=True)
for line in sys.stdin:
    print(socket.gethostname(), open("/proc/self/coredump_filter").read().strip(), flush=True)
"""


def answer(process):
    process.popen.stdin.write(b"?\n")
    process.popen.stdin.flush()
    name, given = process.line("its answer").split()
    return name, int(given, 16)


def test(world, _options):
    process = world.start(["unshare", "--uts", "--ipc", "/usr/bin/python3", "-c", PROGRAM], "program",
                          stdin=subprocess.PIPE)
    process.expect_line("ready")
    if answer(process) != ("elsewhere", int(FILTER, 16)):
        raise Failure("the program is not where it should be")
    image = world.path("image")
    problems = world.checkpoint(process.pid, image)["problems"]
    texts = " ".join(problem["text"] for problem in problems)
    if "uts" not in texts or "ipc" not in texts or "coredump_filter" not in texts:
        raise Failure(f"not warned: {texts}")
    process.status()
    process, report = world.restore(image, stdin=subprocess.PIPE)
    ours = int(pathlib.Path("/proc/self/coredump_filter").read_text(), 16)
    if answer(process) != (os.uname().nodename, ours):
        raise Failure("the restored program is somewhere else")
    scenario.end(process, report["pid"])


if __name__ == "__main__":
    scenario.run("other_namespaces", test, 60)

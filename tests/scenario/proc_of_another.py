#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first process of a pid namespace that has the /proc of the one above: what is there of
another process with the number 1 is not taken for its own, and its own is, whatever its number."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java, scenario
from thumptest.events import Failure

PROGRAM = "exec 5</proc/1/stat 6</proc/self/stat 7</proc/1; echo ready; read line"


def test(world, _options):
    process = world.start(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", PROGRAM],
                          "program", stdin=subprocess.PIPE)
    process.expect_line("ready")
    report = world.dry_run(java.child_of(process, world), statuses=(scenario.REFUSED,))
    refused = {problem["fd"]: problem["text"] for problem in report["problems"]
               if problem["fatal"]}
    if refused.keys() != {5, 7} or not all("another process" in text for text in refused.values()):
        raise Failure(f"of 5 and 7, which are of another process, and 6: {report['problems']}")
    process.popen.stdin.close()
    process.popen.stdin = None
    process.status()


if __name__ == "__main__":
    scenario.run("proc_of_another", test, 60)

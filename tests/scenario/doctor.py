#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump doctor` says what was asked of it: each finding with what follows from it, and limits that
are set for it alone."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json

from thumptest import scenario
from thumptest.events import Failure

ASKED = {"set_tid", "namespaces", "time_namespace", "spin", "other", "ptrace", "yama_ptrace_scope", "thp",
         "nofile", "memory_limit", "tasks_limit"}
GRADES = {"ok", "limited", "bad"}
BAD = 3


def doctor(world, *prefix):
    status, output = world.run([*prefix, world.thump_path, "doctor", "--json"], "doctor",
                               statuses=(0, BAD))
    report = json.loads(output)
    if report["works"] != (status == 0):
        raise Failure(f"works is {report['works']} with status {status}")
    return {finding["name"]: finding for finding in report["findings"]}


def test(world, _options):
    findings = doctor(world)
    if ASKED - findings.keys():
        raise Failure(f"nothing is said of {ASKED - findings.keys()}")
    for name, finding in findings.items():
        if finding["grade"] not in GRADES or not finding["found"] or not finding["consequence"]:
            raise Failure(f"{name}: {finding}")
    limited = doctor(world, "prlimit", "--nofile=500:500", "--nproc=300:300")
    if limited["nofile"]["grade"] != "limited" or "500" not in limited["nofile"]["found"]:
        raise Failure(f"with 500 files: {limited['nofile']}")
    # The kernel asks RLIMIT_NPROC of nobody who is root.
    if world.user == "user" and "300" not in limited["tasks_limit"]["found"]:
        raise Failure(f"with 300 tasks: {limited['tasks_limit']}")


if __name__ == "__main__":
    scenario.run("doctor", test, 60)

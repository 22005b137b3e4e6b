#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program with a session keyring of its own: a note says that it will have another one; none is said
of a program that has ours."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import ctypes

from thumptest import scenario
from thumptest.events import Failure, Skip
from thumptest.workload import wait_ready

# keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL), then the program.
JOIN = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(250, 1, None) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""
GET_KEYRING_ID, SESSION = 0, -3


def notes(world, pid):
    report = world.thump_json("checkpoint", pid, "--dry-run")[1]
    return [problem["text"] for problem in report["problems"] if problem["kind"] == "keyring"]


def test(world, options):
    if ctypes.CDLL(None).syscall(250, GET_KEYRING_ID, SESSION, 0) < 0:
        raise Skip("keyctl is denied or not there")
    workload = world.reachable(options.workload)
    ours = world.start([workload], "ours")
    wait_ready(ours)
    if found := notes(world, ours.pid):
        raise Failure(f"of our own: {found}")
    own = world.start(["/usr/bin/python3", "-c", JOIN, workload], "own")
    wait_ready(own)
    found = notes(world, own.pid)
    if len(found) != 1 or "another session keyring" not in found[0]:
        raise Failure(f"of one of its own: {found}")


if __name__ == "__main__":
    scenario.run("session_keyring", test, 60, workload={"type": pathlib.Path, "required": True})

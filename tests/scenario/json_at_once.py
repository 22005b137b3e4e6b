#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What thump says in JSON is written with one call: a restored program runs before that, and what it
writes to the same pipe must not come in between."""
import json
import os
import pathlib
import signal
import socket
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass, saved

MOST = 1 << 20


def said(world, name, *words):
    """The first thing written: such a socket keeps apart what was written apart."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = world.start([world.thump_path, *words, "--json"], name, stdout=theirs)
        world.deadline.wait_readable([ours], f"what {name} says")
        text = ours.recv(MOST).decode()
    try:
        return process, json.loads(text)
    except ValueError:
        raise Failure(f"{name} wrote this at first: {text!r}") from None


def test(world, options):
    image = saved(world, world.reachable(options.workload))
    _, facts = said(world, "inspect", "inspect", image, "--verbose")
    if len(json.dumps(facts)) <= os.sysconf("SC_PAGE_SIZE"):
        raise Failure("that would have been written at once by any means")
    process, report = said(world, "restore", "restore", image)
    os.kill(report["pid"], signal.SIGUSR2)
    expect_pass(process, "the restored program verifies")


if __name__ == "__main__":
    scenario.run("json_at_once", test, 30, workload={"type": pathlib.Path, "required": True})

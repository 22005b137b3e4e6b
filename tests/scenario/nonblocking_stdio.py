#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that made its standard streams non-blocking finds them so after a restore, and leaves
those of whoever restores it as they were: a shell cannot go on with a terminal that never blocks."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import fcntl
import os
import pty
import signal
import tty

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass, wait_ready


def terminal(world):
    master, slave = pty.openpty()
    tty.setraw(slave)
    if world.changes_user():
        os.chown(os.ttyname(slave), 12345, 12345)
    return master, slave


def pipe(world):
    reader, writer = os.pipe()
    if world.changes_user():
        os.chown(reader, 12345, 12345)
    return writer, reader


def blocks(descriptor):
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK


def take_through(world, workload, make):
    ends = [make(world), make(world)]
    original = world.start([workload], f"original-{make.__name__}", stdin=ends[0][1])
    wait_ready(original)
    if blocks(ends[0][1]):
        raise Failure("the program did not make its standard input non-blocking")
    image = world.path(f"image-{make.__name__}")
    world.checkpoint(original.pid, image)
    original.status()
    process, report = world.restore(image, name=f"restore-{make.__name__}", stdin=ends[1][1])
    os.kill(report["pid"], signal.SIGUSR2)
    expect_pass(process, f"the restored program verifies ({make.__name__})")
    if not blocks(ends[1][1]):
        raise Failure(f"the caller's {make.__name__} does not block any more")
    for end in (*ends[0], *ends[1]):
        os.close(end)


def test(world, options):
    workload = world.reachable(options.workload)
    for make in (terminal, pipe):
        take_through(world, workload, make)


if __name__ == "__main__":
    scenario.run("nonblocking_stdio", test, 60, workload={"type": pathlib.Path, "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that had made its terminal raw finds the caller's so after a restore, and is told when
that has another size; when it has ended without putting it back, the caller's terminal is as it was. A
dry run changes nothing."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import fcntl
import os
import pty
import signal
import struct
import termios

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass, wait_ready


def terminal(world, rows):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", rows, 80, 0, 0))
    if world.changes_user():
        os.chown(os.ttyname(slave), 12345, 12345)
    return master, slave


def expect_modes(slave, wanted, when):
    modes = termios.tcgetattr(slave)
    if modes != wanted:
        raise Failure(f"{when}: the terminal has the modes {modes}, not {wanted}")


def test(world, options):
    first, second = terminal(world, 25), terminal(world, 60)
    original = world.start([world.reachable(options.workload), "resized"], "original", stdin=first[1])
    wait_ready(original)
    image = world.path("image")
    world.checkpoint(original.pid, image)
    original.status()

    usual = termios.tcgetattr(second[1])
    world.thump("restore", "--dry-run", image, stdin=second[1])
    expect_modes(second[1], usual, "after a dry run")
    process, report = world.restore(image, stdin=second[1])
    if termios.tcgetattr(second[1])[3] & termios.ICANON:
        raise Failure("the restored program's terminal is not raw")
    os.kill(report["pid"], signal.SIGUSR2)
    expect_pass(process, "the restored program verifies")
    expect_modes(second[1], usual, "after the end of the program")


if __name__ == "__main__":
    scenario.run("terminal_modes", test, 60, workload={"type": pathlib.Path, "required": True})

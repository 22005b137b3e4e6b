#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Threads are in the middle of a draw whenever the process is saved: clones draw no common number
all the same. tests/jvm/java/InFlight.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess
import time

from thumptest import java
from thumptest.events import Failure


def drawn_after(text, cut_ms):
    """What was drawn after the restore; without the first number of each thread, which it may have
    had in its hands already."""
    numbers, began = set(), set()
    for line in text.splitlines():
        thread, millis, number = line.split(";")
        if int(millis) <= cut_ms:
            continue
        if thread in began:
            numbers.add(number)
        began.add(thread)
    return numbers


def draw(world, image, name, cut_ms):
    process = world.start([world.thump_path, "restore", image], name,
                          env={**os.environ, "CLONE": "1"})
    numbers = drawn_after(java.expect_end(process), cut_ms)
    if len(numbers) < 8:
        raise Failure(f"{name} drew only {numbers}")
    return numbers


def test(world, options):
    program = java.Java(world, options)
    run = program.start(world.path("unused"), "InFlight", *options.words.split(),
                        stdin=subprocess.PIPE)
    run.expect_line("drawing")
    pid = java.child_of(run, world)
    shared = []
    for number in range(options.rounds):
        image = world.path(f"image-{number}")
        world.checkpoint(pid, image, "--leave-running")
        cut_ms = int(time.time() * 1000)
        clones = [draw(world, image, f"clone-{number}-{clone}", cut_ms) for clone in range(2)]
        shared.append(len(clones[0] & clones[1]))
        image.unlink()
    run.popen.stdin.close()
    run.popen.stdin = None
    java.expect_end(run)
    if any(shared):
        raise Failure(f"both clones drew the same: {shared} numbers")


if __name__ == "__main__":
    java.run("in_flight", test, 280, words={"required": True}, rounds={"type": int, "default": 8})

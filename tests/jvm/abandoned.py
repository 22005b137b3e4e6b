#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whoever has asked a JVM for a checkpoint is killed, at any time before the engine has stopped it,
and nobody reaps it: the program does not stay suspended. tests/jvm/java/Stand.java is the program,
asker.py stands for thump."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal
import subprocess

from thumptest import java
from thumptest.events import Failure, poll_until
from thumptest.stand import AFTER, BEFORE, expect, finish, tell, write

ASKER = pathlib.Path(__file__).resolve().parent / "asker.py"


class Program:
    """The program, which must go on each time, and say why."""

    def __init__(self, world, process):
        self.world, self.process = world, process
        self.pid = java.child_of(process, world)
        self.nr_words = 0

    def expect_goes_on(self, word):
        expect(self.process, *AFTER)
        self.nr_words += 1
        poll_until(self.world.deadline, f"{self.nr_words} times: {word}",
                   lambda: True if word in self._last_word() else None)
        tell(self.process, "nano")

    def _last_word(self):
        """What follows the last of the headings that there must be; "" before it comes."""
        parts = self.process.stderr_text().split("no checkpoint was made")
        return parts[-1] if len(parts) == self.nr_words + 1 else ""


def ask(world, program, *words):
    asker = world.start([sys.executable, ASKER, program.pid, *words], "asker",
                        stdin=subprocess.PIPE)
    return asker


def closed(world, program):
    """Its connection is closed before the hooks have run: as by the end of thump, reaped or not."""
    asker = ask(world, program, "and close")
    expect(asker, "closed")
    expect(program.process, *BEFORE)
    program.expect_goes_on("it ended before the process was ready")
    finish(asker)


def killed_after_ready(world, program):
    """It is killed when it has heard that the program is ready, and its parent waits for nothing."""
    asker = ask(world, program)
    expect(asker, "ready")
    os.kill(asker.pid, signal.SIGKILL)
    expect(program.process, *BEFORE)
    program.expect_goes_on("it ended before it had answered")


def killed_in_hook(world, program, single_threaded):
    """thump itself is killed while a hook runs."""
    gate = world.path(f"gate-{single_threaded}")
    tell(program.process, f"until {gate}" if single_threaded else "hold")
    checkpoint = world.start([world.thump_path, "checkpoint", program.pid, "-o",
                              world.path("never")], "killed")
    expect(program.process, *(BEFORE if single_threaded else BEFORE[:2]))
    os.kill(checkpoint.pid, signal.SIGKILL)
    checkpoint.status()
    if single_threaded:
        gate.touch()
    else:
        write(program.process, "fine")
        expect(program.process, "fine", BEFORE[2])
    program.expect_goes_on("it ended before the process was ready")
    tell(program.process, "fine")


def second(world, program):
    """Another one that asks meanwhile is told that it was too late; the first has its image."""
    tell(program.process, "hold")
    words = [world.thump_path, "checkpoint", program.pid, "--leave-running", "-o"]
    first = world.start([*words, world.path("first")], "first")
    expect(program.process, *BEFORE[:2])
    late = world.start([*words, world.path("late")], "late")
    name = f"-{program.pid}\n"  # of the socket that listens, of the first one's, and of this one's
    poll_until(world.deadline, "the second to have connected", lambda: True
               if pathlib.Path("/proc/net/unix").read_text(encoding="utf-8").count(name) == 3
               else None)
    write(program.process, "fine")
    expect(program.process, "fine", BEFORE[2], *AFTER)
    if first.status() != 0 or late.status() != 1:
        raise Failure(f"they ended with {first.status()} and {late.status()}")
    if "another checkpoint of it came first" not in late.stderr_text():
        raise Failure(f"the second was told: {late.stderr_text()}")


def idle(world, program):
    """It lives on and does nothing."""
    asker = ask(world, program)
    expect(asker, "ready")
    expect(program.process, *BEFORE)
    program.expect_goes_on("it did nothing for too long")
    finish(asker)


def test(world, options):
    java_program = java.Java(world, options)
    process = java_program.start(world.path("unused"), "Stand", stdin=subprocess.PIPE)
    expect(process, "up")
    program = Program(world, process)
    if options.idle:
        idle(world, program)
    else:
        closed(world, program)
        killed_after_ready(world, program)
        killed_in_hook(world, program, False)
        killed_in_hook(world, program, True)
        second(world, program)
    image = world.path("image")
    world.checkpoint(program.pid, image)
    expect(process, *BEFORE)
    finish(process)


if __name__ == "__main__":
    java.run("abandoned", test, 100, idle={"action": "store_true"})

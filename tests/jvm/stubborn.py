#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hook that nothing can end: nobody need wait for it, be it `thump checkpoint` or the program
itself, and all are told what it waits for. When it has ended, there can be a checkpoint.
tests/jvm/java/Stubborn.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure, poll_until
from thumptest.scenario import REFUSED

WORDS = ("has not ended within 100 ms", "Stubborn$1.beforeCheckpoint(Stubborn.java:",
         "it heeds neither an interrupt nor an exception")


def expect_words(text):
    for word in WORDS:
        if word not in text:
            raise Failure(f"{word} is not in {text}")


def write(process, line):
    process.popen.stdin.write(f"{line}\n".encode())
    process.popen.stdin.flush()


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    run = program.start(world.path("unused"), "Stubborn", stdin=subprocess.PIPE)
    run.expect_line("holding")
    pid = java.child_of(run, world)
    for number in range(3):
        refused = world.start([world.thump_path, "checkpoint", pid, "-o", image],
                              f"refused-{number}")
        if refused.status() != REFUSED:
            raise Failure(f"it ended with {refused.status()}: {refused.stderr_text()}")
        expect_words(refused.stderr_text())
    expect_words(run.stderr_text())
    write(run, "ask")
    expect_words(run.line("a refusal"))
    write(run, "let go")
    run.expect_line("let go")
    # The first one has not failed before its hook has ended.
    poll_until(world.deadline, "the end of the first one", lambda: True
               if "no checkpoint was made" in run.stderr_text() else None)
    world.checkpoint(pid, image)
    java.expect_end(run)


if __name__ == "__main__":
    java.run("stubborn", test, 60)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hooks that fail after a restore that nobody in the program waits for: the exception is printed
whole, and --on-restore-failure says whether the program goes on, ends or is started anew."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import java
from thumptest.events import Failure, poll_until

HOOKS_FAILED = 125
FAIL = {**os.environ, "FAIL": "1"}
TEXTS = ("java.io.IOException: the database is gone", "IllegalStateException: no route",
         "Failing.afterRestore(Failing.java:")


def say(process, line, *answers):
    process.popen.stdin.write(f"{line}\n".encode())
    process.popen.stdin.flush()
    for answer in answers:
        process.expect_line(answer)


def finish(process, status=0):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process, status)


def expect_texts(process):
    for text in TEXTS:
        if text not in process.stderr_text():
            raise Failure(f"{text} is not in {process.stderr_text()}")


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    run = program.start(image, "Failing", stdin=subprocess.PIPE)
    run.expect_line("up")
    world.checkpoint(java.child_of(run, world), image)
    finish(run)

    def restore(name, *words, env=FAIL):
        return world.start([world.thump_path, "restore", image, *words], name, env=env,
                           stdin=subprocess.PIPE)

    fine = restore("fine", "--on-restore-failure", "exit", env=None)
    fine.expect_line("back")
    finish(fine)
    goes_on = restore("goes-on")
    say(goes_on, "1", "read 1")
    # The hooks run beside it: it could end before they have failed.
    poll_until(world.deadline, "the hooks to fail",
               lambda: all(text in goes_on.stderr_text() for text in TEXTS) or None, pause=0.01)
    finish(goes_on)
    ends = restore("ends", "--on-restore-failure", "exit")
    java.expect_end(ends, HOOKS_FAILED)
    expect_texts(ends)
    anew = program.start(image, "Failing", name="anew", env=FAIL, stdin=subprocess.PIPE)
    anew.expect_line("up")
    say(anew, "2", "read 2")
    finish(anew)
    expect_texts(anew)


if __name__ == "__main__":
    java.run("outcomes", test, 100)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump run --rehearse` has the hooks run before the checkpoint that it makes by itself; one that
fails in a rehearsal is in its way. tests/jvm/java/Stand.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure, free_port, poll_until
from thumptest.stand import AFTER, BEFORE, expect, finish, tell, write

REHEARSALS = 2


def start(program, name):
    port = free_port()
    run = program.start(
        program.world.path(name), f"-Dport={port}", "Stand", then="continue", name=name,
        thump_words=("--checkpoint-when", f"port:{port}", "--rehearse", str(REHEARSALS)),
        stdin=subprocess.PIPE)
    expect(run, "up")
    return run


def rehearsed(world, program):
    run = start(program, "rehearsed")
    write(run, "listen")
    expect(run, "listen")
    for _ in range(REHEARSALS + 1):
        expect(run, *BEFORE, *AFTER)
    poll_until(world.deadline, "the image", lambda: True
               if "is saved in" in run.stderr_text() else None)
    finish(run)
    process, _ = world.restore(world.path("rehearsed"), name="restored", stdin=subprocess.PIPE)
    expect(process, *AFTER)
    finish(process)


def vetoed(world, program):
    run = start(program, "vetoed")
    tell(run, "veto")
    write(run, "listen")
    expect(run, "listen", *BEFORE[:2], *AFTER[1:])
    poll_until(world.deadline, "the refusal", lambda: True
               if "thump run: no checkpoint was made" in run.stderr_text() else None)
    if "rehearsal: " not in run.stderr_text() or "the disk is busy" not in run.stderr_text():
        raise Failure(f"it is not said why: {run.stderr_text()}")
    finish(run)
    if world.path("vetoed").exists():
        raise Failure("there is an image of a program whose hook refused")


def test(world, options):
    program = java.Java(world, options)
    rehearsed(world, program)
    vetoed(world, program)
    for words in (("--rehearse", "2"), ("--rehearse", "-1", "--checkpoint-when", "port:1"),
                  ("--rehearse", "many", "--checkpoint-when", "port:1")):
        world.thump("run", "--image", "x", *words, "--", "true", statuses=(122,))


if __name__ == "__main__":
    java.run("rehearse", test, 100)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""thump, or its worker, is killed while it captures a JVM that waits at a safepoint, or looks at one
before its hooks: the program goes on each time, and can be checkpointed afterwards.
tests/jvm/java/Garbage.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal
import subprocess

from thumptest import java
from thumptest.events import Failure, poll_until


def expect_sum(process, total):
    process.popen.stdin.write(b"\n")
    process.popen.stdin.flush()
    process.expect_line(total)


def is_stopped(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(")")[2].split()[0] == "t"


def start_until_stopped(world, pid, image, *words):
    """A checkpoint that works on a program that stands still. On a busy machine one may be over
    before this is seen: then there is another."""
    while True:
        process = world.start([world.thump_path, "checkpoint", pid, "-o", image,
                               "--leave-running", *words], "killed")
        if poll_until(world.deadline, "the program to be stopped",
                      lambda: True if is_stopped(pid) else False if process.has_ended() else None,
                      pause=0.001):
            return process
        image.unlink()


def kill_while_stopped(world, pid, image, worker, *words):
    """Kills what works on a checkpoint as soon as the program stands still."""
    while True:
        process = start_until_stopped(world, pid, image, *words)
        killed = java.children_of(process)[:1] if worker else [process.pid]
        for victim in killed:
            os.kill(victim, signal.SIGKILL)
        status = process.status()
        poll_until(world.deadline, "the program to go on",
                   lambda: None if is_stopped(pid) else True, pause=0.001)
        if status != 0 and not image.exists():
            return
        world.thump("verify", image)
        image.unlink()


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    run = program.start(image, "Garbage", 60, stdin=subprocess.PIPE)
    line = run.line("'ready'")
    if line is None:
        raise Failure(f"the program ended: {run.stderr_text()}")
    total = line.split()[1]
    pid = java.child_of(run, world)
    for words in ((), ("--hooks-first",), ("--hooks-first",)):
        for worker in (False, True):
            kill_while_stopped(world, pid, image, worker, *words)
            expect_sum(run, total)
    world.checkpoint(pid, image)
    java.expect_end(run)
    process, _ = world.restore(image, name="restored", stdin=subprocess.PIPE)
    expect_sum(process, total)
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


if __name__ == "__main__":
    java.run("killed", test, 100, java={"action": "append", "default": []})

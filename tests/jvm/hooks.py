#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump hooks before` and `after` while another engine saves the JVM: it stands still in between,
the original as well as a copy that an engine without hooks has made. tests/jvm/java/Stand.java is
the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal
import subprocess
import time

from thumptest import java
from thumptest.events import Failure, poll_until
from thumptest.scenario import REFUSED
from thumptest.stand import AFTER, BEFORE, expect, finish, tell, write

FAILED = 1
LITTER_BYTES = 100 << 20
NS_PER_S = 1_000_000_000


def hooks(world, *words, statuses=(0,)):
    report = world.thump_json("hooks", *words, statuses=statuses)[1]
    standing = statuses == (0,) and words[0] == "before"
    if report["standing"] != standing:
        raise Failure(f"hooks {words}: {report}")
    return report


def expect_texts(report, *wanted):
    texts = [problem["text"] for problem in report["problems"]]
    if len(texts) != len(wanted) or not all(part in text for part, text in zip(wanted, texts)):
        raise Failure(f"expected {wanted}: {report}")


def going_on(process):
    """The first answer of a program that has stood: by nobody but a single-threaded hook is
    anything said before it."""
    lines = [process.line("a hook or an answer") for _ in range(len(AFTER) + 1)]
    answers = [line for line in lines if line not in AFTER]
    if [line for line in lines if line in AFTER] != list(AFTER) or lines[0] != AFTER[0]:
        raise Failure(f"{process.name} said {lines}\n{process.stderr_text()}")
    return answers[0].split()[1]


def freeze(world, pid):
    """Stops every thread from outside, as any engine does, and lets them go again."""
    os.kill(pid, signal.SIGSTOP)
    poll_until(world.deadline, "the stop", lambda: True if "T (stopped)" in
               pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8") else None)
    os.kill(pid, signal.SIGCONT)


def original(world, run, pid):
    """It does nothing between before and after, and its time does not pass there."""
    start = time.monotonic_ns()
    nano = int(tell(run, "nano"))
    hooks(world, "before", pid)
    expect(run, *BEFORE)
    stood = time.monotonic_ns()
    write(run, "nano")
    freeze(world, pid)
    world.thump("checkpoint", pid, "--no-hooks", "--leave-running", "-o", world.path("picture"))
    went_on = time.monotonic_ns()
    hooks(world, "after", pid)
    passed = int(going_on(run)) - nano
    most = time.monotonic_ns() - start - (went_on - stood)
    if not 0 <= passed <= most:
        raise Failure(f"{passed / NS_PER_S} s passed in the program, {most / NS_PER_S} at most "
                      "have while it did not stand")


def garbage(world, run, pid):
    """No engine need save what is free in the heap."""
    tell(run, "litter")
    full = java.resident_bytes(pid)
    hooks(world, "before", pid)
    standing = java.resident_bytes(pid)
    hooks(world, "after", pid)
    expect(run, *BEFORE, *AFTER)
    if standing > full - LITTER_BYTES / 2:
        raise Failure(f"{full} bytes were resident, and {standing} at the safe point")


def failures(world, run, pid):
    """A veto, an abort, hooks that fail afterwards, and requests at a wrong moment."""
    tell(run, "veto")
    report = hooks(world, "before", pid, statuses=(REFUSED,))
    expect_texts(report, "java.lang.IllegalStateException: concurrent cannot now; caused by "
                 "java.io.IOException: the disk is busy; at Stand", "resource cannot now")
    expect(run, *BEFORE[:2], *AFTER[1:])
    tell(run, "break")
    hooks(world, "before", pid)
    expect(run, *BEFORE)
    for words in (("hooks", "before", pid), ("checkpoint", pid, "-o", world.path("no"))):
        refused = world.thump_json(*words, statuses=(REFUSED,))[1]
        if "it stands at a safe point" not in str(refused):
            raise Failure(f"{words}: {refused}")
    report = hooks(world, "after", pid, statuses=(FAILED,))
    expect_texts(report, "IllegalStateException: alone is broken", "resource is broken",
                 "concurrent is broken")
    expect(run, *AFTER)
    tell(run, "fine")
    hooks(world, "before", pid)
    hooks(world, "after", pid, "--abort")
    expect(run, *BEFORE, *AFTER)
    expect_texts(hooks(world, "after", pid, statuses=(REFUSED,)), "it does not stand")


def abandoned(world, run, pid):
    """Who ran `before` is killed, while hooks run or later: the program goes on by itself."""
    hooks(world, "before", pid, "--limit", "300ms")
    expect(run, *BEFORE, *AFTER)
    if "within 0.3 s: the program goes on" not in run.stderr_text():
        raise Failure(f"nothing is said of it: {run.stderr_text()}")
    tell(run, "hold")
    before = world.start([world.thump_path, "hooks", "before", pid], "killed")
    expect(run, *BEFORE[:2])
    tell(run, "held")
    os.kill(before.pid, signal.SIGKILL)
    before.status()
    write(run, "fine")
    expect(run, "fine", BEFORE[2], *AFTER)
    poll_until(world.deadline, "a word of it", lambda: True
               if "has ended before the process stood still" in run.stderr_text() else None)


def copies(world, run, pid):
    """Copies that an engine has made which knows of no hooks: each is told to go on under its own
    pid, and they have no random numbers in common."""
    image = world.path("image")
    hooks(world, "before", pid)
    expect(run, *BEFORE)
    world.checkpoint(pid, image, "--no-hooks")
    finish(run)
    drawn = set()
    for number in (1, 2):
        process, report = world.restore(image, name=f"copy-{number}", stdin=subprocess.PIPE)
        write(process, "uuid")
        hooks(world, "after", report["pid"])
        drawn.add(going_on(process))
        hooks(world, "before", report["pid"])
        hooks(world, "after", report["pid"])
        expect(process, *BEFORE, *AFTER)
        finish(process)
    if len(drawn) != 2:
        raise Failure(f"both copies drew {drawn}")


def test(world, options):
    program = java.Java(world, options)
    run = program.start(world.path("unused"), "Stand", stdin=subprocess.PIPE)
    expect(run, "up")
    pid = java.child_of(run, world)
    original(world, run, pid)
    garbage(world, run, pid)
    failures(world, run, pid)
    abandoned(world, run, pid)
    copies(world, run, pid)
    status, output = world.thump("hooks", "before", os.getpid(), statuses=(REFUSED,))
    if status != REFUSED or output:
        raise Failure(f"a program without hooks: {status} {output}")


if __name__ == "__main__":
    java.run("hooks", test, 100, java={"action": "append", "default": []})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a program that forks, makes threads, executes, gets signals, is stopped and
continued, or ends all the time: each either works or says why not, in time, and does no harm."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import os
import signal

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.workload import expect_pass, verify_original, wait_ready

DONE, FAILED, REFUSED = 0, 1, 3
ROUNDS = 25
# What may be said instead of success: a status and words of which one must be in the text.
REASONS = {
    "fork": {REFUSED: ("child process", "did not stop")},
    "vfork": {REFUSED: ("child process", "did not stop")},
    "spawn": {REFUSED: ("child process", "did not stop")},
    "thread": {},
    # Before the dynamic linker has mapped the C library there is hardly any code in it.
    "exec": {FAILED: ("executed another program", "ended while", "has ended"),
             REFUSED: ("no usable system call instruction",)},
    "signal": {},
    "memory": {},
    "stop": {},
    "end": {FAILED: ("has ended", "ended while", "there is no process"),
            REFUSED: ("has ended", "zombie")},
}


def tracers(pid):
    """Who traces any thread of it; none may be left."""
    found = set()
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            text = pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.add(int(text.split("TracerPid:\t", 1)[1].split("\n", 1)[0]))
    return found - {0}


def attempt(world, kind, pid, image):
    status, output = world.run([world.thump_path, "checkpoint", pid, "-o", image,
                                "--leave-running", "--json"], f"checkpoint-{kind}", statuses=None)
    if status == DONE:
        return True
    report = json.loads(output)
    texts = [problem["text"] for problem in report["problems"] if problem["fatal"]]
    texts = texts or [report["error"]["text"]]
    wanted = REASONS[kind].get(status, ())
    if not all(any(word in text for word in wanted) for text in texts):
        raise Failure(f"{kind}: status {status}: {texts}")
    if image.exists():
        raise Failure(f"{kind}: there is an image although the checkpoint failed")
    return False


def storm(world, options, kind):
    """Returns an image, if there ever was one."""
    process = world.start([world.reachable(options.workload), kind], f"storm-{kind}")
    wait_ready(process)
    last = None
    for number in range(ROUNDS):
        image = world.path(f"image-{kind}-{number}")
        if attempt(world, kind, process.pid, image):
            if last:
                last.unlink()
            last = image
        if process.has_ended():
            raise Failure(f"{kind}: ended with {process.status()}: {process.stderr_text()}")
        if tracers(process.pid):
            raise Failure(f"{kind}: traced after the checkpoint")
    verify_original(process)
    return last


def restored(world, kind, image):
    process, report = world.restore(image, name=f"restore-{kind}")
    os.kill(report["pid"], signal.SIGUSR2)
    expect_pass(process, f"the restored storm of {kind} verifies")


def stopping(world, options):
    """SIGSTOP and SIGCONT from outside at any moment."""
    process = world.start([world.reachable(options.workload), "memory"], "storm-stop")
    wait_ready(process)
    image = world.path("image-stop")
    for number in range(ROUNDS):
        checkpoint = world.start([world.thump_path, "checkpoint", process.pid, "-o", image,
                                  "--leave-running"], "checkpoint-stop")
        while not checkpoint.has_ended():
            os.kill(process.pid, signal.SIGSTOP)
            os.kill(process.pid, signal.SIGCONT)
        if checkpoint.status() != DONE:
            raise Failure(f"stop: round {number}: {checkpoint.stderr_text()}")
    state = poll_until(world.deadline, "the program to run", lambda: pathlib.Path(
        f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0])
    if state not in "RS":
        raise Failure(f"stop: the program is left in state {state}")
    verify_original(process)


def ending(world, options):
    """It ends, by itself or by a signal, before, while or after it is stopped."""
    for number in range(ROUNDS):
        process = world.start([world.reachable(options.workload), "memory"], "storm-end")
        wait_ready(process)
        image = world.path(f"image-end-{number}")
        signo = (signal.SIGUSR1, signal.SIGKILL, signal.SIGTERM)[number % 3]
        checkpoint = world.start([world.thump_path, "checkpoint", process.pid, "-o", image,
                                  "--leave-running", "--json"], "checkpoint-end")
        if number % 2:
            poll_until(world.deadline, "thump to trace", lambda: tracers_of(process)
                       or checkpoint.has_ended() or None)
        os.kill(process.pid, signo)
        status = process.status()
        if status not in (0, -signo):
            raise Failure(f"end: status {status} after signal {signo}")
        if checkpoint.status() not in (DONE, FAILED, REFUSED):
            raise Failure(f"end: thump's status is {checkpoint.status()}")


def tracers_of(process):
    try:
        return tracers(process.pid)
    except FileNotFoundError:
        return True


def test(world, options):
    for kind in ("fork", "vfork", "spawn", "thread", "exec", "signal", "memory"):
        image = storm(world, options, kind)
        if image and kind in ("thread", "signal", "memory"):
            restored(world, kind, image)
    stopping(world, options)
    ending(world, options)


if __name__ == "__main__":
    scenario.run("storm", test, 240, workload={"type": pathlib.Path, "required": True})

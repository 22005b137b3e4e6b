#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that fail, seen from outside: the program goes on as before, and no image is left."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import signal

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.snapshot import status_of
from thumptest.workload import expect_same, settled, verify_original, wait_ready

FAILED = 1
KILLS = 12


def no_image(world, image):
    """Nothing of that name; a temporary file may stay behind a thump that was killed."""
    if image.exists():
        raise Failure(f"{image.name} exists after a checkpoint that failed")


def directory_missing(world, process, image):
    world.thump("checkpoint", process.pid, "-o", world.path("missing") / "image",
                statuses=(FAILED,))


def file_too_large(world, process, image):
    """RLIMIT_FSIZE stands for a full disk: it needs no privilege."""
    world.run(["prlimit", "--fsize=8192", world.thump_path, "checkpoint", process.pid, "-o", image],
              "checkpoint-fsize", statuses=(FAILED,))


def killed(world, process, image):
    """kill -9, at once or as soon as it has traced the target for a moment."""
    for number in range(KILLS):
        checkpoint = world.start([world.thump_path, "checkpoint", process.pid, "-o", image],
                                 f"checkpoint-{number}")

        def traced():
            tracer = int(status_of(f"/proc/{process.pid}/status")["TracerPid"])
            return True if tracer or checkpoint.has_ended() else None

        if number % 2:
            poll_until(world.deadline, "thump to trace", traced, pause=0.0002 * number)
        checkpoint.popen.send_signal(signal.SIGKILL)
        if checkpoint.status() == 0:
            raise Failure("thump was not killed: it was done before")
        # Its worker rolls back by itself, as soon as it notices.
        poll_until(world.deadline, "the worker to let go", lambda: True if int(
            status_of(f"/proc/{process.pid}/status")["TracerPid"]) == 0 else None)
        if image.exists():
            image.unlink()  # whole: it was on disk before thump was killed
        if process.has_ended():
            raise Failure(f"the program ended with {process.status()} when thump was killed")


CASES = (directory_missing, file_too_large, killed)


def test(world, options):
    process = world.start([world.reachable(options.workload)], "original")
    wait_ready(process)
    before = settled(process.pid)
    image = world.path("image")
    for case in CASES:
        case(world, process, image)
        no_image(world, image)
        expect_same(world, before, process.pid, f"after {case.__name__}")
    verify_original(process)


if __name__ == "__main__":
    scenario.run("failures", test, 60, workload={"type": pathlib.Path, "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The arenas of glibc's malloc are mapped from the image where the program promises that only malloc
gives their memory back, and malloc keeps its word in them: tests/kinds/malloc_arenas.c."""
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass

ARENAS = 3
LEAST_BYTES = 200 << 20


def mapped_bytes(pid, image):
    """Of the image, with or without its name."""
    total = 0
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        if str(image) in line:
            start, end = (int(word, 16) for word in line.split()[0].split("-"))
            total += end - start
    return total


def restore(world, image, name):
    process, report = world.restore(image, name=name)
    if report["memory"] != "lazy" or mapped_bytes(report["pid"], image) < LEAST_BYTES:
        raise Failure(f"{name}: memory is {report['memory']}, {mapped_bytes(report['pid'], image)} "
                      "bytes of it mapped")
    return process, report["pid"]


def verify(process, pid):
    os.kill(pid, signal.SIGUSR2)
    expect_pass(process, process.name)


def save(world, process, pid, image, *options):
    """The outcome is in the page of the program: it says when it goes on."""
    page = process.line("the address of its page").split()[1]
    world.thump("checkpoint", pid, "-o", image, "--coord", page, *options)


def test(world, options):
    image, following, unpromised = (world.path(name) for name in ("image", "following", "eager"))
    original = world.start([world.reachable(options.workload)], "original")
    save(world, original, original.pid, image, "--leave-running")
    original.expect_line("is saved")
    world.checkpoint(original.pid, unpromised, "--leave-running")
    verify(original, original.pid)

    process, report = world.restore(unpromised, name="unpromised")
    if report["memory"] != "eager":
        raise Failure(f"without a promise memory is {report['memory']}")
    verify(process, report["pid"])

    ranges = world.thump_json("inspect", image, "--maps")[1]["vouched"]
    if len(ranges) < ARENAS:
        raise Failure(f"only these ranges may be mapped: {ranges}")
    first, first_pid = restore(world, image, "first")
    second, second_pid = restore(world, image, "second")
    image.unlink()
    verify(first, first_pid)
    os.kill(second_pid, signal.SIGHUP)
    save(world, second, second_pid, following, "--leave-running")
    second.expect_line("is saved")
    verify(second, second_pid)
    for entry in world.thump_json("inspect", following, "--maps")[1]["maps"]:
        if str(image) in (entry["path"] or ""):
            raise Failure(f"an image depends on the one before: {entry}")
    verify(*restore(world, following, "third"))


if __name__ == "__main__":
    scenario.run("malloc_arenas", test, 100, workload={"type": pathlib.Path, "required": True})

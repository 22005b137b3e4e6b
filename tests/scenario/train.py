#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump train` notes what a restored program touches, and changes nothing else: the trained image
is whole, is restored as before, but with these pages ready, and can be trained again.
tests/kinds/malloc_arenas.c is the program; when it has been restored for training it writes to one
page of each arena, and else to none."""
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal
import struct

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass

ARENAS = 3
PAGE = 4096
REFUSED = 3
USAGE = 2
PRESENT, OF_A_FILE = 1 << 63, 1 << 61  # proc_pid_pagemap(5)


def save(world, workload, image):
    """Returns the addresses of what it writes to."""
    original = world.start([workload, world.path("touch")], "original")
    page, *blocks = original.line("the address of its page").split()[1:]
    world.thump("checkpoint", original.pid, "-o", image, "--leave-running", "--coord", page)
    original.expect_line("is saved")
    os.kill(original.pid, signal.SIGUSR2)
    expect_pass(original, "original")
    return [int(block, 16) for block in blocks]


def save_eager(world, workload, image):
    """Without the page nobody vouches for anything."""
    original = world.start([workload], "eager")
    original.line("the address of its page")
    world.checkpoint(original.pid, image)
    original.status()


def train(world, image, *words, statuses=(0,)):
    world.path("touch").touch()
    report = world.thump_json("train", image, *words, statuses=statuses)[1]
    world.path("touch").unlink()
    return report


def is_made(pid, address):
    """Whether the page is the process's own, and no longer that of the image."""
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        pagemap.seek(address // PAGE * 8)
        entry, = struct.unpack("=Q", pagemap.read(8))
    return entry & PRESENT and not entry & OF_A_FILE


def expect_restored(world, image, name, blocks, made):
    process, restored = world.restore(image, name=name)
    seen = [bool(is_made(restored["pid"], block)) for block in blocks]
    if seen != [made] * ARENAS:
        raise Failure(f"{name}: what is written to in training is made at once: {seen}")
    os.kill(restored["pid"], signal.SIGUSR2)
    expect_pass(process, name)


def expect_trained(world, image, report, blocks):
    world.thump("verify", image)
    memory = world.thump_json("inspect", image)[1]["memory"]
    if not ARENAS * PAGE <= report["written_bytes"] < 1 << 20 or report["error"]:
        raise Failure(f"the training found {report}")
    if (memory["hot_written_bytes"], memory["hot_read_bytes"]) != \
            (report["written_bytes"], report["read_bytes"]):
        raise Failure(f"the image says {memory}, the training {report}")
    expect_restored(world, image, "trained", blocks, made=True)


def expect_no_process_of(image):
    """They were ended, each before the next one."""
    for maps in pathlib.Path("/proc").glob("[0-9]*/maps"):
        try:
            if str(image) in maps.read_text(encoding="utf-8"):
                raise Failure(f"{maps} still has {image}")
        except (OSError, UnicodeDecodeError):
            pass  # it has ended, or is somebody else's


def test(world, options):
    workload = world.reachable(options.workload)
    image, trained, eager = (world.path(name) for name in ("image", "trained", "eager"))
    blocks = save(world, workload, image)
    save_eager(world, workload, eager)
    before = image.read_bytes()
    expect_restored(world, image, "untrained", blocks, made=False)

    report = train(world, image, "--for", "200ms", "--runs", "2", "-o", trained)
    if report["image"] != str(trained) or report["runs"] != 2 or image.read_bytes() != before:
        raise Failure(f"the training said {report}")
    expect_no_process_of(image)
    expect_trained(world, trained, report, blocks)
    mode = trained.stat().st_mode & 0o777
    if mode != image.stat().st_mode & 0o777:
        raise Failure(f"the trained image has mode {mode:o}")

    # In its place, once more.
    report = train(world, trained, "--until-exec", "echo said; exit 0", "--runs", "1", "--mode",
                   "440")
    expect_trained(world, trained, report, blocks)
    if trained.stat().st_mode & 0o777 != 0o440:
        raise Failure("--mode is not kept")
    if abs(trained.stat().st_size - len(before)) > 1 << 16:
        raise Failure("a second training does not replace the first")

    report = train(world, eager, "--for", "10ms", statuses=(REFUSED,))
    if "nothing to train" not in report["error"]["text"]:
        raise Failure(f"an image that is read whole: {report}")
    train(world, image, statuses=(USAGE,))
    train(world, image, "--for", "1s", "--until-port", "80", statuses=(USAGE,))


if __name__ == "__main__":
    scenario.run("train", test, 100, workload={"type": pathlib.Path, "required": True})

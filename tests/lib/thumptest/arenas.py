# SPDX-License-Identifier: Apache-2.0
"""tests/kinds/malloc_arenas.c as a program whose memory is mapped from its image: when it has been
restored and its FILE is there, it writes to one page of each arena, and else to none."""
import os
import signal
import struct

from thumptest.events import Failure
from thumptest.workload import expect_pass

ARENAS = 3
PAGE = 4096
PRESENT, OF_A_FILE = 1 << 63, 1 << 61  # proc_pid_pagemap(5)


def save(world, workload, image):
    """FILE is world.path("touch"). Returns the addresses of what it writes to."""
    original = world.start([workload, world.path("touch")], "original")
    page, *blocks = original.line("the address of its page").split()[1:]
    world.thump("checkpoint", original.pid, "-o", image, "--leave-running", "--coord", page)
    original.expect_line("is saved")
    os.kill(original.pid, signal.SIGUSR2)
    expect_pass(original, "original")
    return [int(block, 16) for block in blocks]


def is_made(pid, address):
    """Whether the page is the process's own, and no longer that of the image."""
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        pagemap.seek(address // PAGE * 8)
        entry, = struct.unpack("=Q", pagemap.read(8))
    return bool(entry & PRESENT and not entry & OF_A_FILE)


def finish(process, restored, name):
    """It verifies itself and ends."""
    os.kill(restored["pid"], signal.SIGUSR2)
    expect_pass(process, name)


def expect_made(world, image, name, blocks, made, *options):
    """Restores it: what is written to in training is `made` at once, or not."""
    process, restored = world.restore(image, *options, name=name)
    seen = [is_made(restored["pid"], block) for block in blocks]
    if seen != [made] * ARENAS:
        raise Failure(f"{name}: what is written to in training is made at once: {seen}")
    return process, restored


def expect_restored(world, image, name, blocks, made, *options):
    finish(*expect_made(world, image, name, blocks, made, *options), name)

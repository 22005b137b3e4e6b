#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many generations of one program that never rests (apps/busy.c): it finds all its state in each, and
neither it nor its image grows."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import scenario, snapshot
from thumptest.events import Failure

# The first ones may still grow: arenas of malloc, stacks that the C library keeps.
SETTLED = 5
# One thread may be inside of a step that maps memory, another one has a thread of its own.
MAPPINGS_MORE, BYTES_MORE = 12, 2 << 20


def go_on(process, word="on"):
    process.popen.stdin.write(f"{word}\n".encode())
    process.popen.stdin.flush()
    process.expect_line(word)


def sizes(pid, image):
    """What must not grow: descriptors, mappings, bytes in memory and in the image."""
    return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "mappings": len(snapshot.mappings(pid)),
            "bytes": snapshot.resident_bytes(pid),
            "image": image.stat().st_size}


def expect_no_growth(first, last, when):
    # One descriptor may be on its way.
    rooms = {"descriptors": 1, "mappings": MAPPINGS_MORE, "bytes": BYTES_MORE, "image": BYTES_MORE}
    for name, room in rooms.items():
        if last[name] > first[name] + room:
            raise Failure(f"{when}: {name}: {first[name]} became {last[name]}")


def test(world, options):
    process = world.start([world.reachable(options.workload)], "original", stdin=subprocess.PIPE)
    process.expect_line("ready")
    pid, settled = process.pid, None
    image = world.path("image-0")
    for number in range(options.generations):
        go_on(process)
        if number == 0:
            world.checkpoint(pid, image)
        else:
            following = world.path(f"image-{number}")
            before = sizes(pid, image)
            settled = before if number == SETTLED else settled
            if settled:
                expect_no_growth(settled, before, f"generation {number}")
            world.checkpoint(pid, following)
            image.unlink()
            image = following
        process.status()
        world.forget(process)
        process, report = world.restore(image, name=f"restore-{number}", stdin=subprocess.PIPE)
        pid = report["pid"]
    go_on(process, "end")
    if process.status() != 0:
        raise Failure(f"the program ended with {process.status()}:\n{process.stderr_text()}")


if __name__ == "__main__":
    scenario.run("generations", test, 3500, workload={"type": pathlib.Path, "required": True},
                 generations={"type": int, "required": True})

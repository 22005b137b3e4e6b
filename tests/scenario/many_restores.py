#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One image is restored thousands of times, one after the other, its memory read or mapped in turns. Every process
finds all its state; none is bigger than the first ones; and nothing is left behind: no process, file, mount or
descriptor, and no more in the state directory than after the first restores."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import hashlib
import os

from thumptest import scenario, snapshot
from thumptest.events import Failure
from thumptest.workload import verify_restored, wait_ready

MODES = ((), ("--memory", "lazy-unsafe"))
LOOK_EVERY = 250
# The kernel accounts pages of a process by processor, and tells of some late.
BYTES_MORE = 1 << 20


def tree(folder):
    """Every file below with its size, so that it neither grows in number nor in bytes."""
    return sorted((str(path.relative_to(folder)), path.stat().st_size)
                  for path in folder.rglob("*") if path.is_file())


def mounts(world):
    """Where a restore mounts, or could: other tests mount elsewhere at the same time."""
    points = [line.split()[4] for line in snapshot.read("/proc/self/mountinfo").splitlines()]
    return sorted(point for point in points if point.startswith(("/proc", str(world.directory))))


def surroundings(world, state):
    """What a restore could leave behind."""
    return {"processes": world.descendants(),
            "files": sorted(os.listdir(world.directory)),
            "state directory": tree(state),
            "descriptors of the test": len(os.listdir("/proc/self/fd")),
            "mounts": mounts(world)}


def sizes(pid, image):
    return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "mappings": len(snapshot.mappings(pid, image=str(image))),
            "threads": len(os.listdir(f"/proc/{pid}/task")),
            "bytes": snapshot.resident_bytes(pid)}


def restore(world, image, number, mode, environment):
    """Restores, looks, and lets the program verify itself and end. Returns its sizes."""
    process, report = world.restore(image, *mode, name="restore", env=environment)
    found = sizes(report["pid"], image) if number % LOOK_EVERY < len(MODES) else None
    verify_restored(process, report["pid"])
    said = process.stderr_text()
    if said:
        raise Failure(f"restore {number} said {said}")
    world.forget(process)
    return found


def compare(number, mode, first, now):
    for name, size in now.items():
        if size > first[name] + (BYTES_MORE if name == "bytes" else 0):
            raise Failure(f"restore {number} {mode}: {name}: {first[name]} became {size}")


def test(world, options):
    original = world.start([world.reachable(options.workload)], "original")
    wait_ready(original)
    image, state = world.path("image"), world.path("state")
    world.checkpoint(original.pid, image)
    original.status()
    world.forget_ended()
    digest = hashlib.sha256(image.read_bytes()).digest()
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    first, before = {}, None
    for number in range(options.restores):
        mode = MODES[number % len(MODES)]
        found = restore(world, image, number, mode, environment)
        if found:
            compare(number, mode, first.setdefault(mode, found), found)
        if number == len(MODES):
            before = surroundings(world, state)
        elif before and number % LOOK_EVERY == 0:
            after = surroundings(world, state)
            if after != before:
                raise Failure(f"after {number} restores: {before} became {after}")
    if surroundings(world, state) != before:
        raise Failure(f"at the end: {before} became {surroundings(world, state)}")
    if hashlib.sha256(image.read_bytes()).digest() != digest:
        raise Failure("the image has changed")
    print(f"{options.restores} restores; left behind: {before}")


if __name__ == "__main__":
    scenario.run("many_restores", test, 3400, workload={"type": pathlib.Path, "required": True},
                 restores={"type": int, "required": True})

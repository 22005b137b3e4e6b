#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The memory that the agent vouches for is mapped from the image. Such a process does not need the
image's name, its own image does not need the image it came from, and a damaged image is found
before it runs. tests/jvm/java/Garbage.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import java
from thumptest.events import Failure

DAMAGED = 124
ARENA_BYTES = 64 << 20


def expect_sum(process, total):
    process.popen.stdin.write(b"\n")
    process.popen.stdin.flush()
    process.expect_line(total)


def nr_mappings_of(image, pid):
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    return sum(str(image) in line for line in lines)


def restore(world, image, name, total, lazy):
    process, report = world.restore(image, name=name, stdin=subprocess.PIPE)
    if report["memory"] != ("lazy" if lazy else "eager"):
        raise Failure(f"{name}: memory is {report['memory']}: {report['problems']}")
    if (nr_mappings_of(image, report["pid"]) > 0) != lazy:
        raise Failure(f"{name}: the image is not mapped as it should be")
    expect_sum(process, total)
    return process, report["pid"]


def ranges_of(world, image):
    """What may be mapped, and which of it is an arena of malloc: the rest of that is inaccessible."""
    report = world.thump_json("inspect", image, "--maps")[1]
    ranges = [(int(one["start"], 16), int(one["end"], 16)) for one in report["vouched"]]
    closed = {int(one["start"], 16): int(one["end"], 16) for one in report["maps"]
              if one["prot"] == "---"}
    arenas = [start for start, end in ranges
              if start % ARENA_BYTES == 0 and closed.get(end) == start + ARENA_BYTES]
    return report, ranges, arenas


def expect_archive(report, ranges):
    """What HotSpot has written of its class data archive."""
    written = [(int(one["start"], 16), int(one["end"], 16)) for one in report["maps"]
               if "classes" in (one["path"] or "") and one["stored_bytes"]
               and one["path"].endswith(".jsa")]
    for start, end in written:
        if not any(first <= start and end <= last for first, last in ranges):
            raise Failure(f"the class data archive at {start:#x} is not vouched for: {ranges}")
    if not written:
        raise Failure("nothing of the class data archive was written")


def expect_foreign_code_seen(world, program, library):
    """With a library that could give memory of malloc back, its arenas are read."""
    image = world.path("foreign")
    run = program.start(image, "Garbage", 4, name="foreign", stdin=subprocess.PIPE,
                        env={**os.environ, "LD_PRELOAD": str(library)})
    if run.line("'ready'") is None:
        raise Failure(f"the program ended: {run.stderr_text()}")
    world.checkpoint(java.child_of(run, world), image)
    java.expect_end(run)
    arenas = ranges_of(world, image)[2]
    if arenas:
        raise Failure(f"with {library} these arenas are vouched for: {arenas}")


def expect_damage_found(world, image):
    """One bit of the biggest part, the Java heap, in a copy that nobody has verified yet."""
    copy = world.path("damaged")
    data = bytearray(image.read_bytes())
    data[len(data) // 4] ^= 1
    copy.write_bytes(data)
    copy.chmod(0o400)
    if os.geteuid() == 0:
        os.chown(copy, image.stat().st_uid, image.stat().st_gid)
    process = world.start([world.thump_path, "restore", copy], "damaged")
    if process.status() != DAMAGED or "checksum" not in process.stderr_text():
        raise Failure(f"a damaged image: {process.status()}: {process.stderr_text()}")


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    run = program.start(image, "Garbage", 60, stdin=subprocess.PIPE)
    line = run.line("'ready'")
    if line is None:
        raise Failure(f"the program ended: {run.stderr_text()}")
    total = line.split()[1]
    world.checkpoint(java.child_of(run, world), image)
    java.expect_end(run)
    report, ranges, arenas = ranges_of(world, image)
    if len(ranges) < 3 or not arenas:
        raise Failure(f"heap, code cache, metaspace and arenas are not vouched for: {ranges}")
    expect_archive(report, ranges)
    expect_foreign_code_seen(world, program, world.reachable(options.foreign))
    expect_damage_found(world, image)
    first, pid = restore(world, image, "first", total, lazy=True)
    second, second_pid = restore(world, image, "second", total, lazy=True)
    # The name is gone; the next image is whole without it.
    image.unlink()
    expect_sum(second, total)
    following = world.path("following")
    world.checkpoint(pid, following)
    first.status()
    for entry in world.thump_json("inspect", following, "--maps")[1]["maps"]:
        if str(image) in (entry["path"] or ""):
            raise Failure(f"an image depends on the one before: {entry}")
    os.kill(second_pid, 15)
    second.status()
    third, pid = restore(world, following, "third", total, lazy=True)
    third.popen.stdin.close()
    third.popen.stdin = None
    java.expect_end(third)


if __name__ == "__main__":
    java.run("lazy", test, 100, foreign={"type": pathlib.Path, "required": True},
             java={"action": "append", "default": []})

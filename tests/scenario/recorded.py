#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The record of `thump verify --record` beside an image: where both lie on a read-only mount a
restore does not read what it maps. What shows that is an image that was damaged after its record was
made: it comes back, with the damage, where the record is believed, and is refused elsewhere."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import subprocess

from thumptest import scenario, world as worlds
from thumptest.events import Failure

DAMAGED = 124
FILL, SIZE = b"\x5a", 8 << 20
PROGRAM = ["/usr/bin/python3", "-c",
           "import sys\n"
           f"memory = bytearray({FILL!r}) * {SIZE}\n"
           "print('ready', flush=True)\n"
           "sys.stdin.readline()\n"
           f"print('wrong', {SIZE} - memory.count({FILL!r}), flush=True)\n"]
READ_ONLY = ["unshare", "--mount", "--", "sh", "-c",
             'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"', "sh"]


def saved(world):
    """An image in a folder of its own, and its record."""
    folder = world.path("good")
    folder.mkdir(mode=0o755)
    program = world.start(PROGRAM, "program", stdin=subprocess.PIPE)
    program.expect_line("ready")
    image = folder / "image"
    world.checkpoint(program.pid, image, "--mode", "0444")
    program.status()
    world.thump("verify", "--record", image)
    return image


def record_of(image):
    return image.with_name(f"{image.name}.verified")


def damaged(world, image, name):
    """A copy with the record of the original, and one bit that is not."""
    folder = world.path(name)
    shutil.copytree(image.parent, folder)
    copy = folder / image.name
    data = bytearray(image.read_bytes())
    data[data.index(FILL * (1 << 20)) + (1 << 19)] ^= 1
    copy.chmod(0o644)
    copy.write_bytes(data)
    copy.chmod(0o444)
    return copy


def restore(world, image, name, prefix, *options):
    return world.start([*prefix, world.thump_path, "restore", image, "--memory", "lazy-unsafe",
                        *options], name, stdin=subprocess.PIPE)


def expect_believed(world, image, name, prefix):
    process = restore(world, image, name, prefix)
    process.popen.stdin.write(b"\n")
    process.popen.stdin.flush()
    process.expect_line("wrong 1")
    if process.status() != 0:
        raise Failure(f"{name}: {process.stderr_text()}")


def expect_read(world, image, name, prefix, *options):
    process = restore(world, image, name, prefix, *options)
    if process.status() != DAMAGED or "checksum" not in process.stderr_text():
        raise Failure(f"{name}: {process.status()}: {process.stderr_text()}")


def test(world, _options):
    image = saved(world)
    if record_of(image).stat().st_mode & 0o777 != 0o444:
        raise Failure("others may write the record")
    world.directory.chmod(0o755)
    bad = damaged(world, image, "bad")
    inside = [*READ_ONLY, bad.parent]
    expect_read(world, bad, "writable-mount", [])
    expect_believed(world, bad, "read-only", inside)
    expect_believed(world, bad, "read-only-user", [*inside, *worlds.AS_USER])
    expect_read(world, bad, "asked-to-verify", inside, "--verify")

    record = record_of(bad)
    record.chmod(0o464)
    expect_read(world, bad, "written-by-group", inside)
    record.chmod(0o444)
    os.chown(record, worlds.USER_ID + 1, 0)
    expect_read(world, bad, "record-of-a-stranger", inside)
    expect_read(world, bad, "record-of-a-stranger-user", [*inside, *worlds.AS_USER])
    record.unlink()
    record.symlink_to(record_of(image))
    expect_read(world, bad, "link", inside)
    record.unlink()
    record.write_text(record_of(image).read_text().replace("thump-verified 1 ", "thump-verified 1 1"))
    expect_read(world, bad, "record-of-another-image", inside)
    world.thump("verify", "--record", bad, statuses=(4,))
    if record.exists():
        raise Failure("the record of a damaged image is still there")


if __name__ == "__main__":
    scenario.run("recorded", test, 100)

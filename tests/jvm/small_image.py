#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The image of a JVM whose heap is full of garbage is smaller than the garbage, and what the
program keeps is still there. tests/jvm/java/Garbage.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure

GARBAGE_MB = 120


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    run = program.start(image, "Garbage", GARBAGE_MB, stdin=subprocess.PIPE)
    line = run.line("'ready'")
    if line is None:
        raise Failure(f"the program ended: {run.stderr_text()}")
    total = line.split()[1]
    pid = java.child_of(run, world)
    before_mb = java.resident_bytes(pid) / 2 ** 20
    world.checkpoint(pid, image)
    java.expect_end(run)
    image_mb = image.stat().st_size / 2 ** 20
    print(f"{before_mb:.0f} MB were resident, {image_mb:.0f} MB are the image")
    if before_mb < options.resident:
        raise Failure(f"only {before_mb:.0f} MB were resident: there is no garbage to leave out")
    if image_mb > GARBAGE_MB / 2:
        raise Failure(f"{before_mb:.0f} MB were resident, {image_mb:.0f} MB are in the image")
    process, _ = world.restore(image, name="restored", stdin=subprocess.PIPE)
    process.popen.stdin.write(b"\n")
    process.popen.stdin.flush()
    process.expect_line(total)
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


if __name__ == "__main__":
    java.run("small_image", test, 100, java={"action": "append", "default": []},
             resident={"type": int, "default": GARBAGE_MB})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump restore -v` has a JVM say how long it was busy with itself and its hooks, before it went on:
parts that add up, and are no longer than the restore took. Nobody else hears of that."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import re
import time

from thumptest import java
from thumptest.events import Failure

NUMBER = r"(\d+\.\d{3})"
LINE = re.compile(rf"^thump: restored: the JVM left its safepoint in {NUMBER} ms, its own fixes "
                  rf"took {NUMBER} \(randomness {NUMBER}, environment and process {NUMBER}, "
                  rf"ports {NUMBER}, properties {NUMBER}\), single-threaded hooks {NUMBER}, "
                  rf"threads {NUMBER}, other hooks {NUMBER}$", re.M)
ROUNDING_MS = 0.005


def restore(world, image, name, *words):
    """Its standard error, and how long it took until the end of the program."""
    before = time.monotonic()
    process = world.start([world.thump_path, "restore", image, *words], name)
    java.expect_end(process)
    return process.stderr_text(), 1000 * (time.monotonic() - before)


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    java.expect_end(program.start(image, "Order"))
    for name, words in (("verbose", ["-v"]), ("json", ["-v", "--json"]),
                        ("other-port", ["-v", "--port", "1:2"])):
        text, all_ms = restore(world, image, name, *words)
        said = LINE.findall(text)
        if len(said) != 1:
            raise Failure(f"{name}: not one line that tells the times: {text}")
        safepoint, fixes, *parts = map(float, said[0])
        if abs(fixes - sum(parts[:4])) > ROUNDING_MS or fixes == 0 or \
                safepoint + sum(parts) > all_ms:
            raise Failure(f"{name}: these cannot be parts of {all_ms:.1f} ms: {said[0]}")
    text, _ = restore(world, image, "silent")
    if "own fixes" in text:
        raise Failure(f"nobody has asked for it: {text}")


if __name__ == "__main__":
    java.run("times", test, 100)

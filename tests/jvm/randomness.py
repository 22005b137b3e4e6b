#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clones of one image draw no common number, from the first draw on."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import collections
import time

from thumptest import java
from thumptest.events import Failure

GENERATORS = 16


def drawn_after(text, cut_ms, in_flight):
    """{(kind, number)} drawn after the restore; without the first number of each thread, if it may
    have had that in its hands at the capture."""
    numbers, began = set(), set()
    for line in text.splitlines():
        thread, millis, kind, number = line.split(";")
        if int(millis) <= cut_ms:
            continue
        if in_flight and thread not in began:
            began.add(thread)
            continue
        numbers.add((kind, number))
    return numbers


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    words = ["Draws"] if options.in_flight else ["Draws", "pause"]
    java.expect_end(program.start(image, *words))
    cut_ms = int(time.time() * 1000)
    owners = collections.defaultdict(list)
    for clone in range(options.clones):
        process, _ = world.restore(image, name=f"clone-{clone}")
        numbers = drawn_after(java.expect_end(process), cut_ms, options.in_flight)
        if len({kind for kind, _ in numbers}) < GENERATORS:
            raise Failure(f"clone {clone} drew only {numbers}")
        for number in numbers:
            owners[number].append(clone)
    common = {number: clones for number, clones in owners.items() if len(clones) > 1}
    if common:
        kinds = collections.Counter(kind for kind, _ in common)
        raise Failure(f"{len(common)} numbers were drawn by several clones: {dict(kinds)}")


if __name__ == "__main__":
    java.run("randomness", test, 580, clones={"type": int, "default": 4},
             **{"in-flight": {"action": "store_true"}})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spares of a JVM, made before anybody asks: each gets environment, arguments, properties, time zone, stdout and status of
whoever takes it, runs its hooks then, and keeps the program's working directory. No two draw a common number."""
import collections
import os
import pathlib
import sys
import time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import changes
import randomness
from thumptest import java
from thumptest.events import Failure, poll_until

DRAWING = 2


def take(world, image, name, *words, **options):
    """A spare and nothing else, that waited before."""
    def spares():
        return world.thump_json("template", "list")[1]["templates"][0]["spares"]
    waiting = poll_until(world.deadline, "a spare", lambda: spares() or None, pause=0.02)
    folders = {os.readlink(f"/proc/{pid}/cwd") for pid in waiting}
    process, report = world.spawn(image, *words, name=name, **options)
    if not report["spare"] or report["pid"] not in waiting:
        raise Failure(f"{name} is none of the spares {waiting}: {report}, {process.stderr_text()}")
    return process, folders


def lines_of(process):
    return dict(line.split(" ", 1) if " " in line else (line, "")
                for line in java.expect_end(process).splitlines())


def changed(world, program):
    image = world.path("changed")
    java.expect_end(program.start(image, "Changed", env=changes.environment(
        CHANGED="old", KEPT="old", TZ="Etc/UTC")))
    world.template(image, "--spares", 2)
    for value, zone in (("first", "Asia/Tokyo"), ("second", "Europe/Oslo"), ("third", "Etc/UTC")):
        before = int(time.time() * 1000)
        process, folders = take(world, image, value, "--", f"-Dchanged={value}", "-Dempty",
                                "Changed$Other", "-a", value, cwd="/",
                                env=changes.environment(CHANGED=value, TZ=zone))
        lines = lines_of(process)
        changes.expect(lines, property=f"{value} old []", zone=zone, main=f"main [-a, {value}]",
                       child=f"{value} old", alive="true true")
        if int(lines["started"]) < before or not lines["environment"].startswith(f"{value} old"):
            raise Failure(f"{value}: {lines}")
        if folders != {str(world.directory)}:
            raise Failure(f"spares are in {folders}, the program was in {world.directory}")
    world.thump("template", "stop", "changed")


def drawn(world, program):
    image = world.path("draws")
    java.expect_end(program.start(image, "Draws", "pause"))
    cut_ms = int(time.time() * 1000)
    world.template(image, "--spares", DRAWING)
    owners = collections.Counter()
    for number in range(DRAWING + 1):
        process, _ = take(world, image, f"draws-{number}")
        numbers = randomness.drawn_after(java.expect_end(process), cut_ms, False)
        if len({kind for kind, _ in numbers}) < randomness.GENERATORS:
            raise Failure(f"spare {number} drew only {numbers}")
        owners.update(numbers)
    common = collections.Counter(kind for (kind, _), count in owners.items() if count > 1)
    if common:
        raise Failure(f"numbers were drawn by several spares: {dict(common)}")
    world.thump("template", "stop", "draws")


def test(world, options):
    program = java.Java(world, options)
    program.flags += changes.FLAGS
    changed(world, program)
    drawn(world, program)


if __name__ == "__main__":
    java.run("spares", test, 200)

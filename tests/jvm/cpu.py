#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The image of a JVM that was started with `thump run --cpu LEVEL` fits every CPU of that level,
and one of a JVM that was not, or that was told to use more, does not. tests/jvm/java/Stand.java is
the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure, Skip
from thumptest.scenario import REFUSED
from thumptest.stand import AFTER, BEFORE, expect, finish, tell

LEVEL = "x86-64-v2"
FEATURES_OF_V2 = set("fpu tsc cx8 cmov clflush mmx fxsr sse sse2 syscall pni ssse3 cx16 sse4_1 sse4_2 "
                     "popcnt lahf_lm".split())


def needs(world, image):
    return world.thump_json("inspect", image)[1]["needs"]


def expect_needs(world, image, level):
    told = needs(world, image)
    if told["cpu_level"] != level or (level and set(told["cpu_features"]) - FEATURES_OF_V2):
        raise Failure(f"{image} needs {told['cpu_level']}: {told['cpu_features']}")


def expect_warning(report, wanted):
    warnings = [problem for problem in report["problems"] if problem["kind"] == "cpu-level"]
    if bool(warnings) != wanted:
        raise Failure(f"warnings: {warnings}")


def save(world, program, name, *words, flags=(), to_the_end=True):
    """The image of a program that was started with these words of `thump run`."""
    image = world.path(name)
    command = program.command("Stand")
    command[1:1] = flags
    run = world.start([world.thump_path, "run", *words, "--", *command], name,
                      stdin=subprocess.PIPE)
    expect(run, "up")
    report = world.checkpoint(java.child_of(run, world), image)
    expect(run, *BEFORE)
    if to_the_end:
        finish(run)
    return image, report, run


def within(world, program):
    """It comes back where nothing but the level is, and keeps within it in the next image, too."""
    image, report, _ = save(world, program, "within", "--cpu", LEVEL)
    expect_warning(report, False)
    expect_needs(world, image, LEVEL)
    process, restored = world.restore(image, "--cpu", LEVEL, name="restored",
                                      stdin=subprocess.PIPE)
    expect(process, *AFTER)
    tell(process, "uuid")
    following = world.path("following")
    expect_warning(world.checkpoint(restored["pid"], following), False)
    expect(process, *BEFORE)
    expect_needs(world, following, LEVEL)


def beyond(world, program):
    image, report, _ = save(world, program, "beyond")
    expect_warning(report, True)
    expect_needs(world, image, None)
    refused = world.thump_json("restore", "--dry-run", "--cpu", LEVEL, image,
                               statuses=(REFUSED,))[1]
    if not any(" avx2 " in problem["text"] for problem in refused["problems"]):
        raise Failure(f"it is not said what is missing: {refused}")


def overruled(world, program):
    """Flags of the command come after ours."""
    image, report, run = save(world, program, "overruled", "--cpu", LEVEL, flags=["-XX:UseAVX=1"])
    expect_warning(report, True)
    expect_needs(world, image, None)
    if f"may use what {LEVEL} has not: -XX:UseAVX" not in run.stderr_text():
        raise Failure(f"nothing is said of it: {run.stderr_text()}")


def hidden(world, program):
    """A JVM that a script starts gets none of the flags."""
    command = " ".join(map(str, program.command("Stand")))
    run = world.start([world.thump_path, "run", "--cpu", LEVEL, "--", "sh", "-c", f"exec {command}"],
                      "hidden", stdin=subprocess.PIPE)
    expect(run, "up")
    image = world.path("hidden")
    world.checkpoint(java.child_of(run, world), image)
    expect_needs(world, image, None)


def test(world, options):
    with open("/proc/cpuinfo", encoding="ascii") as file:
        if " avx2 " not in file.read():
            raise Skip("this CPU is of a low level itself")
    program = java.Java(world, options)
    within(world, program)
    beyond(world, program)
    overruled(world, program)
    hidden(world, program)


if __name__ == "__main__":
    java.run("cpu", test, 100)

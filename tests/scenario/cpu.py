#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump run --cpu LEVEL` with a program that is no JVM: its C library keeps within the level, and
so does its image."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import scenario
from thumptest.events import Failure, Skip
from thumptest.java import child_of
from thumptest.scenario import REFUSED

LEVEL = "x86-64-v2"
WRONG_USAGE, OWN_REFUSED = 122, 123
# Copies and searches in much memory use the widest registers that the library chooses.
PROGRAM = r"""
import os, sys
print(os.environ["THUMP_CPU"], os.environ["GLIBC_TUNABLES"], flush=True)
for line in sys.stdin:
    text = bytes(1 << 20) + line.encode()
    print(text.find(b"\n") - len(text), bytearray(text)[-1], flush=True)
"""


def start(world, name, *words, **options):
    return world.start([world.thump_path, "run", *words, "--", "/usr/bin/python3", "-c", PROGRAM],
                       name, stdin=subprocess.PIPE, **options)


def tell(process):
    process.popen.stdin.write(b"x\n")
    process.popen.stdin.flush()
    process.expect_line("-1 10")


def within(world):
    env = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.check=0"}
    process = start(world, "within", "--cpu", LEVEL, env=env)
    told = process.line("its environment")
    if not told.startswith(f"{LEVEL} glibc.malloc.check=0:glibc.cpu.hwcaps=-") or "-AVX2," not in told:
        raise Failure(f"its environment has {told}")
    tell(process)
    image = world.path("image")
    world.checkpoint(child_of(process, world), image)
    needs = world.thump_json("inspect", image)[1]["needs"]
    if needs["cpu_level"] != LEVEL:
        raise Failure(f"the image needs {needs}")
    restored = world.start([world.thump_path, "restore", "--cpu", LEVEL, image], "restored",
                           stdin=subprocess.PIPE)
    tell(restored)
    world.thump("restore", "--dry-run", "--cpu", "x86-64-v1", image, statuses=(REFUSED,))


def refused(world):
    world.thump("run", "--cpu", "x86-64-v5", "--", "true", statuses=(WRONG_USAGE,))
    level = next(finding["found"] for finding in world.thump_json("doctor", statuses=None)[1]["findings"]
                 if finding["name"] == "cpu")
    if level < "x86-64-v4":
        world.thump("run", "--cpu", "x86-64-v4", "--", "true", statuses=(OWN_REFUSED,))


def test(world, _options):
    with open("/proc/cpuinfo", encoding="ascii") as file:
        if " avx2 " not in file.read():
            raise Skip("this CPU is of a low level itself")
    within(world)
    refused(world)


if __name__ == "__main__":
    scenario.run("cpu", test, 60)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make demo` after the build, as a fresh user: no home, no capabilities, no way to gain any, in a
copy of what it needs. Shorter than what people see, and without Spring Boot, which Maven builds."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re
import shutil

from thumptest import scenario, world as worlds
from thumptest.events import Failure, Skip
from thumptest.java import AGENT

ROWS = ("cold start of java", "thump restore, memory eager", "thump restore, memory lazy-unsafe")


def copy_tree(world, thump):
    tree = world.path("tree")
    build = tree / "build"
    build.mkdir(parents=True)
    for name in ("thump", AGENT):
        shutil.copy(thump.parent / name, build)
    for name in ("tools", "examples"):
        shutil.copytree(scenario.ROOT / name, tree / name)
    return tree


def test(world, options):
    if shutil.which("javac") is None:
        raise Skip("javac is not installed")
    tree = copy_tree(world, options.thump)
    work = world.path("work")
    work.mkdir()
    if world.changes_user():
        os.chown(work, worlds.USER_ID, worlds.USER_ID)
    output = world.run(["/usr/bin/python3", "-B", tree / "tools" / "demo", "--build", tree / "build",
                        "--dir", work, "--restores", 2, "--requests", 500], "demo",
                       env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})[1]
    for row in ROWS:
        if not re.search(rf"^{row} +[\d.]+ +[\d.]+ +[\d.]+ +[1-9]", output, re.M):
            raise Failure(f"the table has no row of '{row}':\n{output}")
    if "Spring Boot is not shown" not in output:
        raise Failure(f"Spring Boot came from nowhere:\n{output}")
    if world.changes_user() and f"user:  uid {worlds.USER_ID}" not in output:
        raise Failure(f"not as the user:\n{output}")
    if not re.search(r"pids kept by: (namespace|set-tid|spin)", output):
        raise Failure(f"nothing is said of pids:\n{output}")


if __name__ == "__main__":
    scenario.run("demo", test, 150)

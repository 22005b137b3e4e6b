#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A JVM that `thump run` starts has all the classes from an archive that it has without thump: from
the JDK's own (CDS), from a dynamic one of the program, and from the AOT cache where there is one."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import re

from thumptest import java
from thumptest.events import Failure

MAIN = "Changed$Other"
FIRST_WITH_CACHE = 25  # -XX:AOTCacheOutput (JEP 514)


def shared_classes(world, name, command):
    """Those that a command that logs to the file of this name has from an archive."""
    log = world.path(f"{name}.log")
    world.run([*command[:-1], f"-Xlog:class+load:file={log}", command[-1]], name)
    return set(re.findall(r"\[class,load\] (\S+) source: shared objects file", log.read_text()))


def compare(world, name, command, wanted):
    """Without thump and with it."""
    plain = shared_classes(world, f"{name}-plain", command)
    ours = shared_classes(world, f"{name}-thump", [world.thump_path, "run", "--", *command])
    if wanted not in plain:
        raise Failure(f"{name}: {wanted} is not in the archive: this shows nothing")
    if plain - ours:
        raise Failure(f"{name}: {len(plain - ours)} of {len(plain)} classes are not shared with "
                      f"thump, {sorted(plain - ours)[:10]} among them")


def test(world, options):
    program = java.Java(world, options)
    jar = world.path("program.jar")  # there are no archives of directories
    world.run([program.home / "bin" / "jar", "--create", "--file", jar, "-C", program.classes, "."],
              "jar")
    command = [program.home / "bin" / "java", "-cp", jar, MAIN]
    compare(world, "default", command, "java.lang.Object")
    makers = {"dynamic": ("-XX:ArchiveClassesAtExit=", "-XX:SharedArchiveFile=")}
    if program.version >= FIRST_WITH_CACHE:
        makers["cache"] = ("-XX:AOTCacheOutput=", "-XX:AOTCache=")
    for name, (make, use) in makers.items():
        archive = world.path(name)
        world.run([command[0], f"{make}{archive}", *command[1:]], f"{name}-make")
        compare(world, name, [command[0], f"{use}{archive}", *command[1:]], MAIN)


if __name__ == "__main__":
    java.run("archives", test, 100)

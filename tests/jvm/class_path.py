#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent does not look into the class path: no jar of it is open before the program wants one,
and a jdk.crac.Core there is not taken for that of a CRaC JDK."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import zipfile

from thumptest import java
from thumptest.events import Failure

JARS = 12
CORE = "package jdk.crac; public class Core { public static void checkpointRestore() { } }"
EXPECTED = "open: []\nloader: null\npassed\n"


def make_jars(world, program):
    """A dozen with nothing that is asked for, and a last one with a jdk.crac.Core."""
    source, classes = world.path("Core.java"), world.path("core")
    source.write_text(CORE, encoding="ascii")
    world.run([java.find_javac(program.home), "-d", classes, source], "javac")
    jars = [world.path(f"part-{number}.jar") for number in range(JARS + 1)]
    for jar in jars:
        with zipfile.ZipFile(jar, "w") as file:
            file.writestr(f"{jar.stem}.txt", jar.stem)
            if jar == jars[-1]:
                file.write(classes / "jdk" / "crac" / "Core.class", "jdk/crac/Core.class")
    return jars


def test(world, options):
    program = java.Java(world, options)
    program.path = ":".join([program.path, *map(str, make_jars(world, program))])
    process = program.start(world.path("image"), "ClassPath", then="restore")
    output = java.expect_end(process)
    if output != EXPECTED:
        raise Failure(f"expected {EXPECTED!r}, got {output!r}\n{process.stderr_text()}")


if __name__ == "__main__":
    java.run("class_path", test, 60)

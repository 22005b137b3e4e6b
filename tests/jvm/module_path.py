#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program and org.crac are named modules on the module path; tests/jvm/module is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import java
from thumptest.events import Failure

MODULE = pathlib.Path(__file__).resolve().parent / "module"


def test(world, options):
    program = java.Java(world, options)
    classes = world.path("module")
    world.run([java.find_javac(program.home), "-Xlint:all", "-Werror", "-d", classes,
               "--module-path", program.crac, *sorted(MODULE.rglob("*.java"))], "javac")
    process = world.start([world.thump_path, "run", "--image", world.path("image"), "--then",
                           "restore", "--", program.home / "bin" / "java", *program.flags,
                           "--module-path", f"{classes}:{program.crac}", "--module",
                           "com.acme/com.acme.Main"], "program")
    output = java.expect_end(process)
    if output != "passed\n":
        raise Failure(f"it said {output!r}\n{process.stderr_text()}")


if __name__ == "__main__":
    java.run("module_path", test, 60)

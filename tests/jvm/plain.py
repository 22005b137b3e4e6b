#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""thump.jar without thump, on the class path and on the module path."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import java
from thumptest.events import Failure


def test(world, options):
    program = java.Java(world, options)
    modules = [program.home / "bin" / "java", "--module-path", program.api, "--add-modules",
               "thump", "-cp", program.classes, "Plain"]
    for name, command in (("classes", program.command("Plain")), ("modules", modules)):
        output = java.expect_end(world.start(command, name))
        if output != "passed\n":
            raise Failure(f"{name}: {output!r}")


if __name__ == "__main__":
    java.run("plain", test, 60)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that checks itself and asks for its own checkpoints; `thump run --then restore` brings
it back each time, or it goes on (--then continue). It says "passed" when all is well."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import java
from thumptest.events import Failure


def test(world, options):
    program = java.Java(world, options)
    process = program.start(world.path("image"), *options.words.split(),
                            then=options.then)
    output = java.expect_end(process)
    if output != "passed\n":
        raise Failure(f"{options.words} said {output!r}\n{process.stderr_text()}")


if __name__ == "__main__":
    java.run("program", test, 580, words={"required": True}, then={"default": "restore"},
             java={"action": "append", "default": []})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clones draw different numbers from an OpenSSL that their process has loaded and used before.
tests/jvm/java25/OpenSsl.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import shutil
import subprocess

from thumptest import java
from thumptest.events import Failure, Skip

SOURCE = java.SOURCES.parent / "java25" / "OpenSsl.java"
LIBRARY = pathlib.Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3")
CLONES = 3


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


def draw(process):
    process.popen.stdin.write(b"\n")
    process.popen.stdin.flush()
    return process.line("two numbers").split()


def test(world, options):
    if not LIBRARY.exists():
        raise Skip("there is no OpenSSL 3")
    program = java.Java(world, options)
    image = world.path("image")
    source = shutil.copy(SOURCE, world.directory)
    run = program.start(image, "--enable-native-access=ALL-UNNAMED", source, LIBRARY,
                        stdin=subprocess.PIPE)
    run.expect_line("ready")
    world.checkpoint(java.child_of(run, world), image)
    java.expect_end(run)
    drawn = []
    for clone in range(CLONES):
        process, _ = world.restore(image, name=f"clone-{clone}", stdin=subprocess.PIPE)
        drawn += draw(process)
        end(process)
    if len(set(drawn)) != 2 * CLONES:
        raise Failure(f"clones drew the same numbers: {drawn}")


if __name__ == "__main__":
    java.run("openssl", test, 110)

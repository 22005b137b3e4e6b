#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A library that is loaded after a restore gives memory of malloc(3) back, which is mapped from the
image, and finds zeros there. tests/jvm/java/Newcomer.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure


def mapping_of(pid, addr):
    """The line of /proc/PID/maps."""
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        start, end = (int(number, 16) for number in line.split()[0].split("-"))
        if start <= addr < end:
            return line
    raise Failure(f"nothing is at {addr:#x}")


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    run = program.start(image, "Newcomer", program.own_copy(options.keeper),
                        program.own_copy(options.newcomer), stdin=subprocess.PIPE)
    java.expect_end(run)
    process, report = world.restore(image, name="restored", stdin=subprocess.PIPE)
    block = int(process.line("the address of a block").split()[1], 16)
    inside = (block // 4096 + 2) * 4096
    if str(image) not in mapping_of(report["pid"], inside):
        raise Failure(f"not mapped from the image: {mapping_of(report['pid'], inside)}")
    process.popen.stdin.write(b"\n")
    process.popen.stdin.flush()
    process.expect_line("fine")
    java.expect_end(process)


if __name__ == "__main__":
    java.run("newcomer", test, 100, keeper={"type": pathlib.Path, "required": True},
             newcomer={"type": pathlib.Path, "required": True})

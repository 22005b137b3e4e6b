#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`--port OLD:NEW` of servers that the program closes before the checkpoint and opens again: clones
that run at the same time listen on ports of their own, also when they close and open them once
more, and when an image is made of a clone. tests/jvm/java/Reopens.java is the program."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import connect, free_port


def write(process, line):
    process.popen.stdin.write(f"{line}\n".encode())
    process.popen.stdin.flush()


class Ports:
    """Those that the program asks for, and what a clone gets instead."""

    def __init__(self, asked):
        self.asked = asked
        self.given = [free_port() for _ in asked]

    def words(self, before):
        """Of a restore of an image in which the servers had the ports `before`."""
        return [word for old, new in zip(before, self.given) for word in ("--port", f"{old}:{new}")]

    def expect_listening(self, process):
        process.expect_line(f"listening {self.given[0]} {self.given[1]}")

    def expect_open(self, process):
        """It has said so already, and others can connect. Datagrams are not moved."""
        process.expect_line(f"datagrams {self.asked[0]}")
        for port in self.given:
            connect(port, process.world.deadline, process).close()


def restore(world, image, name, ports, before, bound=False):
    process, _ = world.restore(image, *ports.words(before), name=name, stdin=subprocess.PIPE)
    if bound:  # by a library that is loaded after the restore
        process.expect_line(f"bound {ports.given[0]}")
    ports.expect_listening(process)
    ports.expect_open(process)
    return process


def open_again(process, ports):
    write(process, "again")
    ports.expect_listening(process)


def expect_end(process):
    write(process, "")
    java.expect_end(process)


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    asked = [free_port(), free_port()]
    run = program.start(image, "Reopens", *asked, program.own_copy(options.binder),
                        stdin=subprocess.PIPE)
    java.expect_end(run)

    clones = [Ports(asked), Ports(asked)]
    processes = [restore(world, image, f"clone-{number}", ports, asked, bound=True)
                 for number, ports in enumerate(clones)]
    for process, ports in zip(processes, clones):
        open_again(process, ports)
    expect_end(processes[0])

    # It writes its image over the first one.
    write(processes[1], "checkpoint")
    java.expect_end(processes[1])
    process, _ = world.restore(image, name="as-before", stdin=subprocess.PIPE)
    clones[1].expect_listening(process)
    clones[1].expect_open(process)
    expect_end(process)
    ports = Ports(asked)
    process = restore(world, image, "moved-on", ports, clones[1].given)
    open_again(process, ports)
    expect_end(process)


if __name__ == "__main__":
    java.run("ports", test, 100, binder={"type": pathlib.Path, "required": True})

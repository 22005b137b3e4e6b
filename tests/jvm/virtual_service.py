#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service of virtual threads, some hundred of which are parked in reads across the checkpoint. In
the original, which goes on, they go on reading; in the restored one they read the end of file."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import java
from thumptest.events import Failure, connect, poll_until

CLIENTS = 200


class Client:
    def __init__(self, world, port, process):
        self.socket = connect(port, world.deadline, process)
        self.file = self.socket.makefile("rw")

    def ask(self, line):
        self.file.write(line + "\n")
        self.file.flush()
        return self.file.readline().strip()

    def expect_echo(self, line):
        answer = self.ask(line)
        if answer != line:
            raise Failure(f"'{line}' was answered with '{answer}'")


def test(world, options):
    program = java.Java(world, options)
    image = world.path("image")
    process = program.start(image, "VirtualService", then="continue")
    port = int(process.line("'ready'").split()[1])
    clients = [Client(world, port, process) for _ in range(CLIENTS)]
    for number, client in enumerate(clients):
        client.expect_echo(f"before {number}")
    world.checkpoint(java.child_of(process, world), image, "--drain", "30s")
    for number, client in enumerate(clients):
        client.expect_echo(f"after {number}")
    process.popen.kill()
    world.end_all()

    for number in (1, 2):
        process, report = world.restore(image, name=f"restore-{number}")
        client = Client(world, port, process)
        poll_until(world.deadline, "all connections to end",
                   lambda: True if client.ask("stats") == f"1 {CLIENTS}" else None, pause=0.02)
        client.expect_echo("restored")
        following = world.path(f"image-{number}")
        world.checkpoint(report["pid"], following, "--drain", "30s")
        java.expect_end(process)


if __name__ == "__main__":
    java.run("virtual_service", test, 150)

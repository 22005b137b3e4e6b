#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The options of CRaC and OpenJ9 that stand in people's Dockerfiles, as `thump run` takes them, with a
stock java: from the start to the image, and from there to the program that goes on. Where there is
no image, CRaC's word decides between a failure and a start."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import subprocess

from thumptest import java
from thumptest.events import Failure


class Commands:
    """`thump run -- java WORD... Service`."""

    def __init__(self, world, program):
        self.world, self.program = world, program

    def start(self, name, *words):
        return self._run(name, *words, *self.program.command("Service")[1:])

    def restore(self, name, word):
        """No more words than that: a restored JVM cannot take others."""
        return self._run(name, word)

    def _run(self, name, *words):
        return self.world.start([self.world.thump_path, "run", "--",
                                 self.program.home / "bin" / "java", *words], name,
                                stdin=subprocess.PIPE)

    @staticmethod
    def tell(process, line):
        process.popen.stdin.write(f"{line}\n".encode())
        process.popen.stdin.flush()

    @staticmethod
    def end(process):
        process.popen.stdin.close()
        process.popen.stdin = None
        java.expect_end(process)


def test(world, options):
    commands = Commands(world, java.Java(world, options))
    folder, snapshot = world.path("cr"), world.path("snapshot")
    folder.mkdir()
    folder.chmod(0o777)

    process = commands.start("without-image", f"-XX:CRaCRestoreFrom={folder}")
    if process.status() == 0 or "up" in process.out.rest(world.deadline, "its end"):
        raise Failure("there is no image, and the program has run")
    process = commands.start("started", f"-XX:CRaCRestoreFrom={folder}",
                             "-XX:+CRaCIgnoreRestoreIfUnavailable")
    process.expect_line("up")
    commands.end(process)

    process = commands.start("crac", f"-XX:CRaCCheckpointTo={folder}")
    process.expect_line("up")
    commands.tell(process, "ask")
    java.expect_end(process)
    for process in (commands.restore("crac-restored", f"-XX:CRaCRestoreFrom={folder}"),
                    commands.start("crac-restored-somehow", f"-XX:CRaCRestoreFrom={folder}",
                                   "-XX:+CRaCIgnoreRestoreIfUnavailable")):
        process.expect_line("back")
        process.expect_line("ask 1 1")
        commands.end(process)

    process = commands.start("openj9", f"-Xsnapshot:file={snapshot},trigger=Service.ready")
    process.expect_line("up")
    commands.tell(process, "ready yes")
    java.expect_end(process)
    process = commands.restore("openj9-restored", f"-Xrestore:file={snapshot}")
    process.expect_line("back")
    process.expect_line("ready yes")
    commands.end(process)


if __name__ == "__main__":
    java.run("others_options", test, 100)

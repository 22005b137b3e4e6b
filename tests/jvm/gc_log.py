#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A JVM goes on writing its log after a restore: to the file that it had, which may have grown, been
rotated or be gone. Two clones write to one file without losing a line. Rotation goes on, too.
tests/jvm/java/Managed.java is the program; each of its collections is one line."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import subprocess

from thumptest import java
from thumptest.events import Failure

PAUSE = "Pause Full (System.gc())"
ROUNDS = 20


class Logging:
    """The program, and the folder of its log."""

    def __init__(self, world, options):
        self.world = world
        self.program = java.Java(world, options)
        self.folder = world.path("log")
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.file = self.folder / "gc.log"
        self.program.flags += [f"-Xlog:gc*:file={self.file}:uptime,pid:filecount=3,filesize=1m"]

    @staticmethod
    def collect(*processes, rounds=1):
        """In all of them at once."""
        for process in processes:
            process.popen.stdin.write(b"\n" * rounds)
            process.popen.stdin.flush()
        for process in processes:
            for _ in range(rounds):
                process.expect_line("collected")

    def jcmd(self, pid, *words):
        return self.world.run([self.program.home / "bin" / "jcmd", pid, *words], "jcmd")[1]

    def expect(self, nr_collections, *files):
        """So many collections in these files, and each in a line of its own."""
        lines = "".join(file.read_text(encoding="utf-8")
                        for file in files or [self.file]).splitlines()
        found = [line for line in lines if PAUSE in line and line.endswith("ms")]
        if len(found) != nr_collections or not all(line.startswith("[") for line in lines):
            raise Failure(f"{len(found)} collections in the log, not {nr_collections}: {lines}")

    def restore(self, image, name):
        process, report = self.world.restore(image, name=name, stdin=subprocess.PIPE)
        return process, report["pid"]


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


def clones_at_once(logging, image, so_far):
    clones = [logging.restore(image, f"clone-{number}")[0] for number in (1, 2)]
    logging.collect(*clones, rounds=ROUNDS)
    for clone in clones:
        end(clone)
    logging.expect(so_far + len(clones) * ROUNDS)


def test(world, options):
    logging = Logging(world, options)
    image = world.path("image")
    run = logging.program.start(image, "Managed", stdin=subprocess.PIPE)
    run.expect_line("ready")
    pid = java.child_of(run, world)
    logging.collect(run)
    logging.expect(1)
    world.checkpoint(pid, image, "--leave-running")
    logging.collect(run)
    logging.expect(2)
    end(run)

    # It has grown since the image.
    process = logging.restore(image, "grown")[0]
    logging.collect(process)
    logging.expect(3)
    end(process)
    clones_at_once(logging, image, 3)

    # It was rotated by somebody else.
    logging.file.rename(logging.folder / "gc.log.old")
    logging.file.write_text("", encoding="utf-8")
    os.chmod(logging.file, 0o666)
    process, pid = logging.restore(image, "rotated")
    logging.collect(process)
    logging.expect(1)
    # It is rotated by the JVM.
    logging.jcmd(pid, "VM.log", "rotate")
    logging.collect(process)
    logging.expect(1)
    logging.expect(2, logging.file, *logging.folder.glob("gc.log.[0-9]"))
    end(process)

    for file in logging.folder.iterdir():
        file.unlink()
    process = logging.restore(image, "gone")[0]
    logging.collect(process)
    logging.expect(1)
    end(process)


if __name__ == "__main__":
    java.run("gc_log", test, 110, java={"action": "append", "default": []})

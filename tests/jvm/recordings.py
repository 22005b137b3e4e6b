#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recordings of Flight Recorder that run at a checkpoint are written before it, and go on with the
same settings in the original, in a restored process, and in two at once, each in a file of its own.
tests/jvm/java/Managed.java is the program; its collections are what is recorded."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re
import subprocess

from thumptest import java
from thumptest.events import Failure

NAME, LIMITS = "always", "maxsize=7.0MB maxage=1h"


class Recording:
    """The program, and the files that it records to."""

    def __init__(self, world, options):
        self.world = world
        self.program = java.Java(world, options)
        self.folder = world.path("recordings")
        self.temporary = world.path("java-tmp")
        for folder in (self.folder, self.temporary):
            folder.mkdir()
            folder.chmod(0o777)
        self.program.flags += [
            f"-Djava.io.tmpdir={self.temporary}",
            f"-XX:StartFlightRecording=name={NAME},maxsize=7m,maxage=1h,settings=profile,"
            f"filename={self.folder}/always.jfr"]
        self.known = set()

    def run(self, tool, *words):
        return self.world.run([self.program.home / "bin" / tool, *words], tool)[1]

    def collect(self, process):
        process.popen.stdin.write(b"\n")
        process.popen.stdin.flush()
        process.expect_line("collected")

    def expect_running(self, pid):
        """The one with a name and its limits, and the one that jcmd has started."""
        text = self.run("jcmd", pid, "JFR.check")
        if not re.search(rf"name={NAME} {LIMITS}.* \(running\)", text) or \
                text.count("(running)") != 2:
            raise Failure(f"JFR.check: {text}")

    def new_files(self, *patterns, expected):
        """What has been recorded since the last call; each with so many collections. A file is
        empty while it is recorded."""
        files = {file for pattern in patterns for file in self.world.directory.glob(pattern)
                 if file.stat().st_size}
        new = files - self.known
        self.known = files
        counts = {file.name: self._collections(file) for file in new}
        if sorted(counts.values()) != expected:
            raise Failure(f"collections in the recordings: {counts}, expected {expected}")

    def _collections(self, file):
        if "jdk.ActiveSetting" not in self.run("jfr", "summary", file):
            raise Failure(f"{file} has no settings in it")
        text = self.run("jfr", "print", "--events", "jdk.GarbageCollection", file)
        return text.count('cause = "System.gc()"')


def data_folder(pid):
    """Where this process keeps the data of its recordings."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if target.endswith(".jfr"):
            return os.path.dirname(target)
    raise Failure(f"{pid} does not record")


def restore(world, image, name):
    """Returns when it records, too."""
    process, report = world.restore(image, name=name, stdin=subprocess.PIPE)
    process.expect_line("restored")
    return process, report["pid"]


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process)


def await_start(process):
    """Flight Recorder may have something to say first."""
    while True:
        line = process.line("'ready'")
        if line == "ready":
            return
        if line is None:
            raise Failure(f"the program ended: {process.stderr_text()}")


def test(world, options):
    recording = Recording(world, options)
    image = world.path("image")
    run = recording.program.start(image, "Managed", "tell", stdin=subprocess.PIPE)
    await_start(run)
    pid = java.child_of(run, world)
    recording.collect(run)
    recording.run("jcmd", pid, "JFR.start", "settings=default")
    recording.collect(run)
    recording.expect_running(pid)
    world.checkpoint(pid, image, "--leave-running")
    always, others = "recordings/*.jfr", "recording-*.jfr"
    run.expect_line("restored")
    # The checkpoint itself collects garbage, but by another cause.
    recording.new_files(always, others, expected=[1, 2])
    recording.expect_running(pid)
    recording.collect(run)
    end(run)
    recording.new_files(always, others, expected=[1])

    clones = [restore(world, image, f"clone-{number}") for number in (1, 2)]
    if data_folder(clones[0][1]) == data_folder(clones[1][1]):
        raise Failure("two clones record to one folder")
    for number, (process, _) in enumerate(clones, 1):
        for _ in range(number):
            recording.collect(process)
    for process, _ in clones:
        end(process)
    recording.new_files(always, others, expected=[1, 2])
    if list(recording.temporary.iterdir()):
        raise Failure(f"left behind: {list(recording.temporary.iterdir())}")

    process, pid = restore(world, image, "again")
    recording.expect_running(pid)
    recording.collect(process)
    following = world.path("following")
    world.checkpoint(pid, following)
    java.expect_end(process)
    recording.new_files(always, others, expected=[1, 1])
    process, pid = restore(world, following, "following")
    recording.expect_running(pid)
    end(process)


if __name__ == "__main__":
    java.run("recordings", test, 170)

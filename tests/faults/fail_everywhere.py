#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every system call of a checkpoint, or of a restore (of a packed image, too), fails once (fail_call.c), in
turn with EIO, ENOMEM, ENOSPC, EPERM and EINTR. Whichever it is:

- the command succeeds all the same, or fails and says something; it neither crashes nor hangs;
- the program that is saved goes on, and nothing of it is different: descriptors, mappings, signals;
- an image is whole, or there is none; no other file is left;
- no process is left, and a restored one is whole: it verifies itself.

--every N: only each N-th call, with one of the errors; others each time (--seed repeats one)."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import random
import re
import signal

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.held import children
from thumptest.injector import ERRORS, Injector, Report, expect_ended, plan
from thumptest.snapshot import read
from thumptest.workload import expect_same, settled, wait_ready

# A look at all of /proc/PID costs more than a checkpoint.
LOOK_EVERY = 25
RESTORE_FAILED, RESTORE_REFUSED = 121, 123
# rt_sigtimedwait(2), in which the workload waits.
SIGTIMEDWAIT = "128"


class Checkpoints:
    """Of one program, which is left running."""

    def __init__(self, world, options):
        self.world, self.injector = world, Injector(world, options.tool)
        self.program = world.start([world.reachable(options.workload)], "original")
        wait_ready(self.program)
        self.before = settled(self.program.pid)
        self.directory = world.path("images")
        self.directory.mkdir()
        if world.changes_user():
            os.chown(self.directory, 12345, 12345)
        self.image = self.directory / "image"
        self.command = [world.thump_path, "checkpoint", self.program.pid, "-o", self.image,
                        "--live" if options.verb == "checkpoint_live" else "--leave-running"]

    def fail(self, number, error):
        report, said = self.injector.run(number, error, self.command, "checkpoint")
        what = self.injector.describe(number, error, report)
        expect_ended(what, report, said)
        left = sorted(os.listdir(self.directory))
        if left != (["image"] if report.status == 0 else []):
            raise Failure(f"{what}: status {report.status}, and these files: {left}\n{said}")
        if report.status == 0:
            self.world.thump("verify", self.image)
            self.image.unlink()
        if children(self.program.pid):
            raise Failure(f"{what}: the program has a child left\n{said}")
        if self.program.has_ended():
            raise Failure(f"{what}: the program has ended with {self.program.status()}\n{said}")
        return report, what

    def look(self, what):
        expect_same(self.world, self.before, self.program.pid, f"after {what}")


class Restores:
    """Of one image, in the foreground."""

    def __init__(self, world, options):
        self.world, self.injector = world, Injector(world, options.tool)
        self.workload = world.reachable(options.workload)
        program = world.start([self.workload], "original")
        wait_ready(program)
        self.image = world.path("image")
        world.checkpoint(program.pid, self.image)
        program.status()
        self.command = [world.thump_path, "restore", self.image]
        if options.verb == "restore_packed":
            self.command = [world.thump_path, "restore", *self.pack()]
        self.log, self.said = world.log("restore"), world.path("restore.stdout")
        self.files = self.list_files()

    def pack(self):
        """What is packed and encrypted, and how it is opened."""
        key, packed = self.world.path("key"), self.world.path("packed")
        recipient = self.world.thump("keygen", "-o", key)[1].strip()
        self.world.thump("pack", self.image, "-o", packed, "--compress", "lz4", "--encrypt-to", recipient)
        return packed, "--decrypt-with", key

    def list_files(self):
        own = {self.said, self.log, self.world.path("report")}
        return sorted(path.name for path in self.world.directory.iterdir() if path not in own)

    def program(self, process):
        """The pid of the restored program once it runs, 0 when there is none. It has no event for us:
        what thump would say may be what fails."""
        def attempt():
            if process.has_ended():
                return 0
            for pid in self.world.descendants():
                try:
                    if os.readlink(f"/proc/{pid}/exe") == str(self.workload) and \
                            re.search(r"^TracerPid:\t0$", read(f"/proc/{pid}/status"), re.M) and \
                            read(f"/proc/{pid}/syscall").split()[0] == SIGTIMEDWAIT:
                        return pid
                except (FileNotFoundError, ProcessLookupError):
                    pass
            return None
        return poll_until(self.world.deadline, "the restored program", attempt)

    def fail(self, number, error):
        if self.log.exists():
            self.log.write_text("")
        with open(self.said, "wb") as stdout:
            process = self.world.start(self.injector.command(number, error, self.command),
                                       "restore", stdout=stdout)
        pid = self.program(process)
        if pid:
            os.kill(pid, signal.SIGUSR2)
        if process.status() != 0:
            raise Failure(f"{number} {error}: the injector failed: {process.stderr_text()}")
        report, said = Report(read(self.world.path("report"))), process.stderr_text()
        what = self.injector.describe(number, error, report)
        if pid == 0 and report.status == 0:
            raise Failure(f"{what}: nothing was restored, and the status is 0\n{said}")
        if pid and report.status not in (0, RESTORE_FAILED):
            raise Failure(f"{what}: the restored program: {report.status}\n{said}")
        expect_ended(what, report, said, (0, RESTORE_FAILED, RESTORE_REFUSED))
        files = self.list_files()
        if files != self.files:
            raise Failure(f"{what}: these files are there: {files}")
        return report, what

    def look(self, what):
        """Each restored program has verified itself."""


def test(world, options):
    options.tool = world.reachable(options.tool)
    subject = (Checkpoints if options.verb.startswith("checkpoint") else Restores)(world, options)
    count = subject.fail(0, ERRORS[0])[0].count
    outcomes = {}
    for done, (number, error) in enumerate(plan(count, options)):
        report, what = subject.fail(number, error)
        world.forget_ended()
        outcomes[report.status] = outcomes.get(report.status, 0) + 1
        if done % LOOK_EVERY == 0:
            subject.look(what)
    subject.look("all of them")
    print(f"{count} calls; statuses: " +
          ", ".join(f"{status}: {times}" for status, times in sorted(outcomes.items())))


if __name__ == "__main__":
    scenario.run("fail_everywhere", test, 3500, workload={"type": pathlib.Path, "required": True},
                 tool={"type": pathlib.Path, "required": True},
                 verb={"choices": ("checkpoint", "checkpoint_live", "restore", "restore_packed"),
                       "required": True},
                 every={"type": int, "default": 1},
                 seed={"type": int, "default": random.SystemRandom().randrange(1 << 32)})

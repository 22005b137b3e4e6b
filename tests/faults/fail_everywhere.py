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

import errno
import os
import random
import re
import signal

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.held import children
from thumptest.snapshot import read
from thumptest.workload import expect_same, settled, wait_ready

ERRORS = ("EIO", "ENOMEM", "ENOSPC", "EPERM", "EINTR")
HEADER = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
# A look at all of /proc/PID costs more than a checkpoint.
LOOK_EVERY = 25
GOOD_STATUSES = (0, 1, 3)
NOT_BEGUN, BEGIN_CALLS = 127, 10
RESTORE_FAILED, RESTORE_REFUSED = 121, 123
# rt_sigtimedwait(2), in which the workload waits.
SIGTIMEDWAIT = "128"


def names():
    """Names of system calls by their numbers."""
    return {int(number): name for name, number in
            re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())}


class Report:
    def __init__(self, text):
        self.calls, self.count, self.status, self.left = [], None, None, True
        for line in text.splitlines():
            word, *rest = line.split(" ", 5)
            if word == "call":
                self.calls.append((int(rest[0]), int(rest[1]), *rest[2:]))
            elif word == "calls":
                self.count = int(rest[0])
            elif word == "status":
                self.status = int(rest[0])
            elif word == "gone":
                self.left = False


class Injector:
    def __init__(self, world, tool):
        self.world, self.tool, self.names = world, tool, names()

    def command(self, number, error, command):
        return [self.tool, self.world.path("report"), number, getattr(errno, error), "--", *command]

    def run(self, number, error, command, name):
        """Runs to the end. Returns the report, and what the command said on stderr."""
        log = self.world.log(name)
        if log.exists():
            log.write_text("")
        self.world.run(self.command(number, error, command), name)
        return Report(read(self.world.path("report"))), log.read_text(errors="replace").strip()

    def describe(self, number, error, report):
        if not report.calls:
            return f"call {number}: {error}"
        _, nr, executable, argument, path = report.calls[-1]
        return f"call {number}, {self.names.get(nr, nr)}({argument} {path}) of " \
               f"{os.path.basename(executable)}: {error}"


def plan(count, options):
    """(number, error) of each run."""
    if options.every == 1:
        return [(number, error) for number in range(1, count + 1) for error in ERRORS]
    chance = random.Random(options.seed)
    return [(number, chance.choice(ERRORS)) for number in
            range(1 + chance.randrange(options.every), count + 1, options.every)]


def expect_ended(what, report, said, statuses=GOOD_STATUSES):
    if report.left or report.status is None:
        raise Failure(f"{what}: somebody is left\n{said}")
    # So the C library ends a program that it cannot begin.
    if report.status == NOT_BEGUN and report.calls[-1][0] <= BEGIN_CALLS:
        return
    if report.status not in statuses:
        raise Failure(f"{what}: status {report.status}\n{said}")
    # What cannot be said because it is the message that failed is not expected to be said.
    failed_to_say = any(path.endswith(".stderr") for *_, path in report.calls)
    if report.status != 0 and not said and not failed_to_say:
        raise Failure(f"{what}: status {report.status}, and not a word why")


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

# SPDX-License-Identifier: Apache-2.0
"""A command of which every system call fails once: tests/faults/fail_call.c."""
import errno
import os
import pathlib
import random
import re

from thumptest.events import Failure
from thumptest.snapshot import read

ERRORS = ("EIO", "ENOMEM", "ENOSPC", "EPERM", "EINTR")
HEADER = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GOOD_STATUSES = (0, 1, 3)
NOT_BEGUN, BEGIN_CALLS = 127, 10


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

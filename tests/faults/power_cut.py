#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a power cut leaves of an image, whenever it comes. What was not synced may be lost, in any
part and in any order: of a file's content what was written since its last fsync(2), of a directory
each name that was given since its own. So for every system call of a checkpoint (as told by
fail_call.c) it is worked out what the image's name may lead to afterwards: the old content or the
new one, whole; and once the program has been ended, only the new one."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re

from thumptest import scenario
from thumptest.events import Failure
from thumptest.snapshot import read
from thumptest.workload import wait_ready

HEADER = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate",
          "copy_file_range", "sendfile", "splice"}
SYNCS = {"fsync", "fdatasync"}
NAMINGS = {"link", "linkat", "rename", "renameat", "renameat2"}
ENDINGS = {"kill", "tgkill", "pidfd_send_signal"}


class Disk:
    """What may be there after a cut: what is in the file, and which of both the name means."""

    def __init__(self):
        self.torn = False       # written to since it was synced
        self.nr_writes = 0
        self.named = False      # the name was given to the new file, in memory
        self.name_kept = False  # and on disk

    def take(self, call, is_file, is_directory):
        if is_file and call in WRITES:
            self.torn = True
            self.nr_writes += 1
        elif is_file and call in SYNCS:
            self.torn = False
        elif is_directory and call in SYNCS:
            self.name_kept = self.named
        elif call in NAMINGS:
            self.named = True

    def may_be(self):
        states = set() if self.name_kept else {"old"}
        if self.named:
            states.add("torn" if self.torn else "new")
        return states


def calls_of(report):
    names = {int(number): name for name, number in
             re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())}
    for line in report.splitlines():
        if line.startswith("call "):
            _, _, number, _, argument, path = line.split(" ", 5)
            yield names.get(int(number), number), int(argument, 0), path


def check(report, directory, pid):
    disk, ended, states_seen = Disk(), False, []
    for call, argument, path in calls_of(report):
        inside = path.startswith(f"{directory}/")
        disk.take(call, inside, path == str(directory))
        states = disk.may_be()
        if not states_seen or states_seen[-1] != states:
            states_seen.append(states)
        if "torn" in states:
            raise Failure(f"a power cut after {call}({path}) may leave half an image")
        # The first argument of pidfd_send_signal is a descriptor; the worker has only one target.
        if call in ENDINGS and (argument == pid or "pidfd" in path):
            ended = True
            if states != {"new"}:
                raise Failure(f"{call} ends the program while a power cut may leave {states}")
    if disk.may_be() != {"new"}:
        raise Failure(f"a power cut afterwards may leave {disk.may_be()}")
    if not ended or disk.nr_writes == 0 or {"old"} not in states_seen:
        raise Failure(f"this shows nothing: {disk.nr_writes} writes, ended: {ended}, {states_seen}")
    return states_seen


def test(world, options):
    workload, tool = world.reachable(options.workload), world.reachable(options.tool)
    directory = world.path("images")
    directory.mkdir()
    if world.changes_user():
        os.chown(directory, 12345, 12345)
    for name in ("first", "replaced"):  # the second finds an old image there
        program = world.start([workload], name)
        wait_ready(program)
        report = world.path("report")
        world.run([tool, report, 0, 1, "--", world.thump_path, "checkpoint", program.pid, "-o",
                   directory / "image"], f"checkpoint-{name}")
        program.status()
        check(read(report), directory.resolve(), program.pid)
        if os.listdir(directory) != ["image"]:
            raise Failure(f"left: {os.listdir(directory)}")


if __name__ == "__main__":
    scenario.run("power_cut", test, 60, workload={"type": pathlib.Path, "required": True},
                 tool={"type": pathlib.Path, "required": True})

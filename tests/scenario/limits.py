#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Restores and checkpoints where there is too little: resource limits, and the memory of a control
group. Each works or fails with a word of why, and leaves no process and no file; the program that was
to be saved goes on."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import re
import signal
import subprocess

from thumptest import groups, scenario
from thumptest.events import Failure
from thumptest.snapshot import status_of

FAILED, REFUSED, REFUSED_RESTORE, FAILED_RESTORE = 1, 3, 123, 121
PROGRAM_MB = 48
PROGRAM = f"""
import os, sys
content = os.urandom({PROGRAM_MB} << 20)
print("ready", flush=True)
for line in sys.stdin:
    print(len(content), flush=True)
"""


def processes_left(world):
    """Of thump or of the program, but for the one that runs on."""
    found = []
    for pid in world.descendants():
        try:
            found.append(pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return [command for command in found if command]


def restore_fails(world, image, prefix, name, status, words):
    before = set(os.listdir(world.directory))
    world.run([*prefix, world.thump_path, "restore", image], name, statuses=(status,))
    said = world.log(name).read_text()
    if not any(word in said for word in words):
        raise Failure(f"{name}: none of {words} is in {said!r}")
    left = set(os.listdir(world.directory)) - before - {f"{name}.stderr"}
    if left or len(processes_left(world)) > 1:
        raise Failure(f"{name}: left {left} and {processes_left(world)}")
    return said


def restore_works(world, image, prefix, name):
    process = world.start([*prefix, world.thump_path, "restore", image], name,
                          stdin=subprocess.PIPE)
    expect_program(process)
    process.popen.stdin.close()
    process.popen.stdin = None
    if process.status() != 0:
        raise Failure(f"{name}: status {process.status()}: {process.stderr_text()}")


def expect_program(process):
    process.popen.stdin.write(b"?\n")
    process.popen.stdin.flush()
    process.expect_line(str(PROGRAM_MB << 20))


def resource_limits(world, image):
    """Address space, data, descriptors; and one that is just low."""
    for limit, words in (("--as=30000000", ("Cannot allocate memory",)),
                         ("--data=20000000", ("Cannot allocate memory",)),
                         ("--nofile=5", ("Too many open files",))):
        restore_fails(world, image, ["prlimit", limit], f"restore{limit}", FAILED_RESTORE, words)
    restore_works(world, image, ["prlimit", "--nofile=30"], "restore--nofile=30")


def least_that_fits(world, image, read_mb):
    """The least limit that nobody refuses beforehand, to a tenth of a megabyte, as text."""
    for limit in range((read_mb - 1) * 10**6, (read_mb + 1) * 10**6, 10**5):
        with groups.Group("memory", memory__limit_in_bytes=str(limit), memory__max=str(limit)) as group:
            status, _ = world.run([*groups.inside(group), world.thump_path, "restore", "--dry-run",
                                   image], "limit", statuses=(0, REFUSED))
        if status == 0:
            return str(limit)
    raise Failure(f"{read_mb} MB are said to be read, but that much is not enough")


def memory_of_group(world, process, image):
    """From far too little, which is found before anything is done, over too little in the middle of
    it, to enough."""
    with groups.Group("memory", memory__limit_in_bytes="16M", memory__max="16M") as group:
        if not group:
            return
        said = restore_fails(world, image, groups.inside(group), "restore-16M", REFUSED_RESTORE,
                             ("the control group allows",))
    # What is read fits, but not what comes with it.
    limit = least_that_fits(world, image, int(re.search(r"(\d+) MB are read", said).group(1)))
    with groups.Group("memory", memory__limit_in_bytes=limit, memory__max=limit) as group:
        restore_fails(world, image, groups.inside(group), f"restore-{limit}", FAILED_RESTORE,
                      ("for lack of memory",))
    limit = f"{PROGRAM_MB * 3}M"
    with groups.Group("memory", memory__limit_in_bytes=limit, memory__max=limit) as group:
        restore_works(world, image, groups.inside(group), f"restore-{limit}")
    with groups.Group("memory", memory__limit_in_bytes="1500K", memory__max="1500K") as group:
        checkpoint_fails(world, process, groups.inside(group))


def checkpoint_fails(world, process, prefix):
    """Thump or its worker is killed, whichever the kernel chooses."""
    image = world.path("small")
    world.run([*prefix, world.thump_path, "checkpoint", process.pid, "-o", image,
               "--leave-running"], "checkpoint-1500K", statuses=(FAILED, -signal.SIGKILL))
    if image.exists() or len(processes_left(world)) > 1:
        raise Failure(f"checkpoint-1500K: left {processes_left(world)}")


def test(world, _options):
    process = world.start(["/usr/bin/python3", "-c", PROGRAM], "program", stdin=subprocess.PIPE)
    process.expect_line("ready")
    image = world.path("image")
    world.checkpoint(process.pid, image, "--leave-running")
    resource_limits(world, image)
    if world.user == "root":
        memory_of_group(world, process, image)
    expect_program(process)
    if status_of(f"/proc/{process.pid}/status")["TracerPid"].strip() != "0":
        raise Failure("the program is still traced")


if __name__ == "__main__":
    scenario.run("limits", test, 100)

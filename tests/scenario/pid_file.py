#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""thump restore --pid-file: it names the program as whoever restores it sees it, inside a pid
namespace, too; what a killed restore with the same pid left beside it does not matter. One that
cannot be made is a misfit."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os

from thumptest import scenario
from thumptest.events import Failure, poll_until

REFUSED, REFUSED_RESTORE = 3, 123


def expect_misfits(world, image):
    """A pid file that cannot be is told by a dry run, with what else does not fit."""
    world.path("folder").mkdir()
    for place, why in (("nowhere/pid", "No such file"), ("folder", "a directory")):
        for words, status in ((("--dry-run",), REFUSED), ((), REFUSED_RESTORE)):
            report = world.thump_json("restore", image, "--pid-file", world.path(place), "--cpu",
                                      "x86-64-v1", *words, statuses=(status,))[1]
            kinds = [problem["kind"] for problem in report["problems"] if problem["fatal"]]
            if "pid-file" not in kinds or "cpu" not in kinds:
                raise Failure(f"{place}: {report['problems']}")
            if not any(why in problem["text"] for problem in report["problems"]):
                raise Failure(f"{place}: expected {why!r}: {report['problems']}")
    world.thump("restore", image, "--pid-file", world.path("pid"), "--dry-run")
    left = {path.name for path in world.directory.glob("pid*")}
    if left:
        raise Failure(f"a dry run made {left}")


def words_of(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def test(world, _options):
    words = ["sleep", f"1000.{os.getpid()}"]
    program = world.start(words, "program")
    # As another user it is started by a program that becomes it.
    poll_until(world.deadline, "the program", lambda: words_of(program.pid) == words or None)
    image = world.path("image")
    world.checkpoint(program.pid, image)
    program.status()
    expect_misfits(world, image)
    pid_file = world.path("pid")
    # The shell becomes thump, so that its pid is thump's: in a container it is the same every time.
    restore = world.start(["sh", "-c", 'echo stale >"$1.$$.tmp"; echo 1 >"$1"; '
                           'exec "$2" restore --json --pid-file "$1" "$3"', "sh", pid_file,
                           world.thump_path, image], "restore")
    reported = restore.json()["pid"]
    pid = int(pid_file.read_text())
    command = words_of(pid)
    if command != words or pid != reported:
        raise Failure(f"the pid file says {pid}, the report {reported}; that is {command}")
    mode = pid_file.stat().st_mode & 0o777
    if mode != 0o644:
        raise Failure(f"the pid file's mode is {mode:o}: others wait for it, too")
    left = {path.name for path in world.directory.glob("pid*")} - {"pid"}
    if left != {f"pid.{restore.pid}.tmp"}:
        raise Failure(f"beside the pid file are {left}")
    scenario.end(restore, pid)


if __name__ == "__main__":
    scenario.run("pid_file", test, 60)

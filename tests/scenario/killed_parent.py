#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""thump above a program is killed with -9: the program goes on, however it got its pid."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal

from thumptest import scenario
from thumptest.events import Failure


def outlives_thump(world, thump, pid, name):
    """It still answers: its end is its own."""
    program = os.pidfd_open(pid)
    thump.popen.send_signal(signal.SIGKILL)
    thump.status()
    # Whatever the end of thump sets in motion goes by way of its child; a stop and a start of the
    # program take at least as long.
    os.kill(pid, signal.SIGSTOP)
    while pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        os.sched_yield()
    os.kill(pid, signal.SIGCONT)
    try:
        signal.pidfd_send_signal(program, signal.SIGKILL)
    except ProcessLookupError:
        raise Failure(f"{name}: the program ended with thump") from None
    world.deadline.wait_readable([program], f"the end of the program of {name}")
    os.close(program)


def test(world, _options):
    run = world.start([world.thump_path, "run", "--json", "--", "sleep", "1000"], "run")
    pid = run.json()["pid"]
    while os.path.basename(os.readlink(f"/proc/{pid}/exe")) != "sleep":
        os.sched_yield()
    image = world.path("image")
    world.checkpoint(pid, image, "--leave-running")
    outlives_thump(world, run, pid, "run")
    restore, report = world.restore(image)
    outlives_thump(world, restore, report["pid"], f"restore ({report['way']})")


if __name__ == "__main__":
    scenario.run("killed_parent", test, 60)

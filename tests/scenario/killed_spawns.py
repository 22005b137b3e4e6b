#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump spawn` killed at any moment leaves a whole clone or nothing: its template serves the others on, and
all that is left of those that were killed are programs that verify."""
import os
import pathlib
import signal
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.java import children_of
from thumptest.workload import saved, verify_restored

# Most moments are early: a spawn takes 3 ms on a machine that has nothing else to do, and far more on
# one that is busy with tests.
LONGEST_S = 0.06
AT_ONCE = 4


def kill_some(world, image, moments):
    """Spawns of which each is killed after its time, and nobody else."""
    started = [world.start(["timeout", "--foreground", "-s", "KILL", f"{moment:.6f}",
                            world.thump_path, "spawn", image, "--json"], f"killed-{moment:.6f}")
               for moment in moments]
    return [process.status() for process in started]


class Keeper:
    def __init__(self, started):
        self.pid, self.template = started["keeper"], started["pid"]

    def clones(self):
        return [pid for pid in children_of(self) if pid != self.template]


def expect_nothing_half(world, keeper):
    """What is left runs: it verifies when it is asked to, and ends. What does not run, ends by
    itself."""
    def attempt():
        left = keeper.clones()
        for pid in left:
            try:
                os.kill(pid, signal.SIGUSR2)
            except ProcessLookupError:
                pass
        return True if not left else None
    poll_until(world.deadline, "what is left of killed spawns to end", attempt, pause=0.02)


def test(world, options):
    image = saved(world, world.reachable(options.workload))
    keeper = Keeper(world.template(image))
    killed = 0
    for first in range(0, options.spawns, AT_ONCE):
        moments = [LONGEST_S * ((number + 1) / options.spawns) ** 2
                   for number in range(first, min(first + AT_ONCE, options.spawns))]
        statuses = kill_some(world, image, moments)
        killed += sum(status == 128 + signal.SIGKILL for status in statuses)
        expect_nothing_half(world, keeper)
        world.forget_ended()
    if not killed:
        raise Failure("no spawn was killed: they were all faster")
    process, report = world.spawn(image, name="last")
    verify_restored(process, report["pid"])
    world.thump("template", "stop", image.name)
    poll_until(world.deadline, "the keeper to end",
               lambda: None if pathlib.Path(f"/proc/{keeper.pid}/exe").exists() else True)


if __name__ == "__main__":
    scenario.run("killed_spawns", test, 280, workload={"type": pathlib.Path, "required": True},
                 spawns={"type": int, "required": True})

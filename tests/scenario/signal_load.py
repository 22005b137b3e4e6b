#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 signals a second from another process, with numbers and without, before, in and after
checkpoints: nothing hangs; every one that the kernel took comes, once and in order, to the original;
and to the restored program every one that had been taken when it was stopped."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal
import struct
import subprocess

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.workload import expect_pass, wait_ready

ENOUGH = 10000  # signals that came while a checkpoint was under way
WARM = 1000


class Load:
    """Sends numbers of a series to a process until it is stopped."""

    def __init__(self, world, options, pid, series):
        self.path = world.path(f"sent-{series}")
        self.path.write_bytes(bytes(8))
        self.path.chmod(0o666)
        self.world = world
        self.process = world.start([world.reachable(options.workload), "send", pid, series, self.path],
                                   f"sender-{series}", stdin=subprocess.PIPE)
        poll_until(world.deadline, "the first signals", lambda: self.sent() > WARM or None)

    def sent(self):
        if self.process.has_ended():
            raise Failure(f"the sender ended: {self.process.stderr_text()}")
        return struct.unpack("Q", self.path.read_bytes())[0]

    def stop(self):
        """How many there were."""
        self.process.popen.stdin.close()
        self.process.popen.stdin = None
        expect_pass(self.process, "the sender ends")
        return struct.unpack("Q", self.path.read_bytes())[0]


def verify(process, pid, signo, wanted):
    """`wanted`: from where to where the last number that it has seen of each series may be."""
    os.kill(pid, signo)
    said = process.line("what it has seen")
    expect_pass(process, f"{process.name} verifies")
    seen = [int(word) for word in said.split()[1:]]
    if not all(least <= number <= most for number, (least, most) in zip(seen, wanted)):
        raise Failure(f"{process.name} has {said}, not {wanted}")


def checkpoints(world, pid, load, name):
    """The last of as many images as it takes, and between which numbers it was made."""
    during, rounds = 0, 0
    while during < ENOUGH:
        image = world.path(f"{name}-{rounds}")
        before = load.sent()
        world.checkpoint(pid, image, "--leave-running")
        after = load.sent()
        if rounds:
            world.path(f"{name}-{rounds - 1}").unlink()
        during += after - before
        rounds += 1
    print(f"{name}: {during} signals came during {rounds} checkpoints")
    return image, before, after


def test(world, options):
    process = world.start([world.reachable(options.workload)], "original")
    wait_ready(process)
    pid, signo, wanted = process.pid, signal.SIGUSR1, []
    for series in (1, 2):
        load = Load(world, options, pid, series)
        image, before, after = checkpoints(world, pid, load, f"series-{series}")
        last = load.stop()
        verify(process, pid, signo, [*wanted, (last, last)])
        wanted.append((before, after))
        process, report = world.restore(image, name=f"restored-{series}")
        pid, signo = report["pid"], signal.SIGUSR2
    verify(process, pid, signo, wanted)


if __name__ == "__main__":
    scenario.run("signal_load", test, 110, workload={"type": pathlib.Path, "required": True})

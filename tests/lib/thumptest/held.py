# SPDX-License-Identifier: Apache-2.0
"""A live checkpoint that is held while the program runs on beside its copy."""
import os
import signal

from thumptest.events import Failure, poll_until
from thumptest.snapshot import read, status_of

COPY = "thump-copy"


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            found += [int(child) for child in read(f"/proc/{pid}/task/{task}/children").split()]
        except OSError:  # a thread that has ended meanwhile
            pass
    return found


def traced(pid):
    """Whether any of its threads is: they are let go one after the other."""
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            if int(status_of(f"/proc/{pid}/task/{task}/status")["TracerPid"]) != 0:
                return True
        except OSError:  # a thread that has ended meanwhile
            pass
    return False


def is_copy(pid):
    try:
        return read(f"/proc/{pid}/comm").strip() == COPY and traced(pid)
    except OSError:
        return False


class Held:
    """A live checkpoint whose worker is stopped as soon as the program runs on: all of it. A worker
    that is stopped earlier holds the rest of the threads still, and even killed ones do not end."""

    def __init__(self, world, pid, image, *options, slowly="zstd:19"):
        """`slowly`: how to compress it, so that it is not done before it is seen."""
        self.world = world
        self.verb = world.start([world.thump_path, "checkpoint", pid, "--live", "-o", image,
                                 "--compress", slowly, *options], "held")
        self.copy = poll_until(world.deadline, "a copy that the program runs beside",
                               lambda: self.find_copy(pid))
        self.worker = int(status_of(f"/proc/{self.copy}/status")["TracerPid"])
        os.kill(self.worker, signal.SIGSTOP)
        poll_until(world.deadline, "the worker to stop", lambda: True if status_of(
            f"/proc/{self.worker}/status")["State"].split()[0] == "T" else None)

    def find_copy(self, pid):
        if self.verb.has_ended():
            raise Failure(f"thump was done too soon: {self.verb.status()}\n"
                          f"{self.verb.stderr_text()}")
        if traced(pid):
            return None
        return next((each for each in self.world.descendants() if is_copy(each)), None)

    def go_on(self):
        os.kill(self.worker, signal.SIGCONT)
        return self.verb.status()

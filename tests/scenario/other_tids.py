#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that stands other tids is restored where its pid is taken and none can be chosen: any
number of times at once, beside the original. Where it cannot be, the reason is told."""
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import os
import signal

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass

CLONES = 3
REFUSED = 3
# What one thread holds at the checkpoint, and what of it the refusal tells.
REASONS = {
    "recursive": "holds the mutex at 0x",
    "errorcheck": "holds the mutex at 0x",
    "inherit": "holds the mutex at 0x",
    "robust": "holds a robust mutex",
    "rwlock": "holds the rwlock at 0x",
    "unvouched": "no runtime vouches",
}


class Test:
    def __init__(self, world, options):
        self.world = world
        self.workload = world.reachable(options.workload)
        self.docker = world.reachable(options.docker)

    def original(self, lock):
        """Runs on beside the image that is made of it."""
        image = self.world.path(f"image-{lock}")
        process = self.world.start([self.workload, self.world.thump_path, image, lock],
                                   f"original-{lock}")
        process.expect_line("is saved")
        return process, image

    def restore(self, image, name):
        process = self.world.start([self.docker, self.world.thump_path, "restore", image, "--json"],
                                   name)
        return process

    def verify(self, process, pid, signo):
        os.kill(pid, signo)
        expect_pass(process, f"{process.name} verifies")

    def started(self, processes, taken):
        """Their pids, which nobody has had before."""
        pids = []
        for process in processes:
            report = process.json()
            if not report.get("pid"):
                raise Failure(f"{process.name}: {report}\n{process.stderr_text()}")
            if report["way"] != "other":
                raise Failure(f"{process.name}: its pids were kept by {report['way']}")
            pids.append(report["pid"])
        if len({*pids, *taken}) != len(pids) + len(taken):
            raise Failure(f"the clones have pids {pids}, beside {taken}")
        return pids

    def clones(self):
        original, image = self.original("normal")
        clones = [self.restore(image, f"clone-{number}") for number in range(CLONES)]
        pids = self.started(clones, [original.pid])
        os.kill(pids[0], signal.SIGHUP)
        clones[0].expect_line("is saved")
        second = self.restore(f"{image}.2", "clone-of-clone")
        pids += self.started([second], [original.pid, *pids])
        for process, pid in zip([*clones, second], pids):
            self.verify(process, pid, signal.SIGUSR2)
        self.verify(original, original.pid, signal.SIGUSR1)

    def refused(self, lock, reason):
        original, image = self.original(lock)
        for words in (["--dry-run"], []):
            status = REFUSED if words else REFUSED + 120
            _, output = self.world.run([self.docker, self.world.thump_path, "restore", image,
                                        "--json", *words], f"refused-{lock}", statuses=(status,))
            if reason not in output or f"pid {original.pid} is taken" not in output:
                raise Failure(f"{lock}: {json.loads(output)}")
        self.verify(original, original.pid, signal.SIGUSR1)


def test(world, options):
    run = Test(world, options)
    run.clones()
    for lock, reason in REASONS.items():
        run.refused(lock, reason)


if __name__ == "__main__":
    scenario.run("other_tids", test, 100,
                 workload={"type": pathlib.Path, "required": True},
                 docker={"type": pathlib.Path, "required": True})

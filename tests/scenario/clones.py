#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One image, many processes at the same time, each with the pid that the checkpointed one had; they
are all on their way before the first one runs."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario, snapshot
from thumptest.events import Failure
from thumptest.workload import expect_same, settled, verify_restored, wait_ready


def test(world, options):
    original = world.start([world.reachable(options.workload)], "original")
    wait_ready(original)
    before = settled(original.pid)
    image = world.path("image")
    world.checkpoint(original.pid, image)
    original.status()

    clones = world.restore_many(image, [f"clone-{number}" for number in range(options.clones)])
    pids = [report["pid"] for _, report in clones]
    if len(set(pids)) != options.clones:
        raise Failure(f"the clones have pids {pids}")
    if sum(report["way"] == "namespace" for _, report in clones) < options.clones - 1:
        raise Failure(f"ways: {[report['way'] for _, report in clones]}")
    for process, report in clones:
        # A namespace of its own gives back what a process there can have of its own accord.
        expect_same(world, before, report["pid"], process.name)
    for process, report in clones:
        verify_restored(process, report["pid"])
    if not image.exists() or snapshot.read(image, binary=True)[:4] != b"\x7fELF":
        raise Failure("the image did not survive")


if __name__ == "__main__":
    scenario.run("clones", test, 500, workload={"type": pathlib.Path, "required": True},
                 clones={"type": int, "required": True})

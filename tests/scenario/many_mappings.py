#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""thump's own memory stays below 16 MB, also with nearly as many mappings as the kernel lets a process
have, each with content."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import re

from thumptest import scenario
from thumptest.events import Failure, Skip
from thumptest.workload import verify_restored, wait_ready

NR_MAPPINGS = 59000
MAX_BYTES = 16_000_000


def check(verb, peak_kb):
    if peak_kb * 1024 > MAX_BYTES:
        raise Failure(f"thump {verb} took {peak_kb} KB")


def run_measured(world, stopwatch, verb, *words):
    """Runs a verb to its end; its peak is the greatest of its own and its children's. Not straight
    from here: until its exec a child counts as big as Python is."""
    process = world.start([stopwatch, "wait", world.thump_path, verb, *words], verb)
    output = process.out.rest(world.deadline, f"the output of {verb}")
    if process.status() != 0:
        raise Failure(f"{verb}: {process.status()}: {process.stderr_text()}\n{output}")
    check(verb, json.loads(process.stderr_text().splitlines()[-1])["peak_kb"])


def peak_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text).group(1))


def test(world, options):
    limit = int(pathlib.Path("/proc/sys/vm/max_map_count").read_text())
    if limit < NR_MAPPINGS + 1000:
        raise Skip(f"vm.max_map_count is only {limit}")
    process = world.start([world.reachable(options.workload), NR_MAPPINGS], "workload")
    wait_ready(process)
    image, stopwatch = world.path("image"), world.reachable(options.stopwatch)
    for words in (("checkpoint", process.pid, "--dry-run"), ("checkpoint", process.pid, "-o", image),
                  ("inspect", image), ("verify", image), ("restore", image, "--dry-run")):
        run_measured(world, stopwatch, *words)
    restore, report = world.restore(image)
    check("restore", peak_kb(restore.pid))
    verify_restored(restore, report["pid"])


if __name__ == "__main__":
    path = {"type": pathlib.Path, "required": True}
    scenario.run("many_mappings", test, 110, workload=path, stopwatch=path)

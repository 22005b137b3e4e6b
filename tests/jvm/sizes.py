#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A restore compares what a JVM has set itself up for with the place where it is to run: refused
when what is read at once does not fit into the control group's memory, said when the heap may grow
beyond that, or when there are fewer processors."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import os
import subprocess

from thumptest import groups, java
from thumptest.events import Failure
from thumptest.scenario import REFUSED

HEAP_MB, GARBAGE_MB = 96, 20
DONE = 0


def dry_run(world, image, group, *options, status=DONE, taskset=()):
    """Kinds of the problems that a restore names, and the texts."""
    command = [*groups.inside(group), *taskset, world.thump_path, "restore", image, "--dry-run",
               "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != status:
        raise Failure(f"{options} in {group}: status {done.returncode}: {done.stdout}{done.stderr}")
    return {problem["kind"]: problem["text"]
            for problem in json.loads(done.stdout)["problems"]}


def expect(problems, kind, *words):
    for word in words:
        if word not in problems.get(kind, ""):
            raise Failure(f"{kind} with {word!r} is not in {problems}")


def test(world, options):
    program = java.Java(world, options)
    program.flags += [f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC"]
    image = world.path("image")
    run = program.start(image, "Garbage", GARBAGE_MB, stdin=subprocess.PIPE)
    if run.line("'ready'") is None:
        raise Failure(f"the program ended: {run.stderr_text()}")
    world.checkpoint(java.child_of(run, world), image)
    java.expect_end(run)

    problems = dry_run(world, image, None)
    if {"memory-limit", "heap-limit", "processors"} & set(problems):
        raise Failure(f"at home: {problems}")
    processors = len(os.sched_getaffinity(0))
    if processors > 1:
        expect(dry_run(world, image, None, taskset=("taskset", "-c", "0")), "processors",
               f"for {processors} processors", "use 1 here")
    with groups.Group("memory", memory__limit_in_bytes="64M", memory__max="64M") as group:
        if group:
            expect(dry_run(world, image, group), "heap-limit", "may grow to", "allows 67 MB")
    with groups.Group("memory", memory__limit_in_bytes="12M", memory__max="12M") as group:
        if group:
            expect(dry_run(world, image, group, "--memory", "eager", status=REFUSED),
                   "memory-limit", "read into memory at once", "allows 12 MB")
    with groups.Group("cpu", cpu__cfs_quota_us="100000", cpu__max="100000 100000") as group:
        if group and processors > 1:
            expect(dry_run(world, image, group), "processors", "use 1 here")


if __name__ == "__main__":
    java.run("sizes", test, 100)

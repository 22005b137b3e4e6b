#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service whose seccomp filter ends whoever makes a call that it does not know, with thump inside
of the same service: what a checkpoint would have the program call is refused, not tried on it."""
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_same, settled, verify_original, wait_ready

DONE, FAILED, REFUSED = 0, 1, 3
# Asked of the process as a whole; of every thread.
CALLS = ("get_mempolicy", "modify_ldt", "sigaltstack")
# Made by thump, at different moments of a checkpoint.
OWN_CALLS = ("ptrace", "process_vm_readv", "sched_getattr", "kcmp")


def refused_by_name(world, options, call):
    filtered = [world.reachable(options.filtered), call]
    process = world.start([*filtered, world.reachable(options.workload)], f"original-{call}")
    wait_ready(process)
    before = settled(process.pid)
    image = world.path(f"image-{call}")
    for words in (["--dry-run"], ["-o", image]):
        _, output = world.run([*filtered, world.thump_path, "checkpoint", process.pid, "--json",
                               *words], f"checkpoint-{call}", statuses=(REFUSED,))
        texts = [problem["text"] for problem in json.loads(output)["problems"]
                 if problem["fatal"]]
        if len(texts) != 1 or "seccomp" not in texts[0]:
            raise Failure(f"{call}: problems are {texts}")
        if process.has_ended():
            raise Failure(f"{call}: the program was ended: status {process.status()}")
        expect_same(world, before, process.pid, f"after {words[0]} without {call}")
    if image.exists():
        raise Failure("an image was made")
    verify_original(process)


def thump_is_ended(world, options, call):
    """The filter ends thump itself, in the middle of its work; the program goes on."""
    filtered = [world.reachable(options.filtered), call]
    process = world.start([*filtered, world.reachable(options.workload)], f"original-{call}")
    wait_ready(process)
    before = settled(process.pid)
    image = world.path(f"image-{call}")
    _, output = world.run([*filtered, world.thump_path, "checkpoint", process.pid, "--json", "-o",
                           image], f"checkpoint-{call}", statuses=(FAILED,))
    text = json.loads(output)["error"]["text"]
    if "worker process was killed" not in text or "runs on" not in text:
        raise Failure(f"{call}: {text}")
    expect_same(world, before, process.pid, f"after thump was ended by {call}")
    if image.exists():
        raise Failure("an image was made")
    verify_original(process)


def harmless(world, options):
    """A filter that objects to nothing that thump asks is no obstacle."""
    filtered = [world.reachable(options.filtered), "acct"]
    process = world.start([*filtered, world.reachable(options.workload)], "original-acct")
    wait_ready(process)
    world.run([*filtered, world.thump_path, "checkpoint", process.pid, "--dry-run"],
              "checkpoint-acct", statuses=(DONE,))
    verify_original(process)


def test(world, options):
    for call in CALLS:
        refused_by_name(world, options, call)
    for call in OWN_CALLS:
        thump_is_ended(world, options, call)
    harmless(world, options)


if __name__ == "__main__":
    scenario.run("killing_filter", test, 60, workload={"type": pathlib.Path, "required": True},
                 filtered={"type": pathlib.Path, "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images from here, restored inside of another pid namespace; images from a pid namespace with
pids up to 4194304, restored here, where such a pid may not exist."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal

from thumptest import scenario
from thumptest.events import Failure, Skip
from thumptest.snapshot import own_id, status_of
from thumptest.workload import verify_restored, wait_ready

HIGH_PID = 4190000


def unshare(world, map_ids="--map-root-user"):
    """The command that enters a new pid namespace with its own /proc."""
    return ["unshare", *(["--user", map_ids] if world.user == "user" else []),
            "--pid", "--fork", "--kill-child", "--mount-proc"]


def descendant(world, pid, wanted):
    """The process below `pid` that calls itself `wanted` and is not thump."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        status = status_of(f"/proc/{child}/status")
        if own_id(status) == wanted and status["Name"].strip() != "thump":
            return int(child)
        found = descendant(world, child, wanted)
        if found:
            return found
    return None


def into_another(world, workload):
    """What was checkpointed here is restored in there; its pid is free."""
    original = world.start([workload], "original")
    wait_ready(original)
    image = world.path("image-out")
    world.checkpoint(original.pid, image)
    original.status()
    inside = world.start([*unshare(world), world.thump_path, "restore", image, "--json"],
                         "restore-inside")
    report = inside.json()
    if not report.get("pid"):
        raise Failure(f"restore in a new pid namespace: {report}\n{inside.stderr_text()}")
    pid = descendant(world, inside.pid, original.pid)
    if pid is None:
        raise Failure(f"nobody has pid {original.pid} in there")
    verify_restored(inside, pid)


def from_high_pids(world, workload):
    """The next pid in the namespace is set through ns_last_pid, as its owner may."""
    script = "echo 4194304 > /proc/sys/kernel/pid_max\n" \
             f"echo {HIGH_PID - 1} > /proc/sys/kernel/ns_last_pid\n" \
             "\"$0\" & wait $!"
    shell = world.start([*unshare(world), "sh", "-c", script, workload], "original-high")
    wait_ready(shell)
    pid = descendant(world, shell.pid, HIGH_PID)
    if pid is None:
        raise Skip(f"no pid {HIGH_PID} to be had in a new pid namespace")
    image = world.path("image-high")
    world.checkpoint(pid, image)
    shell.status()
    process, report = world.restore(image, name="restore-high")
    have = own_id(status_of(f"/proc/{report['pid']}/status"))
    if have != HIGH_PID:
        raise Failure(f"the restored process is {have}, not {HIGH_PID}")
    verify_restored(process, report["pid"])


def from_pid_one(world, workload):
    """It becomes pid 1 again: of fresh namespaces, with nobody between it and thump."""
    outer = world.start([*unshare(world, "--map-current-user"), workload], "original-first")
    wait_ready(outer)
    pid = descendant(world, outer.pid, 1)
    image = world.path("image-first")
    world.checkpoint(pid, image)
    outer.status()
    for number, options in enumerate(([], ["--detach"], [])):
        process, report = world.restore(image, *options, name=f"restore-first-{number}")
        status = status_of(f"/proc/{report['pid']}/status")
        if own_id(status) != 1 or len(status["NSpid"].split()) < 2:
            raise Failure(f"the restored process is {status['NSpid']}")
        if not options and int(status["PPid"]) != process.pid:
            raise Failure(f"its parent is {status['PPid']}, not thump")
        if not report["time_namespace"] or not report["own_proc"]:
            raise Failure(f"its namespaces: {report}")
        if options:
            process.status()
            os.kill(report["pid"], signal.SIGKILL)
        else:
            verify_restored(process, report["pid"])


def test(world, options):
    workload = world.reachable(options.workload)
    {"into": into_another, "high": from_high_pids,
     "first": from_pid_one}[options.which](world, workload)


if __name__ == "__main__":
    scenario.run("namespaces", test, 60, workload={"type": pathlib.Path, "required": True},
                 which={"choices": ("into", "high", "first"), "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `thump run` says and does beside running a program: the one object of --json also when there
is nothing to run, a line about a java command without an agent, and `--then restore`, which takes no
image for the new one that is not; that a program which was checkpointed and ended is no failure."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import signal

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass, wait_ready

FAILED, NOT_EXECUTABLE, NOT_FOUND = 121, 126, 127


def json_of_what_cannot_run(world, _workload):
    for command, status in ((world.path("nowhere"), NOT_FOUND), (world.directory, NOT_EXECUTABLE)):
        process = world.start([world.thump_path, "run", "--json", "--", command], "cannot-run")
        report = process.json()
        if report["pid"] is not None or str(command) not in report["error"]["text"]:
            raise Failure(f"{command} cannot run: {report}")
        if process.status() != status:
            raise Failure(f"{command}: status {process.status()} instead of {status}")


def json_of_a_failure(world, _workload):
    process = world.start([world.thump_path, "run", "--json", "--checkpoint-when", "after:1h", "--",
                           "true"], "no-image")
    report = process.json()
    if report["action"] is not None or report["error"]["word"] != "refused":
        raise Failure(f"no --image: {report}")
    process.status()


def agent_missing(world, _workload):
    """A java command says once that it gets no agent, unasked, where there is none with thump."""
    folder = world.path("alone")
    folder.mkdir()
    thump, java, agent = folder / "thump", folder / "java", folder / "libthump-jvm.so"
    shutil.copy(world.thump_path, thump)
    java.write_text('#!/bin/sh\necho "$@"\n')
    java.chmod(0o755)
    folder.chmod(0o755)
    for lines in (1, 0):
        process = world.start([thump, "run", "--", java, "Main"], f"java-{lines}")
        arguments = process.line("java's arguments")
        if process.status() != 0:
            raise Failure(f"java: status {process.status()}: {process.stderr_text()}")
        said = process.stderr_text().splitlines()
        if len(said) != lines or (said and agent.name not in said[0]):
            raise Failure(f"expected {lines} lines that name {agent.name}: {said}")
        if (str(agent) in arguments) != agent.exists():
            raise Failure(f"java got {arguments}")
        agent.touch()


def ended_on_request(world, workload):
    """Nothing was said of what comes then: it ends with 0, with a line about why."""
    process = world.start([world.thump_path, "run", "--", workload], "ended-on-request")
    wait_ready(process)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    world.checkpoint(int(children[-1]), world.path("ended.thump"))
    expect_pass(process, "thump run, after the checkpoint of its program")
    wanted = f"thump run: {workload} was checkpointed and ended on request"
    if process.stderr_text() != wanted:
        raise Failure(f"it said {process.stderr_text()!r} instead of {wanted!r}")


def begin(world, workload, image, name):
    process = world.start([world.thump_path, "run", "--json", "--image", image, "--then", "restore",
                           "--", workload], name)
    return process, process.json()["pid"]


def then_restore(world, workload):
    image = world.path("image")
    process, pid = begin(world, workload, image, "then-restore")
    wait_ready(process)
    world.checkpoint(pid, image)
    report = process.json()
    if report["action"] != "restored":
        raise Failure(f"not restored: {report}\n{process.stderr_text()}")
    os.kill(report["pid"], signal.SIGUSR2)
    expect_pass(process, "the program that --then restore brought back")


def then_restore_of_another_image(world, workload):
    """FILE is there, of an earlier program; this one's image went elsewhere."""
    process, pid = begin(world, workload, world.path("image"), "then-restore-old")
    world.checkpoint(pid, world.path("elsewhere"))
    status = process.status()
    if status != FAILED or "not the image that was just written" not in process.stderr_text():
        raise Failure(f"status {status}: {process.stderr_text()}")


CASES = (json_of_what_cannot_run, json_of_a_failure, agent_missing, ended_on_request, then_restore,
         then_restore_of_another_image)


def test(world, options):
    workload = world.reachable(options.workload)
    for case in CASES:
        case(world, workload)


if __name__ == "__main__":
    scenario.run("run_verb", test, 60, workload={"type": pathlib.Path, "required": True})

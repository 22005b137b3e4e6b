#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `thump run` says and does beside running a program: the one object of --json also when there
is nothing to run, a line about a java command without an agent, the options of a JDK that has CRaC itself, and
`--then restore`, which takes no image for the new one that is not; that a program which was checkpointed and ended is no failure."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import signal

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import expect_pass, wait_ready

FAILED, REFUSED_TO_RUN, NOT_EXECUTABLE, NOT_FOUND = 121, 123, 126, 127


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


def make_jdk(folder, flags):
    """A JDK as far as `thump run` looks at one: its java prints what it is given."""
    java, libjvm = folder / "bin" / "java", folder / "lib" / "server" / "libjvm.so"
    for path in (java, libjvm):
        path.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\necho "$@"\n')
    java.chmod(0o755)
    libjvm.write_bytes(b"".join(b"\0" + flag.encode() for flag in flags) + b"\0")
    return java


def expect_arguments(process, wanted):
    arguments = process.line("java's arguments")
    if process.status() != 0 or process.stderr_text() or arguments != wanted:
        raise Failure(f"java got {arguments!r}, not {wanted!r}: {process.stderr_text()}")


def crac_jdk(world, _workload):
    """A JDK that has CRaC itself gets its options and no agent; others know no more than before."""
    folder = world.path("crac")
    for name in ("bin", "stock"):
        (folder / name).mkdir(parents=True)
    thump, agent = folder / "bin" / "thump", folder / "bin" / "libthump-jvm.so"
    shutil.copy(world.thump_path, thump)
    agent.touch()
    java = make_jdk(folder / "jdk", ("UseAVX", "CRaCCheckpointTo", "CRaCEngine"))
    stock = make_jdk(folder / "stock" / "jdk", ("UseAVX", "UseCRaCCheckpointToNot"))
    words = ["-cp", "-XX:CRaC", "-XX:CRaCCheckpointTo=cr", "-XX:CRaCEngine=warp", "Main",
             "-XX:CRaC"]
    process = world.start([thump, "run", "--", java, *words], "crac")
    expect_arguments(process, " ".join(words))
    link = world.path("java")
    link.symlink_to(java)
    process = world.start([thump, "run", "--", link, "-XX:CRaCRestoreFrom=cr"], "crac-link")
    expect_arguments(process, "-XX:CRaCRestoreFrom=cr")
    process = world.start([thump, "run", "--", java, "Main", "-XX:CRaCCheckpointTo=cr"], "crac-not")
    expect_arguments(process, f"-agentpath:{agent}=thump={thump} Main -XX:CRaCCheckpointTo=cr")
    for refused, wanted in (([java, *words], "has CRaC itself"),
                            ([stock, *words], "-XX:CRaCEngine=warp: thump has no such option")):
        process = world.start([thump, "run", "--image", world.path("none"), "--", *refused],
                              "crac-refused")
        if process.status() != REFUSED_TO_RUN or wanted not in process.stderr_text():
            raise Failure(f"status {process.status()}: {process.stderr_text()}")


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


CASES = (json_of_what_cannot_run, json_of_a_failure, agent_missing, crac_jdk, ended_on_request,
         then_restore, then_restore_of_another_image)


def test(world, options):
    workload = world.reachable(options.workload)
    for case in CASES:
        case(world, workload)


if __name__ == "__main__":
    scenario.run("run_verb", test, 60, workload={"type": pathlib.Path, "required": True})

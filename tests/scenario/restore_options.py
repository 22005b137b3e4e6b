#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Options of `thump restore`: --keep-stdio goes on writing where the program did; --spin-limit and
--allow-clock-jump let an image fit that does not fit without them."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import os
import signal

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.workload import expect_pass, wait_ready

USAGE, REFUSED = 2, 3
TEN_DAYS_S = 864000
SAYS_AGAIN = """import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
print("ready", flush=True)
signal.sigwait({signal.SIGUSR2})
print("again", flush=True)
"""


def keep_stdio(world, _options):
    output = world.path("output")
    original = world.start(["sh", "-c", 'exec /usr/bin/python3 -c "$1" >"$2" 2>&1', "sh",
                            SAYS_AGAIN, output], "writer")
    poll_until(world.deadline, "the program",
               lambda: output.exists() and output.read_text() or None)
    image = world.path("writer.thump")
    world.checkpoint(original.pid, image)
    original.status()
    with open(output, "a", encoding="ascii") as file:
        file.write("of somebody else\n")
    process, report = world.restore(image, "--keep-stdio", name="keep-stdio")
    os.kill(report["pid"], signal.SIGUSR2)
    expect_pass(process, "the restored program")
    if process.out.rest(world.deadline, "stdout") != "":
        raise Failure("the program wrote to the stdout of thump restore")
    if output.read_text() != "ready\nof somebody else\nagain\n":
        raise Failure(f"its own output is {output.read_text()!r}")


def misfits(world, options, image, *words):
    """What is in the way where pids can only be kept by spinning, and no time namespace is to be
    had; "" when nothing is."""
    process = world.start([world.reachable(options.docker), world.thump_path, "restore", "--json",
                           "--dry-run", image, *words], "misfits")
    report, status = process.json(), process.status()
    texts = "; ".join(problem["text"] for problem in report["problems"] if problem["fatal"])
    if status != (REFUSED if texts else 0):
        raise Failure(f"{words}: status {status}: {report}")
    return texts


def limits(world, options):
    """The image is from a machine that had been up for longer."""
    later = ["unshare", "--time", "--monotonic", TEN_DAYS_S, "--boottime", TEN_DAYS_S]
    workload = world.reachable(options.workload)
    original = world.start([*later, workload] if world.user == "root" else [workload], "later")
    wait_ready(original)
    image = world.path("later.thump")
    world.checkpoint(original.pid, image)
    original.status()
    expected = [((), "--spin-limit is 2000"), (("--spin-limit", "1"), "--spin-limit is 1 ")]
    high = ("--spin-limit", 2 ** 32 - 1)
    if world.user == "root":
        expected += [(high, "CLOCK_MONOTONIC would run back by 8"),
                     ((*high, "--allow-clock-jump"), "")]
    else:
        expected += [(high, "")]
    for words, text in expected:
        said = misfits(world, options, image, *words)
        if text not in said or bool(text) != bool(said):
            raise Failure(f"{words}: expected {text!r}: {said!r}")
    for number in ("0", "-1", "1x", "", 2 ** 32):
        world.thump("restore", "--dry-run", image, "--spin-limit", number, statuses=(USAGE,),
                    name="wrong-limit")
    said = world.log("wrong-limit").read_text()
    if said.count("--spin-limit takes a number from 1 to 4294967295, not ") != 5:
        raise Failure(f"wrong limits: {said}")


def no_new_privs(world, options):
    """A shell that has them cannot give them up: said where the program had not."""
    if world.user != "root":
        return  # its programs have them from the start
    for prefix, wanted in (([], 1), (["setpriv", "--no-new-privs"], 0)):
        original = world.start([*prefix, world.reachable(options.workload)], "privileged")
        wait_ready(original)
        image = world.path(f"privileged-{wanted}.thump")
        world.checkpoint(original.pid, image)
        said = json.loads(world.run(["setpriv", "--no-new-privs", world.thump_path, "restore", image,
                                     "--dry-run", "--json"], "without-new-privs")[1])
        found = [problem["fatal"] for problem in said["problems"]
                 if problem["kind"] == "no-new-privs"]
        if found != [False] * wanted:
            raise Failure(f"of an image {prefix}: {said['problems']}")


def more_filters(world, options):
    """So is that calls may fail which the program could make; of one that had as many nothing is."""
    docker = world.reachable(options.docker)
    for prefix, wanted in (([], [False]), ([docker], [])):
        original = world.start([*prefix, world.reachable(options.workload)], "filtered")
        wait_ready(original)
        image = world.path(f"filtered-{len(prefix)}.thump")
        world.run([*prefix, world.thump_path, "checkpoint", original.pid, "-o", image], "to-filtered")
        said = json.loads(world.run([docker, world.thump_path, "restore", image, "--dry-run", "--json"],
                                    "under-a-filter", (0, REFUSED))[1])
        found = [problem["fatal"] for problem in said["problems"] if problem["kind"] == "seccomp"]
        if found != wanted:
            raise Failure(f"of an image {prefix}: {said['problems']}")


def test(world, options):
    more_filters(world, options)
    no_new_privs(world, options)
    keep_stdio(world, options)
    limits(world, options)


if __name__ == "__main__":
    scenario.run("restore_options", test, 60,
                 workload={"type": pathlib.Path, "required": True},
                 docker={"type": pathlib.Path, "required": True})

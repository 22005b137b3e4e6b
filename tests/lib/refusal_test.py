#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes what cannot be saved (tests/kinds/refusals.c) and expects that one dry run names all of it,
that a checkpoint is refused and leaves nothing, and that the program goes on undisturbed."""
import argparse
import os
import pathlib
import signal
import socket
import subprocess
import sys

from thumptest import world as worlds
from thumptest.events import Failure
from thumptest.workload import expect_pass, expect_same, settled, wait_ready

DEADLINE_S = 60
REFUSED = 3


class Outside:
    """The other ends of what reaches out of the process."""

    def __init__(self):
        self.ours, self.given = [], []

    def give(self, name):
        if name == "pipe_to_outside":
            reader, writer = os.pipe()
            self.ours.append(writer)
            self.given.append(reader)
            return reader
        ours, given = socket.socketpair()
        self.ours.append(ours)
        self.given.append(given.detach())
        return self.given[-1]


def start(world, program, names):
    outside = Outside()
    argv = [f"{name}={outside.give(name)}" if name.endswith("_to_outside") else name
            for name in names]
    process = world.start([program, *argv], "refusals", pass_fds=outside.given)
    process.outside = outside
    for descriptor in outside.given:
        os.close(descriptor)
    return process


def names_it(problem, fd, words):
    text = f"{problem['kind']} {problem['text']}".casefold()
    return problem.get("fatal", True) and (fd == -1 or problem.get("fd") == fd) and \
        all(word.casefold() in text for word in words)


def expect_named(report, wanted):
    """What stops everything (a tracer, a vfork) is an error by itself, not one of a list."""
    problems = [*report["problems"], {"kind": "error", "fd": None,
                                      "text": report["error"]["text"]}]
    missing = [f"fd {fd}: {' and '.join(words)}" for fd, words in wanted
               if not any(names_it(problem, fd, words) for problem in problems)]
    if missing:
        named = "\n    ".join(f"fd {problem.get('fd')} {problem['kind']}: {problem['text']}"
                              for problem in problems)
        raise Failure(f"not named: {'; '.join(missing)}\nnamed:\n    {named}")


def trace(world, program, pid):
    """Another tracer, as strace or a debugger would be."""
    tracer = world.start([program, pid], "tracer", stdin=subprocess.PIPE)
    tracer.expect_line("ready")
    return tracer


def run(options):
    with worlds.World("-".join(options.names)[:40], options.user, options.thump,
                      DEADLINE_S) as world:
        process = start(world, world.reachable(options.workload),
                        [name for name in options.names if name != "traced"])
        wanted = [(int(value.split(" ", 1)[0]), value.split(" ", 1)[1].split("\t"))
                  for key, value in wait_ready(process) if key == "refuse"]
        tracer = None
        if "traced" in options.names:
            tracer = trace(world, world.reachable(options.tracer), process.pid)
            wanted.append((-1, ["traced", str(tracer.pid)]))
        before = settled(process.pid)

        report = world.dry_run(process.pid, statuses=(REFUSED,))
        expect_named(report, wanted)
        expect_same(world, before, process.pid, "after the dry run")

        files = set(os.listdir(world.directory))
        image = world.path("refused.thump")
        report = world.thump_json("checkpoint", process.pid, "-o", image, statuses=(REFUSED,))[1]
        expect_named(report, wanted)
        left = {name for name in set(os.listdir(world.directory)) - files
                if not name.endswith(".stderr")}
        if left:
            raise Failure(f"the refused checkpoint left {sorted(left)}")
        expect_same(world, before, process.pid, "after the refused checkpoint")

        if tracer:
            tracer.popen.stdin.close()
            tracer.popen.stdin = None
            expect_pass(tracer, "the other tracer ends")
        os.kill(process.pid, signal.SIGUSR1)
        expect_pass(process, "the program verifies")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--thump", type=pathlib.Path, required=True)
    parser.add_argument("--user", choices=("root", "user"), required=True)
    parser.add_argument("--tracer", type=pathlib.Path)
    parser.add_argument("workload", type=pathlib.Path)
    parser.add_argument("names", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(worlds.main(run, arguments()))

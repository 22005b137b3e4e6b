# SPDX-License-Identifier: Apache-2.0
"""What scenario tests share: arguments, and checkpointing a service that has just been used."""
import argparse
import os
import pathlib
import signal
import sys

from thumptest import world as worlds
from thumptest.events import Failure, poll_until

REFUSED = 3
ROOT = pathlib.Path(__file__).resolve().parents[3]
APPS = ROOT / "tests" / "scenario" / "apps"


def run(name, test, seconds, **more):
    """Runs test(world, options) in a world of its own; `more` are further options."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--thump", type=pathlib.Path, required=True)
    parser.add_argument("--user", choices=("root", "user"), required=True)
    for option, keywords in more.items():
        parser.add_argument(f"--{option}", **keywords)
    options = parser.parse_args()

    def in_world():
        with worlds.World(name, options.user, options.thump, seconds) as world:
            test(world, options)

    sys.exit(worlds.main(in_world))


def checkpoint_quiet(world, pid, image, *options):
    """Checkpoints a service as soon as it has closed the connections of its last clients, which it
    does in its own time. Nothing else may be in the way."""
    def attempt():
        status, report = world.thump_json("checkpoint", pid, "-o", image, *options,
                                          statuses=(0, REFUSED))
        if status == 0:
            return report
        others = [problem["text"] for problem in report["problems"]
                  if problem["fatal"] and "tcp" not in problem["kind"].lower()]
        if others or not report["problems"]:
            raise Failure(f"checkpoint refused: {others or report}")
        return None
    return poll_until(world.deadline, f"{pid} to close its connections", attempt, pause=0.02)


def end(process, pid=None):
    """Ends a service as a service manager would; its parent must end, too."""
    os.kill(pid or process.pid, signal.SIGTERM)
    return process.status()


def as_stdin(world, path):
    """Both kinds of standard input that a file can be: (name, stdin) of the file and of a pipe."""
    with open(path, "rb") as file:
        yield "file", file
    yield "pipe", world.start(["cat", path], "cat").popen.stdout

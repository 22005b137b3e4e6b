#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes one workload of tests/kinds through checkpoint and restore.

    original --dry run, checkpoint--> image 0      original verifies and ends
    image 0 --lazy restore, checkpoint--> image 1  image 0 is removed
    image 1 --restore, checkpoint--> image 2 --restore--> verifies

and with --spawn

    original --checkpoint--> image 0 --template, clone--> checkpoint--> image 1
    image 1 --template, clone--> verifies

and with --trained

    original --checkpoint--> image 0 --vouched for, train--> trained image
    trained image, not in memory --restore, checkpoint--> image 1
    image 1 --vouched for, train--> trained image --restore--> verifies

At every step /proc is compared with what it was.
"""
import argparse
import os
import pathlib
import signal
import sys

from thumptest import vouched
from thumptest import world as worlds
from thumptest.events import Failure
from thumptest.workload import expect_pass, expect_same, settled, wait_ready

DEADLINE_S = 100
REFUSED = 3


class KindTest:
    def __init__(self, world, options):
        self.world, self.options = world, options
        self.argv = [world.reachable(options.workload), *options.arguments]
        self.before = None

    def stdin(self):
        if self.options.stdin == "file":
            path = self.world.path("stdin")
            path.write_text("standard input\n")
            return {"stdin": open(path, "rb")}
        if self.options.stdin == "pipe":
            return {"stdin": os.pipe()[0]}
        return {}

    def send(self, pid, signo):
        if self.options.stop:
            # Both orders are good: the signal waits until the process goes on.
            os.kill(pid, signo)
            os.kill(pid, signal.SIGCONT)
        else:
            os.kill(pid, signo)

    def check(self, pid, when, image=None):
        expect_same(self.world, self.before, pid, when, image=image, ignore=self.options.ignore)

    def original(self):
        """The original, which must not notice; leaves image 0."""
        process = self.world.start(self.argv, "original", **self.stdin())
        wait_ready(process)
        if self.options.stop:
            os.kill(process.pid, signal.SIGSTOP)
        self.before = settled(process.pid)
        self.world.dry_run(process.pid)
        self.check(process.pid, "the original after a dry run")
        image = self.world.path("image-0")
        self.world.checkpoint(process.pid, image,
                              "--live" if self.options.live else "--leave-running")
        self.check(process.pid, "the original after a checkpoint")
        self.send(process.pid, signal.SIGUSR1)
        expect_pass(process, "the original verifies")
        return image

    def restore(self, image, number, *options):
        process, report = self.world.restore(image, *options, name=f"restore-{number}",
                                             **self.stdin())
        self.check(report["pid"], f"restore {number} ({' '.join(options) or 'eager'})",
                   image=image if options else None)
        if self.options.trained and options and report["memory"] != "lazy":
            raise Failure(f"the trained image is not mapped: {report}")
        return process, report["pid"]

    def again(self, image, number, *options):
        """Restores an image and makes the next one of the restored process."""
        process, pid = self.restore(image, number, *options)
        following = self.world.path(f"image-{number}")
        self.world.checkpoint(pid, following)
        process.status()
        image.unlink()
        return following

    def clone(self, image, number):
        """A clone of a template of an image; neither the next one nor the template's end is any of
        its business."""
        self.world.template(image)
        process, report = self.world.spawn(image, name=f"clone-{number}", **self.stdin())
        self.world.thump("template", "stop", image.name)
        self.check(report["pid"], f"clone {number}")
        return process, report["pid"]

    def verify(self, process, pid, when):
        self.send(pid, signal.SIGUSR2)
        expect_pass(process, when)

    def run_spawn(self):
        image = self.original()
        process, pid = self.clone(image, 1)
        following = self.world.path("image-1")
        self.world.checkpoint(pid, following)
        process.status()
        image.unlink()
        process, pid = self.clone(following, 2)
        self.verify(process, pid, "the clone of a clone verifies")

    def run_unfit(self):
        """What cannot be cloned is refused by name, and restored, which is said."""
        image = self.original()
        problems = self.world.template(image, statuses=(REFUSED,))["problems"]
        if {problem["kind"] for problem in problems} != {"template"}:
            raise Failure(f"a template is refused because of {problems}")
        (process, report), = self.world.spawn_many(image, ["restored"], **self.stdin())
        if report["cloned"] or "instead" not in process.stderr_text():
            raise Failure(f"it is not said that there is no clone: {process.stderr_text()}")
        self.verify(process, report["pid"], "the restored program verifies")

    def trained(self, image):
        """What a workload touches until it waits for a signal is hot; pages that are hot and of one
        kind of memory must come back as all others of that kind."""
        trained = image.with_suffix(".trained")
        vouched.write(image, trained)
        self.world.thump("train", trained, "--for", "1ms", "--runs", "1", **self.stdin())
        image.unlink()
        memory = self.world.thump_json("inspect", trained)[1]["memory"]
        if not memory["hot_read_bytes"]:
            raise Failure(f"the training found nothing: {memory}")
        return trained

    def run_trained(self):
        trained = self.trained(self.original())
        worlds.evict(trained)
        trained = self.trained(self.again(trained, 1, "--train", "no"))
        process, pid = self.restore(trained, 2, "--train", "no")
        self.verify(process, pid, "the restored program verifies")

    def run(self):
        image = self.original()
        image = self.again(image, 1, "--memory", "lazy-unsafe")
        image = self.again(image, 2)
        process, pid = self.restore(image, 3)
        self.send(pid, signal.SIGUSR2)
        expect_pass(process, "the restored program verifies")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--thump", type=pathlib.Path, required=True)
    parser.add_argument("--user", choices=("root", "user"), required=True)
    parser.add_argument("--ignore", action="append", default=[],
                        help="pattern of a difference that the workload makes by itself")
    parser.add_argument("--stdin", choices=("null", "file", "pipe"), default="null")
    parser.add_argument("--live", action="store_true",
                        help="the original runs on while it is captured")
    parser.add_argument("--spawn", choices=("clone", "unfit"),
                        help="a clone of a template, or what no template can be made of")
    parser.add_argument("--trained", action="store_true", help="restore it from a trained image")
    parser.add_argument("--stop", action="store_true", help="checkpoint it in a group-stop")
    parser.add_argument("workload", type=pathlib.Path)
    parser.add_argument("arguments", nargs="*")
    return parser.parse_args()


def run(options):
    with worlds.World(options.workload.name, options.user, options.thump, DEADLINE_S) as world:
        test = KindTest(world, options)
        if options.spawn == "clone":
            test.run_spawn()
        elif options.spawn == "unfit":
            test.run_unfit()
        elif options.trained:
            test.run_trained()
        else:
            test.run()


if __name__ == "__main__":
    sys.exit(worlds.main(run, arguments()))

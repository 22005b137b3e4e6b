#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many spawns on busy processors while spawns, templates and keepers are killed and the image is replaced: who was not killed
gets a program that verifies, a clone or a restored one, and which of the two is said; nothing is left in the end."""
import itertools
import os
import pathlib
import signal
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.workload import expect_pass, has_ended, saved

AT_ONCE = 4
BUSY = 3
KEEPER_GONE = 121


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Round:
    """Some spawns at once, and what happens to them meanwhile."""

    def __init__(self, world, image, number):
        self.world, self.image, self.number = world, image, number
        self.clones = 0
        self.keeper_killed = False
        found = world.thump_json("template", "list")[1]["templates"]
        self.template = found[0] if found else world.template(image)

    def nothing(self):
        pass

    def kill_template(self):
        kill(self.template["pid"])

    def kill_keeper(self):
        self.keeper_killed = True
        kill(self.template["keeper"])

    def replace_image(self):
        copy = self.world.path("copy")
        copy.write_bytes(self.image.read_bytes())
        copy.chmod(0o400)
        if self.world.changes_user():
            os.chown(copy, os.stat(self.image).st_uid, os.stat(self.image).st_gid)
        os.rename(copy, self.image)

    def stop_template(self):
        self.world.thump("template", "stop", self.image.name, statuses=(0, 1))

    def kill_spawns(self):
        for process in self.spawns[::2]:
            kill(process.pid)

    def expect_verified(self, process):
        """Its status is told by the keeper, if that was not killed."""
        report = process.json()
        text = process.stderr_text()
        if not report.get("pid") or report["cloned"] == ("instead" in text):
            raise Failure(f"{process.name}: {report}, {text}")
        self.clones += report["cloned"]
        os.kill(report["pid"], signal.SIGUSR2)
        if report["cloned"] and self.keeper_killed and process.status() == KEEPER_GONE:
            poll_until(self.world.deadline, f"the end of {process.name}",
                       lambda: has_ended(report["pid"]) or None)
            if process.stderr_text().count("\n") or "keeper" not in process.stderr_text():
                raise Failure(f"{process.name}: {process.stderr_text()}")
        else:
            expect_pass(process, process.name)

    def run(self, event):
        self.spawns = [self.world.start([self.world.thump_path, "spawn", self.image, "--json"],
                                        f"spawn-{self.number}-{index}")
                       for index in range(AT_ONCE)]
        event(self)
        killed = self.spawns[::2] if event is Round.kill_spawns else []
        for process in self.spawns:
            if process not in killed:
                self.expect_verified(process)
        self.end_killed(killed)
        return self.clones

    def end_killed(self, killed):
        """What they have started before runs on, and is listed."""
        for process in killed:
            process.status()

        def attempt():
            self.world.reap_orphans()
            left = [each["pid"] for each in self.world.thump_json("ps", self.image)[1]["processes"]
                    if each["how"] != "template"]
            for pid in left:
                try:
                    os.kill(pid, signal.SIGUSR2)
                except ProcessLookupError:
                    pass
            return None if left else True
        poll_until(self.world.deadline, "programs of killed spawns to end", attempt, pause=0.02)


def expect_nothing_left(world, busy):
    """But those that keep the processors busy: no template, no keeper, no init, no program."""
    allowed = {process.pid for process in busy}

    def attempt():
        world.reap_orphans()
        return None if set(world.descendants()) - allowed else True
    poll_until(world.deadline, "all else to end", attempt, pause=0.02)


def test(world, options):
    image = saved(world, world.reachable(options.workload))
    busy = [world.start(["sh", "-c", "while :; do :; done"], f"busy-{index}")
            for index in range(BUSY)]
    world.template(image)
    events = itertools.cycle((Round.nothing, Round.kill_template, Round.replace_image,
                              Round.kill_spawns, Round.kill_keeper, Round.stop_template))
    clones = 0
    for number, event in zip(range(0, options.spawns, AT_ONCE), events):
        clones += Round(world, image, number).run(event)
        world.forget_ended()
    if clones < options.spawns // 10:
        raise Failure(f"of {options.spawns} spawns only {clones} were clones")
    world.thump("template", "stop", image.name, statuses=(0, 1))
    expect_nothing_left(world, busy)
    if list(world.path("thump").glob("@*")):
        raise Failure(f"left are {list(world.path('thump').glob('@*'))}")


if __name__ == "__main__":
    scenario.run("templates_under_load", test, 280,
                 workload={"type": pathlib.Path, "required": True},
                 spawns={"type": int, "required": True})

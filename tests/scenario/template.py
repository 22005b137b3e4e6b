#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Templates: several clones at once have the program's pid and are true to it; a template ends with
its image, with its keeper and when it is told to, and its clones go on; where there is none, spawn
restores and says so."""
import os
import pathlib
import signal
import stat
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.workload import expect_same, has_ended, settled, verify_restored, wait_ready

CLONES = 3
FAILED, USAGE, REFUSED = 1, 2, 3


def save(world, workload):
    original = world.start([workload], "original")
    wait_ready(original)
    before = settled(original.pid)
    image = world.path("image")
    world.checkpoint(original.pid, image)
    original.status()
    return image, before


def templates(world):
    return world.thump_json("template", "list")[1]["templates"]


def expect_gone(world, pid, what):
    poll_until(world.deadline, f"{what} to end", lambda: has_ended(pid) or None)


def expect_clones(world, image, before):
    clones = world.spawn_many(image, [f"clone-{number}" for number in range(CLONES)])
    if not all(report["cloned"] for _, report in clones):
        raise Failure(f"not all are clones: {[each.stderr_text() for each, _ in clones]}")
    if len({report["pid"] for _, report in clones}) != CLONES:
        raise Failure(f"the clones are {clones}")
    for process, report in clones:
        expect_same(world, before, report["pid"], process.name)
        verify_restored(process, report["pid"])


def expect_signals(world, image):
    """thump spawn passes signals on, and the status."""
    process, report = world.spawn(image, name="signalled")
    os.kill(process.pid, signal.SIGTERM)
    if process.status() != 128 + signal.SIGTERM:
        raise Failure(f"status {process.status()} of a clone that SIGTERM ended")
    expect_gone(world, report["pid"], "the clone that was told to")


def expect_restored(world, source, name, why):
    (process, report), = world.spawn_many(source, [name])
    if report["cloned"] or why not in process.stderr_text():
        raise Failure(f"{name}: {report['cloned']}, {process.stderr_text()}")
    verify_restored(process, report["pid"])


def expect_private(world):
    socket = world.path("thump") / "image"
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (socket, socket.parent)]
    if modes != [0o600, 0o700]:
        raise Failure(f"socket and directory of templates have the modes {modes}")


def run_and_stop(world, image, before):
    started = world.template(image)
    if started["name"] != "image" or [each["name"] for each in templates(world)] != ["image"]:
        raise Failure(f"started {started}, listed {templates(world)}")
    expect_private(world)
    expect_clones(world, image, before)
    expect_clones(world, "image", before)
    expect_signals(world, image)
    if templates(world)[0]["clones"] != 2 * CLONES + 1:
        raise Failure(f"clones are not counted: {templates(world)}")
    again = world.template(image, statuses=(REFUSED,))
    if "already" not in again["error"]["text"]:
        raise Failure(f"a second template of the name: {again}")
    process, report = world.spawn(image, name="survivor")
    stopped = world.thump_json("template", "stop", "image")[1]
    if (stopped["name"], stopped["stopped"], stopped["error"]) != ("image", 1, None):
        raise Failure(f"template stop says {stopped}")
    if templates(world) or not has_ended(started["pid"]):
        raise Failure(f"a template was stopped, and there is {templates(world)}")
    verify_restored(process, report["pid"])
    expect_gone(world, started["keeper"], "the keeper without clones")
    expect_restored(world, image, "without", "there is no template")


def several(world, image):
    """--count: all give clones, also when one of them was killed, the first; and all stop at once."""
    names = ["group", "group.2", "group.3"]
    started = world.template(image, "--name", "group", "--count", "3")["templates"]
    if [each["name"] for each in started] != names or len({each["pid"] for each in started}) != 3:
        raise Failure(f"started {started}")

    def counts():
        return {each["name"]: each["clones"] for each in templates(world)}
    # One of three is left out by chance in 1 of 10^10 runs.
    for number in range(60):
        process, report = world.spawn(("group", image)[number % 2], name=f"of-group-{number}")
        verify_restored(process, report["pid"])
        if all(counts().values()):
            break
    if sorted(counts()) != names or not all(counts().values()):
        raise Failure(f"the clones are of {counts()}")
    os.kill(started[0]["pid"], signal.SIGKILL)
    expect_gone(world, started[0]["keeper"], "the keeper of the first one")
    for number, source in enumerate(("group", image, "group.3")):
        process, report = world.spawn(source, name=f"without-first-{number}")
        verify_restored(process, report["pid"])
    if world.thump_json("template", "stop", "group")[1]["stopped"] != 2:
        raise Failure("of a group of three whose first was killed, not two were stopped")
    if templates(world):
        raise Failure(f"a group was stopped, and there is {templates(world)}")
    world.template(image, "--name", "other.2")
    refused_group = world.template(image, "--name", "other", "--count", "3", statuses=(REFUSED,))
    if [each["name"] for each in templates(world)] != ["other.2"] or not refused_group["error"]:
        raise Failure(f"half a group: {templates(world)}, {refused_group}")
    world.thump("template", "stop", "other.2")


def killed(world, image, role):
    """Whichever of its two processes is killed: the other one ends, and clones go on."""
    started = world.template(image)
    process, report = world.spawn(image, name=f"clone-of-killed-{role}")
    os.kill(started[role], signal.SIGKILL)
    expect_gone(world, started["pid"], "the template")
    poll_until(world.deadline, "the name to go", lambda: templates(world) == [] or None)
    if role == "keeper":
        # Nobody else knows how it ends.
        if process.status() != 120 + FAILED or has_ended(report["pid"]):
            raise Failure(f"status {process.status()} without a keeper")
        os.kill(report["pid"], signal.SIGKILL)
    else:
        verify_restored(process, report["pid"])


def changed(world, image, change, name):
    """The template of an image that is not what it was ends, and nobody gets a clone of it."""
    started = world.template(image)
    change()
    expect_gone(world, started["pid"], f"the template of an image that was {name}")
    expect_gone(world, started["keeper"], f"the keeper of an image that was {name}")
    if templates(world):
        raise Failure(f"{name}: {templates(world)}")


def refused(world, image):
    for words, statuses in ((("start", image, "--name", "a/b"), (USAGE,)),
                            (("start",), (USAGE,)), (("rest",), (USAGE,)),
                            (("stop", "nobody"), (FAILED,)),
                            (("start", world.path("absent")), (FAILED,))):
        world.thump("template", *words, statuses=statuses)
    world.thump("spawn", "nobody", statuses=(120 + FAILED,))
    world.thump("spawn", image, "--memory", "eager", statuses=(120 + USAGE,))


def test(world, options):
    image, before = save(world, world.reachable(options.workload))
    run_and_stop(world, image, before)
    refused(world, image)
    several(world, image)
    for role in ("pid", "keeper"):
        killed(world, image, role)
    copy = world.path("copy")
    copy.write_bytes(image.read_bytes())
    copy.chmod(0o400)
    if world.changes_user():
        os.chown(copy, os.stat(image).st_uid, os.stat(image).st_gid)
    changed(world, image, lambda: os.rename(copy, image), "replaced")
    changed(world, image, image.unlink, "removed")


if __name__ == "__main__":
    scenario.run("template", test, 100, workload={"type": pathlib.Path, "required": True})

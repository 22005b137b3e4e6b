#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clones are in the control groups of their caller, of both versions, whatever those of their template are: by
root, and by a user to whom groups were given. Where he may not move a clone, the image is restored, which is
said. --cgroup has thump and the program in another group than the caller."""
import contextlib
import os
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import groups, scenario
from thumptest.events import Failure, Skip, poll_until
from thumptest.workload import has_ended, saved, verify_restored
from thumptest.world import AS_USER, USER_ID

FAILED = 1


def expect_in(pid, name, wanted, others):
    if not groups.is_in(pid, wanted) or any(groups.is_in(pid, other) for other in others):
        raise Failure(f"{name} is in {pathlib.Path(f'/proc/{pid}/cgroup').read_text()}, not in {wanted}")


def start(world, prefix, name, *words):
    process = world.start([*prefix, world.thump_path, *words, "--json"], name)
    return process, world.report(process)


def spawn(world, prefix, image, name, *options, cloned=True, why=""):
    process, report = start(world, prefix, name, "spawn", image, *options)
    if report["cloned"] != cloned or why not in process.stderr_text():
        raise Failure(f"{name}: {report}, {process.stderr_text()}")
    return process, report


def stop(world, prefix, started):
    world.run([*prefix, world.thump_path, "template", "stop", "image"], "stop")
    poll_until(world.deadline, "the keeper to end", lambda: has_ended(started["keeper"]) or None)


def clones(world, image, prefix, of_template, of_caller, spares=()):
    """Two at once in two groups, one of them the template's own."""
    _, started = start(world, [*groups.inside(of_template), *prefix], "template", "template", "start", image,
                       *spares)
    for name, group, other in (("moved", of_caller, of_template), ("unmoved", of_template, of_caller)):
        process, report = spawn(world, [*groups.inside(group), *prefix], image, name)
        expect_in(report["pid"], name, group, [other])
        verify_restored(process, report["pid"])
    expect_in(started["pid"], "the template", of_template, [of_caller])
    process, report = spawn(world, [*groups.inside(of_template), *prefix], image, "asked", "--cgroup", of_caller)
    expect_in(report["pid"], "what was asked to be there", of_caller, [of_template])
    expect_in(process.pid, "its thump", of_caller, [of_template])
    verify_restored(process, report["pid"])
    return started


def forbidden(world, image, prefix, group):
    """Only root may write there."""
    process, report = spawn(world, [*groups.inside(group), *prefix], image, "forbidden", cloned=False,
                            why="a clone cannot be moved")
    expect_in(report["pid"], "what was restored", group, [])
    verify_restored(process, report["pid"])


def spare_is_not_moved(world, image, of_template, of_caller):
    """What a spare has touched was charged to the template's group."""
    started = clones(world, image, [], of_template, of_caller, spares=("--spares", "1"))

    def spares():
        return world.thump_json("template", "list")[1]["templates"][0]["spares"] or None
    poll_until(world.deadline, "a spare", spares)
    process, report = spawn(world, groups.inside(of_caller), image, "not-a-spare")
    if report["spare"]:
        raise Failure(f"a spare left its group: {report}")
    verify_restored(process, report["pid"])
    stop(world, [], started)


def restored(world, image, group):
    process, report = start(world, [], "restored", "restore", image, "--cgroup", group)
    expect_in(report["pid"], "the restored program", group, [])
    verify_restored(process, report["pid"])
    status, _ = world.run([world.thump_path, "restore", image, "--cgroup", group / "absent"], "absent",
                          statuses=(120 + FAILED,))
    if "enter the control group" not in world.log("absent").read_text():
        raise Failure(f"a group that is not there: {status}, {world.log('absent').read_text()}")


def in_hierarchy(world, image, hierarchy):
    mine = f"thump-test-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        def group(parent, name, owner=None):
            return stack.enter_context(groups.made(parent, f"{mine}-{name}", owner))
        try:
            top = group(hierarchy, "top", USER_ID)
        except OSError as error:
            print(f"no group in {hierarchy}: {error}")
            return False
        first, second, roots = group(top, "a", USER_ID), group(top, "b", USER_ID), group(top, "c")
        os.environ["XDG_RUNTIME_DIR"] = str(world.directory)
        stop(world, [], clones(world, image, [], first, second))
        spare_is_not_moved(world, image, first, second)
        restored(world, image, second)
        users = world.path(f"run-{hierarchy.name}")
        users.mkdir(mode=0o700)
        os.chown(users, USER_ID, USER_ID)
        os.environ["XDG_RUNTIME_DIR"] = str(users)
        started = clones(world, image, AS_USER, first, second)
        forbidden(world, image, AS_USER, roots)
        stop(world, AS_USER, started)
    return True


def test(world, options):
    world.directory.chmod(0o755)
    image = saved(world, world.reachable(options.workload), options=("--mode", "0444"))
    # A list, so that one that cannot be made does not keep the others from being tried.
    if not any([in_hierarchy(world, image, each) for each in groups.hierarchies()]):
        raise Skip("no control groups can be made here")


if __name__ == "__main__":
    scenario.run("template_groups", test, 150, workload={"type": pathlib.Path, "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Templates where there is too little memory, and where callers differ: a template that does not fit is refused or ends with a
word of why and leaves nothing; who differs from the template in limits, or is another user, gets a restored program, which is said, and never
another's clone; who is in another control group, a clone that is there, too."""
import os
import pathlib
import signal
import subprocess
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import groups, scenario
from thumptest.events import Failure, poll_until
from thumptest.workload import has_ended
from thumptest.world import AS_USER, USER_ID

FAILED, REFUSED = 1, 3
PROGRAM_MB = 48
PROGRAM = f"""
import os, sys
content = bytearray(os.urandom({PROGRAM_MB} << 20))
print("ready", flush=True)
for line in sys.stdin:
    if line == "write\\n":
        for at in range(0, len(content), 4096):
            content[at] ^= 1
    print(len(content), flush=True)
"""


def ask(process, line):
    process.popen.stdin.write(line.encode() + b"\n")
    process.popen.stdin.flush()
    return process.line("the answer")


def end(process):
    process.popen.stdin.close()
    process.popen.stdin = None
    return process.status()


def save(world):
    original = world.start(["/usr/bin/python3", "-c", PROGRAM], "program", stdin=subprocess.PIPE)
    original.expect_line("ready")
    image = world.path("image")
    world.checkpoint(original.pid, image, "--mode", "0444")
    original.status()
    return image


def spawn(world, prefix, source, name, *, cloned, why=None, env=None):
    """Works, as a clone or not, and says which."""
    process = world.start([*prefix, world.thump_path, "spawn", source, "--json"], name,
                          stdin=subprocess.PIPE, env=env)
    report = process.json()
    if not report.get("pid") or report["cloned"] != cloned or (
            why is not None and why not in process.stderr_text()):
        raise Failure(f"{name}: {report}, {process.stderr_text()}")
    if ask(process, "?") != str(PROGRAM_MB << 20):
        raise Failure(f"{name} answers otherwise")
    return process, report["pid"]


def start_fails(world, prefix, image, name, statuses, words):
    world.run([*prefix, world.thump_path, "template", "start", image], name, statuses=statuses)
    said = world.log(name).read_text()
    if not any(word in said for word in words):
        raise Failure(f"{name}: none of {words} is in {said!r}")
    expect_no_template(world, name)


def running(world):
    return [pid for pid in world.descendants() if not has_ended(pid)]


def expect_no_template(world, name):
    if world.thump_json("template", "list")[1]["templates"]:
        raise Failure(f"{name}: there is a template")
    left = list(world.path("thump").iterdir()) if world.path("thump").exists() else []
    if left or running(world):
        raise Failure(f"{name}: left are {left} and {running(world)}")


def stop(world, name):
    world.thump("template", "stop", name)
    poll_until(world.deadline, "the keeper to end", lambda: True if not running(world) else None)


def resource_limits(world, image):
    for limit, words in (("--as=30000000", ("Cannot allocate memory",)),
                         ("--data=20000000", ("Cannot allocate memory",)),
                         ("--nofile=5", ("Too many open files",))):
        start_fails(world, ["prlimit", limit], image, f"start{limit}", (FAILED,), words)
    world.template(image)
    process, _ = spawn(world, ["prlimit", "--nofile=30"], image, "other-limit", cloned=False,
                       why="a resource limit")
    if end(process) != 0:
        raise Failure("the program with another limit failed")
    process, _ = spawn(world, [], image, "same-limits", cloned=True)
    end(process)
    stop(world, "image")


def limited(megabytes):
    return groups.Group("memory", memory__limit_in_bytes=f"{megabytes}M",
                        memory__max=f"{megabytes}M")


def memory_of_group(world, image):
    with limited(16) as group:
        if not group:
            return
        start_fails(world, groups.inside(group), image, "start-16M", (REFUSED,),
                    ("the control group allows",))
    with limited(PROGRAM_MB * 3) as group:
        world.template(image)
        # What a restore would have: the caller's group.
        process, pid = spawn(world, groups.inside(group), image, "other-group", cloned=True)
        if not groups.is_in(pid, group):
            raise Failure("the clone is not in the control group of its caller")
        end(process)
        stop(world, "image")
    with limited(PROGRAM_MB * 3 // 2) as group:
        out_of_memory(world, image, group)


def out_of_memory(world, image, group):
    """The template fits, and so does a clone that shares all; it writes to all, and the kernel
    kills whom it likes. What is left works, and says what it is."""
    world.run([*groups.inside(group), world.thump_path, "template", "start", image], "start-in-group")
    process, pid = spawn(world, groups.inside(group), image, "writer", cloned=True)
    if not groups.is_in(pid, group):
        raise Failure("the clone is not in the control group of its caller")
    answer = ask(process, "write")
    killed = [each for each in ("template", "clone") if each == "clone" and answer is None or
              each == "template" and not world.thump_json("template", "list")[1]["templates"]]
    if not killed:
        raise Failure("there was memory for all")
    if answer is None and process.status() != 128 + signal.SIGKILL:
        raise Failure(f"status {process.status()} of a clone that the kernel killed: "
                      f"{process.stderr_text()}")
    if answer is not None:
        end(process)
    for left in world.thump_json("template", "list")[1]["templates"]:
        os.kill(left["pid"], signal.SIGKILL)
    poll_until(world.deadline, "all to end", lambda: True if not running(world) else None)
    process, _ = spawn(world, groups.inside(group), image, "without", cloned=False, why="instead")
    end(process)


def two_users(world, image):
    """Each with a template of the same name and image, at the usual place: nobody sees, uses or
    stops the other's."""
    world.directory.chmod(0o755)
    plain = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    roots = dict(plain, XDG_RUNTIME_DIR=str(world.path("of-root")))
    world.path("of-root").mkdir(mode=0o755)
    world.run([world.thump_path, "template", "start", image, "--name", "ours"], "root's", env=roots)

    def of_user(*words, statuses, env=plain):
        return world.run([*AS_USER, world.thump_path, *words], "user", statuses=statuses, env=env)
    for env in (plain, roots):
        of_user("spawn", "ours", statuses=(120 + FAILED, 120 + REFUSED), env=env)
        of_user("template", "stop", "ours", statuses=(FAILED, REFUSED), env=env)
        process, pid = spawn(world, AS_USER, image, "user-without", cloned=False, why="instead",
                             env=env)
        expect_uid(pid, USER_ID)
        end(process)
    of_user("template", "start", image, "--name", "ours", statuses=(0,))
    for prefix, env, uid in ((AS_USER, plain, USER_ID), ([], roots, 0)):
        process, pid = spawn(world, prefix, "ours", f"clone-of-{uid}", cloned=True, env=env)
        expect_uid(pid, uid)
        end(process)
    of_user("template", "stop", "ours", statuses=(0,))
    process, pid = spawn(world, [], image, "root-again", cloned=True, env=roots)
    end(process)
    world.run([world.thump_path, "template", "stop", "ours"], "stop-root's", env=roots)


def expect_uid(pid, uid):
    if os.stat(f"/proc/{pid}").st_uid != uid:
        raise Failure(f"the process of {uid} belongs to {os.stat(f'/proc/{pid}').st_uid}")


def test(world, _options):
    os.environ["XDG_RUNTIME_DIR"] = str(world.directory)
    image = save(world)
    resource_limits(world, image)
    if world.user == "root":
        memory_of_group(world, image)
        two_users(world, image)


if __name__ == "__main__":
    scenario.run("template_limits", test, 100)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who gets libthump from `thump run`, who does not and why, and that nobody else notices: what the
program starts, and the variable that brought it."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import errno
import os
import shutil

from thumptest import scenario
from thumptest.events import Failure

LIBRARY = "libthump.so.0"
# A program that says what it is like, and what one that it starts is like.
SAY = """\
import os, subprocess
def state(maps, environment):
    return ["libthump" in maps, [word for word in environment if word.startswith("LD_PRELOAD=")]]
print(state(open("/proc/self/maps").read(), [f"{k}={v}" for k, v in os.environ.items()]),
      state(subprocess.run(["cat", "/proc/self/maps"], stdout=subprocess.PIPE).stdout.decode(),
            subprocess.run(["env"], stdout=subprocess.PIPE).stdout.decode().split("\\n")),
      sorted(os.listdir("/proc/self/fd")))
"""


def run(world, command, *words, name, **env):
    """What `thump run` says on stderr, and the program on stdout."""
    said = world.run([world.thump_path, "run", "--verbose", *words, "--", *command], name,
                     env={**os.environ, **env})[1]
    return world.log(name).read_text(), said


def expect(what, have, wanted):
    if have != wanted:
        raise Failure(f"{what}: {have!r} instead of {wanted!r}")


def given(world):
    script = world.path("say.py")
    script.write_text(SAY)
    plain = run(world, ["/usr/bin/python3", script], "--no-preload", name="plain")[1]
    for name, command in (("python3", ["/usr/bin/python3", script]),
                          ("env", ["/usr/bin/env", "/usr/bin/python3", script])):
        expect(name, run(world, command, name=name)[1], plain.replace("[False, []]", "[True, []]", 1))
    script.write_text("#!/usr/bin/python3\n" + SAY)
    script.chmod(0o755)
    expect("script", run(world, [script], name="script")[1],
           plain.replace("[False, []]", "[True, []]", 1))
    # Somebody else's stays, for the program and for its children.
    expect("other", run(world, ["/usr/bin/printenv", "LD_PRELOAD"], name="other",
                        LD_PRELOAD="libm.so.6")[1], "libm.so.6\n")


# What the kernel lets only a process with one thread do, and who is in the namespaces afterwards.
ALONE = """\
import ctypes, os
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000
libc = ctypes.CDLL(None, use_errno=True)
def threads():
    return sorted(open(f"/proc/self/task/{tid}/comm").read().strip() for tid in os.listdir("/proc/self/task"))
before = threads()
done = [libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), libc.setns(os.open("/proc/self/ns/mnt", os.O_RDONLY), 0)]
spaces = {os.readlink(f"/proc/self/task/{tid}/ns/{name}")
          for tid in os.listdir("/proc/self/task") for name in ("user", "mnt")}
print(before, done, len(spaces), len(threads()) == len(before), libc.unshare(-1), ctypes.get_errno())
"""


def makes_way(world):
    """Its thread is not in the way of a program that thinks that it has only one."""
    script = world.path("alone.py")
    script.write_text(ALONE)
    said = run(world, ["/usr/bin/python3", script], name="alone")[1]
    expect("a process with one thread", said,
           f"{['python3', 'thump-watch']} [0, 0] 2 True -1 {errno.EINVAL}\n")


def not_given(world):
    wanted = world.path("set-user-id")
    shutil.copy("/usr/bin/cat", wanted)
    wanted.chmod(0o4755)
    for name, command, why in (
            ("static", [world.thump_path, "--version"], "it is linked statically"),
            ("set-user-id", [wanted, "/dev/null"], "it gets other rights when it is executed")):
        errors, _ = run(world, command, name=name)
        if f", without libthump: {why}" not in errors:
            raise Failure(f"{name}: {errors!r}")


def test(world, options):
    # The tree may lie where only root comes, and the library must lie beside thump.
    if world.thump_path.parent != world.directory:
        world.thump_path = pathlib.Path(shutil.copy(world.thump_path, world.directory))
    shutil.copy(options.thump.parent / LIBRARY, world.path(LIBRARY))
    given(world)
    makes_way(world)
    not_given(world)


if __name__ == "__main__":
    scenario.run("preload", test, 60)

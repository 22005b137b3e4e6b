#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clones of one image draw random numbers, each many from each generator (apps/draws.*): none is
drawn twice, neither by two clones nor by one that was cloned before, nor by a clone's children.
Without libthump some are."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import signal

from thumptest import java, scenario
from thumptest.events import Failure, Skip, poll_until
from thumptest.snapshot import read

LIBRARY = "libthump.so.0"
OPENSSL = pathlib.Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3")
AT_ONCE = 5


def status_of(pid, tid, key):
    text = read(f"/proc/{pid}/task/{tid}/status")
    return next(line.split()[1] for line in text.splitlines() if line.startswith(key + ":"))


def renewed(world, pid):
    """Waits until libthump's thread, where there is one, has done its work and sleeps again."""
    def has_slept(tid):
        if read(f"/proc/{pid}/task/{tid}/comm").strip() not in ("thump-watch", "thump"):
            return True
        return status_of(pid, tid, "State") == "S" and \
            int(status_of(pid, tid, "voluntary_ctxt_switches")) > 0

    def attempt():
        try:
            return all(map(has_slept, os.listdir(f"/proc/{pid}/task"))) or None
        except FileNotFoundError:  # a thread that called hooks has just ended
            return None
    poll_until(world.deadline, "libthump to renew generators", attempt)


def numbers(process):
    """What a clone draws, by generator."""
    drawn = {}
    while (line := process.line("a number")) != "end":
        if line is None:
            raise Failure(f"{process.name} ended with {process.status()}\n{process.stderr_text()}")
        name, number = line.split()
        drawn.setdefault(name, []).append(number)
    return drawn


def clones(world, image, count):
    """What `count` clones draw."""
    for first in range(0, count, AT_ONCE):
        names = [f"clone-{number}" for number in range(first, min(first + AT_ONCE, count))]
        started = world.restore_many(image, names)
        for _, report in started:
            renewed(world, report["pid"])
        for process, report in started:
            os.kill(report["pid"], signal.SIGUSR2)
            yield numbers(process)
            process.status()
            process.close()


def image_of(world, name, command, *words, **env):
    """The image of a program that has drawn one of each, and these."""
    program = world.start([world.thump_path, "run", *words, "--", *command], name,
                          env={**os.environ, **env})
    drawn = {}
    while (line := program.line("'ready'")) != "ready":
        if line is None:
            raise Failure(f"{name} ended with {program.status()}\n{program.stderr_text()}")
        generator, number = line.split()
        drawn.setdefault(generator, []).append(number)
    image = world.path(f"{name}.image")
    world.checkpoint(java.child_of(program, world), image)
    program.status()
    return image, drawn


def repeated(before, drawn):
    """Generators with a number that was drawn more than once, and in all how many were drawn."""
    twice, total = set(), 0
    seen = {name: set(of_one) for name, of_one in before.items()}
    for clone in drawn:
        if clone.keys() != before.keys():
            raise Failure(f"a clone has drawn from {sorted(clone)}, not {sorted(before)}")
        for name, of_one in clone.items():
            total += len(of_one)
            size = len(seen[name])
            seen[name].update(of_one)
            if len(seen[name]) != size + len(of_one):
                twice.add(name)
    return twice, total


def commands(world, options):
    draws = world.reachable(options.draws)
    apps = {suffix: world.reachable(scenario.APPS / f"draws.{suffix}") for suffix in ("py", "js")}
    yield "c", [draws, options.draws_each], {"RAND_bytes", "RAND_priv_bytes"}
    yield "c-hook", [draws, options.draws_each, "hook"], {"RAND_bytes", "RAND_priv_bytes"}
    yield "c-fork", [draws, options.draws_each, "fork"], {"RAND_bytes", "RAND_priv_bytes"}
    yield "python3", ["/usr/bin/python3", apps["py"], options.draws_each], {"random", "ssl"}
    if shutil.which("node") is None:
        raise Skip("node is not installed")
    yield "node", ["node", apps["js"], options.draws_each], {"randomBytes"}


def pending_calls(world, options):
    """An interpreter's `random` is seeded once its queue of calls has room; none is left alone."""
    program = world.reachable(options.interpreter)
    for words, said in (((), ["seed", "end"]), (("none",), ["end"])):
        name = "-".join(["interpreter", *words])
        image, _ = image_of(world, name, [program, *words])
        clone, report = world.restore(image, name=f"{name}-clone")
        renewed(world, report["pid"])
        for line in said:
            if line == "end":
                os.kill(report["pid"], signal.SIGUSR2)
            clone.expect_line(line)
        if clone.status() != 0:
            raise Failure(f"{name} ended with {clone.status()}")


def renamed(world, options):
    """OpenSSL under the name that a Python wheel gives it."""
    library = world.path("libcrypto-1a2b3c4d.so.3")
    shutil.copy(OPENSSL, library)
    image, drawn = image_of(world, "c-renamed", [world.reachable(options.draws), 20],
                            LD_PRELOAD=str(library))
    twice, _ = repeated(drawn, clones(world, image, 2))
    if twice:
        raise Failure(f"c-renamed: some were drawn twice, from {sorted(twice)}")


# Twice, as daemons do: the checkpointed process is neither what was started nor what began the session.
DAEMON = """\
import os, random, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
for last in False, True:
    if os.fork():
        os._exit(0)
    if not last:
        os.setsid()
random.seed(1)
print(os.getpid(), flush=True)
signal.sigwait([signal.SIGUSR2])
for _ in range(20):
    print("random", random.getrandbits(64))
print("end", flush=True)
"""


def daemons(world):
    """A daemon of Python draws numbers of its own, too."""
    script = world.path("daemon.py")
    script.write_text(DAEMON)
    image = world.path("image-daemon")
    program = world.start([world.thump_path, "run", "--", "/usr/bin/python3", script], "daemon")
    pid = int(program.line("the pid of the daemon"))
    world.checkpoint(pid, image)
    drawn = [tuple(clone["random"]) for clone in clones(world, image, 2)]
    if len(set(drawn[0] + drawn[1])) != 40:
        raise Failure(f"two daemons drew {drawn}")


def test(world, options):
    # The tree may lie where only root comes.
    if world.thump_path.parent == world.directory:
        shutil.copy(options.thump.parent / LIBRARY, world.path(LIBRARY))
    pending_calls(world, options)
    renamed(world, options)
    daemons(world)
    for name, command, shared in commands(world, options):
        image, drawn = image_of(world, name, command)
        twice, total = repeated(drawn, clones(world, image, options.clones))
        processes = options.clones * (3 if name == "c-fork" else 1)
        if twice or total != processes * options.draws_each * len(drawn):
            raise Failure(f"{name}: of {total} numbers some were drawn twice, from {sorted(twice)}")
        if name in ("c-hook", "c-fork"):
            continue  # its hook is libthump's; its clones are those of "c"
        image, drawn = image_of(world, f"{name}-plain", command, "--no-preload")
        twice, _ = repeated(drawn, clones(world, image, 2))
        if not shared <= twice:
            raise Failure(f"{name} without libthump: only {sorted(twice)} are drawn twice, so this "
                          "test shows nothing")


if __name__ == "__main__":
    scenario.run("randomness", test, 1500, draws={"type": pathlib.Path, "required": True},
                 interpreter={"type": pathlib.Path, "required": True},
                 clones={"type": int, "default": 10}, **{"draws-each": {"type": int,
                                                                       "default": 2000}})

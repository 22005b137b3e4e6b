#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""checkpoint --live: the program runs on while its copy is captured. The image is of one moment, as
one of a stopped program; the program never sees the copy; and nothing is left of it, whoever ends
meanwhile."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "image"))

import os
import signal

import read_image

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.held import Held, children, is_copy
from thumptest.snapshot import read, status_of
from thumptest.workload import verify_original, verify_restored, wait_ready

FAILED, REFUSED = 1, 3
# Each image is of another moment of a program that changes all the time.
MOMENTS = 6
UTIME = 14  # field of proc_pid_stat(5)
TICKS = 3


def start(world, options, *arguments):
    process = world.start([world.reachable(options.workload), *arguments], "live")
    wait_ready(process)
    return process


def no_children(world, process):
    poll_until(world.deadline, "the copy to be gone",
               lambda: True if not children(process.pid) else None)


def runs(world, process):
    """Waits until it has used processor time."""
    def used():
        text = read(f"/proc/{process.pid}/stat")
        return int(text[text.rindex(")") + 2:].split()[UTIME - 3])
    before = used()
    poll_until(world.deadline, "the program to run",
               lambda: True if used() >= before + TICKS else None)


def runs_on(world, options, *arguments):
    """While it is captured it works, and the image is of the moment before."""
    process, image = start(world, options, *arguments), world.path("runs-on")
    held = Held(world, process.pid, image)
    runs(world, process)
    if os.listdir(f"/proc/{held.copy}/fd"):
        raise Failure("the copy has descriptors")
    if children(process.pid) and not arguments:
        raise Failure("the copy is a child of the program's")
    if held.go_on() != 0:
        raise Failure(f"checkpoint --live: {held.verb.stderr_text()}")
    if children(process.pid):
        raise Failure("the program has a child left")
    verify_original(process)
    restored, report = world.restore(image)
    verify_restored(restored, report["pid"])
    image.unlink()


def changes_flags(world, options):
    """What only smaps shows (madvise(2), mlock(2)) is of the same moment as the memory."""
    for kind in ("inherited", "unforked", "locked"):
        process = world.start([world.reachable(options.flags), kind], "flags")
        wait_ready(process)
        for _ in range(MOMENTS):
            image = world.path("flags")
            world.checkpoint(process.pid, image, "--live")
            restored, report = world.restore(image)
            verify_restored(restored, report["pid"])
            image.unlink()
        verify_original(process)


def of_subreaper(world, options):
    """Who would be the parent of any orphan has the copy as a child."""
    runs_on(world, options, "subreaper")


def target_ends(world, options):
    """The image is made all the same."""
    process, image = start(world, options), world.path("target-ends")
    held = Held(world, process.pid, image)
    process.popen.kill()
    process.status()
    if held.go_on() != 0:
        raise Failure(f"checkpoint --live of a program that ended: {held.verb.stderr_text()}")
    restored, report = world.restore(image)
    verify_restored(restored, report["pid"])


def end(world, held, whom):
    """kill -9 of the verb, of the worker, or of both."""
    if whom != "worker":
        held.verb.popen.kill()
    os.kill(held.worker, signal.SIGCONT if whom == "verb" else signal.SIGKILL)
    if held.verb.status() not in (FAILED, -signal.SIGKILL):
        raise Failure(f"{whom} killed: status {held.verb.status()}")
    poll_until(world.deadline, "the copy to end",
               lambda: None if is_copy(held.copy) else True)


def killed(world, options):
    """The copy goes, and the program stays. When nobody is left to clean up behind the copy of a
    subreaper, that is a zombie until the next checkpoint."""
    for arguments in ([], ["subreaper"]):
        process, image = start(world, options, *arguments), world.path("killed")
        for whom in ("verb", "worker", "both"):
            end(world, Held(world, process.pid, image), whom)
            if not arguments or whom != "both":
                no_children(world, process)
            if image.exists():
                raise Failure(f"{whom} killed: there is an image")
        world.checkpoint(process.pid, image, "--live")
        if children(process.pid):
            raise Failure("a copy is left")
        verify_original(process)
        image.unlink()


def too_large(world, options):
    """What would have to be read while the program stands still is refused, and named."""
    for kind, word in (("shared", "anonymous shared memory"), ("unforked", "MADV_DONTFORK")):
        process = start(world, options, kind, "80")
        for rest in (["-o", world.path("too-large")], ["--dry-run"]):
            report = world.thump_json("checkpoint", process.pid, "--live", *rest,
                                      statuses=(REFUSED,))[1]
            texts = [problem["text"] for problem in report["problems"] if problem["fatal"]]
            if len(texts) != 1 or word not in texts[0] or "without --live" not in texts[0]:
                raise Failure(f"too much {kind} memory: {texts}")
        world.checkpoint(process.pid, world.path(f"large-{kind}"), "--leave-running")
        verify_original(process)


def no_process_more(world, options):
    """An ordinary user's program that may have no more processes."""
    if world.user != "user":
        return
    process = start(world, options)
    world.run(["prlimit", "--nproc=1:1", "--pid", process.pid], "prlimit")
    report = world.thump_json("checkpoint", process.pid, "--live", "-o", world.path("one-more"),
                              statuses=(REFUSED,))[1]
    texts = [problem["text"] for problem in report["problems"] if problem["fatal"]]
    if len(texts) != 1 or "RLIMIT_NPROC" not in texts[0]:
        raise Failure(f"no process more: {texts}")
    verify_original(process)


def notes(path):
    """What an image says, checksums of all content included, without what tells of the moment when
    it was made."""
    data = path.read_bytes()
    header = read_image.header_of(data)
    image = read_image.read_notes(data[header["phoff"] + 56 * header["phnum"]:])
    for name in ("boottime", "monotonic", "realtime"):
        del image["machine"][name]
    del image["seal"]["hash"]
    return image


def sleeps(world, process):
    """Waits until each of its threads is in a system call that waits."""
    poll_until(world.deadline, "the program to wait", lambda: True if all(
        status_of(f"/proc/{process.pid}/task/{task}/status")["State"].split()[0] == "S"
        for task in os.listdir(f"/proc/{process.pid}/task")) else None)


def same_image(world, options):
    """Of a program that waits both ways make the same image."""
    # The kernel writes the number of the processor into each thread's memory (rseq).
    process = world.start(["taskset", "-c", "0", world.reachable(options.quiet)], "quiet")
    wait_ready(process)
    images = {}
    for option in ("--leave-running", "--live", "--live"):
        sleeps(world, process)
        world.checkpoint(process.pid, world.path("same"), option)
        images.setdefault(option, notes(world.path("same")))
        for name, value in images[option].items():
            if value != images["--leave-running"][name]:
                raise Failure(f"{name}: {value}\ninstead of {images['--leave-running'][name]}")
        world.path("same").unlink()
    verify_original(process)


def test(world, options):
    for part in (same_image, runs_on, changes_flags, of_subreaper, target_ends, killed, too_large,
                 no_process_more):
        part(world, options)


if __name__ == "__main__":
    scenario.run("live", test, 150, workload={"type": pathlib.Path, "required": True},
                 flags={"type": pathlib.Path, "required": True},
                 quiet={"type": pathlib.Path, "required": True})

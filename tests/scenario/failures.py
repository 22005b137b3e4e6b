#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that fail, seen from outside: the program goes on as before, and no image is left."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import json
import os
import signal
import subprocess

from thumptest import scenario
from thumptest.events import Failure, poll_until
from thumptest.snapshot import status_of
from thumptest.workload import expect_same, settled, verify_original, wait_ready

FAILED = 1
KILLS = 12


def no_image(world, image):
    """Nothing of that name; a temporary file may stay behind a thump that was killed."""
    if image.exists():
        raise Failure(f"{image.name} exists after a checkpoint that failed")


def not_stopped(report, words):
    """It failed for this reason, before the program was stopped."""
    if words not in report["error"]["text"]:
        raise Failure(f"not named: {words}: {report['error']['text']}")
    if report["threads"] or report["times_ms"]["stop"] or report["times_ms"]["freeze"]:
        raise Failure(f"the program was stopped for nothing: {report['times_ms']}")


def bad_place(world, process, image, words, prefix=()):
    _, output = world.run([*prefix, world.thump_path, "checkpoint", process.pid, "--json", "-o",
                           image], "checkpoint-bad-place", statuses=(FAILED,))
    not_stopped(json.loads(output), words)


def directory_missing(world, process, image):
    bad_place(world, process, world.path("missing") / "image", "No such file")


def directory_in_place_of_image(world, process, image):
    world.path("directory").mkdir()
    bad_place(world, process, world.path("directory"), "not a regular file")


def directory_not_writable(world, process, image):
    directory = world.path("read-only")
    directory.mkdir(mode=0o555)
    if world.user != "root" or os.getuid() != 0:
        bad_place(world, process, directory / "image", "Permission denied")


def file_of_another_user(world, process, image):
    """In a directory like /tmp."""
    if not world.changes_user():
        return
    directory = world.path("sticky")
    directory.mkdir()
    directory.chmod(0o1777)
    (directory / "image").touch()
    bad_place(world, process, directory / "image", "another user")


def mounted_file(world, process, image):
    """As docker run -v FILE:FILE makes it."""
    if world.user != "root":
        return
    mounted = world.path("mounted")
    mounted.touch()
    bad_place(world, process, mounted, "mount point",
              ["unshare", "--mount", "sh", "-c",
               f"mount --bind {mounted} {mounted} && exec \"$@\"", "sh"])


def full_disk(world, process, image):
    """RLIMIT_FSIZE stands for it: that needs no privilege."""
    bad_place(world, process, image, "File too large", ["prlimit", "--fsize=4096"])


def file_too_large(world, process, image):
    """The disk is full after a while."""
    world.run(["prlimit", "--fsize=100000", world.thump_path, "checkpoint", process.pid, "-o", image],
              "checkpoint-fsize", statuses=(FAILED,))


HOLDER = "import os, sys; content = os.urandom(24 << 20); print('ready', flush=True); sys.stdin.read()"
ON_SMALL_DISK = 'mount -t tmpfs -o size="$0" none "$1" && { cd "$1"; shift; "$@"; status=$?; ls -A; ' \
                'exit $status; }'


def on_disk_of(world, size_bytes, holder, words):
    """A checkpoint onto a disk of that size: it fails, says why, and leaves no file."""
    disk = world.path("disk")
    disk.mkdir(exist_ok=True)
    command = [world.thump_path, "checkpoint", holder.pid, "-o", "image"]
    _, left = world.run(["unshare", "--mount", "sh", "-c", ON_SMALL_DISK, size_bytes, disk, *command],
                        f"checkpoint-{size_bytes}", statuses=(FAILED,))
    said = world.log(f"checkpoint-{size_bytes}").read_text()
    if left or words not in said:
        raise Failure(f"on a disk of {size_bytes} bytes: left {left!r}, said {said!r}")
    if holder.has_ended():
        raise Failure(f"a disk of {size_bytes} bytes ended the program")


def small_disk(world, process, image):
    """Surely too small is found before anything is written, a little too small while it is."""
    if world.user != "root":
        return
    holder = world.start(["/usr/bin/python3", "-c", HOLDER], "holder", stdin=subprocess.PIPE)
    holder.expect_line("ready")
    size_bytes = world.checkpoint(holder.pid, image, "--leave-running")["image_bytes"]
    image.unlink()
    on_disk_of(world, size_bytes // 2, holder, "MB are free on its file system")
    on_disk_of(world, size_bytes - (1 << 20), holder, "No space left on device")
    holder.popen.stdin.close()
    if holder.status() != 0:
        raise Failure(f"the program ended with {holder.status()}: {holder.stderr_text()}")


def killed(world, process, image):
    """kill -9, at once or as soon as it has traced the target for a moment. Its worker may have
    the image complete by then, and would end a program that is not to be left running."""
    killed_in_time = 0
    for number in range(KILLS):
        checkpoint = world.start([world.thump_path, "checkpoint", process.pid, "-o", image,
                                  "--leave-running"], f"checkpoint-{number}")

        def traced():
            tracer = int(status_of(f"/proc/{process.pid}/status")["TracerPid"])
            return True if tracer or checkpoint.has_ended() else None

        if number % 2:
            poll_until(world.deadline, "thump to trace", traced, pause=0.0002 * number)
        checkpoint.popen.send_signal(signal.SIGKILL)
        killed_in_time += checkpoint.status() != 0
        # Its worker rolls back by itself, as soon as it notices.
        poll_until(world.deadline, "the worker to let go", lambda: True if int(
            status_of(f"/proc/{process.pid}/status")["TracerPid"]) == 0 else None)
        if image.exists():
            image.unlink()  # whole: it was on disk before thump was killed
        if process.has_ended():
            raise Failure(f"the program ended with {process.status()} when thump was killed")
    if not killed_in_time:
        raise Failure("thump was never killed: it was done before")


CASES = (directory_missing, directory_in_place_of_image, directory_not_writable,
         file_of_another_user, mounted_file, full_disk, file_too_large, small_disk, killed)


def test(world, options):
    process = world.start([world.reachable(options.workload)], "original")
    wait_ready(process)
    before = settled(process.pid)
    image = world.path("image")
    for case in CASES:
        case(world, process, image)
        no_image(world, image)
        expect_same(world, before, process.pid, f"after {case.__name__}")
    verify_original(process)


if __name__ == "__main__":
    scenario.run("failures", test, 60, workload={"type": pathlib.Path, "required": True})

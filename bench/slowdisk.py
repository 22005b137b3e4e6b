# SPDX-License-Identifier: Apache-2.0
"""A disk that reads no faster than it is told, for this process and what it starts: control groups of version 1
(blkio.throttle.read_bps_device) or 2 (io.max). Takes root."""
import contextlib
import os
import pathlib
import time

from measuring import evict

ROOT = pathlib.Path("/sys/fs/cgroup")
# What a limit of the kernel may be off by: it lets some through before it looks.
TOLERANCE = 1.25


class NotHere(Exception):
    """Why there can be no such disk."""


def own_group(controller):
    """The group of this process in the hierarchy of a controller, "" for version 2."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or controllers == controller:
            return path.lstrip("/")
    raise NotHere(f"no control group of {controller or 'version 2'}")


def find_controller():
    """(own group, name of the file that takes limits, how one is written)"""
    if (ROOT / "blkio" / "blkio.throttle.read_bps_device").exists():
        return ROOT / "blkio" / own_group("blkio"), "blkio.throttle.read_bps_device", "{device} {rate}"
    if (ROOT / "cgroup.controllers").exists():
        return ROOT / own_group(""), "io.max", "{device} rbps={rate}"
    raise NotHere("no control group limits disks here")


def read_seconds(path):
    """How long one reader takes that finds nothing of it in memory."""
    evict(path)
    begin = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    return time.monotonic() - begin


class SlowDisk:
    """Such a disk. `mb_s` is what it really reads."""

    def __init__(self, mb_s, other):
        self.mb_s, self.other = mb_s, other

    def tire(self):
        """To be called right before each thing that is measured: a group that has read nothing for a while is
        let read at once what it could have read in a tenth of a second (throtl_slice in the kernel)."""
        read_seconds(self.other)


@contextlib.contextmanager
def slow_disk(path, other, mb_s):
    """The disk of the file `path`, for the length of the block; `other` is another file there."""
    own, name, line = find_controller()
    group = own / f"thump-bench-{os.getpid()}"
    device = os.stat(path).st_dev
    try:
        group.mkdir()
        try:
            (group / name).write_text(line.format(
                device=f"{os.major(device)}:{os.minor(device)}", rate=int(mb_s * 1e6)))
            (group / "cgroup.procs").write_text(str(os.getpid()))
            real = path.stat().st_size / read_seconds(path) / 1e6
            if real > TOLERANCE * mb_s:
                raise NotHere(f"the disk reads {real:.0f} MB/s, whatever limit it has")
            yield SlowDisk(real, other)
        finally:
            (own / "cgroup.procs").write_text(str(os.getpid()))
            group.rmdir()
    except OSError as error:
        raise NotHere(str(error)) from error

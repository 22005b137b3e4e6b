# SPDX-License-Identifier: Apache-2.0
"""The protocol of tests/kinds/workload.h, seen from the driver."""
import os
import signal

from thumptest import snapshot
from thumptest.events import Failure, Skip, poll_until

SETTLE_TRIES = 500
COMPARE_TRIES = 200
SKIPPED = 77
# A thread that was running in so many snapshots never blocks.
SPINS_AFTER = 30


def has_ended(pid):
    """Also when nobody has reaped it."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_ready(process):
    """Everything that the workload tells before `ready`, as (key, value)."""
    told = []
    while (line := process.line("'ready'")) != "ready":
        if line is None:
            status = process.status()
            if status == SKIPPED:
                raise Skip(process.stderr_text().splitlines()[-1].removeprefix("SKIP "))
            raise Failure(f"{process.name} ended with {status} before it was ready:\n"
                          f"{process.stderr_text()}")
        told.append(tuple(line.split(" ", 1)))
    return told


def saved(world, *command, name="image", options=()):
    """The image of a workload, which has ended."""
    original = world.start(command, f"original-of-{name}")
    wait_ready(original)
    image = world.path(name)
    world.checkpoint(original.pid, image, *options)
    original.status()
    return image


def verify_original(process):
    os.kill(process.pid, signal.SIGUSR1)
    expect_pass(process, f"{process.name} verifies")


def verify_restored(process, pid):
    os.kill(pid, signal.SIGUSR2)
    expect_pass(process, f"{process.name} verifies")


def expect_pass(process, when):
    status = process.status()
    if status != 0:
        raise Failure(f"{when}: status {status}\n{process.stderr_text()}")


def settled(pid):
    """A snapshot that stays as it is: every thread is blocked in a system call, but for those that
    are found running again and again."""
    running = {}
    previous = None
    for _ in range(SETTLE_TRIES):
        current = snapshot.take(pid)
        restless = [tid for tid, task in current["tasks"].items()
                    if task["syscall"][0] == "running" and
                    running.setdefault(tid, 0) < SPINS_AFTER]
        for tid in restless:
            running[tid] += 1
        if not restless and current == previous:
            break
        previous = current
    return current


def expect_same(world, before, pid, when, image=None, ignore=()):
    """/proc/PID shows what it showed `before`. There is no event for "every thread is blocked
    again", so this looks some times. `image`: what memory was lazily restored from."""
    history = []

    def attempt():
        after = snapshot.take(pid, image=str(image) if image else None)
        history.append(snapshot.compare(before, after, lazy=image is not None, ignore=ignore))
        return True if not history[-1] or len(history) > COMPARE_TRIES else None

    poll_until(world.deadline, when, attempt, pause=0.01)
    if history[-1]:
        # The fewest differences: what went on to change meanwhile only hides the cause.
        raise Failure(f"{when}:\n    " + "\n    ".join(min(history, key=len)[:40]))

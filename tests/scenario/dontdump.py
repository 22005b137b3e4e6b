#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory that a program keeps out of core dumps (MADV_DONTDUMP) is in its image, as it goes on to use it. With
--leave-out-dontdump it is not: neither in the file nor in the restored process, which has all else."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import signal

from thumptest import scenario
from thumptest.events import Failure

SIZE = 1 << 20
# The texts are made here, so that they are nowhere else in its memory but where they are put.
PROGRAM = ["/usr/bin/python3", "-c",
           "import mmap, signal\n"
           "def fill(word):\n"
           f"    memory = mmap.mmap(-1, {SIZE}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
           f"    for at in range(0, {SIZE}, 4096):\n"
           "        memory[at:at + 16] = bytes(ord(c) ^ 1 for c in word)\n"
           "    return memory\n"
           "def count(memory, word):\n"
           "    wanted = bytes(ord(c) ^ 1 for c in word)\n"
           f"    return sum(memory[at:at + 16] == wanted for at in range(0, {SIZE}, 4096))\n"
           "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
           "kept, secret = fill('kept-kept-kept--'), fill('secret-secret---')\n"
           "secret.madvise(mmap.MADV_DONTDUMP)\n"
           "print('ready', flush=True)\n"
           "signal.sigwait([signal.SIGUSR1])\n"
           "print(count(kept, 'kept-kept-kept--'), count(secret, 'secret-secret---'), any(secret[:]),\n"
           "      flush=True)\n"]


def pages_with(image, word):
    return image.read_bytes().count(bytes(ord(c) ^ 1 for c in word))


def expect_image(image, nr_secret):
    found = pages_with(image, "kept-kept-kept--"), pages_with(image, "secret-secret---")
    if found[0] < SIZE // 4096 or (found[1] < nr_secret if nr_secret else found[1] > 1):
        raise Failure(f"{image.name} has {found} pages")


def expect_restored(world, image, line):
    process, report = world.restore(image, name=f"restore-{image.name}")
    with open(f"/proc/{report['pid']}/smaps", encoding="ascii") as file:
        flags = [text.split()[1:] for text in file if text.startswith("VmFlags:")]
    if not any("dd" in words and "wr" in words for words in flags):
        raise Failure(f"{image.name}: MADV_DONTDUMP was forgotten")
    process.popen.send_signal(signal.SIGUSR1)
    process.expect_line(line)
    if process.status() != 0:
        raise Failure(f"{image.name}: {process.stderr_text()}")


def test(world, _options):
    program = world.start(PROGRAM, "program")
    program.expect_line("ready")
    whole, without = world.path("whole"), world.path("without")
    world.checkpoint(program.pid, whole, "--leave-running")
    world.checkpoint(program.pid, without, "--leave-out-dontdump")
    nr_pages = SIZE // 4096
    expect_image(whole, nr_pages)
    # At most on the stack of who has written it last.
    expect_image(without, 0)
    expect_restored(world, whole, f"{nr_pages} {nr_pages} True")
    expect_restored(world, without, f"{nr_pages} 0 False")


if __name__ == "__main__":
    scenario.run("dontdump", test, 60)

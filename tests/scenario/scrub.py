#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`thump checkpoint --scrub`: memory that is named by its addresses, or as a mapping, is neither in the image nor in the
restored process, which finds zeros there and has all else. What cannot be left out is refused by name, and the process
goes on."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import re
import signal

from thumptest import scenario
from thumptest.events import Failure

SIZE, PAGE = 1 << 20, 4096
NAME = "[anon:keys]"
# The texts are made here, so that they are nowhere else in its memory but where they are put.
PROGRAM = ["/usr/bin/python3", "-c",
           "import ctypes, mmap, signal\n"
           "def fill(word):\n"
           f"    memory = mmap.mmap(-1, {SIZE}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
           f"    for at in range(0, {SIZE}, {PAGE}):\n"
           "        memory[at:at + 16] = bytes(ord(c) ^ 1 for c in word)\n"
           "    return memory\n"
           "def count(memory, word):\n"
           "    wanted = bytes(ord(c) ^ 1 for c in word)\n"
           f"    return sum(memory[at:at + 16] == wanted for at in range(0, {SIZE}, {PAGE}))\n"
           "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
           "kept, secret = fill('kept-kept-kept--'), fill('secret-secret---')\n"
           "secret.madvise(mmap.MADV_DONTFORK)\n"  # a mapping of its own
           "start = ctypes.addressof(ctypes.c_char.from_buffer(secret))\n"
           "PR_SET_VMA, PR_SET_VMA_ANON_NAME = 0x53564d41, 0\n"
           "failed = ctypes.CDLL(None).prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, ctypes.c_ulong(start),\n"
           f"                                 ctypes.c_ulong({SIZE}), b'keys')\n"
           "print(f'{start:x}', 'named' if failed == 0 else 'nameless', flush=True)\n"
           "signal.sigwait([signal.SIGUSR1])\n"
           "print(count(kept, 'kept-kept-kept--'), count(secret, 'secret-secret---'), any(secret[:]),\n"
           "      flush=True)\n"]


def pages_with(image, word):
    return image.read_bytes().count(bytes(ord(c) ^ 1 for c in word))


def saved(world, program, name, nr_pages, *options):
    """The image lacks `nr_pages` pages of the secret (but for one on the stack of who has written it last), and
    nothing else."""
    image, all_pages = world.path(name), SIZE // PAGE
    world.checkpoint(program.pid, image, "--leave-running", *options)
    kept, secret = pages_with(image, "kept-kept-kept--"), pages_with(image, "secret-secret---")
    if kept < all_pages or not all_pages - nr_pages <= secret <= all_pages - nr_pages + 1:
        raise Failure(f"{name} has {kept} pages and {secret} secret ones")
    process, _ = world.restore(image, name=f"restore-{name}")
    process.popen.send_signal(signal.SIGUSR1)
    process.expect_line(f"{all_pages} {all_pages - nr_pages} {nr_pages < all_pages}")
    if process.status() != 0:
        raise Failure(f"{name}: {process.stderr_text()}")
    image.unlink()


def refused(world, program, text, what, status=scenario.REFUSED):
    image = world.path("never")
    log = world.log("refused")
    log.unlink(missing_ok=True)
    world.thump("checkpoint", program.pid, "-o", image, "--scrub", what, name="refused", statuses=(status,))
    said = log.read_text(encoding="utf-8")
    if text not in said or image.exists():
        raise Failure(f"--scrub {what}: {said}")


def file_mapping(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        return next(re.match(r"\S+", line)[0] for line in file if " r-xp " in line and "/" in line)


def test(world, _options):
    program = world.start(PROGRAM, "program")
    start, named = program.line("its secret").split()
    start = int(start, 16)
    end = start + SIZE
    saved(world, program, "whole", 0)
    saved(world, program, "without", SIZE // PAGE, "--scrub", f"{start:x}-{end:x}")
    saved(world, program, "live", SIZE // PAGE, "--live", "--scrub", f"{start:#x}-{end:#x}")
    # Out of order, and twice the same.
    saved(world, program, "parts", 3, "--scrub", f"{end - PAGE:x}-{end:x}", "--scrub",
          f"{start:x}-{start + 2 * PAGE:x}", "--scrub", f"{start:x}-{start + PAGE:x}")
    if named == "named":
        saved(world, program, "named", SIZE // PAGE, "--scrub", NAME)
    refused(world, program, "has no memory at 1000", "1000-2000")
    refused(world, program, "not private anonymous memory, but /", file_mapping(program.pid))
    refused(world, program, "no mapping has that name", "[anon:others]")
    for what in f"{start:x}", f"{start + 1:x}-{end:x}", f"{end:x}-{start:x}", f"-{end:x}", "secret", "[":
        refused(world, program, "--scrub takes", what, status=2)
    program.popen.send_signal(signal.SIGUSR1)
    program.expect_line(f"{SIZE // PAGE} {SIZE // PAGE} True")


if __name__ == "__main__":
    scenario.run("scrub", test, 60)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: dry_runs.py THUMP VICTIM ROUNDS: `thump checkpoint --dry-run` again and again on a program
that sits in every system call that waits: nobody sees it end, no timeout comes early. (Late is what
they may be on a machine that has more to do than this.)"""
import subprocess
import sys

DONE, REFUSED = 0, 3


def ask(victim, order):
    victim.stdin.write(order)
    victim.stdin.flush()
    answer = victim.stdout.readline().strip()
    if not answer.startswith("0 errors 0 eintrs "):
        sys.exit(f"the victim says: {answer!r}")


def main():
    thump, path, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    victim = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if victim.stdout.readline() != "ready\n":
        sys.exit("the victim is not ready")
    for _ in range(rounds):
        # It has much that cannot be saved; that is listed after it was asked for everything.
        run = subprocess.run([thump, "checkpoint", str(victim.pid), "--dry-run"], check=False,
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode not in (DONE, REFUSED):
            sys.exit(f"thump: status {run.returncode}: {run.stderr}")
    ask(victim, "p")
    ask(victim, "q")
    sys.exit(victim.wait())


if __name__ == "__main__":
    main()

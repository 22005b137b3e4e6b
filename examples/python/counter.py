# SPDX-License-Identifier: Apache-2.0
"""A program in Python that keeps what clones must not share, and saves itself on SIGUSR1.

    thump run -- python3 counter.py &
    thump checkpoint PID -o counter.thump     # or: kill -USR1 PID
    thump restore counter.thump               # another node, another token, the same count
"""
import itertools
import random
import secrets
import signal

import thump

node = random.getrandbits(32)


def renew(outcome):
    global node
    if outcome is thump.Outcome.RESTORED:
        node = random.getrandbits(32)


def save():
    try:
        print(thump.checkpoint("counter.thump", leave_running=True).name, flush=True)
    except thump.Refused as refused:
        print(f"not saved: {refused}", flush=True)


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
thump.register(after=renew, name="node")
for count in itertools.count():
    print(f"{count}: node {node:08x}, token {secrets.token_hex(4)}, "
          f"generation {thump.generation():016x}", flush=True)
    if signal.sigtimedwait({signal.SIGUSR1}, 1):
        save()

# SPDX-License-Identifier: Apache-2.0
"""Hooks of the Python module, which say what they are called for: python3 hooks.py IMAGE
[refuse | raise]. SIGUSR1: a checkpoint by the program itself."""
import random
import signal
import sys

import thump


def say(*words):
    print(*words, flush=True)


def before():
    say("before")
    if "refuse" in sys.argv:
        return False
    if "raise" in sys.argv:
        raise RuntimeError("not now")


def save():
    try:
        outcome = thump.checkpoint(sys.argv[1], leave_running=True)
        say("checkpoint", outcome.name, "restored" if thump.restore_time() else "never restored")
    except thump.Refused as refused:
        say("refused:", refused)
    except OSError as error:
        if not isinstance(error, BlockingIOError) and error.errno != 16:
            raise
        save()  # EBUSY: the one before ends a moment after its last hook


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
thump.register(before, lambda outcome: say("after", outcome.name), name="talker")
with thump.register(lambda: say("never"), name="closed"):
    pass
say("ready")
while True:
    signal.sigwait({signal.SIGUSR1})
    save()
    say("number", format(random.getrandbits(64), "016x"), format(thump.generation(), "016x"))

# SPDX-License-Identifier: Apache-2.0
"""Draws random numbers as draws.c does: python3 draws.py COUNT"""
import random
import secrets
import signal
import ssl
import sys
import uuid


def draw():
    print("random", format(random.getrandbits(128), "032x"))
    print("secrets", secrets.token_hex(16))
    print("uuid4", uuid.uuid4().hex)
    print("ssl", ssl.RAND_bytes(16).hex())


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
draw()
print("ready", flush=True)
signal.sigwait({signal.SIGUSR2})
for _ in range(int(sys.argv[1])):
    draw()
print("end", flush=True)

# SPDX-License-Identifier: Apache-2.0
"""Threads, queues and objects: on standard input a number per line, on standard output the number
and a digest of all that was kept. The answers depend on nothing but the numbers, and on hash(),
which the interpreter seeds when it starts, not at all."""
import queue
import sys
import threading
import zlib

WORKERS = 5


def work(worker, orders, results):
    kept, state = {}, worker
    while True:
        state ^= orders.get()
        for _ in range(300):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            kept[(state >> 35) % 200] = f"{state:x}" * ((state >> 40) % 9)
        results.put(zlib.crc32(repr(sorted(kept.items())).encode()))


results = queue.SimpleQueue()
orders = [queue.Queue() for _ in range(WORKERS)]
for number, line in enumerate(orders):
    threading.Thread(target=work, args=(number, line, results), daemon=True).start()
print("ready", flush=True)
digest = 0
for line in sys.stdin:
    for each in orders:
        each.put(int(line))
    digest += sum(results.get() for _ in orders)
    print(line.strip(), f"{digest:x}", flush=True)

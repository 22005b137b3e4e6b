# SPDX-License-Identifier: Apache-2.0
"""What clones of a template cost together after they have worked for a while."""
import subprocess
import threading
import time

import templates
from measuring import limit, say, service

CLONES = 20
PER_SECOND = 10  # of each clone
COLLECTIONS = 2


class Client(threading.Thread):
    """Asks one clone, so many times a second, until it is told to stop; Tomcat and its like end a
    connection after 100 requests."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.answers, self.failure = port, 0, None
        self.done = threading.Event()

    def run(self):
        try:
            while not self.done.is_set():
                with service.connect(self.port) as connection:
                    for _ in range(100):
                        service.ask(connection)
                        self.answers += 1
                        if self.done.wait(1 / PER_SECOND):
                            break
        except (OSError, service.Failure) as failure:
            self.failure = failure


def spawn(bench, port, own):
    process = subprocess.Popen([bench.thump, "spawn", templates.NAME, "--json", "--port", f"{port}:{own}"],
                               stdout=subprocess.PIPE)
    with limit("a clone"):
        return process, service.read_json(process.stdout.fileno())["pid"]


def costs(bench):
    """Of one clone, in MB."""
    sums = templates.thump_json(bench, "ps", templates.NAME)["sums"]["programs"]
    return {name: sums[f"{name}_bytes"] / sums["count"] / 1e6 for name in ("rss", "pss", "private")}


def work(clients, seconds):
    """In parts, so that an end of a clone is seen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(1, seconds))
        for client in clients:
            if client.failure:
                raise service.Failure(f"the clone at port {client.port}: {client.failure}")


def run_clones(bench, port, seconds):
    ports = [service.free_port() for _ in range(CLONES)]
    clones, clients = [], [Client(own) for own in ports]
    rows = []
    try:
        clones = [spawn(bench, port, own) for own in ports]
        for client in clients:
            client.start()
        work(clients, 2)
        rows.append(("after 2 s", costs(bench)))
        for number in range(1, COLLECTIONS + 1):
            work(clients, seconds / COLLECTIONS)
            rows.append((f"after {number * seconds // COLLECTIONS} s, before full collection {number}",
                         costs(bench)))
            for _, pid in clones:
                with limit("a full collection"):
                    subprocess.run(["jcmd", str(pid), "GC.run"], check=True, stdout=subprocess.DEVNULL)
            work(clients, 2)
            rows.append(("after it", costs(bench)))
        return {"rows": rows, "clones": CLONES, "seconds": seconds,
                "answers": sum(client.answers for client in clients)}
    finally:
        for client in clients:
            client.done.set()
        for process, _ in clones:
            process.terminate()
        for process, _ in clones:
            service.end(process)


def measure(bench, image, port, rss_kb, seconds):
    say(f"{CLONES} clones at {PER_SECOND} requests a second each, for {seconds} s")
    with templates.template(bench, image):
        return {**run_clones(bench, port, seconds), "rss_mb": rss_kb * 1024 / 1e6}


def lines(result):
    """A table for docs/performance.md."""
    return [f"{result['clones']} clones, {PER_SECOND} requests a second each ({result['answers']} answers in all), "
            f"of an original of {result['rss_mb']:.0f} MB:", "",
            "| MB of each | RSS | PSS | private | PSS, of the original's RSS |", "|---|---|---|---|---|",
            *(f"| {when} | {cost['rss']:.1f} | {cost['pss']:.1f} | {cost['private']:.1f} "
              f"| {100 * cost['pss'] / result['rss_mb']:.0f}% |" for when, cost in result["rows"])]

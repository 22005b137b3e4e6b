# SPDX-License-Identifier: Apache-2.0
"""How long a program stands still while it is saved live, and on what; against a fork of that size."""
import subprocess

from measuring import limit, service

CHECKPOINTS = 5
PLAIN_MB = 400
# What the time is made of; "fork" is part of "copy".
PHASES = {"stop": "threads stopped", "state": "facts of the process and its threads",
          "remote": "system calls that it makes for thump", "fds": "descriptors",
          "maps": "mappings", "fork": "fork", "kept": "shared memory, and what else a copy lacks"}


def measure(bench, pid, size_mb, tmpfs):
    image, reports = tmpfs / "bench.thump", []
    try:
        for _ in range(CHECKPOINTS):
            image.unlink(missing_ok=True)
            with limit("a live checkpoint"):
                reports.append(service.checkpoint(bench.thump, pid, image, "--live"))
    finally:
        image.unlink(missing_ok=True)
    pauses = [report["times_ms"]["freeze"] + report["times_ms"]["reap"] for report in reports]
    best = min(range(CHECKPOINTS), key=lambda index: pauses[index])
    return {"pause_ms": pauses[best], "pauses_ms": pauses, "phases": reports[best],
            "fork": bench.limits("fork", size_mb)}


def measure_plain(bench, tmpfs):
    """A program of one thread that has so much memory, in pages of 4 KiB, and does nothing."""
    program = subprocess.Popen([str(bench.helpers / "bench_limits"), "hold", str(PLAIN_MB)],
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        with limit("the start of the program"):
            program.stdout.readline()
        return measure(bench, program.pid, PLAIN_MB, tmpfs)
    finally:
        service.end(program)


def bar(what, live):
    return (f"checkpoint --live of {what}, pause, against 1.3 forks of that size + 5 ms",
            live["pause_ms"], 1.3 * live["fork"]["ms"] + 5, "ms", True)


def parts(live):
    """(what, milliseconds), which add up to the pause."""
    times = dict(live["phases"]["times_ms"])
    times["kept"] = times["copy"] - times["fork"]
    known = [(text, times[name]) for name, text in PHASES.items()]
    rest = live["pause_ms"] - sum(ms for _, ms in known)
    return [*known, ("threads set going, and the rest", rest), ("all of it", live["pause_ms"]),
            ("a plain fork of that size, in this run", live["fork"]["ms"])]


def details(plain, server):
    """Rows of a table, the first of them its head."""
    return [["the pause of checkpoint --live, ms", f"one thread, {PLAIN_MB} MB",
             f"JDK server, {server['phases']['threads']} threads"],
            *([what, f"{ms:.2f}", f"{other:.2f}"]
              for (what, ms), (_, other) in zip(parts(plain), parts(server)))]

# SPDX-License-Identifier: Apache-2.0
"""How soon clones of a template answer: as they are, as spares, and a hundred at once."""
import contextlib
import json
import subprocess
import time

from measuring import limit, say, service, summary

NAME = "bench"
CLONES = 100
REPORTS = 5


def thump_json(bench, *arguments):
    with limit(" ".join(arguments)):
        done = subprocess.run([bench.thump, *arguments, "--json"], check=True, text=True,
                              stdout=subprocess.PIPE)
    return json.loads(done.stdout)


@contextlib.contextmanager
def template(bench, image, *options):
    thump_json(bench, "template", "start", str(image), "--name", NAME, *options)
    try:
        yield
    finally:
        with limit("the end of the template"):
            subprocess.run([bench.thump, "template", "stop", NAME], check=True)


def await_spare(bench):
    """Its memory, in kB."""
    with limit("a spare of the template"):
        while True:
            listed = thump_json(bench, "template", "list")["templates"]
            own = next(one for one in listed if one["name"] == NAME)
            if own["spares"]:
                return own["spares_kb"]
            time.sleep(0.01)


def report(bench):
    """What one `thump spawn --json` says; its program is ended."""
    process = subprocess.Popen([bench.thump, "spawn", NAME, "--json"], stdout=subprocess.PIPE)
    try:
        with limit("the report of a clone"):
            return service.read_json(process.stdout.fileno())
    finally:
        service.end(process)


def measure_clones(bench, port, prepare):
    """`prepare`: called before each. Running is what thump says itself, without its own start."""
    results, reports = [], []
    for _ in range(bench.runs):
        prepare()
        results += bench.stopwatch("http", port, "/search?q=red", bench.thump, "spawn", NAME, runs=1)
    for _ in range(REPORTS):
        prepare()
        reports.append(report(bench))
    best = min(reports, key=lambda one: one["times_us"]["total"])
    return {**summary(results), "phases": best, "running_us": best["times_us"]["total"]}


def measure_many(bench, port):
    """Each at a port of its own, until the last has answered; then what they cost together."""
    ports = [service.free_port() for _ in range(CLONES)]
    start = time.monotonic()
    clones = [subprocess.Popen([bench.thump, "spawn", NAME, "--port", f"{port}:{own}"],
                               stdout=subprocess.DEVNULL) for own in ports]
    try:
        for own, clone in zip(ports, clones):
            with limit(f"{CLONES} clones"), service.connect(own, clone) as connection:
                service.ask(connection)
        seconds = time.monotonic() - start
        return {"clones": CLONES, "seconds": seconds,
                **thump_json(bench, "ps", NAME)["sums"]["programs"]}
    finally:
        for clone in clones:
            clone.terminate()
        for clone in clones:
            service.end(clone)


def measure(bench, image, port, rss_kb):
    say("clones of a template of the server")
    with template(bench, image):
        result = {"clone": measure_clones(bench, port, lambda: None),
                  "many": measure_many(bench, port)}
    say("spares of a template of the server")
    with template(bench, image, "--spares", "1"):
        result["spare_kb"] = await_spare(bench)
        result["spare"] = measure_clones(bench, port, lambda: await_spare(bench))
    return {**result, "rss_kb": rss_kb, "fork": bench.limits("fork", rss_kb // 1024)}


def bars(result):
    clone, spare, many = result["clone"], result["spare"], result["many"]
    pss_kb = many["pss_bytes"] / many["count"] / 1024
    return [
        ("JDK server, clone of a template, running (without the start of thump)",
         clone["running_us"] / 1e3, 1.5, "ms", True),
        ("  to the first 200, best", clone["best_us"] / 1e3, 10.0, "ms", True),
        ("  the same with a spare", spare["best_us"] / 1e3, 4.0, "ms", True),
        (f"  {many['clones']} clones until all have answered", many["seconds"], 1.0, "s", True),
        ("  PSS of each then, against the RSS of the original", 100 * pss_kb / result["rss_kb"],
         15.0, "%", True),
    ]


def line(result):
    """What stands beside the bars."""
    spare, many = result["spare"], result["many"]
    return (f"A spare runs {spare['running_us'] / 1e3:.2f} ms after it is taken, and costs "
            f"{result['spare_kb'] / 1e3:.1f} MB while it waits. Each of {many['count']} clones has "
            f"{many['private_bytes'] / many['count'] / 1e6:.1f} MB of its own. A fork of that size "
            f"takes {result['fork']['ms']:.1f} ms, if nothing is a huge page.")

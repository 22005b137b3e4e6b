#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spares of a template: made before anybody asks, each gets what whoever takes it has: stdin, stdout, the
port and the pid file; until then nobody sees of it. One that dies is replaced, and all end with their
template. What cannot wait is refused by name."""
import os
import pathlib
import signal
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.events import Failure, connect, free_port, poll_until
from thumptest.workload import has_ended, saved

REFUSED = 3
SPARES = 2

# Each line that a connection sends is a word: what is answered shows what the process was given.
SERVICE = """
import socket, sys
kept = open(sys.argv[2])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    with server.accept()[0] as client:
        word = client.makefile().readline().strip()
        if word == "read":
            client.sendall(sys.stdin.readline().encode())
        elif word == "kept":
            kept.seek(0)
            client.sendall(kept.readline().encode())
        elif word == "end":
            sys.exit(7)
        else:
            print(word, flush=True)
            client.sendall(b"printed\\n")
"""


def ask(world, port, word, process=None):
    with connect(port, world.deadline, process) as connection:
        connection.sendall(word.encode() + b"\n")
        return connection.makefile().readline().strip()


def save(world, port):
    kept = world.path("kept")
    kept.write_text("content\n", encoding="ascii")
    return saved(world, "/usr/bin/python3", "-c", SERVICE, str(port), kept)


def listed(world):
    templates = world.thump_json("template", "list")[1]["templates"]
    return templates[0] if templates else None


def wait_for_spares(world, without=()):
    def attempt():
        spares = listed(world)["spares"]
        return spares if len(spares) == SPARES and not set(spares) & set(without) else None
    return poll_until(world.deadline, f"{SPARES} spares", attempt, pause=0.02)


def expect_gone(world, pids, what):
    poll_until(world.deadline, f"spares to end with {what}",
               lambda: all(has_ended(pid) for pid in pids) or None)


def expect_listed(world, image, spares):
    """`thump ps` tells what waits from what runs."""
    report = world.thump_json("ps", image)[1]
    found = {each["pid"] for each in report["processes"] if each["how"] == "spare"}
    if found != set(spares) or report["sums"]["spares"]["count"] != len(spares):
        raise Failure(f"of the spares {spares} thump ps lists {report}")


def expect_unseen(port):
    """A spare that nobody has taken has not bound the program's port."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        if f"0100007F:{port:04X} 00000000:0000 0A" in table.read():
            raise Failure(f"a spare listens on port {port}")


def take(world, name, port, own, *options, **popen):
    process = world.start([world.thump_path, "spawn", "image", "--port", f"{port}:{own}", *options],
                          name, **popen)
    return process


def expect_taken(world, port, spares):
    """Two at once, each with a port, a stdout and a status of its own."""
    ports = [free_port() for _ in range(SPARES)]
    taken = []
    for number, own in enumerate(ports):
        pid_file = world.path(f"pid-{number}")
        process = take(world, f"taken-{number}", port, own, "--pid-file", pid_file)
        if ask(world, own, f"word-{number}", process) != "printed":
            raise Failure(f"{process.name} does not print")
        if process.line("its word") != f"word-{number}":
            raise Failure(f"{process.name} prints elsewhere")
        poll_until(world.deadline, "the pid file", lambda: pid_file.exists() or None)
        pid = int(pid_file.read_text(encoding="ascii"))
        if pid not in spares:
            raise Failure(f"{process.name} is {pid}, none of the spares {spares}")
        taken.append((process, own))
        how = [each["how"] for each in world.thump_json("ps", "image")[1]["processes"]
               if each["pid"] == pid]
        if how != ["spawn"]:
            raise Failure(f"a spare that was taken is listed as {how}")
    for process, own in taken[:1]:
        os.kill(process.pid, signal.SIGTERM)
        if process.status() != 128 + signal.SIGTERM:
            raise Failure(f"status {process.status()} of a spare that SIGTERM ended")
    for process, own in taken[1:]:
        ask(world, own, "end", process)
        if process.status() != 7:
            raise Failure(f"status {process.status()} of a spare that ended with 7")


def expect_replaced(world):
    spares = wait_for_spares(world)
    os.kill(spares[0], signal.SIGKILL)
    now = wait_for_spares(world, without=spares[:1])
    if spares[1] not in now:
        raise Failure(f"of {spares} the first was killed, and there are {now}")


def expect_fresh_file(world, port):
    """The file that spares have open is replaced: whoever asks gets a clone that has the new one."""
    wait_for_spares(world)
    copy = world.path("copy")
    copy.write_text("content\n", encoding="ascii")
    if world.changes_user():
        stat = os.stat(world.path("kept"))
        os.chown(copy, stat.st_uid, stat.st_gid)
    copy.rename(world.path("kept"))
    own = free_port()
    process = take(world, "fresh", port, own, "--json")
    report = process.json()
    if report["spare"] or not report["cloned"]:
        raise Failure(f"after a file was replaced: {report}")
    if ask(world, own, "kept", process) != "content":
        raise Failure("the clone has another file")
    ask(world, own, "end", process)
    process.status()


def expect_end(world, image, role):
    started = world.template(image, "--spares", SPARES)
    spares = wait_for_spares(world)
    os.kill(started[role], signal.SIGKILL)
    expect_gone(world, [started["pid"], *spares], f"a killed {role}")
    poll_until(world.deadline, "the name to go", lambda: listed(world) is None or None)


def expect_refused(world, workload):
    """A timer that runs would run while a spare waits."""
    report = world.template(saved(world, workload, name="timers-image"), "--spares", 1, statuses=(REFUSED,))
    if not any(problem["kind"] == "spare" for problem in report["problems"]):
        raise Failure(f"spares of a program with timers: {report}")


def test(world, options):
    port = free_port()
    image = save(world, port)
    world.template(image, "--spares", SPARES)
    spares = wait_for_spares(world)
    expect_unseen(port)
    expect_listed(world, image, spares)
    if listed(world)["spares_kb"] == 0:
        raise Failure("spares have no memory")
    expect_taken(world, port, spares)
    expect_replaced(world)
    expect_fresh_file(world, port)
    spares = wait_for_spares(world)
    world.thump("template", "stop", "image")
    expect_gone(world, spares, "a stopped template")
    expect_listed(world, image, [])
    for role in ("pid", "keeper"):
        expect_end(world, image, role)
    world.template(image, "--spares", SPARES)
    spares = wait_for_spares(world)
    image.unlink()
    expect_gone(world, spares, "a template whose image was removed")
    expect_refused(world, world.reachable(options.workload))


if __name__ == "__main__":
    scenario.run("spares", test, 100, workload={"type": pathlib.Path, "required": True})

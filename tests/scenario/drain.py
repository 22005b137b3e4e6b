#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--drain: a server with connections that its clients keep is checkpointed all the same. An answer
that is being made is waited for; in the restored server the connections are at their end."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import http.client
import subprocess

from thumptest import scenario, web
from thumptest.events import Failure, connect

REFUSED = 3

# Answers "slow" when it is told to on standard input; says what it sees of its connections, whose
# ends it also watches with epoll.
SERVER = r"""
import select, socket, sys, threading
server = socket.create_server(("127.0.0.1", 0))
print("ready", server.getsockname()[1], flush=True)
epoll = select.epoll()
def serve(connection, number):
    while True:
        line = connection.recv(100)
        if not line:
            break
        if line == b"slow":
            print("asked", flush=True)
            sys.stdin.readline()
        connection.sendall(line)
    if number == 0:
        (_, events), = epoll.poll(20)
        sys.stdout.write("end with EPOLLHUP\n" if events & select.EPOLLHUP else "no EPOLLHUP\n")
    else:
        sys.stdout.write("end\n")
    sys.stdout.flush()
number = 0
while True:
    connection, _ = server.accept()
    if number == 0:
        epoll.register(connection.fileno(), select.EPOLLRDHUP)
    threading.Thread(target=serve, args=(connection, number), daemon=True).start()
    number += 1
"""


def keep_alive(world):
    """An ordinary web server, with clients that keep their connections."""
    script = world.reachable(scenario.APPS / "shelf.py")
    process = world.start(["/usr/bin/python3", script], "keep-alive")
    port = int(process.line("'ready'").split()[1])
    clients = []
    for _ in range(3):
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("GET", "/")
        client.getresponse().read()
        clients.append(client)
    image = world.path("keep-alive")
    report = world.thump_json("checkpoint", process.pid, "-o", image, statuses=(REFUSED,))[1]
    if len([p for p in report["problems"] if p["kind"] == "tcp-connection"]) != 3:
        raise Failure(f"without --drain: {report}")
    world.checkpoint(process.pid, image, "--drain", "10s")
    process.status()
    for client in clients:
        client.close()
    for number in (1, 2):
        process, report = world.restore(image, name=f"keep-alive-{number}")
        if int(web.ask(port, deadline=world.deadline, process=process)) != 4:
            raise Failure("the service has forgotten its requests")
        scenario.end(process, report["pid"])


def answer_first(world):
    """The checkpoint waits for an answer; the original, which goes on, keeps its connections."""
    process = world.start(["/usr/bin/python3", "-c", SERVER], "answer", stdin=subprocess.PIPE)
    port = int(process.line("'ready'").split()[1])
    idle, busy = connect(port, world.deadline), None
    idle.sendall(b"hello")
    idle.recv(100)
    busy = connect(port, world.deadline)
    busy.sendall(b"slow")
    process.expect_line("asked")
    image = world.path("answer")
    checkpoint = world.start([world.thump_path, "checkpoint", process.pid, "-o", image,
                              "--leave-running", "--drain", "60s"], "checkpoint")
    try:
        checkpoint.popen.wait(0.5)
        raise Failure(f"not waited for the answer: {checkpoint.stderr_text()}")
    except subprocess.TimeoutExpired:
        pass
    process.popen.stdin.write(b"\n")
    process.popen.stdin.flush()
    if busy.recv(100) != b"slow":
        raise Failure("the answer is not there")
    if checkpoint.status() != 0:
        raise Failure(checkpoint.stderr_text())
    for client in (idle, busy):
        client.sendall(b"again")
        if client.recv(100) != b"again":
            raise Failure("the original has lost a connection")
    process.popen.kill()
    process.status()
    # It speaks at once: no report in between.
    process = world.start([world.thump_path, "restore", image], "answer-restored")
    said = {process.line("the end of a connection") for _ in range(2)}
    if said != {"end with EPOLLHUP", "end"}:
        raise Failure(f"the restored server sees {said}")
    late = connect(port, world.deadline)
    late.sendall(b"new")
    if late.recv(100) != b"new":
        raise Failure("the restored server does not answer")
    process.popen.terminate()
    process.status()


def test(world, _options):
    keep_alive(world)
    answer_first(world)
    for wrong in ("soon", "-1s", ""):
        world.thump("checkpoint", "1", "--dry-run", "--drain", wrong, statuses=(2,))


if __name__ == "__main__":
    scenario.run("drain", test, 100)

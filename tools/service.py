# SPDX-License-Identifier: Apache-2.0
"""Starts, warms, asks and ends the example web service; what `make demo` and `make bench` share."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "examples" / "jdk-httpserver" / "CatalogService.java"
REQUEST = (b"GET /search?q=red+steel+lamp&limit=20 HTTP/1.1\r\n"
           b"Host: localhost\r\nConnection: keep-alive\r\n\r\n")
DEADLINE_S = 60


class Failure(Exception):
    """Something that the demo or bench cannot go on without; the text is for the user."""


def compile_service(directory):
    """Compiles the service into a directory; returns the command that runs it, without PORT."""
    subprocess.run(["javac", "--release", "11", "-d", str(directory), str(SOURCE)], check=True)
    return ["java", "-Dsun.net.httpserver.nodelay=true", "-cp", str(directory), "CatalogService"]


def read_ready(stream):
    """The port of the line `ready PORT`."""
    line = stream.readline()
    if not line.startswith("ready "):
        raise Failure(f"the service did not start: {line.strip() or 'end of output'}")
    return int(line.split()[1])


def connect(port, process=None):
    """A connection, as soon as somebody listens. Fails when `process` ends or time is up."""
    give_up = time.monotonic() + DEADLINE_S
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except ConnectionRefusedError:
            pass
        if process is not None and process.poll() is not None:
            raise Failure(f"{process.args[0]} ended with status {process.returncode}")
        if time.monotonic() > give_up:
            raise Failure(f"nobody listens on port {port}")
        time.sleep(0.0002)


def get(path):
    return REQUEST.replace(b"/search?q=red+steel+lamp&limit=20", path.encode())


def ask(connection, request=REQUEST):
    """One request; returns the body of the answer, which must be a 200."""
    connection.sendall(request)
    answer = connection.recv(65536)
    while b"\r\n\r\n" not in answer:
        more = connection.recv(65536)
        if not more:
            raise Failure("the service closed the connection")
        answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"the service answered {head.splitlines()[0].decode()}")
    if b"transfer-encoding: chunked" in head.lower():
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
        return body
    length = next(int(line.split(b":")[1]) for line in head.lower().splitlines()
                  if line.startswith(b"content-length:"))
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            raise Failure("the service closed the connection")
        body += more
    return body


def ask_for(port, seconds, request=REQUEST):
    """The number of requests answered one after the other in some seconds."""
    with connect(port) as connection:
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            ask(connection, request)
            count += 1
    return count


def warm(port, requests, request=REQUEST):
    """Servers end a connection after some requests (Tomcat: after 100)."""
    for done in range(0, requests, 100):
        with connect(port) as connection:
            for _ in range(min(100, requests - done)):
                ask(connection, request)


def to_first_answer(command, port, request=REQUEST, **options):
    """Starts a command; returns it with the seconds from its start to the first 200."""
    start = time.monotonic()
    process = subprocess.Popen(command, **options)
    try:
        with connect(port, process) as connection:
            ask(connection, request)
            return process, time.monotonic() - start
    except BaseException:
        end(process)
        raise


def end(process):
    """Ends a process that we started, by what a service manager would send."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def child_of(pid):
    """The only child of a process: the program under `thump run`."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if len(children) != 1:
        raise Failure(f"process {pid} has {len(children)} children, not one")
    return int(children[0])


def resident_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def checkpoint(thump, pid, image, *options):
    """Writes an image; returns what `thump checkpoint --json` says."""
    result = subprocess.run([thump, "checkpoint", str(pid), "-o", str(image), "--json", *options],
                            text=True, stdout=subprocess.PIPE)
    report = json.loads(result.stdout)
    if result.returncode:
        reasons = [problem["text"] for problem in report["problems"]]
        raise Failure("\n    ".join([report["error"]["text"], *reasons]))
    return report


def read_json(descriptor):
    """The JSON object in a pipe that the program writes to, too, before it or after it."""
    data = b""
    while True:
        more = os.read(descriptor, 65536)
        data += more
        # What the program writes may look like the beginning of it.
        start = data.find(b'{\n  "')
        while start >= 0:
            try:
                return json.JSONDecoder().raw_decode(data[start:].decode(errors="replace"))[0]
            except ValueError:
                start = data.find(b'{\n  "', start + 1)
        if not more:
            raise Failure(f"no JSON: {data!r}")

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""redis-server with 100 MB: its digest of all keys and values is the same after every restore."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from thumptest import scenario
from thumptest.events import Failure, Skip, connect, free_port
import shutil

KEYS, VALUE_BYTES = 100_000, 1000


class Client:
    """Just enough of the protocol: one command, one simple, bulk or integer answer."""

    def __init__(self, port, deadline, process):
        self.socket = connect(port, deadline, process)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, *words):
        request = b"*%d\r\n" % len(words)
        for word in words:
            data = str(word).encode()
            request += b"$%d\r\n%s\r\n" % (len(data), data)
        self.socket.sendall(request)
        line = self.file.readline().rstrip(b"\r\n")
        if line.startswith(b"$"):
            return self.file.read(int(line[1:]) + 2)[:-2].decode()
        if line.startswith(b"-") or not line:
            raise Failure(f"redis answered {line!r} to {words}")
        return line[1:].decode()


def digest(port, world, process):
    with Client(port, world.deadline, process) as client:
        return client.ask("DEBUG", "DIGEST"), client.ask("DBSIZE")


def test(world, _options):
    server = shutil.which("redis-server")
    if server is None:
        raise Skip("redis-server is not installed")
    port = free_port()
    process = world.start([server, "--port", port, "--bind", "127.0.0.1", "--save", "",
                           "--enable-debug-command", "yes", "--appendonly", "no"], "original")
    with Client(port, world.deadline, process) as client:
        client.ask("DEBUG", "POPULATE", KEYS, "key", VALUE_BYTES)
        client.ask("SET", "counter", 41)
    before = digest(port, world, process)

    image = world.path("image-0")
    scenario.checkpoint_quiet(world, process.pid, image)
    process.status()
    if image.stat().st_size < KEYS * VALUE_BYTES:
        raise Failure(f"the image has only {image.stat().st_size} bytes")
    for number, memory in enumerate(("lazy-unsafe", "eager"), 1):
        process, report = world.restore(image, "--memory", memory, name=f"restore-{number}")
        after = digest(port, world, process)
        if after != before:
            raise Failure(f"digest and size {before} became {after}")
        following = world.path(f"image-{number}")
        scenario.checkpoint_quiet(world, report["pid"], following)
        process.status()
        image.unlink()
        image = following
    process, report = world.restore(image, name="last")
    if digest(port, world, process) != before:
        raise Failure("the digest differs in the end")
    with Client(port, world.deadline, process) as client:
        if client.ask("INCR", "counter") != "42":
            raise Failure("the counter differs")
    scenario.end(process, report["pid"])


if __name__ == "__main__":
    scenario.run("redis", test, 100)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nginx as one process, an event loop with shared memory and logs: its counters go on, and it goes on
serving and logging, over two generations."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import re
import shutil

from thumptest import scenario, web
from thumptest.events import Failure, Skip, free_port

CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    limit_req_zone $uri zone=visits:1m rate=1r/m;
    server {{
        listen 127.0.0.1:{port};
        root {directory}/files;
        location /status {{ stub_status; }}
        location /once {{ limit_req zone=visits; try_files /page =404; }}
    }}
}}
"""
REQUESTS = 20


def requests_counted(port, world, process):
    text = web.ask(port, "/status", deadline=world.deadline, process=process).decode()
    return int(re.search(r"^ \d+ \d+ (\d+) $", text, re.M).group(1))


def serve(port, world, process, count):
    """Requests are counted on from `count`; returns the new count."""
    have = requests_counted(port, world, process)
    # Shared memory remembers who was there.
    status = web.get_status(port, "/once", world.deadline, process)
    if status != (503 if count else 200):
        raise Failure(f"/once, asked for after {count} requests: {status}")
    if have != count + 1:
        raise Failure(f"request number {have} instead of {count + 1}")
    for _ in range(REQUESTS):
        if web.ask(port, "/page", deadline=world.deadline) != b"content":
            raise Failure("the page has another content")
    lines = world.path("access.log").read_text().count("/page")
    if lines % REQUESTS:
        raise Failure(f"{lines} lines in the log")
    return have + REQUESTS + 1


def test(world, _options):
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if not program:
        raise Skip("nginx is not installed")
    port = free_port()
    world.run(["mkdir", world.path("files")], "mkdir")
    world.path("files/page").write_text("content")
    world.path("nginx.conf").write_text(CONFIGURATION.format(directory=world.directory, port=port))
    process = world.start([program, "-p", world.directory, "-e", world.path("error.log"),
                           "-c", world.path("nginx.conf")], "original")
    pid = process.pid
    count = serve(port, world, process, 0)
    for number in range(2):
        image = world.path(f"image-{number}")
        scenario.checkpoint_quiet(world, pid, image)
        process.status()
        process, report = world.restore(image, name=f"restore-{number}")
        pid = report["pid"]
        count = serve(port, world, process, count)
    if world.path("access.log").read_text().count("/page") != 3 * REQUESTS:
        raise Failure("not all requests are in the log")
    scenario.end(process, pid)


if __name__ == "__main__":
    scenario.run("nginx", test, 100)

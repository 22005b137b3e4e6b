#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An image that nobody has trained learns of its own restores: what the first one touches until it is
of use, FILE.hot tells the later ones. The file is a hint: another image's, a damaged one and one that
somebody else may have written are as good as none. --train says until when, here until a server of
the test says so, which is when the program has written to its pages."""
import pathlib
import sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import contextlib
import fcntl
import http.server
import os
import threading

from thumptest import scenario, world as worlds
from thumptest.arenas import expect_made, expect_restored, is_made, save
from thumptest.events import Failure, poll_until

HEADER = 32  # magic, version, size and seal of the image


@contextlib.contextmanager
def moment_server():
    """(MOMENT, an event): MOMENT is there when the event is set."""
    event = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if event.is_set() else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/now", event
        server.shutdown()
        thread.join()


def table_of(image):
    return image.with_name(f"{image.name}.hot")


def wait_for_table(world, image):
    poll_until(world.deadline, f"{table_of(image)}",
               lambda: table_of(image).exists() or None, pause=0.01)


def learn(world, image, blocks, name, start):
    """start(moment) restores it; it is looked at when it has written to all of its pages."""
    world.path("touch").touch()
    with moment_server() as (moment, event):
        process, restored = start(moment)
        poll_until(world.deadline, "the pages to be written to",
                   lambda: all(is_made(restored["pid"], block) for block in blocks) or None)
        if table_of(image).exists():
            raise Failure(f"{name}: the table is there before the moment")
        event.set()
        wait_for_table(world, image)
        end(process)
    world.path("touch").unlink()


def expect_learned(world, image, blocks, name):
    memory = world.thump_json("inspect", image)[1]["memory"]
    if not len(blocks) * 4096 <= memory["hot_written_bytes"] < 1 << 20:
        raise Failure(f"{name}: inspect says {memory}")
    expect_restored(world, image, name, blocks, True)


def expect_no_good(world, image, blocks, name, table, mode=0o444):
    """Like none: nothing is made."""
    table_of(image).unlink(missing_ok=True)
    table_of(image).write_bytes(table)
    table_of(image).chmod(mode)
    end(expect_made(world, image, name, blocks, False, "--train", "no")[0])
    table_of(image).unlink()


def expect_bad_ones_ignored(world, image, other, blocks):
    table = table_of(image).read_bytes()
    flipped = bytearray(table)
    flipped[HEADER + 8] ^= 1
    expect_no_good(world, image, blocks, "another image's", table_of(other).read_bytes())
    expect_no_good(world, image, blocks, "a damaged one", flipped)
    expect_no_good(world, image, blocks, "half of one", table[:len(table) // 2])
    expect_no_good(world, image, blocks, "an empty one", b"")
    expect_no_good(world, image, blocks, "one that others may write", table, mode=0o464)
    table_of(image).write_bytes(table)
    table_of(image).chmod(0o444)
    end(expect_made(world, image, "the good one again", blocks, True)[0])


def expect_one_at_a_time(world, image):
    """Who has a lock on the image is at it."""
    with open(image, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = world.start([world.thump_path, "restore", image, "-v", "--train", "after:0s"],
                              "second")
        poll_until(world.deadline, "it to see that another is at it",
                   lambda: "another process trains" in process.stderr_text() or None, pause=0.01)
        end(process)
    if table_of(image).exists():
        raise Failure("two trained at once")


def end(process):
    process.popen.terminate()
    process.status()


def restore_with(world, image, name):
    return lambda moment: world.restore(image, "--train", moment, name=name)


def run_with(world, image, name):
    def start(moment):
        process = world.start([world.thump_path, "run", "--image", image, "--train", moment,
                               "--json", "--", "false"], name)
        return process, process.json()
    return start


def test(world, options):
    workload = world.reachable(options.workload)
    folder = world.path("images")
    folder.mkdir(mode=0o755)
    if world.changes_user():
        os.chown(folder, worlds.USER_ID, worlds.USER_ID)
    image, other = folder / "image", folder / "other"
    blocks = save(world, workload, image)
    other_blocks = save(world, workload, other)

    end(expect_made(world, image, "untrained", blocks, False, "--train", "no")[0])
    expect_one_at_a_time(world, image)
    before = image.read_bytes(), os.stat(image).st_ino
    learn(world, image, blocks, "restore", restore_with(world, image, "restore"))
    expect_learned(world, image, blocks, "restored again")
    learn(world, other, other_blocks, "run", run_with(world, other, "run"))
    expect_learned(world, other, other_blocks, "run again")
    expect_bad_ones_ignored(world, image, other, blocks)

    # By itself: this program listens nowhere.
    table_of(image).unlink()
    process, _ = world.restore(image, name="auto")
    wait_for_table(world, image)
    end(process)
    if (image.read_bytes(), os.stat(image).st_ino) != before:
        raise Failure("the image has changed")


if __name__ == "__main__":
    scenario.run("learns", test, 240, workload={"type": pathlib.Path, "required": True})

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images of one program share their chunks in a chunk store, are restored from there, and `thump gc` removes
what no image needs: not what a living one does, wherever that was moved, nor what somebody is just packing."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import signal
import subprocess

from thumptest import scenario
from thumptest.events import Failure

FAILED, REFUSED, DAMAGED = 1, 3, 4
RESTORE_DAMAGED = 124
ROUNDS = 12
# Of what two images of the same program store; what differs is what it has written to meanwhile.
SHARED_AT_LEAST = 0.8
# 24 MB that stay and 1 MB that each signal writes anew.
PROGRAM = ["/usr/bin/python3", "-c",
           "import hashlib, os, signal\n"
           "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])\n"
           "stays = os.urandom(24 << 20)\n"
           "before = hashlib.sha256(stays).digest()\n"
           "changes = os.urandom(1 << 20)\n"
           "print('ready', flush=True)\n"
           "while signal.sigwait([signal.SIGUSR1, signal.SIGUSR2]) == signal.SIGUSR1:\n"
           "    changes = os.urandom(1 << 20)\n"
           "    print('changed', flush=True)\n"
           "print('same', hashlib.sha256(stays).digest() == before, flush=True)\n"]


def two_images(world):
    program = world.start(PROGRAM, "program", stdin=subprocess.DEVNULL)
    program.expect_line("ready")
    images = world.path("raw-0"), world.path("raw-1")
    world.checkpoint(program.pid, images[0], "--leave-running")
    program.popen.send_signal(signal.SIGUSR1)
    program.expect_line("changed")
    world.checkpoint(program.pid, images[1])
    program.status()
    return images


def pack(world, raw, packed, store):
    said = world.thump_json("pack", raw, "-o", packed, "--store", store)[1]["store"]
    world.thump("verify", packed)
    return said


def expect(condition, what):
    if not condition:
        raise Failure(what)


def files_of(store, part):
    return sorted(path for path in (store / part).rglob("*") if path.is_file())


def gc(world, store, *options, statuses=(0,)):
    return world.thump_json("gc", "--store", store, *options, statuses=statuses)[1]


def share(world, images, store):
    """How much of the second image was there already. Returns the first one's chunks."""
    first = pack(world, images[0], world.path("packed-0"), store)
    chunks = files_of(store, "chunks")
    second = pack(world, images[1], world.path("packed-1"), store)
    expect(first["new_bytes"] == first["bytes"] > 24 << 20, f"an empty store had some: {first}")
    shared = 1 - second["new_bytes"] / second["bytes"]
    print(f"{shared:.1%} of the second image's {second['bytes']} bytes are shared")
    expect(shared > SHARED_AT_LEAST, f"only {shared:.1%} are shared: {second}")
    again = pack(world, images[0], world.path("again"), store)
    expect(again["new_chunks"] == 0, f"the same image again is not the same: {again}")
    stored = sum(path.stat().st_size for path in files_of(store, "chunks"))
    expect(stored == first["bytes"] + second["new_bytes"], f"{stored} bytes are in the store")
    expect(os.path.getsize(world.path("packed-0")) < 100_000, "the image holds its chunks itself")
    return chunks


def use(world, images, store):
    """Every verb that reads images, and a restore of the image alone where the store is said."""
    packed, unpacked = world.path("packed-1"), world.path("unpacked")
    world.thump("unpack", packed, "-o", unpacked)
    expect(unpacked.read_bytes() == images[1].read_bytes(), "what was unpacked is another image")
    said = world.thump_json("inspect", packed)[1]["packed"]
    expect(said["in_store"] and said["stored_bytes"] > 24 << 20, f"inspect says {said}")
    go_on(world, [packed], "from-store")
    elsewhere = world.path("elsewhere")
    elsewhere.mkdir()
    if world.changes_user():
        shutil.chown(elsewhere, 12345, 12345)
    moved = elsewhere / "image"
    world.run(["mv", packed, moved], "mv")
    status, _ = world.thump("verify", moved, statuses=(FAILED,))
    expect("--store DIR" in world.log("thump-verify").read_text(), "what to do is not said")
    go_on(world, [moved, "--store", store], "store-is-said")
    with moved.open("rb") as file:
        go_on(world, ["-", "--store", store], "from-stdin", stdin=file)
    world.run(["mv", moved, packed], "mv")
    expect(status == FAILED, "a store that is not there")


def go_on(world, words, name, **options):
    restored = world.start([world.thump_path, "restore", *words, "--json"], name, **options)
    pid = restored.json()["pid"]
    expect(pid, f"{name}: {restored.stderr_text()}")
    restored.popen.send_signal(signal.SIGUSR2)
    restored.expect_line("same True")
    expect(restored.status() == 0, restored.stderr_text())


def refuse(world, store, chunks):
    """A chunk that is not there, is another or too short: named, and nothing is started."""
    packed = world.path("packed-0")
    chunk = max(chunks, key=lambda path: path.stat().st_size)
    good = chunk.read_bytes()
    for what, bad in (("missing", None), ("hash", bytes([good[0] ^ 1]) + good[1:]),
                      ("bytes instead", good[:-1])):
        chunk.unlink(missing_ok=True)
        if bad is not None:
            chunk.write_bytes(bad)
            chunk.chmod(0o444)
        for verb, status in ("verify", DAMAGED), ("restore", RESTORE_DAMAGED):
            log = world.log(f"{verb}-{what[:4]}")
            world.thump(verb, packed, name=f"{verb}-{what[:4]}", statuses=(status,))
            said = log.read_text()
            expect(what in said and chunk.name in said, f"{verb} of what is {what}: {said}")
    # Who packs the same content finds out, and mends it.
    said = pack(world, world.path("raw-0"), world.path("mended"), store)
    expect(said["new_chunks"] == 1, f"what was altered was taken for the same: {said}")
    world.path("mended").unlink()
    key = world.thump("keygen", "-o", world.path("key"))[1].split()[-1]
    world.thump("pack", packed, "-o", world.path("sealed"), "--store", store, "--encrypt-to", key,
                statuses=(REFUSED,))
    expect("encrypted" in world.log("thump-pack").read_text(), "why not is not said")
    expect(not world.path("sealed").exists(), "an encrypted image is there")


def collect(world, store):
    """What is left for the images that are there, by whatever name."""
    before = gc(world, store, "--dry-run")
    expect(before["images"] == 3 and before["removed_chunks"] == 0, f"all is needed: {before}")
    world.path("again").unlink()
    world.run(["mv", world.path("packed-0"), world.path("renamed")], "mv")
    world.run(["cp", world.path("packed-1"), world.path("copy")], "cp")
    world.path("packed-1").unlink()
    would = gc(world, store, "--dry-run")
    kept = gc(world, store, "--keep", world.path("copy"))
    expect(kept["removed_chunks"] == 0 < would["removed_chunks"], f"{kept} {would}")
    world.thump("verify", world.path("copy"))
    did = gc(world, store)
    expect(did["images"] == 1 and did["removed_bytes"] == would["removed_bytes"], f"{did} {would}")
    expect(len(files_of(store, "chunks")) == did["kept_chunks"], "more is left than is needed")
    expect(len(files_of(store, "images")) == 1, "images that were removed are known still")
    world.thump("verify", world.path("renamed"))
    world.thump("verify", world.path("copy"), statuses=(DAMAGED,))
    entry = files_of(store, "images")[0]
    os.link(entry, world.path("other-name"))
    world.path("renamed").unlink()
    expect(gc(world, store)["removed_chunks"] == 0, "an image with another name was forgotten")
    world.path("other-name").unlink()
    expect(gc(world, store)["kept_chunks"] == 0, "no image, and chunks")
    gc(world, world.directory, statuses=(FAILED,))


def at_once(world, images):
    """Two pack, images come and go, and gc runs all the time: whatever is there is whole."""
    store = world.path("busy")
    pack(world, images[0], world.path("first"), store)
    for number in range(ROUNDS):
        packers = [world.start([world.thump_path, "pack", image, "-o", world.path(f"busy-{i}"),
                                "--store", store], f"pack-{number}-{i}")
                   for i, image in enumerate(images)]
        collectors = [world.start([world.thump_path, "gc", "--store", store], f"gc-{number}-{i}")
                      for i in range(2)]
        for process in packers + collectors:
            expect(process.status() == 0, f"{process.name}: {process.stderr_text()}")
        for name in "first", "busy-0", "busy-1":
            world.thump("verify", world.path(name))
        world.path(f"busy-{number % 2}").unlink()
        world.forget_ended()
    world.path("first").unlink()
    world.path(f"busy-{ROUNDS % 2}").unlink()
    expect(gc(world, store)["kept_chunks"] == 0, "no image, and chunks")


def test(world, _options):
    images = two_images(world)
    store = world.path("store")
    chunks = share(world, images, store)
    use(world, images, store)
    refuse(world, store, chunks)
    collect(world, store)
    at_once(world, images)


if __name__ == "__main__":
    scenario.run("store", test, 200)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The images that `thump run` makes by itself are packed, encrypted and signed as it was told, and what restores
them opens them: --then restore, and the next run with --image. What would be lost is refused before COMMAND runs."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import signal
import subprocess

from thumptest import scenario
from thumptest.events import Failure, free_port

USAGE, REFUSED = 122, 123
PROGRAM = ["/usr/bin/python3", "-c",
           "import signal, socket, sys\n"
           "secret = '-'.join(['hunter', 'two', 'hunter', 'two']) * 4096\n"
           "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
           "print('ready', flush=True)\n"
           "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
           "signal.sigwait([signal.SIGUSR1])\n"
           "print('still', secret.count('hunter-two'), flush=True)\n"]
SECRET = b"hunter-two-hunter-two"


class Keys:
    """Of a reader and a signer, and a passphrase."""

    def __init__(self, world):
        self.world = world
        self.secret, self.public = self.make("reader")
        self.sign, self.signer = self.make("signer", "--sign")
        self.passphrase = world.path("passphrase")
        self.passphrase.write_text("all alone\n")
        self.passphrase.chmod(0o400)
        if world.changes_user():
            os.chown(self.passphrase, 12345, 12345)

    def make(self, name, *options):
        path = self.world.path(name)
        return path, self.world.thump("keygen", "-o", path, *options)[1].strip()


def start(world, name, image, *options):
    """The image is made when the program listens, which it does after it is ready."""
    port = str(free_port())
    return world.start([world.thump_path, "run", "--json", "--image", image, *options, "--checkpoint-when",
                        f"port:{port}", "--", *PROGRAM, port], name, stdin=subprocess.DEVNULL)


def expect_action(process, action):
    said = process.json()
    if said["action"] != action:
        raise Failure(f"{process.name}: {said}: {process.stderr_text()}")
    return said["pid"]


def finish(process, pid):
    """What was saved is all there."""
    os.kill(pid, signal.SIGUSR1)
    process.expect_line("still 8192")
    if process.status() != 0:
        raise Failure(f"{process.name}: {process.stderr_text()}")


def expect_packed(world, image, encrypted, signatures, *opening):
    _, said = world.thump_json("inspect", image, *opening)
    packed = said["packed"] or {}
    found = packed.get("encrypted"), packed.get("nr_signatures")
    if found != (encrypted, signatures) or SECRET in image.read_bytes():
        raise Failure(f"{image}: {packed}")


def test_then_restore(world, keys):
    """One run: the image is made, ends the program, is opened and goes on."""
    image = world.path("again.thump")
    words = ("--encrypt-to", keys.public, "--sign", keys.sign, "--compress", "lz4",
             "--decrypt-with", keys.secret, "--require-signed-by", keys.signer)
    process = start(world, "again", image, *words, "--then", "restore")
    expect_action(process, "started")
    process.expect_line("ready")
    pid = expect_action(process, "restored")
    expect_packed(world, image, True, 1, "--decrypt-with", keys.secret)
    finish(process, pid)
    process = start(world, "healed", image, *words)
    finish(process, expect_action(process, "restored"))
    image.unlink()


def test_passphrase(world, keys):
    """What opens an image by a passphrase encrypts the one that is made when it cannot be restored."""
    image = world.path("spoken.thump")
    image.write_bytes(b"no image")
    if world.changes_user():
        os.chown(image, 12345, 12345)
    words = ("--passphrase-file", keys.passphrase)
    process = start(world, "spoken", image, *words)
    expect_action(process, "started")
    process.expect_line("ready")
    if process.status() != 0:
        raise Failure(f"{process.name}: {process.stderr_text()}")
    expect_packed(world, image, True, 0, "--passphrase-file", keys.passphrase)
    process = start(world, "spoken-again", image, *words)
    finish(process, expect_action(process, "restored"))
    image.unlink()


def test_compressed(world):
    image = world.path("small.thump")
    process = start(world, "small", image, "--compress", "zstd:3")
    expect_action(process, "started")
    process.expect_line("ready")
    if process.status() != 0:
        raise Failure(f"{process.name}: {process.stderr_text()}")
    expect_packed(world, image, False, 0)
    image.unlink()


def refused(world, name, status, text, *options, command=("/bin/false",), **popen_options):
    """COMMAND would have ended with 1, or 127."""
    image = world.path(f"{name}.thump")
    process = world.start([world.thump_path, "run", "--image", image, *options, "--", *command], name,
                          **popen_options)
    if process.status() != status or text not in process.stderr_text() or image.exists():
        raise Failure(f"{name}: {process.status()}: {process.stderr_text()}")


def test_refusals(world, keys):
    when = ("--checkpoint-when", "after:100ms")
    refused(world, "nobody", REFUSED, "--encrypt-to: thump run makes no image", "--encrypt-to", keys.public)
    refused(world, "packs-nobody", REFUSED, "--compress: thump run makes no image", "--compress", "lz4")
    refused(world, "closed", REFUSED, "nothing opens what --encrypt-to makes", *when, "--then", "restore",
            "--encrypt-to", keys.public)
    refused(world, "nameless", REFUSED, "accepts no image that is not signed", *when, "--then", "restore",
            "--require-signed-by", keys.signer)
    refused(world, "own-agent", REFUSED, "--sign: the command brings the JVM's agent itself", *when,
            "--sign", keys.sign, command=("java", "-agentpath:/o/libthump-jvm.so=image=x", "Main"))
    refused(world, "method", USAGE, "--compress takes", *when, "--compress", "rar")
    reading, writing = os.pipe()
    os.write(writing, b"once\n")
    os.close(writing)
    if world.changes_user():
        os.fchown(reading, 12345, 12345)
    refused(world, "once", REFUSED, "can be read only once", *when, "--passphrase-file",
            f"/dev/fd/{reading}", pass_fds=[reading])
    os.close(reading)


def test(world, _options):
    keys = Keys(world)
    test_refusals(world, keys)
    test_then_restore(world, keys)
    test_passphrase(world, keys)
    test_compressed(world)


if __name__ == "__main__":
    scenario.run("sealed_run", test, 100)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encrypted and signed images: what opens them, what is refused before a process exists, and that no plain
text is in any file that was written on the way."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import contextlib
import os
import signal
import socket
import subprocess
import threading

from thumptest import scenario
from thumptest.events import Failure

FAILED, REFUSED, DAMAGED = 121, 123, 124
STRANGER = 54321
# What an image must not show is in no argument, so that only memory has it.
PROGRAM = ["/usr/bin/python3", "-c",
           "import signal\n"
           "secret = '-'.join(['hunter', 'two', 'hunter', 'two']) * 4096\n"
           "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
           "print('ready', flush=True)\n"
           "signal.sigwait([signal.SIGUSR1])\n"
           "print('still', secret.count('hunter-two'), flush=True)\n"]
SECRET = b"hunter-two-hunter-two"


def saved(world):
    program = world.start(PROGRAM, "program", stdin=subprocess.DEVNULL)
    program.expect_line("ready")
    image = world.path("image")
    world.checkpoint(program.pid, image)
    program.status()
    if SECRET not in image.read_bytes():
        raise Failure("the secret is not in the image to begin with")
    return image


def go_on(world, name, image, *options, **popen_options):
    restored = world.start([world.thump_path, "restore", image, "--json", *options], name,
                           stdin=subprocess.DEVNULL, **popen_options)
    if restored.json()["pid"] is None:
        raise Failure(f"{name}: {restored.stderr_text()}")
    restored.popen.send_signal(signal.SIGUSR1)
    restored.expect_line("still 8192")
    if restored.status() != 0:
        raise Failure(f"{name}: {restored.stderr_text()}")


def expect_nothing(world, name, status, text, image, *options, stdin=subprocess.DEVNULL,
                   verb="restore"):
    restored = world.start([world.thump_path, verb, image, *options], name, stdin=stdin)
    if restored.status() != status or text not in restored.stderr_text():
        raise Failure(f"{name}: {restored.status()}: {restored.stderr_text()}")


def key(world, name, *options):
    path = world.path(name)
    _, said = world.thump_json("keygen", "-o", path, *options)
    public = world.path(f"{name}.pub")
    public.write_text(f"# {name}\n{said['public_key']}\n")
    return path, public


def test_raw_from_stdin(world, image):
    """What has no signature is refused wherever it comes from."""
    _, signer = key(world, "of-nobody", "--sign")
    for verb, option in (("restore", "--require-signed-by"), ("verify", "--key")):
        expect_nothing(world, f"{verb}-raw", 3 if verb == "verify" else REFUSED, "only packed images",
                       image, option, signer, verb=verb)
        for name, stdin in scenario.as_stdin(world, image):
            expect_nothing(world, f"{verb}-raw-{name}", 3 if verb == "verify" else REFUSED,
                           "only packed images", "-", option, signer, verb=verb, stdin=stdin)


def serve(listener, content):
    with contextlib.suppress(OSError):  # the end of listening
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(content)


@contextlib.contextmanager
def key_agent(path, content, uid=None):
    """Whoever connects gets the content. `uid`: as that user, whom SO_PEERCRED shows then."""
    own = os.geteuid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        os.seteuid(own if uid is None else uid)
        listener.listen()
        os.seteuid(own)
        thread = threading.Thread(target=serve, args=(listener, content))
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_agent(world, packed, alice):
    """Keys and passphrases from a socket; not from one of anybody."""
    with key_agent(world.path("agent"), alice.read_bytes()) as agent:
        go_on(world, "by-agent", packed, "--decrypt-with", agent)
    expect_nothing(world, "by-ended-agent", FAILED, "connect to it", packed, "--decrypt-with", agent)
    with key_agent(world.path("passphrase-agent"), b"a passphrase\n") as agent:
        world.thump("verify", packed, "--passphrase-file", agent)
        expect_nothing(world, "no-key", FAILED, "has no secret key for decryption", packed,
                       "--decrypt-with", agent)
    if os.geteuid() == 0:
        with key_agent(world.path("other-agent"), alice.read_bytes(), uid=STRANGER) as agent:
            expect_nothing(world, "by-other-agent", REFUSED, f"user {STRANGER} listens there", packed,
                           "--decrypt-with", agent)


def test_new_passphrase(world, packed, old):
    """Packed anew, an image need not keep the passphrase that it was opened with."""
    new, anew = world.path("new-passphrase"), world.path("anew")
    new.write_text("another passphrase\n")
    new.chmod(0o600)
    os.chown(new, old.stat().st_uid, old.stat().st_gid)
    opening = ("--decrypt-passphrase-file", old)
    world.thump("pack", packed, "-o", anew, *opening, statuses=(3,))
    world.thump("pack", packed, "-o", anew, *opening, "--passphrase-file", new)
    expect_nothing(world, "by-old", REFUSED, "no key or passphrase fits", anew, "--passphrase-file", old)
    world.thump("verify", anew, "--passphrase-file", new)


def test_encrypted(world, image):
    (alice, alice_pub), (_, bob_pub), (eve, _) = (key(world, n) for n in ("alice", "bob", "eve"))
    passphrase = world.path("passphrase")
    passphrase.write_text("a passphrase\n")
    passphrase.chmod(0o600)
    owner = alice.stat()
    os.chown(passphrase, owner.st_uid, owner.st_gid)
    packed = world.path("encrypted")
    world.thump("pack", image, "-o", packed, "--encrypt-to", alice_pub, "--encrypt-to", bob_pub,
                "--passphrase-file", passphrase, "--compress", "none")
    image.unlink()
    for path in world.directory.rglob("*"):
        if path.is_file() and SECRET in path.read_bytes():
            raise Failure(f"plain text is in {path}")
    go_on(world, "by-key", packed, "--decrypt-with", alice)
    go_on(world, "by-passphrase", packed, "--passphrase-file", passphrase)
    reading, writing = os.pipe()
    os.write(writing, b"a passphrase\n")
    os.close(writing)
    go_on(world, "by-descriptor", packed, "--passphrase-fd", str(reading), pass_fds=[reading])
    os.close(reading)
    expect_nothing(world, "by-eve", REFUSED, "no key or passphrase fits", packed, "--decrypt-with", eve)
    expect_nothing(world, "by-nobody", REFUSED, "is encrypted", packed)
    test_agent(world, packed, alice)
    world.thump("pack", packed, "-o", world.path("plain"), "--decrypt-with", alice, statuses=(3,))
    test_new_passphrase(world, packed, passphrase)
    return packed, alice


def test_signed(world, packed, alice):
    (carol, carol_pub), (mallory, mallory_pub) = (key(world, n, "--sign") for n in ("carol", "mallory"))
    expect_nothing(world, "unsigned", REFUSED, "not signed", packed, "--require-signed-by", carol_pub)
    world.thump("sign", packed, "--key", mallory)
    expect_nothing(world, "by-mallory", REFUSED, "not signed", packed, "--require-signed-by", carol_pub)
    world.thump("sign", packed, "--key", carol)
    world.thump("verify", packed, "--key", carol_pub, "--decrypt-with", alice)
    go_on(world, "signed", packed, "--require-signed-by", carol_pub, "--decrypt-with", alice)
    # The command runs where the image may not.
    for public, wanted in ((carol_pub, "restored"), (mallory_pub, "restored"), (alice, "started")):
        launcher = world.start([world.thump_path, "run", "--json", "--image", packed, "--decrypt-with",
                                alice, "--require-signed-by", public, "--", "/bin/true"],
                               f"run-{pathlib.Path(public).name}", stdin=subprocess.DEVNULL)
        if wanted == "restored":
            launcher.json()
            launcher.popen.send_signal(signal.SIGUSR1)
            launcher.expect_line("still 8192")
        launcher.status()
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1
    broken = world.path("broken")
    broken.write_bytes(data)
    expect_nothing(world, "broken", DAMAGED, "hash", broken, "--require-signed-by", carol_pub,
                   "--decrypt-with", alice)


def test_checkpoint(world):
    """A checkpoint that encrypts leaves no plain text either; the process may go on meanwhile."""
    alice, alice_pub = key(world, "dora")
    carol, carol_pub = key(world, "signer", "--sign")
    program = world.start(PROGRAM, "sealed-program", stdin=subprocess.DEVNULL)
    program.expect_line("ready")
    sealed, packed = world.path("sealed"), world.path("packed")
    world.thump("checkpoint", program.pid, "-o", packed, "--leave-running", "--compress", "lz4")
    world.thump("checkpoint", program.pid, "-o", sealed, "--encrypt-to", alice_pub, "--sign", carol,
                "--compress", "none")
    program.status()
    if SECRET in sealed.read_bytes():
        raise Failure("plain text is in what a checkpoint has encrypted")
    go_on(world, "sealed", sealed, "--decrypt-with", alice, "--require-signed-by", carol_pub)
    go_on(world, "packed", packed)
    _, said = world.thump_json("inspect", packed)
    if not said["packed"] or said["packed"]["encrypted"]:
        raise Failure(f"--compress made {said['packed']}")


def test_run_again(world):
    """--then restore demands of an image what --image does."""
    alice, alice_pub = key(world, "again")
    carol, carol_pub = key(world, "again-signer", "--sign")
    image = world.path("again.thump")
    program = world.start([world.thump_path, "run", "--json", "--image", image, "--then", "restore",
                           "--require-signed-by", carol_pub, "--decrypt-with", alice, "--", *PROGRAM],
                          "run-again", stdin=subprocess.DEVNULL)
    pid = program.json()["pid"]
    program.expect_line("ready")
    world.thump("checkpoint", pid, "-o", image, "--encrypt-to", alice_pub, "--sign", carol)
    restored = program.json()
    if restored["action"] != "restored":
        raise Failure(f"run --then restore: {restored}: {program.stderr_text()}")
    world.thump("checkpoint", restored["pid"], "-o", image)
    if program.status() != REFUSED or "only packed images" not in program.stderr_text():
        raise Failure(f"run --then restore: {program.status()}: {program.stderr_text()}")
    image.unlink()


def test_passphrase_from_a_pipe(world):
    """It can be read only once, but is there for every image that is tried."""
    reading, writing = os.pipe()
    os.write(writing, b"once and for all\n")
    os.close(writing)
    if world.changes_user():
        os.fchown(reading, 12345, 12345)
    passphrase, image = world.path("passphrase-again"), world.path("piped.thump")
    passphrase.write_text("once and for all\n")
    passphrase.chmod(0o400)
    if world.changes_user():
        os.chown(passphrase, 12345, 12345)
    program = world.start([world.thump_path, "run", "--json", "--image", image, "--then", "restore",
                           "--passphrase-file", f"/dev/fd/{reading}", "--", *PROGRAM],
                          "run-piped", stdin=subprocess.DEVNULL, pass_fds=[reading])
    os.close(reading)
    pid = program.json()["pid"]
    program.expect_line("ready")
    world.thump("checkpoint", pid, "-o", image, "--passphrase-file", passphrase, "--close-fd", reading)
    restored = program.json()
    if restored["action"] != "restored":
        raise Failure(f"a passphrase from a pipe: {restored}: {program.stderr_text()}")
    program.popen.send_signal(signal.SIGUSR1)
    program.expect_line("still 8192")
    if program.status() != 0:
        raise Failure(f"a passphrase from a pipe: {program.stderr_text()}")
    image.unlink()


def test_failed_checkpoint(world):
    """What comes of keys that are none is known before the process is stopped; it goes on."""
    program = world.start(PROGRAM, "unharmed", stdin=subprocess.DEVNULL)
    program.expect_line("ready")
    image = world.path("never")
    for options in (["--encrypt-to", "thump-recipient-1:AAAA"], ["--sign", "/nonexistent"],
                    ["--passphrase-file", "/dev/null"]):
        world.thump("checkpoint", program.pid, "-o", image, *options, statuses=(1, 3))
    if image.exists():
        raise Failure("there is an image")
    program.popen.send_signal(signal.SIGUSR1)
    program.expect_line("still 8192")
    if program.status() != 0:
        raise Failure("the program was harmed")


def test(world, _options):
    test_checkpoint(world)
    test_failed_checkpoint(world)
    test_run_again(world)
    test_passphrase_from_a_pipe(world)
    image = saved(world)
    test_raw_from_stdin(world, image)
    packed, alice = test_encrypted(world, image)
    test_signed(world, packed, alice)


if __name__ == "__main__":
    scenario.run("sealed", test, 100)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of keys and of passphrases that are odd: each is taken for what it is, or refused by name; none hangs."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import socket
import subprocess
import threading

from thumptest import scenario
from thumptest.events import Failure
from thumptest.workload import saved

FAILED, REFUSED = 1, 3
MOST = 64  # keys of each kind, and signatures
PROGRAM = ["/usr/bin/python3", "-c", "import signal; print('ready', flush=True); signal.pause()"]


def expect(world, name, status, text, *words, **popen_options):
    """What it says names the culprit, too."""
    popen_options.setdefault("stdin", subprocess.DEVNULL)
    process = world.start([world.thump_path, *words], name, **popen_options)
    if process.status() != status or text not in process.stderr_text():
        raise Failure(f"{name}: {process.status()}: {process.stderr_text()!r}, not {text!r}")


def file_of(world, name, content, mode=0o400):
    path = world.path(name)
    path.write_bytes(content)
    path.chmod(mode)
    if world.changes_user():
        os.chown(path, 12345, 12345)
    return path


def new_key(world, name, *options):
    path = world.path(name)
    _, said = world.thump_json("keygen", "-o", path, *options)
    return path, said["public_key"]


def open_by(world, name, status, text, packed, path):
    expect(world, name, status, text, "verify", packed, "--decrypt-with", path)


def test_content(world, packed, secret):
    """What is in the file."""
    good = {"crlf": secret.replace(b"\n", b"\r\n"), "no-end": secret.rstrip(b"\n"),
            "others-first": b"# a comment\n\n" + b"x" * 60000 + b"\n" + secret}
    for name, content in good.items():
        open_by(world, name, 0, "", packed, file_of(world, name, content))
    bad = {"empty": (b"", "has no secret key for decryption"),
           "huge": (secret + b"\n" * 70000, "more than 65536 bytes"),
           "zero-before": (b"\0\n" + secret, "zero byte"),
           "zero-behind": (secret + b"\0", "zero byte"),
           "cut-short": (secret[:-5] + b"\n", "a broken secret key"),
           "too-long": (secret.rstrip(b"\n") + b"AAAA\n", "a broken secret key")}
    for name, (content, text) in bad.items():
        path = file_of(world, name, content)
        open_by(world, name, FAILED, f"{path}", packed, path)
        open_by(world, f"{name}-again", FAILED, text, packed, path)


def test_permissions(world, packed, secret):
    for mode in (0o440, 0o404, 0o602, 0o620):
        path = file_of(world, f"mode-{mode:o}", secret, mode)
        open_by(world, path.name, REFUSED, f"(mode {mode:04o}; chmod go= {path})", packed, path)
    if os.geteuid() == 0 and world.changes_user():
        path = file_of(world, "of-root", secret)
        os.chown(path, 0, 0)
        open_by(world, path.name, FAILED, "Permission denied", packed, path)


def test_kinds(world, packed, alice):
    """What is no regular file."""
    directory, link, dangling, loop, fifo = (world.path(name) for name in (
        "directory", "link", "dangling", "loop", "fifo"))
    directory.mkdir()
    link.symlink_to(alice)
    dangling.symlink_to("nothing")
    loop.symlink_to(loop)
    os.mkfifo(fifo, 0o666)
    fifo.chmod(0o666)
    open_by(world, "by-link", 0, "", packed, link)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(world.path("deaf")))
        world.path("deaf").chmod(0o666)
    for path, text in ((directory, "Is a directory"), (dangling, "No such file"),
                       (loop, "Too many levels"), ("", "No such file"), ("/dev/zero", "more than"),
                       ("/dev/null", "has no secret key"), (world.path("deaf"), "Connection refused"),
                       (fifo, "a FIFO that nobody has written to")):
        open_by(world, f"by-{pathlib.Path(path).name}", FAILED, text, packed, path)
    # Opened when thump has it open: then, too.
    content = alice.read_bytes()
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    open_by(world, "by-written-fifo", 0, "", packed, fifo)
    writer.join()


def pipe_of(world, content):
    """The end of a pipe to read from; what does not fit is not written."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, content)
    os.close(writing)
    if world.changes_user():
        os.fchown(reading, 12345, 12345)
    return reading


def test_pipes(world, packed, secret):
    """<(...) of a shell."""
    for name, content, status, text in (("pipe", secret, 0, ""),
                                        ("empty-pipe", b"", FAILED, "has no secret key")):
        reading = pipe_of(world, content)
        expect(world, f"by-{name}", status, text, "verify", packed, "--decrypt-with",
               f"/dev/fd/{reading}", pass_fds=[reading])
        os.close(reading)


def test_passphrases(world, image):
    target = world.path("never")

    def expect_none(name, text, *words, **options):
        expect(world, name, FAILED, text, "pack", image, "-o", target, *words, **options)

    expect_none("closed", "descriptor 77 is not open", "--passphrase-fd", "77")
    expect_none("negative", "not -1", "--passphrase-fd", "-1")
    expect_none("no-number", "not 99999999999", "--passphrase-fd", "99999999999")
    for name, content, text in (("nothing", b"", "is empty"), ("no-line", b"\nx\n", "is empty"),
                                ("long", b"x" * 1025 + b"\n", "at most 1024 bytes"),
                                ("zero-byte", b"a\0b\n", "zero byte")):
        reading = pipe_of(world, content)
        expect_none(f"{name}-by-descriptor", text, "--passphrase-fd", str(reading), pass_fds=[reading])
        os.close(reading)
        expect_none(f"{name}-by-file", text, "--passphrase-file", file_of(world, f"{name}-text", content))
    expect_none("mib", "more than 65536 bytes", "--passphrase-file",
                file_of(world, "mib-text", b"x" * (1 << 20)))
    with open(world.path("written-to"), "wb") as file:
        expect_none("not-for-reading", "is not open for reading", "--passphrase-fd", str(file.fileno()),
                    pass_fds=[file.fileno()])
    if target.exists():
        raise Failure("there is an image")


def test_numbers(world, image):
    """As many as there can be, and one more."""
    publics = [new_key(world, f"reader-{i}")[1] for i in range(MOST + 1)]
    signers = [new_key(world, f"signer-{i}", "--sign")[0] for i in range(MOST + 1)]
    some = file_of(world, "readers", "\n".join(publics[:MOST]).encode() + b"\n")
    packed, signed = world.path("for-many"), world.path("by-many")
    world.thump("pack", image, "-o", packed, "--encrypt-to", some)
    open_by(world, "by-the-last", 0, "", packed, world.path(f"reader-{MOST - 1}"))
    expect(world, "too-many", FAILED, f"more than {MOST} keys", "pack", image, "-o", world.path("never"),
           "--encrypt-to", some, "--encrypt-to", publics[MOST])
    signing = [word for path in signers[:MOST] for word in ("--sign", path)]
    world.thump("pack", image, "-o", signed, *signing)
    world.thump("verify", signed)
    expect(world, "too-many-signers", FAILED, f"more than {MOST} keys", "pack", image, "-o",
           world.path("never"), *signing, "--sign", signers[MOST])
    expect(world, "one-more-signature", REFUSED, f"it has {MOST} signatures", "sign", signed, "--key",
           signers[MOST])


def test(world, _options):
    image, packed = saved(world, *PROGRAM), world.path("packed")
    alice, public = new_key(world, "alice")
    secret = alice.read_bytes()
    world.thump("pack", image, "-o", packed, "--encrypt-to", public)
    test_content(world, packed, secret)
    test_permissions(world, packed, secret)
    test_kinds(world, packed, alice)
    test_pipes(world, packed, secret)
    test_passphrases(world, image)
    test_numbers(world, image)


if __name__ == "__main__":
    scenario.run("sealed_keys", test, 100)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A policy in /etc demands a signature of every image that is restored, whatever options say."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import os
import shutil
import signal
import subprocess

from thumptest import scenario
from thumptest import world as worlds
from thumptest.events import Failure

REFUSED = 123
PROGRAM = ["/usr/bin/python3", "-c",
           "import signal\n"
           "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
           "print('ready', flush=True)\n"
           "signal.sigwait([signal.SIGUSR1])\n"
           "print('on', flush=True)\n"]
# Only what is started in it sees another /etc.
OTHER_ETC = ["unshare", "--mount", "--", "sh", "-c",
             'mount --bind "$1" /etc && shift && exec "$@"', "sh"]


def expect_nothing(world, name, text, inside, *arguments, stdin=subprocess.DEVNULL):
    restored = world.start([*inside, world.thump_path, "restore", *arguments], name, stdin=stdin)
    if restored.status() != REFUSED or text not in restored.stderr_text():
        raise Failure(f"{name}: {restored.status()}: {restored.stderr_text()}")


def expect_restored(world, name, inside, *arguments):
    restored = world.start([*inside, world.thump_path, "restore", "--json", *arguments], name,
                           stdin=subprocess.DEVNULL)
    if restored.json()["pid"] is None:
        raise Failure(f"{name}: {restored.stderr_text()}")
    restored.popen.send_signal(signal.SIGUSR1)
    restored.expect_line("on")


def key(world, name):
    path = world.path(name)
    return path, world.thump_json("keygen", "-o", path, "--sign")[1]["public_key"]


def of_anybody(world, inside, policy, admin_public, packed):
    """What a policy names is as trusted as itself, and the same from every directory."""
    keys = world.path("keys")
    keys.write_text(f"{admin_public}\n")
    policy.write_text("require-signed-by keys\n")
    expect_nothing(world, "relative", "absolute path", inside, packed)
    policy.write_text(f"require-signed-by {keys}\n")
    keys.chmod(0o644)
    expect_restored(world, "by-file", inside, packed)
    keys.chmod(0o664)
    expect_nothing(world, "keys-of-a-group", "others may write it", inside, packed)
    keys.chmod(0o644)
    os.chown(keys, worlds.USER_ID, 0)
    expect_nothing(world, "keys-of-a-user", "not to root", inside, packed)
    policy.write_text(f"require-signed-by {admin_public}\n")


def test(world, _options):
    etc = world.path("etc")
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    policy = etc / "thump" / "policy"
    policy.parent.mkdir(exist_ok=True)
    inside = [*OTHER_ETC, etc]
    (admin, admin_public), (caller, caller_public) = key(world, "admin"), key(world, "caller")
    policy.write_text(f"# images of this host\nrequire-signed-by {admin_public}\n")
    policy.chmod(0o644)

    program = world.start(PROGRAM, "program", stdin=subprocess.DEVNULL)
    program.expect_line("ready")
    image, packed = world.path("image"), world.path("packed")
    world.checkpoint(program.pid, image)
    program.status()
    world.thump("pack", image, "-o", packed, "--sign", caller)

    expect_nothing(world, "raw", "only packed images", inside, image)
    for name, stdin in scenario.as_stdin(world, image):
        expect_nothing(world, f"raw-{name}", "only packed images", inside, "-", stdin=stdin)
    expect_nothing(world, "unsigned", "not signed", inside, packed)
    expect_nothing(world, "callers-own", "not signed", inside, packed, "--require-signed-by",
                   caller_public)
    expect_restored(world, "elsewhere", [], packed)
    world.thump("sign", packed, "--key", admin)
    expect_restored(world, "signed", inside, packed)
    expect_restored(world, "both", inside, packed, "--require-signed-by", caller_public)
    of_anybody(world, inside, policy, admin_public, packed)
    policy.write_text("demand-something-new\n")
    expect_nothing(world, "not-understood", "line 1", inside, packed)
    policy.chmod(0o666)
    expect_nothing(world, "of-everybody", "others may write it", inside, packed)
    policy.chmod(0o644)
    os.chown(policy, worlds.USER_ID, 0)
    expect_nothing(world, "of-a-user", "not to root", inside, packed)


if __name__ == "__main__":
    scenario.run("policy", test, 100)

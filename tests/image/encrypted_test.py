#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An encrypted and signed image of an earlier packer opens, by its key and by its passphrase, and is the image
that it was made of; the second reader checks all that takes no key.

usage: encrypted_test.py THUMP FOLDER RAW-IMAGE
"""
import pathlib
import subprocess
import sys
import tempfile

import packed

PASSPHRASE = "a golden passphrase\n"


def secret_file(folder, name, text):
    """Version control keeps no modes; a secret that others can read is refused."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def main(thump, golden, raw):
    golden = pathlib.Path(golden)
    image, signer = golden / "packed-1.core", golden / "packed-1.signer"
    print(packed.check_encrypted(image.read_bytes()))
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        ways = (("--decrypt-with", secret_file(folder, "key", (golden / "packed-1.key").read_text())),
                ("--passphrase-file", secret_file(folder, "passphrase", PASSPHRASE)))
        for way in ways:
            subprocess.run([thump, "verify", image, "--key", signer, *way], check=True)
            out = folder / way[0]
            subprocess.run([thump, "unpack", image, "-o", out, *way], check=True)
            if out.read_bytes() != pathlib.Path(raw).read_bytes():
                sys.exit(f"{way[0]}: another image came out")


main(*sys.argv[1:])

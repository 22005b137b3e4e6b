#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No clone of a TLS server accepts the session tickets that another clone gives, because JSSE's key
for new ones is another in each; its own tickets each accepts. tests/jvm/java/TlsServer.java."""
import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

import socket
import ssl

from thumptest import java
from thumptest.events import Failure, free_port

PASSWORD = "not-secret"


class Client:
    def __init__(self, world):
        self.world = world
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        # There the ticket is part of the handshake, and a session is all that it takes to use it.
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2

    def connect(self, port, session=None):
        """(the session, whether the one given was taken up again)"""
        address = ("127.0.0.1", port)
        with socket.create_connection(address, timeout=self.world.deadline.left()) as connection:
            with self.context.wrap_socket(connection, session=session) as tls:
                tls.sendall(b"x")
                if tls.recv(1) != b"x":
                    raise Failure(f"no answer from port {port}")
                if not tls.session.has_ticket:
                    raise Failure("the server gives no tickets")
                return tls.session, tls.session_reused


def expect(client, port, session, reused, what):
    if client.connect(port, session)[1] != reused:
        raise Failure(f"{what}: {'not ' if reused else ''}taken up again")


def test(world, options):
    program = java.Java(world, options)
    store = world.path("store.p12")
    world.run([program.home / "bin" / "keytool", "-genkeypair", "-keyalg", "EC", "-dname", "CN=test",
               "-keystore", store, "-storetype", "PKCS12", "-storepass", PASSWORD], "keytool")
    image = world.path("image")
    run = program.start(image, "TlsServer", store, PASSWORD)
    port = int(run.line("'ready'").split()[1])
    client = Client(world)
    before, _ = client.connect(port)
    expect(client, port, before, True, "a session of the original, in the original")
    world.checkpoint(java.child_of(run, world), image, "--drain", "30s")
    java.expect_end(run)

    other = free_port()
    clones = [world.restore(image, name="clone-1"),
              world.restore(image, "--port", f"{port}:{other}", name="clone-2")]
    first, _ = client.connect(port)
    second, _ = client.connect(other)
    expect(client, port, first, True, "a session of the first clone, in the first")
    expect(client, other, second, True, "a session of the second clone, in the second")
    expect(client, other, first, False, "a session of the first clone, in the second")
    expect(client, port, second, False, "a session of the second clone, in the first")
    for process, _ in clones:
        process.popen.terminate()
        process.status()


if __name__ == "__main__":
    java.run("tls_tickets", test, 110)

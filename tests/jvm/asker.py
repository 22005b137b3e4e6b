# SPDX-License-Identifier: Apache-2.0
"""usage: asker.py PID: asks a program for a checkpoint as `thump checkpoint` does (coord/abi.h), says
what it answers, and does nothing more. With a second argument: does not wait for the answer, but
closes the connection."""
import os
import socket
import sys

PID = sys.argv[1]
NAMESPACE = os.stat(f"/proc/{PID}/ns/pid").st_ino

connection = socket.socket(socket.AF_UNIX)
connection.connect(f"\0thump-coord-{NAMESPACE}-{PID}")
connection.sendall(b"checkpoint\n")
if sys.argv[2:]:
    connection.close()
    print("closed", flush=True)
else:
    print(connection.recv(64).split()[0].decode(), flush=True)
sys.stdin.read()

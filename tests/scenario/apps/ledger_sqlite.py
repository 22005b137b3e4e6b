# SPDX-License-Identifier: Apache-2.0
"""A database in WAL mode, with a transaction that stays open between the lines: on standard input a
number per line, on standard output the number and a digest of all rows. Some lines end the
transaction. The answers depend on nothing but the numbers. argv: the file of the database."""
import sqlite3
import sys
import zlib

writer = sqlite3.connect(sys.argv[1], isolation_level=None)
reader = sqlite3.connect(sys.argv[1], isolation_level=None)
assert writer.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
writer.execute("PRAGMA cache_size=20")  # in pages: spills into the log before the end
writer.execute("CREATE TABLE rows (key INTEGER PRIMARY KEY, value TEXT)")
writer.execute("BEGIN IMMEDIATE")


def digest(connection):
    return zlib.crc32(repr(connection.execute("SELECT * FROM rows ORDER BY key").fetchall()).encode())


print("ready", flush=True)
for line in sys.stdin:
    state = int(line)
    for _ in range(500):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        writer.execute("REPLACE INTO rows VALUES (?, ?)", ((state >> 35) % 2000, f"{state:x}" * 9))
    if state % 3 == 0:
        writer.execute("COMMIT")
        writer.execute("BEGIN IMMEDIATE")
    # The reader sees what is committed, the writer its own rows.
    print(line.strip(), f"{digest(writer):x}", f"{digest(reader):x}", flush=True)
writer.execute("COMMIT")
assert writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)

# SPDX-License-Identifier: Apache-2.0
"""Talking to tests/jvm/java/Stand.java."""
from thumptest import java
from thumptest.events import Failure

BEFORE = ("before concurrent", "before resource", "before alone")
AFTER = ("after alone", "after resource", "after concurrent")


def write(process, line):
    process.popen.stdin.write(f"{line}\n".encode())
    process.popen.stdin.flush()


def expect(process, *lines):
    for line in lines:
        process.expect_line(line)


def tell(process, line):
    """The program's answer to a command, without the command."""
    write(process, line)
    answer = process.line(f"an answer to {line}")
    if not (answer or "").startswith(line):
        raise Failure(f"{process.name} answered {answer!r} to {line}\n{process.stderr_text()}")
    return answer[len(line):].strip()


def finish(process, status=0):
    process.popen.stdin.close()
    process.popen.stdin = None
    java.expect_end(process, status)

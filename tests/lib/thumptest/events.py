# SPDX-License-Identifier: Apache-2.0
"""Waiting for things to happen, never past a deadline, and without sleeping where there is an
event to wait for."""
import os
import select
import socket
import time


class Failure(Exception):
    """The test has failed; the text says how."""


class Skip(Exception):
    """The test cannot run here; the text says why."""


class Deadline:
    """One per test; whatever waits, waits no longer than this."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def check(self, what):
        if self.left() == 0:
            raise Failure(f"out of time while waiting for {what}")

    def wait_readable(self, descriptors, what):
        """The descriptors that can be read now; pidfds are readable when the process has ended."""
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(self.left() * 1000)]
        if not ready:
            raise Failure(f"out of time while waiting for {what}")
        return ready


def poll_until(deadline, what, attempt, pause=0.002):
    """For what has no event (somebody listens, a thread is blocked again): asks until there is an
    answer that is not None."""
    while True:
        answer = attempt()
        if answer is not None:
            return answer
        deadline.check(what)
        time.sleep(pause)


class LineReader:
    """Lines of a pipe, waiting for each no longer than the deadline; ends when `pidfd` does."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.pending = b""
        self.seen = []

    def _more(self, deadline, what):
        deadline.wait_readable([self.descriptor], what)
        chunk = os.read(self.descriptor, 65536)
        self.pending += chunk
        return bool(chunk)

    def line(self, deadline, what):
        """The next line, without its end; None at end of file."""
        while b"\n" not in self.pending:
            if not self._more(deadline, what):
                return None
        line, _, self.pending = self.pending.partition(b"\n")
        self.seen.append(line.decode(errors="replace"))
        return self.seen[-1]

    def block(self, pattern, deadline, what):
        """What a compiled pattern matches, taken out of what was written; None at end of file."""
        while not (found := pattern.search(self.pending)):
            if not self._more(deadline, what):
                return None
        self.pending = self.pending[:found.start()] + self.pending[found.end():]
        return found.group().decode()

    def rest(self, deadline, what):
        """Everything up to end of file."""
        while self._more(deadline, what):
            pass
        text, self.pending = self.pending.decode(errors="replace"), b""
        return text


def connect(port, deadline, process=None, host="127.0.0.1"):
    """A TCP connection, as soon as somebody listens."""
    def attempt():
        if process is not None and process.has_ended():
            raise Failure(f"{process.name} ended with {process.status()} before port {port} was "
                          f"served:\n{process.stderr_text()}")
        try:
            return socket.create_connection((host, port), timeout=max(1, deadline.left()))
        except ConnectionRefusedError:
            return None
    return poll_until(deadline, f"port {port}", attempt)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the test's own, on the loopback address."""
import os
import pathlib
import pwd
import subprocess

from thumptest.events import Failure, Skip, connect, free_port

USER = "nobody"  # initdb wants one that has a name, and not root


class Postgres:
    def __init__(self, world):
        self.world, self.port = world, free_port()
        self.folder = world.path("postgres")
        self.programs = self._find_programs()
        self.process = None

    def _find_programs(self):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise Skip("there is no PostgreSQL server")
        if os.getuid() != 0:
            raise Skip("needs root, to run PostgreSQL as another user")
        return found[-1].parent

    def _as_user(self, *words):
        return ["setpriv", "--reuid", USER, "--regid", str(pwd.getpwnam(USER).pw_gid),
                "--clear-groups", *map(str, words)]

    def start(self):
        self.folder.mkdir()
        os.chown(self.folder, pwd.getpwnam(USER).pw_uid, -1)
        self.world.directory.chmod(0o755)
        done = subprocess.run(self._as_user(self.programs / "initdb", "-D", self.folder, "-U", USER,
                                            "--auth=trust", "--no-sync", "--no-locale"),
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, cwd="/")
        if done.returncode != 0:
            raise Failure(f"initdb: {done.stdout}")
        self.process = self.world.start(
            self._as_user(self.programs / "postgres", "-D", self.folder, "-p", self.port,
                          "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            "postgres", as_user=False, cwd="/")
        connect(self.port, self.world.deadline, self.process).close()

    def flags(self):
        """For a Spring application."""
        return [f"-Dspring.datasource.url=jdbc:postgresql://127.0.0.1:{self.port}/postgres",
                f"-Dspring.datasource.username={USER}"]

    def nr_connections(self):
        """How many clients it has, besides the one that asks."""
        done = subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-tA", "-c",
             "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
             "pid <> pg_backend_pid()", "postgres"],
            check=True, stdout=subprocess.PIPE, text=True)
        return int(done.stdout)

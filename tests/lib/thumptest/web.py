# SPDX-License-Identifier: Apache-2.0
"""Clients of the web services under test."""
import http.client
import subprocess
import threading

from thumptest.events import Failure, connect

NOT_LISTENING, NO_SUCCESS = 7, 22  # exit statuses of curl(1)


def get_status(port, path, deadline, process):
    """Of one GET on a connection of its own, whatever it is."""
    return exchange(port, path, "GET", None, deadline, process)[0]


def ask(port, path="/", method="GET", body=None, deadline=None, process=None):
    """One request on a connection of its own; the body of the answer, which must be a 200."""
    status, content = exchange(port, path, method, body, deadline, process)
    if status != 200:
        raise Failure(f"{method} {path}: status {status}")
    return content


def exchange(port, path, method, body, deadline, process):
    """One request on a connection of its own; status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = connect(port, deadline, process)
    try:
        connection.request(method, path, body, {"Connection": "close"})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{method} {path} on port {port}: {error!r}") from None
    finally:
        connection.close()
    return answer.status, content


def ask_inside(prefix, url, early=(NOT_LISTENING,)):
    """The answer to a GET by curl(1) in another place, where the words of `prefix` lead; None when
    its status is one of a service that is not there yet."""
    done = subprocess.run([*prefix, "curl", "-sSf", "--max-time", "20", url], check=False,
                          capture_output=True, text=True)
    if done.returncode not in (0, *early):
        raise Failure(f"{url}: {done.stderr}")
    return done.stdout if done.returncode == 0 else None


def put_under_load(port, path, wanted, deadline, requests, clients=4):
    """Some clients at once, each with one connection; every answer must be `wanted`."""
    failures = []

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.sock = connect(port, deadline)
            for _ in range(requests):
                connection.request("GET", path)
                if connection.getresponse().read() != wanted:
                    raise Failure(f"GET {path}: another answer than before")
        except (Failure, OSError, http.client.HTTPException) as error:
            failures.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise Failure(f"{len(failures)} of {clients} clients failed: {failures[0]}")

# SPDX-License-Identifier: Apache-2.0
"""A web service with state: PUT /KEY stores the body, GET /KEY answers it, GET / counts requests.
Prints `ready PORT`; the port may be the first
argument."""
import http.server
import sys
import threading

SHELF = {}
COUNT = 0
LOCK = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        global COUNT
        with LOCK:
            COUNT += 1
            self.answer(SHELF.get(self.path, b"?") if self.path != "/" else b"%d" % COUNT)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with LOCK:
            SHELF[self.path] = body
        self.answer(b"stored")

    def log_message(self, format, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0), Handler)
print("ready", server.server_port, flush=True)
server.serve_forever()

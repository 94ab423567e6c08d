# SPDX-License-Identifier: Apache-2.0
"""A git server on HTTP: repositories below /public are for everybody, those below /private for USER with TOKEN.

An empty repository appears when it is asked for by a name that ends in ".git".
"""
import base64
import http.server
import os
import pathlib
import re
import subprocess

PORT = 8080
USER, TOKEN = "ada", "s3cret-token"
REPOSITORY = re.compile(r"/(public|private)/[a-z0-9-]+\.git(?=/)")


class Handler(http.server.BaseHTTPRequestHandler):
    """CGI around git-http-backend."""

    protocol_version = "HTTP/1.1"
    root = pathlib.Path("/nonexistent")

    def log_message(self, *_):
        pass

    def do_GET(self):
        path, _, query = self.path.partition("?")
        name = REPOSITORY.match(path)
        if not name:
            self.answer(404, [], b"no such repository\n")
        elif name[1] == "private" and self.headers.get("Authorization") != self.expected():
            self.answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"who are you?\n")
        else:
            self.backend(path, query, self.root / name[0].lstrip("/"))

    do_POST = do_GET

    @staticmethod
    def expected():
        return "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()

    def backend(self, path, query, repository):
        if not repository.exists():
            subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", repository], check=True)
        env = dict(os.environ, GIT_PROJECT_ROOT=str(self.root), GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query,
                   REQUEST_METHOD=self.command, REMOTE_USER=USER, CONTENT_TYPE=self.headers.get("Content-Type", ""),
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
                   GIT_PROTOCOL=self.headers.get("Git-Protocol", ""))
        done = subprocess.run(["git", "http-backend"], input=self.body(), stdout=subprocess.PIPE, env=env, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = int(dict(headers).pop("Status", "200").split()[0])
        self.answer(status, [h for h in headers if h[0] != "Status"], body)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(root):
    handler = type("Rooted", (Handler,), {"root": pathlib.Path(root)})
    http.server.ThreadingHTTPServer(("0.0.0.0", PORT), handler).serve_forever()

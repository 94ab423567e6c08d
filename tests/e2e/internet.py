# SPDX-License-Identifier: Apache-2.0
"""A public internet of our own: a network namespace that the host reaches over a veth.

The addresses are of TEST-NET-2, which sandboxes may reach as they may reach any public address. A web server (port 8000)
shows the files of a folder, a git server (git_server.py) keeps repositories beside it, a name server answers for *.sandglass.test. Addresses of private networks are there too, with the
same web server: the host can reach them, sandboxes must not.

The namespace lives as long as the process in it, and that dies with the one that made it, so an aborted run leaves
nothing. Several may exist at a time; each takes the first free eighth part of the network.
"""
import functools
import http.server
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import git_server

WEB_PORT = 8000
DOMAIN = "sandglass.test"
PRIVATE = ("10.255.254", "100.127.254", "169.254.254", "172.31.254", "192.168.254", "198.19.254")


def ip(*args):
    subprocess.run(["ip", *args], check=True, capture_output=True)


class Internet:
    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", sys.executable, "-B", __file__, self.folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.heard("namespace")
        number = self.plug_in()
        self.link, net = f"sge2e{number}", f"198.51.100.{8 * number}"
        self.uplink, self.address = f"198.51.100.{8 * number + 1}", f"198.51.100.{8 * number + 2}"
        self.sandboxes = f"10.{214 + number}.0.0/16"
        self.private = [f"{p}.{number}" for p in PRIVATE]
        ip("address", "add", f"{self.uplink}/29", "dev", self.link)
        ip("link", "set", self.link, "up")
        for address in self.private:
            ip("route", "add", f"{address}/32", "dev", self.link, "src", self.uplink)
        self.process.stdin.write(f"{net} {self.uplink} {self.address} {' '.join(self.private)}\n")
        self.process.stdin.flush()
        self.heard("ready")
        return self

    def plug_in(self):
        for number in range(1, 32):
            made = subprocess.run(["ip", "link", "add", f"sge2e{number}", "type", "veth", "peer", "name", "eth0",
                                   "netns", str(self.process.pid)], capture_output=True, text=True, check=False)
            if made.returncode == 0:
                return number
            if "File exists" not in made.stderr:
                break
        raise SystemExit(f"cannot make a network link: {made.stderr}")

    def heard(self, word):
        if self.process.stdout.readline().strip() != word:
            raise SystemExit("the test's internet did not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        subprocess.run(["ip", "link", "delete", self.link], capture_output=True, check=False)

    def env(self):
        return {"SANDGLASS_TEST_GIT": f"{self.address}:{git_server.PORT}",
                "SANDGLASS_TEST_WEB": f"{self.address}:{WEB_PORT}", "SANDGLASS_TEST_WEB_FOLDER": str(self.folder),
                "SANDGLASS_TEST_INTERNET": str(self.process.pid), "SANDGLASS_TEST_UPLINK": self.uplink,
                "SANDGLASS_TEST_PRIVATE": " ".join(self.private)}


# ---- inside the namespace ----

def answer(query, address):
    """DNS: one A record for every name below DOMAIN; no other names, no other types."""
    ident, flags, questions = struct.unpack_from("!HHH", query)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    kind, = struct.unpack_from("!H", query, at + 1)
    known = ".".join(labels).endswith("." + DOMAIN)
    records = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address) if known and kind == 1 else b""
    head = struct.pack("!HHHHHH", ident, 0x8400 | flags & 0x0100 | (0 if known else 3), questions, bool(records), 0, 0)
    return head + query[12:at + 5] + records


def serve_names(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, 53))
        while True:
            query, peer = s.recvfrom(512)
            try:
                s.sendto(answer(query, address), peer)
            except (IndexError, ValueError, struct.error):
                pass


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    print("namespace", flush=True)
    _, uplink, address, *private = sys.stdin.readline().split()
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{address}/29", "dev", "eth0")
    for other in private:
        ip("address", "add", f"{other}/32", "dev", "eth0")
    ip("link", "set", "eth0", "up")
    ip("route", "add", "default", "via", uplink)
    web = http.server.ThreadingHTTPServer(("0.0.0.0", WEB_PORT), functools.partial(Files, directory=sys.argv[1]))
    threading.Thread(target=serve_names, args=(address,), daemon=True).start()
    repositories = tempfile.mkdtemp(prefix="git-", dir=os.path.dirname(sys.argv[1]))
    threading.Thread(target=git_server.serve, args=(repositories,), daemon=True).start()
    print("ready", flush=True)
    web.serve_forever()


if __name__ == "__main__":
    os.chdir("/")
    main()

"""Runs inside the sandbox: an HTTP/1.1 server as people write them, on ADDRESS PORT. One path, one behaviour."""
import base64
import hashlib
import http.server
import json
import socket
import struct
import sys
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if status in (204, 304):
            body = b""
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def start_chunks(self, content_type):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def body(self):
        """The request's body in pieces."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while n := int(self.rfile.readline(), 16):
                while n:
                    piece = self.rfile.read(min(n, 1 << 16))
                    n -= len(piece)
                    yield piece
                self.rfile.readline()
            self.rfile.readline()
        left = int(self.headers.get("Content-Length", 0))
        while left and (piece := self.rfile.read1(min(left, 1 << 18))):
            left -= len(piece)
            yield piece

    def do_GET(self):
        path, _, rest = self.path[1:].partition("/")
        getattr(self, f"get_{path}", self.unknown)(rest)

    do_HEAD = do_GET

    def do_POST(self):
        if self.path == "/echo":
            self.answer(200, b"".join(self.body()))
        elif self.path == "/sink":
            digest, n = hashlib.sha256(), 0
            for piece in self.body():
                digest.update(piece)
                n += len(piece)
            self.answer(200, f"{n} {digest.hexdigest()}".encode())
        else:
            self.unknown("")

    def unknown(self, _):
        self.answer(404, b"no such path")

    def get_(self, _):
        self.answer(200, b"<!doctype html><title>sandbox</title><h1>from inside</h1>", Content_Type="text/html")

    def get_headers(self, _):
        self.answer(200, json.dumps({k.lower(): v for k, v in self.headers.items()}).encode())

    def get_status(self, rest):
        self.answer(int(rest), b"some body", ETag='"1"')

    def get_big(self, rest):
        left, block = int(rest), bytes(range(256)) * 1024
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left:
            n = self.connection.send(block[:left])  # positions repeat every 256 bytes
            block = block[n:] + block[:n]
            left -= n

    def get_trailers(self, _):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Sum")
        self.end_headers()
        self.chunk(b"body")
        self.wfile.write(b"0\r\nX-Sum: abc\r\n\r\n")

    def get_events(self, rest):
        self.start_chunks("text/event-stream")
        for i in range(int(rest)):
            self.chunk(b"data: %d\n\n" % i)
            time.sleep(0.2)
        self.wfile.write(b"0\r\n\r\n")

    def get_hang(self, _):
        self.start_chunks("text/plain")
        self.chunk(b"begun")
        time.sleep(600)

    def get_late(self, rest):
        time.sleep(float(rest))
        self.answer(200, b"late")

    # ---- WebSocket ----

    def frame(self, first, data):
        n = len(data)
        length = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
        self.wfile.write(bytes([first]) + length + data)

    def get_ws(self, _):
        """Echoes each frame; after a close frame its own way ends."""
        accept = base64.b64encode(hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + GUID).digest())
        self.send_response(101)
        for name, value in ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept.decode()):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while len(head := self.rfile.read(2)) == 2:
            n = head[1] & 127
            if n > 125:
                n = struct.unpack(">H" if n == 126 else ">Q", self.rfile.read(2 if n == 126 else 8))[0]
            mask = self.rfile.read(4)
            data = self.rfile.read(n)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if any(mask) else data
            self.frame(head[0], data)
            if head[0] & 15 == 8:
                break
        self.connection.shutdown(socket.SHUT_WR)

    def get_raw(self, _):
        """Upgrade to bytes: counts them until their end, then tells."""
        self.send_response(101)
        self.send_header("Upgrade", "raw")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        n = 0
        while piece := self.rfile.read1(1 << 16):
            n += len(piece)
        self.wfile.write(str(n).encode())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET


Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()

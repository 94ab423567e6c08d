"""Files up and down through the stock SDK, sync and async, and through signed URLs without it."""
import asyncio
import gzip
import hashlib
import os
import time
import urllib.error
import urllib.parse
import urllib.request

import host
import pytest
from e2b import (AsyncSandbox, AuthenticationException, InvalidArgumentException, NotEnoughSpaceException,
                 NotFoundException, SandboxException)
from e2b_code_interpreter import Sandbox

MIB = 1 << 20


class Sync:
    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.files = sandbox.files

    def read_stream(self, path):
        return b"".join(self.files.read(path, format="stream"))

    def close(self):
        pass


class Async:
    """The same calls through the asynchronous client."""

    class Files:
        def __init__(self, outer):
            self.outer = outer

        def __getattr__(self, name):
            method = getattr(self.outer.other.files, name)
            return lambda *a, **k: self.outer.loop.run_until_complete(method(*a, **k))

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.loop = asyncio.new_event_loop()
        self.other = self.loop.run_until_complete(AsyncSandbox.connect(sandbox.sandbox_id))
        self.files = Async.Files(self)

    def read_stream(self, path):
        async def collect():
            return b"".join([piece async for piece in await self.other.files.read(path, format="stream")])
        return self.loop.run_until_complete(collect())

    def close(self):
        self.loop.close()


@pytest.fixture(params=[Sync, Async])
def box(request, sandbox):
    b = request.param(sandbox)
    yield b
    b.close()


def fetch(server, sandbox, url, data=None, headers=None):
    """What a browser or curl does with a URL of the SDK: only the host name says which sandbox. Status and body."""
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(f"http://{server[0]}:{server[1]}{parts.path}?{parts.query}", data, {
        "Host": f"49983-{sandbox.sandbox_id}.sandglass.localhost", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def test_every_format(box):
    text = "grüß dich\r\nzweite Zeile\n"
    info = box.files.write("a dir/näme.txt", text)
    assert (info.name, info.path, info.type.value) == ("näme.txt", "/home/user/a dir/näme.txt", "file")
    assert box.files.read("a dir/näme.txt") == text
    assert box.files.read("/home/user/a dir/näme.txt", format="bytes") == text.encode()
    assert box.read_stream("~/a dir/näme.txt") == text.encode()
    owner = host.inside(box.sandbox, "import os\n[os.stat(p).st_uid for p in ('/home/user/a dir', '/home/user/a dir/näme.txt')]")
    assert owner == [1000, 1000]


def test_kinds_of_data(box, tmp_path):
    data = os.urandom(300_000)
    pieces = [data[:7], data[7:200_000], data[200_000:]]

    async def later():
        for p in pieces:
            yield p
    for given in (data, later() if isinstance(box, Async) else iter(pieces)):
        box.files.write("data.bin", given)
        assert box.files.read("data.bin", format="bytes") == data
    with open(tmp_path / "f", "wb+") as f:
        f.write(data)
        f.seek(0)
        box.files.write("from-file.bin", f)
    assert box.files.read("from-file.bin", format="bytes") == data
    box.files.write("empty", "")
    assert box.files.read("empty") == ""
    assert box.files.read("empty", format="bytes") == b""
    assert box.read_stream("empty") == b""


def test_many_files(box):
    files = [{"path": f"many/{i}/f{i}.txt", "data": f"{i}" * i} for i in range(40)]
    infos = box.files.write_files(files)
    assert [i.path for i in infos] == [f"/home/user/many/{i}/f{i}.txt" for i in range(40)]
    for i in (0, 1, 39):
        assert box.files.read(f"many/{i}/f{i}.txt") == f"{i}" * i
    with pytest.raises(InvalidArgumentException, match="twice"):
        box.files.write_files([{"path": "same", "data": "1"}, {"path": "./same", "data": "2"}])


def test_gzip_and_octet_stream(box):
    text = "a line of text\n" * 20_000
    box.files.write("packed.txt", text, gzip=True)
    assert box.files.read("packed.txt") == text
    assert box.files.read("packed.txt", gzip=True) == text
    box.files.write("octets.txt", text, use_octet_stream=True)
    assert box.files.read("octets.txt", format="bytes", gzip=True) == text.encode()


def test_metadata(box):
    info = box.files.write("meta.txt", "1", metadata={"Author": "me", "purpose": "a test"})
    assert info.metadata == {"author": "me", "purpose": "a test"}
    assert box.files.get_info("meta.txt").metadata == {"author": "me", "purpose": "a test"}
    box.files.write("meta.txt", "2", metadata={"purpose": "other"})
    assert box.files.get_info("meta.txt").metadata == {"purpose": "other"}
    box.files.write("meta.txt", "3")
    assert not box.files.get_info("meta.txt").metadata


def test_errors(box):
    with pytest.raises(NotFoundException, match="/home/user/none"):
        box.files.read("none")
    for path in ("/home/user", "."):
        with pytest.raises(InvalidArgumentException, match="directory"):
            box.files.read(path)
        with pytest.raises(InvalidArgumentException, match="directory"):
            box.files.write(path, "x")
    with pytest.raises(AuthenticationException, match="nobody-knows"):
        box.files.read("x", user="nobody-knows")
    with pytest.raises(AuthenticationException, match="nobody-knows"):
        box.files.write("x", "1", user="nobody-knows")
    with pytest.raises(InvalidArgumentException, match="regular"):
        box.files.read("/dev/zero")


def test_users(box):
    box.files.write("/root/secret", "s3cret", user="root")
    assert box.files.read("/root/secret", user="root") == "s3cret"
    for path in ("/root/secret", "/etc/shadow"):
        with pytest.raises(SandboxException, match="403.*permission denied"):
            box.files.read(path)
    for path in ("/root/new", "/etc/passwd", "/usr/new"):
        with pytest.raises(SandboxException, match="403"):
            box.files.write(path, "x")


def test_a_link_is_no_way_to_what_the_user_may_not(box):
    """Code in the sandbox makes links, and swaps them while the agent looks."""
    host.inside(box.sandbox, """
import os
for name, to in (('trap', '/root'), ('trap-file', '/root/secret'), ('trap-proc', '/proc/1/root/root/secret')):
    if not os.path.lexists(name): os.symlink(to, name)
None""")
    box.files.write("/root/secret", "s3cret", user="root")
    for path in ("trap/secret", "trap-file", "trap-proc", "/proc/1/environ", "/proc/1/mem"):
        with pytest.raises((SandboxException, NotFoundException)):
            box.files.read(path)
    for path in ("trap/new", "trap-file"):
        with pytest.raises(SandboxException, match="403"):
            box.files.write(path, "x")
    host.inside(box.sandbox, """
import subprocess
swap = subprocess.Popen(['/bin/sh', '-c', 'mkdir -p real; echo mine >real/secret; '
    'i=0; while [ $i -lt 3000 ]; do ln -sfn /root swap; ln -sfn real swap; i=$((i+1)); done'])
None""")
    for _ in range(60):
        try:
            assert box.files.read("swap/secret") == "mine\n"
        except (SandboxException, NotFoundException):
            pass
        try:
            box.files.write("swap/planted", "x")
        except (SandboxException, NotFoundException):
            pass
    assert box.files.read("/root/secret", user="root") == "s3cret"
    assert "planted" not in [e.name for e in box.files.list("/root", user="root")]


@pytest.mark.parametrize("expiry", [None, 60])
def test_signed_urls(server, box, expiry):
    option = {} if expiry is None else {"use_signature_expiration": expiry}
    box.files.write("signed/ä b.txt", "content")
    down = box.sandbox.download_url("signed/ä b.txt", **option)
    assert fetch(server, box.sandbox, down) == (200, b"content")
    up = box.sandbox.upload_url("signed/up.bin", user="user", **option)
    body = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n'
            b'Content-Type: application/octet-stream\r\n\r\n\0new\r\n--b--\r\n')
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert fetch(server, box.sandbox, up, body, form)[0] == 200
    assert box.files.read("signed/up.bin", format="bytes") == b"\0new"
    # For nothing else than what was signed.
    for url, data in ((down.replace("%20b", "%20c").replace("+b", "+c"), None), (up, None), (down, body),
                      (down.split("&signature")[0], None)):
        assert fetch(server, box.sandbox, url, data, form if data else None)[0] == 401
    over = box.sandbox.download_url("signed/ä b.txt", use_signature_expiration=-5)
    status, text = fetch(server, box.sandbox, over)
    assert (status, b"signature is already expired" in text) == (401, True)


def test_download_like_a_browser(server, sandbox):
    data = os.urandom(100_000)
    sandbox.files.write("range.bin", data)
    url = sandbox.download_url("range.bin")
    assert fetch(server, sandbox, url, headers={"Range": "bytes=5-9"}) == (206, data[5:10])
    assert fetch(server, sandbox, url, headers={"Range": "bytes=-3"}) == (206, data[-3:])
    assert fetch(server, sandbox, url, headers={"Range": "bytes=100000-"})[0] == 416
    assert fetch(server, sandbox, url, headers={"If-None-Match": "*"}) == (304, b"")
    sandbox.files.write("page.html", "<p>" * 5000)
    status, packed = fetch(server, sandbox, sandbox.download_url("page.html"), headers={"Accept-Encoding": "gzip"})
    assert (status, gzip.decompress(packed)) == (200, b"<p>" * 5000)


def resident(pid):
    return int(host.status(pid)["RssAnon"].split()[0]) * 1024


def test_200_mb_with_flat_memory(new_sandbox):
    box = new_sandbox()
    daemon = int((host.STATE / "sandglassd.pid").read_text())
    own = [host.agent_pid(box)] if host.DRIVER == "namespace" else []  # a VMM's is all of its guest's
    piece = os.urandom(MIB)
    digest = hashlib.sha256(piece * 200).hexdigest()
    most = dict.fromkeys([daemon, *own], 0)

    def watch(pieces):
        for p in pieces:
            for pid in most:
                most[pid] = max(most[pid], resident(pid))
            yield p

    box.files.write("warm", b"x" * MIB)
    before = {pid: resident(pid) for pid in most}
    box.files.write("big.bin", watch(piece for _ in range(200)))
    assert host.inside(box, "import hashlib\nhashlib.file_digest(open('big.bin','rb'),'sha256').hexdigest()") == digest
    got = hashlib.sha256()
    for p in watch(box.files.read("big.bin", format="stream")):
        got.update(p)
    assert got.hexdigest() == digest
    grown = {pid: most[pid] - before[pid] for pid in most}
    assert all(n < 8 * MIB for n in grown.values()), grown


@pytest.fixture(scope="module")
def full_box():
    """Its disk has about 20 MB left."""
    s = Sandbox.create(timeout=300)
    host.inside(s, """
import os
v = os.statvfs('/home/user')
fd = os.open('/home/user/fill', os.O_CREAT | os.O_WRONLY)
os.posix_fallocate(fd, 0, v.f_bavail * v.f_frsize - (20 << 20))
None""")
    yield s
    s.kill()


@pytest.mark.parametrize("kind", ["length told", "chunked", "form", "gzip"])
def test_disk_full(full_box, kind):
    full_box.files.write("keep.bin", b"old")
    data = os.urandom(MIB) * 40
    give = {"length told": lambda: full_box.files.write("keep.bin", data, use_octet_stream=True),
            "chunked": lambda: full_box.files.write("keep.bin", (data[i:i + MIB] for i in range(0, len(data), MIB))),
            "form": lambda: full_box.files.write_files([{"path": "keep.bin", "data": data}]),
            "gzip": lambda: full_box.files.write("keep.bin", b"\0" * 40 * MIB, gzip=True)}
    with pytest.raises(NotEnoughSpaceException):
        give[kind]()
    assert full_box.files.read("keep.bin") == "old"
    names = host.inside(full_box, "import os\nos.listdir('/home/user')")
    assert "fill" in names and not [n for n in names if n.startswith(".sandglass")]
    full_box.files.write("keep.bin", b"x" * MIB)  # what still fits


def test_a_cut_upload_leaves_nothing(server, sandbox):
    import http.client
    sandbox.files.write("cut.bin", b"old")
    for n in (0, 1, 100_000, 5_000_000):
        c = http.client.HTTPConnection(*server[:2])
        c.putrequest("POST", "/files?path=cut.bin")
        for name, value in (("E2b-Sandbox-Id", sandbox.sandbox_id), ("E2b-Sandbox-Port", "49983"),
                            ("X-Access-Token", sandbox._envd_access_token),
                            ("Content-Type", "application/octet-stream"), ("Content-Length", "6000000")):
            c.putheader(name, value)
        c.endheaders()
        c.send(b"x" * n)
        time.sleep(0.05)
        c.close()
    time.sleep(0.2)
    assert sandbox.files.read("cut.bin") == "old"
    host.wait_until(lambda: not [e.name for e in sandbox.files.list("/home/user") if e.name.startswith(".sandglass")])

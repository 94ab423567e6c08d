"""Images of templates, from the command and over the APIs: the template "base" is built for real."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

BUILD = pathlib.Path(os.environ["SANDGLASS_TEST_BUILD"])
SERVICE = "/sandglass.v1.TemplateService/"
pytestmark = pytest.mark.skipif(shutil.which("mmdebstrap") is None or shutil.which("mkfs.erofs") is None,
                                reason="mmdebstrap or mkfs.erofs is not installed (contrib/packages microvm)")


def template(*args, limit=600):
    return subprocess.run([BUILD / "sandglass", "template", *args], text=True, capture_output=True, timeout=limit,
                          check=False)


def ask(method, path, body=None):
    request = urllib.request.Request(os.environ["SANDGLASS_URL"] + path, method=method,
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"x-api-key": os.environ["E2B_API_KEY"], "content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


@pytest.fixture(scope="module", autouse=True)
def built():
    """One build for all tests here; what it printed."""
    done = template("build", "base")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


def image():
    status, answer = ask("POST", SERVICE + "GetTemplate", {"template": "base"})
    assert status == 200
    return answer["template"]["image"]


def test_build_shows_its_steps(built):
    for step in ("base", "setup", "apt", "finish", "image"):
        assert f"==> {step}\n" in built
    assert built.splitlines()[-1].startswith("image ")
    assert image()["hash"] in built


def test_unchanged_is_quick(built):
    start = time.monotonic()
    again = template("build", "--quiet", "base")
    assert (again.returncode, again.stdout) == (0, built.splitlines()[-1] + "\n")
    assert time.monotonic() - start < 20


def test_list_and_show():
    row = [line for line in template("list").stdout.splitlines() if line.startswith("base ")]
    assert len(row) == 1 and " ready " in row[0] and " MiB " in row[0]
    shown = template("show", "base").stdout
    assert "base         host, debian:bookworm\n" in shown and image()["kernel"] in shown
    status, answer = ask("POST", SERVICE + "ListTemplates", {})
    assert status == 200
    assert {t["template"]["name"]: t["image"]["state"] for t in answer["templates"]}["base"] == "IMAGE_STATE_READY"
    status, detail = ask("GET", "/templates/base")
    assert status == 200 and detail["builds"][0]["status"] == "ready"


def test_errors_are_told():
    for args in (("build", "none"), ("show", "none"), ("rm", "none")):
        failed = template(*args)
        assert failed.returncode == 1 and "template: no template 'none' (not_found)" in failed.stderr
    assert template("build").returncode == 2
    assert template("paint").returncode == 2
    status, answer = ask("POST", SERVICE + "RemoveTemplate", {"template": "none"})
    assert status == 404 and answer["code"] == "not_found"


def test_a_second_build_of_the_same_is_refused():
    first = subprocess.Popen([BUILD / "sandglass", "template", "build", "--force", "base"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "==> base\n"
        assert image()["state"] == "IMAGE_STATE_BUILDING"
        second = template("build", "base")
        assert second.returncode == 1
        assert "the image of base is being built already (failed_precondition)" in second.stderr
    finally:
        # The image of before stays, and the interrupted build leaves nothing.
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert first.returncode == 130
    for _ in range(100):
        if image()["state"] == "IMAGE_STATE_READY":
            break
        time.sleep(0.1)
    assert image()["state"] == "IMAGE_STATE_READY"
    left = pathlib.Path(os.environ["SANDGLASS_TEST_STATE"], "launcher")
    for _ in range(100):
        if not list(left.glob("*/*.new")):
            break
        time.sleep(0.1)
    assert not list(left.glob("*/*.new"))


def test_sandboxes_go_on_beside_a_build(new_sandbox):
    stop = threading.Event()
    builds = []

    def build():
        while not stop.is_set():
            builds.append(template("build", "-q", "base").returncode)

    thread = threading.Thread(target=build)
    thread.start()
    try:
        for _ in range(3):
            assert new_sandbox().run_code("1 + 1").text == "2"
    finally:
        stop.set()
        thread.join()
    assert builds and set(builds) == {0}


def test_removed():
    assert template("rm", "base").returncode == 0
    assert image().get("hash", "") == "" and image()["state"] == "IMAGE_STATE_ABSENT"
    assert template("rm", "base").returncode == 0

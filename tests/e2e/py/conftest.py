"""The server under test is named by the SDK's environment variables; tests/e2e/run sets them."""
import os

import grpc
import pytest
from e2b_code_interpreter import Sandbox
from grpc_helpers import Client
from sdk_calls import watch_all

watch_all()  # for test_sdk_coverage.py


@pytest.fixture(scope="session")
def server():
    """host, port of the cleartext listener and the API key."""
    host, _, port = os.environ["SANDGLASS_URL"].removeprefix("http://").partition(":")
    return host, int(port), os.environ["E2B_API_KEY"]


@pytest.fixture(scope="module")
def channel(server):
    host, port, _ = server
    with grpc.insecure_channel(f"{host}:{port}") as c:
        yield c


@pytest.fixture(scope="module")
def client(channel):
    return Client(channel)


@pytest.fixture(scope="module")
def key(server):
    return [("x-api-key", server[2])]


@pytest.fixture
def new_sandbox():
    made = []

    def make(**options):
        made.append(Sandbox.create(timeout=300, **options))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.kill()


@pytest.fixture(scope="module")
def sandbox():
    s = Sandbox.create(timeout=600)
    yield s
    s.kill()

"""The server under test is named by the SDK's environment variables; tests/e2e/run sets them."""
import os

import pytest
from e2b_code_interpreter import Sandbox


@pytest.fixture(scope="session")
def server():
    """host, port of the cleartext listener and the API key."""
    host, _, port = os.environ["SANDGLASS_URL"].removeprefix("http://").partition(":")
    return host, int(port), os.environ["E2B_API_KEY"]


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

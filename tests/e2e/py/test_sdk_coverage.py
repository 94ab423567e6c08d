"""Behind all others: every public method of the stock SDK's commands, pty, files and git has been called with success by
them, in both of its kinds, and each module has been seen to fail with the SDK's own error classes."""
import pathlib

import e2b
import pytest
from sdk_calls import RAISED, RETURNED, classes, methods

NEEDED = {"test_commands.py", "test_filesystem.py", "test_file_transfer.py", "test_git.py", "test_streams.py"}
ERRORS = {
    "commands": {"CommandExitException", "NotFoundException", "TimeoutException", "InvalidArgumentException"},
    "pty": {"NotFoundException"},
    "files": {"FileNotFoundException", "InvalidArgumentException"},
    "git": {"GitAuthException", "GitUpstreamException", "InvalidArgumentException"},
}


@pytest.fixture(autouse=True)
def all_ran(request):
    missing = NEEDED - {pathlib.Path(item.fspath).name for item in request.session.items}
    if missing:
        pytest.skip(f"this session has not run {', '.join(sorted(missing))}")


@pytest.mark.parametrize("name", classes())
def test_every_method(name):
    found = methods(classes()[name])
    assert found
    assert [m for m in found if (name, m) not in RETURNED] == []


@pytest.mark.parametrize("sandbox", ["Sandbox", "AsyncSandbox"])
@pytest.mark.parametrize("module", ERRORS)
def test_error_classes(sandbox, module):
    assert all(hasattr(e2b, name) for name in ERRORS[module])
    seen = set().union(*(names for (cls, _), names in RAISED.items() if cls == f"{sandbox}.{module}" or (
        module in ("commands", "pty") and cls == {"Sandbox": "CommandHandle"}.get(sandbox, "AsyncCommandHandle"))))
    assert ERRORS[module] <= seen

"""The git module of the stock Python SDK, synchronous and asynchronous, against a git server on the internet."""
import asyncio
import os
import uuid

import pytest
from e2b import (
    AsyncSandbox,
    CommandExitException,
    GitAuthException,
    GitUpstreamException,
    InvalidArgumentException,
    Sandbox,
)

SERVER = os.environ["SANDGLASS_TEST_GIT"]
USER, TOKEN = "ada", "s3cret-token"  # of tests/e2e/git_server.py
AUTHOR = {"author_name": "Ada L", "author_email": "ada@example.test"}


class Waiting:
    """An object of the asynchronous SDK whose methods wait for their results."""

    def __init__(self, loop, inner):
        self._loop, self._inner = loop, inner

    def __getattr__(self, name):
        value = getattr(self._inner, name)
        if not callable(value):
            return Waiting(self._loop, value)
        return lambda *args, **kwargs: self._loop.run_until_complete(value(*args, **kwargs))


@pytest.fixture(scope="module", params=["sync", "async"])
def box(request):
    if request.param == "sync":
        sandbox = Sandbox.create("base", timeout=600)
        yield sandbox
        sandbox.kill()
        return
    loop = asyncio.new_event_loop()
    sandbox = Waiting(loop, loop.run_until_complete(AsyncSandbox.create("base", timeout=600)))
    yield sandbox
    sandbox.kill()
    loop.close()


@pytest.fixture
def git(box):
    return box.git


@pytest.fixture
def path():
    return f"/home/user/{uuid.uuid4().hex[:8]}"


def url(kind):
    return f"http://{SERVER}/{kind}/{uuid.uuid4().hex[:8]}.git"


def output(box, command, path):
    return box.commands.run(command, cwd=path).stdout


def begin(box, path, name="a.txt", text="one\n"):
    """A repository with one commit on main."""
    box.git.init(path, initial_branch="main")
    box.files.write(f"{path}/{name}", text)
    box.git.add(path)
    box.git.commit(path, "first", **AUTHOR)


def publish(box, path, address, **credentials):
    begin(box, path)
    box.git.remote_add(path, "origin", address)
    box.git.push(path, "origin", "main", **credentials)


def test_init(box, git, path):
    result = git.init(path, initial_branch="trunk")
    assert result.exit_code == 0 and "Initialized empty Git repository" in result.stdout
    assert git.status(path).current_branch == "trunk"
    git.init(f"{path}.git", bare=True)
    assert output(box, "git rev-parse --is-bare-repository", f"{path}.git") == "true\n"


def test_add_commit_and_status(box, git, path):
    git.init(path, initial_branch="main")
    assert git.status(path).is_clean
    box.files.write(f"{path}/a.txt", "one\n")
    box.files.write(f"{path}/b c'\".txt", "two\n")
    status = git.status(path)
    assert (status.has_untracked, status.untracked_count, status.has_staged) == (True, 2, False)
    git.add(path, files=["a.txt"])
    status = git.status(path)
    assert status.staged_count == 1 and status.untracked_count == 1
    assert [(f.name, f.status, f.staged) for f in status.file_status if f.staged] == [("a.txt", "added", True)]
    git.add(path)
    git.commit(path, "it's \"the\" $(first)", **AUTHOR)
    assert git.status(path).is_clean
    assert output(box, "git log --format='%an <%ae> %s'", path) == "Ada L <ada@example.test> it's \"the\" $(first)\n"
    with pytest.raises(CommandExitException) as e:
        git.commit(path, "nothing", **AUTHOR)
    assert e.value.exit_code == 1 and "nothing to commit" in e.value.stdout
    git.commit(path, "empty", allow_empty=True, **AUTHOR)
    box.files.write(f"{path}/a.txt", "changed\n")
    box.commands.run("git mv \"b c'\\\".txt\" d.txt", cwd=path)
    status = git.status(path)
    assert {f.name: f.status for f in status.file_status} == {"a.txt": "modified", "d.txt": "renamed"}
    assert (status.total_count, status.staged_count, status.unstaged_count) == (2, 1, 1)


def test_branches(box, git, path):
    begin(box, path)
    git.create_branch(path, "topic")
    assert git.branches(path).current_branch == "topic"
    assert sorted(git.branches(path).branches) == ["main", "topic"]
    git.commit(path, "on topic", allow_empty=True, **AUTHOR)
    git.checkout_branch(path, "main")
    assert git.status(path).current_branch == "main"
    with pytest.raises(CommandExitException) as e:
        git.delete_branch(path, "topic")
    assert "not fully merged" in e.value.stderr
    git.delete_branch(path, "topic", force=True)
    assert git.branches(path).branches == ["main"]
    with pytest.raises(CommandExitException):
        git.checkout_branch(path, "nowhere")


def test_reset_and_restore(box, git, path):
    begin(box, path)
    box.files.write(f"{path}/a.txt", "two\n")
    git.add(path)
    git.restore(path, ["a.txt"], staged=True)
    assert not git.status(path).has_staged and git.status(path).has_changes
    git.restore(path, ["a.txt"])
    assert git.status(path).is_clean and box.files.read(f"{path}/a.txt") == "one\n"
    box.files.write(f"{path}/a.txt", "two\n")
    git.add(path)
    git.reset(path, paths=["a.txt"])
    assert not git.status(path).has_staged
    git.add(path)
    git.commit(path, "second", **AUTHOR)
    git.reset(path, mode="soft", target="HEAD~1")
    assert git.status(path).has_staged
    git.reset(path, mode="hard")
    assert git.status(path).is_clean and box.files.read(f"{path}/a.txt") == "one\n"
    git.restore(path, ["."], source="HEAD", worktree=True)
    with pytest.raises(InvalidArgumentException):
        git.reset(path, mode="wild")
    with pytest.raises(InvalidArgumentException):
        git.restore(path, [])


def test_remotes(box, git, path):
    git.init(path, initial_branch="main")
    assert git.remote_get(path, "origin") is None
    git.remote_add(path, "origin", url("public"))
    with pytest.raises(CommandExitException) as e:
        git.remote_add(path, "origin", url("public"))
    assert "already exists" in e.value.stderr
    address = url("public")
    git.remote_add(path, "origin", address, overwrite=True, fetch=True)
    assert git.remote_get(path, "origin") == address


def test_config(box, git, path):
    git.init(path)
    git.set_config("pull.rebase", "false")
    assert git.get_config("pull.rebase") == "false"
    git.set_config("core.pager", "less -R; echo 'x'", scope="local", path=path)
    assert git.get_config("core.pager", scope="local", path=path) == "less -R; echo 'x'"
    assert git.get_config("core.pager") is None
    git.configure_user("Grace H", "grace@example.test")
    assert (git.get_config("user.name"), git.get_config("user.email")) == ("Grace H", "grace@example.test")
    git.commit(path, "as configured", allow_empty=True)
    assert output(box, "git log -1 --format='%an %ae'", path) == "Grace H grace@example.test\n"
    git.set_config("sandglass.test", "1", scope="system", user="root")
    assert git.get_config("sandglass.test", scope="system") == "1"
    with pytest.raises(CommandExitException):
        git.set_config("sandglass.test", "2", scope="system")
    with pytest.raises(InvalidArgumentException):
        git.set_config("a.b", "c", scope="local")


def test_push_clone_and_pull(box, git, path):
    address = url("public")
    publish(box, path, address)
    assert git.status(path).upstream == "origin/main"
    clone = f"{path}-clone"
    result = git.clone(address, clone)
    assert result.exit_code == 0 and box.files.read(f"{clone}/a.txt") == "one\n"
    assert git.pull(clone).exit_code == 0
    git.commit(path, "second", allow_empty=True, **AUTHOR)
    assert git.status(path).ahead == 1
    git.push(path)
    assert git.status(path).ahead == 0
    git.pull(clone, "origin", "main")
    assert output(box, "git log --format=%s", clone) == "second\nfirst\n"
    shallow = f"{path}-shallow"
    git.create_branch(path, "topic")
    git.push(path, "origin", "topic")
    git.clone(address, shallow, branch="topic", depth=1)
    assert git.branches(shallow).current_branch == "topic"
    git.clone(address, cwd=os.path.dirname(path))
    assert box.files.exists(f"/home/user/{address.split('/')[-1].removesuffix('.git')}/a.txt")
    assert output(box, "git rev-list --count HEAD", shallow) in ("1\n", "2\n")


def test_large_push(box, git, path):
    """More than one request's buffer: git sends it in chunks."""
    begin(box, path)
    box.commands.run("head -c 3000000 /dev/urandom > big", cwd=path)
    git.add(path)
    git.commit(path, "big", **AUTHOR)
    address = url("public")
    git.remote_add(path, "origin", address)
    git.push(path, "origin", "main")
    git.clone(address, f"{path}-clone")
    assert output(box, "sha256sum < big", path) == output(box, "sha256sum < big", f"{path}-clone")


def test_upstream_errors(box, git, path):
    begin(box, path)
    git.remote_add(path, "origin", url("public"))
    with pytest.raises(GitUpstreamException):
        git.push(path)
    with pytest.raises(GitUpstreamException):
        git.pull(path)


def test_credentials(box, git, path):
    address = url("private")
    begin(box, path)
    git.remote_add(path, "origin", address)
    for wrong in ({}, {"username": USER}):
        with pytest.raises(GitAuthException):
            git.push(path, "origin", "main", **wrong)
    git.push(path, "origin", "main", username=USER, password=TOKEN)
    assert git.remote_get(path, "origin") == address  # nothing of it is left
    clone = f"{path}-clone"
    with pytest.raises(GitAuthException):
        git.clone(address, clone)
    with pytest.raises(GitAuthException):
        git.clone(address, clone, username=USER, password="wrong")
    with pytest.raises(InvalidArgumentException):
        git.clone(address, clone, password=TOKEN)
    git.clone(address, clone, username=USER, password=TOKEN)
    assert git.remote_get(clone, "origin") == address
    with pytest.raises(GitAuthException):
        git.pull(clone)
    git.pull(clone, username=USER, password=TOKEN)
    git.clone(address, f"{clone}-stored", username=USER, password=TOKEN, dangerously_store_credentials=True)
    assert TOKEN in git.remote_get(f"{clone}-stored", "origin")


def test_dangerously_authenticate(box, git, path):
    """For a user of its own, so that the other tests find no stored credentials."""
    address = url("private")
    publish(box, path, address, username=USER, password=TOKEN)
    git.dangerously_authenticate(USER, TOKEN, host=SERVER, protocol="http", user="root")
    git.clone(address, f"/root/{path.split('/')[-1]}", user="root")
    git.pull(f"/root/{path.split('/')[-1]}", user="root")
    with pytest.raises(GitAuthException):
        git.clone(address, f"{path}-clone")
    with pytest.raises(InvalidArgumentException):
        git.dangerously_authenticate(USER, "")

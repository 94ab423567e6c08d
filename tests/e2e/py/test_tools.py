"""What a sandbox of template "base" offers to commands, as E2B's does; contrib/packages run and languages install it."""
import pytest
from e2b import Sandbox
from host import DRIVER


@pytest.fixture(scope="module")
def base():
    sandbox = Sandbox.create("base", timeout=300)
    yield sandbox
    sandbox.kill()


@pytest.mark.parametrize("tool", ["bash", "git", "curl", "python3", "pip", "node", "npm", "npx", "gcc", "g++", "make"])
def test_tools(base, tool):
    assert base.commands.run(f"{tool} --version").stdout


def test_login_shell(base):
    told = base.commands.run("bash -l -c 'echo $HOME $USER $SHELL; pwd; command -v git; echo $PATH'").stdout.splitlines()
    assert told[:3] == ["/home/user user /bin/bash", "/home/user", "/usr/bin/git"]
    assert {"/usr/local/bin", "/usr/bin", "/bin"} <= set(told[3].split(":"))
    told = base.commands.run("bash -l -c 'echo $HOME $USER; pwd; command -v ldconfig'", user="root", cwd="/root").stdout
    assert told.splitlines() == ["/root root", "/root", "/usr/sbin/ldconfig"]
    assert base.commands.run("echo 'export SG_PROFILE=1' >> ~/.profile && bash -l -c 'echo $SG_PROFILE'").stdout == "1\n"


def test_names_and_locale(base):
    assert base.commands.run("hostname").stdout == "sandbox\n"
    assert "sandbox" in base.commands.run("getent hosts $(hostname)").stdout
    assert base.commands.run("getent hosts localhost").stdout.split()[0] in ("127.0.0.1", "::1")
    assert base.commands.run("grep -c ^nameserver /etc/resolv.conf").stdout == "1\n"
    assert base.commands.run("locale charmap").stdout == "UTF-8\n"
    assert base.commands.run("python3 -c 'print(len(\"\u00fc\u20ac\"))'").stdout == "2\n"


def test_building(base):
    base.files.write("/home/user/p/main.c", '#include <stdio.h>\nint main(void) { puts("built"); }\n')
    base.files.write("/home/user/p/Makefile", "main: main.c\n\t$(CC) -O2 -Wall -o $@ $<\n")
    assert base.commands.run("make -s main && ./main", cwd="/home/user/p").stdout == "built\n"
    base.files.write("/home/user/p/s.cc", '#include <iostream>\nint main() { std::cout << "c++\\n"; }\n')
    assert base.commands.run("g++ -o s s.cc && ./s", cwd="/home/user/p").stdout == "c++\n"


def test_node_and_python_projects(base):
    assert base.commands.run("npm init -y >/dev/null && node -p 'require(\"./package.json\").version'", cwd="/tmp").stdout == "1.0.0\n"
    assert base.commands.run("python3 -m venv v && v/bin/python -c 'import sys; print(sys.prefix)'").stdout == "/home/user/v\n"


def test_sudo_is_refused_with_a_reason(base):
    """There is no setuid in a sandbox; the user root is asked for instead."""
    assert base.commands.run("id -u", user="root").stdout == "0\n"
    if DRIVER == "namespace":  # in a microVM it would lead no further than "root" does
        assert base.commands.run("cat /proc/self/status | grep NoNewPrivs").stdout.split() == ["NoNewPrivs:", "1"]

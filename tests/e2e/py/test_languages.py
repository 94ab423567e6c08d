"""Code in other languages than Python, through the stock e2b-code-interpreter package. contrib/packages languages installs
the kernels."""
import base64
import time

import pytest
from e2b import TimeoutException
from e2b_code_interpreter import Sandbox

# What each language does it with.
LANGUAGES = {
    "javascript": {
        "names": ["javascript", "js", " JavaScript "],
        "print": "console.log('out'); console.error('err');",
        "steps": "for (const i of [0, 1, 2]) { console.log('line', i); await new Promise(r => setTimeout(r, 600)); }",
        "set": "let kept = 41", "get": "kept + 1", "gone": "typeof kept", "gone_text": "undefined",
        "fail": "function inner() { throw new RangeError('no good'); }\ninner()",
        "error": ("RangeError", "no good", "at inner"),
        "env": "console.log(`${process.env.SG_ONE} ${process.env.SG_ALL}`)", "no_env": "undefined",
        "cwd": "Deno.cwd()", "spin": "while (true) {}", "exit": "Deno.exit(3)", "exit_text": "status 3",
    },
    "typescript": {
        "names": ["typescript", "ts"],
        "print": "const o: string = 'out'; console.log(o); console.error('err' as string);",
        "steps": "for (const i of [0, 1, 2] as number[]) { console.log('line', i); await new Promise(r => setTimeout(r, 600)); }",
        "set": "interface Pair { a: number }\nconst pair: Pair = { a: 42 }", "get": "pair.a", "gone": "typeof pair",
        "gone_text": "undefined", "fail": "((n: number) => { throw new Error('no ' + n); })(1)",
        "error": ("Error", "no 1", "at "), "env": "console.log(`${process.env.SG_ONE} ${process.env.SG_ALL}`)", "no_env": "undefined",
        "cwd": "Deno.cwd()", "spin": "while (true) {}", "exit": "Deno.exit(3)", "exit_text": "status 3",
    },
    "bash": {
        "names": ["bash", "sh"],
        "print": "echo out; echo err >&2",
        "steps": "for i in 0 1 2; do echo line $i; sleep 0.6; done",
        "set": "kept=41", "get": "echo $((kept + 1))", "gone": "echo ${kept-undefined}", "gone_text": "undefined",
        "fail": "echo before; (exit 5)", "error": ("ExitStatus", "5", ""),
        "env": 'echo "${SG_ONE-none} $SG_ALL"', "no_env": "none",
        "cwd": "pwd", "spin": "while :; do :; done", "exit": "kill -9 $PPID", "exit_text": "signal 9",
    },
    "r": {
        "names": ["r", "R"],
        "print": "cat('out\\n'); message('err')",
        "steps": "for (i in 0:2) { cat('line', i, '\\n'); flush.console(); Sys.sleep(0.6) }",
        "set": "kept <- 41", "get": "cat(kept + 1)", "gone": "cat(if (exists('kept')) kept else 'undefined')",
        "gone_text": "undefined", "fail": "inner <- function() stop('no good')\ninner()", "error": ("ERROR", "no good", "inner()"),
        "env": "cat(Sys.getenv('SG_ONE', 'none'), Sys.getenv('SG_ALL'))", "no_env": "none",
        "cwd": "cat(getwd())", "spin": "repeat {}", "exit": "quit(status = 3)", "exit_text": "the kernel exited",
    },
}


def said(execution):
    """What a cell shows: its result, or else what it printed."""
    assert execution.error is None, execution.error
    return execution.text or "".join(execution.logs.stdout).strip()


@pytest.fixture(scope="module")
def box():
    sandbox = Sandbox.create(timeout=600, envs={"SG_ALL": "of 'all' \"cells\" $x"})
    yield sandbox
    sandbox.kill()


@pytest.fixture(params=LANGUAGES)
def language(request):
    return request.param


@pytest.fixture
def how(language):
    return LANGUAGES[language]


def test_names_and_default_context(box, language, how):
    for name in how["names"]:
        box.run_code(how["set"] if name == how["names"][0] else "", language=name)
    assert said(box.run_code(how["get"], language=how["names"][-1])) == "42"
    assert [c.language for c in box.list_code_contexts()].count(language) == 1


def test_streams(box, language, how):
    execution = box.run_code(how["print"], language=language)
    assert "".join(execution.logs.stdout).strip() == "out"
    assert "".join(execution.logs.stderr).strip() == "err"
    assert execution.error is None


def test_output_comes_while_the_cell_runs(box, language, how):
    seen = []
    execution = box.run_code(how["steps"], language=language, on_stdout=lambda m: seen.append((m.line, time.monotonic())))
    assert "".join(line for line, _ in seen).split() == ["line", "0", "line", "1", "line", "2"]
    assert seen[-1][1] - seen[0][1] > 0.8
    assert execution.error is None


def test_error(box, language, how):
    heard = []
    error = box.run_code(how["fail"], language=language, on_error=heard.append).error
    name, value, place = how["error"]
    assert error.name == name
    assert value in error.value
    assert place in error.traceback
    assert [e.name for e in heard] == [name]
    assert said(box.run_code(how["cwd"], language=language)) == "/home/user"


def test_environment(box, language, how):
    assert said(box.run_code(how["env"], language=language)) == f"{how['no_env']} of 'all' \"cells\" $x"
    value = "one 'x' \"y\" $z \\ \u00fc"
    assert said(box.run_code(how["env"], language=language, envs={"SG_ONE": value})) == f"{value} of 'all' \"cells\" $x"
    assert said(box.run_code(how["env"], language=language)) == f"{how['no_env']} of 'all' \"cells\" $x"


def test_contexts(box, language, how):
    context = box.create_code_context(language=how["names"][-1], cwd="/tmp")
    assert (context.language, context.cwd) == (language, "/tmp")
    assert said(box.run_code(how["cwd"], context=context)) == "/tmp"
    box.run_code(how["set"], context=context)
    assert said(box.run_code(how["get"], context=context)) == "42"
    box.restart_code_context(context)
    assert said(box.run_code(how["gone"], context=context)) == how["gone_text"]
    assert said(box.run_code(how["cwd"], context=context)) == "/tmp"
    box.remove_code_context(context)
    assert context.id not in [c.id for c in box.list_code_contexts()]


def test_timeout_interrupts_and_keeps_state(box, language, how):
    context = box.create_code_context(language=language)
    box.run_code(how["set"], context=context)
    with pytest.raises(TimeoutException):
        box.run_code(how["spin"], context=context, timeout=2)
    assert said(box.run_code(how["get"], context=context)) == "42"
    box.remove_code_context(context)


def test_death_of_the_kernel(box, language, how):
    context = box.create_code_context(language=language)
    box.run_code(how["set"], context=context)
    error = box.run_code(how["exit"], context=context).error
    assert error.name == "UnexpectedEndOfExecution"
    assert how["exit_text"] in error.value
    assert said(box.run_code(how["gone"], context=context)) == how["gone_text"]
    box.remove_code_context(context)


# ---- what only one of them has ----

def test_javascript_results(box):
    assert box.run_code("await Promise.resolve({ a: [1, 'x'] })", language="js").text == "{ a: [ 1, \"x\" ] }"
    assert box.run_code("import path from 'node:path'; path.join('a', 'b')", language="js").text == "a/b"
    assert box.run_code("Deno.jupyter.html`<b>x</b>`", language="js").results[0].html == "<b>x</b>"
    error = box.run_code("let = = 1", language="js").error
    assert error.name == "SyntaxError" and "1 | let = = 1" in error.value


def test_eternal_await_costs_the_state(box):
    """Nothing runs that could be interrupted: the kernel is replaced, and the next cell works."""
    context = box.create_code_context(language="js")
    with pytest.raises(TimeoutException):
        box.run_code("await new Promise(() => {})", context=context, timeout=2)
    assert box.run_code("1 + 1", context=context).text == "2"
    box.remove_code_context(context)


def test_r_results(box):
    frame = box.run_code("data.frame(a = 1:2, b = c('x', 'y'))", language="r").results[0]
    assert "<table" in frame.html and "|" in frame.markdown
    plot = box.run_code("plot(1:3)", language="r").results[0]
    assert base64.b64decode(plot.png).startswith(b"\x89PNG")


def test_bash_is_a_shell(box):
    assert said(box.run_code("cat <<X | tr a-z A-Z\nhere\nX", language="bash")) == "HERE"
    execution = box.run_code("exit 4", language="bash")
    assert (execution.error.name, execution.error.value) == ("ExitStatus", "4")
    assert said(box.run_code("echo again", language="bash")) == "again"
    assert said(box.run_code("sleep 30 & echo $!", language="bash")).isdigit()


def test_languages_do_not_wait_for_each_other(box):
    contexts = [box.create_code_context(language=name) for name in LANGUAGES]
    assert sorted(c.language for c in contexts) == sorted(LANGUAGES)
    for context in contexts:
        box.remove_code_context(context)

"""The stock e2b-code-interpreter package (PyPI) against this server, synchronous and asynchronous."""
import asyncio
import threading
import time

import pytest
from e2b import NotFoundException, TimeoutException
from e2b_code_interpreter import AsyncSandbox, Sandbox


def test_readme_example():
    with Sandbox.create() as sandbox:
        sandbox.run_code("x = 1")
        assert sandbox.run_code("x+=1; x").text == "2"


def test_streaming_while_the_cell_sleeps(sandbox):
    seen = []
    execution = sandbox.run_code(
        "import sys, time\nfor i in range(3):\n  sys.stdout.write(f'line {i}\\n')\n  time.sleep(0.6)",
        on_stdout=lambda m: seen.append((m.line, time.monotonic())),
    )
    assert "".join(line for line, _ in seen) == "line 0\nline 1\nline 2\n"
    assert seen[1][1] - seen[0][1] > 0.3 and seen[2][1] - seen[1][1] > 0.3
    assert execution.error is None


def test_callbacks_of_every_kind(sandbox):
    got = {"out": [], "err": [], "result": [], "error": []}
    sandbox.run_code(
        # One write a line: the two of a print() may come in two pieces.
        "import sys\nfrom IPython.display import display\nsys.stdout.write('o\\n')\nsys.stderr.write('e\\n')\n"
        "display(1)\nraise KeyError('k')",
        on_stdout=lambda m: got["out"].append(m.line),
        on_stderr=lambda m: got["err"].append(m.line),
        on_result=lambda r: got["result"].append(r.text),
        on_error=lambda e: got["error"].append(e.name),
    )
    assert got == {"out": ["o\n"], "err": ["e\n"], "result": ["1"], "error": ["KeyError"]}


def test_chart_is_parsed_into_the_sdks_classes(sandbox):
    execution = sandbox.run_code(
        "import matplotlib.pyplot as plt\nplt.scatter([1,2],[3,4],label='p')\nplt.ylabel('y [m]')\nplt.show()"
    )
    chart = execution.results[0].chart
    assert type(chart).__name__ == "ScatterChart"
    assert chart.y_unit == "m"
    assert chart.elements[0].points == [(1, 3), (2, 4)] or [list(p) for p in chart.elements[0].points] == [[1, 3], [2, 4]]
    assert execution.results[0].png


def test_frame(sandbox):
    result = sandbox.run_code("import pandas as pd\npd.DataFrame({'t': pd.to_datetime(['2026-01-02'])})").results[0]
    assert result.data == {"t": ["2026-01-02T00:00:00"]}


def test_exception(sandbox):
    error = sandbox.run_code("raise ValueError('no good')").error
    assert (error.name, error.value) == ("ValueError", "no good")
    assert "raise ValueError" in error.traceback


def test_contexts(sandbox):
    context = sandbox.create_code_context(cwd="/tmp")
    assert context.cwd == "/tmp" and context.language == "python"
    assert sandbox.run_code("import os; os.getcwd()", context=context).text == "/tmp"
    assert context.id in [c.id for c in sandbox.list_code_contexts()]
    sandbox.restart_code_context(context)
    sandbox.remove_code_context(context)
    with pytest.raises(NotFoundException):
        sandbox.run_code("1", context=context)


def test_env(new_sandbox):
    sandbox = new_sandbox(envs={"A": "1"})
    code = "import os; (os.environ.get('A'), os.environ.get('B'))"
    assert sandbox.run_code(code).text == "('1', None)"
    assert sandbox.run_code(code, envs={"B": "2"}).text == "('1', '2')"
    assert sandbox.run_code(code).text == "('1', None)"


def test_timeout_interrupts_and_keeps_state(sandbox):
    sandbox.run_code("kept = 7")
    with pytest.raises(TimeoutException):
        sandbox.run_code("import time; time.sleep(60)", timeout=1)
    assert sandbox.run_code("kept").text == "7"


def test_kill_during_a_run(new_sandbox):
    sandbox = new_sandbox()
    threading.Timer(1.0, sandbox.kill).start()
    with pytest.raises(TimeoutException, match="killed while the request was in progress"):
        sandbox.run_code("import time; time.sleep(60)")


def test_unknown_language_and_both_selectors(sandbox):
    with pytest.raises(Exception, match="cobol|500"):
        sandbox.create_code_context(language="cobol")
    with pytest.raises(Exception, match="not both"):
        sandbox.run_code("1", language="python", context=sandbox.list_code_contexts()[0])


def test_lifecycle(new_sandbox):
    sandbox = new_sandbox(metadata={"who": "py"})
    info = sandbox.get_info()
    assert info.sandbox_id == sandbox.sandbox_id and info.metadata == {"who": "py"}
    listed = Sandbox.list(query=None).next_items()
    assert sandbox.sandbox_id in [s.sandbox_id for s in listed]
    sandbox.set_timeout(120)
    assert (sandbox.get_info().end_at - sandbox.get_info().started_at).total_seconds() < 200
    assert Sandbox.connect(sandbox.sandbox_id).is_running()
    assert sandbox.kill() is True
    assert sandbox.kill() is False


def test_async_sandbox():
    async def run():
        sandbox = await AsyncSandbox.create(timeout=120)
        try:
            lines = []
            execution = await sandbox.run_code("import sys\nsys.stdout.write('async\\n')\n1+1", on_stdout=lambda m: lines.append(m.line))
            assert lines == ["async\n"] and execution.text == "2"
            contexts = await asyncio.gather(sandbox.create_code_context(), sandbox.create_code_context())
            answers = await asyncio.gather(*(sandbox.run_code(f"{i}", context=c) for i, c in enumerate(contexts)))
            assert [a.text for a in answers] == ["0", "1"]
        finally:
            assert await sandbox.kill()

    asyncio.run(run())

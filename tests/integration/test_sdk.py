"""The modules for worker processes: their own tests, and lib/sdk/FRAMES.md on both of them.

None of it needs a daemon: conformance.py plays one. That it finds out what it should is shown
on workers with one fault each.
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from util import BUILD, ROOT, wait_until

SDK = ROOT / "lib" / "sdk"
sys.path.insert(0, str(SDK))

from conformance import Worker  # noqa: E402

PYTHON = sys.executable
NODE = shutil.which("node")
CONFORMANCE = SDK / "conformance.py"
FRAMES = (SDK / "FRAMES.md").read_text("utf-8")
BARE = re.search(r"^```python\n(.*?)^```$", FRAMES, re.M | re.S)[1]
# A test that waits this long has failed; a worker with a fault is waited for in vain.
PATIENCE_S = 60
SHORT_PATIENCE_S = 1
# with PYTHONUNBUFFERED the interpreter would do what the module has to do
ENV = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

python = pytest.param(PYTHON, "python/conformance_worker.py", id="python")
node = pytest.param(NODE, "node/conformance_worker.js", id="node")


def run(*command, cwd=SDK):
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, env=ENV)


def conformance(*args, patience_s=PATIENCE_S):
    return run(PYTHON, CONFORMANCE, "--patience", str(patience_s), *args)


def replaced(text, old, new):
    assert text.count(old) == 1, old
    return text.replace(old, new)


# ---- the modules ----


def test_python_module_passes_its_tests():
    done = run(PYTHON, "test_stint.py", cwd=SDK / "python")
    assert done.returncode == 0, done.stdout


def test_node_module_passes_its_tests():
    done = run(NODE, "--test", cwd=SDK / "node")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", [
    pytest.param([PYTHON, "python/conformance_worker.py"], id="python"),
    pytest.param([PYTHON, "python/conformance_worker.py", "raising"], id="python-raising"),
    pytest.param([NODE, "node/conformance_worker.js"], id="node"),
    pytest.param([NODE, "node/conformance_worker.js", "busy"], id="node-busy"),
    pytest.param([BUILD / "stint-host", BUILD / "tests/plugins/conformance.so"], id="plugin"),
])
def test_module_speaks_frames_as_the_page_says(command):
    done = conformance(*command)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[1-9]\d* passed, 0 failed$", done.stdout.splitlines()[-1])


UPPER = {
    "python": """
import stint, time
def handle(ctx, payload):
    if payload == b"wait":
        ctx.progress(1, "waiting")
        time.sleep(3600)
    if not payload:
        raise stint.Fail("empty payload")
    return payload.upper()
stint.run(handle, raise_on_cancel=True)
""",
    "node": """
const { once } = require('node:events')
const { run, Fail } = require('stint')
class cancelled extends Error { toString () { return 'cancelled: timeout' } }
run(async (ctx, payload) => {
  if (String(payload) === 'wait') {
    ctx.progress(1, 'waiting')
    await once(ctx.signal, 'abort')
    throw new cancelled()
  }
  if (!payload.length) throw new Fail('empty payload')
  return String(payload).toUpperCase()
})
""",
}


def start(folder, language, source):
    """A worker with this program, beside a copy of its module as a user would have it."""
    name = f"program.{'py' if language == 'python' else 'js'}"
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(source)
    if language == "python":
        shutil.copy(SDK / "python" / "stint.py", folder)
    else:
        shutil.copytree(SDK / "node", os.path.join(folder, "node_modules", "stint"))
    return Worker([PYTHON if language == "python" else NODE, os.path.join(folder, name)],
                  PATIENCE_S)


def transcript():
    """(who, bytes) of each line."""
    block = re.search(r"^```transcript\n(.*?)^```$", FRAMES, re.M | re.S)[1]
    for line in block.splitlines():
        yield line[0], line[2:].encode().decode("unicode_escape").encode("latin-1")


LANGUAGES = ["python", "node"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_transcript_on_the_page_is_what_is_said(folder, language):
    with start(folder, language, UPPER[language]) as worker:
        for who, data in transcript():
            if who == "D":
                worker.send(data)
                continue
            said = b""
            while len(said) < len(data):
                said += os.read(worker.in_fd, len(data) - len(said))
            assert said == data
        worker.expect_exit_0()


@pytest.mark.parametrize("language", LANGUAGES)
def test_first_example_of_the_readme_runs(folder, language):
    readme = (SDK / language / "README.md").read_text("utf-8")
    source = re.search(r"^```(?:python|js)\n(.*?)^```$", readme, re.M | re.S)[1]
    with start(folder, language, source) as worker:
        worker.expect_ready()
        assert worker.ask(b"hello") == b"HELLO"
        assert worker.ask(b"", "FAIL") == b"empty payload"


# ---- the page and the tester ----


def check_of(folder, source, check, patience_s, *options):
    path = os.path.join(folder, "worker.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(source)
    return conformance(*options, "--only", check, PYTHON, path, patience_s=patience_s)


def test_smallest_worker_of_the_page_is_one(folder):
    path = os.path.join(folder, "worker.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(BARE)
    done = conformance("--any-handler", PYTHON, path)
    assert done.returncode == 0, done.stdout


ANSWER = 'send(b"OK", rest[0], rest[3].upper())'
READY = 'send(b"READY", b"1")'
LIMIT = "if taken > 64 << 20:"

# check that must find it: what is replaced in the smallest worker, and by what
FAULTS = [
    ("says_ready_and_nothing_else", READY, 'send(b"READY", b"2")'),
    ("says_ready_and_nothing_else", READY, "pass"),
    ("says_ready_and_nothing_else", READY, READY + '; send(b"PROGRESS", b"1", b"1", b"")'),
    ("says_ready_and_nothing_else", "sys.exit(0)", "sys.exit(1)"),
    ("keeps_its_pipes_from_children", "os.set_inheritable(4, False)", ""),
    ("answers_each_job_once", ANSWER, ANSWER + "; " + ANSWER),
    ("answers_each_job_once", "rest[0], rest[3]", 'b"job", rest[3]'),
    ("answers_each_job_once", 'b"OK"', 'b"DONE"'),
    ("answers_each_job_once", ANSWER, 'send(b"ERROR", rest[0], b"")'),
    ("answers_each_job_once", ANSWER, 'send(b"ERROR", rest[0], b"two\\nlines")'),
    ("answers_each_job_once", "%b\\r\\n\" % (len(value), value)", "%b\\n\" % (len(value), value)"),
    ("answers_each_job_once", ANSWER, 'send(b"PROGRESS", rest[0], b"101", b""); ' + ANSWER),
    ("takes_a_frame_in_pieces", "frames.read(size)", "(frames.peek(1), frames.read1(size))[1]"),
    ("takes_many_frames_at_once", 'verb == b"JOB":', 'verb == b"JOB" or sys.exit(1):'),
    ("ignores_verbs_it_does_not_know", "count <= 64", "count < 64"),
    ("takes_as_many_fields_as_fit", "len(rest) < 4", "len(rest) != 4"),
    ("takes_the_longest_time", "rest[1].isdigit() and",
     "len(rest[2]) < 16 and rest[1].isdigit() and"),
    ("takes_any_bytes", "strings.append(frames.read(size))",
     "strings.append(frames.read(size).decode().encode())"),
    ("takes_the_largest_frame", LIMIT, "if taken >= 64 << 20:"),
    ("finishes_its_job_when_the_pipe_is_closed", ANSWER,
     "frames.peek(1) and " + ANSWER + " or sys.exit(0)"),
    ("refuses_a_frame_over_the_limit", LIMIT, "if False:"),
    ("refuses_a_frame_just_over_the_limit", "head + size + 2", "size"),
    ("refuses_too_many_strings", "count <= 64", "count <= 99"),
    ("refuses_no_strings", "if not 1 <= count",
     'while count == 0:\n        count, taken = number(b"*")\n    if not 1 <= count'),
    ("refuses_a_null_string", '"\\%b\\d', '"\\%b-?\\d'),
    ("refuses_a_string_over_its_length", 'if frames.read(2) != b"\\r\\n":',
     'if not frames.read(2):'),
    ("refuses_a_job_without_payload", "len(rest) < 4",
     "len(rest) < 4:\n            continue\n        if False"),
    ("refuses_a_job_with_half_a_field", "or len(rest) % 2", ""),
    ("refuses_a_job_whose_attempt_is_no_number", "rest[1].isdigit() and", ""),
    ("refuses_text", 'sys.exit(f"malformed frame: {line!r}")', "sys.exit(1)"),
    ("refuses_text", 'sys.exit(f"malformed frame: {line!r}")', "os.write(2, line), sys.exit(0)"),
]


@pytest.mark.parametrize("check, old, new", FAULTS, ids=[
    f"{check}-{number}" for number, (check, _, _) in enumerate(FAULTS)])
def test_fault_of_a_worker_is_found(folder, check, old, new):
    done = check_of(folder, replaced(BARE, old, new), check, SHORT_PATIENCE_S, "--any-handler")
    assert done.stdout.startswith(f"FAIL  {check}: the worker "), done.stdout
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"
    assert done.returncode == 1


KNOWN = (SDK / "python" / "conformance_worker.py").read_text("utf-8")

# likewise, in the worker whose answers are known
LIES = [
    ("gives_the_payload_as_it_is", 'lambda ctx, rest: rest', 'lambda ctx, rest: rest.strip()'),
    ("tells_error_from_failure", "stint.Fail(", "ValueError("),
    ("tells_error_from_failure", "ValueError(", "stint.Fail("),
    ("gives_the_context", "{ctx.attempt}", "1"),
    ("gives_the_context", "{ctx.remaining() * 1000}", "{ctx.remaining()*1e6}"),
    ("says_that_no_time_is_left", "{ctx.remaining() * 1000}", "5"),
    ("tells_progress", '50, "half way"', '51, "half way"'),
    ("hears_of_a_cancel_in_the_middle_of_a_job", "not ctx.cancelled", "True"),
    ("hears_of_a_cancel_that_comes_with_its_job", "not ctx.cancelled", "True"),
    ("goes_on_when_another_job_is_cancelled", "not ctx.cancelled", "False"),
    ("leaves_standard_output_to_the_handler", "print(rest.decode())", "None"),
    ("leaves_standard_output_to_the_handler", "print(rest.decode())", "stint.os.write(4, rest)"),
    ("sends_the_largest_frame", 'b"x" * int(rest)', 'b"x" * (int(rest) + 1)'),
    ("says_when_the_output_is_too_large", 'b"x" * int(rest)', "None"),
]


@pytest.mark.parametrize("check, old, new", LIES, ids=[
    f"{check}-{number}" for number, (check, _, _) in enumerate(LIES)])
def test_wrong_answer_of_a_handler_is_found(folder, check, old, new):
    shutil.copy(SDK / "python" / "stint.py", folder)
    done = check_of(folder, replaced(KNOWN, old, new), check, SHORT_PATIENCE_S)
    assert done.stdout.startswith(f"FAIL  {check}: the worker "), done.stdout
    assert done.returncode == 1


def test_tester_says_what_it_wants():
    for args in ([], ["--only", "no_such_check", "true"], ["/no/such/command"]):
        done = conformance(*args)
        assert done.returncode == 64, args
        assert done.stdout.startswith(("usage: ", "conformance.py: /no/such/command: No such"))


# ---- the shell ----


@contextlib.contextmanager
def words(folder, **env):
    """word-count.sh as the daemon starts it; what it makes, it makes in the folder."""
    process = subprocess.Popen(
        [SDK / "shell" / "word-count.sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
        env={"PATH": os.environ["PATH"], "TMPDIR": folder, **env})
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def test_shell_handler_answers_and_leaves_nothing_behind(folder):
    deadline = str(int(time.time() * 1000) + PATIENCE_S * 1000)
    with words(folder, STINT_X_TOP="2", STINT_DEADLINE_MS=deadline) as process:
        output = process.communicate(b"to be or, not to be\n\xff or not to", PATIENCE_S)
        assert (process.returncode, output) == (0, (b"3 to\n2 be\n", b""))
    assert os.listdir(folder) == []


@pytest.mark.parametrize("payload, env, told", [
    (b"", {}, b"there is no word in the payload\n"),
    (b" \n.", {}, b"there is no word in the payload\n"),
    (b"a", {"STINT_X_TOP": "$(id)"}, b"x-top is no number from 1 to 9999: $(id)\n"),
    (b"a", {"STINT_X_TOP": "0"}, b"x-top is no number from 1 to 9999: 0\n"),
])
def test_shell_handler_refuses_for_good_what_no_retry_mends(folder, payload, env, told):
    with words(folder, **env) as process:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(payload)
        output = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, output) == (65, (b"", told))
    assert os.listdir(folder) == []


def test_shell_handler_tells_progress_on_the_descriptor_that_is_named(folder):
    script = 'exec 4>"$0.progress"; export STINT_PROGRESS_FD=4; exec "$0"'
    link = os.path.join(folder, "words")
    os.symlink(SDK / "shell" / "word-count.sh", link)
    done = subprocess.run(["sh", "-c", script, link], input=b"a b a", stdout=subprocess.PIPE,
                          timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (0, b"2 a\n1 b\n")
    with open(link + ".progress", encoding="ascii") as told:
        lines = told.read().splitlines()
    assert len(lines) > 2
    percents = [int(re.fullmatch(r"(\d+) \S.*", line)[1]) for line in lines]
    assert percents == sorted(percents) and percents[-1] == 100


def runs(process, name):
    """Is this program its child? A shell's child that is no program yet, of which there may be
    traces already, loses the signals that it gets."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return any(Path(f"/proc/{child}/comm").read_text() == name + "\n" for child in children)


def test_shell_handler_cleans_up_when_its_group_is_told_to_end(folder):
    with words(folder) as process:
        wait_until(lambda: runs(process, "tr"), "a command that reads the payload")
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 143
        assert process.stdout.read() == b""
    assert os.listdir(folder) == []

"""Handlers that are persistent processes: `worker`."""
import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest
from gates import is_alive
from util import ROOT, is_drained, result, run, submit, wait_until

WORKER = str(Path(__file__).with_name("worker.py"))
PIPES = [0, 1, 2, 3, 4]


def worker(start="", **more):
    return {"worker": ["/usr/bin/python3", "-S", WORKER, *([start] if start else [])], **more}


def one(start="", **more):
    """One slot, so that every job comes to the same process."""
    return {"concurrency": 1, "handlers": {"w": worker(start, **more)}}


def told(client, payload, **fields):
    """What came of a job: status, and output or error."""
    answer = run(client, "w", payload, **fields)
    return answer["status"], answer["output"] if answer["status"] == "ok" else answer["error"]


def pid_of(client):
    answer = run(client, "w", "pid")
    assert answer["status"] == "ok", answer
    return int(answer["output"])


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_file(path):
    wait_until(lambda: os.path.exists(path), f"file {path}")


def wait_gone(pid):
    wait_until(lambda: not is_alive(pid), f"the end of {pid}")


# ---- what it gets, what it says ----


def test_a_process_stays_and_serves_one_job_after_another(stintd, client):
    stintd(one())
    first = pid_of(client)
    assert told(client, "echo hello") == ("ok", "hello")
    assert told(client, "echo \0\r\n$3") == ("ok", "\0\r\n$3")
    assert pid_of(client) == first


def test_the_frame_says_all_of_the_job(stintd, client):
    stintd(one(timeout="20s"))
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    submit(client, "w", "job", id="my-id", x_tenant="a=b", x_Other="", traceparent=trace)
    job = json.loads(result(client, "my-id")["output"])
    assert 0 < int(job[3]) <= 20000
    assert job[:3] + job[4:] == ["JOB", "my-id", "1", "job", "queue", "default",
                                 "traceparent", trace, "x-tenant", "a=b", "x-Other", ""]


def test_error_may_be_retried_and_fail_may_not(stintd, client):
    stintd(one(retries=1, backoff="1ms"))
    answer = run(client, "w", "error no luck")
    assert (answer["status"], answer["error"], answer["attempt"]) == ("error", "no luck", 2)
    assert answer["stderr"] == "why it failed\n"
    assert "exit_code" not in answer and "signal" not in answer
    answer = run(client, "w", "fail never")
    assert (answer["status"], answer["error"], answer["attempt"]) == ("error", "never", 1)


def test_environment_folder_and_descriptors_are_as_configured(stintd, client, folder):
    stintd(one(environment={"COLOUR": "blue"}, directory=folder), env={"REDIS_PASSWORD": "x"})
    environment = json.loads(run(client, "w", "environment")["output"])
    assert (environment["STINT_HANDLER"], environment["COLOUR"]) == ("w", "blue")
    assert "PATH" in environment
    assert not {"REDIS_PASSWORD", "STINT_JOB_ID", "STINT_TEST_MARK"} & set(environment)
    assert told(client, "folder") == ("ok", folder)
    assert json.loads(run(client, "w", "descriptors")["output"]) == [*PIPES, "/dev/null"]


def test_a_payload_of_16_mib_goes_in_and_out(stintd, client):
    stintd(one(output_limit="17MiB", payload_limit="17MiB"))
    size = 16 << 20
    first = pid_of(client)
    assert told(client, b"length " + b"y" * (size - 7)) == ("ok", str(size - 7))
    assert len(run(client, "w", f"big {size}")["output"]) == size
    assert pid_of(client) == first


def test_every_slot_has_a_process_of_its_own(stintd, client, folder):
    stintd({"concurrency": 3, "handlers": {"w": worker()}})
    jobs = [submit(client, "w", f"heeds {folder}/{i}", timeout="5000ms") for i in range(3)]
    for i in range(3):
        wait_file(f"{folder}/{i}")
    for job in jobs:
        client.xadd("stint:{default}:control", {"command": "cancel", "id": job})
    assert [result(client, job)["status"] for job in jobs] == ["cancelled"] * 3


# ---- what it prints ----


def test_what_it_prints_is_log_with_job_and_handler(stintd, client):
    daemon = stintd(one())
    job = submit(client, "w", "prints a stray line")
    assert result(client, job)["output"] == "printed"
    for stream, text in ("stdout", "a stray line"), ("stderr", "err a stray line"):
        daemon.wait_log(f'worker printed job={job} queue=default handler=w attempt=1 '
                        f'on={stream} text="{text}"')


def test_a_flood_of_lines_is_cut_and_counted(stintd, client):
    daemon = stintd(one())
    assert told(client, "floods 20000") == ("ok", "flooded")
    daemon.stop()
    lines = [line for line in daemon.log().splitlines() if "worker printed job" in line]
    rest = [int(line.rpartition("=")[2]) for line in daemon.log().splitlines()
            if "printed more lines" in line]
    assert len(lines) >= 100 and len(lines) + sum(rest) == 20000
    assert len(lines) <= 100 * (len(rest) + 1)


def test_the_tail_of_stderr_goes_into_a_failed_result(stintd, client):
    stintd(one())
    assert run(client, "w", "die 3")["stderr"] == "last words\n"


# ---- what it may do wrong: only its job suffers ----

BROKEN = {
    "die 3": "its process ended: exit code 3",
    "crash": "its process ended: killed by SIGSEGV",
    "half_and_exit": "its process ended: exit code 0",
    "close": "its process closed descriptor 4",
    "orphan": "its supervisor was killed",
    "raw hello\n": "its process sent a malformed frame",
    "raw *3\r\n$2\r\nOK\r\n$x": "its process sent a malformed frame",
    "raw *2\r\n$2\r\nOK\r\n$2\r\nID\r\n": "its process sent a malformed frame",
    "raw *65\r\n": "its process sent a frame that is too large",
    "raw *1\r\n$99999999\r\n": "its process sent a frame that is too large",
    "raw *3\r\n$2\r\nOK\r\n$1\r\nx\r\n$0\r\n\r\n":
        "its process answered a job that it does not have",
}


@pytest.mark.parametrize("payload", BROKEN)
def test_who_breaks_the_protocol_fails_its_job_alone(stintd, client, payload):
    daemon = stintd(one())
    before = pid_of(client)
    answer = run(client, "w", payload)
    assert (answer["status"], answer["error"]) == ("crashed", BROKEN[payload])
    assert answer.get("exit_code") == (3 if payload == "die 3" else 0 if "half" in payload
                                       else None)
    assert answer.get("signal") == ("SIGSEGV" if payload == "crash" else None)
    assert not is_alive(before)
    assert told(client, "echo next") == ("ok", "next")
    assert pid_of(client) != before
    daemon.stop()


@pytest.mark.parametrize("payload", ["chatty hello", "pieces hello"])
def test_what_is_right_if_unusual_is_taken(stintd, client, payload):
    stintd(one())
    first = pid_of(client)
    assert told(client, payload) == ("ok", "hello")
    assert pid_of(client) == first


@pytest.mark.parametrize("payload, output", [("twice", "first"), ("quits_later", None)])
def test_what_happens_between_two_jobs_fails_none(stintd, client, payload, output):
    stintd(one())
    first = pid_of(client)
    assert told(client, payload) == ("ok", output or str(first))
    wait_until(lambda: output or not is_alive(first))
    assert told(client, "echo next") == ("ok", "next")
    assert pid_of(client) != first


def test_output_over_the_limit_is_refused_for_good(stintd, client):
    stintd(one(output_limit="1KiB", retries=1))
    assert told(client, "big 1024") == ("ok", "x" * 1024)
    for size in 1025, 60 << 20:
        answer = run(client, "w", f"big {size}")
        assert (answer["status"], answer["error"], answer["attempt"]) == (
            "error", "output over 1KiB (output_limit)", 1)
    assert told(client, "echo next") == ("ok", "next")


@pytest.mark.parametrize("victim", ["process", "keeper"])
def test_who_is_killed_while_idle_is_replaced_and_no_job_fails(stintd, client, victim):
    stintd(one())
    first = pid_of(client)
    os.kill(first if victim == "process" else parent_of(first), signal.SIGKILL)
    wait_gone(first)
    assert pid_of(client) != first


# ---- time-out and cancel ----


@pytest.mark.parametrize("behaviour", ["heeds", "finishes"])
def test_who_answers_in_the_grace_stays_warm(stintd, client, folder, behaviour):
    stintd(one(timeout="5s"))
    first = pid_of(client)
    assert told(client, f"{behaviour} {folder}/runs", timeout="200ms") == (
        "timeout", "timed out after 200ms")
    assert pid_of(client) == first


@pytest.mark.parametrize("behaviour", ["leaves", "ignores"])
def test_who_does_not_answer_is_gone_after_the_grace(stintd, client, folder, behaviour):
    stintd(one(kill_grace="100ms"))
    first = pid_of(client)
    answer = run(client, "w", f"{behaviour} {folder}/runs", timeout="200ms")
    assert (answer["status"], answer["error"]) == ("timeout", "timed out after 200ms")
    assert answer["finished_ms"] - answer["started_ms"] < 3000
    assert not is_alive(first)
    assert pid_of(client) != first


def test_who_writes_without_end_is_ended_all_the_same(stintd, client):
    stintd(one(timeout="1s", kill_grace="100ms"))
    assert run(client, "w", "reports")["status"] == "timeout"
    assert told(client, "echo hello") == ("ok", "hello")


def test_who_writes_without_end_between_two_jobs_is_replaced(stintd, client, folder):
    stintd(one(timeout="1s", kill_grace="100ms"))
    first = int(run(client, "w", f"reports_later {folder}/full")["output"])
    wait_file(f"{folder}/full")
    # it may come between two writes, and be given to who never reads it
    assert run(client, "w", "pid")["status"] in ("ok", "timeout")
    assert pid_of(client) != first


@pytest.mark.parametrize("payload", ["fail", "raw *1\r\n$99999999\r\n"])
def test_what_comes_of_it_after_the_time_out_changes_no_result(stintd, client, folder, payload):
    stintd(one(retries=1, backoff="1ms"))
    answer = run(client, "w", f"after {folder}/runs {payload}", timeout="100ms")
    assert (answer["status"], answer["attempt"]) == ("timeout", 2)
    assert told(client, "echo next") == ("ok", "next")


def test_cancel_is_told_with_its_reason(stintd, client, folder):
    daemon = stintd(one())
    job = submit(client, "w", f"heeds {folder}/runs")
    wait_file(f"{folder}/runs")
    client.xadd("stint:{default}:control", {"command": "cancel", "id": job})
    answer = result(client, job)
    assert answer["status"] == "cancelled"
    daemon.wait_log(f'worker printed job={job} queue=default handler=w attempt=1 on=stdout '
                    'text="told: cancelled"')
    assert told(client, "echo next") == ("ok", "next")


# ---- the life of a process ----


def test_max_jobs_replaces_it_and_lets_it_finish(stintd, client, folder):
    stintd(one(max_jobs=2))
    first = int(run(client, "w", f"goodbye {folder}/bye")["output"])
    assert pid_of(client) == first
    assert pid_of(client) != first
    assert not is_alive(first)
    assert os.path.exists(f"{folder}/bye")


def test_who_does_not_leave_is_killed_after_the_grace(stintd, client):
    stintd(one(max_jobs=1, kill_grace="100ms"))
    first = int(run(client, "w", "deaf")["output"])
    assert pid_of(client) != first
    assert not is_alive(first)


def test_idle_timeout_ends_it_and_the_next_job_has_a_new_one(stintd, client):
    stintd(one(idle_timeout="300ms"))
    first = pid_of(client)
    wait_gone(first)
    assert pid_of(client) != first


def test_who_has_jobs_is_not_idle(stintd, client, folder):
    stintd(one(idle_timeout="200ms", kill_grace="5s"))
    first = pid_of(client)
    job = submit(client, "w", f"finishes {folder}/runs", timeout="800ms")
    assert result(client, job)["status"] == "timeout"  # four times as long as it may idle
    assert pid_of(client) == first


def test_a_changed_handler_gets_a_new_process_a_removed_one_ends(stintd, client):
    handlers = {"w": worker(), "same": worker(), "gone": worker(), "cat": {"command": ["cat"]}}
    daemon = stintd({"concurrency": 1, "handlers": handlers})
    pids = {name: int(run(client, name, "pid")["output"]) for name in ("w", "same", "gone")}
    handlers["w"] = worker(environment={"NEW": "1"})
    del handlers["gone"]
    daemon.write_config({"concurrency": 1, "handlers": handlers})
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert run(client, "cat", "x")["status"] == "ok"
    wait_gone(pids["gone"])
    assert pid_of(client) != pids["w"]
    assert not is_alive(pids["w"])
    assert json.loads(run(client, "w", "environment")["output"])["NEW"] == "1"
    assert int(run(client, "same", "pid")["output"]) == pids["same"]


def test_a_handler_that_was_removed_can_come_back(stintd, client):
    cat = {"command": ["cat"]}
    daemon = stintd({"concurrency": 1, "handlers": {"w": worker(), "cat": cat}})

    def reload(handlers):
        before = daemon.log().count("reloaded")
        daemon.write_config({"concurrency": 1, "handlers": handlers})
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count("reloaded") > before, "the reload")

    first = pid_of(client)
    reload({"cat": cat})
    assert run(client, "cat", "x")["status"] == "ok"
    wait_gone(first)
    assert run(client, "cat", "x")["status"] == "ok"
    reload({"w": worker(), "cat": cat})
    second = pid_of(client)
    reload({"w": worker(environment={"NEW": "1"}), "cat": cat})
    assert pid_of(client) not in (first, second)


def test_fewer_workers_end_their_processes(stintd, client, folder):
    config = {"concurrency": 3, "handlers": {"w": worker()}}
    daemon = stintd(config)
    jobs = [submit(client, "w", f"finishes {folder}/{i}", timeout="5000ms") for i in range(3)]
    for i in range(3):
        wait_file(f"{folder}/{i}")

    def workers():
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and WORKER.encode() in (entry / "cmdline").read_bytes() \
                        and str(parent_of(parent_of(int(entry.name)))) in zygotes(daemon):
                    found.append(int(entry.name))
        return found

    assert len(workers()) == 3
    daemon.write_config({**config, "concurrency": 1})
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    for job in jobs:
        client.xadd("stint:{default}:control", {"command": "cancel", "id": job})
    wait_until(lambda: len(workers()) == 1, "one worker left")


def zygotes(daemon):
    return {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()
            and is_alive(entry.name) and parent_of(entry.name) == daemon.process.pid}


# ---- starts that fail ----

STARTS = {
    "exit": ("crashed", "ended before it was READY: exit code 3"),
    "mute": ("error", "not READY within 200ms (ready_timeout)"),
    "early": ("error", "it answered before it was READY"),
    "v2": ("error", "it speaks another version of the protocol than 1"),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_crash_loop_is_told_once_and_its_jobs_fail_with_the_reason(stintd, client, start):
    daemon = stintd(one(start, ready_timeout="200ms" if start == "mute" else "30s"))
    jobs = [submit(client, "w") for _ in range(20)]
    answers = [result(client, job) for job in jobs]
    assert {(a["status"], a["error"]) for a in answers} == {STARTS[start]}
    if start == "exit":
        assert answers[0]["stderr"] == "cannot begin\n"
    # not started for each of them
    assert sum(a["finished_ms"] - a["started_ms"] > 10 for a in answers) < 10
    assert daemon.log().count("worker cannot be used") == 1
    daemon.stop()


def test_what_cannot_be_executed_is_an_error_that_names_it(stintd, client, folder):
    stintd({"concurrency": 1, "handlers": {
        "w": {"worker": ["/no/such/program"]},
        "lost": worker(directory="/no/such/folder")}})
    assert told(client, "") == (
        "error", "cannot execute /no/such/program: No such file or directory")
    assert run(client, "lost")["error"] == \
        "directory /no/such/folder: No such file or directory"


def test_a_mended_worker_is_used_again(stintd, client, folder):
    program = Path(folder) / "worker"
    daemon = stintd({"concurrency": 1, "handlers": {"w": {"worker": [str(program)]}}})
    assert told(client, "echo x")[0] == "error"
    program.write_text(f"#!/bin/sh\nexec /usr/bin/python3 -S {WORKER}\n")
    program.chmod(0o755)
    wait_until(lambda: told(client, "echo x") == ("ok", "x"), "it works")
    daemon.wait_log("worker can be used again")


def test_one_that_dies_at_every_job_is_slowed_down(stintd, client):
    daemon = stintd(one())
    answers = [run(client, "w", "die 3") for _ in range(4)]
    assert {(a["status"], a["error"]) for a in answers} == {
        ("crashed", "its process ended: exit code 3")}
    assert "exit_code" not in answers[3]  # it was not started for this one
    daemon.wait_log("worker cannot be used")


def test_a_slow_start_outlives_the_job_that_began_it(stintd, client, folder):
    stintd(one(f"wait:{folder}/go"))
    assert told(client, "pid", timeout="200ms")[0] == "timeout"
    Path(f"{folder}/go").touch()
    assert told(client, "echo x") == ("ok", "x")


# ---- the end of the daemon ----


def test_a_daemon_that_is_killed_leaves_nothing(stintd, client, folder):
    daemon = stintd(one())
    pids = [int(pid) for pid in run(client, "w", "starts")["output"].split()]
    submit(client, "w", f"ignores {folder}/runs")
    wait_file(f"{folder}/runs")
    daemon.signal(signal.SIGKILL)
    daemon.wait_end()
    for pid in pids:
        wait_gone(pid)


def test_what_a_process_started_goes_with_it(stintd, client):
    stintd(one())
    first, child = map(int, run(client, "w", "starts")["output"].split())
    assert is_alive(child)
    assert told(client, "die 3")[0] == "crashed"
    assert not is_alive(child) and not is_alive(first)


def test_sigterm_lets_it_finish_and_end(stintd, client, folder):
    daemon = stintd(one())
    first = int(run(client, "w", f"goodbye {folder}/bye")["output"])
    daemon.stop()
    assert not is_alive(first)
    assert os.path.exists(f"{folder}/bye")


def test_sigterm_cancels_a_job_that_goes_on_and_hands_it_back(stintd, client, folder):
    daemon = stintd({**one(kill_grace="100ms"), "shutdown_timeout": "100ms"})
    submit(client, "w", f"ignores {folder}/runs")
    wait_file(f"{folder}/runs")
    daemon.stop()
    assert client.xlen("stint:{default}:jobs") == 1
    assert client.xpending("stint:{default}:jobs", "stint")["pending"] == 0


def test_sigterm_ends_one_that_is_not_ready_or_ignores_it(stintd, client):
    daemon = stintd({"concurrency": 2, "handlers": {
        "w": worker("mute", kill_grace="100ms"), "deaf": worker(kill_grace="100ms")}})
    assert run(client, "deaf", "deaf")["status"] == "ok"
    assert told(client, "", timeout="100ms")[0] == "timeout"
    begun = time.monotonic()
    daemon.stop()
    assert time.monotonic() - begun < 10


def test_the_daemon_holds_no_descriptor_of_what_is_over(stintd, client):
    daemon = stintd(one(max_jobs=2))

    def run_all():
        for payload in ["echo x", "die 3", "raw x", "big 5000000", "prints x", "quits_later"]:
            run(client, "w", payload)
        assert told(client, "echo last") == ("ok", "last")
        wait_until(lambda: is_drained(client), "drained")
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    before = run_all()
    for _ in range(2):
        run_all()
    assert run_all() <= before + 5  # as many as one process has


# ---- the modules for handlers ----

SDK = ROOT / "lib" / "sdk"
MODULES = {
    "python": ("/usr/bin/python3", SDK / "python" / "stint.py", f"""
import os, sys, time
sys.path.insert(0, {str(SDK / "python")!r})
import stint

def handle(ctx, payload):
    print("has", ctx.id)
    if payload == b"never":
        raise stint.Fail("refused")
    if payload == b"now not":
        raise ValueError("broken")
    if payload == b"wait":
        while not ctx.cancelled:
            time.sleep(0.005)
    return b"%b %d %b" % (payload.upper(), os.getpid(), ctx.fields["x-of"].encode())

stint.run(handle)
"""),
    "node": ("node", SDK / "node" / "stint.js", f"""
const stint = require({str(SDK / "node" / "stint.js")!r})
stint.run(async (ctx, payload) => {{
  const text = payload.toString()
  console.log('has', ctx.id)
  if (text === 'never') throw new stint.Fail('refused')
  if (text === 'now not') throw new Error('broken')
  if (text === 'wait')
    await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
  return `${{text.toUpperCase()}} ${{process.pid}} ${{ctx.fields['x-of']}}`
}})
"""),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_handler_made_with_a_module_does_as_it_says(stintd, client, folder, name):
    program, module, text = MODULES[name]
    script = Path(folder) / ("handler" + module.suffix)
    script.write_text(text)
    daemon = stintd({"concurrency": 1, "handlers": {"w": {"worker": [program, str(script)]}}})
    job = submit(client, "w", "hello", x_of="me")
    first = result(client, job)
    assert first["status"] == "ok"
    word, pid, field = first["output"].split()
    assert (word, field) == ("HELLO", "me")
    daemon.wait_log(f'job={job} queue=default handler=w attempt=1 on=stdout text="has {job}"')
    answer = run(client, "w", "never")
    assert (answer["status"], answer["error"]) == ("error", "refused")
    answer = run(client, "w", "now not")
    assert answer["status"] == "error" and "broken" in answer["error"] + answer["stderr"]
    assert run(client, "w", "wait", timeout="100ms", x_of="me")["status"] == "timeout"
    assert run(client, "w", "again", x_of="me")["output"] == f"AGAIN {pid} me"
    daemon.stop()
    assert not is_alive(pid)

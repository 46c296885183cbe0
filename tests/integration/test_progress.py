"""Progress: from a handler into the state of its job, from there to who waits for it."""
import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
from look import key
from util import ROOT, STINTCTL, result, submit, wait_until

WORKER = str(Path(__file__).with_name("worker.py"))
SDK = ROOT / "lib" / "sdk"
NODE = shutil.which("node")


def sh(script, *args, **more):
    return {"command": ["sh", "-c", script, *args], **more}


@pytest.fixture
def tells(gate):
    """tells(script): a command that runs this, then waits for the gate to open."""
    def handler(script, after="", **more):
        wait = 'until [ -e "$0/open" ]; do sleep 0.02; done; '
        return sh(script + "\n" + wait + after, str(gate.folder), **more)
    return handler


def state(client, job):
    return {name.decode(): value.decode() for name, value in
            client.hgetall(key("state") + f":{job}").items()}


def told(client, job):
    """(percent, note), or None."""
    found = state(client, job)
    return (int(found["percent"]), found["note"]) if "percent" in found else None


def wait_told(client, job, percent, note):
    wait_until(lambda: told(client, job) == (percent, note), f"{percent} {note!r} of {job}")


def states(client):
    return list(client.scan_iter(key("state") + ":*"))


def reports(client):
    """How often a state was written."""
    return client.info("commandstats").get("cmdstat_hset", {"calls": 0})["calls"]


# ---- from the handler into the state ----


def test_a_command_writes_lines_on_descriptor_4(stintd, client, gate, tells):
    stintd({"handlers": {"job": tells('echo "50 half done" >&4', "echo over")},
            "lease": "10s", "defaults": {"timeout": "60s", "kill_grace": "5s"}})
    job = submit(client, "job")
    wait_told(client, job, 50, "half done")
    assert set(state(client, job)) == {"percent", "note", "consumer"}
    # the time-out, kill_grace and the lease: no attempt is longer
    assert 60_000 < client.pttl(key("state") + f":{job}") <= 75_000
    gate.open()
    assert result(client, job)["output"] == "over\n"
    assert states(client) == []


def test_the_descriptor_is_named_in_the_environment(stintd, client, gate, tells):
    stintd({"handlers": {"job": tells('echo "1 $STINT_PROGRESS_FD" >&"$STINT_PROGRESS_FD"',
                                      environment={"STINT_PROGRESS_FD": "1"})}})
    job = submit(client, "job")
    wait_told(client, job, 1, "4")
    gate.open()
    result(client, job)


def test_what_makes_no_sense_is_ignored_and_the_rest_made_fit(stintd, client, gate, tells):
    stintd({"handlers": {"job": tells(r"""
        printf '7 seven\n\nhalf\n-1 less\nnan\n1e3 more\n' >&4
        until [ -e "$0/first" ]; do sleep 0.02; done
        printf '140.5%% \303\274 \377\001 %0400d\n8 not yet whole' 0 >&4""")}})
    job = submit(client, "job")
    wait_told(client, job, 7, "seven")
    (gate.folder / "first").touch()
    wait_told(client, job, 100, "ü \ufffd  " + "0" * (255 - len("ü \ufffd  ".encode())))
    gate.open()
    assert result(client, job)["status"] == "ok"


@pytest.mark.parametrize("language, program", [
    pytest.param("python", """
import sys, os, time
sys.path.insert(0, sys.argv[1])
import stint
def handle(ctx, payload):
    ctx.progress(50, "half done")
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
    return b"over"
stint.run(handle)
""", id="python"),
    pytest.param("node", """
const { existsSync } = require('node:fs')
const { setTimeout } = require('node:timers/promises')
const { run } = require(process.argv[2])
run(async (ctx, payload) => {
  ctx.progress(50, 'half done')
  while (!existsSync(process.argv[3])) await setTimeout(20)
  return 'over'
})
""", id="node"),
])
def test_the_modules_tell_progress(stintd, client, gate, folder, language, program):
    path = Path(folder, f"program.{'py' if language == 'python' else 'js'}")
    path.write_text(program, encoding="utf-8")
    start = ["/usr/bin/python3"] if language == "python" else [NODE]
    stintd({"handlers": {"w": {"worker": [*start, str(path), str(SDK / language),
                                          str(gate.folder / "open")]}}})
    job = submit(client, "w")
    wait_told(client, job, 50, "half done")
    gate.open()
    assert result(client, job)["output"] == "over"
    assert states(client) == []


def test_a_worker_is_believed_about_the_job_it_has_only(stintd, client, folder, gate, tells):
    stintd({"concurrency": 2, "handlers": {
        "job": tells("echo 50 >&4"), "w": {"worker": ["/usr/bin/python3", "-S", WORKER]}}})
    submit(client, "w", f"tells {folder}/open", id="mine")
    wait_told(client, "mine", 40, "")
    # what there is to tell of all jobs is written together: this comes not before the rest
    other = submit(client, "job")
    wait_told(client, other, 50, "")
    assert told(client, "mine") == (40, "")
    assert sorted(states(client)) == sorted(
        (key("state") + f":{job}").encode() for job in ("mine", other))
    Path(folder, "open").touch()
    assert result(client, "mine")["output"] == "told"
    gate.open()
    result(client, other)
    assert states(client) == []


def test_jobs_of_one_moment_have_each_their_own(stintd, client, gate, tells):
    stintd({"concurrency": 8, "handlers": {
        "job": tells('echo "$STINT_X_N job $STINT_JOB_ID" >&4')}})
    jobs = {submit(client, "job", x_n=str(n)): n for n in range(8)}
    for job, n in jobs.items():
        wait_told(client, job, n, f"job {job}")
    gate.open()
    for job in jobs:
        result(client, job)
    assert states(client) == []


# ---- how much, how often ----


def test_only_the_newest_counts_and_it_is_not_lost(stintd, client, gate, tells):
    stintd({"handlers": {"job": tells('for i in $(seq 0 99); do echo "$i step $i" >&4; done')}})
    job = submit(client, "job")
    wait_told(client, job, 99, "step 99")
    assert reports(client) < 20
    gate.open()
    result(client, job)


def test_a_million_lines_cost_little_and_hold_nobody_up(stintd, client):
    stintd({"handlers": {
        "flood": sh('yes "50 half way through it" | head -n 1000000 >&4; echo flooded')}})
    begin = time.monotonic()
    job = submit(client, "flood")
    assert result(client, job)["output"] == "flooded\n"
    assert reports(client) <= 4 * (time.monotonic() - begin) + 2
    assert states(client) == []


def test_who_tells_without_end_is_ended_all_the_same(stintd, client):
    stintd({"concurrency": 1, "handlers": {"job": sh("yes 5 >&4", timeout="300ms"),
                                           "next": sh("echo next")}})
    job, following = submit(client, "job"), submit(client, "next")
    assert result(client, job)["status"] == "timeout"
    assert result(client, following)["output"] == "next\n"
    assert states(client) == []


# ---- the end of the job ----


@pytest.mark.parametrize("fields, after, status", [
    ({}, "", "ok"),
    ({"reply_to": "me"}, "", "ok"),
    ({"id": "mine"}, "", "ok"),
    ({}, "exit 65", "error"),
    ({}, "kill -9 $$$$", "crashed"),
])
def test_the_state_is_gone_with_the_result(stintd, client, gate, tells, fields, after, status):
    stintd({"handlers": {"job": tells("echo 50 >&4", after)}})
    entry = submit(client, "job", **fields)
    job = fields.get("id", entry)
    wait_told(client, job, 50, "")
    gate.open()
    assert result(client, job)["status"] == status
    assert states(client) == []


def test_a_job_that_is_cancelled_has_no_state(stintd, client, tells):
    stintd({"handlers": {"job": tells("echo 50 >&4")}})
    job = submit(client, "job")
    wait_told(client, job, 50, "")
    client.xadd(key("control"), {"command": "cancel", "id": job})
    assert result(client, job)["status"] == "cancelled"
    assert states(client) == []


def test_a_failed_attempt_waits_without_progress_and_the_next_has_its_own(
        stintd, client, gate, tells):
    stintd({"handlers": {"job": tells('echo "$STINT_ATTEMPT attempt" >&4',
                                      '[ "$STINT_ATTEMPT" -ge 2 ]', retries=1,
                                      backoff="1h", backoff_max="1h")}})
    job = submit(client, "job")
    wait_told(client, job, 1, "attempt")
    gate.open()
    wait_until(lambda: state(client, job).get("status") == "retrying", "the retry")
    assert set(state(client, job)) == {"status", "attempt", "error", "next_ms"}
    assert client.pttl(key("state") + f":{job}") == -1
    (gate.folder / "open").unlink()
    client.zadd(key("delayed"), {job: 0})
    stintd({"handlers": {"job": tells('echo "2 attempt" >&4')}})  # it looks at what is due
    wait_told(client, job, 2, "attempt")
    assert "status" not in state(client, job)
    gate.open()
    assert result(client, job)["status"] == "ok"
    assert states(client) == []


def test_a_job_that_is_handed_back_has_no_state(stintd, client, gate, tells):
    daemon = stintd({"handlers": {"job": tells("echo 50 >&4")}, "shutdown_timeout": "0s"})
    job = submit(client, "job")
    wait_told(client, job, 50, "")
    daemon.stop()
    assert states(client) == []
    stintd({"handlers": {"job": sh("echo again")}})
    assert result(client, job)["output"] == "again\n"


def test_who_takes_a_job_over_takes_its_state_away(stintd, client, tells):
    daemon = stintd({"handlers": {"job": tells("echo 50 >&4")}})
    job = submit(client, "job")
    wait_told(client, job, 50, "")
    daemon.process.kill()
    stintd({"handlers": {"job": sh("echo taken over")}})
    assert result(client, job)["output"] == "taken over\n"
    assert states(client) == []


def test_who_has_lost_a_job_tells_nothing_of_it_any_more(stintd, client, gate, tells):
    """The command of a daemon that is stopped goes on, and tells."""
    one, other = ({"lease": "1s", "concurrency": 1, "handlers": {"job": tells(script)}}
                  for script in (f'echo "1 one" >&4; until [ -e {gate.folder}/more ]; '
                                 f'do sleep 0.02; done; echo "2 one" >&4; '
                                 f'touch {gate.folder}/said', 'echo "3 other" >&4'))
    lost = stintd(one)
    job = submit(client, "job")
    wait_told(client, job, 1, "one")
    lost.signal(signal.SIGSTOP)
    stintd(other)
    wait_told(client, job, 3, "other")
    (gate.folder / "more").touch()
    wait_until((gate.folder / "said").exists, "what it says")
    lost.signal(signal.SIGCONT)
    lost.wait_log("not held by this daemon any more")
    lost.wait_log("result dropped")
    assert told(client, job) == (3, "other")
    gate.open()
    assert result(client, job)["status"] == "ok"
    assert states(client) == []


# ---- when Redis is not there, or does not want it ----


def test_in_an_outage_the_newest_is_kept(redis, stintd, client, gate, tells):
    redis.stop()
    redis.start("--appendonly", "yes")
    daemon = stintd({"handlers": {"job": tells(
        'echo 1 >&4; until [ -e "$0/away" ]; do sleep 0.02; done; '
        'for i in 2 3 4; do echo "$i while it was away" >&4; sleep 0.01; done; '
        'touch "$0/said"')}})
    job = submit(client, "job")
    wait_told(client, job, 1, "")
    redis.stop()
    daemon.wait_log("redis is away")
    (gate.folder / "away").touch()
    wait_until((gate.folder / "said").exists, "what it says")
    redis.start("--appendonly", "yes")
    wait_told(client, job, 4, "while it was away")
    client.script_flush()
    gate.open()
    assert result(client, job)["status"] == "ok"
    assert states(client) == []


def test_a_state_that_cannot_be_written_harms_no_job(stintd, client, gate, tells):
    stintd({"handlers": {"job": tells("echo 50 >&4")}})
    client.set(key("state") + ":mine", "no hash")
    submit(client, "job", id="mine")
    wait_until(lambda: client.info("commandstats").get("cmdstat_hset", {}).get("failed_calls") == 1,
               "somebody has tried")
    assert client.get(key("state") + ":mine") == b"no hash"
    gate.open()
    assert result(client, "mine")["status"] == "ok"


def test_a_daemon_without_the_right_goes_on(redis, stintd, client, gate, tells):
    client.acl_setuser("some", enabled=True, nopass=True, reset=True, keys=["*"],
                       commands=["+@all", "-pexpire"])
    url = redis.url.replace("unix://", "unix://some:any@")
    daemon = stintd({"handlers": {"job": tells("echo 50 >&4", "echo over")}}, url=url)
    job = submit(client, "job")
    daemon.wait_log("progress of jobs cannot be written, trying again")
    gate.open()
    assert result(client, job)["output"] == "over\n"
    assert json.loads(client.get(key("result") + f":{job}"))["status"] == "ok"


# ---- who waits for it ----


def ctl(redis, *args):
    return [str(STINTCTL), "--redis", redis.url, *args]


def start(command, **more):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


STEPS = """
for i in 1 2; do
    echo "$((i * 40)) step $i" >&4
    until [ -e "$0/step$i" ]; do sleep 0.02; done
done"""


def read_line(stream):
    return stream.readline().decode()


@pytest.mark.parametrize("submits", [False, True])
@pytest.mark.parametrize("is_json", [False, True])
def test_elsewhere_than_on_a_terminal_each_change_is_a_line(
        redis, stintd, client, gate, tells, submits, is_json):
    stintd({"handlers": {"job": tells(STEPS, "printf over")}})
    if submits:
        command = ctl(redis, "submit", "--wait", "--id", "mine", "job")
    else:
        submit(client, "job", id="mine")
        command = ctl(redis, "wait", "mine")
    waiting = start([*command, *(["--json"] if is_json else [])])
    for i in 1, 2:
        said = read_line(waiting.stderr)
        if is_json:
            assert json.loads(said) == {"id": "mine", "percent": 40 * i, "note": f"step {i}"}
        else:
            assert said == f"stintctl: mine: {40 * i}%: step {i}\n"
        (gate.folder / f"step{i}").touch()
    gate.open()
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, b"")
    assert json.loads(out)["output"] == "over" if is_json else out == b"over"


def on_terminal(command, columns, term="xterm"):
    """Its standard error is a terminal; returns the process, and what reads from that."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs,
                               env={**os.environ, "TERM": term})
    os.close(theirs)
    said = b""

    def read_until(end):
        nonlocal said
        while end not in said:
            try:
                more = os.read(ours, 4096)
            except OSError:  # it is closed on the other side
                more = b""
            assert more, said
            said += more
        before, _, said = said.partition(end)
        return before.decode()
    return process, read_until


@pytest.mark.parametrize("columns, bars", [
    (80, ["[{0:-<26}]  40% step 1", "[{1:-<26}]  80% step 2"]),
    (200, ["[{2:-<30}]  40% step 1", "[{3:-<30}]  80% step 2"]),
    (20, ["  40% step 1", "  80% step 2"]),
    (10, ["  40% ste", "  80% ste"]),
])
def test_on_a_terminal_it_is_a_bar(redis, stintd, client, gate, tells, columns, bars):
    stintd({"handlers": {"job": tells(STEPS, "printf over")}})
    submit(client, "job", id="mine")
    waiting, read_until = on_terminal(ctl(redis, "wait", "mine"), columns)
    for i, bar in enumerate(bars, 1):
        line = bar.format("#" * 10, "#" * 20, "#" * 12, "#" * 24)
        assert read_until(b"\033[K") == "\r" + line and len(line) < columns
        (gate.folder / f"step{i}").touch()
    gate.open()
    assert read_until(b"\033[K") == "\r"  # it is taken away before the output comes
    assert waiting.communicate(timeout=60)[0] == b"over"


def test_a_terminal_that_cannot_go_back_gets_lines(redis, stintd, client, gate, tells):
    stintd({"handlers": {"job": tells("echo 40 >&4")}})
    submit(client, "job", id="mine")
    waiting, read_until = on_terminal(ctl(redis, "wait", "mine"), 80, term="dumb")
    assert read_until(b"\r\n") == "stintctl: mine: 40%"
    gate.open()
    waiting.communicate(timeout=60)


def test_the_first_is_shown_though_the_job_is_short(redis, stintd):
    stintd({"handlers": {"short": sh("sleep 0.2; echo '10 so far' >&4; sleep 0.5")}})

    def shown():
        done = subprocess.run([STINTCTL, "submit", "--wait", "--redis", redis.url, "short"],
                              capture_output=True, text=True)
        return "10%: so far" in done.stderr
    assert any(shown() for _ in range(5))  # a busy machine may miss one


def test_a_note_cannot_steer_the_terminal(redis, client):
    client.hset(key("state") + ":mine", mapping={
        "percent": "1000000", "note": b"\033[2J\xc2\x9b2J\xff\n" + "\u20ac".encode() * 400})
    done = subprocess.run(ctl(redis, "wait", "--timeout", "0.1", "mine"), capture_output=True,
                          timeout=60)
    first, last = done.stderr.decode().splitlines()
    assert first.startswith("stintctl: mine: 100%: [2J 2J\ufffd \u20ac") and len(first) < 200
    assert "no result for mine in time" in last and done.returncode == 75


def test_result_and_cancel_say_how_far_a_job_is(redis, stintd, client, tells):
    stintd({"handlers": {"job": tells('[ -z "$STINT_X_TELL" ] || echo "$STINT_X_TELL" >&4')}})
    for job, fields in (("half", {"x_tell": "50 half"}), ("bare", {"x_tell": "7"}), ("mute", {})):
        submit(client, "job", id=job, **fields)
    wait_told(client, "half", 50, "half")
    wait_told(client, "bare", 7, "")

    def say(*args):
        done = subprocess.run(ctl(redis, *args), capture_output=True, timeout=60)
        return done.returncode, (done.stdout + done.stderr).decode()
    assert say("result", "half") == (3, "stintctl: no result for half yet, it runs: 50%: half\n")
    assert say("result", "bare") == (3, "stintctl: no result for bare yet, it runs: 7%\n")
    assert say("result", "mute")[1].startswith("stintctl: no result for mute (yet): unknown")
    assert say("cancel", "half") == (0, "half: cancel requested, it was running, 50%: half\n")
    assert say("cancel", "bare") == (0, "bare: cancel requested, it was running, 7%\n")
    assert say("cancel", "mute") == (0, "mute: cancel requested, it was running\n")


def test_who_may_not_read_states_waits_all_the_same(redis, stintd, client, gate, tells):
    client.acl_setuser("some", enabled=True, nopass=True, reset=True, keys=["*"],
                       commands=["+@all", "-hmget"])
    stintd({"handlers": {"job": tells("echo 50 >&4", "printf over")}})
    submit(client, "job", id="mine")
    wait_told(client, "mine", 50, "")
    client.acl_log_reset()
    url = redis.url.replace("unix://", "unix://some:any@")
    waiting = start([STINTCTL, "--redis", url, "wait", "mine"])
    wait_until(client.acl_log, "it was refused")
    gate.open()
    assert waiting.communicate(timeout=60) == (b"over", b"")
    assert sum(entry["count"] for entry in client.acl_log()) == 1  # and does not ask again

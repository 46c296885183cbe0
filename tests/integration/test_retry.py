"""Failed attempts are tried again, with back-off, while retries are left."""
import re
import time

import pytest
from look import (DEAD, DELAYED, IDS, appended, entries, holders, kill, leftovers, state_of,
                  text_of, wait_delayed, wait_empty)
from util import is_drained, result, run, submit, wait_until

RETRY_LOG = "it will be tried again"
SOON = {"backoff": "1ms", "backoff_max": "10ms"}


def failing(script, **more):
    return {"handlers": {"work": {"command": ["sh", "-c", script], **SOON, **more},
                         "echo": {"command": ["cat"]}}}


def until_attempt(n):
    return f'[ "$STINT_ATTEMPT" -ge {n} ] || exit 3; printf "%s %s" "$STINT_JOB_ID" "$(cat)"'


# how often


def test_a_job_that_fails_is_tried_again_until_it_succeeds(stintd, client):
    daemon = stintd(failing(until_attempt(4), retries=5))
    job = submit(client, "work", "p", x_user="jane", reply_to="me")
    told = result(client, job)
    assert (told["status"], told["attempt"], told["output"]) == ("ok", 4, f"{job} p")
    assert (told["id"], told["submitted_ms"]) == (job, int(job.split("-")[0]))
    assert daemon.log().count(RETRY_LOG) == 3
    wait_empty(client)
    assert client.exists(DEAD) == 0
    assert client.xlen("stint:{default}:reply:me") == 1, "only the end is told"


@pytest.mark.parametrize("script, status", [
    ("exit 3", "error"), ("kill -SEGV $$$$", "crashed"), ("sleep 60", "timeout")])
def test_each_kind_of_failure_is_tried_again(stintd, client, script, status):
    stintd(failing(script, retries=2, timeout="100ms" if status == "timeout" else "30s"))
    job = submit(client, "work", b"\x00\xff", x_user="jane", reply_to="me")
    told = result(client, job)
    assert (told["status"], told["attempt"]) == (status, 3)
    [(_, letter)] = client.xrange(DEAD)
    assert letter[b"payload"] == b"\x00\xff"
    letter = text_of(letter)
    assert (letter["x-user"], letter["reply_to"], letter["handler"]) == ("jane", "me", "work")
    assert (letter["stint-id"], letter["stint-attempt"]) == (job, "3")
    assert (letter["stint-deaths"], letter["stint-interruptions"]) == ("0", "0")
    wait_empty(client)
    assert client.xlen("stint:{default}:reply:me") == 1


@pytest.mark.parametrize("code", [64, 65])
def test_a_failure_for_good_is_not_tried_again(stintd, client, code):
    daemon = stintd(failing(f"exit {code}", retries=5))
    told = run(client, "work")
    assert (told["status"], told["attempt"], told["exit_code"]) == ("error", 1, code)
    assert client.xlen(DEAD) == 1
    assert RETRY_LOG not in daemon.log()


@pytest.mark.parametrize("handler, job, attempts", [
    ({}, None, 1), ({}, 2, 3), ({"retries": 3}, None, 4), ({"retries": 3}, 0, 1),
    ({"retries": 1}, 2, 3), ({"max_retries": 1}, 7, 2), ({"max_retries": 0}, 7, 1),
    ({"retries": 2, "max_retries": 2}, None, 3)])
def test_the_job_says_how_often_up_to_what_its_handler_allows(
        stintd, client, handler, job, attempts):
    stintd(failing("exit 1", **handler))
    told = run(client, "work", **({} if job is None else {"retries": job}))
    assert (told["status"], told["attempt"]) == ("error", attempts)


def test_what_is_rejected_or_expired_is_not_tried_again(stintd, client):
    daemon = stintd({"defaults": {"retries": 3, **SOON}, **failing("exit 1")})
    assert run(client, "nobody")["status"] == "rejected"
    assert run(client, "work", retries="many")["status"] == "rejected"
    assert run(client, "echo", deadline=1)["status"] == "expired"
    assert run(client, "work")["attempt"] == 4, "the default is in force"
    assert daemon.log().count(RETRY_LOG) == 3


def test_a_retry_that_would_begin_after_the_deadline_is_left_out(stintd, client):
    daemon = stintd(failing("exit 1", retries=5, backoff="1h", backoff_max="1h"))
    began = time.monotonic()
    deadline = int(time.time() * 1000) + 600_000
    told = run(client, "work", deadline=deadline)
    assert (told["status"], told["attempt"]) == ("error", 1)
    assert time.monotonic() - began < 20
    assert RETRY_LOG not in daemon.log()
    assert client.xlen(DEAD) == 1


# when


def test_while_it_waits_its_state_is_told(stintd, client):
    stintd(failing("echo broken >&2; exit 7", retries=5, backoff="1h", backoff_max="2h"))
    job = submit(client, "work", "p", id="mine")
    wait_delayed(client)
    assert job != "mine"
    now = client.time()
    now = now[0] * 1000 + now[1] // 1000
    state = state_of(client, "mine")
    assert (state["status"], state["attempt"]) == ("retrying", "2")
    assert state["error"] == "exit code 7"
    assert now + 1800_000 - 60_000 < int(state["next_ms"]) <= now + 3600_000
    assert client.zscore(DELAYED, "mine") == int(state["next_ms"])
    assert client.hgetall(IDS) == {b"mine": b"delayed"}
    assert client.keys("stint:{default}:result:*") == []
    assert client.exists(DEAD) == 0
    assert is_drained(client)


def test_the_wait_is_doubled_up_to_its_maximum_and_half_of_it_is_random(stintd, client):
    daemon = stintd(failing("exit 1", retries=4, backoff="100ms", backoff_max="250ms"))
    for _ in range(4):
        submit(client, "work")
    wait_until(lambda: client.xlen(DEAD) == 4, "all have failed")
    waits = {n: [int(ms) for ms in re.findall(rf"attempt={n} .* in_ms=(\d+)", daemon.log())]
             for n in (1, 2, 3, 4)}
    for n, (least, most) in {1: (50, 100), 2: (100, 200), 3: (125, 250), 4: (125, 250)}.items():
        assert len(waits[n]) == 4
        assert all(least <= ms <= most for ms in waits[n]), waits
    assert len({ms for some in waits.values() for ms in some}) > 4


def test_the_next_attempt_begins_when_its_time_has_come(stintd, client, folder):
    stintd(failing(f'date +%s%3N >> {folder}/at; exit 1', retries=1, backoff="400ms",
                   backoff_max="400ms"))
    for _ in range(3):
        run(client, "work")
    at = [int(line) for line in appended(folder, "at")]
    waits = [at[i + 1] - at[i] for i in (0, 2, 4)]
    assert min(waits) >= 200
    assert min(waits) <= 600, "one of three was in time"


# who


def test_a_retry_outlives_its_daemon(stintd, client, folder):
    config = failing(until_attempt(2) + f'; echo x >> {folder}/ran', retries=3, backoff="500ms",
                     backoff_max="500ms")
    daemon = stintd(config)
    job = submit(client, "work", "p")
    wait_delayed(client)
    kill(daemon)
    other = stintd(config)
    told = result(client, job)
    assert (told["attempt"], told["output"]) == (2, f"{job} p")
    assert told["daemon"].endswith(f"-{other.process.pid}")
    assert len(appended(folder, "ran")) == 1
    wait_empty(client)


def test_attempts_are_no_deaths_and_an_interruption_is_no_attempt(stintd, client, gate):
    config = {"shutdown_timeout": "0s", "handlers": {"work": {
        "command": ["sh", "-c", '[ "$STINT_ATTEMPT" -ge 3 ] || exit 1; ' +
                    gate.handler()["command"][2], str(gate.folder)], "retries": 5, **SOON}}}
    daemon = stintd(config)
    job = submit(client, "work")
    gate.wait_started(1)
    daemon.stop()
    [fields] = entries(client).values()
    assert (fields["id"], fields["stint-attempt"], fields["stint-deaths"],
            fields["stint-interruptions"]) == (job, "3", "0", "1")
    stintd(config)
    gate.wait_started(2)
    assert [row[2] for row in holders(client).values()] == [1]
    gate.open()
    assert result(client, job)["attempt"] == 3
    assert gate.started() == [(job, "3")] * 2


def test_jobs_that_wait_for_a_retry_do_not_keep_the_daemon_from_stopping(stintd, client):
    daemon = stintd(failing("exit 1", retries=5, backoff="1h", backoff_max="1h"))
    submit(client, "work")
    wait_delayed(client)
    daemon.stop()
    assert len(leftovers(client)) == 4, "state, delayed, body, id"


def test_200_jobs_that_fail_once_are_all_done_in_the_end(stintd, client, folder):
    stintd({"concurrency": 4, **failing(
        f'echo "$STINT_JOB_ID $STINT_ATTEMPT" >> {folder}/ran; ' + until_attempt(2), retries=1)})
    jobs = [submit(client, "work", str(i), reply_to="all") for i in range(200)]
    for job in jobs:
        told = result(client, job)
        assert (told["status"], told["attempt"]) == ("ok", 2)
    wait_empty(client)
    assert sorted(appended(folder, "ran")) == sorted(
        f"{job} {attempt}" for job in jobs for attempt in (1, 2))
    assert client.xlen("stint:{default}:reply:all") == 200
    assert client.exists(DEAD) == 0

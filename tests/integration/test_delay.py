"""Jobs for later: not before their time, soon after it, and nothing to do meanwhile."""
import pytest
from look import (BODIES, DELAYED, IDS, calls, kill, redis_ms, state_of, wait_delayed,
                  wait_empty)
from util import result, run, submit, wait_until

ECHO = {"handlers": {"echo": {"command": ["cat"]}}}


def late_ms(told, delay_ms):
    return told["started_ms"] - told["submitted_ms"] - delay_ms


# its time


def test_a_delayed_job_starts_at_its_time(stintd, client):
    stintd(ECHO)
    jobs = [submit(client, "echo", str(ms), delay=f"{ms}ms") for ms in range(200, 1000, 100)]
    late = [late_ms(result(client, job), ms) for job, ms in zip(jobs, range(200, 1000, 100))]
    assert min(late) >= 0, late
    # the machine may be busy with something else, but not each time
    assert sorted(late)[1] <= 50, late
    wait_empty(client)


def test_a_job_for_a_certain_time(stintd, client):
    stintd(ECHO)
    at = redis_ms(client) + 400
    told = run(client, "echo", "p", at=at)
    assert told["started_ms"] >= at
    assert told["output"] == "p"


@pytest.mark.parametrize("when", [{"at": 1}, {"delay": "0"}])
def test_a_time_that_is_over_is_now(stintd, client, when):
    stintd(ECHO)
    assert run(client, "echo", "p", **when)["output"] == "p"
    wait_empty(client)


@pytest.mark.parametrize("when", [
    {"delay": "1s", "at": 1}, {"delay": "soon"}, {"at": "tomorrow"}, {"at": "-1"}])
def test_a_time_that_makes_no_sense_is_rejected(stintd, client, when):
    stintd(ECHO)
    told = run(client, "echo", "p", **when)
    assert told["status"] == "rejected"
    wait_empty(client)


def test_an_earlier_one_corrects_the_timer(stintd, client):
    stintd({"lease": "1h", **ECHO})
    submit(client, "echo", delay="1h")
    wait_delayed(client)
    submit(client, "echo", delay="10min")
    wait_delayed(client, 2)
    job = submit(client, "echo", "soon", delay="300ms")
    assert result(client, job)["output"] == "soon"
    assert client.zcard(DELAYED) == 2


def test_they_come_in_the_order_of_their_times(stintd, client, folder):
    stintd({"concurrency": 1, "handlers": {"note": {
        "command": ["sh", "-c", f"cat >> {folder}/order; echo >> {folder}/order"]}}})
    at = redis_ms(client) + 600
    jobs = [submit(client, "note", str(n), at=at + n) for n in (5, 3, 1, 4, 2)]
    for job in jobs:
        result(client, job)
    with open(f"{folder}/order") as file:
        assert file.read().split() == ["1", "2", "3", "4", "5"]


# what waits


def test_while_it_waits_its_state_is_told(stintd, client):
    stintd(ECHO)
    job = submit(client, "echo", "p", delay="1h")
    wait_delayed(client)
    due = int(job.split("-")[0]) + 3600_000
    assert client.zscore(DELAYED, job) == due
    assert state_of(client, job) == {"status": "delayed", "attempt": "1", "next_ms": str(due)}
    assert client.hgetall(IDS) == {job.encode(): b"delayed"}
    assert client.xlen("stint:{default}:jobs") == 0


def test_nothing_of_the_job_is_lost_while_it_waits(stintd, client):
    stintd({"handlers": {"tell": {"command": [
        "sh", "-c", 'printf "%s|%s|%s|" "$STINT_JOB_ID" "$STINT_X_USER" "$TRACEPARENT"; '
        "cat"]}}})
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    payload = "".join(chr(n) for n in range(256)) * 10
    job = submit(client, "tell", payload, x_user="jane", delay="200ms", traceparent=trace,
                 reply_to="me", timeout="20s")
    told = result(client, job)
    assert told["output"] == f"{job}|jane|{trace}|{payload}"
    assert (told["id"], told["attempt"]) == (job, 1)
    assert told["submitted_ms"] == int(job.split("-")[0])
    assert client.xlen("stint:{default}:reply:me") == 1
    wait_empty(client)


def test_a_deadline_before_its_time_ends_it(stintd, client):
    stintd(ECHO)
    told = run(client, "echo", "p", delay="300ms", deadline=redis_ms(client) + 50)
    assert told["status"] == "expired"
    wait_empty(client)


# whose


@pytest.mark.parametrize("end", [kill, lambda daemon: daemon.stop()], ids=["kill", "stop"])
def test_a_delayed_job_outlives_its_daemon(stintd, client, end):
    first = stintd(ECHO)
    job = submit(client, "echo", "p", delay="500ms")
    wait_delayed(client)
    end(first)
    assert client.zcard(DELAYED) == 1
    second = stintd(ECHO)
    told = result(client, job)
    assert told["daemon"].endswith(f"-{second.process.pid}")
    assert late_ms(told, 500) >= 0
    wait_empty(client)


def test_what_another_daemon_knew_to_be_due_is_found(stintd, client):
    """The one that was told the time is dead; the other was there before and knows nothing."""
    config = {"lease": "1s", **ECHO}
    first = stintd(config)
    job = submit(client, "echo", "p", delay="400ms")
    wait_delayed(client)
    second = stintd(config)
    kill(first)
    assert result(client, job)["daemon"].endswith(f"-{second.process.pid}")


def test_with_three_daemons_each_is_run_once(stintd, client, folder):
    for _ in range(3):
        stintd({"concurrency": 2, "handlers": {"note": {
            "command": ["sh", "-c", f'echo "$STINT_JOB_ID" >> {folder}/ran']}}})
    at = redis_ms(client) + 500
    jobs = [submit(client, "note", at=at, reply_to="all") for _ in range(250)]
    for job in jobs:
        assert result(client, job)["status"] == "ok"
    wait_empty(client)
    with open(f"{folder}/ran") as file:
        assert sorted(file.read().split()) == sorted(jobs)
    assert client.xlen("stint:{default}:reply:all") == 250


# at no cost


def idle_calls(client):
    """What an idle daemon asks for, while it reads ten times."""
    names = ("evalsha", "zrange", "time", "zscore", "hget", "xread", "xrevrange", "xautoclaim")
    reads, before = calls(client, "xreadgroup"), calls(client, *names)
    wait_until(lambda: calls(client, "xreadgroup") >= reads + 10, "it has read ten times")
    return calls(client, *names) - before


def test_10000_delayed_jobs_cost_no_more_than_one(stintd, client):
    stintd({"lease": "2s", "concurrency": 64, **ECHO})
    submit(client, "echo", delay="1h")
    wait_delayed(client)
    one = idle_calls(client)
    pipe = client.pipeline(transaction=False)
    for i in range(9999):
        pipe.xadd("stint:{default}:jobs", {"handler": "echo", "payload": i, "delay": "1h"})
    pipe.execute()
    wait_delayed(client, 10000)
    assert client.hlen(BODIES) == 10000
    many = idle_calls(client)
    assert many <= one + 12, (one, many)
    job = submit(client, "echo", "soon", delay="100ms")
    assert result(client, job)["output"] == "soon"


def test_many_that_are_due_at_once_are_moved_in_batches(stintd, client):
    """Put off by one daemon, due while there is none, moved by the next."""
    first = stintd({"lease": "2s", "concurrency": 64, **ECHO})
    pipe = client.pipeline(transaction=False)
    at = redis_ms(client) + 3600_000
    for i in range(1000):
        pipe.xadd("stint:{default}:jobs", {"handler": "echo", "payload": i, "at": at,
                                           "reply_to": "all"})
    pipe.execute()
    wait_delayed(client, 1000)
    first.stop()
    client.zadd(DELAYED, {name: 1 for name in client.zrange(DELAYED, 0, -1)})
    stintd({"concurrency": 16, **ECHO})
    wait_until(lambda: client.xlen("stint:{default}:reply:all") == 1000, "all are done")
    wait_empty(client)


def test_a_redis_that_answers_but_takes_no_writes_is_told_once(stintd, client):
    daemon = stintd(ECHO)
    job = submit(client, "echo", "p", delay="300ms")
    wait_delayed(client, 1)
    client.config_set("min-replicas-to-write", 1)
    asked = calls(client, "evalsha")
    wait_until(lambda: calls(client, "evalsha") >= asked + 8, "it to be tried again")
    client.config_set("min-replicas-to-write", 0)
    assert result(client, job)["output"] == "p"
    daemon.wait_log("delayed jobs can be moved again")
    for line in ("delayed jobs cannot be moved", "delayed jobs can be moved again"):
        assert daemon.log().count(line) == 1

"""One job of an id at a time, and none after its result: an id is an idempotency key."""
import pytest
from look import (CONTROL, DEAD, DELAYED, IDS, JOBS, STATS, appended, kill, read_as, wait_delayed,
                  wait_empty, wait_held)
from util import result, run, submit, wait_until

DROPPED = "job dropped: there is one with the same id"


@pytest.fixture
def config(folder, gate):
    """Handlers that note each run in ran: payload and attempt."""
    note = f'echo "$STINT_X_RUN $STINT_ATTEMPT" >> {folder}/ran; '
    return {"handlers": {
        "note": {"command": ["sh", "-c", note + "cat"]},
        "hold": gate.handler(),
        "fail": {"command": ["sh", "-c", note + "exit 65"]},
        "again": {"command": ["sh", "-c", note + '[ "$STINT_ATTEMPT" -ge 2 ]'],
                  "retries": 1, "backoff": "1s"}}}


def twice(client, handler="note", **fields):
    """Two submissions of one id, that say which they are."""
    return [submit(client, handler, f"{n}", id="same", x_run=str(n), **fields) for n in (1, 2)]


def wait_duplicates(client, count):
    wait_until(lambda: int(client.hget(STATS, "duplicates") or 0) == count, f"{count} duplicates")


def test_a_duplicate_of_a_job_that_waits_is_dropped(stintd, client, config, folder):
    twice(client)
    daemon = stintd(config)
    assert result(client, "same")["output"] == "1"
    wait_duplicates(client, 1)
    wait_empty(client)
    assert appended(folder, "ran") == ["1 1"]
    assert daemon.log().count(DROPPED) == 1


def test_a_duplicate_of_a_job_that_runs_is_dropped(stintd, client, config, gate):
    stintd(config)
    submit(client, "hold", id="same")
    gate.wait_started(1)
    for _ in range(3):
        submit(client, "hold", id="same", reply_to="me")
    wait_duplicates(client, 3)
    wait_held(client)
    gate.open()
    assert result(client, "same")["status"] == "ok"
    wait_empty(client)
    assert gate.started() == [("same", "1")]
    assert client.exists("stint:{default}:reply:me", DEAD) == 0


def test_a_duplicate_of_a_delayed_job_is_dropped(stintd, client, config, folder):
    stintd(config)
    submit(client, "note", "1", id="same", x_run="1", delay="500ms")
    wait_delayed(client)
    submit(client, "note", "2", id="same", x_run="2")
    submit(client, "note", "3", id="same", x_run="3", delay="1ms")
    wait_duplicates(client, 2)
    assert result(client, "same")["output"] == "1"
    wait_empty(client)
    assert appended(folder, "ran") == ["1 1"]


def test_a_duplicate_of_a_job_that_waits_for_a_retry_is_dropped(stintd, client, config, folder):
    stintd(config)
    submit(client, "again", id="same", x_run="1")
    wait_delayed(client)
    submit(client, "note", id="same", x_run="2")
    wait_duplicates(client, 1)
    assert result(client, "same")["attempt"] == 2
    wait_empty(client)
    assert appended(folder, "ran") == ["1 1", "1 2"]


@pytest.mark.parametrize("handler", ["note", "fail"])
def test_a_duplicate_of_a_job_that_is_done_is_dropped(stintd, client, config, folder, handler):
    stintd(config)
    first = run(client, handler, "1", id="same", x_run="1")
    submit(client, "note", "2", id="same", x_run="2", reply_to="me")
    wait_duplicates(client, 1)
    wait_empty(client)
    assert result(client, "same") == first
    assert appended(folder, "ran") == ["1 1"]
    assert client.exists("stint:{default}:reply:me") == 0


def test_a_malformed_duplicate_spoils_nothing(stintd, client, config, gate):
    stintd(config)
    submit(client, "hold", id="same")
    gate.wait_started(1)
    submit(client, "hold", id="same", timeout="nonsense")
    submit(client, "nobody", id="same")
    wait_duplicates(client, 2)
    gate.open()
    assert result(client, "same")["status"] == "ok"
    wait_empty(client)
    assert client.exists(DEAD) == 0


def test_two_daemons_run_one_of_many_duplicates(stintd, client, config, folder):
    for _ in range(2):
        stintd({"concurrency": 8, **config})
    pipe = client.pipeline(transaction=False)
    for n in range(400):
        pipe.xadd(JOBS, {"handler": "note", "payload": "p", "id": f"id-{n % 20}",
                         "x-run": f"id-{n % 20}", "reply_to": "all"})
    pipe.execute()
    for n in range(20):
        assert result(client, f"id-{n}")["status"] == "ok"
    wait_empty(client)
    assert sorted(appended(folder, "ran")) == sorted(f"id-{n} 1" for n in range(20))
    assert client.hget(STATS, "duplicates") == b"380"
    assert client.xlen("stint:{default}:reply:all") == 20


def test_the_one_of_two_that_is_taken_over_runs_once(stintd, client, config, folder):
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    twice(client)
    read_as(client, "elsewhere-1-2-3", count=1)
    stintd({"lease": "1s", **config})
    result(client, "same")
    wait_empty(client)
    wait_duplicates(client, 1)
    assert len(appended(folder, "ran")) == 1


def test_when_its_result_is_over_an_id_may_be_used_again(stintd, client, config, folder):
    stintd({"results": {"ttl": "1s"}, **config})
    assert run(client, "note", "1", id="same", x_run="1")["output"] == "1"
    wait_until(lambda: not client.exists("stint:{default}:result:same"), "the result is over")
    assert run(client, "note", "2", id="same", x_run="2")["output"] == "2"
    assert client.hget(STATS, "duplicates") is None


def test_without_results_an_id_is_taken_while_the_job_is_there(stintd, client, config, gate):
    stintd({"results": {"store": "none"}, **config})
    submit(client, "hold", id="same")
    gate.wait_started(1)
    submit(client, "hold", id="same")
    wait_duplicates(client, 1)
    gate.open()
    wait_empty(client)
    submit(client, "hold", id="same")
    gate.wait_started(2)
    wait_empty(client)
    assert len(gate.started()) == 2


def test_an_id_whose_job_somebody_has_deleted_is_free(stintd, client, config):
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    client.hset(IDS, mapping={"same": "1-1", "other": "delayed"})
    stintd(config)
    assert run(client, "note", "p", id="same", x_run="1")["output"] == "p"
    assert run(client, "note", "q", id="other", x_run="1")["output"] == "q"
    wait_empty(client)


def test_an_id_is_free_when_the_stream_was_deleted(stintd, client, config, gate):
    daemon = stintd({"lease": "1s", **config})
    client.xadd(CONTROL, {"command": "pause"})
    daemon.wait_log("queue is paused")
    daemon.stop()
    for job in ("waits", "runs"):
        submit(client, "hold", id=job)
    entry = read_as(client, "gone-1-2-3")[1]
    client.hset(IDS, mapping={"waits": "1-1", "runs": entry})
    client.delete(JOBS)
    client.xadd(CONTROL, {"command": "resume"})
    stintd({"lease": "1s", **config})
    for job in ("waits", "runs"):
        assert run(client, "note", job, id=job, x_run="1")["output"] == job
    wait_empty(client)
    assert client.hget(STATS, "duplicates") is None


def test_the_id_of_a_job_that_is_called_like_its_entry_is_taken(stintd, client, config, gate):
    stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    submit(client, "note", "p", id=job, x_run="1")
    wait_duplicates(client, 1)
    gate.open()
    assert result(client, job)["output"] == "done"
    wait_empty(client)


def test_two_jobs_of_one_id_in_two_queues_are_two(stintd, client, config):
    stintd({"queues": ["default", "other"], **config})
    for queue in ("default", "other"):
        told = run(client, "note", queue, queue=queue, id="same", x_run="1")
        assert told["output"] == queue
    assert client.hget(STATS, "duplicates") is None


def test_a_job_that_was_handed_back_is_no_duplicate_of_itself(stintd, client, config, gate):
    config = {"shutdown_timeout": "0s", **config}
    for n in (1, 2, 3):
        daemon = stintd(config)
        if n == 1:
            submit(client, "hold", id="same", reply_to="me")
        gate.wait_started(n)
        submit(client, "hold", id="same")
        wait_duplicates(client, n)
        daemon.stop()
    gate.open()
    stintd(config)
    assert result(client, "same")["attempt"] == 1
    wait_empty(client)
    assert client.xlen("stint:{default}:reply:me") == 1
    assert client.hget(STATS, "duplicates") == b"3"


def test_the_id_of_a_dead_daemons_job_stays_taken(stintd, client, config, gate):
    config = {"lease": "1h", **config}
    daemon = stintd(config)
    submit(client, "hold", id="same")
    gate.wait_started(1)
    kill(daemon)
    submit(client, "hold", id="same")
    gate.open()
    stintd(config)
    result(client, "same")
    wait_empty(client)
    wait_duplicates(client, 1)
    assert len(gate.started()) == 2, "once by the dead one"
    assert client.exists(DELAYED) == 0

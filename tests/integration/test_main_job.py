"""The way of a job: one XADD, a handler, one result."""
import base64
import json

import pytest
from util import is_drained, result, run, submit, wait_until

CAT = {"handlers": {"echo": {"command": ["cat"]}}}
JOBS = "stint:{default}:jobs"
DEAD = "stint:{default}:dead"


def test_a_job_becomes_a_result_with_all_its_members(stintd, client):
    daemon = stintd(CAT)
    job = submit(client, "echo", "hello")
    told = result(client, job)
    assert told["id"] == job
    assert told["status"] == "ok"
    assert told["output"] == "hello"
    assert told["handler"] == "echo"
    assert told["queue"] == "default"
    assert told["attempt"] == 1
    assert told["daemon"].endswith(f"-{daemon.process.pid}")
    assert told["submitted_ms"] == int(job.split("-")[0])
    assert told["submitted_ms"] - 1 <= told["started_ms"] <= told["finished_ms"]
    assert "error" not in told
    wait_until(lambda: is_drained(client), "drained")
    assert 0 < client.pttl(f"stint:{{default}}:result:{job}") <= 3600_000


def test_jobs_added_before_any_daemon_ran_are_done(stintd, client):
    jobs = [submit(client, "echo", str(i)) for i in range(1000)]
    stintd(CAT)
    for i, job in enumerate(jobs):
        assert result(client, job)["output"] == str(i)
    wait_until(lambda: is_drained(client), "drained")
    assert client.xlen("stint:{default}:dead") == 0


def test_bytes_that_are_not_utf8_come_back_as_base64(stintd, client):
    stintd(CAT)
    told = run(client, "echo", b"\xff\x00\xfe")
    assert "output" not in told
    assert base64.b64decode(told["output_base64"]) == b"\xff\x00\xfe"


def test_an_empty_payload_and_none_at_all_are_the_same(stintd, client):
    stintd(CAT)
    for fields in ({"handler": "echo"}, {"handler": "echo", "payload": ""}):
        job = client.xadd(JOBS, fields)
        told = result(client, job)
        assert (told["status"], told["output"]) == ("ok", "")


@pytest.mark.parametrize("job_id", ["a", "order:2024-11_7.b", "i" * 128])
def test_a_job_may_bring_its_own_id(stintd, client, job_id):
    stintd({"handlers": {"id": {"command": ["sh", "-c", "printf %s $STINT_JOB_ID"]}}})
    entry = submit(client, "id", id=job_id)
    told = result(client, job_id)
    assert (told["id"], told["output"]) == (job_id, job_id)
    assert client.get(f"stint:{{default}}:result:{entry}") is None


def test_of_two_jobs_with_one_id_the_first_result_stands(stintd, client):
    daemon = stintd({**CAT, "concurrency": 1})
    first = run(client, "echo", "first", id="same")
    submit(client, "echo", "second", id="same")
    submit(client, "echo", "third", id="same", reply_to="me")
    daemon.wait_log("job dropped: there is one with the same id")
    wait_until(lambda: is_drained(client), "drained")
    assert result(client, "same") == first
    assert client.exists("stint:{default}:reply:me", DEAD) == 0


def test_of_two_jobs_with_one_id_in_one_batch_the_first_result_stands(stintd, client):
    pipe = client.pipeline()
    for payload in ("first", "second", "third"):
        pipe.xadd(JOBS, {"handler": "echo", "payload": payload, "id": "same"})
    pipe.execute()
    stintd({**CAT, "concurrency": 1})
    wait_until(lambda: result(client, "same") and is_drained(client), "drained")
    assert result(client, "same")["output"] == "first"


def test_a_handler_that_nobody_knows_is_rejected_and_the_job_kept(stintd, client):
    stintd(CAT)
    fields = {"handler": "ecko", "payload": b"\0\xff", "id": "j1", "x-user": "jane",
              "timeout": "5s", "reply_to": "me"}
    client.xadd(JOBS, fields)
    told = result(client, "j1")
    assert told["status"] == "rejected"
    assert told["error"] == 'unknown handler "ecko"'
    assert "started_ms" not in told
    [(_, letter)] = client.xrange(DEAD)
    for name, value in fields.items():
        assert letter[name.encode()] == (value if isinstance(value, bytes) else value.encode())
    assert json.loads(letter[b"stint-result"]) == told
    wait_until(lambda: is_drained(client), "drained")


def test_a_job_unknown_here_is_run_by_the_daemon_that_knows_it(stintd, client):
    stintd({"handlers": {"other": {"command": ["true"]}}, "unknown_handler": "1min"})
    job = submit(client, "echo", "moved", x_trace="7")
    wait_until(lambda: client.xpending(JOBS, "stint")["pending"] == 1, "held")
    knowing = stintd(CAT)
    told = result(client, job)
    assert (told["id"], told["status"], told["output"]) == (job, "ok", "moved")
    assert told["daemon"].endswith(f"-{knowing.process.pid}")
    assert (told["attempt"], told["submitted_ms"]) == (1, int(job.split("-")[0]))
    wait_until(lambda: is_drained(client), "drained")


def test_a_job_that_no_daemon_knows_is_rejected_when_its_time_is_over(stintd, client):
    for _ in range(2):
        stintd({"handlers": {"other": {"command": ["true"]}}, "unknown_handler": "600ms"})
    before = client.info("stats")["total_commands_processed"]
    job = submit(client, "echo", "nobody", x_trace="7")
    # Waiting must not be counted: one command that waits, not one each 5 ms.
    told = json.loads(wait_result_by_notification(client, job))
    commands = client.info("stats")["total_commands_processed"] - before
    assert (told["id"], told["status"]) == (job, "rejected")
    assert told["finished_ms"] - told["submitted_ms"] >= 600
    # What scripts call inside Redis counts, too.
    assert commands < 60
    [(_, letter)] = client.xrange(DEAD)
    assert (letter[b"payload"], letter[b"x-trace"]) == (b"nobody", b"7")
    wait_until(lambda: is_drained(client), "drained")


def wait_result_by_notification(client, job):
    """The result, waited for with a handful of commands only."""
    client.config_set("notify-keyspace-events", "K$")
    key = f"stint:{{default}}:result:{job}"
    with client.pubsub() as channel:
        channel.subscribe(f"__keyspace@0__:{key}")
        wait_until(lambda: (channel.get_message(timeout=1) or {}).get("type") == "message"
                   or client.exists(key), "result")
    return client.get(key)

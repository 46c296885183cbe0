"""The way of a job: one XADD, a handler, one result."""
import base64

from util import is_drained, result, run, submit, wait_until

CAT = {"handlers": {"echo": {"command": ["cat"]}}}


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

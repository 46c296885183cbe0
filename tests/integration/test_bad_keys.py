"""A key of another type where a stream or a result should be."""
import json
import os

import pytest
from util import is_drained, result, run, submit, wait_until

JOBS = "stint:{default}:jobs"
DEAD = "stint:{default}:dead"
HANDLERS = {"echo": {"command": ["cat"]}, "fail": {"command": ["false"]}}
TOLD = "queue cannot be read"


def commands(client):
    return client.info("stats")["total_commands_processed"]


def spoil(client, key, kind):
    {"string": lambda: client.set(key, "x"), "hash": lambda: client.hset(key, "a", "b"),
     "list": lambda: client.rpush(key, "a")}[kind]()


@pytest.mark.parametrize("weights", [False, True])
def test_without_its_stream_a_queue_waits_and_the_others_go_on(stintd, client, weights):
    client.set("stint:{first}:jobs", "x")
    queues = {"first": 3, "default": 1} if weights else ["first", "default"]
    daemon = stintd({"handlers": HANDLERS, "queues": queues})
    before = commands(client)
    for i in range(20):
        assert run(client, "echo", str(i))["output"] == str(i)
    assert daemon.log().count(TOLD) == 1
    # nothing is asked again and again (what the test itself asks counts, too)
    assert commands(client) - before < 20 * 60
    client.delete("stint:{first}:jobs")
    if weights:
        client.client_kill_filter(_type="normal")  # a new connection asks at once
    told = run(client, "echo", "back", queue="first")
    assert (told["status"], told["queue"]) == ("ok", "first")
    assert daemon.log().count(TOLD) == 1


def test_a_stream_that_is_replaced_while_the_daemon_reads_it(stintd, client):
    daemon = stintd({"handlers": HANDLERS, "queues": ["default", "other"]})
    assert run(client, "echo", "before")["output"] == "before"
    client.set(JOBS, "x")
    daemon.wait_log(TOLD)
    assert run(client, "echo", "meanwhile", queue="other")["output"] == "meanwhile"
    client.delete(JOBS)
    client.client_kill_filter(_type="normal")
    assert run(client, "echo", "after")["output"] == "after"
    assert daemon.log().count(TOLD) == 1
    assert daemon.log().count("consumer group is gone") <= 2


def test_a_stream_that_is_replaced_while_a_job_of_it_runs(stintd, client, folder):
    stintd({"queues": ["default", "other"], "handlers": {**HANDLERS, "hold": {
        "command": ["sh", "-c", "touch $0/up; until [ -e $0/go ]; do sleep 0.02; done", folder]}}})
    job = submit(client, "hold")
    wait_until(lambda: os.path.exists(f"{folder}/up"), "the job runs")
    client.set(JOBS, "x")
    open(f"{folder}/go", "w").close()
    assert result(client, job)["status"] == "ok"
    assert run(client, "echo", "p", queue="other")["status"] == "ok"


@pytest.mark.parametrize("kind", ["hash", "list", "string"])
@pytest.mark.parametrize("handler", ["echo", "fail"])
def test_a_key_in_place_of_the_result_stands(stintd, client, kind, handler):
    daemon = stintd({"handlers": HANDLERS})
    key = "stint:{default}:result:taken"
    spoil(client, key, kind)
    submit(client, handler, "p", id="taken")
    daemon.wait_log("job dropped: there is one with the same id")
    wait_until(lambda: is_drained(client), "drained")
    assert client.type(key).decode() == kind
    assert run(client, "echo", "next")["output"] == "next"


@pytest.mark.parametrize("handler, status", [("echo", "ok"), ("fail", "error"), ("no", "rejected")])
def test_a_key_in_place_of_the_reply_stream(stintd, client, handler, status):
    daemon = stintd({"handlers": HANDLERS})
    client.hset("stint:{default}:reply:me", "a", "b")
    jobs = [submit(client, handler, "p", reply_to=name) for name in ("me", "you")]
    for job in jobs:
        assert result(client, job)["status"] == status
    daemon.wait_log("reply could not be added")
    assert daemon.log().count("reply could not be added") == 1
    assert client.hgetall("stint:{default}:reply:me") == {b"a": b"b"}
    assert client.ttl("stint:{default}:reply:me") == -1
    assert client.xlen("stint:{default}:reply:you") == 1
    wait_until(lambda: is_drained(client), "drained")


def test_a_key_in_place_of_the_dead_stream(stintd, client):
    daemon = stintd({"handlers": HANDLERS})
    client.rpush(DEAD, "a")
    job = submit(client, "fail", reply_to="me")
    assert result(client, job)["status"] == "error"
    daemon.wait_log("dead letter could not be added")
    assert client.xlen("stint:{default}:reply:me") == 1
    assert client.lrange(DEAD, 0, -1) == [b"a"]
    client.delete(DEAD)
    job = submit(client, "fail")
    assert result(client, job)["status"] == "error"
    [(_, letter)] = client.xrange(DEAD)
    assert json.loads(letter[b"stint-result"])["id"] == job
    wait_until(lambda: is_drained(client), "drained")

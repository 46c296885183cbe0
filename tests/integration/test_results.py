"""What becomes of results: stored or not, for how long, replied, and kept as dead letters."""
import json
import time

import pytest
from util import is_drained, result, run, submit, wait_until

DEAD = "stint:{default}:dead"
HANDLERS = {
    "echo": {"command": ["cat"]},
    "fail": {"command": ["sh", "-c", "echo no >&2; exit 3"]},
    "crash": {"command": ["sh", "-c", "kill -SEGV $$$$"]},
    "slow": {"command": ["sleep", "60"], "timeout": "50ms"},
}


def key(job):
    return f"stint:{{default}}:result:{job}"


def wait_reply(client, name="me"):
    """The entries of a reply stream, as soon as there is one."""
    stream = f"stint:{{default}}:reply:{name}"
    [(_, entries)] = client.xread({stream: "0-0"}, block=30000)
    return [fields for _, fields in entries]


# reply_to


@pytest.mark.parametrize("handler, status", [
    ("echo", "ok"), ("fail", "error"), ("crash", "crashed"), ("slow", "timeout"),
    ("nobody", "rejected")])
def test_a_reply_is_the_same_json_and_one_entry(stintd, client, handler, status):
    stintd({"handlers": HANDLERS})
    job = submit(client, handler, "p", reply_to="me")
    [reply] = wait_reply(client)
    assert set(reply) == {b"id", b"result"}
    assert reply[b"id"].decode() == job
    assert reply[b"result"] == client.get(key(job))
    assert json.loads(reply[b"result"])["status"] == status


def test_a_reply_carries_the_own_id(stintd, client):
    stintd({"handlers": HANDLERS})
    submit(client, "echo", "p", reply_to="n:1.a_b-c", id="own")
    [reply] = wait_reply(client, "n:1.a_b-c")
    assert reply[b"id"] == b"own"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_id_that_is_submitted_twice_is_replied_once(stintd, client, concurrency):
    for _ in range(4):
        submit(client, "echo", "p", reply_to="me", id="same")
    stintd({"handlers": HANDLERS, "concurrency": concurrency})
    wait_until(lambda: client.exists(key("same")) and is_drained(client), "drained")
    [reply] = wait_reply(client)
    assert reply[b"result"] == client.get(key("same"))


def test_many_jobs_may_reply_to_one_stream(stintd, client):
    stintd({"handlers": HANDLERS})
    jobs = {submit(client, "echo", str(i), reply_to="me").encode() for i in range(50)}
    wait_until(lambda: client.xlen("stint:{default}:reply:me") == 50, "50 replies")
    assert {reply[b"id"] for reply in wait_reply(client)} == jobs


def test_the_reply_stream_expires_with_the_result(stintd, client):
    stintd({"handlers": HANDLERS, "results": {"ttl": "90s"}})
    job = submit(client, "echo", "p", reply_to="me")
    wait_reply(client)
    assert 80_000 < client.pttl(key(job)) <= 90_000
    assert 80_000 < client.pttl("stint:{default}:reply:me") <= 90_000


# results.ttl


def test_the_ttl_of_a_handler_goes_before_the_general_one(stintd, client):
    stintd({"handlers": {**HANDLERS, "short": {"command": ["cat"], "results": {"ttl": "7min"}}},
            "results": {"ttl": "2h"}})
    for handler, ttl_s in (("echo", 7200), ("short", 420), ("fail", 7200), ("nobody", 7200)):
        told = run(client, handler, "p")
        assert ttl_s - 10 < client.pttl(key(told["id"])) / 1000 <= ttl_s, handler


def test_a_result_is_gone_when_its_ttl_is_over(stintd, client):
    stintd({"handlers": HANDLERS, "results": {"ttl": "1s"}})
    told = run(client, "echo", "p")
    wait_until(lambda: client.get(key(told["id"])) is None, "gone")
    assert time.time() * 1000 >= told["finished_ms"] + 999


# results.store


@pytest.mark.parametrize("store, stored", [
    ("all", {"echo", "fail", "nobody"}), ("failures", {"fail", "nobody"}), ("none", set())])
def test_what_is_stored(stintd, client, store, stored):
    stintd({"handlers": HANDLERS, "results": {"store": store}})
    jobs = {name: submit(client, name, "p") for name in ("echo", "fail", "nobody")}
    wait_until(lambda: is_drained(client), "drained")
    assert {name for name, job in jobs.items() if client.exists(key(job))} == stored


def test_what_is_stored_may_differ_by_handler(stintd, client):
    handlers = {f"{name}-{store}": {**HANDLERS[name], "results": {"store": store}}
                for name in ("echo", "fail") for store in ("all", "failures", "none")}
    stintd({"handlers": handlers, "results": {"store": "none"}})
    jobs = {name: submit(client, name, "p") for name in handlers}
    wait_until(lambda: is_drained(client), "drained")
    assert {name for name, job in jobs.items() if client.exists(key(job))} == {
        "echo-all", "fail-all", "fail-failures"}


@pytest.mark.parametrize("handler", ["echo", "fail", "nobody"])
def test_a_reply_comes_also_when_nothing_is_stored(stintd, client, handler):
    stintd({"handlers": HANDLERS, "results": {"store": "none"}})
    job = submit(client, handler, "p", reply_to="me")
    [reply] = wait_reply(client)
    assert reply[b"id"].decode() == job
    assert json.loads(reply[b"result"])["handler"] == handler
    assert not client.exists(key(job))


# dead letters


@pytest.mark.parametrize("handler, status", [
    ("fail", "error"), ("slow", "timeout"), ("crash", "crashed"), ("nobody", "rejected")])
def test_a_failed_job_is_kept_with_all_its_fields(stintd, client, handler, status):
    stintd({"handlers": HANDLERS})
    job = submit(client, handler, b"\0\xffp", x_user="jane", timeout="20s", reply_to="me")
    told = result(client, job)
    [(_, letter)] = client.xrange(DEAD)
    assert told["status"] == status
    assert {name: letter.pop(name) for name in (b"stint-id", b"stint-entry")} == {
        b"stint-id": job.encode(), b"stint-entry": job.encode()}
    assert json.loads(letter.pop(b"stint-result")) == told
    assert letter == {b"handler": handler.encode(), b"payload": b"\0\xffp", b"x-user": b"jane",
                      b"timeout": b"20s", b"reply_to": b"me"}


def test_a_failed_job_is_kept_also_when_its_result_is_not_stored(stintd, client):
    stintd({"handlers": HANDLERS, "results": {"store": "none"}})
    submit(client, "fail", "p")
    wait_until(lambda: client.xlen(DEAD) == 1 and is_drained(client), "one dead letter")


def test_neither_success_nor_expiry_nor_cancelling_is_a_dead_letter(stintd, client):
    stintd({"handlers": {**HANDLERS, "slow": {"command": ["sleep", "60"]}}})
    now_ms = int(time.time() * 1000)
    assert run(client, "echo", "p")["status"] == "ok"
    assert run(client, "echo", "p", deadline=now_ms - 1)["status"] == "expired"
    soon_ms = int(time.time() * 1000) + 300
    assert run(client, "slow", "p", deadline=soon_ms)["status"] == "cancelled"
    wait_until(lambda: is_drained(client), "drained")
    assert client.xlen(DEAD) == 0

"""Jobs as they should not be: each ends in exactly one result, and the daemon goes on."""
import base64
import json
import os
import random
import re

import pytest
from util import is_drained, result, run, submit, wait_until

JOBS = "stint:{default}:jobs"
DEAD = "stint:{default}:dead"
MIB = 1 << 20
ECHO = {"handlers": {"echo": {"command": ["cat"]}, "count": {"command": ["wc", "-c"]}}}


def add(client, *fields):
    """One XADD of fields in this order; a name may stand twice."""
    return client.execute_command("XADD", JOBS, "*", *fields).decode()


def letters(client):
    """Dead letters by job id."""
    return {letter[b"stint-id"].decode(): letter for _, letter in client.xrange(DEAD)}


def assert_works(client):
    assert run(client, "echo", "still here")["output"] == "still here"
    wait_until(lambda: is_drained(client), "drained")


def refused(client, job, word):
    """The job was rejected in one line with this word in it, and is kept."""
    told = result(client, job)
    assert told["status"] == "rejected"
    assert word in told["error"]
    assert "\n" not in told["error"] and len(told["error"]) < 300
    assert json.loads(letters(client)[told["id"]][b"stint-result"]) == told
    return told


# payloads


def test_any_bytes_are_a_payload(stintd, client):
    stintd(ECHO)
    payloads = [b"", b"\0", bytes(range(256)) * 16, b"\r\n$5\r\n*1\r\n", b"\xff" * 70000,
                b"\0" * 200000, '"\\\u2028\U0001f600'.encode()]
    jobs = [submit(client, "echo", payload) for payload in payloads]
    for job, payload in zip(jobs, payloads):
        told = result(client, job)
        assert told["status"] == "ok"
        output = (base64.b64decode(told["output_base64"]) if "output_base64" in told
                  else told["output"].encode())
        assert output == payload
    assert_works(client)


def test_64_mib_are_more_than_the_default_limit_and_are_kept(stintd, client):
    stintd({**ECHO, "dead_letters": {"max_size": "65MiB"}})
    payload = os.urandom(MIB) * 64
    job = submit(client, "count", payload)
    told = result(client, job)
    assert told["status"] == "rejected"
    assert "67108864 bytes" in told["error"]
    assert "payload_limit" in told["error"] or "more than this daemon takes" in told["error"]
    assert letters(client)[job][b"payload"] == payload
    assert_works(client)


def test_64_mib_run_where_the_limit_is_raised(stintd, client):
    stintd({"handlers": {**ECHO["handlers"],
                         "count": {"command": ["wc", "-c"], "payload_limit": "64MiB"}}})
    told = run(client, "count", b"x" * 64 * MIB)
    assert (told["status"], told["output"].strip()) == ("ok", str(64 * MIB))
    # one byte more than this handler takes
    job = submit(client, "count", b"x" * (64 * MIB + 1))
    assert result(client, job)["status"] == "rejected"
    # the limit of one handler is not that of the others
    job = submit(client, "echo", b"x" * (16 * MIB + 1))
    refused(client, job, "payload_limit")
    assert_works(client)


# fields


@pytest.mark.parametrize("count", [65, 1000, 5000])
def test_a_job_of_very_many_fields(stintd, client, count):
    stintd(ECHO)
    fields = [word for i in range(count - 2) for word in (f"x-{i}", i)]
    job = add(client, "handler", "echo", "id", "many", *fields)
    told = refused(client, "many", "fields")
    assert str(count) in told["error"]
    assert letters(client)["many"][b"stint-entry"].decode() == job
    assert_works(client)


def test_a_handler_that_cannot_be(stintd, client):
    stintd(ECHO)
    for handler in ("../../x", "%s%n", "%n" * 20, "h" * 10240, "", "echo\0", "e\ncho",
                    b"\xff\xfe", "echo "):
        refused(client, add(client, "handler", handler), "handler")
    assert_works(client)


def test_a_job_without_a_handler(stintd, client):
    stintd(ECHO)
    refused(client, add(client, "payload", "p"), "\"handler\" is missing")
    assert_works(client)


def test_a_field_that_stands_twice(stintd, client):
    stintd(ECHO)
    for field in ("handler", "payload", "id", "timeout", "reply_to"):
        values = {"handler": "echo", "payload": "p", "id": f"own-{field}", "timeout": "1s",
                  "reply_to": f"to-{field}"}
        job = add(client, *[w for f in values.items() for w in f], field, values[field])
        refused(client, f"own-{field}", f"field \"{field}\" stands twice")
        assert client.xlen(f"stint:{{default}}:reply:to-{field}") == 1
        assert not client.exists(f"stint:{{default}}:result:{job}")
    assert_works(client)


# One value per job: what is refused, is refused by name.
BAD_NAMES = ["", "a b", "a}b", "a/b", "\xe9", "a\0b", "a\n", "i" * 129, "i" * 10240, "*", "%n",
             b"\xff"]
BAD_VALUES = {
    "id": BAD_NAMES,
    "reply_to": BAD_NAMES,
    "timeout": ["-1", "-5s", "NaN", "nan", "inf", "1e400", "1e9999s", "0", "", " ", "s", "9" * 400,
                "5 parsecs", "99999999999999999999s", "0x10", "1s\0", "\uff11s", "%n", "-" * 10000],
    "deadline": ["-1", "NaN", "1.5", "", "soon", "9" * 30, "1s", "%n", "0"],
    "traceparent": ["", "0", "g" * 55, "0" * 10240],
}


@pytest.mark.parametrize("field", BAD_VALUES)
def test_a_value_that_is_none(stintd, client, field):
    stintd(ECHO)
    jobs = [add(client, "handler", "echo", field, value) for value in BAD_VALUES[field]]
    for job in jobs:
        refused(client, job, field)
    assert_works(client)
    assert not client.keys("stint:{default}:reply:*")


def test_a_huge_time_span_never_raises_the_limit_of_the_handler(stintd, client):
    stintd({"handlers": {**ECHO["handlers"],
                         "slow": {"command": ["sleep", "60"], "timeout": "50ms"}}})
    assert run(client, "slow", timeout="10000d")["status"] == "timeout"
    assert run(client, "echo", "p", timeout="10000d")["status"] == "ok"


def test_a_field_name_that_is_none(stintd, client):
    stintd(ECHO)
    for name in ("x-", "x-" + "n" * 10240, "x-a\0b", "", "Handler", b"\xff", "stint-result",
                 "%n", "payload "):
        refused(client, add(client, "handler", "echo", name, "v"), "field")
    assert_works(client)


def test_bad_jobs_in_one_batch_do_not_hide_the_good_ones(stintd, client):
    pipe = client.pipeline()
    for i in range(60):
        pipe.execute_command("XADD", JOBS, "*", *(
            ("payload", "p"), ("handler", "echo", "payload", i), ("a", "b"))[i % 3])
    jobs = [job.decode() for job in pipe.execute()]
    stintd(ECHO)
    told = [result(client, job)["status"] for job in jobs]
    assert told == ["rejected", "ok", "rejected"] * 20
    assert len(letters(client)) == 40


# anything


NAMES = [b"handler", b"payload", b"id", b"timeout", b"deadline", b"reply_to", b"traceparent",
         b"stint-submitted", b"x-a", b"x-", b"", b"Handler", b"delay", b"\xff\x00"]
VALUES = [b"", b"echo", b"count", b"../../x", b"%s%n", b"1s", b"-1", b"NaN", b"0", b"\0",
          b"9" * 40, b"a:b", b"\xff\xfe", b"x" * 10240, b"1732153200000", b"\r\n", b"\"\\"]


def any_entry(rng):
    fields = []
    if rng.random() < 0.7:
        fields += [b"handler", rng.choice([b"echo", b"echo", rng.choice(VALUES)])]
    for _ in range(rng.choice([0, 1, 1, 2, 3, 8, 70])):
        value = rng.randbytes(rng.randrange(40)) if rng.random() < 0.3 else rng.choice(VALUES)
        fields += [rng.choice(NAMES), value]
    return fields or [b"x-a", b"b"]


def id_of(entry, fields):
    """Under which id an entry is told: its own, if the first that it names is one."""
    for name, value in list(zip(fields[::2], fields[1::2]))[:64]:
        if name == b"id":
            return value.decode() if re.fullmatch(rb"[A-Za-z0-9_.:-]{1,128}", value) else entry
    return entry


@pytest.mark.parametrize("seed", range(3))
def test_random_fields_end_in_exactly_one_result(stintd, client, seed):
    daemon = stintd({**ECHO, "concurrency": 4})
    rng = random.Random(seed)
    entries = [any_entry(rng) for _ in range(150)]
    pipe = client.pipeline()
    for fields in entries:
        pipe.execute_command("XADD", JOBS, "*", *fields)
    jobs = [job.decode() for job in pipe.execute()]
    # in this order: what is promoted in between is seen in the queue
    wait_until(lambda: not client.exists("stint:{default}:delayed") and is_drained(client),
               "drained")
    results = [json.loads(client.get(key)) for key in client.keys("stint:{default}:result:*")]
    assert ({one["id"] for one in results}
            == {id_of(job, fields) for job, fields in zip(jobs, entries)})
    assert all(one["status"] in ("ok", "rejected", "expired") for one in results)
    assert {one["status"] for one in results} >= {"ok", "rejected"}
    assert daemon.process.poll() is None
    assert_works(client)

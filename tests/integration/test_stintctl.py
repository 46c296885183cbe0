"""stintctl submit, result and wait against a real Redis; the tests play the daemon."""

import base64
import json
import os
import signal
import subprocess
import threading

import pytest
from ctl_fixtures import ctl, db, environment, jobs, key, line, result_of, server
from util import STINTCTL, wait_until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MIB = 1024 * 1024


class Daemon(threading.Thread):
    """Takes one job as a daemon does and answers with the members that it was given."""

    def __init__(self, db, queue="default", is_stored=True, **members):
        super().__init__()
        self.db, self.queue, self.is_stored, self.members = db, queue, is_stored, members
        db.xgroup_create(key("jobs", queue), "stint", "0", mkstream=True)
        self.start()

    def run(self):
        stream = key("jobs", self.queue)
        got = self.db.xreadgroup("stint", "d1", {stream: ">"}, count=1, block=10000)
        entry, self.fields = got[0][1][0]
        job_id = self.fields.get(b"id", entry).decode()
        result = result_of(job_id, **self.members)
        step = self.db.pipeline(transaction=True)  # as a daemon does: all in one step
        if self.is_stored:
            step.set(key(f"result:{job_id}", self.queue), result)
        reply_to = self.fields.get(b"reply_to")
        if reply_to:
            step.xadd(key("reply:" + reply_to.decode(), self.queue),
                      {"id": job_id, "result": result})
        step.xack(stream, "stint", entry)
        step.xdel(stream, entry)
        step.execute()


# submit


def test_submit_adds_one_entry_and_prints_its_id(ctl, db):
    done = ctl("submit", "resize", "some bytes")
    [(entry, fields)] = db.xrange(key("jobs"))
    assert (done.returncode, done.stdout, done.stderr) == (0, entry + b"\n", b"")
    assert fields == {b"handler": b"resize", b"payload": b"some bytes"}


def test_submit_leaves_an_empty_payload_out(ctl, db):
    assert ctl("submit", "resize").returncode == 0
    assert ctl("submit", "resize", "").returncode == 0
    assert ctl("submit", "resize", "-").returncode == 0
    assert jobs(db) == [{b"handler": b"resize"}] * 3


def test_every_option_of_submit_becomes_its_field(ctl, db):
    done = ctl("submit", "-q", "bulk", "--id", "my:id-1", "--timeout", "1h 30min",
               "--deadline", "1795237304425", "--reply-to", "me.1", "--traceparent", TRACE,
               "-x", "user=jane", "-x", "note=a=b c", "resize", "p")
    assert (done.returncode, done.stdout) == (0, b"my:id-1\n")
    assert jobs(db, "bulk") == [{
        b"handler": b"resize", b"id": b"my:id-1", b"timeout": b"1h 30min",
        b"deadline": b"1795237304425", b"reply_to": b"me.1", b"traceparent": TRACE.encode(),
        b"x-user": b"jane", b"x-note": b"a=b c", b"payload": b"p"}]


def test_submit_takes_24_x_fields_and_no_more(ctl, db):
    fields = [arg for i in range(25) for arg in ("-x", f"n{i}={i}")]
    assert ctl("submit", "resize", *fields[:48]).returncode == 0
    assert len(jobs(db)[0]) == 25
    done = ctl("submit", "resize", *fields)
    assert done.returncode == 64 and "at most 24" in line(done)
    assert len(jobs(db)) == 1


@pytest.mark.parametrize("payload", [b"\0\xff\r\n\0", bytes(range(256)) * 4096, b"x" * 9 * MIB],
                         ids=["binary", "1MiB", "9MiB"])
def test_payload_on_standard_input_arrives_byte_for_byte(ctl, db, payload):
    assert ctl("submit", "resize", "-", stdin=payload).returncode == 0
    assert jobs(db)[0][b"payload"] == payload


def test_payload_over_512_mib_is_refused(server, db, tmp_path):
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 512 * MIB + 1)
    with open(large, "rb") as stdin:
        done = subprocess.run([STINTCTL, "submit", "resize", "-"], stdin=stdin,
                              env=environment(server.url), capture_output=True, timeout=60)
    assert done.returncode == 64 and "512MiB" in line(done)
    assert jobs(db) == []


def test_options_may_stand_anywhere_until_two_dashes(ctl, db):
    assert ctl("--json", "submit", "resize", "-q", "a", "p", "--prefix", "p1").returncode == 0
    assert jobs(db, "a", "p1") == [{b"handler": b"resize", b"payload": b"p"}]
    assert ctl("submit", "resize", "--", "--json").returncode == 0
    assert jobs(db) == [{b"handler": b"resize", b"payload": b"--json"}]


def test_submit_as_json(ctl, db):
    done = ctl("submit", "--json", "-q", "bulk", "--id", "j1", "resize")
    assert json.loads(done.stdout) == {"id": "j1", "queue": "bulk"}


# submit --wait


def test_submit_wait_prints_output_as_it_is(ctl, db):
    daemon = Daemon(db, output="grüße\n\0 no new line")
    done = ctl("submit", "--wait", "resize", "p")
    daemon.join()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == "grüße\n\0 no new line".encode()
    assert daemon.fields[b"payload"] == b"p"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 1000])
def test_submit_wait_decodes_base64(ctl, db, size):
    output = (bytes(range(255, -1, -1)) * 4)[:size]
    daemon = Daemon(db, output_base64=base64.b64encode(output).decode())
    done = ctl("submit", "--wait", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (0, output)


def test_submit_wait_of_a_failure_exits_1_with_error_and_stderr(ctl, db):
    daemon = Daemon(db, status="error", output="half", error="exit status 3",
                    stderr="Traceback\nboom")
    done = ctl("submit", "--wait", "--id", "j1", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (1, b"half")
    assert done.stderr == b"stintctl: j1: error: exit status 3\nTraceback\nboom\n"


@pytest.mark.parametrize("status", ["timeout", "cancelled", "crashed", "expired", "rejected"])
def test_every_other_status_is_a_failure(ctl, db, status):
    db.set(key("result:j1"), result_of("j1", status, output="", error="why"))
    done = ctl("result", "j1")
    assert (done.returncode, line(done)) == (1, f"stintctl: j1: {status}: why\n")


def test_submit_wait_leaves_no_reply_stream_behind(ctl, db):
    daemon = Daemon(db, output="")
    assert ctl("submit", "--wait", "resize").returncode == 0
    daemon.join()
    assert daemon.fields[b"reply_to"]
    assert db.keys("*:reply:*") == []


def test_submit_wait_needs_no_stored_result(ctl, db):
    daemon = Daemon(db, is_stored=False, output="only replied")
    done = ctl("submit", "--wait", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (0, b"only replied")


def test_submit_wait_of_a_duplicate_gets_the_first_ones_result(ctl, db):
    db.set(key("result:j1"), result_of("j1", output="the first"))
    done = ctl("submit", "--wait", "--id", "j1", "resize")
    assert (done.returncode, done.stdout) == (0, b"the first")


def test_submit_wait_of_a_duplicate_waits_for_a_first_that_runs(server, db):
    process = subprocess.Popen([STINTCTL, "submit", "--wait", "--id", "j1", "resize"],
                               env=environment(server.url), stdout=subprocess.PIPE)
    wait_until(lambda: any("xread" == c["cmd"] for c in db.client_list()))
    db.set(key("result:j1"), result_of("j1", output="the first"))
    assert process.communicate(timeout=10)[0] == b"the first"
    assert process.returncode == 0


def test_submit_wait_in_a_shared_reply_stream_finds_its_own_new_reply(ctl, db):
    stream = key("reply:shared")
    for i in range(40):
        db.xadd(stream, {"id": "j1", "result": result_of("j1", output=f"old {i}")})
    daemon = Daemon(db, is_stored=False, output="new")
    done = ctl("submit", "--wait", "--id", "j1", "--reply-to", "shared", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (0, b"new")
    assert db.xlen(stream) == 41


def test_submit_wait_ignores_other_jobs_replies(server, db):
    stream = key("reply:shared")
    process = subprocess.Popen(
        [STINTCTL, "submit", "--wait", "--id", "j1", "--reply-to", "shared", "resize"],
        env=environment(server.url), stdout=subprocess.PIPE)
    wait_until(lambda: any("xread" == c["cmd"] for c in db.client_list()))
    for i in range(40):
        db.xadd(stream, {"id": f"other{i}", "result": result_of("other", output="other")})
    db.xadd(stream, {"id": "j1", "result": result_of("j1", output="mine")})
    assert process.communicate(timeout=10)[0] == b"mine"


def test_submit_wait_timeout_exits_75_and_names_the_job(ctl, db):
    done = ctl("submit", "--wait", "--wait-timeout", "50ms", "--id", "j1", "resize")
    assert (done.returncode, done.stdout) == (75, b"")
    assert "no result for j1 in time" in line(done)
    assert len(jobs(db)) == 1 and db.keys("*:reply:*") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_submit_wait_that_is_interrupted_names_the_job(server, db, number):
    process = subprocess.Popen([STINTCTL, "submit", "--wait", "-q", "other", "h"],
                               env=environment(server.url), stderr=subprocess.PIPE)
    stream = key("jobs", "other")
    wait_until(lambda: db.xlen(stream) == 1 and "xread" in str(db.client_list()), "it waits")
    process.send_signal(number)
    _, said = process.communicate(timeout=10)
    [(entry, _)] = db.xrange(stream)
    assert process.returncode == -number
    assert said == b"stintctl: the job goes on; stintctl wait --queue other " + entry + b"\n"


def test_submit_wait_as_json_is_the_stored_object(ctl, db):
    daemon = Daemon(db, status="error", error="no", stderr="tail")
    done = ctl("submit", "--wait", "--json", "--id", "j1", "resize")
    daemon.join()
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.decode() == result_of("j1", "error", error="no", stderr="tail") + "\n"


# result, wait


def test_result_prints_what_is_stored(ctl, db):
    db.set(key("result:j1", "bulk"), result_of("j1", output="out"))
    done = ctl("result", "-q", "bulk", "j1")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out", b"")


def test_result_as_json_is_byte_for_byte_what_is_stored(ctl, db):
    stored = '{"id":"j1", "status":"ok","output":"\\u00e4\\u0000","later":[1.50]}'
    db.set(key("result:j1"), stored)
    assert ctl("result", "--json", "j1").stdout.decode() == stored + "\n"


def test_result_without_one_exits_3(ctl, db):
    done = ctl("result", "1732153200000-0")
    assert (done.returncode, done.stdout) == (3, b"")
    assert "no result for 1732153200000-0 (yet): unknown, queued, delayed or running" in line(done)


@pytest.mark.parametrize("stored", ["", "{", "[]", "null", '{"status":1}', "\xff"])
def test_result_that_is_none_of_stints_is_an_error(ctl, db, stored):
    db.set(key("result:j1"), stored.encode("latin-1"))
    done = ctl("result", "j1")
    assert (done.returncode, done.stdout) == (69, b"") and "j1" in line(done)


def test_result_with_faulty_base64_is_an_error(ctl, db):
    db.set(key("result:j1"), result_of("j1", output_base64="AA*A"))
    done = ctl("result", "j1")
    assert done.returncode == 69 and "not base64" in line(done)


def test_result_under_a_key_of_another_type_is_an_error(ctl, db):
    db.lpush(key("result:j1"), "x")
    done = ctl("result", "j1")
    assert done.returncode == 69 and "WRONGTYPE" in line(done)


def test_wait_returns_when_the_result_comes(server, db):
    process = subprocess.Popen([STINTCTL, "wait", "j1"], env=environment(server.url),
                               stdout=subprocess.PIPE)
    wait_until(lambda: any(c["name"] == "stintctl" and c["cmd"] in ("get", "hmget")
                           for c in db.client_list()))
    db.set(key("result:j1"), result_of("j1", output="done"))
    assert process.communicate(timeout=10)[0] == b"done"
    assert process.returncode == 0


@pytest.mark.parametrize("span", ["0", "70ms"])
def test_wait_timeout_exits_75(ctl, db, span):
    done = ctl("wait", "--timeout", span, "j1")
    assert (done.returncode, done.stdout) == (75, b"") and "j1" in line(done)


def test_wait_with_no_time_still_looks_once(ctl, db):
    db.set(key("result:j1"), result_of("j1", output="there"))
    assert ctl("wait", "--timeout", "0", "j1").stdout == b"there"

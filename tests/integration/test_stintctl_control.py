"""stintctl cancel, pause, resume and what submit says of time, with real daemons."""
import json
import time

import pytest
from ctl_fixtures import ctl_at, key, line
from look import state_of, wait_delayed, wait_held
from util import result, submit, wait_until

HOUR = "1h"
GONE = "1732153200000-0"


@pytest.fixture
def ctl(redis):
    return ctl_at(redis.url)


@pytest.fixture
def busy(stintd, gate):
    """A daemon with one worker; the handler `hold` waits at the gate, `fail` fails."""
    return stintd({"concurrency": 1, "handlers": {
        "hold": gate.handler(),
        "upper": {"command": ["tr", "a-z", "A-Z"]},
        "fail": {"command": ["sh", "-c", "exit 3"], "backoff": HOUR, "backoff_max": HOUR}}})


def cancelled(ctl, job, state):
    done = ctl("cancel", job)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"{job}: cancel requested, it was {state}\n"
    assert done.stderr == b""


# cancel


def test_cancel_of_a_running_job(ctl, client, busy, gate):
    job = submit(client, "hold")
    gate.wait_started(1)
    cancelled(ctl, job, "running")
    assert result(client, job)["status"] == "cancelled"


def test_cancel_of_a_waiting_job(ctl, client):
    job = submit(client, "hold")
    cancelled(ctl, job, "waiting")
    assert client.xrange(key("control"))[0][1] == {b"command": b"cancel", b"id": job.encode()}


def test_a_waiting_job_that_was_cancelled_never_starts(ctl, client, busy, gate):
    submit(client, "hold")
    gate.wait_started(1)
    job = submit(client, "hold")
    assert ctl("cancel", job).returncode == 0
    assert result(client, job)["status"] == "cancelled"
    assert len(gate.started()) == 1
    gate.open()


def test_cancel_of_a_job_that_waits_under_an_id_of_its_own(ctl, client, busy, gate):
    first = submit(client, "hold")
    gate.wait_started(1)
    submit(client, "hold", id="mine")
    assert ctl("cancel", "mine").returncode == 0
    gate.open()
    assert result(client, "mine")["status"] == "cancelled"
    assert result(client, first)["status"] == "ok"
    assert len(gate.started()) == 1


def test_cancel_of_a_delayed_job(ctl, client, busy):
    job = ctl("submit", "--delay", HOUR, "upper").stdout.decode().strip()
    wait_delayed(client)
    cancelled(ctl, job, "delayed")
    assert result(client, job)["status"] == "cancelled"


def test_cancel_of_a_job_that_waits_for_its_next_attempt(ctl, client, busy):
    job = ctl("submit", "--retries", "3", "--id", "mine", "fail").stdout.decode().strip()
    wait_delayed(client)
    cancelled(ctl, job, "retrying")
    assert result(client, "mine")["status"] == "cancelled"


def test_cancel_of_a_finished_job_exits_3_and_asks_for_nothing(ctl, client):
    client.set(key("result:j1"), '{"status":"ok"}')
    done = ctl("cancel", "j1")
    assert (done.returncode, done.stdout) == (3, b"")
    assert line(done) == "stintctl: j1 has finished, there is nothing to cancel\n"
    assert not client.exists(key("control"))


@pytest.mark.parametrize("job", [GONE, "mine", "a:b", "17"])
def test_cancel_of_an_unknown_job_is_requested_all_the_same(ctl, client, job):
    done = ctl("cancel", job)
    assert done.returncode == 0 and "not found" in done.stdout.decode()
    assert client.xlen(key("control")) == 1


def test_cancel_as_json_in_another_queue(ctl, client):
    job = submit(client, "hold", queue="bulk")
    done = ctl("cancel", "--json", "-q", "bulk", job)
    assert json.loads(done.stdout) == {"id": job, "queue": "bulk", "state": "waiting",
                                       "requested": True}
    client.set(key("result:j1", "bulk"), '{"status":"ok"}')
    done = ctl("cancel", "--json", "-q", "bulk", "j1")
    assert done.returncode == 3 and done.stderr == b""
    assert json.loads(done.stdout) == {"id": "j1", "queue": "bulk", "state": "finished",
                                       "requested": False}
    assert client.xlen(key("control", "bulk")) == 1


def test_cancel_does_not_read_the_payload(ctl, client, redis):
    job = submit(client, "hold", b"x" * 2**24)
    before = client.info("stats")["total_net_output_bytes"]
    cancelled(ctl, job, "waiting")
    assert client.info("stats")["total_net_output_bytes"] - before < 100000


def test_cancel_where_a_key_is_of_another_type_is_an_error(ctl, client):
    client.set(key("control"), "x")
    done = ctl("cancel", "j1")
    assert done.returncode == 69 and "WRONGTYPE" in line(done)


# pause, resume


def paused(ctl, *queues):
    told = {row["queue"]: row["paused"] for row in json.loads(ctl("queues", "--json").stdout)}
    return [told[queue] for queue in queues]


def test_a_paused_queue_is_not_read_until_it_is_resumed(ctl, client, busy):
    done = ctl("pause")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"default: paused\n", b"")
    busy.wait_log("paused")
    job = submit(client, "upper", b"later")
    assert paused(ctl, "default") == [True]
    assert client.xpending(key("jobs"), "stint")["pending"] == 0
    assert client.get(key(f"result:{job}")) is None
    assert ctl("resume").stdout == b"default: resumed\n"
    assert result(client, job)["output"] == "LATER"
    assert paused(ctl, "default") == [False]


def test_pause_of_several_queues(ctl, client):
    for queue in ("a", "b", "c"):
        submit(client, "hold", queue=queue)
    assert ctl("pause", "-q", "a", "--queue", "b").stdout == b"a: paused\nb: paused\n"
    assert paused(ctl, "a", "b", "c") == [True, True, False]
    done = ctl("resume", "--json", "-q", "b")
    assert json.loads(done.stdout) == [{"queue": "b", "paused": False}]
    assert paused(ctl, "a", "b", "c") == [True, False, False]
    assert not client.exists(key("control"))


def test_pause_of_all_queues_knows_those_of_the_configuration(ctl, client, tmp_path):
    conf = tmp_path / "stint.yaml"
    conf.write_text("queues: [critical, default]\n")
    submit(client, "hold", queue="extra")
    done = ctl("pause", "--all", "--config", str(conf))
    assert done.stdout == b"critical: paused\ndefault: paused\nextra: paused\n"
    assert all(client.xlen(key("control", queue)) == 1
               for queue in ("critical", "default", "extra"))


def test_pause_of_all_queues_where_there_are_none(ctl):
    assert ctl("pause", "--all").stdout == b""
    assert ctl("pause", "--all", "--json").stdout == b"[]\n"


def test_pause_that_fails_midway_says_what_was_done(ctl, client):
    client.set(key("control", "b"), "x")
    done = ctl("pause", "--json", "-q", "a", "-q", "b", "-q", "c")
    assert done.returncode == 69 and "WRONGTYPE" in line(done)
    assert json.loads(done.stdout) == [{"queue": "a", "paused": True}]
    assert not client.exists(key("control", "c"))


def test_queues_finds_the_last_pause_among_many_cancels(ctl, client):
    submit(client, "hold")
    pipe = client.pipeline()
    pipe.xadd(key("control"), {"command": "resume"})
    pipe.xadd(key("control"), {"command": "pause"})
    for i in range(250):
        pipe.xadd(key("control"), {"command": "cancel", "id": f"j{i}"})
        pipe.xadd(key("control"), {"something": "else"})
    pipe.execute()
    assert paused(ctl, "default") == [True]


# submit


def test_submit_with_a_delay_starts_no_sooner(ctl, client, busy):
    done = ctl("submit", "--delay", "300ms", "--wait", "--json", "upper", "x")
    told = json.loads(done.stdout)
    assert told["status"] == "ok"
    assert told["started_ms"] - told["submitted_ms"] >= 300


def test_submit_at_a_time_starts_no_sooner(ctl, client, busy):
    at = int(time.time() * 1000) + 400
    told = json.loads(ctl("submit", "--at", str(at), "--wait", "--json", "upper").stdout)
    assert told["status"] == "ok" and told["started_ms"] >= at


def test_submit_with_retries_is_tried_again(ctl, client, busy):
    assert ctl("submit", "--retries", "2", "--id", "mine", "fail").returncode == 0
    wait_delayed(client)
    told = state_of(client, "mine")
    assert (told["status"], told["attempt"]) == ("retrying", "2")


def test_options_of_time_become_their_fields(ctl, client):
    assert ctl("submit", "--delay", "1h 30min", "--retries", "0", "h").returncode == 0
    assert ctl("submit", "--at", "1795237304425", "h").returncode == 0
    assert [fields for _, fields in client.xrange(key("jobs"))] == [
        {b"handler": b"h", b"delay": b"1h 30min", b"retries": b"0"},
        {b"handler": b"h", b"at": b"1795237304425"}]


# queues


def test_queues_counts_what_is_delayed_running_dead_and_lost(ctl, client, busy, gate):
    ctl("submit", "--delay", HOUR, "upper")
    wait_delayed(client)
    assert ctl("submit", "--wait", "fail").returncode == 1
    client.hset(key("stats"), "dead_lost", 7)
    submit(client, "hold")
    gate.wait_started(1)
    wait_held(client)
    [row] = json.loads(ctl("queues", "--json").stdout)
    assert row == {"queue": "default", "waiting": 0, "running": 1, "delayed": 1, "dead": 1,
                   "dead_lost": 7, "consumers": 1, "paused": False}
    gate.open()
    wait_until(lambda: json.loads(ctl("queues", "--json").stdout)[0]["running"] == 0, "ended")

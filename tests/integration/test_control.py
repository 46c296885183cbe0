"""Cancel, pause and resume: plain entries in a stream, read by every daemon."""
import signal
import time

import pytest
from gates import Gate, is_reading
from look import (CONTROL, DEAD, DELAYED, JOBS, appended, calls, entries, holders, kill, key,
                  read_as, wait_delayed, wait_empty, wait_held)
from util import result, run, submit, wait_until

ECHO = {"echo": {"command": ["cat"]}}
SENSELESS = "control messages make no sense"


def tell(client, command, queue="default", **fields):
    return client.xadd(key("control", queue), {"command": command, **fields}).decode()


def cancel(client, job, queue="default"):
    return tell(client, "cancel", queue, id=job)


def pause(client, *daemons, queue="default"):
    tell(client, "pause", queue)
    for daemon in daemons:
        daemon.wait_log("queue is paused")


@pytest.fixture
def busy(stintd, gate):
    """A daemon for one job at a time, which can be held up."""
    return stintd({"concurrency": 1, "handlers": {**ECHO, "hold": gate.handler(), "again": {
        "command": ["sh", "-c", 'sleep 0.1; [ "$STINT_ATTEMPT" -ge 2 ]'], "retries": 1,
        "backoff": "1h", "backoff_max": "1h"}}})


def assert_cancelled(client, job, started):
    told = result(client, job)
    assert (told["id"], told["status"]) == (job, "cancelled")
    assert ("started_ms" in told) == started
    wait_empty(client)
    assert client.exists(DEAD) == 0, "it is what was asked for"
    return told


# cancel


def test_a_job_that_runs_is_ended_soon(busy, client, folder):
    """Three times: the machine may be busy with something else, but not each time."""
    took = []
    for n in range(3):
        job = submit(client, "hold", reply_to="me")
        wait_until(lambda want=n: len(appended(f"{folder}/gate", "started")) > want, "it runs")
        began = time.monotonic()
        cancel(client, job)
        told = assert_cancelled(client, job, True)
        took.append(time.monotonic() - began)
        assert told["error"] == "cancelled by command"
    assert min(took) < 0.1, took
    assert client.xlen("stint:{default}:reply:me") == 3


def test_one_that_does_not_listen_is_killed(stintd, client, gate):
    stintd({"handlers": {"hold": gate.handler("deaf", kill_grace="100ms")}})
    job = submit(client, "hold")
    gate.wait_started(1)
    cancel(client, job)
    assert_cancelled(client, job, True)


def test_a_job_that_waits_is_taken_out_of_its_turn(busy, client, gate):
    running = submit(client, "hold")
    gate.wait_started(1)
    jobs = [submit(client, "echo", str(n)) for n in range(3)]
    cancel(client, jobs[1])
    assert result(client, jobs[1])["status"] == "cancelled"
    assert sorted(client.keys("stint:{default}:result:*")) == [key(f"result:{jobs[1]}").encode()]
    gate.open()
    assert result(client, running)["status"] == "ok"
    assert [result(client, job)["output"] for job in (jobs[0], jobs[2])] == ["0", "2"]
    wait_empty(client)


def test_a_job_that_waits_under_its_own_id_never_runs(busy, client, gate):
    submit(client, "hold")
    gate.wait_started(1)
    submit(client, "hold", id="mine")
    cancel(client, "mine")
    gate.open()
    assert_cancelled(client, "mine", False)
    assert len(gate.started()) == 1


@pytest.mark.parametrize("own", [True, False])
def test_a_job_that_was_handed_back_is_taken_out_of_its_turn(stintd, client, folder, own):
    gates = [Gate(folder, f"gate{n}") for n in range(2)]
    daemons, jobs = [], []
    for gate in gates:
        daemons.append(stintd({"concurrency": 1, "shutdown_timeout": "0s",
                               "handlers": {"hold": gate.handler()}}))
        jobs.append(submit(client, "hold", **({"id": "mine"} if own and not jobs else {})))
        gate.wait_started(1)
    daemons[0].stop()
    job = "mine" if own else jobs[0]
    wait_held(client, 1)
    assert client.xlen(JOBS) == 2
    cancel(client, job)
    told = result(client, job)
    assert told["status"] == "cancelled" and "started_ms" not in told
    assert len(gates[1].started()) == client.xlen(JOBS) == 1


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("due", [True, False])
def test_a_delayed_job_is_ended_also_while_all_workers_are_busy(busy, client, gate, own, due):
    job = submit(client, "echo", delay="300ms" if due else "1h",
                 **({"id": "mine"} if own else {}))
    wait_delayed(client)
    running = submit(client, "hold")
    gate.wait_started(1)
    if due:
        wait_until(lambda: client.zcard(DELAYED) == 0 and client.xlen(JOBS) == 2, "it waits")
    job = "mine" if own else job
    cancel(client, job)
    assert result(client, job)["status"] == "cancelled"
    assert list(holders(client)) == [running]
    gate.open()


def test_a_job_that_waits_for_a_retry_is_ended_also_while_all_workers_are_busy(
        busy, client, gate):
    job = submit(client, "again")
    wait_delayed(client)
    running = submit(client, "hold")
    gate.wait_started(1)
    cancel(client, job)
    told = result(client, job)
    assert (told["status"], told["attempt"]) == ("cancelled", 2)
    assert list(holders(client)) == [running]
    gate.open()


@pytest.mark.parametrize("own", [True, False])
def test_a_delayed_job_is_ended_at_once(busy, client, own):
    job = submit(client, "echo", delay="1h", **({"id": "mine"} if own else {}))
    wait_delayed(client)
    job = "mine" if own else job
    cancel(client, job)
    assert_cancelled(client, job, False)


def test_a_job_that_waits_for_a_retry_is_ended_at_once(busy, client):
    job = submit(client, "again")
    wait_delayed(client)
    cancel(client, job)
    told = assert_cancelled(client, job, False)
    assert told["attempt"] == 2


def test_a_job_that_was_handed_back_is_cancelled(stintd, client, gate):
    config = {"shutdown_timeout": "0s", "handlers": {"hold": gate.handler()}}
    daemon = stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    daemon.stop()
    cancel(client, job)
    stintd(config)
    assert_cancelled(client, job, False)
    assert len(gate.started()) == 1


def test_a_job_of_a_dead_daemon_is_cancelled(stintd, client, gate):
    config = {"lease": "1h", "handlers": {"hold": gate.handler()}}
    daemon = stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    kill(daemon)
    cancel(client, job)
    stintd(config)
    assert_cancelled(client, job, False)
    assert len(gate.started()) == 1


def test_cancelled_before_any_daemon_ran(stintd, client):
    jobs = [submit(client, "echo", "p"), submit(client, "echo", "p", id="mine")]
    kept = submit(client, "echo", "kept")
    cancel(client, jobs[0])
    cancel(client, "mine")
    stintd({"handlers": ECHO})
    assert_cancelled(client, jobs[0], False)
    assert_cancelled(client, "mine", False)
    assert result(client, kept)["output"] == "kept"


def test_what_is_finished_or_unknown_is_left_alone(busy, client):
    told = run(client, "echo", "p", id="mine")
    cancel(client, "mine")
    cancel(client, "1-1")
    cancel(client, "nobody")
    pause(client, busy)  # so that all before it were heard
    tell(client, "resume")
    assert run(client, "echo", "q")["output"] == "q"
    assert result(client, "mine") == told
    assert client.keys("stint:{default}:result:nobody") == []
    assert client.keys("stint:{default}:result:1-1") == []
    wait_empty(client)


def test_a_job_that_is_submitted_after_the_cancel_is_another_one(busy, client, gate):
    submit(client, "hold", id="mine")
    gate.wait_started(1)
    cancel(client, "mine")
    assert result(client, "mine")["status"] == "cancelled"
    client.delete(key("result:mine"))
    wait_empty(client)
    assert run(client, "echo", "anew", id="mine")["output"] == "anew"
    submit(client, "echo", "later", id="late", delay="1h")
    wait_delayed(client)
    cancel(client, "late")
    assert result(client, "late")["status"] == "cancelled"


def test_cancel_reaches_the_daemon_that_runs_the_job(stintd, client, folder):
    gates = [Gate(folder, f"gate{n}") for n in range(3)]
    for gate in gates:
        stintd({"concurrency": 1, "handlers": {"hold": gate.handler()}})
    jobs = [submit(client, "hold") for _ in range(3)]
    wait_until(lambda: all(gate.started() for gate in gates), "one for each")
    for job in jobs:
        cancel(client, job)
    for job in jobs:
        assert_cancelled(client, job, True)


def test_a_message_that_the_control_connection_misses_comes_with_a_renewal(
        proxy, stintd, client, gate):
    see, control = proxy.see, []

    def deaf(pair, command):
        """The control connection hears of nothing that is said from now on."""
        if command[0].upper() == b"CLIENT" and command[-1].endswith(b":control"):
            control.append(pair)
        if control and pair is control[-1] and command[0].upper() == b"XREAD" and is_deaf:
            at = command.index(b"STREAMS")
            command = [*command[:at + 1], b"nothing", b"0-0"]
        return see(pair, command)
    is_deaf = []
    proxy.see = deaf
    stintd({"lease": "6s", "handlers": {"hold": gate.handler()}}, url=proxy.url)
    job = submit(client, "hold")
    gate.wait_started(1)
    is_deaf.append(True)
    blocked = calls(client, "xread")
    wait_until(lambda: calls(client, "xread") > blocked + 1, "it reads something else now")
    began = time.monotonic()
    cancel(client, job)
    assert_cancelled(client, job, True)
    # leases are renewed each third of them
    assert time.monotonic() - began < 3.5


@pytest.mark.parametrize("lose", ["kill", "stop"])
def test_a_message_during_an_outage_is_not_lost(redis, stintd, client, gate, lose):
    daemon = stintd({"lease": "30s", "handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    if lose == "kill":
        client.client_kill_filter(_type="normal", skipme=True)
        cancel(client, job)
    else:
        cancelling = redis.client()
        assert cancelling.ping()
        redis.process.send_signal(signal.SIGSTOP)
        daemon.wait_log("redis is away")
        redis.process.send_signal(signal.SIGCONT)
        cancel(cancelling, job)
        cancelling.close()
    assert_cancelled(client, job, True)


# pause, resume


def test_while_a_queue_is_paused_its_jobs_wait_and_what_runs_goes_on(busy, client, gate):
    running = submit(client, "hold")
    gate.wait_started(1)
    pause(client, busy)
    waiting = [submit(client, "echo", str(n)) for n in range(3)]
    gate.open()
    assert result(client, running)["output"] == "done"
    wait_held(client, 0)
    assert client.xlen(JOBS) == 3
    tell(client, "resume")
    assert [result(client, job)["output"] for job in waiting] == ["0", "1", "2"]


def test_a_paused_daemon_does_not_take_the_next_job_either(stintd, client):
    daemon = stintd({"handlers": ECHO, "queues": ["default", "other"]})
    for _ in range(5):
        pause(client)
        wait_until(lambda: daemon.log().count("queue is paused") > daemon.log().count("resumed"),
                   "paused")
        job = submit(client, "echo", "p")
        # a read that was on its way when that came may still get it; after it there is none
        assert run(client, "echo", "q", queue="other")["output"] == "q"
        tell(client, "resume")
        assert result(client, job)["output"] == "p"


@pytest.fixture
def overtaken(proxy, stintd, client):
    """A daemon that has heard of a pause, and whose read goes on all the same."""
    see = proxy.see

    def goes_on(pair, command):
        if [word.upper() for word in command[:2]] == [b"CLIENT", b"UNBLOCK"]:
            command = [b"CLIENT", b"ID"]
        elif b"BLOCK" in command and command[0] == b"XREADGROUP":
            command[command.index(b"BLOCK") + 1] = b"6000"
        return see(pair, command)
    proxy.see = goes_on
    daemon = stintd({"lease": "1h", "handlers": ECHO}, url=proxy.url)
    assert run(client, "echo", "first")["output"] == "first"
    wait_until(lambda: is_reading(client, daemon), "it reads")
    pause(client, daemon)
    return daemon


def wait_given_back(client, job):
    """Until the job waits, as another entry, and nobody holds any."""
    wait_until(lambda: [fields.get("id") for fields in entries(client).values()] == [job]
               and not holders(client), "it was handed back")
    [fields] = entries(client).values()
    assert (fields["stint-attempt"], fields["stint-deaths"]) == ("1", "0")
    assert fields["stint-interruptions"] == "1"


@pytest.mark.parametrize("own", [True, False])
def test_what_comes_after_the_pause_was_heard_is_not_begun(overtaken, client, own):
    job = submit(client, "echo", "p", **({"id": "mine"} if own else {}))
    job = "mine" if own else job
    wait_given_back(client, job)
    assert not client.exists(key(f"result:{job}"))
    tell(client, "resume")
    told = result(client, job)
    assert (told["output"], told["attempt"]) == ("p", 1)
    wait_empty(client)


def test_what_comes_after_the_pause_was_heard_can_be_cancelled(overtaken, client):
    job = submit(client, "echo", "p")
    wait_given_back(client, job)
    cancel(client, job)
    assert_cancelled(client, job, False)


def test_a_job_for_later_that_comes_after_the_pause_was_heard_is_put_off(overtaken, client):
    job = submit(client, "echo", "p", delay="1s")
    wait_delayed(client)
    wait_until(lambda: client.xlen(JOBS) == 1, "promoted")
    assert holders(client) == {}
    tell(client, "resume")
    assert result(client, job)["output"] == "p"


def test_all_daemons_pause_also_those_that_come_later(stintd, client):
    config = {"handlers": ECHO, "queues": ["default", "other"]}
    daemons = [stintd(config) for _ in range(2)]
    pause(client, *daemons)
    daemons.append(stintd(config))
    daemons[2].wait_log("queue is paused")
    daemons[0].stop()
    job = submit(client, "echo", "p")
    assert run(client, "echo", "q", queue="other")["output"] == "q"
    assert (client.xlen(JOBS), holders(client)) == (1, {})
    tell(client, "resume")
    assert result(client, job)["output"] == "p"
    stintd(config)
    assert run(client, "echo", "r")["output"] == "r"


def test_the_last_of_many_commands_counts(stintd, client):
    for n in range(1001):
        tell(client, "pause" if n % 2 else "resume")
    daemon = stintd({"handlers": ECHO})
    assert run(client, "echo", "p")["output"] == "p"
    assert "queue is paused" not in daemon.log()


def test_delayed_jobs_of_a_paused_queue_wait_behind_the_others(busy, client):
    pause(client, busy)
    first = submit(client, "echo", "first")
    client.xadd(CONTROL, {"command": "resume"})
    job = submit(client, "echo", "p", delay="300ms")
    assert result(client, first)["output"] == "first"
    wait_until(lambda: client.zcard(DELAYED) or client.exists(key(f"result:{job}")), "put off")
    pause(client)
    wait_until(lambda: busy.log().count("queue is paused") == 2, "paused again")
    wait_until(lambda: client.zcard(DELAYED) == 0, "promoted")
    tell(client, "resume")
    assert result(client, job)["output"] == "p"


def test_a_waiting_job_of_a_paused_queue_can_be_cancelled(busy, client):
    pause(client, busy)
    # a read that was on its way gives back what it gets, as another entry
    wait_until(lambda: not is_reading(client, busy), "the read has ended")
    job, kept = submit(client, "echo", "p"), submit(client, "echo", "kept")
    cancel(client, job)
    assert result(client, job)["status"] == "cancelled"
    assert list(client.xrange(JOBS))[0][0].decode() == kept
    tell(client, "resume")
    assert result(client, kept)["output"] == "kept"


def test_a_paused_daemon_stops_at_once(stintd, client):
    daemon = stintd({"handlers": ECHO})
    pause(client, daemon)
    # a read that was on its way may still bring jobs
    wait_until(lambda: not is_reading(client, daemon), "the read has ended")
    submit(client, "echo", "p")
    daemon.stop()
    assert client.xlen(JOBS) == 1


def test_a_pause_survives_what_redis_can_do_to_connections(busy, client):
    pause(client, busy)
    client.client_kill_filter(_type="normal", skipme=True)
    client.script_flush()
    busy.wait_log("redis is back")
    job, other = submit(client, "echo", "p"), submit(client, "echo", "q")
    cancel(client, other)
    assert result(client, other)["status"] == "cancelled"  # so it hears and writes again
    assert (client.xlen(JOBS), holders(client)) == (1, {})
    tell(client, "resume")
    assert result(client, job)["output"] == "p"


def test_an_empty_redis_is_not_paused(stintd, client):
    daemon = stintd({"lease": "1s", "handlers": ECHO})
    pause(client, daemon)
    client.flushall()
    daemon.wait_log("queue is resumed")
    assert run(client, "echo", "p")["output"] == "p"


# what makes no sense


@pytest.mark.parametrize("message", [
    {"command": "explode"}, {"comand": "pause"}, {"command": "cancel"}, {"command": ""},
    {"command": "cancel", "id": ""}, {"command": "cancel", "id": "a b"},
    {"command": "cancel", "id": "x" * 129}, {"command": b"\xff\x00"}, {"command": "pause\0"},
    {"": ""}], ids=lambda message: repr(message)[:30])
def test_messages_that_make_no_sense_are_told_and_ignored(busy, client, message):
    client.xadd(CONTROL, message)
    busy.wait_log(SENSELESS)
    assert run(client, "echo", "p")["output"] == "p"
    pause(client, busy)
    tell(client, "resume")
    assert run(client, "echo", "q")["output"] == "q"
    assert busy.log().count(SENSELESS) == 1


def test_many_senseless_messages_do_not_fill_the_log(stintd, client):
    pipe = client.pipeline(transaction=False)
    for n in range(3000):
        pipe.xadd(CONTROL, {"command": f"nonsense {n}"})
    pipe.execute()
    daemon = stintd({"handlers": ECHO})
    assert run(client, "echo", "p")["output"] == "p"
    assert daemon.log().count(SENSELESS) <= 3000 / 100 + 1


def test_a_key_of_another_type_is_told_and_the_queue_works(stintd, client):
    client.set(CONTROL, "x")
    daemon = stintd({"lease": "1s", "handlers": ECHO})
    assert run(client, "echo", "p")["output"] == "p"
    daemon.wait_log("control messages cannot be read")
    client.delete(CONTROL)
    daemon.wait_log("control messages can be read again")
    pause(client, daemon)
    assert daemon.log().count("control messages cannot be read") == 1


# many queues


def test_a_daemon_of_many_queues_is_ready_at_once(stintd, client):
    began = time.monotonic()
    stintd({"lease": "1h", "queues": [f"q{n}" for n in range(64)], "handlers": ECHO})
    assert time.monotonic() - began < 3
    assert run(client, "echo", "p", queue="q63")["output"] == "p"


def test_a_command_is_for_one_queue(stintd, client, gate):
    queues = [f"q{n}" for n in range(8)]
    daemon = stintd({"lease": "1h", "queues": queues, "handlers": {
        **ECHO, "hold": gate.handler()}})
    for queue in queues[:3]:
        submit(client, "hold", id="same", queue=queue)
    gate.wait_started(3)
    began = time.monotonic()
    cancel(client, "same", "q1")
    assert result(client, "same", "q1")["status"] == "cancelled"
    pause(client, daemon, queue="q7")
    assert time.monotonic() - began < 3, "without waiting for a read to end by itself"
    assert run(client, "echo", "p", queue="q6")["output"] == "p"
    gate.open()
    assert result(client, "same", "q0")["status"] == "ok"
    assert result(client, "same", "q2")["status"] == "ok"


def test_an_entry_in_other_hands_is_not_pulled(stintd, client, gate):
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    job = submit(client, "echo", "theirs")
    read_as(client, "elsewhere-1-2-3")
    daemon = stintd({"lease": "1h", "handlers": {**ECHO, "hold": gate.handler()}})
    cancel(client, job)
    pause(client, daemon)  # so that the cancel was heard
    tell(client, "resume")
    assert run(client, "echo", "p")["output"] == "p"
    assert holders(client)[job][0] == "elsewhere-1-2-3"

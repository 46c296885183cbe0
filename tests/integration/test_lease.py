"""Leases: renewed while a daemon lives, ended in time when it cannot, lost for good when late."""
import signal
import time

import pytest
from gates import Gate, is_alive, wait_dump
from look import (JOBS, appended, calls, consumer_of, entries, holders, leftovers,
                  wait_delayed, wait_empty, wait_held, wait_stopped)
from util import result, run, submit, wait_until

LOST, EXPIRING = "is not held by this daemon any more", "the lease could not be renewed in time"


def idle_ms(client, entry):
    return holders(client)[entry][1]


def wait_renewals(client, entry, count):
    """Until the lease of the entry has begun anew so often."""
    for _ in range(count):
        seen = [0]

        def renewed():
            before, seen[0] = seen[0], idle_ms(client, entry)
            return seen[0] < before
        wait_until(renewed, "renewed")


# renewed


def test_a_job_longer_than_its_lease_is_not_stolen(stintd, client, gate):
    config = {"lease": "2s", "handlers": {"hold": gate.handler()}}
    first = stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    others = [stintd(config), stintd(config)]
    wait_renewals(client, job, 4)
    assert holders(client)[job][0] == consumer_of(client, first)
    assert holders(client)[job][2] == 1, "renewals are no deliveries"
    gate.open()
    assert result(client, job)["daemon"].endswith(f"-{first.process.pid}")
    assert gate.started() == [(job, "1")]
    for daemon in others:
        wait_dump(daemon, "reclaimed=0 ")
    wait_empty(client)


def test_many_leases_are_renewed_by_one_call(stintd, client, gate):
    stintd({"lease": "3s", "concurrency": 24, "handlers": {"hold": gate.handler()}})
    jobs = [submit(client, "hold") for _ in range(24)]
    gate.wait_started(24)
    wait_renewals(client, jobs[0], 1)
    before = calls(client, "evalsha"), calls(client, "xclaim")
    wait_renewals(client, jobs[0], 2)
    assert calls(client, "evalsha") - before[0] <= 12
    assert calls(client, "xclaim") - before[1] <= 4
    wait_until(lambda: max(idle for _, idle, _ in holders(client).values()) < 2000, "all of them")
    gate.open()
    for job in jobs:
        assert result(client, job)["status"] == "ok"


def test_the_lease_of_a_result_that_cannot_be_stored_is_renewed(proxy, stintd, client, gate):
    """It is refused to be stored, but the daemon is there: nobody else may run the job."""
    config = {"lease": "1s", "handlers": {"hold": gate.handler()}}
    stintd(config, url=proxy.url)
    proxy.replacements[b"EXEC"] = [b"DISCARD"]
    job = submit(client, "hold")
    gate.wait_started(1)
    gate.open()
    wait_until(lambda: proxy.commands.count(b"EXEC") >= 2, "it was refused twice")
    stintd(config)
    wait_renewals(client, job, 3)
    assert holders(client)[job][2] == 1
    proxy.replacements.clear()
    assert result(client, job)["output"] == "done"
    assert gate.started() == [(job, "1")]


# not held any more


def test_a_job_that_was_taken_away_is_ended_and_its_outcome_dropped(stintd, client, gate):
    daemon = stintd({"lease": "1s", "handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    client.xclaim(JOBS, "stint", "somebody", 0, [job], justid=True)
    daemon.wait_log(LOST)
    daemon.wait_log("result dropped")
    assert holders(client)[job][0] == "somebody"
    assert client.keys("stint:{default}:result:*") == []
    # that one never renews: its lease ends, too
    gate.open()
    assert result(client, job)["status"] == "ok"
    assert len(gate.started()) == 2


def test_an_entry_that_was_deleted_is_let_go(stintd, client, gate):
    daemon = stintd({"lease": "1s", "handlers": {"hold": gate.handler(), "echo": {
        "command": ["cat"]}}})
    job = submit(client, "hold")
    gate.wait_started(1)
    client.xdel(JOBS, job)
    daemon.wait_log(LOST)
    wait_empty(client)
    assert run(client, "echo", "p")["output"] == "p"
    assert client.keys(f"stint:{{default}}:result:{job}") == []


# suspended


def noting_its_pid(handler):
    begin, script, folder = handler["command"][1:]
    return {**handler, "command": ["sh", begin, 'echo $$$$ > "$0/pid"; ' + script, folder]}


def end_unheard(gate):
    """Lets the job of a daemon that stands still end, until its process is gone. (Ended by
    the daemon, it would have an eighth of the lease to say ok: too short on some days.)"""
    gate.open()
    pid = int((gate.folder / "pid").read_text())
    wait_until(lambda: not is_alive(pid), "it has ended")


@pytest.fixture
def suspended(stintd, client, folder):
    """suspended(): a daemon that stands still, and another that has taken over its job; each
    has a gate. The scripts go behind their commands'. The lease is long enough for the second
    one to renew it on a busy machine."""
    def start(script="", second_script="", fields=None, **more):
        gates = Gate(folder, "first"), Gate(folder, "second")
        handlers = [noting_its_pid(gate.handler(**more)) for gate in gates]
        handlers[0]["command"][2] += script
        handlers[1]["command"][2] += second_script
        first = stintd({"lease": "3s", "handlers": {"hold": handlers[0]}})
        fields = {"reply_to": "me"} if fields is None else fields
        job = submit(client, "hold", **fields)
        gates[0].wait_started(1)
        wait_stopped(first)
        second = stintd({"lease": "3s", "handlers": {"hold": handlers[1]}})
        gates[1].wait_started(1)
        assert [deliveries for _, _, deliveries in holders(client).values()] == [2]
        return fields.get("id", job), (first, second), gates
    return start


def assert_one_result(client, job, daemon, output):
    told = result(client, job)
    wait_empty(client)
    assert (told["status"], told["output"], told["attempt"]) == ("ok", output, 1)
    assert told["daemon"].endswith(f"-{daemon.process.pid}")
    assert result(client, job) == told
    assert client.xlen("stint:{default}:reply:me") == 1
    assert client.xlen("stint:{default}:dead") == 0


def test_what_a_suspended_daemon_ran_is_run_by_another_one(suspended, client):
    job, (first, second), gates = suspended()
    gates[1].open()
    told = result(client, job)
    first.signal(signal.SIGCONT)
    first.wait_log(LOST)
    assert_one_result(client, job, second, "done")
    assert result(client, job) == told
    assert len(gates[0].started()) == len(gates[1].started()) == 1


def test_an_ok_that_comes_late_counts_if_it_is_the_first(suspended, client):
    job, (first, second), gates = suspended(script="; printf ' late'")
    end_unheard(gates[0])
    first.signal(signal.SIGCONT)
    told = result(client, job)
    assert (told["status"], told["output"]) == ("ok", "done late"), told
    second.wait_log(LOST)
    gates[1].open()
    assert_one_result(client, job, first, "done late")


def test_an_ok_that_comes_late_changes_no_result(suspended, client):
    job, (first, second), gates = suspended(script="; printf ' late'")
    gates[1].open()
    assert result(client, job)["output"] == "done"
    end_unheard(gates[0])
    first.signal(signal.SIGCONT)
    first.wait_log("there was one for this id, it stands")
    assert_one_result(client, job, second, "done")


def test_a_failure_that_comes_late_burns_no_attempt(suspended, client):
    job, (first, second), gates = suspended("; exit 3", retries=5, backoff="1ms")
    end_unheard(gates[0])
    first.signal(signal.SIGCONT)
    first.wait_log("result dropped: the job is not held")
    assert client.zcard("stint:{default}:delayed") == 0
    gates[1].open()
    assert_one_result(client, job, second, "done")


@pytest.mark.parametrize("fields", [{}, {"reply_to": "me"}, {"id": "mine"}], ids="-".join)
def test_an_ok_that_comes_late_takes_away_the_retry(suspended, client, fields):
    """Or the job would run again, should its result be gone by then."""
    job, (first, _), gates = suspended(
        script="; printf ' late'", second_script="; exit 3", fields=fields, retries=1,
        backoff="1h", backoff_max="1h")
    gates[1].open()
    wait_delayed(client)
    end_unheard(gates[0])
    first.signal(signal.SIGCONT)
    assert result(client, job)["output"] == "done late"
    assert leftovers(client) == []


# Redis is away


def test_jobs_are_ended_before_their_lease_is_over_and_handed_back(redis, stintd, client, folder):
    daemon = stintd({"lease": "4s", "handlers": {"hold": {"command": [
        "sh", "-c", 'echo $$$$ >> "$0/pid"; [ -e "$0/again" ] || { touch "$0/again"; '
        "trap '' TERM; while :; do sleep 0.02; done; }; printf done", folder]}}})
    job = submit(client, "hold")
    wait_until(lambda: appended(folder, "pid"), "it runs")
    [pid] = appended(folder, "pid")
    wait_held(client)
    began = time.monotonic()
    redis.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: not is_alive(int(pid)), "it was ended")
    # the last renewal was before the stop; it must be over when others may take it
    assert time.monotonic() - began < 4
    assert daemon.log().count(EXPIRING) == 1
    redis.process.send_signal(signal.SIGCONT)
    told = result(client, job)
    assert (told["status"], told["output"], told["attempt"]) == ("ok", "done", 1)
    assert len(appended(folder, "pid")) == 2
    wait_empty(client)


def test_a_job_that_was_handed_back_was_interrupted_and_had_no_death(
        redis, stintd, client, gate):
    daemon = stintd({"lease": "1s", "handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    redis.process.send_signal(signal.SIGSTOP)
    daemon.wait_log(EXPIRING)
    redis.process.send_signal(signal.SIGCONT)
    gate.wait_started(2)
    [fields] = entries(client).values()
    assert (fields["id"], fields["stint-attempt"]) == (job, "1")
    assert (fields["stint-interruptions"], fields["stint-deaths"]) == ("1", "0")
    gate.open()
    assert result(client, job)["status"] == "ok"


def test_an_outage_shorter_than_the_lease_interrupts_nothing(redis, stintd, client, gate):
    daemon = stintd({"lease": "30s", "handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    redis.process.send_signal(signal.SIGSTOP)
    daemon.wait_log("redis is away")
    redis.process.send_signal(signal.SIGCONT)
    daemon.wait_log("redis is back")
    gate.open()
    assert result(client, job)["output"] == "done"
    assert gate.started() == [(job, "1")]
    assert EXPIRING not in daemon.log()


def test_a_link_that_is_lost_again_and_again_keeps_its_leases(proxy, stintd, client, gate):
    """The wait for the next try grows with each loss, but must stay a part of the lease."""
    daemon = stintd({"lease": "3s", "handlers": {"hold": gate.handler()}}, url=proxy.url)
    job = submit(client, "hold")
    gate.wait_started(1)
    for _ in range(12):
        proxy.cut()
        wait_renewals(client, job, 1)
    gate.open()
    assert result(client, job)["output"] == "done"
    assert gate.started() == [(job, "1")]
    assert EXPIRING not in daemon.log()


@pytest.mark.parametrize("ways", [("up",), ("down",), ("up", "down")], ids="-".join)
def test_a_link_that_is_silent_is_noticed_within_half_a_lease(proxy, stintd, client, ways):
    daemon = stintd({"lease": "8s", "handlers": {"echo": {"command": ["cat"]}}}, url=proxy.url)
    assert run(client, "echo", "p")["output"] == "p"
    began = time.monotonic()
    proxy.stall(*ways)
    daemon.wait_log("redis is away")
    assert time.monotonic() - began < 4.5
    proxy.cut()
    proxy.go_on()
    assert run(client, "echo", "q")["output"] == "q"
    daemon.wait_log("redis is back")

"""Jobs of daemons that died: taken over, once their lease has ended or at once."""
import signal
import time

import pytest
from gates import Gate, is_reading, wait_dump
from look import (JOBS, appended, calls, consumer_of, consumers, entries, holders, kill, read_as,
                  wait_empty, wait_held, wait_stopped)
from util import result, run, submit, wait_until

ECHO = {"echo": {"command": ["cat"]}}
RECLAIMED, TAKEN_OVER = "reclaimed jobs", "took over the jobs"
ELSEWHERE = "elsewhere-4711-0a0b0c0d-5e6f"


def has_taken(daemon):
    return RECLAIMED in daemon.log() or TAKEN_OVER in daemon.log()


@pytest.fixture
def died(stintd, client, folder):
    """died(config): a job was started by a daemon that is dead now; its successors find the
    gate open."""
    def start(**config):
        gate = Gate(folder, "dead")
        config = {**config, "handlers": {**ECHO, "hold": gate.handler()}}
        daemon = stintd(config)
        job = submit(client, "hold", reply_to="me")
        gate.wait_started(1)
        name = consumer_of(client, daemon)
        return daemon, config, gate, job, name
    return start


def test_what_a_dead_daemon_ran_is_run_elsewhere_when_its_lease_has_ended(died, stintd, client):
    daemon, config, gate, job, _ = died(lease="3s")
    # Each looks who is gone when it starts, and not again within a minute: then nobody can
    # prove of this one that it is. (One call was the fixture's.)
    wait_until(lambda: calls(client, "xinfo|consumers") == 2, "the first one's look")
    other = stintd(config)
    wait_until(lambda: calls(client, "xinfo|consumers") == 3, "the other one's look")
    wait_dump(other, "workers=")  # it has seen the answer
    daemon.process.kill()
    gate.open()
    began = time.monotonic()
    told = result(client, job)
    assert time.monotonic() - began < 3 + 2 + 1
    assert (told["status"], told["output"], told["attempt"]) == ("ok", "done", 1)
    assert told["daemon"].endswith(f"-{other.process.pid}")
    other.wait_log(RECLAIMED)
    wait_empty(client)
    assert client.xlen("stint:{default}:reply:me") == 1


def test_a_successor_on_the_same_host_takes_over_at_once(died, stintd, client):
    daemon, config, gate, job, name = died(lease="1h")
    kill(daemon)
    assert holders(client)[job][0] == name
    gate.open()
    successor = stintd(config)
    assert result(client, job)["daemon"].endswith(f"-{successor.process.pid}")
    successor.wait_log(TAKEN_OVER)
    assert [attempt for _, attempt in gate.started()] == ["1", "1"]
    wait_empty(client)
    wait_until(lambda: list(consumers(client)) == [consumer_of(client, successor)],
               "only the living one is a consumer")


def test_taking_over_counts_as_one_delivery(died, stintd, client):
    daemon, config, gate, job, _ = died(lease="1h")
    for deliveries in (2, 3):
        kill(daemon)
        daemon = stintd(config)
        gate.wait_started(deliveries)
        assert holders(client)[job][2] == deliveries
    gate.open()
    assert result(client, job)["attempt"] == 1


def test_a_daemon_that_only_stands_still_is_not_gone(died, stintd, client):
    daemon, config, gate, job, name = died(lease="1h")
    wait_stopped(daemon)
    # Redis knows nothing of that: a read that blocks there would get the next job
    wait_until(lambda: not is_reading(client, daemon), "its read has ended")
    successor = stintd(config)
    assert run(client, "echo", "p")["daemon"].endswith(f"-{successor.process.pid}")
    assert holders(client)[job][0] == name
    daemon.signal(signal.SIGCONT)
    gate.open()
    assert result(client, job)["daemon"].endswith(f"-{daemon.process.pid}")
    assert gate.started() == [(job, "1")]


def test_a_consumer_of_another_host_keeps_its_jobs_for_a_lease(died, stintd, client):
    daemon, config, gate, ours, _ = died(lease="1h")
    kill(daemon)
    job = submit(client, "echo", "theirs")
    assert read_as(client, ELSEWHERE) == [job]
    gate.open()
    successor = stintd(config)
    assert result(client, ours)["output"] == "done"  # both were looked at
    assert run(client, "echo", "p")["output"] == "p"
    assert holders(client)[job][0] == ELSEWHERE
    assert consumers(client)[ELSEWHERE] == 1
    assert successor.log().count(TAKEN_OVER) == 1
    assert RECLAIMED not in successor.log()


@pytest.mark.parametrize("daemons", [1, 3])
def test_many_jobs_of_a_dead_daemon_run_once_each(stintd, client, folder, daemons):
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    jobs = [submit(client, "note", reply_to="all") for _ in range(300)]
    read_as(client, ELSEWHERE)
    for _ in range(daemons):
        stintd({"lease": "2s", "concurrency": 4, "handlers": {"note": {
            "command": ["sh", "-c", 'echo "$STINT_JOB_ID" >> "$0/ran"', folder]}}})
    for job in jobs:
        assert result(client, job)["status"] == "ok"
    wait_empty(client)
    assert sorted(appended(folder, "ran")) == sorted(jobs)
    assert client.xlen("stint:{default}:reply:all") == 300


def test_deleted_entries_of_a_dead_daemon_are_let_go(stintd, client):
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    jobs = [submit(client, "echo", str(i)) for i in range(5)]
    read_as(client, ELSEWHERE)
    client.xdel(JOBS, *jobs[:3])
    stintd({"lease": "1s", "handlers": ECHO})
    assert [result(client, job)["output"] for job in jobs[3:]] == ["3", "4"]
    wait_empty(client)


def test_a_clean_stop_leaves_nothing_to_take_over(stintd, client, gate):
    config = {"lease": "1h", "shutdown_timeout": "0s", "handlers": {"hold": gate.handler()}}
    daemon = stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    daemon.stop()
    assert (holders(client), consumers(client)) == ({}, {})
    [fields] = entries(client).values()
    assert (fields["id"], fields["stint-attempt"], fields["stint-deaths"],
            fields["stint-interruptions"]) == (job, "1", "0", "1")
    gate.open()
    successor = stintd(config)
    assert result(client, job)["output"] == "done"
    assert not has_taken(successor)
    wait_empty(client)


def test_dead_consumers_that_hold_nothing_are_removed(stintd, client):
    names = []
    for _ in range(3):
        daemon = stintd({"handlers": ECHO})
        assert run(client, "echo", "p")["output"] == "p"
        names.append(consumer_of(client, daemon))
        kill(daemon)
    assert names[-1] in consumers(client)
    last = stintd({"handlers": ECHO})
    wait_until(lambda: not set(names) & set(consumers(client)), "the dead ones are gone")
    assert run(client, "echo", "p")["output"] == "p"
    assert list(consumers(client)) == [consumer_of(client, last)]


def test_while_a_queue_is_paused_nothing_is_taken_over(died, stintd, client):
    daemon, config, gate, job, name = died(lease="1s", queues=["default", "other"])
    kill(daemon)
    client.xadd("stint:{default}:control", {"command": "pause"})
    stintd(config)
    assert run(client, "echo", "p", queue="other")["output"] == "p"
    wait_until(lambda: holders(client)[job][1] > 2000, "its lease has ended")
    assert holders(client)[job][0] == name
    client.xadd("stint:{default}:control", {"command": "resume"})
    gate.open()
    assert result(client, job)["status"] == "ok"


def test_daemons_that_are_killed_under_load_lose_no_job(stintd, client, folder):
    config = {"lease": "1h", "concurrency": 4, "max_deliveries": 100, "handlers": {"note": {
        "command": ["sh", "-c", 'echo "$STINT_JOB_ID" >> "$0/ran"', folder]}}}
    jobs = []
    for _ in range(4):
        daemon = stintd(config)
        jobs += [submit(client, "note", reply_to="all") for _ in range(50)]
        wait_until(lambda: len(set(appended(folder, "ran"))) > len(jobs) - 40, "it is at work")
        kill(daemon)
    stintd(config)
    for job in jobs:
        assert result(client, job)["status"] == "ok"
    wait_empty(client)
    replies = [fields[b"id"].decode() for _, fields in client.xrange("stint:{default}:reply:all")]
    assert sorted(replies) == sorted(jobs)


def test_a_job_that_waits_for_admission_is_taken_over_and_admitted(stintd, client):
    """Its daemon died between reading and admitting it."""
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    submit(client, "echo", "one", id="mine")
    submit(client, "echo", "two", id="mine")
    submit(client, "echo", "later", id="late", delay="300ms")
    read_as(client, ELSEWHERE)
    stintd({"lease": "1s", "handlers": ECHO})
    assert result(client, "mine")["output"] in ("one", "two")
    told = result(client, "late")
    assert told["started_ms"] - told["submitted_ms"] >= 300
    wait_empty(client)
    assert client.hget("stint:{default}:stats", "duplicates") == b"1"
    wait_held(client, 0)

"""What Redis says that a daemon holds, compared with what it knows: nothing is forgotten.

A lost read makes the daemon compare at once; it does so each minute besides.
"""
import signal

import pytest
from gates import quiet
from look import (JOBS, appended, consumer_of, entries, holders, read_as, wait_empty,
                  wait_held)
from util import result, run, submit, wait_until

READER, ALL = "reader", "all"


@pytest.fixture
def config(folder, gate):
    return {"lease": "1h", "handlers": {
        "hold": gate.handler(),
        "note": {"command": ["sh", "-c", f'echo "$STINT_JOB_ID" >> {folder}/ran; cat']}}}


def waiting_readers(clients):
    return [one["id"] for one in clients if one["name"].endswith(":reader") and "b" in one["flags"]]


def has_lost_read(client):
    """Cuts the connection of a read that waits, and was still waiting then: it may have ended."""
    readers = waiting_readers(client.client_list())
    if not readers:
        return False
    with client.pipeline() as at_once:
        before, _ = at_once.client_list().client_kill_filter(_id=readers[0]).execute()
    return readers == waiting_readers(before)


def compare(client, daemon, which=READER):
    """Takes the connection from a read: the daemon has to look at what it was given."""
    daemon.signal(signal.SIGCONT)
    wait_until(lambda: has_lost_read(client), "it reads again")
    for one in client.client_list() if which == ALL else []:
        if one["name"].startswith("stint:"):
            client.client_kill_filter(_id=one["id"])
    daemon.wait_log("redis is back")


def plant(client, daemon, count, **fields):
    """Jobs that the daemon holds and does not know of."""
    name = consumer_of(client, daemon)
    quiet(client, daemon)
    jobs = [submit(client, "note", str(n), **fields) for n in range(count)]
    assert read_as(client, name, count) == jobs
    return jobs


@pytest.mark.parametrize("which", [READER, ALL])
@pytest.mark.parametrize("count", [1, 700])
def test_what_it_holds_and_does_not_know_is_run(stintd, client, config, folder, which, count):
    daemon = stintd({"concurrency": 8, **config})
    run(client, "note", "first")
    jobs = plant(client, daemon, count)
    compare(client, daemon, which)
    wait_until(lambda: len(appended(folder, "ran")) >= 1 + count, "all have run")
    wait_empty(client)
    assert sorted(appended(folder, "ran")[1:]) == sorted(jobs)
    assert result(client, jobs[0])["output"] == "0"


def test_what_was_planted_is_admitted_like_any_other(stintd, client, config, folder):
    daemon = stintd(config)
    run(client, "note", "first", id="mine")
    plant(client, daemon, 3, id="mine")
    compare(client, daemon)
    wait_empty(client)
    assert appended(folder, "ran") == ["mine"]
    assert client.hget("stint:{default}:stats", "duplicates") == b"3"


def test_what_it_knows_and_holds_is_left_alone(stintd, client, config, gate, folder):
    daemon = stintd({"concurrency": 4, **config})
    known = [submit(client, "hold") for _ in range(3)]
    gate.wait_started(3)
    [planted] = plant(client, daemon, 1)
    compare(client, daemon)
    assert result(client, planted)["output"] == "0"
    assert set(holders(client)) == set(known)
    gate.open()
    for job in known:
        assert result(client, job)["output"] == "done"
    assert len(gate.started()) == 3 and appended(folder, "ran") == [planted]


def test_what_others_hold_is_left_alone(stintd, client, config):
    daemon = stintd(config)
    run(client, "note", "first")
    quiet(client, daemon)
    job = submit(client, "note", "theirs")
    assert read_as(client, "elsewhere-1-2-3") == [job]
    [mine] = plant(client, daemon, 1)
    compare(client, daemon)
    assert result(client, mine)["output"] == "0"
    assert holders(client)[job][0] == "elsewhere-1-2-3"


def test_an_entry_that_was_deleted_is_held_by_nobody(stintd, client, config):
    daemon = stintd(config)
    run(client, "note", "first")
    deleted, kept = plant(client, daemon, 2)
    client.xdel(JOBS, deleted)
    compare(client, daemon)
    assert result(client, kept)["output"] == "1"
    wait_held(client, 1)
    assert entries(client) == {} and list(holders(client)) == [deleted]

"""Connections that are cut, frozen or half open: no job is lost, none runs twice."""
import json
import os
import signal

import pytest
from util import is_drained, result, submit, wait_until

JOBS = "stint:{default}:jobs"
REPLIES = "stint:{default}:reply:all"
AWAY, BACK = "redis is away", "redis is back"


def noting(folder):
    """A handler that writes down that it ran."""
    return {"command": ["sh", "-c", 'echo "$STINT_JOB_ID" >> "$0"; exit $(cat)',
                        f"{folder}/ran"]}


def ran(folder):
    if not os.path.exists(f"{folder}/ran"):
        return []
    with open(f"{folder}/ran") as file:
        return file.read().split()


def replied(client):
    return [fields[b"id"].decode() for _, fields in client.xrange(REPLIES)]


def assert_once_each(client, folder, jobs):
    """Every job has one result and one reply, and has run once; nothing is left."""
    for job in jobs:
        assert result(client, job)["status"] in ("ok", "error")
    wait_until(lambda: is_drained(client), "drained")
    assert sorted(ran(folder)) == sorted(jobs)
    assert len(client.keys("stint:{default}:result:*")) == len(jobs)


# 4 jobs that are ok and 4 that fail; every second one wants a reply
def add_some(client):
    return [submit(client, "note", str(i % 2), **({"reply_to": "all"} if i % 4 < 2 else {}))
            for i in range(8)]


OFFSETS = {
    ("XREADGROUP", "up"): (0, 1, 60),
    ("XREADGROUP", "down"): (0, 1, 5, 40, 100, 333, 700),
    ("MULTI", "up"): (0, 7, 14, 15, 40, 300, 500, 800),
    ("MULTI", "down"): (0, 1, 5, 14, 24, 40, 60, 75),
    ("EVALSHA", "up"): (0, 5, 90, 400),
    ("EVALSHA", "down"): (0, 1, 4, 8),
}


@pytest.mark.parametrize("name, way, offset", [
    (name, way, offset) for (name, way), offsets in OFFSETS.items() for offset in offsets])
def test_a_connection_that_is_cut_in_the_middle_of_a_batch(
        proxy, stintd, client, folder, name, way, offset):
    proxy.cut_at = (name.encode(), way, offset)
    jobs = add_some(client)
    daemon = stintd({"concurrency": 4, "handlers": {"note": noting(folder)}}, url=proxy.url)
    assert_once_each(client, folder, jobs)
    daemon.stop()
    assert proxy.cuts == 1
    # the plain half, and the failures that want none, are not replied to
    assert sorted(replied(client)) == sorted(j for i, j in enumerate(jobs) if i % 4 < 2)
    assert client.xlen("stint:{default}:dead") == len(jobs) // 2


def test_jobs_of_a_reply_that_was_lost_are_found_in_the_pending_list(
        proxy, stintd, client, folder):
    jobs = add_some(client)
    proxy.cut_at = (b"XREADGROUP", "down", 3)
    daemon = stintd({"handlers": {"note": noting(folder)}}, url=proxy.url)
    daemon.wait_log("read jobs again whose delivery was lost")
    assert_once_each(client, folder, jobs)


def test_jobs_given_to_a_connection_that_only_redis_believes_in(proxy, stintd, client, folder):
    daemon = stintd({"handlers": {"note": noting(folder)}}, url=proxy.url)
    wait_until(lambda: is_blocked(client), "a read that blocks")
    proxy.lose_clients()
    # The old read is the first in the line: it gets the job, the new one gets none.
    wait_until(lambda: daemon.log().count(BACK) == 1, "back")
    jobs = [submit(client, "note", "0")]
    wait_until(lambda: client.xpending(JOBS, "stint")["pending"] == 1, "given to the lost read")
    assert_once_each(client, folder, jobs)


def is_blocked(client):
    return any("b" in one["flags"] for one in client.client_list())


def test_a_network_that_is_cut_again_and_again_under_load(proxy, stintd, client, folder):
    daemon = stintd({"concurrency": 4, "handlers": {"note": noting(folder)}}, url=proxy.url)
    jobs = []
    for i in range(200):
        jobs.append(submit(client, "note", "0", reply_to="all"))
        if i % 50 == 25:
            proxy.cut()
            wait_until(lambda: len(ran(folder)) >= len(jobs) - 20, "it goes on")
    assert_once_each(client, folder, jobs)
    assert sorted(replied(client)) == sorted(jobs)
    wait_until(lambda: daemon.log().count(BACK) == daemon.log().count(AWAY) >= 1, "back")


def test_results_wait_while_redis_is_away_and_are_stored_later(proxy, stintd, client, gate):
    daemon = stintd({"concurrency": 2, "handlers": {"hold": gate.handler()}}, url=proxy.url)
    jobs = [submit(client, "hold", reply_to="all") for _ in range(5)]
    gate.wait_started(2)
    proxy.is_refusing = True
    proxy.cut()
    daemon.wait_log(AWAY)
    gate.open()
    wait_until(lambda: daemon.signal(signal.SIGUSR1) or "unstored=2" in daemon.log(), "they wait")
    tries = proxy.tries
    wait_until(lambda: proxy.tries > tries + 3, "it tries to connect")
    assert len(gate.started()) == 2
    assert not client.keys("stint:{default}:result:*")
    assert (daemon.log().count(AWAY), daemon.log().count(BACK)) == (1, 0)
    proxy.is_refusing = False
    assert [result(client, job)["output"] for job in jobs] == ["done"] * 5
    assert sorted(replied(client)) == sorted(jobs)
    assert len(gate.started()) == 5
    wait_until(lambda: daemon.log().count(BACK) == 1, "back")
    assert daemon.log().count(AWAY) == 1


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_silent_network_is_given_up_and_nothing_is_lost(proxy, stintd, client, folder, way):
    daemon = stintd({"handlers": {"note": noting(folder)}}, url=proxy.url)
    proxy.stall(way)
    jobs = add_some(client)
    daemon.wait_log(AWAY)
    proxy.cut()
    proxy.go_on()
    assert_once_each(client, folder, jobs)
    wait_until(lambda: daemon.log().count(BACK) == 1, "back")
    assert daemon.log().count(AWAY) == 1


def test_a_redis_that_is_stopped_for_longer_than_it_is_waited_for(
        redis, stintd, client, folder, gate):
    daemon = stintd({"handlers": {"note": noting(folder), "hold": gate.handler()}})
    held = submit(client, "hold")
    gate.wait_started(1)
    redis.process.send_signal(signal.SIGSTOP)
    gate.open()
    daemon.wait_log(AWAY)
    redis.process.send_signal(signal.SIGCONT)
    assert result(client, held)["output"] == "done"
    jobs = add_some(client)
    for job in jobs:
        result(client, job)
    assert sorted(ran(folder)) == sorted(jobs) and len(gate.started()) == 1
    daemon.wait_log(BACK)
    wait_until(lambda: daemon.log().count(BACK) == 1, "back")
    assert daemon.log().count(AWAY) == 1


# without the second a slow disk lets it answer before anything is written
FILE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def kept(redis):
    """The Redis of the test, with a file: what it has been told survives its end."""
    redis.stop()
    return redis.start(*FILE)


def test_a_redis_that_is_killed_under_load_and_comes_back(kept, stintd, client, folder):
    daemon = stintd({"concurrency": 4, "handlers": {"note": noting(folder)}})
    jobs = []
    for kills in range(3):
        wait_until(lambda: daemon.log().count(BACK) == kills, "back")
        pipe = client.pipeline()
        for i in range(60):
            pipe.xadd(JOBS, {"handler": "note", "payload": i % 2, "reply_to": "all"})
        jobs += [job.decode() for job in pipe.execute()]
        wait_until(lambda: len(ran(folder)) > len(jobs) - 50, "it is at work")
        kept.stop(signal.SIGKILL)
        kept.start(*FILE)
    assert_once_each(client, folder, jobs)
    assert sorted(replied(client)) == sorted(jobs)
    letters = [json.loads(one[b"stint-result"])["id"]
               for _, one in client.xrange("stint:{default}:dead")]
    assert sorted(letters) == sorted(jobs[1::2])
    wait_until(lambda: daemon.log().count(BACK) == 3, "back")
    assert daemon.log().count(AWAY) == 3

"""Stopping while Redis is away: results wait for it, but not for ever."""
import signal
import time

import pytest
from gates import end_unstored, group, wait_dump
from util import result, submit


@pytest.fixture
def kept(redis):
    """The Redis of the test, with a file: what it has been told survives its end."""
    redis.stop()
    return redis.start("--appendonly", "yes", "--appendfsync", "always")


def test_results_wait_until_redis_is_back(stintd, kept, client, gate):
    daemon = stintd({"handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    kept.stop(signal.SIGKILL)
    daemon.wait_log("redis is away")
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    gate.open()
    wait_dump(daemon, "unstored=1")
    assert daemon.process.poll() is None
    kept.start("--appendonly", "yes")
    assert daemon.wait_end() == 0
    told = result(client, job)
    assert (told["status"], told["output"], told["attempt"]) == ("ok", "done", 1)
    assert group(client) == (0, 0)
    assert client.xlen("stint:{default}:jobs") == 0


def test_jobs_cut_short_while_redis_is_away_go_back_when_it_returns(stintd, kept, client, gate):
    config = {"handlers": {"hold": gate.handler()}}
    daemon = stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    kept.stop(signal.SIGKILL)
    daemon.wait_log("redis is away")
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    daemon.signal(signal.SIGTERM)
    wait_dump(daemon, "unstored=1")
    kept.start("--appendonly", "yes")
    assert daemon.wait_end() == 0
    stintd(config)
    assert gate.wait_started(2) == [job, job]
    gate.open()
    assert result(client, job)["attempt"] == 1


def test_a_redis_that_is_away_for_good_bounds_the_stop(stintd, redis, client, gate):
    daemon = stintd({"shutdown_timeout": "100ms", "handlers": {"hold": gate.handler("tidy")}})
    submit(client, "hold")
    gate.wait_started(1)
    redis.stop(signal.SIGKILL)
    daemon.stop(code=69)
    assert "gave up waiting for redis" in daemon.log()


def test_a_third_signal_ends_the_waiting_for_redis(stintd, redis, client, gate):
    daemon = stintd({"shutdown_timeout": "1h", "handlers": {"hold": gate.handler("tidy")}})
    submit(client, "hold")
    gate.wait_started(1)
    redis.stop(signal.SIGKILL)
    daemon.wait_log("redis is away")
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    daemon.signal(signal.SIGTERM)
    wait_dump(daemon, "unstored=1")
    assert daemon.process.poll() is None
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_end() == 69
    assert "gave up waiting for redis" in daemon.log()


def test_with_nothing_to_store_a_redis_that_is_away_is_not_waited_for(stintd, redis):
    daemon = stintd({"shutdown_timeout": "1h", "handlers": {"echo": {"command": ["cat"]}}})
    redis.stop(signal.SIGKILL)
    daemon.wait_log("redis is away")
    daemon.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_redis_was_ever_there(stintd, folder, number):
    daemon = stintd({"handlers": {"echo": {"command": ["cat"]}}}, wait=False,
                    url=f"unix://{folder}/nothing.sock")
    daemon.wait_log("redis is away")
    daemon.signal(number)
    assert daemon.wait_end() == 0
    assert daemon.has_state("STOPPING=1")
    assert not daemon.has_state("READY=1")


def test_without_time_to_stop_a_slow_redis_still_gets_the_results(stintd, redis, client, gate):
    """shutdown_timeout is for jobs: 0 must not mean that results are thrown away."""
    daemon = stintd({"shutdown_timeout": 0, "handlers": {"hold": gate.handler()}})
    job = end_unstored(client, redis, daemon, gate)
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping")
    daemon.wait_state("STOPPING=1")
    redis.process.send_signal(signal.SIGCONT)
    assert daemon.wait_end() == 0
    assert result(client, job)["status"] == "ok"


def test_hurrying_a_stop_leaves_a_redis_that_is_there_time_to_answer(stintd, redis, client, gate):
    daemon = stintd({"handlers": {"hold": gate.handler()}})
    job = end_unstored(client, redis, daemon, gate)
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping faster")
    daemon.states.clear()
    daemon.wait_state("EXTEND_TIMEOUT_USEC=")  # it goes on waiting
    redis.process.send_signal(signal.SIGCONT)
    assert daemon.wait_end() == 0
    assert result(client, job)["status"] == "ok"


def test_a_frozen_redis_bounds_the_stop(stintd, redis, client, gate):
    daemon = stintd({"shutdown_timeout": "100ms", "handlers": {"hold": gate.handler("tidy")}})
    submit(client, "hold")
    gate.wait_started(1)
    redis.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait_end() == 69
    assert time.monotonic() - started < 15  # the read that is on its way has its own limit

"""SIGTERM and SIGINT: what runs may end, what waits goes back, every result is stored."""
import json
import signal
import time

import pytest
from gates import group, quiet, reload
from util import BUILD, result, run, submit, wait_until

# The contract says a second; sanitizers make everything several times as slow.
SOON_S = 5 if "san-" in str(BUILD) else 1


def result_now(client, job):
    told = client.get(f"stint:{{default}}:result:{job}")
    return told and json.loads(told)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_jobs_finish_and_nothing_is_left(stintd, client, gate, number):
    daemon = stintd({"concurrency": 2, "handlers": {"hold": gate.handler()}})
    jobs = [submit(client, "hold") for _ in range(2)]
    gate.wait_started(2)
    wait_until(lambda: daemon.has_state("STATUS=2/2 busy"), "status")
    daemon.states.clear()  # at its start, too, it has asked for time
    daemon.signal(number)
    daemon.wait_state("STOPPING=1")
    assert daemon.has_state("STATUS=2/2 busy")
    daemon.wait_state("EXTEND_TIMEOUT_USEC=")
    assert daemon.process.poll() is None
    gate.open()
    assert daemon.wait_end() == 0
    for job in jobs:
        told = result_now(client, job)
        assert (told["status"], told["output"], told["attempt"]) == ("ok", "done", 1)
    assert group(client) == (0, 0)
    assert client.xlen("stint:{default}:jobs") == 0


def test_idle_it_ends_at_once(stintd, client):
    daemon = stintd({"handlers": {"echo": {"command": ["cat"]}}})
    run(client, "echo", "warm")
    started = time.monotonic()
    daemon.stop()
    took = time.monotonic() - started
    assert took < 2
    assert group(client) == (0, 0)


def test_waiting_jobs_go_back_and_another_daemon_runs_them_at_once(stintd, client, gate):
    handlers = {"hold": gate.handler(), "quick": {"command": ["true"]}}
    first = stintd({"concurrency": 1, "handlers": handlers})
    second = stintd({"concurrency": 1, "handlers": handlers})
    quiet(client, second)
    for job in [submit(client, "quick") for _ in range(50)]:
        result(client, job)  # now it reads ahead
    pipe = client.pipeline()
    for handler in ["hold"] + ["quick"] * 5:
        pipe.xadd("stint:{default}:jobs", {"handler": handler})
    held, *waiting = [entry.decode() for entry in pipe.execute()]
    gate.wait_started(1)
    first.signal(signal.SIGTERM)
    stopped_ms = time.time() * 1000
    second.signal(signal.SIGCONT)
    for job in waiting:
        told = result(client, job)
        assert told["daemon"].endswith(f"-{second.process.pid}")
        assert (told["id"], told["status"], told["attempt"]) == (job, "ok", 1)
        assert told["submitted_ms"] == int(job.split("-")[0])
        assert told["started_ms"] - stopped_ms < SOON_S * 1000
    assert first.process.poll() is None
    gate.open()
    assert first.wait_end() == 0
    assert result(client, held)["daemon"].endswith(f"-{first.process.pid}")


@pytest.mark.parametrize("kind", ["plain", "deaf"])
def test_jobs_cut_short_go_back_and_run_elsewhere(stintd, client, gate, kind):
    config = {"shutdown_timeout": "50ms", "defaults": {"kill_grace": "100ms"},
              "handlers": {"hold": gate.handler(kind)}}
    first = stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    first.stop()
    assert "cancelling the jobs that still run" in first.log()
    assert result_now(client, job) is None
    assert group(client) == (0, 0)
    second = stintd(config)
    assert gate.wait_started(2) == [job, job]
    gate.open()
    told = result(client, job)
    assert (told["id"], told["status"], told["attempt"]) == (job, "ok", 1)
    assert told["submitted_ms"] == int(job.split("-")[0])
    assert told["daemon"].endswith(f"-{second.process.pid}")
    assert gate.started() == [(job, "1"), (job, "1")]


def test_a_job_that_ends_well_when_cancelled_has_its_result(stintd, client, gate):
    daemon = stintd({"shutdown_timeout": 0, "handlers": {"hold": gate.handler("tidy")}})
    job = submit(client, "hold")
    gate.wait_started(1)
    daemon.stop()
    told = result_now(client, job)
    assert (told["status"], told["output"]) == ("ok", "saved")
    assert client.xlen("stint:{default}:jobs") == 0


def test_a_second_signal_cancels_at_once(stintd, client, gate):
    daemon = stintd({"shutdown_timeout": "1h", "handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    daemon.signal(signal.SIGINT)
    assert daemon.wait_end() == 0
    assert result_now(client, job) is None
    assert client.xlen("stint:{default}:jobs") == 1
    assert group(client) == (0, 0)


def test_hup_tstp_and_cont_change_nothing_while_it_stops(stintd, client, gate):
    config = {"handlers": {"hold": gate.handler()}}
    daemon = stintd(config)
    job = submit(client, "hold")
    gate.wait_started(1)
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    for number in (signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT):
        daemon.signal(number)
    daemon.signal(signal.SIGUSR1)
    daemon.wait_log("job runs")
    gate.open()
    assert daemon.wait_end() == 0
    assert result_now(client, job)["status"] == "ok"
    assert "configuration reloaded" not in daemon.log()
    assert not daemon.has_state("RELOADING=1")


def test_every_job_has_one_result_when_one_of_two_daemons_stops(stintd, client, folder):
    note = ["sh", "-c", 'echo "$STINT_JOB_ID" >> "$0"', f"{folder}/runs"]
    config = {"concurrency": 4, "handlers": {"note": {"command": note}}}
    first, second = stintd(config), stintd(config)
    pipe = client.pipeline()
    for i in range(2000):  # a reply stream is capped, so there are several
        pipe.xadd("stint:{default}:jobs", {"handler": "note", "reply_to": f"r{i % 4}"})
    jobs = sorted(entry.decode() for entry in pipe.execute())
    replies = [f"stint:{{default}}:reply:r{i}" for i in range(4)]

    def count():
        return sum(client.xlen(key) for key in replies)

    wait_until(lambda: count() > 300, "some results")
    first.stop()
    assert count() < 2000  # it was stopped while there was work
    wait_until(lambda: count() >= 2000, "all results")
    second.stop()
    told = [json.loads(fields[b"result"]) for key in replies for _, fields in client.xrange(key)]
    assert sorted(t["id"] for t in told) == jobs
    assert all((t["status"], t["attempt"]) == ("ok", 1) for t in told)
    assert {t["daemon"].rsplit("-")[-1] for t in told} == {
        str(first.process.pid), str(second.process.pid)}
    with open(f"{folder}/runs", encoding="ascii") as runs:
        assert sorted(runs.read().split()) == jobs
    assert group(client) == (0, 0)
    assert client.xlen("stint:{default}:jobs") == 0


def test_consumers_of_queues_that_a_reload_removed_are_gone_too(stintd, client):
    handlers = {"echo": {"command": ["cat"]}}
    daemon = stintd({"queues": ["old"], "handlers": handlers})
    run(client, "echo", "x", queue="old")
    reload(daemon, {"queues": ["new"], "handlers": handlers})
    run(client, "echo", "x", queue="new")
    daemon.stop()
    assert group(client, "old") == (0, 0)
    assert group(client, "new") == (0, 0)

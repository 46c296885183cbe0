"""Queues: priority, weights, names, and several daemons that share them."""
import signal
import time

import pytest
from util import is_drained, result, run, submit, wait_until

HANDLERS = {
    "echo": {"command": ["cat"]},
    # longer than what is fetched ahead may take all together: nothing is, so there is nothing
    # that could go back, behind the others, should the machine stand still for 100 ms
    "steady": {"command": ["sh", "-c", "sleep 0.02; cat"]},
    "slow": {"command": ["sleep", "60"]},
    "gate": {"command": ["sh", "-c", "until test -e $STINT_X_GATE; do sleep 0.01; done"]},
}


def preload(client, handler="echo", **counts):
    """Submits so many jobs to each queue; returns the jobs by queue."""
    return {queue: [submit(client, handler, str(i), queue=queue) for i in range(count)]
            for queue, count in counts.items()}


def is_idle(client, *queues):
    return all(is_drained(client, queue) for queue in queues)


def served_order(client, jobs):
    """The queues in the order in which their jobs were started, and the jobs likewise."""
    told = [result(client, job, queue) for queue, ids in jobs.items() for job in ids]
    told.sort(key=lambda r: (r["started_ms"], r["finished_ms"]))
    return [r["queue"] for r in told], [r["id"] for r in told]


# order


def test_a_queue_is_served_only_while_those_before_it_are_empty(stintd, client):
    jobs = preload(client, "steady", low=12, middle=12, high=12)
    stintd({"handlers": HANDLERS, "concurrency": 1, "queues": ["high", "middle", "low"]})
    queues, ids = served_order(client, jobs)
    assert queues == ["high"] * 12 + ["middle"] * 12 + ["low"] * 12
    assert ids == jobs["high"] + jobs["middle"] + jobs["low"]


def test_what_comes_to_a_higher_queue_goes_before_what_waits_in_a_lower(stintd, client, folder):
    stintd({"handlers": HANDLERS, "concurrency": 1, "queues": ["high", "low"]})
    gate = submit(client, "gate", queue="low", x_gate=f"{folder}/gate")
    wait_until(lambda: client.xpending("stint:{low}:jobs", "stint")["pending"] == 1, "held")
    jobs = preload(client, "steady", low=5, high=5)
    open(f"{folder}/gate", "w").close()
    assert result(client, gate, "low")["status"] == "ok"
    assert served_order(client, jobs)[0] == ["high"] * 5 + ["low"] * 5


def test_order_holds_also_for_what_came_while_nothing_was_fetched(stintd, client):
    daemon = stintd({"handlers": HANDLERS, "concurrency": 1, "queues": ["high", "low"]})
    daemon.signal(signal.SIGTSTP)
    daemon.wait_state("quiet")
    jobs = preload(client, "steady", low=5, high=5)
    daemon.signal(signal.SIGCONT)
    assert served_order(client, jobs)[0] == ["high"] * 5 + ["low"] * 5


def test_weighted_queues_are_served_in_proportion(stintd, client, folder):
    names = ("heavy", "middle", "light")
    stintd({"handlers": HANDLERS, "concurrency": 1,
            "queues": {"heavy": 12, "middle": 6, "light": 2, "first": 1}})
    submit(client, "gate", queue="first", x_gate=f"{folder}/gate")
    wait_until(lambda: client.xpending("stint:{first}:jobs", "stint")["pending"] == 1, "held")
    jobs = preload(client, **{name: 200 for name in names})
    open(f"{folder}/gate", "w").close()
    wait_until(lambda: client.xlen("stint:{heavy}:jobs") < 80, "most of the heavy queue served")
    served = {name: 200 - client.xlen(f"stint:{{{name}}}:jobs") for name in names}
    # 12 : 6 : 2, give or take a read, which may bring a few dozen
    assert served["heavy"] > served["middle"] > served["light"] > 0, served
    assert 0.25 < served["middle"] / served["heavy"] < 0.85, served
    assert served["light"] / served["heavy"] < 0.45, served
    wait_until(lambda: is_idle(client, *names), "all are served")
    assert len(jobs) == 3


def test_of_weighted_queues_a_lonely_one_gets_everything(stintd, client):
    jobs = preload(client, light=50)
    stintd({"handlers": HANDLERS, "queues": {"heavy": 1000, "light": 1}})
    assert served_order(client, jobs)[0] == ["light"] * 50


# names


def test_all_keys_begin_with_the_prefix(stintd, client):
    stintd({"handlers": HANDLERS, "prefix": "app-1.x", "queues": ["a"]})
    other = submit(client, "echo", "other", queue="a")
    job = submit(client, "echo", "p", queue="a", prefix="app-1.x", reply_to="me")
    bad = submit(client, "nobody", "p", queue="a", prefix="app-1.x")
    assert result(client, job, "a", "app-1.x")["output"] == "p"
    assert result(client, bad, "a", "app-1.x")["status"] == "rejected"
    assert {key.decode() for key in client.keys()} == {
        "stint:{a}:jobs", "app-1.x:{a}:jobs", "app-1.x:{a}:dead", "app-1.x:{a}:reply:me",
        "app-1.x:{a}:stats", f"app-1.x:{{a}}:result:{job}", f"app-1.x:{{a}}:result:{bad}"}
    assert client.xinfo_groups("stint:{a}:jobs") == []
    assert client.xrange("stint:{a}:jobs")[0][0].decode() == other


@pytest.mark.parametrize("queues", [["a", "b-2", "C_3.x"], {"a": 3, "b-2": 2, "C_3.x": 1}])
def test_a_daemon_serves_all_of_its_queues_and_no_other(stintd, client, queues):
    stintd({"handlers": HANDLERS, "queues": queues})
    waiting = submit(client, "echo", queue="elsewhere")
    for queue in queues:
        told = run(client, "echo", queue, queue=queue)
        assert (told["queue"], told["output"]) == (queue, queue)
    assert client.xrange("stint:{elsewhere}:jobs")[0][0].decode() == waiting


def test_a_queue_that_does_not_exist_yet_is_made_and_served_at_once(stintd, client):
    assert client.keys() == []
    stintd({"handlers": HANDLERS, "queues": ["a", "b"]})
    [group] = client.xinfo_groups("stint:{b}:jobs")
    assert group["name"] == b"stint"
    told = run(client, "echo", "p", queue="b")
    assert told["started_ms"] - told["submitted_ms"] < 1000


def test_a_queue_that_was_deleted_is_made_again(stintd, client):
    daemon = stintd({"handlers": HANDLERS, "queues": ["a", "b"]})
    assert run(client, "echo", "p", queue="b")["status"] == "ok"
    client.delete("stint:{b}:jobs")
    assert run(client, "echo", "again", queue="b")["output"] == "again"
    assert run(client, "echo", "other", queue="a")["output"] == "other"
    assert daemon.process.poll() is None


# several daemons


def test_two_daemons_share_the_work_and_run_nothing_twice(stintd, client, folder):
    ran = f"{folder}/ran"
    handlers = {"note": {"command": ["sh", "-c", f"echo $STINT_JOB_ID >>{ran}; sleep 0.01"]}}
    daemons = [stintd({"handlers": handlers, "concurrency": 2}) for _ in range(2)]
    jobs = [submit(client, "note") for _ in range(100)]
    by_daemon = {}
    for job in jobs:
        told = result(client, job)
        assert (told["status"], told["attempt"]) == ("ok", 1)
        by_daemon.setdefault(told["daemon"].rpartition("-")[2], []).append(job)
    assert sorted(open(ran).read().split()) == sorted(jobs)
    assert {pid: len(done) > 10 for pid, done in by_daemon.items()} == {
        str(daemon.process.pid): True for daemon in daemons}


def test_slow_jobs_are_not_prefetched(stintd, client):
    daemon = stintd({"handlers": HANDLERS, "concurrency": 2, "shutdown_timeout": "0s"})
    for _ in range(5):
        submit(client, "slow")
    wait_until(lambda: client.xpending("stint:{default}:jobs", "stint")["pending"] == 2, "held")
    # Three wait in Redis, where another daemon finds them at once.
    [group] = client.xinfo_groups("stint:{default}:jobs")
    assert (group["pending"], client.xlen("stint:{default}:jobs")) == (2, 5)
    job = submit(client, "echo", "p")
    other = stintd({"handlers": HANDLERS, "concurrency": 4, "shutdown_timeout": "0s"})
    told = result(client, job)
    assert told["daemon"].endswith(f"-{other.process.pid}")
    assert told["finished_ms"] - told["submitted_ms"] < 1500
    for each in (daemon, other):
        each.stop()


def test_a_job_that_waits_behind_slow_ones_is_run_elsewhere(stintd, client):
    first = stintd({"handlers": HANDLERS, "concurrency": 2, "shutdown_timeout": "0s"})
    # Quick jobs make it think that it can take more than it has workers ...
    for job in preload(client, default=300)["default"]:
        assert result(client, job)["status"] == "ok"
    # ... and then both are busy for long.
    pipe = client.pipeline()
    for handler in ["slow", "slow"] + ["echo"] * 10:
        pipe.xadd("stint:{default}:jobs", {"handler": handler, "payload": "p"})
    jobs = pipe.execute()
    since = time.time()
    wait_until(lambda: client.xpending("stint:{default}:jobs", "stint")["pending"] == 2,
               "only the slow ones are held")
    other = stintd({"handlers": HANDLERS, "shutdown_timeout": "0s"})
    for job in jobs[2:]:
        told = result(client, job)
        assert (told["id"], told["output"], told["attempt"]) == (job.decode(), "p", 1)
        assert told["daemon"].endswith(f"-{other.process.pid}")
    assert time.time() - since < 5
    for each in (first, other):
        each.stop()

"""What a service manager is told beside READY and STOPPING: signs of life, and counts."""
import os
import signal

from util import result, run, submit, wait_until

SIGN_MS = 100
WATCHDOG = {"WATCHDOG_USEC": str(3000 * SIGN_MS)}


def wait_signs(daemon, count=3):
    """So many more signs from now on."""
    want = daemon.states.count("WATCHDOG=1") + count
    wait_until(lambda: daemon.states.count("WATCHDOG=1") >= want,
               f"signs of life\n{daemon.states}\n{daemon.log()}")


def test_signs_come_while_idle_and_at_work(stintd, client, gate):
    daemon = stintd({"concurrency": 1, "handlers": {"hold": gate.handler()}}, env=WATCHDOG)
    wait_signs(daemon)
    job = submit(client, "hold")
    gate.wait_started(1)
    wait_signs(daemon)  # all workers are busy: nothing is read
    gate.open()
    assert result(client, job)["output"] == "done"
    wait_signs(daemon)


def test_signs_come_while_redis_is_away(stintd, redis):
    daemon = stintd({"handlers": {}}, env=WATCHDOG)
    redis.stop()
    daemon.wait_log("redis is away")
    wait_signs(daemon)
    redis.start()
    daemon.wait_log("redis is back")
    wait_signs(daemon)


def test_signs_go_on_while_the_daemon_drains(stintd, client, gate):
    daemon = stintd({"handlers": {"hold": gate.handler()}}, env=WATCHDOG)
    job = submit(client, "hold")
    gate.wait_started(1)
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    wait_signs(daemon)
    gate.open()
    assert daemon.wait_end() == 0
    assert result(client, job)["output"] == "done"


def test_signs_are_not_for_another_process(stintd, client):
    daemon = stintd({"handlers": {"echo": {"command": ["cat"]}}},
                    env={**WATCHDOG, "WATCHDOG_PID": str(os.getpid())})
    assert run(client, "echo", "x")["output"] == "x"
    wait_signs(stintd({"handlers": {}}, env=WATCHDOG))  # which began later
    assert not daemon.has_state("WATCHDOG=1")


def test_the_start_asks_for_the_time_that_it_takes(stintd):
    daemon = stintd({"start_timeout": "90s", "handlers": {}})
    assert "EXTEND_TIMEOUT_USEC=100000000" in daemon.states


def test_counts_are_grouped_for_people(stintd, client):
    daemon = stintd({"concurrency": 2, "queues": ["default", "a", "b"], "handlers": {}})
    pipe = client.pipeline(transaction=False)
    for _ in range(1204):
        pipe.xadd("stint:{default}:jobs", {"handler": "nobody-knows-it"})
    pipe.execute()
    daemon.wait_state("STATUS=0/2 busy, 3 queues, 1,204 done, 1,204 failed")

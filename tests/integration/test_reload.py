"""SIGHUP: what changes, that no job notices, and that a faulty file changes nothing."""
import signal
import subprocess
import time

import pytest
from gates import Gate, group, reload, wait_dump
from util import STINTD, result, run, submit, wait_until

ECHO = {"command": ["cat"]}


def says(word):
    return {"command": ["printf", word]}


def test_more_workers_run_more_at_once(stintd, client, gate):
    handlers = {"hold": gate.handler()}
    daemon = stintd({"concurrency": 1, "handlers": handlers})
    jobs = [submit(client, "hold") for _ in range(3)]
    gate.wait_started(1)
    reload(daemon, {"concurrency": 3, "handlers": handlers})
    assert sorted(gate.wait_started(3)) == jobs
    gate.open()
    for job in jobs:
        assert result(client, job)["attempt"] == 1


def test_fewer_workers_interrupt_nothing_and_run_fewer_after(stintd, client, folder):
    before, after = Gate(folder, "before"), Gate(folder, "after")
    handlers = {"before": before.handler(), "after": after.handler()}
    daemon = stintd({"concurrency": 3, "handlers": handlers})
    running = [submit(client, "before") for _ in range(3)]
    before.wait_started(3)
    reload(daemon, {"concurrency": 1, "handlers": handlers})
    wait_dump(daemon, "workers=1 busy=3")
    waiting = [submit(client, "after") for _ in range(3)]
    before.open()
    for job in running:
        told = result(client, job)
        assert (told["status"], told["attempt"]) == ("ok", 1)
    after.wait_started(1)
    wait_dump(daemon, "workers=1 busy=1 in_flight=1")
    assert len(after.started()) == 1
    after.open()
    for job in waiting:
        assert result(client, job)["status"] == "ok"
    assert sorted(before.started()) == [(job, "1") for job in running]


def test_a_new_queue_is_served_and_a_removed_one_is_left_alone(stintd, client):
    handlers = {"echo": ECHO}
    daemon = stintd({"queues": ["old", "kept"], "handlers": handlers})
    run(client, "echo", "x", queue="old")
    early = submit(client, "echo", "early", queue="new")
    reload(daemon, {"queues": ["kept", "new"], "handlers": handlers})
    assert result(client, early, "new")["output"] == "early"
    run(client, "echo", "x", queue="kept")  # from now on no read has the old queue in it
    left = submit(client, "echo", "left", queue="old")
    assert run(client, "echo", "x", queue="new")["status"] == "ok"
    assert client.get(f"stint:{{old}}:result:{left}") is None
    assert client.xlen("stint:{old}:jobs") == 1
    reload(daemon, {"queues": ["old"], "handlers": handlers})
    assert result(client, left, "old")["output"] == "left"


def test_what_a_removed_queue_still_brings_goes_back(proxy, stintd, client):
    """The read was on its way; lists have no weights, which the new configuration counts."""
    handlers = {"echo": ECHO}
    daemon = stintd({"queues": ["old", "kept"], "handlers": handlers}, url=proxy.url)
    run(client, "echo", "x", queue="old")
    proxy.stall("down")
    job = submit(client, "echo", "late", queue="old")
    wait_until(lambda: group(client, "old")[1] == 1, "it was read")
    reload(daemon, {"queues": {"kept": 1}, "handlers": handlers})
    proxy.go_on()
    assert run(client, "echo", "y", queue="kept")["output"] == "y"
    wait_until(lambda: group(client, "old")[1] == 0, "it went back")
    assert client.get(f"stint:{{old}}:result:{job}") is None
    reload(daemon, {"queues": ["kept", "old"], "handlers": handlers})
    assert result(client, job, "old")["output"] == "late"


@pytest.mark.parametrize("wanted,least", [(["b", "a"], 20), ({"a": 1, "b": 1000}, 15)])
def test_priority_and_weights_change(stintd, client, gate, folder, wanted, least):
    note = {"command": ["sh", "-c", 'echo "$STINT_QUEUE" >> "$0"', f"{folder}/order"]}
    config = {"concurrency": 1, "handlers": {"hold": gate.handler(), "note": note}}
    daemon = stintd({"queues": ["a", "b"], **config})
    submit(client, "hold", queue="a")
    gate.wait_started(1)
    jobs = [(submit(client, "note", queue=queue), queue) for queue in "ab" * 20]
    reload(daemon, {"queues": wanted, **config})
    gate.open()
    for job, queue in jobs:
        result(client, job, queue)
    with open(f"{folder}/order", encoding="ascii") as order:
        ran = order.read().split()
    assert len(ran) == 40
    assert ran[:20].count("b") >= least


def test_running_jobs_keep_the_handler_they_began_with(stintd, client, gate, folder):
    daemon = stintd({"handlers": {"gone": gate.handler(), "changed": gate.handler()}})
    jobs = [submit(client, "gone"), submit(client, "changed")]
    gate.wait_started(2)
    reload(daemon, {"handlers": {"changed": says("new"), "added": says("added")}})
    assert run(client, "changed")["output"] == "new"
    assert run(client, "added")["output"] == "added"
    told = run(client, "gone")
    assert (told["status"], told["error"]) == ("rejected", 'unknown handler "gone"')
    gate.open()
    for job in jobs:
        told = result(client, job)
        assert (told["status"], told["output"]) == ("ok", "done")
    assert group(client)[1] == 0


def test_limits_change(stintd, client):
    daemon = stintd({"handlers": {"echo": {**ECHO, "payload_limit": 10}}})
    assert run(client, "echo", "x" * 11)["status"] == "rejected"
    reload(daemon, {"handlers": {"echo": {**ECHO, "payload_limit": "32MiB"}}})
    large = b"x" * (20 << 20)  # more than any string could have before
    told = run(client, "echo", large)
    assert told["error"].startswith("output over 1MiB")  # it was read, and run
    reload(daemon, {"handlers": {"echo": {**ECHO, "payload_limit": 5, "output_limit": 1024}}})
    assert "payload_limit" in run(client, "echo", "x" * 6)["error"]
    assert run(client, "echo", "x" * 5)["status"] == "ok"


def test_the_log_level_changes(stintd, client):
    handlers = {"no": {"command": ["false"]}}
    daemon = stintd({"log": {"level": "warning"}, "handlers": handlers})
    run(client, "no")
    daemon.write_config({"log": {"level": "info"}, "handlers": handlers})
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration reloaded")
    assert "job failed" not in daemon.log()
    run(client, "no")
    daemon.wait_log("job failed")


def test_the_service_manager_is_told(stintd):
    config = {"handlers": {"echo": ECHO}}
    daemon = stintd(config)
    daemon.states.clear()
    before_us = time.monotonic_ns() // 1000
    reload(daemon, config)
    daemon.wait_state("READY=1")
    after_us = time.monotonic_ns() // 1000
    at = daemon.states.index("RELOADING=1")
    name, _, value = daemon.states[at + 1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before_us <= int(value) <= after_us
    assert daemon.states.index("READY=1") > at


def test_a_faulty_file_changes_nothing_and_each_fault_is_told(stintd, client):
    daemon = stintd({"concurrency": 2, "handlers": {"echo": ECHO}})
    daemon.states.clear()
    reload(daemon, "concurrency: many\nhandlers:\n  echo: { command: [tac], timeuot: 3s }\n",
           "configuration not reloaded")
    faults = [line for line in daemon.log().splitlines() if "configuration fault" in line]
    assert len(faults) == 2
    assert "stint.yaml:1:1: concurrency: expected" in faults[0]
    assert "stint.yaml:3:27: handlers.echo.timeuot:" in faults[1]
    assert "timeout" in faults[1]
    daemon.wait_state("READY=1")
    daemon.wait_state("STATUS=faulty configuration not loaded, 0/2 busy")
    assert run(client, "echo", "as before")["output"] == "as before"
    wait_dump(daemon, "workers=2")
    daemon.states.clear()
    reload(daemon, {"concurrency": 3, "handlers": {"echo": ECHO}})
    daemon.wait_state("STATUS=0/3 busy")


def test_a_missing_file_changes_nothing(stintd, client):
    daemon = stintd({"handlers": {"echo": ECHO}})
    daemon.config_path.unlink()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration not reloaded")
    [fault] = [line for line in daemon.log().splitlines() if "configuration fault" in line]
    assert "No such file" in fault
    assert run(client, "echo", "as before")["output"] == "as before"


def test_keys_that_need_a_restart_are_named_and_stay(stintd, client, redis):
    daemon = stintd({"handlers": {"echo": ECHO}})
    reload(daemon, {"redis": {"url": "redis://localhost:1/3"}, "prefix": "other",
                    "handlers": {"echo": says("new")}})
    [warning] = [line for line in daemon.log().splitlines() if "after a restart" in line]
    assert "redis.url, prefix" in warning
    assert run(client, "echo")["output"] == "new"  # the rest has changed
    redis.stop()
    daemon.wait_log("redis is away")
    redis.start()
    assert run(client, "echo")["output"] == "new"


def test_many_reloads_under_load_lose_nothing(stintd, client, folder):
    note = {"command": ["sh", "-c", 'echo "$STINT_JOB_ID" >> "$0"', f"{folder}/runs"]}
    configs = [{"concurrency": count, "queues": queues, "handlers": {"note": note}}
               for count, queues in ((1, ["a", "b"]), (6, {"b": 3, "a": 1}), (3, ["b", "a"]))]
    daemon = stintd(configs[0])
    jobs, done = [], 0
    for i in range(20):
        pipe = client.pipeline()
        for n in range(40):
            pipe.xadd(f"stint:{{{'ab'[n % 2]}}}:jobs", {"handler": "note"})
        jobs += [(entry.decode(), "ab"[n % 2]) for n, entry in enumerate(pipe.execute())]
        reload(daemon, configs[i % 3])
    for job, queue in jobs:
        done += result(client, job, queue)["status"] == "ok"
    assert done == 800
    with open(f"{folder}/runs", encoding="ascii") as runs:
        assert sorted(runs.read().split()) == sorted(job for job, _ in jobs)
    wait_until(lambda: group(client, "a")[1] == group(client, "b")[1] == 0, "nothing is pending")


# stintd --reload: a reload that is waited for


def ask(pid, timeout_s=60):
    done = subprocess.run([STINTD, "--reload", str(pid)], capture_output=True, text=True,
                          timeout=timeout_s)
    return done.returncode, done.stdout + done.stderr


def test_who_asks_for_a_reload_waits_until_it_is_in_force(stintd, client):
    daemon = stintd({"handlers": {"say": says("old")}})
    for word in ("new", "newer"):
        daemon.write_config({"handlers": {"say": says(word)}})
        assert ask(daemon.process.pid) == (0, "")
        assert daemon.log().count("configuration reloaded") == (1 if word == "new" else 2)
        assert run(client, "say")["output"] == word


def test_who_asks_for_a_reload_is_told_that_the_old_configuration_stays(stintd, client):
    daemon = stintd({"handlers": {"say": says("old")}})
    daemon.write_config({"concurrency": "many"})
    pid = daemon.process.pid
    assert ask(pid) == (78, f"stintd: process {pid}: the new configuration is not in force;"
                            " its log says why\n")
    assert "configuration fault" in daemon.log()
    assert run(client, "say")["output"] == "old"


def test_a_daemon_that_does_not_answer_is_waited_for_and_asked_again(stintd, client):
    daemon = stintd({"handlers": {"say": says("old")}})
    daemon.signal(signal.SIGSTOP)
    daemon.signal(signal.SIGHUP)  # what the question is lost in: there is only one at a time
    daemon.write_config({"handlers": {"say": says("new")}})
    asker = subprocess.Popen([STINTD, "--reload", str(daemon.process.pid)])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            asker.wait(0.2)
        daemon.signal(signal.SIGCONT)
        assert asker.wait(20) == 0
    finally:
        asker.kill()
        asker.wait()
    assert run(client, "say")["output"] == "new"


def test_nobody_answers_for_a_process_that_is_gone():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert ask(gone.pid) == (69, f"stintd: process {gone.pid}: No such process\n")


def test_a_process_that_is_no_daemon_is_left_alone():
    other = subprocess.Popen(["sleep", "60"])
    try:
        assert ask(other.pid) == (69, f"stintd: process {other.pid}: it does not expect SIGHUP:"
                                      " it is no stintd\n")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("pid", ["0", "-1", "+5", "1x", "", "99999999999999999999", "main"])
def test_a_reload_is_asked_of_a_process_id(pid):
    done = subprocess.run([STINTD, "--reload", pid], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (64, "")
    assert f'expected a process id, got "{pid}"' in done.stderr

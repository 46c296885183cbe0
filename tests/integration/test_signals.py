"""Quiet, the state dump, and what is left when a part of the daemon is killed."""
import os
import signal
import socket
import uuid

from gates import children, end_unstored, group, is_alive, quiet, wait_dump
from util import result, run, submit, wait_until


def processes_with(mark):
    """Processes with this text in their environment."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/environ", "rb") as environ:
                if mark.encode() in environ.read():
                    found.append(int(entry))
        except OSError:
            continue
    return found


def zygote(daemon):
    [pid] = children(daemon.process.pid, "stint-zygote")
    return pid


def keepers(daemon):
    return children(zygote(daemon), "stint-keeper")


def family(folder):
    """A handler whose job leaves its session and its group, forks twice, and goes on;
    and the mark that all of them have."""
    mark = uuid.uuid4().hex
    script = ('setsid sleep 1000 & (setsid sh -c "sleep 1001 & sleep 1002" &) ; '
              'echo x > "$0/grown"; sleep 1003')
    return {"command": ["sh", "-c", script, folder], "environment": {"MARK": mark}}, mark


def wait_grown(mark):
    """Most of the family, those that left the group among them."""
    wait_until(lambda: len(processes_with(mark)) >= 5, "the job's family")


def test_quiet_fetches_nothing_and_lets_jobs_finish(stintd, client, gate):
    daemon = stintd({"concurrency": 2, "handlers": {
        "hold": gate.handler(), "echo": {"command": ["cat"]}}})
    first = submit(client, "hold")
    gate.wait_started(1)
    quiet(client, daemon)
    daemon.wait_state("STATUS=quiet, 1/2 busy")
    second = submit(client, "echo", "later")
    gate.open()
    assert result(client, first)["status"] == "ok"
    wait_dump(daemon, "in_flight=0")
    assert client.get(f"stint:{{default}}:result:{second}") is None
    assert client.xlen("stint:{default}:jobs") == 1
    assert group(client)[1] == 0
    daemon.signal(signal.SIGCONT)
    assert result(client, second)["output"] == "later"
    daemon.states.clear()
    daemon.wait_state("STATUS=0/2 busy")


def test_quiet_outlasts_a_lost_connection(stintd, client, redis):
    daemon = stintd({"handlers": {"echo": {"command": ["cat"]}}})
    quiet(client, daemon)
    redis.stop()
    daemon.wait_log("redis is away")
    redis.start()
    daemon.wait_log("redis is back")
    job = submit(client, "echo", "later")
    daemon.states.clear()
    daemon.wait_state("STATUS=quiet")
    assert client.get(f"stint:{{default}}:result:{job}") is None
    daemon.signal(signal.SIGCONT)
    assert result(client, job)["output"] == "later"


def test_a_quiet_daemon_stops_cleanly(stintd, client, gate):
    daemon = stintd({"handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    quiet(client, daemon)
    daemon.signal(signal.SIGTERM)
    daemon.wait_state("STOPPING=1")
    gate.open()
    assert daemon.wait_end() == 0
    assert result(client, job)["status"] == "ok"
    assert group(client) == (0, 0)


def test_usr1_says_what_every_worker_does(stintd, client, gate):
    daemon = stintd({"concurrency": 2, "handlers": {
        "hold": gate.handler(), "echo": {"command": ["cat"]}}})
    run(client, "echo", "x")
    jobs = [submit(client, "hold") for _ in range(2)]
    gate.wait_started(2)
    daemon.signal(signal.SIGUSR1)
    for job in jobs:
        daemon.wait_log(f"job={job} ")
    lines = [line for line in daemon.log().splitlines() if "job runs" in line]
    assert len(lines) == 2
    assert all("handler=hold" in line and "queue=default" in line for line in lines)
    assert {w for line in lines for w in line.split() if w.startswith("worker=")} == {
        "worker=0", "worker=1"}
    [state] = [line for line in daemon.log().splitlines() if "info state " in line]
    for text in ("workers=2", "busy=2", "in_flight=2", "done=1", "failed=0"):
        assert text in state
    gate.open()
    for job in jobs:
        result(client, job)


def test_a_job_that_has_ended_but_is_not_stored_does_not_run(stintd, client, redis, gate):
    daemon = stintd({"handlers": {"hold": gate.handler()}})
    job = end_unstored(client, redis, daemon, gate)
    dump = wait_dump(daemon, f"job={job}")
    redis.process.send_signal(signal.SIGCONT)
    assert "job ended, not stored yet" in daemon.log()
    assert "job runs" not in dump
    assert result(client, job)["status"] == "ok"


def test_nothing_outlives_a_daemon_that_was_killed(stintd, client, folder):
    handler, mark = family(folder)
    daemon = stintd({"handlers": {"family": handler}})
    submit(client, "family")
    wait_grown(mark)
    below = [zygote(daemon), *keepers(daemon)]
    daemon.signal(signal.SIGKILL)
    daemon.wait_end()
    wait_until(lambda: not processes_with(mark), "the job's family is gone")
    wait_until(lambda: not any(is_alive(pid) for pid in below), "zygote and keepers are gone")


def test_without_its_zygote_it_ends_with_70_and_nothing_is_left(stintd, client, folder):
    handler, mark = family(folder)
    daemon = stintd({"shutdown_timeout": "50ms", "handlers": {
        "family": handler, "echo": {"command": ["cat"]}}})
    run(client, "echo", "x")
    submit(client, "family")
    wait_grown(mark)
    os.kill(zygote(daemon), signal.SIGKILL)
    assert daemon.wait_end() == 70
    assert "the process that starts commands has died" in daemon.log()
    wait_until(lambda: not processes_with(mark), "the job's family is gone")
    assert group(client) == (0, 0)


def test_a_killed_keeper_costs_its_job_and_nothing_else(stintd, client, folder):
    handler, mark = family(folder)
    daemon = stintd({"concurrency": 1, "handlers": {
        "family": handler, "echo": {"command": ["cat"]}}})
    job = submit(client, "family")
    wait_grown(mark)
    [keeper] = keepers(daemon)
    os.kill(keeper, signal.SIGKILL)
    told = result(client, job)
    assert told["status"] == "crashed"
    assert told["error"] == "its supervisor was killed"
    assert not processes_with(mark)  # gone before the result was told
    assert run(client, "echo", "next")["output"] == "next"
    assert keepers(daemon) != [keeper]


def test_ctrl_c_on_a_terminal_is_a_graceful_stop(stintd, client, gate):
    daemon = stintd({"handlers": {"hold": gate.handler()}})
    job = submit(client, "hold")
    gate.wait_started(1)
    os.killpg(daemon.process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    daemon.wait_state("STOPPING=1")
    gate.open()
    assert daemon.wait_end() == 0
    assert result(client, job)["output"] == "done"


def test_a_service_manager_that_does_not_listen_holds_nothing_up(stintd, client, folder):
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    deaf.bind(f"{folder}/deaf")
    daemon = stintd({"handlers": {"echo": {"command": ["cat"]}}}, wait=False,
                    env={"NOTIFY_SOCKET": f"{folder}/deaf"})
    daemon.wait_log("ready")
    for count in range(1, 21):  # each is two messages, and no one reads them
        daemon.signal(signal.SIGHUP)
        wait_until(lambda want=count: daemon.log().count("configuration reloaded") >= want,
                   f"reload {count}")
    assert run(client, "echo", "x")["output"] == "x"
    assert daemon.log().count("service manager cannot be told") == 1
    deaf.close()

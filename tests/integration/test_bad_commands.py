"""Commands that misbehave, and a log that nobody takes: jobs go on."""
import os
import signal
import subprocess

import pytest
from util import STINTD, is_drained, result, run, submit, wait_until

ECHO = {"echo": {"command": ["cat"]}}
MIB = 1 << 20
# name: the command, what its job ends with, and the payload it is given
BAD = {
    "closes standard input": (["sh", "-c", "exec 0<&-; sleep 0.05; printf done"], "ok", 10 * MIB),
    "never reads": (["sh", "-c", "sleep 0.05; printf done"], "ok", 10 * MIB),
    "reads one byte": (["head", "-c", "1"], "ok", 10 * MIB),
    "writes without end": (["yes"], "error", 0),
    "writes errors without end": (["sh", "-c", "exec yes >&2"], "timeout", 0),
    "reads nothing and writes without end": (["cat", "/dev/zero"], "error", 10 * MIB),
    "ignores SIGTERM": (["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], "timeout", 0),
    "is held open by a grandchild": (["sh", "-c", "sleep 60 & printf done"], "ok", 0),
    "is held open by one in another session": (
        ["sh", "-c", "setsid sh -c 'trap \"\" TERM HUP; sleep 60' & printf done"], "ok", 0),
    "closes all its output": (["sh", "-c", "exec >&- 2>&-; sleep 0.05"], "ok", 0),
    "stops itself": (["sh", "-c", "kill -STOP $$$$"], "timeout", 0),
    "starts a lot": (["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; printf done"],
                     "ok", 0),
}


@pytest.mark.parametrize("name", BAD)
def test_a_command_that(stintd, client, name):
    command, status, size = BAD[name]
    # one worker: it must be there for the next job
    daemon = stintd({"concurrency": 1, "handlers": {**ECHO, "bad": {
        "command": command, "timeout": "2s" if status == "ok" else "300ms",
        "kill_grace": "100ms"}}})
    told = run(client, "bad", b"x" * size)
    assert told["status"] == status, told
    if "printf done" in command[-1]:
        assert told["output"] == "done"
    assert told["finished_ms"] - told["started_ms"] < 2000
    assert run(client, "echo", "next")["output"] == "next"
    wait_until(lambda: is_drained(client), "drained")
    # nothing of it is left, while the daemon runs on
    wait_until(lambda: not [pid for pid in daemon.processes() if name_of(pid) in (
        "sleep", "yes", "sh", "cat", "head")], "no process of the job")


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return None


@pytest.fixture
def logging_to(stintd):
    """A stintd that writes its log to this descriptor or file, and wants to say much."""
    def start(target, config, by=()):
        daemon = stintd({**config, "log": {"level": "debug"}}, wait=False)
        daemon.signal(signal.SIGTERM)
        daemon.wait_end()
        daemon.states.clear()
        daemon.process = subprocess.Popen(
            [*by, STINTD, "--config", daemon.config_path], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=target, env=daemon.env, cwd=daemon.folder)
        daemon.wait_state("READY=1")
        return daemon
    return start


def fails(client, count):
    """Jobs that are logged, each with an error of its own."""
    jobs = [submit(client, f"nobody-{i}", "p") for i in range(count)]
    for job in jobs:
        assert result(client, job)["status"] == "rejected"


def test_a_full_disk_under_the_log_stops_nothing(logging_to, client):
    with open("/dev/full", "wb") as full:
        daemon = logging_to(full, {"handlers": ECHO})
    fails(client, 300)
    assert run(client, "echo", "p")["output"] == "p"
    daemon.stop()


def test_a_log_that_nobody_reads_stops_nothing(logging_to, client):
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        daemon = logging_to(writer, {"handlers": ECHO})
        fails(client, 300)
        assert run(client, "echo", "p")["output"] == "p"
        daemon.stop()
    finally:
        os.close(reader)
        os.close(writer)


def test_a_log_whose_reader_has_gone_stops_nothing(logging_to, client):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        daemon = logging_to(writer, {"handlers": ECHO})
        fails(client, 300)
        assert run(client, "echo", "p")["output"] == "p"
        daemon.stop()
    finally:
        os.close(writer)


def test_too_few_descriptors_are_told_at_the_start(logging_to, client, tmp_path):
    log = tmp_path / "log"
    for limit, is_told in ((200, True), (1000, False)):
        with log.open("wb") as target:
            daemon = logging_to(target, {"concurrency": 32, "handlers": ECHO}, [
                "/bin/sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"])
        assert ("open files (LimitNOFILE=" in log.read_text()) == is_told
        assert run(client, "echo", "p")["output"] == "p"
        daemon.stop()


def test_without_standard_streams_nothing_else_takes_their_place(logging_to, client):
    daemon = logging_to(None, {"handlers": ECHO},
                        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    for number in range(3):
        assert os.readlink(f"/proc/{daemon.process.pid}/fd/{number}") == "/dev/null"
    fails(client, 3)
    assert run(client, "echo", "p")["output"] == "p"
    daemon.stop()

"""Handlers that do their worst: the daemon and all other jobs go on, and the cause is told.

Beside each of them run a command and a worker, which must not notice. See crimes.py.
"""
import os
from pathlib import Path

import pytest
from gates import is_alive
from util import for_others, is_drained, result, run, submit, wait_until

HERE = Path(__file__).parent
PYTHON = ["/usr/bin/python3", "-S"]
MARK = "STINT_TEST_JOB"
TIMEOUT_MS, GRACE_MS, MORE_MS = 500, 200, 1000
# for those that end before their time is up, also on a busy machine
PATIENT_MS = 20_000
TIMED_OUT = ("timeout", "timed out after 500ms")
NEAR = "exit code 1, near its memory limit 64MiB"
LOST = ("crashed", "its supervisor was killed")


def ended(how):
    """What is told of a command, and of the process of a worker."""
    return ("crashed", how), ("crashed", f"its process ended: {how}")


# name: what comes of it for a command, and for a worker
CRIMES = {
    "segfault": ended("killed by SIGSEGV"),
    "abort": ended("killed by SIGABRT"),
    "exits": (("ok", None), ("crashed", "its process ended: exit code 0")),
    "eats": (("error", NEAR), ("crashed", f"its process ended: {NEAR}")),
    "ignores": (TIMED_OUT, TIMED_OUT),
    "spins": (TIMED_OUT, TIMED_OUT),
    "closes": (TIMED_OUT, ("crashed", "its process closed descriptor 4")),
    "stops": (TIMED_OUT, TIMED_OUT),
    "kills_group": ended("killed by SIGKILL"),
    "kills_parent_group": (LOST, LOST),
    "kills_parent": (LOST, LOST),
    "stops_parent": (LOST, LOST),
    "daemonizes": (("ok", None), ("crashed", "its process ended: exit code 0")),
    "bombs": (TIMED_OUT, TIMED_OUT),
}


def processes(folder):
    """All that the jobs of the handler have left, however they hide."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (entry.name.isdigit()
                    and f"{MARK}={folder}".encode() in (entry / "environ").read_bytes()):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def timeout_ms(kind, crime):
    return TIMEOUT_MS if CRIMES[crime][kind == "worker"] == TIMED_OUT else PATIENT_MS


def villain(kind, crime, folder):
    limits = {"memory": "64MiB"} if crime == "eats" else {}
    conf = {"timeout": f"{timeout_ms(kind, crime)}ms", "kill_grace": f"{GRACE_MS}ms",
            "limits": limits, "environment": {MARK: str(folder)}}
    if crime == "bombs":
        # so many for all of the user; root has no such limit
        conf.update(limits={"processes": 40}, user="daemon")
    crimes = for_others(HERE / "crimes.py", folder)
    if kind == "command":
        return {**conf, "command": [*PYTHON, crimes, crime, f"{folder}/pid"]}
    return {**conf, "worker": [*PYTHON, for_others(HERE / "worker.py", folder)]}


def until(path):
    """A command that ends once there is a file."""
    return {"command": ["sh", "-c", f"until test -e {path}; do sleep 0.01; done; echo survived"]}


@pytest.mark.parametrize("kind", ["command", "worker"])
@pytest.mark.parametrize("crime", CRIMES)
def test_only_its_own_job_suffers(stintd, client, folder, kind, crime):
    if crime == "bombs" and os.geteuid() != 0:
        pytest.skip("needs root to bound the processes of another user")
    status, error = CRIMES[crime][kind == "worker"]
    daemon = stintd({"concurrency": 3, "handlers": {
        "villain": villain(kind, crime, folder), "beside": until(f"{folder}/end"),
        "warm": {"worker": [*PYTHON, str(HERE / "worker.py")]}}})
    warm = run(client, "warm", "pid")["output"]
    beside = [submit(client, "beside"), submit(client, "warm", f"waits {folder}/end")]
    payload = f"crime {crime} {folder}/pid"
    for _ in range(2):  # with two of the three slots taken, it is the same slot
        told = run(client, "villain", payload)
        assert (told["status"], told.get("error")) == (status, error), told
        took_ms = told["finished_ms"] - told["started_ms"]
        assert took_ms <= timeout_ms(kind, crime) + GRACE_MS + MORE_MS
        # Not "soon": when the result is there, they are gone.
        assert not processes(folder)
        Path(f"{folder}/pid").unlink(missing_ok=True)
    Path(f"{folder}/end").touch()
    assert {result(client, job)["output"].strip() for job in beside} == {"survived"}
    # in this slot or another one: which of them is free first, nobody promises
    assert is_alive(int(warm)) and run(client, "warm", "pid")["status"] == "ok"
    wait_until(lambda: is_drained(client), "drained")
    assert daemon.process.poll() is None
    daemon.stop()


def test_all_at_once(stintd, client, folder):
    """Each kind of villain in a slot of its own, over and over, and honest jobs between."""
    crimes = [crime for crime in CRIMES if crime != "bombs"]
    for crime in crimes:
        for kind in ("command", "worker"):
            os.mkdir(f"{folder}/{crime}-{kind}")
    handlers = {f"{kind}-{crime}": villain(kind, crime, f"{folder}/{crime}-{kind}")
                for kind in ("command", "worker") for crime in crimes}
    stintd({"concurrency": 8, "handlers": {**handlers, "echo": {"command": ["cat"]}}})
    jobs = {}
    for i in range(3):
        for name in handlers:
            kind, _, crime = name.partition("-")
            jobs[submit(client, name, f"crime {crime} {folder}/{crime}-{kind}/pid")] = name
            jobs[submit(client, "echo", f"{i} {name}")] = f"{i} {name}"
    for job, name in jobs.items():
        told = result(client, job)
        kind, _, crime = name.partition("-")
        if name in handlers:
            # one that dies again and again is not started for a while: that is told, too
            assert told["status"] == CRIMES[crime][kind == "worker"][0], (name, told)
        else:
            assert (told["status"], told["output"]) == ("ok", name)
    wait_until(lambda: is_drained(client), "drained")

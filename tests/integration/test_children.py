"""What a process of a handler is given: nothing of what the daemon has, or was started with."""
import json
import os
import signal
from pathlib import Path

import pytest
from util import STINTD, result, run, submit, wait_until

WORKER = str(Path(__file__).with_name("worker.py"))

# A daemon that is started with as much rubbish as can be.
STARTER = """#!/usr/bin/python3 -S
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for wanted in range(10, 30):
    os.dup2(0, wanted, inheritable=True)
os.execv(%r, [%r, *sys.argv[1:]])
"""

# A shell as a worker: it leaves signals and descriptors as they are.
SHELL_WORKER = r"""
printf '*2\r\n$5\r\nREADY\r\n$1\r\n1\r\n' >&4
cat /proc/self/status >$D/status.new
mv $D/status.new $D/status
exec cat <&3
"""

SHOW = """
import ctypes, json, os
pdeathsig = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(pdeathsig))
print(json.dumps({
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
    "to": [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in range(3)],
    "group": os.getpgrp() == os.getpid(), "session": os.getsid(0) == os.getppid(),
    "pdeathsig": pdeathsig.value}))
"""


@pytest.fixture
def rubbish(folder):
    path = Path(folder) / "starter"
    path.write_text(STARTER % (str(STINTD), str(STINTD)))
    path.chmod(0o755)
    return path


def signals(status):
    """The sets of a /proc/PID/status, without what the C library keeps for itself."""
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    own = 1 << 31 | 1 << 32
    return {name: int(lines[name], 16) & ~own for name in ("SigBlk", "SigIgn", "SigCgt")}


CLEAN = {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def test_signals_of_a_command_are_as_new(stintd, client, rubbish):
    stintd({"handlers": {"job": {"command": ["cat", "/proc/self/status"]}}}, program=rubbish)
    told = run(client, "job")
    assert told["status"] == "ok" and signals(told["output"]) == CLEAN


def test_signals_of_a_worker_are_as_new(stintd, client, rubbish, folder):
    stintd({"handlers": {"w": {"worker": ["sh", "-c", SHELL_WORKER.replace("$", "$$")],
                               "timeout": "5s", "environment": {"D": str(folder)}}}},
           program=rubbish)
    job = submit(client, "w", timeout="300ms")
    wait_until(lambda: Path(f"{folder}/status").exists(), "status")
    assert signals(Path(f"{folder}/status").read_text()) == CLEAN
    assert result(client, job)["status"] == "timeout"


@pytest.mark.parametrize("payload", [b"", b"some"])
def test_a_command_is_in_a_place_of_its_own(stintd, client, rubbish, payload):
    stintd({"handlers": {"job": {"command": ["/usr/bin/python3", "-S", "-c", SHOW]}}},
           program=rubbish)
    told = json.loads(run(client, "job", payload)["output"])
    assert told.pop("fds") == [0, 1, 2, 4]  # 4: for its progress
    assert told == {"to": ["pipe" if payload else "/dev/null", "pipe", "pipe"], "group": True,
                    "session": True, "pdeathsig": signal.SIGKILL}


def test_a_worker_is_in_a_place_of_its_own(stintd, client, rubbish):
    stintd({"handlers": {"w": {"worker": ["/usr/bin/python3", "-S", WORKER],
                               "idle_timeout": "1min"}}}, program=rubbish)
    told = json.loads(run(client, "w", "place")["output"])
    assert told == {"fds": [0, 1, 2, 3, 4], "to": ["/dev/null", "pipe", "pipe"], "group": True,
                    "session": True, "pdeathsig": signal.SIGKILL}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_the_parent_death_signal_outlives_a_change_of_user(stintd, client):
    stintd({"handlers": {"job": {"command": ["/usr/bin/python3", "-S", "-c", SHOW],
                                 "user": "daemon"}}})
    told = json.loads(run(client, "job")["output"])
    assert (told["pdeathsig"], told["group"], told["session"]) == (signal.SIGKILL, True, True)

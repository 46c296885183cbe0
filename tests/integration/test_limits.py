"""Limits of a handler, the account that it runs as, and what its result says about them."""
import grp
import json
import os
import pwd
import resource
import signal
import subprocess
from pathlib import Path

import pytest
from util import STINTD, for_others, result, run, submit, wait_until

WORKER = str(Path(__file__).with_name("worker.py"))
MIB = 1 << 20
AS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AS_ROOT, reason="needs root to become somebody else")


def py(code, **more):
    return {"command": ["/usr/bin/python3", "-S", "-c", code], **more}


def sh(script, **more):
    return {"command": ["sh", "-c", script.replace("$", "$$")], **more}


def worker(program=WORKER, **more):
    return {"worker": ["/usr/bin/python3", "-S", program], **more}


SHOW = ("import json, resource; print(json.dumps({n: resource.getrlimit(getattr(resource,"
        " 'RLIMIT_' + n)) for n in ('DATA', 'CPU', 'NOFILE', 'NPROC', 'AS')}))")


# ---- what is set ----


def test_each_limit_is_set_and_the_others_stay(stintd, client):
    limits = {"memory": "512MiB", "cpu": "90.5s", "files": 64, "processes": 1000}
    stintd({"handlers": {"all": py(SHOW, limits=limits), "none": py(SHOW),
                         "some": py(SHOW, limits={"files": "32"})}})
    told = json.loads(run(client, "all")["output"])
    own = {n: list(resource.getrlimit(getattr(resource, "RLIMIT_" + n))) for n in told}
    assert told == {"DATA": [512 * MIB] * 2, "CPU": [91, 92], "NOFILE": [64, 64],
                    "NPROC": [1000, 1000], "AS": own["AS"]}
    assert json.loads(run(client, "none")["output"]) == own
    assert json.loads(run(client, "some")["output"]) == {**own, "NOFILE": [32, 32]}


def test_defaults_hold_until_a_handler_says_otherwise(stintd, client):
    stintd({"defaults": {"limits": {"memory": "256MiB", "files": 50}}, "handlers": {
        "job": py(SHOW, limits={"files": 60, "cpu": "5s"}), "free": py(SHOW, limits={
            "memory": "none", "files": "none"})}})
    told = json.loads(run(client, "job")["output"])
    assert (told["DATA"], told["NOFILE"], told["CPU"]) == ([256 * MIB] * 2, [60, 60], [5, 6])
    told = json.loads(run(client, "free")["output"])
    assert told["DATA"] == list(resource.getrlimit(resource.RLIMIT_DATA))
    assert told["NOFILE"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))


def without_rights(folder):
    """A daemon that may not raise limits; root may, where it is not told otherwise."""
    program = Path(folder) / "bounded"
    drop = "setpriv --bounding-set=-sys_resource " if AS_ROOT else ""
    program.write_text(f'#!/bin/sh\nulimit -n 1000\nexec {drop}{STINTD} "$@"\n')
    program.chmod(0o755)
    return program


def test_a_limit_that_cannot_be_set_is_named(stintd, client, folder):
    stintd({"handlers": {"job": sh("true", limits={"files": 5000}),
                         "w": worker(limits={"files": 5000})}}, program=without_rights(folder))
    for handler in "job", "w":
        told = run(client, handler, "pid")
        assert (told["status"], told["error"]) == (
            "error", "cannot set its limits.files: Operation not permitted")


def test_a_reload_changes_limits_also_of_a_worker(stintd, client):
    config = {"concurrency": 1, "handlers": {"w": worker(limits={"files": 40}),
                                             "c": sh("ulimit -n", limits={"files": 40})}}
    daemon = stintd(config)
    first = run(client, "w", "pid")["output"]
    assert run(client, "c")["output"] == "40\n"
    for handler in config["handlers"].values():
        handler["limits"] = {"files": 41}
    daemon.write_config(config)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    assert run(client, "c")["output"] == "41\n"
    assert run(client, "w", "pid")["output"] != first
    assert json.loads(run(client, "w", "rlimit NOFILE")["output"]) == [41, 41]


# ---- what comes of it ----


def test_what_is_used_stands_in_every_result(stintd, client):
    spend = ("import time; x = bytearray(64 << 20)\n"
             "while time.process_time() < 0.3: pass")
    stintd({"handlers": {"job": py(spend), "fails": py(spend + "\nraise SystemExit(3)"),
                         "child": sh(f"/usr/bin/python3 -S -c '{spend}'; exit 0"),
                         "w": worker()}})
    for handler in "job", "fails", "child":
        told = run(client, handler)
        assert 290 <= told["cpu_ms"] < 5000, told
        assert 64 * MIB < told["max_rss_bytes"] < 1024 * MIB, told
    # A process that serves many jobs cannot say what one of them has used.
    assert not {"cpu_ms", "max_rss_bytes", "memory_peak_bytes"} & set(run(client, "w", "pid"))
    assert "cpu_ms" not in run(client, "no-such-handler")


BURN = "while True: pass"
BUSY_S = 240  # for a second of processor time, on a busy machine


def run_long(client, handler, payload=""):
    job = submit(client, handler, payload)
    wait_until(lambda: client.exists(f"stint:{{default}}:result:{job}"), "result", BUSY_S)
    return result(client, job)


def test_the_cpu_limit_kills_and_is_named(stintd, client):
    stubborn = "import signal; signal.signal(signal.SIGXCPU, lambda *_: None)\n" + BURN
    stintd({"defaults": {"limits": {"cpu": "1s"}, "timeout": "5min"}, "handlers": {
        "burns": py(BURN), "stubborn": py(stubborn),
        "shell": sh(f"/usr/bin/python3 -S -c '{BURN}'; exit 7")}})
    for handler, signal_name in ("burns", "SIGXCPU"), ("stubborn", "SIGKILL"):
        told = run_long(client, handler)
        assert (told["status"], told["error"], told["signal"]) == (
            "crashed", "killed: cpu limit 1s", signal_name)
    told = run_long(client, "shell")
    assert (told["status"], told["error"]) == ("error", "exit code 7, near its cpu limit 1s")


def test_a_worker_has_its_cpu_limit_for_each_job(stintd, client):
    stintd({"concurrency": 1, "handlers": {"w": worker(limits={"cpu": "1s"}, timeout="5min")}})
    first = run(client, "w", "pid")["output"]
    for _ in range(5):  # more than two limits, together
        assert run_long(client, "w", "burns 0.5")["status"] == "ok"
    assert run(client, "w", "pid")["output"] == first
    told = run_long(client, "w", "burns 60")
    assert (told["status"], told["error"], told["signal"]) == (
        "crashed", "killed: cpu limit 1s", "SIGXCPU")
    assert run(client, "w", "echo next")["output"] == "next"


def test_who_gets_no_more_memory_fails_and_the_limit_is_told(stintd, client):
    # in steps: what was used is near the limit then
    eat = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    stintd({"handlers": {"eats": py(eat, limits={"memory": "64MiB"}),
                         "w": worker(limits={"memory": "64MiB"}),
                         "fits": py("bytearray(32 << 20)", limits={"memory": "64MiB"})}})
    told = run(client, "eats")
    assert (told["status"], told["error"]) == ("error", "exit code 1, near its memory limit 64MiB")
    assert "MemoryError" in told["stderr"]
    assert 48 * MIB < told["max_rss_bytes"] < 96 * MIB
    assert run(client, "fits")["status"] == "ok"
    told = run(client, "w", "crime eats")
    assert (told["status"], told["error"]) == (
        "crashed", "its process ended: exit code 1, near its memory limit 64MiB")
    assert run(client, "w", "echo next")["output"] == "next"


def test_reserved_addresses_are_not_memory(stintd, client):
    """As Go, Java and Node do it: the limit is none of addresses."""
    reserve = "import mmap; mmap.mmap(-1, 8 << 30, prot=0, flags=mmap.MAP_PRIVATE); print('ok')"
    stintd({"handlers": {"job": py(reserve, limits={"memory": "64MiB"})}})
    assert run(client, "job")["output"] == "ok\n"


def test_descriptors_end_at_their_limit(stintd, client):
    stintd({"handlers": {"job": py("import os\nwhile True: print(os.dup(1), flush=True)",
                                   limits={"files": 20})}})
    told = run(client, "job")
    assert told["status"] == "error" and told["output"].split()[-1] == "19"
    assert "Too many open files" in told["stderr"]


# ---- as whom ----


IDS = ("import json, os; print(json.dumps([os.getresuid(), os.getresgid(), sorted(os.getgroups()),"
       " {n: os.environ.get(n) for n in ('HOME', 'USER', 'LOGNAME', 'SHELL')}]))")


@root_only
def test_a_handler_runs_as_its_user(stintd, client):
    user = pwd.getpwnam("daemon")
    groups = sorted(os.getgrouplist("daemon", user.pw_gid))
    other = grp.getgrnam("games").gr_gid
    stintd({"handlers": {
        "user": py(IDS, user="daemon", environment={"USER": "own"}),
        "number": py(IDS, user=str(user.pw_uid)),
        "both": py(IDS, user="daemon", group="games"), "group": py(IDS, group="games")}})
    uid, gid = user.pw_uid, user.pw_gid
    of_user = {"HOME": user.pw_dir, "USER": "daemon", "LOGNAME": "daemon",
               "SHELL": user.pw_shell}
    assert json.loads(run(client, "user")["output"]) == [
        [uid] * 3, [gid] * 3, groups, {**of_user, "USER": "own"}]
    assert json.loads(run(client, "number")["output"]) == [[uid] * 3, [gid] * 3, groups, of_user]
    assert json.loads(run(client, "both")["output"]) == [
        [uid] * 3, [other] * 3, sorted(os.getgrouplist("daemon", other)), of_user]
    told = json.loads(run(client, "group")["output"])
    assert told[:3] == [[0] * 3, [other] * 3, [other]]


@root_only
def test_a_worker_runs_as_its_user_and_others_do_not(stintd, client, folder):
    stintd({"handlers": {"w": worker(for_others(WORKER, folder), user="daemon"), "job": sh("id -u")}})
    status = run(client, "w", "status")["output"]
    uid = pwd.getpwnam("daemon").pw_uid
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
    assert run(client, "job")["output"] == "0\n"


@root_only
@pytest.mark.parametrize("payload", ["", "some"])
def test_another_user_can_open_its_standard_streams(stintd, client, payload):
    before = os.stat("/dev/null")
    stintd({"handlers": {"job": sh("cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr;"
                                   " exit 3", user="daemon")}})
    told = run(client, "job", payload)
    assert (told["output"], told["stderr"]) == (payload + "out\n", "err\n")
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@root_only
def test_a_job_of_another_user_is_ended_like_any(stintd, client, folder):
    deaf = f"trap '' TERM; setsid sleep 60 & echo $$ $! >>{folder}/pids; sleep 60; sleep 60"
    os.chmod(folder, 0o777)
    stintd({"concurrency": 1, "handlers": {
        "job": sh(deaf, user="daemon", timeout="300ms", kill_grace="100ms"),
        "w": worker(for_others(WORKER, folder), user="daemon", kill_grace="100ms")}})
    told = run(client, "job")
    assert (told["status"], told["signal"]) == ("timeout", "SIGKILL")
    pids = [int(pid) for pid in Path(f"{folder}/pids").read_text().split()]
    assert len(pids) == 2 and not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    first = run(client, "w", "pid")["output"]
    assert run(client, "w", "ignores /dev/null", timeout="200ms")["status"] == "timeout"
    assert not os.path.exists(f"/proc/{first}")


@root_only
def test_a_user_s_processes_are_bounded(stintd, client):
    """RLIMIT_NPROC, which does not hold for root: a fork bomb stays within it. It counts all
    of the user's, so no other test runs as this one."""
    bomb = ("import os, sys, time\nn = 0\ntry:\n while True:\n  if os.fork() == 0: time.sleep(60)\n"
            "  n += 1\nexcept OSError as e: print(n, e.strerror)")
    stintd({"handlers": {"job": py(bomb, user="uucp", limits={"processes": 20})}})
    told = run(client, "job")
    assert (told["status"], told["output"]) == ("ok", "19 Resource temporarily unavailable\n")


@root_only
def test_a_directory_is_entered_as_the_user(stintd, client, folder):
    os.chmod(folder, 0o700)
    stintd({"handlers": {"job": sh("pwd", user="daemon", directory=folder)}})
    told = run(client, "job")
    assert (told["status"], told["error"]) == ("error", f"directory {folder}: Permission denied")


def check(folder, handler, **options):
    """What --check says of a handler."""
    path = Path(folder) / "stint.yaml"
    path.write_text(json.dumps({"handlers": {"h": {"command": ["true"], **handler}}}))
    done = subprocess.run([for_others(STINTD, folder), "--check", "--config", path],
                          capture_output=True, text=True, check=False, **options)
    assert done.returncode == (78 if done.stderr else 0)
    return done.stderr.partition("handlers.")[2]


def test_who_is_not_known_is_a_fault(folder):
    assert check(folder, {"user": "no-such-user"}) == (
        'h.user: expected a user of this host, got "no-such-user"\n')
    assert check(folder, {"group": "4000000000"}) == (
        'h.group: expected a group of this host, got 4000000000\n')
    assert check(folder, {"user": ""}) == 'h.user: expected a name or a number, got ""\n'


@root_only
def test_only_root_can_become_somebody_else(folder):
    nobody = pwd.getpwnam("nobody")
    as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    why = "expected the daemon's own, or a daemon that is started as root, got"
    assert check(folder, {"user": "daemon"}, **as_nobody) == f'h.user: {why} "daemon"\n'
    assert check(folder, {"group": "games"}, **as_nobody) == f'h.group: {why} "games"\n'
    assert check(folder, {"user": "nobody"}, **as_nobody) == ""
    assert check(folder, {"user": "daemon", "group": "games"}) == ""


@pytest.mark.parametrize("limits, fault", [
    ({"memory": "1KiB"}, 'limits.memory: expected 1MiB..65536GiB or none, got 1KiB'),
    ({"memory": "lots"}, 'limits.memory: expected a size such as "1MiB" or none, got "lots"'),
    ({"cpu": "10ms"}, 'limits.cpu: expected 1s..365d or none, got 10ms'),
    ({"files": 2}, "limits.files: expected 8..1048576 or none, got 2"),
    ({"processes": 0}, "limits.processes: expected 1..1048576 or none, got 0"),
    ({"memroy": "1GiB"},
     'limits.memroy: expected a known key, got an unknown one; did you mean "memory"?')])
def test_a_faulty_limit_is_told(folder, limits, fault):
    assert check(folder, {"limits": limits}) == f"h.{fault}\n"

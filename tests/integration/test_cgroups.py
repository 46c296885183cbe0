"""A control group for each job, where a part of the cgroup v2 tree is delegated.

The tests make such a part themselves and mark it as a service manager would. Where the tree
has no controllers (they may all be in v1 hierarchies), groups are made, killed and removed
all the same; only what the controllers do needs them, and is tested where they are.
"""
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from gates import is_alive, quiet, status_of
from util import STINTD, for_others, is_drained, result, run, submit, wait_until

WORKER = str(Path(__file__).with_name("worker.py"))
MIB = 1 << 20


def find_tree():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 "):
            return Path(fields.split()[4])
    return None


def own_group():
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:].lstrip("/")
    return ""


TREE = find_tree()
ABOVE = TREE / own_group() if TREE else None


def can_delegate():
    if os.geteuid() != 0 or not ABOVE:
        return False
    with contextlib.suppress(OSError):
        (ABOVE / "stint-probe").mkdir()
        (ABOVE / "stint-probe").rmdir()
        return True
    return False


pytestmark = pytest.mark.skipif(not can_delegate(), reason="needs root and a cgroup v2 tree")


class Unit:
    """The control group of a service, and how a daemon is started in it."""

    def __init__(self, folder, root):
        self.folder, self.root = Path(folder), root
        root.mkdir()

    def program(self, below=""):
        """A stintd that is in the group from its beginning."""
        at = self.root / below
        at.mkdir(exist_ok=True)
        path = self.folder / "in-group"
        path.write_text(f'#!/bin/sh\necho $$ >{at}/cgroup.procs\nexec {STINTD} "$@"\n')
        path.chmod(0o755)
        return path

    def mark(self, name="user.delegate"):
        os.setxattr(self.root, name, b"1")
        return self

    def leaves(self):
        return sorted(p.name for p in self.root.iterdir() if p.name.startswith("job-"))

    def has(self, controller):
        return controller in (self.root / "cgroup.subtree_control").read_text().split()

    def close(self):
        with contextlib.suppress(OSError):
            (self.root / "cgroup.kill").write_text("1")
        for path, _, _ in os.walk(self.root, topdown=False):
            wait_until(lambda path=path: is_removed(path), f"{path} removed")


def is_removed(path):
    with contextlib.suppress(FileNotFoundError, OSError):
        os.rmdir(path)
    return not os.path.exists(path)


@pytest.fixture
def unit(folder):
    made = Unit(folder, ABOVE / f"stint-test-{os.getpid()}.service")
    yield made
    made.close()


@pytest.fixture
def grouped(unit, stintd):  # whose daemons stop before the group goes
    """stintd() in a group that is delegated."""
    unit.mark()

    def start(config, **options):
        daemon = stintd(config, program=unit.program(), **options)
        daemon.wait_log("jobs have control groups")
        return daemon
    return start


def sh(script, **more):
    return {"command": ["sh", "-c", script.replace("$", "$$")], **more}


def worker(program=WORKER, **more):
    return {"worker": ["/usr/bin/python3", "-S", program], **more}


WHERE = sh("sed -n s/^0:://p /proc/self/cgroup")


def test_each_job_has_a_group_that_goes_with_it(grouped, unit, client):
    grouped({"concurrency": 1, "handlers": {"job": WHERE}})
    seen = {run(client, "job")["output"].strip() for _ in range(3)}
    assert len(seen) == 3
    assert {os.path.dirname(path) for path in seen} == {str(unit.root)[len(str(TREE)):]}
    assert not unit.leaves()
    # No process is in the group that is divided.
    assert (unit.root / "cgroup.procs").read_text() == ""
    assert (unit.root / "stintd" / "cgroup.procs").read_text()


def test_a_worker_has_one_for_as_long_as_it_lives(grouped, unit, client):
    daemon = grouped({"concurrency": 1, "handlers": {"w": worker(), "job": WHERE}})
    first = int(run(client, "w", "pid")["output"])
    leaf, = unit.leaves()
    assert (unit.root / leaf / "cgroup.procs").read_text() == f"{first}\n"
    assert run(client, "job")["status"] == "ok"
    assert run(client, "w", "die 3")["status"] == "crashed"
    assert not unit.leaves()
    assert run(client, "w", "pid")["status"] == "ok"
    assert unit.leaves() not in ([], [leaf])
    daemon.stop()
    assert not unit.leaves()


def test_nothing_of_a_job_is_left_in_or_out_of_its_group(grouped, unit, client, folder):
    """Also what has left its session, and a group that the job has made below its own."""
    nested = ("own=" + str(TREE) + "$(sed -n s/^0:://p /proc/self/cgroup); mkdir $own/a $own/a/b;"
              " echo $$ >$own/a/b/cgroup.procs; ")
    leave = (f"(setsid sh -c 'echo $$ >{folder}/$0; exec sleep 60' $0 &); "
             f"until test -s {folder}/$0; do sleep 0.01; done; ")
    handlers = {"ends": sh(nested + leave),
                "late": sh("trap '' TERM; " + nested + leave + "sleep 60", timeout="2s",
                           kill_grace="100ms")}
    for name, handler in handlers.items():
        handler["command"].append(name)
    grouped({"handlers": handlers})
    for name, status in ("ends", "ok"), ("late", "timeout"):
        assert run(client, name)["status"] == status
        assert not is_alive(int(Path(folder, name).read_text()))
        assert not unit.leaves()


def test_the_group_of_a_killed_keeper_is_removed(grouped, unit, client):
    grouped({"concurrency": 1, "handlers": {"job": sh("kill -KILL $PPID; sleep 60"),
                                            "next": WHERE}})
    told = run(client, "job")
    assert (told["status"], told["error"]) == ("crashed", "its supervisor was killed")
    assert not unit.leaves()
    assert run(client, "next")["status"] == "ok"


def test_what_a_killed_daemon_has_left_is_removed_by_the_next(grouped, unit, client, folder):
    daemon = grouped({"concurrency": 1, "lease": "10s", "handlers": {
        "job": sh(f"echo $$ >{folder}/pid; test -e {folder}/twice && exit; touch {folder}/twice;"
                  " sleep 60")}})
    job = submit(client, "job")
    wait_until(lambda: Path(f"{folder}/pid").exists() and Path(f"{folder}/pid").read_text(), "pid")
    pid = int(Path(f"{folder}/pid").read_text())
    # All that could clean up is stopped before it is killed, but for the job.
    others = [p for p in map(int, (unit.root / "stintd" / "cgroup.procs").read_text().split())]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    wait_until(lambda: all(status_of(other)[1] == "T" for other in others), "all to stop")
    for other in [daemon.process.pid, *others]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(other, signal.SIGKILL)
    daemon.process.wait()
    left = unit.leaves()
    assert len(left) == 1
    # a process of another's making, which no parent-death signal ends
    stranger = os.fork()
    if stranger == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        os._exit(0)
    (unit.root / left[0] / "cgroup.procs").write_text(str(stranger))
    grouped({"concurrency": 1, "lease": "10s", "handlers": {"job": sh("echo again")}})
    assert os.waitpid(stranger, 0)[1] == signal.SIGKILL
    assert not is_alive(pid)
    assert left[0] not in unit.leaves()
    assert result(client, job)["output"] == "again\n"


def test_two_daemons_do_not_share_a_group(grouped, stintd, unit, client):
    first = grouped({"handlers": {"job": WHERE}})
    second = stintd({"handlers": {"job": WHERE}}, program=unit.program("stintd"))
    second.wait_log("another daemon uses its control group")
    group = str(unit.root)[len(str(TREE)):]
    quiet(client, second)
    assert run(client, "job")["output"].startswith(f"{group}/job-")
    quiet(client, first)
    second.signal(signal.SIGCONT)
    assert run(client, "job")["output"] == f"{group}/stintd\n"


@pytest.mark.parametrize("reason", ["not marked", "not alone", "marked for root"])
def test_only_what_is_delegated_is_used(unit, stintd, client, reason):
    program = unit.program()
    if reason != "not marked":
        unit.mark("trusted.delegate")
    if reason == "not alone":
        program.write_text(program.read_text().replace("exec ", "env -i sleep 60 & exec "))
    daemon = stintd({"handlers": {"job": WHERE}}, program=program)
    told = run(client, "job")["output"].strip()
    if reason == "marked for root":
        assert told.startswith(str(unit.root)[len(str(TREE)):] + "/job-")
        return
    assert told == str(unit.root)[len(str(TREE)):]
    why = {"not marked": "is not delegated", "not alone": "other processes are in"}[reason]
    line, = [line for line in daemon.log().splitlines() if "control group" in line]
    assert "jobs have no control groups" in line and why in line and " warning" not in line


def test_a_daemon_in_a_subgroup_uses_the_group_above(unit, stintd, client):
    """DelegateSubgroup= of systemd 254."""
    unit.mark()
    stintd({"handlers": {"job": WHERE}}, program=unit.program("main"))
    assert run(client, "job")["output"].startswith(str(unit.root)[len(str(TREE)):] + "/job-")
    assert not (unit.root / "stintd").exists()


# Says that there is no clone3(2), number 435 everywhere, as a service manager's filter may,
# and executes the rest of its arguments.
NO_CLONE3 = """
import ctypes, os, struct, sys
ALLOW, NO_SUCH_CALL = 0x7fff0000, 0x00050000 | 38
filters = [(0x20, 0, 0, 0), (0x15, 0, 1, 435), (0x06, 0, 0, NO_SUCH_CALL), (0x06, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *f) for f in filters))
libc = ctypes.CDLL(None, use_errno=True)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("user", [{}, {"user": "daemon"}], ids=["own", "other"])
def test_without_clone3_processes_move_into_their_group(unit, stintd, client, folder, user):
    unit.mark()
    program = unit.program()
    script = Path(folder) / "no-clone3"
    script.write_text(NO_CLONE3)
    program.write_text(program.read_text().replace(
        "exec ", f"exec /usr/bin/python3 -S {script} "))
    daemon = stintd({"concurrency": 1, "handlers": {
        "job": {**WHERE, **user},
        "w": worker(for_others(WORKER, folder), **user)}}, program=program)
    daemon.wait_log("jobs have control groups")
    assert "Seccomp:\t2\n" in Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert run(client, "job")["output"].startswith(str(unit.root)[len(str(TREE)):] + "/job-")
    pid = run(client, "w", "pid")["output"]
    leaf, = unit.leaves()
    assert (unit.root / leaf / "cgroup.procs").read_text() == f"{pid}\n"


def test_another_user_s_job_has_a_group_and_no_rights_to_it(grouped, client):
    leave = f"echo $$ >{TREE}/cgroup.procs; sed -n s/^0:://p /proc/self/cgroup"
    grouped({"handlers": {"job": sh(leave, user="daemon")}})
    assert "/job-" in run(client, "job")["output"]


def test_a_reload_and_many_jobs_leave_no_group(grouped, unit, client):
    config = {"concurrency": 4, "handlers": {
        "job": sh("sleep 60 & setsid sleep 60 & exit 0"), "w": worker()}}
    daemon = grouped(config)
    jobs = [submit(client, name, "pid") for _ in range(20) for name in ("job", "w")]
    assert {result(client, job)["status"] for job in jobs} == {"ok"}
    config["handlers"] = {"job": config["handlers"]["job"]}
    daemon.write_config(config)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("reloaded")
    for job in [submit(client, "job") for _ in range(20)]:
        result(client, job)
    wait_until(lambda: is_drained(client), "drained")
    # of the workers, which nobody needs any more, some may still be there
    for leaf in unit.leaves():
        [pid] = (unit.root / leaf / "cgroup.procs").read_text().split()
        assert b"worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    daemon.stop()
    assert not unit.leaves()


# ---- with controllers ----


@pytest.fixture
def controlled(unit, grouped):
    """stintd() where memory and pids are limited, or no test."""
    def start(config):
        daemon = grouped(config)
        if not (unit.has("memory") and unit.has("pids")):
            pytest.skip("the tree has no controllers for memory and pids")
        return daemon
    return start


# One process has its RLIMIT_DATA first; two of them are over the limit together.
TWO = ("import os, time\nos.fork()\nx = []\nfor i in range(40):\n x.append(bytearray(1 << 20))\n"
       "time.sleep(20)")


def test_memory_over_the_limit_kills_the_job_and_is_named(controlled, client):
    controlled({"handlers": {"job": {"command": ["/usr/bin/python3", "-S", "-c", TWO],
                                     "limits": {"memory": "64MiB"}}}})
    told = run(client, "job")
    assert (told["status"], told["error"]) == ("crashed", "killed: memory limit 64MiB")
    assert told["signal"] == "SIGKILL"
    assert 60 * MIB < told["memory_peak_bytes"] <= 64 * MIB


def test_a_fork_bomb_ends_at_its_processes(controlled, client):
    bomb = ("import os, time\nn = 0\ntry:\n while True:\n  if os.fork() == 0: time.sleep(60)\n"
            "  n += 1\nexcept OSError as e: raise SystemExit(f'{n} {e.strerror}')")
    controlled({"handlers": {"job": {"command": ["/usr/bin/python3", "-S", "-c", bomb],
                                     "limits": {"processes": 10}}, "other": WHERE}})
    told = run(client, "job")
    assert (told["status"], told["error"]) == ("error", "exit code 1, at its limit of 10 processes")
    assert "9 Resource temporarily unavailable" in told["stderr"]
    assert run(client, "other")["status"] == "ok"

"""The processes of a job: none outlives it, none delays it, and the pool stays whole."""
import contextlib
import os
from pathlib import Path

import pytest
from gates import is_alive
from util import is_drained, result, run, submit, wait_until

# In the environment of a handler, and with that of everything that its jobs start.
MARK = "STINT_TEST_JOB"


def sh(script, **more):
    """A handler that is a shell script; each $ is one for the shell."""
    return {"command": ["sh", "-c", script.replace("$", "$$")], **more}


def py(script, **more):
    return {"command": ["/usr/bin/python3", "-S", "-c", script], **more}


def marked(folder, handlers):
    return {name: {**conf, "environment": {MARK: str(folder)}} for name, conf in handlers.items()}


def processes(folder):
    """All processes that the jobs of this test have left, however they hide."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if (entry.name.isdigit()
                    and f"{MARK}={folder}".encode() in (entry / "environ").read_bytes()):
                found.append(int(entry.name))
    return found


# Each leaves something behind that notes its pid in $STINT_X_PIDS and would stay.
STAY = "echo $$ >>$STINT_X_PIDS; exec sleep 60"
DEAF = "trap '' TERM HUP INT; echo $$ >>$STINT_X_PIDS; sleep 60; sleep 60"
DOUBLE_FORK = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(s, signal.SIG_IGN)
        with open(os.environ["STINT_X_PIDS"], "a") as f:
            f.write(f"{os.getpid()}\\n")
        time.sleep(60)
    os._exit(0)
while not os.path.exists(os.environ["STINT_X_PIDS"]):
    time.sleep(0.005)
"""
WAIT_FOR_IT = "until test -s $STINT_X_PIDS; do sleep 0.01; done; echo done"
LEAVERS = {
    "child": sh(f"sh -c '{STAY}' & {WAIT_FOR_IT}"),
    "session": sh(f"setsid sh -c '{STAY}' & {WAIT_FOR_IT}"),
    "deaf": sh(f"""setsid sh -c "{DEAF.replace('$', chr(92) + '$')}" & {WAIT_FOR_IT}"""),
    "daemon": py(DOUBLE_FORK + "print('done')"),
    "chain": sh(f"setsid setsid sh -c 'setsid sh -c \"sleep 60\" & {STAY}' & {WAIT_FOR_IT}"),
}


@pytest.mark.parametrize("handler", LEAVERS)
def test_nothing_that_a_job_started_outlives_it(stintd, client, folder, handler):
    stintd({"handlers": marked(folder, LEAVERS)})
    told = run(client, handler, x_pids=f"{folder}/pids")
    assert (told["status"], told["output"]) == ("ok", "done\n")
    # It holds stdout open, and yet the job was over when its process was.
    assert told["finished_ms"] - told["started_ms"] < 2000
    pids = [int(pid) for pid in Path(f"{folder}/pids").read_text().split()]
    assert pids
    # Not "soon": when the result is there, they are gone.
    assert not [pid for pid in pids if is_alive(pid)]
    assert not processes(folder)


@pytest.mark.parametrize("handler", ["child", "session", "deaf", "daemon"])
def test_a_timeout_ends_the_whole_tree(stintd, client, folder, handler):
    command = LEAVERS[handler]["command"]
    stay = "\ntime.sleep(60)" if handler == "daemon" else "; sleep 60"
    stintd({"handlers": marked(folder, {"job": {
        "command": [*command[:-1], command[-1] + stay], "timeout": "400ms",
        "kill_grace": "100ms"}})})
    told = run(client, "job", x_pids=f"{folder}/pids")
    assert told["status"] == "timeout"
    assert told["finished_ms"] - told["started_ms"] < 2500
    pids = [int(pid) for pid in Path(f"{folder}/pids").read_text().split()]
    assert pids and not [pid for pid in pids if is_alive(pid)]
    assert not processes(folder)


def test_a_held_pipe_does_not_delay_the_result(stintd, client, folder):
    stintd({"handlers": marked(folder, {
        "holder": sh("setsid sleep 60 & echo out; echo err >&2; exit 3")})})
    told = run(client, "holder")
    assert (told["exit_code"], told["output"], told["stderr"]) == (3, "out\n", "err\n")
    assert told["finished_ms"] - told["started_ms"] < 1500
    assert not processes(folder)


def test_output_written_just_before_the_end_is_whole(stintd, client):
    stintd({"handlers": {"job": sh("head -c 60000 /dev/zero | tr '\\0' x")}})
    jobs = [submit(client, "job") for _ in range(50)]
    assert {len(result(client, job)["output"]) for job in jobs} == {60000}


NASTY = {
    "ok": sh("cat >/dev/null"),
    "crash": sh("kill -SEGV $$"),
    "late": sh("trap '' TERM; sleep 60", timeout="20ms", kill_grace="20ms"),
    "flood": {"command": ["yes"], "output_limit": "1KiB"},
    "missing": {"command": ["/no/such/program"]},
    "lost": {"command": ["true"], "directory": "/no/such"},
    "holder": sh("setsid sleep 60 &"),
    "stopped": sh("kill -STOP $$", timeout="20ms", kill_grace="20ms"),
    "parent": sh("kill -KILL $PPID; sleep 60"),
    "closed": sh("exec <&- >&- 2>&-; sleep 0.01"),
}


def wait_together(folder):
    """A handler that ends only once two of it run at the same time."""
    return sh(f"echo x >>{folder}/here; until test $(wc -l <{folder}/here) = 2; do sleep 0.01;"
              " done", timeout="20s")


def test_the_pool_has_all_its_workers_after_many_nasty_jobs(stintd, client, folder):
    daemon = stintd({"concurrency": 2, "handlers": marked(
        folder, {**NASTY, "together": wait_together(folder)})})
    jobs = {submit(client, name, "p" * 100): name for _ in range(4) for name in NASTY}
    told = {}
    for job, name in jobs.items():
        told.setdefault(name, set()).add(result(client, job)["status"])
    assert told == {
        "ok": {"ok"}, "crash": {"crashed"}, "late": {"timeout"}, "flood": {"error"},
        "missing": {"error"}, "lost": {"error"}, "holder": {"ok"}, "stopped": {"timeout"},
        "parent": {"crashed"}, "closed": {"ok"}}
    assert not processes(folder)
    pair = [submit(client, "together") for _ in range(2)]
    assert [result(client, job)["status"] for job in pair] == ["ok", "ok"]
    wait_until(lambda: is_drained(client), "drained")
    assert daemon.process.poll() is None


def test_the_daemon_holds_no_descriptor_or_thread_of_what_is_over(stintd, client):
    daemon = stintd({"concurrency": 2, "handlers": NASTY})
    proc = Path(f"/proc/{daemon.process.pid}")

    def counts():
        return len(os.listdir(proc / "fd")), len(os.listdir(proc / "task"))

    def run_all():
        for job in [submit(client, name, "p") for name in NASTY if name != "parent"]:
            result(client, job)

    run_all()
    wait_until(lambda: is_drained(client), "drained")
    before = counts()
    for _ in range(3):
        run_all()
    wait_until(lambda: counts() == before, f"{before} again")


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_so_many_jobs_run_at_once_and_never_more(stintd, client, folder, concurrency):
    # Each says how many run; none ends before all that may run do.
    counter = f"""
import fcntl, os, sys, time
def change(by):
    with open({str(folder)!r} + "/count", "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        now, most = ([int(n) for n in f.read().split()] or [0, 0])
        now += by
        f.truncate(0)
        f.write(f"{{now}} {{max(most, now)}}")
        return max(most, now)
most = change(1)
while most < {concurrency}:
    time.sleep(0.005)
    most = change(0)
print(most)
change(-1)
"""
    stintd({"concurrency": concurrency, "handlers": {"count": py(counter, timeout="20s")}})
    jobs = [submit(client, "count") for _ in range(3 * concurrency)]
    assert {result(client, job)["output"] for job in jobs} == {f"{concurrency}\n"}
    assert Path(f"{folder}/count").read_text().split() == ["0", str(concurrency)]

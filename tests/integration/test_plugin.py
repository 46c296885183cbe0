"""Handlers that are shared objects: `plugin`, in a process and in a thread of the daemon."""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from util import BUILD, STINTD, is_drained, result, run, submit, wait_until

PLUGINS = BUILD / "tests" / "plugins"
PROBE = str(PLUGINS / "probe.so")
# The sanitizers would turn a crash into a report and an exit.
CRASHES = {"ASAN_OPTIONS": "handle_segv=0:handle_abort=0:detect_leaks=0",
           "TSAN_OPTIONS": "handle_segv=0:handle_abort=0"}


def plugin(isolation="process", **more):
    if isolation == "process":
        more = {"environment": CRASHES, **more}
    return {"plugin": PROBE, "isolation": isolation, **more}


def one(isolation="process", concurrency=1, **more):
    """One slot, so that every job comes to the same place."""
    keys = {key: more.pop(key) for key in ("max_stuck", "lease", "shutdown_timeout")
            if key in more}
    return {"concurrency": concurrency, "handlers": {"p": plugin(isolation, **more)}, **keys}


def told(client, payload, **fields):
    """What came of a job: status, and output or error."""
    answer = run(client, "p", payload, **fields)
    return answer["status"], answer["output"] if answer["status"] == "ok" else answer["error"]


def wait_file(path):
    wait_until(lambda: os.path.exists(path), f"file {path}")


def touch(path):
    Path(path).touch()


def cancel(client, job):
    client.xadd("stint:{default}:control", {"command": "cancel", "id": job})


def wait_dump(daemon, **wanted):
    """Until SIGUSR1 tells these sums."""
    def told():
        daemon.signal(signal.SIGUSR1)
        lines = [line for line in daemon.log().splitlines() if " state workers=" in line]
        return lines and {f"{name}={value}" for name, value in wanted.items()} <= \
            set(lines[-1].split())
    wait_until(told, f"sums {wanted}")


BOTH = pytest.mark.parametrize("isolation", ["process", "thread"])


# ---- what it gets, what it says ----


@BOTH
def test_output_is_what_was_written(stintd, client, isolation):
    stintd(one(isolation))
    assert told(client, "echo hello") == ("ok", "hello")
    assert told(client, "echo ") == ("ok", "")
    assert told(client, "echo \0\r\n$3") == ("ok", "\0\r\n$3")
    assert run(client, "p", b"echo \xff")["output_base64"] == "/w=="


@BOTH
def test_job_has_all_of_its_fields(stintd, client, isolation):
    stintd(one(isolation, timeout="20s"))
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = run(client, "p", "job", id="my-id", x_tenant="a=b", x_Other="", traceparent=trace)
    text, _, left_ms = answer["output"].rpartition(" left=")
    assert text == f"my-id default p 1 {trace} x-tenant=a=b/3 x-Other=/0"
    assert 0 < int(left_ms) <= 20000
    assert told(client, "job")[1].startswith("1") and told(client, "job")[1].count(" -") == 1


@BOTH
def test_error_may_be_retried_and_fail_may_not(stintd, client, isolation):
    stintd(one(isolation, retries=1, backoff="1ms"))
    answer = run(client, "p", "error today")
    assert (answer["status"], answer["error"], answer["attempt"]) == ("error", "no luck: today", 2)
    assert ("stderr" in answer) == (isolation == "process")
    assert "output" not in answer or answer["output"] == ""
    answer = run(client, "p", "fail x")
    assert (answer["status"], answer["error"], answer["attempt"]) == ("error", "never: x", 1)


@BOTH
def test_what_it_returns_counts_unless_it_has_said_more(stintd, client, isolation):
    stintd(one(isolation))
    assert told(client, "returns 0") == ("ok", "output")
    assert told(client, "returns -5") == ("error", "returned -5: Input/output error")
    assert told(client, "returns 7") == ("error", "returned 7")
    assert told(client, f"returns {-2**31}") == ("error", f"returned {-2**31}")
    assert told(client, "contradicts") == ("error", "it did not work")


@BOTH
def test_large_payloads_go_in_and_out(stintd, client, isolation):
    stintd(one(isolation, output_limit="17MiB", payload_limit="17MiB"))
    size = 16 << 20
    assert told(client, b"length " + b"y" * (size - 7)) == ("ok", str(size - 7))
    assert len(run(client, "p", f"big {size}")["output"]) == size
    assert told(client, "echo on") == ("ok", "on")


@BOTH
def test_output_over_the_limit_is_an_error_for_good(stintd, client, isolation):
    stintd(one(isolation, output_limit="10KiB", retries=3, backoff="1ms"))
    for payload in "big 10241", "too-much":
        answer = run(client, "p", payload)
        assert (answer["status"], answer["error"], answer["attempt"]) == (
            "error", "output over 10KiB (output_limit)", 1)
    assert len(run(client, "p", "big 10240")["output"]) == 10240


@BOTH
def test_library_of_a_plugin_is_that_of_its_program(stintd, client, isolation, folder):
    """A task, and a channel whose wait ends with the job's context."""
    stintd(one(isolation))
    assert told(client, "library") == ("ok", "42")
    job = submit(client, "p", f"waits {folder}/on")
    wait_file(f"{folder}/on")
    cancel(client, job)
    assert result(client, job)["status"] == "cancelled"
    assert told(client, f"waits {folder}/on", timeout="50ms") == ("timeout",
                                                                   "timed out after 50ms")
    assert told(client, "echo on") == ("ok", "on")


@BOTH
def test_progress_of_a_job_that_ends_at_once_leaves_nothing(stintd, client, isolation):
    stintd(one(isolation))
    for _ in range(20):
        assert told(client, "progress") == ("ok", "done")
        assert client.keys("stint:{default}:state:*") == []


@BOTH
def test_progress_is_seen_while_it_runs(stintd, client, folder, isolation):
    stintd(one(isolation))
    job = submit(client, "p", f"progress-until {folder}/go")
    wanted = {b"percent": b"40", b"note": b"still working"}
    wait_until(lambda: wanted.items() <= client.hgetall(f"stint:{{default}}:state:{job}").items(),
               "progress in the state")
    touch(f"{folder}/go")
    assert result(client, job)["output"] == "done"
    assert not client.exists(f"stint:{{default}}:state:{job}")


def test_process_stays_and_serves_one_job_after_another(stintd, client):
    stintd(one(max_jobs=3))
    pids = [told(client, "pid")[1] for _ in range(6)]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4] == pids[5]


def test_idle_process_is_ended(stintd, client):
    stintd(one(idle_timeout="100ms"))
    pid = told(client, "pid")[1]
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the process")
    assert told(client, "pid")[1] != pid


def test_thread_is_the_daemon(stintd, client):
    daemon = stintd(one("thread"))
    assert told(client, "pid") == ("ok", str(daemon.process.pid))


def test_process_has_the_environment_of_its_handler(stintd, client, folder):
    stintd(one(environment={"COLOUR": "blue", **CRASHES}, directory=folder),
           env={"REDIS_PASSWORD": "secret"})
    assert told(client, "environment COLOUR") == ("ok", "blue")
    assert told(client, "environment REDIS_PASSWORD") == ("ok", "(none)")
    assert told(client, "environment STINT_HANDLER") == ("ok", "p")


def test_what_it_prints_is_log_with_job_and_handler(stintd, client):
    daemon = stintd(one())
    job = submit(client, "p", "prints a stray line")
    assert result(client, job)["output"] == "printed"
    for stream, text in ("stdout", "a stray line"), ("stderr", "err a stray line"):
        daemon.wait_log(f'worker printed job={job} queue=default handler=p attempt=1 '
                        f'on={stream} text="{text}"')


# ---- time and cancel ----


@BOTH
def test_cancel_reaches_it(stintd, client, folder, isolation):
    daemon = stintd(one(isolation))
    job = submit(client, "p", f"heeds {folder}/on")
    wait_file(f"{folder}/on")
    cancel(client, job)
    answer = result(client, job)
    assert (answer["status"], answer["error"]) == ("cancelled", "cancelled by command")
    daemon.wait_log("told: cancel, ")
    assert told(client, "echo on") == ("ok", "on")


@BOTH
def test_time_out_reaches_it(stintd, client, folder, isolation):
    stintd(one(isolation, timeout="100ms"))
    assert told(client, f"heeds {folder}/on") == ("timeout", "timed out after 100ms")
    assert told(client, "echo on") == ("ok", "on")


def test_heeding_keeps_the_process(stintd, client, folder):
    stintd(one())
    pid = told(client, "pid")[1]
    assert told(client, f"heeds {folder}/on", timeout="50ms")[0] == "timeout"
    assert told(client, "pid") == ("ok", pid)


@BOTH
def test_shutdown_lets_it_finish_or_hands_it_back(stintd, client, folder, isolation):
    daemon = stintd(one(isolation, shutdown_timeout="100ms", concurrency=2))
    done = submit(client, "p", f"finishes {folder}/a")
    back = submit(client, "p", f"heeds {folder}/b")
    wait_file(f"{folder}/a")
    wait_file(f"{folder}/b")
    daemon.stop()
    assert result(client, done)["output"] == "done"
    assert client.get(f"stint:{{default}}:result:{back}") is None
    assert client.xlen("stint:{default}:jobs") == 1


# ---- crashes, in a process ----


@pytest.mark.parametrize("payload, member, value, error", [
    ("segfault", "signal", "SIGSEGV", "its process ended: killed by SIGSEGV"),
    ("aborts", "signal", "SIGABRT", "its process ended: killed by SIGABRT"),
    ("exits 0", "exit_code", 0, "its process ended: exit code 0"),
    ("exits 3", "exit_code", 3, "its process ended: exit code 3"),
    ("kills-keeper", "attempt", 1, "its supervisor was killed"),
])
def test_crash_is_the_jobs_alone(stintd, client, payload, member, value, error):
    daemon = stintd(one())
    assert told(client, "echo before") == ("ok", "before")
    answer = run(client, "p", payload)
    assert (answer["status"], answer["error"]) == ("crashed", error)
    assert answer[member] == value
    assert told(client, "echo after") == ("ok", "after")
    daemon.stop()


def test_last_words_stand_in_the_result(stintd, client):
    stintd(one())
    assert run(client, "p", "aborts")["stderr"] == "last words\n"


@pytest.mark.parametrize("payload", ["spins {}/on", "stops-itself", "ignores {}/on"])
def test_slot_is_free_soon_after_kill_grace(stintd, client, folder, payload):
    stintd(one(timeout="30s", kill_grace="200ms"))
    assert told(client, "echo warm") == ("ok", "warm")
    begun = time.monotonic()
    job = submit(client, "p", payload.format(folder), timeout="200ms")
    after = submit(client, "p", "echo after")
    answer = result(client, job)
    assert (answer["status"], answer["error"]) == ("timeout", "timed out after 200ms")
    assert result(client, after)["output"] == "after"
    if not os.environ.get("STINT_SAN"):  # in which the next process is slow to start
        assert time.monotonic() - begun < 0.2 + 0.2 + 1


def test_closing_all_descriptors_is_a_crash(stintd, client):
    stintd(one(kill_grace="200ms"))
    answer = run(client, "p", "closes-all")
    assert (answer["status"], answer["error"]) == ("crashed", "its process closed descriptor 4")
    assert told(client, "echo after") == ("ok", "after")


# ---- a thread that is not given back ----


def test_thread_that_ignores_its_context_is_told_and_replaced(stintd, client, folder):
    daemon = stintd(one("thread", timeout="100ms", kill_grace="100ms"))
    job = submit(client, "p", f"ignores {folder}/on")
    answer = result(client, job)
    assert (answer["status"], answer["error"]) == (
        "timeout", "timed out after 100ms; its plugin does not heed that and keeps its thread")
    assert (answer["attempt"], "output" in answer and answer["output"]) == (1, "")
    daemon.wait_log("plugin ignores its context and keeps its thread")
    daemon.wait_state("1 stuck")
    assert told(client, "echo on") == ("ok", "on")
    wait_dump(daemon, workers=1, busy=0, stuck=1)
    touch(f"{folder}/on.go")
    daemon.wait_log("plugin gave its thread back, its result is dropped")
    wait_until(lambda: "stuck" not in [s for s in daemon.states if s.startswith("STATUS=")][-1],
               "a status without it")
    assert told(client, "echo on") == ("ok", "on")
    assert result(client, job) == answer
    assert is_drained(client)
    daemon.stop()


def test_cancelled_thread_that_ignores_it_is_cancelled_all_the_same(stintd, client, folder):
    daemon = stintd(one("thread", kill_grace="50ms"))
    job = submit(client, "p", f"ignores {folder}/on")
    wait_file(f"{folder}/on")
    cancel(client, job)
    answer = result(client, job)
    assert answer["status"] == "cancelled"
    assert answer["error"] == ("cancelled by command; its plugin does not heed that and keeps "
                               "its thread")
    touch(f"{folder}/on.go")
    daemon.wait_log("gave its thread back")


def test_job_of_a_kept_thread_is_retried(stintd, client, folder):
    daemon = stintd(one("thread", timeout="100ms", kill_grace="0s", retries=1, backoff="1ms"))
    job = submit(client, "p", f"ignores {folder}/on")
    answer = result(client, job)
    assert (answer["status"], answer["attempt"]) == ("timeout", 2)
    daemon.wait_state("2 stuck")
    touch(f"{folder}/on.go")
    wait_until(lambda: daemon.log().count("gave its thread back") == 2, "both threads")


def test_kept_thread_does_not_count_for_the_limit_of_its_handler(stintd, client, folder):
    config = one("thread", timeout="100ms", kill_grace="50ms", concurrency=2)
    config["handlers"]["p"]["concurrency"] = 1
    daemon = stintd(config)
    kept = submit(client, "p", f"ignores {folder}/on")
    behind = [submit(client, "p", "echo on") for _ in range(5)]
    assert result(client, kept)["status"] == "timeout"
    assert [result(client, job)["output"] for job in behind] == ["on"] * 5
    touch(f"{folder}/on.go")
    daemon.wait_log("gave its thread back")
    assert told(client, "echo on") == ("ok", "on")


def test_daemon_ends_with_70_when_too_many_threads_are_kept(stintd, client, folder):
    daemon = stintd(one("thread", timeout="50ms", kill_grace="50ms", max_stuck=2,
                        concurrency=2))
    jobs = [submit(client, "p", f"ignores {folder}/{i}") for i in range(2)]
    assert [result(client, job)["status"] for job in jobs] == ["timeout"] * 2
    assert daemon.wait_end() == 70
    assert "plugins keep too many threads; stopping, start me again" in daemon.log()
    daemon.check_clean()
    assert is_drained(client)


def test_stop_does_not_wait_for_a_kept_thread(stintd, client, folder):
    """Other handlers get their time all the same, and their processes their end."""
    config = one("thread", timeout="50ms", kill_grace="50ms", concurrency=2)
    config["handlers"]["slow"] = {
        "command": ["sh", "-c", f"touch {folder}/slow; "
                    f"until test -e {folder}/end; do sleep 0.01; done; echo done"]}
    daemon = stintd(config)
    result(client, submit(client, "p", f"ignores {folder}/on"))
    slow = submit(client, "slow")
    wait_file(f"{folder}/slow")
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping")
    touch(f"{folder}/end")
    assert daemon.wait_end() == 0
    assert result(client, slow)["output"] == "done\n"
    assert is_drained(client)


def test_shutdown_hands_back_what_keeps_its_thread(stintd, client, folder):
    daemon = stintd(one("thread", kill_grace="50ms", shutdown_timeout="50ms"))
    job = submit(client, "p", f"ignores {folder}/on")
    wait_file(f"{folder}/on")
    daemon.stop()
    assert client.get(f"stint:{{default}}:result:{job}") is None
    assert client.xlen("stint:{default}:jobs") == 1


def test_fresh_workers_survive_a_reload(stintd, client, folder):
    config = one("thread", timeout="100ms", kill_grace="50ms", concurrency=2)
    daemon = stintd(config)
    result(client, submit(client, "p", f"ignores {folder}/on"))
    daemon.write_config({**config, "concurrency": 3})
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration reloaded workers=3")
    wait_dump(daemon, workers=3, busy=0, stuck=1)
    touch(f"{folder}/on.go")
    daemon.wait_log("gave its thread back")
    wait_dump(daemon, workers=3, busy=0, stuck=0)
    assert told(client, "echo on") == ("ok", "on")


# ---- what cannot be loaded ----


def check(folder, handlers, *args):
    config = Path(folder) / "stint.yaml"
    config.write_text("handlers:\n" + handlers)
    done = subprocess.run([STINTD, *(args or ["--check"]), "--config", config], timeout=60,
                          capture_output=True, text=True)
    assert done.stderr.count("\n") == (done.returncode != 0)
    return done.returncode, done.stderr.partition(": ")[2].strip()


@BOTH
@pytest.mark.parametrize("name, why", [
    ("other_abi", "was compiled for version 2 of stint/plugin.h, this stint has version 1: "
                  "compile it again"),
    ("newer", "was compiled with the stint/plugin.h of a newer stint: compile it again with the "
              "one of this stint"),
    ("undefined", "undefined symbol: stint_of_another_version"),
    ("none", "has no STINT_PLUGIN(): it is no plugin of stint"),
])
def test_plugin_that_does_not_fit_is_a_fault(folder, name, why, isolation):
    path = PLUGINS / f"{name}.so"
    text = f"  p: {{ plugin: {path}, isolation: {isolation} }}\n"
    for args in ["--check"], ["--dev"]:
        code, fault = check(folder, text, *args)
        assert code == 78
        assert fault.startswith(f"handlers.p.plugin: cannot be loaded: {path}")
        assert why in fault


def test_process_that_a_plugin_starts_does_not_hold_up_the_check(folder, monkeypatch):
    pid_file = Path(folder) / "pid"
    monkeypatch.setenv("LODGER", str(pid_file))
    path = PLUGINS / "lodger.so"
    try:
        assert check(folder, f"  p: {{ plugin: {path}, isolation: thread }}\n") == (0, "")
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), "its pid")
        os.kill(int(pid_file.read_text()), 0)
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("path, why", [
    ("/nowhere/p.so", 'expected a plugin (a shared object), got "/nowhere/p.so": '
                      'No such file or directory'),
    ("/etc/passwd", 'expected a plugin (a shared object), got "/etc/passwd": '
                    'not a shared object'),
    ("/usr", 'expected a plugin (a shared object), got "/usr": not a shared object'),
    ("sub/p.so", "expected an absolute path or a name without a slash, got another path"),
    ("p.so", f'expected a plugin (a shared object) in {BUILD}/plugins, got "p.so": '
             'No such file or directory'),
])
def test_file_that_is_no_plugin_is_a_fault(folder, path, why):
    assert check(folder, f"  p: {{ plugin: {path} }}\n") == (78, f"handlers.p.plugin: {why}")


def test_isolation_is_one_of_two(folder):
    assert check(folder, "  p: { plugin: digest.so, isolation: none }\n") == (
        78, 'handlers.p.isolation: expected process|thread, got "none"')


def test_name_without_a_slash_is_one_of_the_folder_of_plugins(folder):
    assert check(folder, "  p: { plugin: digest.so }\n") == (0, "")


def test_missing_host_is_told_with_its_place(folder):
    """Only the daemon was installed."""
    place = Path(folder) / "sbin"
    place.mkdir()
    shutil.copy(STINTD, place)
    config = Path(folder) / "stint.yaml"
    config.write_text(f"handlers: {{ p: {{ plugin: {PROBE} }} }}\n")
    done = subprocess.run([place / "stintd", "--check", "--config", config], timeout=60,
                          capture_output=True, text=True)
    assert done.returncode == 78
    assert f"expected {folder}/libexec/stint/stint-host, which runs plugins, to be there" in \
        done.stderr
    config.write_text(f"handlers: {{ p: {{ plugin: {PROBE}, isolation: thread }} }}\n")
    subprocess.run([place / "stintd", "--check", "--config", config], timeout=60, check=True)


def test_plugin_that_breaks_later_fails_its_jobs_with_the_reason(stintd, client, folder):
    """It is replaced, and that takes effect when the configuration is read again."""
    path = f"{folder}/p.so"

    def put(name):
        shutil.copy(PLUGINS / f"{name}.so", f"{path}.new")
        os.rename(f"{path}.new", path)
        count = daemon.log().count("configuration reloaded")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count("configuration reloaded") > count, "reload")

    shutil.copy(PROBE, path)
    config = one()
    config["handlers"]["p"]["plugin"] = path
    daemon = stintd(config)
    pid = told(client, "pid")[1]
    put("undefined")
    for _ in range(2):
        assert told(client, "pid") == (
            "error", f"its plugin cannot be loaded: {path}: undefined symbol: "
            "stint_of_another_version")
    put("probe")
    assert told(client, "pid")[0] == "ok"
    assert told(client, "pid")[1] != pid


def test_reload_with_a_thread_plugin_that_does_not_fit_keeps_the_old_one(stintd, client):
    config = one("thread")
    daemon = stintd(config)
    assert told(client, "echo on") == ("ok", "on")
    config["handlers"]["p"]["plugin"] = str(PLUGINS / "other_abi.so")
    daemon.write_config(config)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration not reloaded, the old one stays")
    assert "cannot be loaded" in daemon.log()
    assert told(client, "echo on") == ("ok", "on")


# ---- the helper itself, and the example ----


def test_host_says_how_it_is_used():
    for args in [], ["--what", "x"], ["a", "b", "c"]:
        done = subprocess.run([BUILD / "stint-host", *args], capture_output=True, text=True,
                              timeout=60)
        assert (done.returncode, done.stderr) == (64, "usage: stint-host [--check] PLUGIN\n")
    done = subprocess.run([BUILD / "stint-host", PROBE], capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (
        64, "stint-host: descriptors 3 and 4 are not there: stintd starts it\n")


@BOTH
def test_example_digests(stintd, client, isolation):
    stintd({"handlers": {"digest": {"plugin": "digest.so", "isolation": isolation}}})
    assert run(client, "digest", "hello")["output"] == "a430d84680aabd0b\n"
    assert run(client, "digest", "")["error"] == "empty payload"
    assert run(client, "digest", b"x" * (3 << 20))["status"] == "ok"


def test_the_host_takes_the_name_of_a_file_beside_it(folder):
    shutil.copy(BUILD / "plugins" / "digest.so", f"{folder}/mine.so")
    done = subprocess.run([BUILD / "stint-host", "--check", "mine.so"], cwd=folder, timeout=60,
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

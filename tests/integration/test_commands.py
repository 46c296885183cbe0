"""Commands: what they get, what becomes of how they end, and what they may not do."""
import hashlib
import os
import time

import pytest
from util import is_drained, result, run, submit, wait_until


def sh(script, **more):
    """A handler that is a shell script; each $ is one for the shell."""
    return {"command": ["sh", "-c", script.replace("$", "$$")], **more}


def only(script, **more):
    """The configuration with one handler `job`, which is a shell script."""
    return {"handlers": {"job": sh(script, **more)}}


# what they get


@pytest.mark.parametrize("payload", [
    b"", b"\0", b"no new line", bytes(range(256)) * 1024, b"x" * (3 << 20)],
    ids=["empty", "NUL", "text", "256KiB", "3MiB"])
def test_the_payload_comes_on_standard_input_byte_for_byte(stintd, client, payload):
    stintd({"handlers": {"job": {"command": ["sha256sum"]}, "count": {"command": ["wc", "-c"]}}})
    assert int(run(client, "count", payload)["output"]) == len(payload)
    told = run(client, "job", payload)
    assert told["output"].split()[0] == hashlib.sha256(payload).hexdigest()


def environment(told):
    return dict(line.split("=", 1) for line in told["output"].splitlines())


def test_the_environment_tells_of_the_job(stintd, client):
    stintd({"handlers": {"job": {"command": ["env"], "timeout": "10s"}}, "queues": ["a.b"]})
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    told = run(client, "job", queue="a.b", id="own:1", traceparent=trace,
               **{"x-user": "jane doe", "x-Trace.id": "7", "x-empty": ""})
    env = environment(told)
    assert env["STINT_JOB_ID"] == "own:1"
    assert (env["STINT_QUEUE"], env["STINT_HANDLER"], env["STINT_ATTEMPT"]) == ("a.b", "job", "1")
    assert abs(int(env["STINT_DEADLINE_MS"]) - told["started_ms"] - 10_000) <= 5
    assert env["TRACEPARENT"] == trace
    assert env["STINT_X_USER"] == "jane doe"
    assert env["STINT_X_TRACE_ID"] == "7"
    assert env["STINT_X_EMPTY"] == ""


def test_the_deadline_in_the_environment_is_the_earliest(stintd, client):
    stintd(only("echo $STINT_DEADLINE_MS", timeout="10s"))
    told = run(client, "job", timeout="2s")
    assert abs(int(told["output"]) - told["started_ms"] - 2000) <= 5
    at = int(time.time() * 1000) + 5000
    assert abs(int(run(client, "job", deadline=at)["output"]) - at) <= 5


def test_no_secret_is_inherited_and_the_handler_has_its_own(stintd, client):
    secret = {"AWS_SECRET_ACCESS_KEY": "hidden", "CREDENTIALS_DIRECTORY": "/hidden",
              "STINT_X_USER": "hidden", "TRACEPARENT": "hidden", "LD_PRELOAD": ""}
    stintd({"handlers": {"job": {"command": ["env"], "environment": {
        "OWN": "${PUBLIC}", "LANG": "C.UTF-8", "STINT_QUEUE": "forged", "EMPTY": ""}}}},
        env={**secret, "PUBLIC": "shown", "LANG": "other", "TZ": "UTC"})
    env = environment(run(client, "job"))
    assert not set(secret) & set(env)
    assert not {"NOTIFY_SOCKET", "STINT_TEST_MARK"} & set(env)
    assert {name: env[name] for name in ("OWN", "LANG", "EMPTY", "TZ", "STINT_QUEUE")} == {
        "OWN": "shown", "LANG": "C.UTF-8", "EMPTY": "", "TZ": "UTC", "STINT_QUEUE": "default"}
    assert env["PATH"] == os.environ["PATH"]


def test_a_command_has_no_descriptor_of_the_daemon(stintd, client):
    stintd({"handlers": {"job": {"command": ["ls", "/proc/self/fd"]}}})
    # 3 is ls's own, of the folder; 4 is for progress
    assert run(client, "job", "p")["output"].split() == ["0", "1", "2", "3", "4"]


def test_a_command_runs_in_its_directory(stintd, client, folder):
    daemon = stintd({"handlers": {"there": {"command": ["pwd"], "directory": str(folder)},
                                  "here": {"command": ["pwd"]},
                                  "lost": {"command": ["pwd"], "directory": "/no/such"}}})
    assert run(client, "there")["output"] == f"{folder}\n"
    assert run(client, "here")["output"] == f"{daemon.folder}\n"
    told = run(client, "lost")
    assert (told["status"], told["error"]) == (
        "error", "directory /no/such: No such file or directory")


def test_arguments_are_never_a_shell_line(stintd, client):
    odd = ["a b", "", "*", "; echo no", "$(echo no)", "'\"\\"]
    stintd({"handlers": {"job": {"command": ["printf", "[%s]", *odd]}}})
    assert run(client, "job")["output"] == "".join(f"[{word}]" for word in odd)


# how they end


@pytest.mark.parametrize("code", [1, 2, 64, 65, 127, 255])
def test_any_exit_code_but_0_is_an_error(stintd, client, code):
    stintd(only(f"echo half; echo why >&2; exit {code}"))
    told = run(client, "job")
    assert (told["status"], told["exit_code"]) == ("error", code)
    assert told["error"] == f"exit code {code}"
    assert (told["output"], told["stderr"]) == ("half\n", "why\n")
    assert "signal" not in told


@pytest.mark.parametrize("name", ["SEGV", "KILL", "TERM", "ABRT"])
def test_a_command_that_a_signal_kills_has_crashed(stintd, client, name):
    stintd(only(f"echo half; echo why >&2; kill -{name} $$"))
    told = run(client, "job")
    assert (told["status"], told["signal"]) == ("crashed", f"SIG{name}")
    assert told["error"] == f"killed by SIG{name}"
    assert (told["output"], told["stderr"]) == ("half\n", "why\n")
    assert "exit_code" not in told


def test_success_is_told_without_stderr(stintd, client):
    stintd(only("echo fine; echo chatter >&2"))
    told = run(client, "job")
    assert (told["status"], told["output"]) == ("ok", "fine\n")
    assert not {"stderr", "exit_code", "signal", "error"} & set(told)


def test_of_stderr_the_last_4_kib_are_kept(stintd, client):
    stintd(only("seq 1 20000 >&2; exit 1"))
    whole = "".join(f"{i}\n" for i in range(1, 20001))
    assert run(client, "job")["stderr"] == whole[-4096:]


def test_output_over_its_limit_kills_the_job(stintd, client):
    stintd({"handlers": {"endless": {"command": ["yes"], "output_limit": "1KiB"},
                         "exact": sh("head -c 1024 /dev/zero | tr '\\0' x", output_limit="1KiB"),
                         "over": sh("head -c 1025 /dev/zero", output_limit="1KiB")}})
    assert run(client, "exact")["output"] == "x" * 1024
    for handler in ("endless", "over"):
        told = run(client, handler)
        assert (told["status"], told["error"]) == ("error", "output over 1KiB (output_limit)")
        assert len(told["output"]) == 1024
        assert told["finished_ms"] - told["started_ms"] < 2000


@pytest.mark.parametrize("command, error", [
    (["/no/such/program"], "cannot execute /no/such/program: No such file or directory"),
    (["no-such-program"], "cannot execute no-such-program: No such file or directory"),
    (["/etc/passwd"], "cannot execute /etc/passwd: Permission denied"),
    (["/tmp"], "cannot execute /tmp: Permission denied")])
def test_a_program_that_cannot_be_executed_is_named(stintd, client, command, error):
    stintd({"handlers": {"job": {"command": command}}})
    told = run(client, "job", "p")
    assert (told["status"], told["error"]) == ("error", error)


def test_a_command_that_does_not_read_its_payload_is_no_failure(stintd, client):
    stintd({"handlers": {"never": {"command": ["true"]}, "closes": sh("exec <&-; echo done"),
                         "some": sh("head -c 3")}})
    payload = b"x" * (1 << 20)
    assert [run(client, name, payload)["output"] for name in ("never", "closes", "some")] == [
        "", "done\n", "xxx"]
    wait_until(lambda: is_drained(client), "drained")


# time


def test_a_job_may_lower_its_timeout_but_not_raise_it(stintd, client):
    stintd({"handlers": {"short": {"command": ["sleep", "60"], "timeout": "150ms"},
                         "long": {"command": ["sleep", "60"], "timeout": "1min"}}})
    for handler, own, effective in (("short", None, "150ms"), ("short", "1h", "150ms"),
                                    ("short", "50ms", "50ms"), ("long", "0.2", "200ms")):
        told = run(client, handler, **({"timeout": own} if own else {}))
        assert (told["status"], told["error"]) == ("timeout", f"timed out after {effective}")
        took_ms = told["finished_ms"] - told["started_ms"]
        assert int(effective[:-2]) - 1 <= took_ms < 1000


def test_what_a_job_wrote_before_its_timeout_is_kept(stintd, client):
    stintd(only("echo half; echo why >&2; sleep 60", timeout="200ms"))
    told = run(client, "job")
    assert (told["status"], told["output"], told["stderr"]) == ("timeout", "half\n", "why\n")


def test_a_job_is_asked_to_end_and_killed_only_after_its_grace(stintd, client):
    stintd({"handlers": {
        "polite": sh("trap 'echo bye; exit 0' TERM; sleep 60 & wait",
                     timeout="150ms", kill_grace="1min"),
        "deaf": sh("trap '' TERM; sleep 60", timeout="100ms", kill_grace="300ms")}})
    polite = run(client, "polite")
    assert (polite["status"], polite["output"]) == ("timeout", "bye\n")
    deaf = run(client, "deaf")
    assert deaf["status"] == "timeout"
    assert 400 - 1 <= deaf["finished_ms"] - deaf["started_ms"] < 2000


def test_a_deadline_that_is_past_expires_the_job_unstarted(stintd, client, folder):
    stintd(only(f"touch {folder}/ran"))
    told = run(client, "job", deadline=int(time.time() * 1000) - 1)
    assert told["status"] == "expired"
    assert "deadline" in told["error"]
    assert "started_ms" not in told
    assert not os.path.exists(f"{folder}/ran")


def test_a_deadline_that_comes_while_it_runs_cancels_the_job(stintd, client):
    stintd({"handlers": {"job": {"command": ["sleep", "60"]}}})
    at = int(time.time() * 1000) + 300
    told = result(client, submit(client, "job", deadline=at))
    assert told["status"] == "cancelled"
    assert "deadline" in told["error"]
    assert at - 5 <= told["finished_ms"] < at + 1500

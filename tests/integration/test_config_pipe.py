"""A configuration that is no file: <(...) of a shell, a named pipe."""
import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
from util import PATIENCE_S, STINTD, run, wait_until


@pytest.fixture
def stintd_on(folder):
    """stintd_on(path, *args, stdin) starts one that reads this; it logs to a file."""
    started = []

    def start(path, *args, stdin=subprocess.DEVNULL):
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen([STINTD, "--config", path, *args], stdin=stdin,
                                       stdout=log, stderr=log, process_group=0)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def logged(folder, text):
    wait_until(lambda: text in Path(f"{folder}/log").read_text(), text)


def test_it_is_used_as_it_was_read_and_a_reload_keeps_it(stintd_on, redis, client, folder):
    reader, writer = os.pipe()
    os.write(writer, f"redis: {{ url: '{redis.url}' }}\nhandlers:\n"
                     "  echo: { command: [cat] }\n".encode())
    os.close(writer)
    daemon = stintd_on("/dev/stdin", stdin=reader)
    os.close(reader)
    assert run(client, "echo", "before")["output"] == "before"
    daemon.send_signal(signal.SIGHUP)
    logged(folder, "configuration not reloaded, the old one stays")
    logged(folder, "/dev/stdin: expected a regular file")
    assert run(client, "echo", "after")["output"] == "after"
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(PATIENCE_S) == 0


def opened(pipe):
    """Its end for writing, once somebody reads."""
    with contextlib.suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.parametrize("args", [[], ["--check"]], ids=["start", "check"])
def test_a_signal_ends_the_wait_for_who_does_not_write(stintd_on, folder, args):
    os.mkfifo(f"{folder}/pipe")
    process = stintd_on(f"{folder}/pipe", *args)
    writer = wait_until(lambda: opened(f"{folder}/pipe"), "it to read")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == -signal.SIGTERM
    os.close(writer)


def test_a_password_from_a_pipe_is_read_once(stintd_on, redis, client, folder):
    client.acl_setuser("app", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
    os.mkfifo(f"{folder}/pipe")
    Path(f"{folder}/stint.yaml").write_text(
        f"redis: {{ url: '{redis.url.replace('//', '//app@')}', "
        f"password_file: '{folder}/pipe' }}\nhandlers:\n  echo: {{ command: [cat] }}\n")
    daemon = stintd_on(f"{folder}/stint.yaml")
    writer = wait_until(lambda: opened(f"{folder}/pipe"), "it to read")
    os.write(writer, b"secret")
    os.close(writer)
    assert run(client, "echo", "before")["output"] == "before"
    daemon.send_signal(signal.SIGHUP)
    logged(folder, f"{folder}/pipe: expected a regular file")
    assert run(client, "echo", "after")["output"] == "after"

"""stintd --dev: no Redis and no configuration needed."""
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import redis
import yaml_text
from gates import Gate, children, is_alive
from util import (PATIENCE_S, REDIS_CLI, REDIS_SERVER, STINTCTL, STINTD, result, run, submit,
                  wait_until)

URL = re.compile(REDIS_CLI + r" -s (\S+) XADD")


@pytest.fixture
def dev(folder):
    """dev(*args, **env) starts one with a TMPDIR of its own; returns its process, once it
    works, and the socket that it has printed."""
    started = []

    def start(*args, **env):
        log = open(f"{folder}/log", "wb")
        process = subprocess.Popen(
            [STINTD, "--dev", *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "TMPDIR": folder, **env}, cwd=folder, process_group=0)
        log.close()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def printed(folder):
    return Path(f"{folder}/log").read_text()


def socket_of(folder):
    return wait_until(lambda: URL.search(printed(folder)), "the socket").group(1)


def redis_of(process):
    return wait_until(lambda: children(process.pid, REDIS_SERVER), REDIS_SERVER)[0]


def dev_folders(folder):
    return list(Path(folder).glob("stint-dev-*"))


def test_what_is_printed_works_and_all_of_it_ends(dev, folder):
    process = dev()
    sock = socket_of(folder)
    server = redis_of(process)
    command = next(line for line in printed(folder).splitlines() if REDIS_CLI in line)
    job = subprocess.run(["sh", "-c", command], capture_output=True, text=True,
                         check=True).stdout.strip()
    with redis.Redis(unix_socket_path=sock) as client:
        assert result(client, job)["output"] == "hello"
        assert run(client, "fail")["stderr"] == "no luck\n"
    command = next(line for line in printed(folder).splitlines() if "stintctl" in line)
    told = subprocess.run(["sh", "-c", command.replace("stintctl", str(STINTCTL))],
                          capture_output=True, text=True, check=True)
    assert told.stdout.startswith("2cf24dba5fb0a30e26e83b2ac5b9e29e")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert not is_alive(server)
    assert not dev_folders(folder)


def test_ctrl_c_lets_its_jobs_finish(dev, folder):
    """Redis must not get the signal of the terminal: it is needed until the end."""
    gate = Gate(folder)
    config = Path(f"{folder}/my.yaml")
    config.write_text(yaml_text.dump({"handlers": {"hold": gate.handler()}}))
    process = dev("--config", str(config))
    with redis.Redis(unix_socket_path=socket_of(folder)) as client:
        submit(client, "hold")
        gate.wait_started(1)
        os.killpg(process.pid, signal.SIGINT)
        wait_until(lambda: "stopping" in printed(folder), "stopping")
        assert client.ping()
    gate.open()
    assert process.wait(PATIENCE_S) == 0
    assert "stopped done=1 handed_back=0" in printed(folder)


def test_its_redis_does_not_outlive_a_killed_daemon(dev, folder):
    process = dev()
    socket_of(folder)
    server = redis_of(process)
    process.kill()
    process.wait(PATIENCE_S)
    wait_until(lambda: not is_alive(server), "redis-server has ended")


def test_with_a_configuration_it_only_brings_the_redis(dev, folder):
    config = Path(f"{folder}/my.yaml")
    config.write_text("redis: { url: redis://localhost:1 }\nprefix: mine\n"
                      "handlers: { up: { command: [tr, a-z, A-Z] } }\n")
    process = dev("--config", str(config))
    with redis.Redis(unix_socket_path=socket_of(folder)) as client:
        job = submit(client, "up", "abc", prefix="mine")
        assert result(client, job, prefix="mine")["output"] == "ABC"
        config.write_text("prefix: mine\nhandlers: { up: { command: [tr, a-z, b-za] } }\n")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded" in printed(folder), "reloaded")
        job = submit(client, "up", "abc", prefix="mine")
        assert result(client, job, prefix="mine")["output"] == "bcd"
    assert "after a restart" not in printed(folder)  # the address was never the file's


def test_a_faulty_configuration_starts_no_redis(dev, folder):
    Path(f"{folder}/my.yaml").write_text("concurrency: many\n")
    assert dev("--config", f"{folder}/my.yaml").wait(PATIENCE_S) == 78
    assert "my.yaml:1:1: concurrency" in printed(folder)
    assert not dev_folders(folder)


def test_without_a_redis_server_it_says_what_to_install(dev, folder):
    assert shutil.which(REDIS_SERVER)  # else this would not be the reason
    assert dev(PATH=folder).wait(PATIENCE_S) == 69
    assert "install it (apt-get install redis-server)" in printed(folder)
    assert not dev_folders(folder)

"""The configuration as a user meets it: stintd --check, its faults, exit codes, and Redis."""
import os
import re
import socket
import subprocess
import time

import pytest
import redis as redis_py
from util import STINTD, result, run, submit

ECHO = {"echo": {"command": ["cat"]}}
GOOD = "handlers:\n  echo:\n    command: [cat]\n"
FAULT = re.compile(r"^(.+?):(\d+):(\d+): (?:([\w.?-]+): )?expected .+$")


@pytest.fixture
def stint(folder):
    """Runs stintd to its end on a text, or on what stands at `path`."""

    def start(text=None, *args, path=None, env=None):
        path = path or f"{folder}/stint.yaml"
        if text is not None:
            with open(path, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        return subprocess.run(
            [STINTD, "--config", path, *(args or ["--check"])], capture_output=True, text=True,
            cwd=folder, env={**os.environ, **(env or {})}, timeout=20, errors="replace")

    return start


def faults(done, path):
    """(line, column, key) of each fault; every line of the complaint must be one."""
    assert (done.returncode, done.stdout) == (78, ""), done
    found = [FAULT.match(line) for line in done.stderr.splitlines()]
    assert all(found) and {match[1] for match in found} == {str(path)}, done.stderr
    return [(int(match[2]), int(match[3]), match[4]) for match in found]


# --check


def test_check_of_a_good_file_says_so_and_starts_nothing(stint, folder):
    done = stint(f"redis: {{ url: 'unix://{folder}/none' }}\n" + GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{folder}/stint.yaml: no faults\n"
    assert os.listdir(folder) == ["stint.yaml"]


def test_the_file_that_is_shipped_is_good(stint):
    shipped = os.path.join(os.path.dirname(__file__), "..", "..", "config", "stint.yaml")
    assert stint(path=shipped).returncode == 0


def test_all_faults_are_told_at_once_in_order(stint, folder):
    done = stint("concurrency: 0\n"
                 "queues: [a, 'b c']\n"
                 "handlers:\n"
                 "  resize:\n"
                 "    command: convert\n"
                 "    timeout: soon\n"
                 "  empty: {}\n"
                 "concurrency: 4\n"
                 "colour: red\n")
    assert faults(done, f"{folder}/stint.yaml") == [
        (1, 1, "concurrency"), (2, 13, "queues"), (5, 5, "handlers.resize.command"),
        (6, 5, "handlers.resize.timeout"), (7, 3, "handlers.empty"), (8, 1, "concurrency"),
        (9, 1, "colour")]
    assert 'handlers.resize.timeout: expected a time span such as "30s", got "soon"\n' \
        in done.stderr


@pytest.mark.parametrize("text, key, nearest", [
    ("concurency: 4\n", "concurency", "concurrency"),
    ("handlers:\n  a: { command: [cat], timout: 1s }\n", "handlers.a.timout", "timeout"),
    ("results: { tll: 1h }\n", "results.tll", "ttl")])
def test_for_an_unknown_key_the_nearest_is_named(stint, folder, text, key, nearest):
    done = stint(text)
    assert [fault[2] for fault in faults(done, f"{folder}/stint.yaml")] == [key]
    assert f'did you mean "{nearest}"?' in done.stderr


def test_nothing_is_suggested_for_what_resembles_nothing(stint):
    assert "did you mean" not in stint("zebra: 1\n").stderr


def test_a_daemon_with_a_faulty_file_does_not_start(stint, folder):
    checked, started = stint("concurrency: 0\n"), stint(None, "--")
    assert faults(started, f"{folder}/stint.yaml") == [(1, 1, "concurrency")]
    assert started.stderr == checked.stderr


# ${NAME}


def test_names_are_taken_from_the_environment(stintd, client):
    stintd({"prefix": "${APP}-${STAGE}", "handlers": {
        "say": {"command": ["printf", "%s|", "${WORDS}", "$$HOME", "$5", "a${EMPTY}b"]}}},
        env={"APP": "shop", "STAGE": "test", "WORDS": "two words: [x] ${APP}", "EMPTY": ""})
    job = submit(client, "say", prefix="shop-test")
    told = result(client, job, prefix="shop-test")
    assert told["output"] == "two words: [x] ${APP}|$HOME|$5|ab|"


def test_a_name_that_is_not_set_is_a_fault(stint, folder):
    done = stint("prefix: ${STINT_NOT_SET}\n")
    assert faults(done, f"{folder}/stint.yaml") == [(1, 1, "prefix")]
    assert "${STINT_NOT_SET}" in done.stderr


def test_a_fault_does_not_show_what_came_from_the_environment(stint):
    done = stint("concurrency: ${SECRET}\nredis: { url: '${SECRET}' }\n", env={"SECRET": "pssst"})
    assert done.returncode == 78 and "pssst" not in done.stderr


# what is no configuration


@pytest.mark.parametrize("text", [
    bytes(range(256)) * 16, b"\xff\xfe\x00", b"\x7fELF\x02\x01\x01\0", b"a: [1, 2\n",
    b"a: b: c\n", b"\t- x\n", b"- a\n", b"text\n", b"a: 1\n---\nb: 2\n",
    b"{" * 5000, b"? [x]\n: y\n",
    b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\n"],
    ids=["binary", "utf-16", "elf", "open list", "two colons", "tab", "list", "text",
         "two documents", "5000 levels", "key is a list", "alias bomb"])
def test_a_file_that_is_no_configuration(stint, folder, text):
    since = time.monotonic()
    assert faults(stint(text), f"{folder}/stint.yaml")
    assert time.monotonic() - since < 2


@pytest.mark.parametrize("text", [
    b"# " + b"x" * (10 << 20), b"a: [" + b"x, " * (3 << 20) + b"x]\n", b"\0" * (10 << 20)],
    ids=["comment", "list", "NUL"])
def test_a_file_of_10_mib_is_refused(stint, text):
    done = stint(text)
    assert done.returncode == 78
    assert "at most 1MiB, got" in done.stderr and done.stderr.count("\n") == 1


def test_a_file_that_is_missing_or_a_directory(stint, folder):
    for path, why in ((f"{folder}/none.yaml", "No such file or directory"),
                      (str(folder), "Is a directory")):
        done = stint(path=path)
        assert (done.returncode, done.stderr) == (
            78, f"{path}: expected a file that can be read: {why}\n")


# usage, and Redis that is not there


@pytest.mark.parametrize("args", [["--colour"], ["--config"], ["extra"], ["-x"],
                                  ["--check=1"], ["--check", "a.yaml"]])
def test_wrong_usage_exits_64_and_names_the_help(args):
    done = subprocess.run([STINTD, *args], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (64, "")
    assert "stintd --help" in done.stderr


def test_help_and_version():
    for option, text in (("--help", "usage: stintd"), ("--version", "stintd ")):
        done = subprocess.run([STINTD, option], capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(text)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize("where", ["unix:///no/such.sock", "tcp"])
def test_redis_that_cannot_be_reached_in_time_exits_69(stint, where):
    url = f"redis://127.0.0.1:{free_port()}" if where == "tcp" else where
    since = time.monotonic()
    done = stint(f"redis: {{ url: '{url}' }}\nstart_timeout: 300ms\n" + GOOD, "--")
    assert done.returncode == 69, done.stderr
    assert 0.3 <= time.monotonic() - since < 3
    assert url.partition("//")[2] in done.stderr


def test_a_server_that_never_answers_is_told_as_such(stint, folder):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{folder}/silent")
        silent.listen()
        done = stint(f"redis: {{ url: 'unix://{folder}/silent' }}\nstart_timeout: 300ms\n"
                     + GOOD, "--")
    assert done.returncode == 69 and 'why="no answer"' in done.stderr


def test_a_redis_that_refuses_the_scripts_is_told_as_such(stint, client, redis):
    client.acl_setuser("app", enabled=True, nopass=True, keys=["*"],
                       commands=["+@all", "-script|load"])
    url = redis.url.replace("unix://", "unix://app:any@")
    done = stint(f"redis: {{ url: '{url}' }}\nstart_timeout: 300ms\n" + GOOD, "--")
    assert done.returncode == 69 and "SCRIPT LOAD finish: NOPERM" in done.stderr
    assert "it refuses what is needed, see the lines before" in done.stderr


def test_redis_that_comes_within_start_timeout_is_waited_for(stintd, redis):
    redis.stop()
    daemon = stintd({"handlers": ECHO, "start_timeout": "20s"}, wait=False)
    daemon.wait_log("redis")
    redis.start()
    daemon.wait_state("READY=1")
    assert run(redis.client(), "echo", "p")["output"] == "p"


# urls and passwords


@pytest.fixture
def guarded(redis, client):
    """Redis on TCP, too, and with nobody let in but by a password."""
    port = free_port()
    client.config_set("port", port)
    client.acl_setuser("app", enabled=True, passwords=["+p@ss:w/rd"], keys=["*"],
                       channels=["*"], commands=["+@all"])
    client.acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+s3cret%"])

    def connect(db=0):
        return redis_py.Redis(port=port, db=db, username="app", password="p@ss:w/rd")

    return port, redis.sock, connect


@pytest.mark.parametrize("url, db", [
    ("redis://app:p%40ss%3Aw%2Frd@127.0.0.1:{port}/5", 5),
    ("redis://app:p%40ss%3Aw%2Frd@localhost:{port}", 0),
    ("redis://:s3cret%25@127.0.0.1:{port}/2", 2),
    ("unix://{sock}?db=3", None),
    ("unix://app:p%40ss%3Aw%2Frd@{sock}?db=3", 3)])
def test_url_with_user_password_and_db(stintd, stint, guarded, url, db):
    port, sock, connect = guarded
    url = url.format(port=port, sock=sock)
    if db is None:
        done = stint(f"redis: {{ url: '{url}' }}\nstart_timeout: 300ms\n" + GOOD, "--")
        assert done.returncode == 69 and "NOAUTH" in done.stderr
        return
    daemon = stintd({"handlers": ECHO, "redis": {"url": url}})
    with connect(db) as there:
        assert run(there, "echo", "p")["output"] == "p"
        names = {c["name"] for c in there.client_list() if c["name"].startswith("stint:")}
    assert {name.rpartition(":")[2] for name in names} == {"reader", "writer", "control"}
    for secret in ("p@ss", "p%40ss", "s3cret"):
        assert secret not in daemon.log()


@pytest.mark.parametrize("name, env", [
    ("{folder}/secret", {}), ("secret", {"CREDENTIALS_DIRECTORY": "{folder}"})],
    ids=["absolute", "credentials"])
def test_a_password_may_stand_in_a_file(stintd, guarded, folder, name, env):
    port, _, connect = guarded
    with open(f"{folder}/secret", "w") as f:
        f.write("p@ss:w/rd\n")
    daemon = stintd({"handlers": ECHO, "redis": {
        "url": f"redis://app:wrong@127.0.0.1:{port}",
        "password_file": name.format(folder=folder)}},
        env={key: value.format(folder=folder) for key, value in env.items()})
    with connect() as there:
        assert run(there, "echo", "p")["output"] == "p"
    assert "p@ss" not in daemon.log()


def test_a_password_file_may_stand_beside_the_configuration(stint, folder):
    with open(f"{folder}/secret", "w") as f:
        f.write("p@ss:w/rd")
    text = "redis: { password_file: secret }\n" + GOOD
    assert stint(text, env={"CREDENTIALS_DIRECTORY": ""}).returncode == 0


def test_a_wrong_password_is_named_but_not_shown(stint, guarded):
    port, _, _ = guarded
    done = stint(f"redis: {{ url: 'redis://app:mistaken@127.0.0.1:{port}' }}\n"
                 "start_timeout: 300ms\n" + GOOD, "--")
    assert done.returncode == 69
    assert "WRONGPASS" in done.stderr and "mistaken" not in done.stderr


@pytest.mark.parametrize("env", [{}, {"CREDENTIALS_DIRECTORY": "/no/such"}])
def test_a_password_file_that_is_missing_is_a_fault(stint, folder, env):
    done = stint("redis:\n  password_file: none\n" + GOOD, env=env)
    assert faults(done, f"{folder}/stint.yaml") == [(2, 3, "redis.password_file")]
    assert "No such file or directory" in done.stderr

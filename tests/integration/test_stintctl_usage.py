"""stintctl: how it finds Redis, what it says when that fails, and how it is used."""

import os
import socket
import subprocess
import threading

import pytest
from ctl_fixtures import ctl, db, environment, jobs, key, line, result_of, server
from util import Redis, STINTCTL


# where Redis is


def test_option_goes_before_environment_before_file(ctl, server, db, tmp_path):
    conf = tmp_path / "stint.yaml"
    conf.write_text(f"redis:\n  url: {server.url}?db=3\nprefix: filed\n")
    nowhere = {"STINT_REDIS": "unix:///nowhere"}
    assert ctl("submit", "h", "--redis", server.url, env=nowhere).returncode == 0
    assert len(jobs(db)) == 1
    assert ctl("submit", "h", "--config", str(conf)).returncode == 0
    assert len(jobs(db, prefix="filed")) == 1
    filed = {"STINT_REDIS": "", "STINT_CONFIG": str(conf)}
    assert ctl("submit", "h", env=filed).returncode == 0
    assert ctl("submit", "h", "--prefix", "p2", env=filed).returncode == 0
    assert len(jobs(server.client(db=3), prefix="filed")) == 1
    assert len(jobs(server.client(db=3), prefix="p2")) == 1


def test_named_configuration_that_is_not_there_exits_78(ctl, db, tmp_path):
    for told in (ctl("submit", "h", "--config", str(tmp_path / "no.yaml")),
                 ctl("submit", "h", env={"STINT_CONFIG": str(tmp_path / "no.yaml")})):
        assert told.returncode == 78
        assert all(said.startswith("stintctl: ") for said in told.stderr.decode().splitlines())
        assert "no.yaml" in told.stderr.decode()
    assert jobs(db) == []


def test_unreachable_redis_exits_69_and_says_what_to_do(ctl):
    done = ctl("submit", "h", "--redis", "redis://user:secret@localhost:1")
    assert done.returncode == 69
    assert line(done) == ("stintctl: cannot reach redis://localhost:1/0: Connection refused; "
                          "start it, or say where it is with --redis URL\n")


def test_faulty_url_is_a_usage_error_and_never_shown(ctl):
    done = ctl("queues", "--redis", "redis://user:secret@localhost:port")
    assert done.returncode == 64 and "secret" not in line(done)
    done = ctl("queues", env={"STINT_REDIS": "http://user:secret@localhost"})
    assert done.returncode == 78 and "secret" not in line(done)


def test_password_is_used_and_a_wrong_one_not_shown(ctl, tmp_path):
    locked = Redis(tmp_path, "--requirepass", "right").start()
    try:
        assert ctl("submit", "h", "--redis", f"unix://:right@{locked.sock}").returncode == 0
        assert ctl("submit", "h", "--redis", f"unix://default:right@{locked.sock}?db=1"
                   ).returncode == 0
        done = ctl("submit", "h", "--redis", f"unix://:secret@{locked.sock}")
        assert done.returncode == 69 and "WRONGPASS" in line(done)
        assert "secret" not in line(done)
        done = ctl("submit", "h", "--redis", locked.url)
        assert done.returncode == 69 and "NOAUTH" in line(done) and "password" in line(done)
    finally:
        locked.stop()


class Peer(threading.Thread):
    """A server of one connection that answers each thing it reads with the next reply."""

    def __init__(self, folder, *replies):
        super().__init__()
        self.url = f"unix://:secret@{folder}/peer.sock"
        self.replies = replies
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{folder}/peer.sock")
        self.listener.listen()
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        with connection, self.listener:
            for reply in self.replies:
                connection.recv(65536)
                connection.sendall(reply)
            connection.recv(65536)


def test_server_that_repeats_the_password_does_not_make_us_show_it(ctl, tmp_path):
    peer = Peer(tmp_path, b"-ERR unknown command 'AUTH', with args beginning with: 'secret'\r\n")
    done = ctl("submit", "h", "--redis", peer.url)
    peer.join()
    assert done.returncode == 69 and "secret" not in line(done)


def test_refused_client_name_does_not_matter_and_a_lost_submission_is_called_unknown(
        ctl, tmp_path):
    peer = Peer(tmp_path, b"+OK\r\n", b"-NOPERM no\r\n")
    done = ctl("submit", "h", "--redis", peer.url)
    peer.join()
    assert done.returncode == 69 and "may or may not have been added" in line(done)


@pytest.mark.parametrize("reply", [b":1\r\n", b"*0\r\n", b"$-1\r\n", b"?\r\n", b"-OOM full\r\n"])
def test_odd_replies_are_errors(ctl, tmp_path, reply):
    peer = Peer(tmp_path, b"+OK\r\n", b"+OK\r\n", reply)
    done = ctl("submit", "h", "--redis", peer.url)
    peer.join()
    assert done.returncode == 69 and line(done) and done.stdout == b""


def test_another_server_is_called_none_of_redis(ctl, tmp_path):
    peer = Peer(tmp_path, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    done = ctl("submit", "h", "--redis", peer.url)
    peer.join()
    assert done.returncode == 69 and "is this a Redis?" in line(done)


# how it is used


@pytest.mark.parametrize("args, said", [
    ([], "command is missing"),
    (["sbmit"], 'unknown command "sbmit"'),
    (["--colour", "queues"], "--colour: no such option"),
    (["-z", "queues"], "-z: no such option"),
    (["queues", "--redis"], "--redis needs a value"),
    (["queues", "--json=1"], "--json=1"),
    (["queues", "--id", "j1"], "queues has no option --id"),
    (["result", "--wait", "j1"], "result has no option --wait"),
    (["submit"], "an argument is missing"),
    (["submit", "h", "p", "q"], "too many arguments"),
    (["submit", "a handler"], "HANDLER: expected"),
    (["submit", "h", "-q", "no{braces}"], "--queue: expected"),
    (["submit", "h", "--id", "a b"], "id: expected"),
    (["submit", "h", "--id", ""], "id: expected"),
    (["submit", "h", "--id", "i" * 129], "id: expected"),
    (["submit", "h", "--timeout", "soon"], "timeout: expected a time span"),
    (["submit", "h", "--timeout", "0"], "timeout: expected a time span"),
    (["submit", "h", "--deadline", "tomorrow"], "deadline: expected a unix time"),
    (["submit", "h", "--reply-to", "a b"], "reply_to: expected"),
    (["submit", "h", "--traceparent", "00"], "traceparent: expected"),
    (["submit", "h", "-x", "novalue"], "-x: expected NAME=VALUE"),
    (["submit", "h", "-x", "=v"], "-x: expected NAME=VALUE"),
    (["submit", "h", "-x", "n" * 65 + "=v"], "-x: expected NAME=VALUE"),
    (["submit", "h", "--wait-timeout", "1s"], "--wait-timeout goes with --wait"),
    (["submit", "h", "--wait", "--wait-timeout", "-1"], "--wait-timeout: expected a time span"),
    (["submit", "h", "--prefix", "a:b"], "--prefix: expected"),
    (["result"], "an argument is missing"),
    (["result", "a b"], "ID: expected"),
    (["wait", "j1", "--timeout", "1x"], "--timeout: expected a time span"),
    (["queues", "default"], "too many arguments"),
    (["submit", "h", "--delay", "soon"], "delay: expected a time span"),
    (["submit", "h", "--at", "noon"], "at: expected a unix time"),
    (["submit", "h", "--at", "1795237304425", "--delay", "1s"], 'only one of "delay" and "at"'),
    (["submit", "h", "--retries", "many"], "retries: expected a whole number"),
    (["submit", "h", "--all"], "submit has no option --all"),
    (["cancel"], "an argument is missing"),
    (["cancel", "a b"], "ID: expected"),
    (["cancel", "j1", "j2"], "too many arguments"),
    (["pause", "default"], "too many arguments"),
    (["pause", "--all", "-q", "a"], "only one of --queue and --all"),
    (["pause", *["-q", "a"] * 65], "at most 64"),
    (["resume", "--id", "j1"], "resume has no option --id"),
    (["dead"], "dead: an argument is missing"),
    (["dead", "lst"], 'unknown command "dead lst"'),
    (["list"], 'unknown command "list"'),
    (["dead list"], 'unknown command "dead list"'),
    (["dead", "list", "j1"], "dead list: too many arguments"),
    (["dead", "list", "--all"], "dead list has no option --all"),
    (["dead", "list", "--limit", "0"], "--limit: expected a number from 1"),
    (["dead", "list", "--limit", "1x"], "--limit: expected a number from 1"),
    (["dead", "show"], "dead show: an argument is missing"),
    (["dead", "show", "a b"], "ID: expected"),
    (["dead", "retry"], "either ID or --all"),
    (["dead", "retry", "j1", "--all"], "either ID or --all"),
    (["dead", "drop", "j1", "a b"], "ID: expected"),
    (["dead", "drop", "--limit", "3", "j1"], "dead drop has no option --limit"),
])
def test_wrong_usage_exits_64_with_one_line_and_sends_nothing(ctl, db, args, said):
    done = ctl(*args)
    assert (done.returncode, done.stdout) == (64, b"") and said in line(done)
    assert db.dbsize() == 0


@pytest.mark.parametrize("command", [
    "submit", "result", "wait", "cancel", "queues", "pause", "resume", "dead", "dead list",
    "dead show", "dead retry", "dead drop"])
def test_every_command_has_its_help(ctl, command):
    done = ctl(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith(f"Usage: stintctl {command} ")
    assert "--redis URL" in done.stdout.decode()
    assert command in ctl("--help").stdout.decode()


def test_version(ctl):
    done = ctl("--version")
    assert done.returncode == 0 and done.stdout.startswith(b"stintctl ")


@pytest.mark.parametrize("args", [["--help"], ["submit", "h"], ["queues", "--json"],
                                  ["result", "j1"], ["cancel", "j2"], ["dead", "list"]])
def test_output_that_cannot_be_written_exits_74(server, db, args):
    db.set(key("result:j1"), result_of("j1", output="x" * 100000))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([STINTCTL, *args], env=environment(server.url), stdout=full,
                              stderr=subprocess.PIPE, timeout=10)
    assert done.returncode == 74
    assert line(done) == ("stintctl: cannot write to standard output: "
                          "No space left on device\n")


def test_closed_pipe_exits_74(server):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run([STINTCTL, "--help"], env=environment(server.url), stdout=pipe,
                              stderr=subprocess.PIPE, timeout=10)
    assert done.returncode == 74 and "Broken pipe" in line(done)


def test_closed_standard_streams_are_not_mistaken_for_the_connection(server, db):
    shell = ["/bin/sh", "-c", '"$0" submit h >&-', STINTCTL]
    done = subprocess.run(shell, env=environment(server.url), stderr=subprocess.PIPE, timeout=10)
    assert done.returncode == 74 and "Bad file descriptor" in line(done)
    shell = ["/bin/sh", "-c", '"$0" submit h - <&-', STINTCTL]
    done = subprocess.run(shell, env=environment(server.url), stderr=subprocess.PIPE, timeout=10)
    assert done.returncode == 74 and "cannot read the payload" in line(done)
    assert len(jobs(db)) == 1

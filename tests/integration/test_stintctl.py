"""stintctl against a real Redis; the tests themselves play the daemon."""

import base64
import json
import os
import socket
import subprocess
import threading

import pytest
from util import Redis, STINTCTL, wait_until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Redis(tmp_path_factory.mktemp("redis")).start()
    yield started
    started.stop()


@pytest.fixture
def db(server):
    client = server.client()
    client.flushall()
    return client


@pytest.fixture
def ctl(server):
    """Runs stintctl to its end; what it is told by environment is this Redis alone."""

    def run(*args, env=None, stdin=b"", **options):
        return subprocess.run([STINTCTL, *args], env=environment(server.url, env),
                              input=stdin, capture_output=True, timeout=60, **options)

    return run


def environment(url, more=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STINT_")}
    return {**clean, "STINT_REDIS": url, **(more or {})}


def key(kind, queue="default", prefix="stint"):
    return f"{prefix}:{{{queue}}}:{kind}"


def jobs(db, queue="default", prefix="stint"):
    return [fields for _, fields in db.xrange(key("jobs", queue, prefix))]


def result_of(job_id, status="ok", **members):
    return json.dumps({"id": job_id, "status": status, **members})


def line(done):
    """The one line that stintctl says on standard error."""
    text = done.stderr.decode()
    assert text.startswith("stintctl: ") and text.count("\n") == 1 and text[-1] == "\n"
    return text


class Daemon(threading.Thread):
    """Takes one job as a daemon does and answers with the members that it was given."""

    def __init__(self, db, queue="default", is_stored=True, **members):
        super().__init__()
        self.db, self.queue, self.is_stored, self.members = db, queue, is_stored, members
        db.xgroup_create(key("jobs", queue), "stint", "0", mkstream=True)
        self.start()

    def run(self):
        stream = key("jobs", self.queue)
        got = self.db.xreadgroup("stint", "d1", {stream: ">"}, count=1, block=10000)
        entry, self.fields = got[0][1][0]
        job_id = self.fields.get(b"id", entry).decode()
        result = result_of(job_id, **self.members)
        step = self.db.pipeline(transaction=True)  # as a daemon does: all in one step
        if self.is_stored:
            step.set(key(f"result:{job_id}", self.queue), result)
        reply_to = self.fields.get(b"reply_to")
        if reply_to:
            step.xadd(key("reply:" + reply_to.decode(), self.queue),
                      {"id": job_id, "result": result})
        step.xack(stream, "stint", entry)
        step.xdel(stream, entry)
        step.execute()


# submit


def test_submit_adds_one_entry_and_prints_its_id(ctl, db):
    done = ctl("submit", "resize", "some bytes")
    [(entry, fields)] = db.xrange(key("jobs"))
    assert (done.returncode, done.stdout, done.stderr) == (0, entry + b"\n", b"")
    assert fields == {b"handler": b"resize", b"payload": b"some bytes"}


def test_submit_leaves_an_empty_payload_out(ctl, db):
    assert ctl("submit", "resize").returncode == 0
    assert ctl("submit", "resize", "").returncode == 0
    assert ctl("submit", "resize", "-").returncode == 0
    assert jobs(db) == [{b"handler": b"resize"}] * 3


def test_every_option_of_submit_becomes_its_field(ctl, db):
    done = ctl("submit", "-q", "bulk", "--id", "my:id-1", "--timeout", "1h 30min",
               "--deadline", "1795237304425", "--reply-to", "me.1", "--traceparent", TRACE,
               "-x", "user=jane", "-x", "note=a=b c", "resize", "p")
    assert (done.returncode, done.stdout) == (0, b"my:id-1\n")
    assert jobs(db, "bulk") == [{
        b"handler": b"resize", b"id": b"my:id-1", b"timeout": b"1h 30min",
        b"deadline": b"1795237304425", b"reply_to": b"me.1", b"traceparent": TRACE.encode(),
        b"x-user": b"jane", b"x-note": b"a=b c", b"payload": b"p"}]


def test_submit_takes_24_x_fields_and_no_more(ctl, db):
    fields = [arg for i in range(25) for arg in ("-x", f"n{i}={i}")]
    assert ctl("submit", "resize", *fields[:48]).returncode == 0
    assert len(jobs(db)[0]) == 25
    done = ctl("submit", "resize", *fields)
    assert done.returncode == 64 and "at most 24" in line(done)
    assert len(jobs(db)) == 1


@pytest.mark.parametrize("payload", [b"\0\xff\r\n\0", bytes(range(256)) * 4096, b"x" * 9 * MIB],
                         ids=["binary", "1MiB", "9MiB"])
def test_payload_on_standard_input_arrives_byte_for_byte(ctl, db, payload):
    assert ctl("submit", "resize", "-", stdin=payload).returncode == 0
    assert jobs(db)[0][b"payload"] == payload


def test_payload_over_512_mib_is_refused(server, db, tmp_path):
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 512 * MIB + 1)
    with open(large, "rb") as stdin:
        done = subprocess.run([STINTCTL, "submit", "resize", "-"], stdin=stdin,
                              env=environment(server.url), capture_output=True, timeout=60)
    assert done.returncode == 64 and "512MiB" in line(done)
    assert jobs(db) == []


def test_options_may_stand_anywhere_until_two_dashes(ctl, db):
    assert ctl("--json", "submit", "resize", "-q", "a", "p", "--prefix", "p1").returncode == 0
    assert jobs(db, "a", "p1") == [{b"handler": b"resize", b"payload": b"p"}]
    assert ctl("submit", "resize", "--", "--json").returncode == 0
    assert jobs(db) == [{b"handler": b"resize", b"payload": b"--json"}]


def test_submit_as_json(ctl, db):
    done = ctl("submit", "--json", "-q", "bulk", "--id", "j1", "resize")
    assert json.loads(done.stdout) == {"id": "j1", "queue": "bulk"}


# submit --wait


def test_submit_wait_prints_output_as_it_is(ctl, db):
    daemon = Daemon(db, output="grüße\n\0 no new line")
    done = ctl("submit", "--wait", "resize", "p")
    daemon.join()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == "grüße\n\0 no new line".encode()
    assert daemon.fields[b"payload"] == b"p"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 1000])
def test_submit_wait_decodes_base64(ctl, db, size):
    output = (bytes(range(255, -1, -1)) * 4)[:size]
    daemon = Daemon(db, output_base64=base64.b64encode(output).decode())
    done = ctl("submit", "--wait", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (0, output)


def test_submit_wait_of_a_failure_exits_1_with_error_and_stderr(ctl, db):
    daemon = Daemon(db, status="error", output="half", error="exit status 3",
                    stderr="Traceback\nboom")
    done = ctl("submit", "--wait", "--id", "j1", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (1, b"half")
    assert done.stderr == b"stintctl: j1: error: exit status 3\nTraceback\nboom\n"


@pytest.mark.parametrize("status", ["timeout", "cancelled", "crashed", "expired", "rejected"])
def test_every_other_status_is_a_failure(ctl, db, status):
    db.set(key("result:j1"), result_of("j1", status, output="", error="why"))
    done = ctl("result", "j1")
    assert (done.returncode, line(done)) == (1, f"stintctl: j1: {status}: why\n")


def test_submit_wait_leaves_no_reply_stream_behind(ctl, db):
    daemon = Daemon(db, output="")
    assert ctl("submit", "--wait", "resize").returncode == 0
    daemon.join()
    assert daemon.fields[b"reply_to"]
    assert db.keys("*:reply:*") == []


def test_submit_wait_needs_no_stored_result(ctl, db):
    daemon = Daemon(db, is_stored=False, output="only replied")
    done = ctl("submit", "--wait", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (0, b"only replied")


def test_submit_wait_of_a_duplicate_gets_the_first_ones_result(ctl, db):
    db.set(key("result:j1"), result_of("j1", output="the first"))
    done = ctl("submit", "--wait", "--id", "j1", "resize")
    assert (done.returncode, done.stdout) == (0, b"the first")


def test_submit_wait_of_a_duplicate_waits_for_a_first_that_runs(server, db):
    process = subprocess.Popen([STINTCTL, "submit", "--wait", "--id", "j1", "resize"],
                               env=environment(server.url), stdout=subprocess.PIPE)
    wait_until(lambda: any("xread" == c["cmd"] for c in db.client_list()))
    db.set(key("result:j1"), result_of("j1", output="the first"))
    assert process.communicate(timeout=10)[0] == b"the first"
    assert process.returncode == 0


def test_submit_wait_in_a_shared_reply_stream_finds_its_own_new_reply(ctl, db):
    stream = key("reply:shared")
    for i in range(40):
        db.xadd(stream, {"id": "j1", "result": result_of("j1", output=f"old {i}")})
    daemon = Daemon(db, is_stored=False, output="new")
    done = ctl("submit", "--wait", "--id", "j1", "--reply-to", "shared", "resize")
    daemon.join()
    assert (done.returncode, done.stdout) == (0, b"new")
    assert db.xlen(stream) == 41


def test_submit_wait_ignores_other_jobs_replies(server, db):
    stream = key("reply:shared")
    process = subprocess.Popen(
        [STINTCTL, "submit", "--wait", "--id", "j1", "--reply-to", "shared", "resize"],
        env=environment(server.url), stdout=subprocess.PIPE)
    wait_until(lambda: any("xread" == c["cmd"] for c in db.client_list()))
    for i in range(40):
        db.xadd(stream, {"id": f"other{i}", "result": result_of("other", output="other")})
    db.xadd(stream, {"id": "j1", "result": result_of("j1", output="mine")})
    assert process.communicate(timeout=10)[0] == b"mine"


def test_submit_wait_timeout_exits_75_and_names_the_job(ctl, db):
    done = ctl("submit", "--wait", "--wait-timeout", "50ms", "--id", "j1", "resize")
    assert (done.returncode, done.stdout) == (75, b"")
    assert "no result for j1 in time" in line(done)
    assert len(jobs(db)) == 1 and db.keys("*:reply:*") == []


def test_submit_wait_as_json_is_the_stored_object(ctl, db):
    daemon = Daemon(db, status="error", error="no", stderr="tail")
    done = ctl("submit", "--wait", "--json", "--id", "j1", "resize")
    daemon.join()
    assert (done.returncode, done.stderr) == (1, b"")
    assert done.stdout.decode() == result_of("j1", "error", error="no", stderr="tail") + "\n"


# result, wait


def test_result_prints_what_is_stored(ctl, db):
    db.set(key("result:j1", "bulk"), result_of("j1", output="out"))
    done = ctl("result", "-q", "bulk", "j1")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out", b"")


def test_result_as_json_is_byte_for_byte_what_is_stored(ctl, db):
    stored = '{"id":"j1", "status":"ok","output":"\\u00e4\\u0000","later":[1.50]}'
    db.set(key("result:j1"), stored)
    assert ctl("result", "--json", "j1").stdout.decode() == stored + "\n"


def test_result_without_one_exits_3(ctl, db):
    done = ctl("result", "1732153200000-0")
    assert (done.returncode, done.stdout) == (3, b"")
    assert "no result for 1732153200000-0 (yet): unknown, queued or running" in line(done)


@pytest.mark.parametrize("stored", ["", "{", "[]", "null", '{"status":1}', "\xff"])
def test_result_that_is_none_of_stints_is_an_error(ctl, db, stored):
    db.set(key("result:j1"), stored.encode("latin-1"))
    done = ctl("result", "j1")
    assert (done.returncode, done.stdout) == (69, b"") and "j1" in line(done)


def test_result_with_faulty_base64_is_an_error(ctl, db):
    db.set(key("result:j1"), result_of("j1", output_base64="AA*A"))
    done = ctl("result", "j1")
    assert done.returncode == 69 and "not base64" in line(done)


def test_result_under_a_key_of_another_type_is_an_error(ctl, db):
    db.lpush(key("result:j1"), "x")
    done = ctl("result", "j1")
    assert done.returncode == 69 and "WRONGTYPE" in line(done)


def test_wait_returns_when_the_result_comes(server, db):
    process = subprocess.Popen([STINTCTL, "wait", "j1"], env=environment(server.url),
                               stdout=subprocess.PIPE)
    wait_until(lambda: any(c["name"] == "stintctl" and c["cmd"] == "get"
                           for c in db.client_list()))
    db.set(key("result:j1"), result_of("j1", output="done"))
    assert process.communicate(timeout=10)[0] == b"done"
    assert process.returncode == 0


@pytest.mark.parametrize("span", ["0", "70ms"])
def test_wait_timeout_exits_75(ctl, db, span):
    done = ctl("wait", "--timeout", span, "j1")
    assert (done.returncode, done.stdout) == (75, b"") and "j1" in line(done)


def test_wait_with_no_time_still_looks_once(ctl, db):
    db.set(key("result:j1"), result_of("j1", output="there"))
    assert ctl("wait", "--timeout", "0", "j1").stdout == b"there"


# queues


def fill_queues(db):
    for _ in range(3):
        db.xadd(key("jobs", "critical-and-long"), {"handler": "h"})
    db.xgroup_create(key("jobs", "critical-and-long"), "stint", "0")
    db.xgroup_create(key("jobs", "critical-and-long"), "other", "0")
    db.xreadgroup("stint", "d1", {key("jobs", "critical-and-long"): ">"}, count=2)
    db.xgroup_createconsumer(key("jobs", "critical-and-long"), "stint", "d2")
    db.xadd(key("jobs", "a"), {"handler": "h"})
    for _ in range(12):
        db.xadd(key("dead", "a"), {"handler": "h"})


def test_queues_is_a_table(ctl, db):
    fill_queues(db)
    done = ctl("queues")
    assert done.returncode == 0
    assert done.stdout.decode() == (
        "queue              waiting  running  dead  consumers\n"
        "a                        1        0    12          0\n"
        "critical-and-long        1        2     0          2\n")


def test_queues_as_json(ctl, db):
    fill_queues(db)
    assert json.loads(ctl("queues", "--json").stdout) == [
        {"queue": "a", "waiting": 1, "running": 0, "dead": 12, "consumers": 0},
        {"queue": "critical-and-long", "waiting": 1, "running": 2, "dead": 0, "consumers": 2}]


def test_queues_of_an_empty_redis(ctl, db):
    assert ctl("queues").stdout == b"queue  waiting  running  dead  consumers\n"
    assert ctl("queues", "--json").stdout == b"[]\n"


def test_queues_looks_only_at_its_own_streams(ctl, db):
    db.xadd(key("jobs", "mine"), {"handler": "h"})
    db.xadd(key("jobs", "theirs", prefix="other"), {"handler": "h"})
    db.xadd("stint:{not a queue}:jobs", {"handler": "h"})
    db.xadd("stint:{}:jobs", {"handler": "h"})
    db.set(key("jobs", "string"), "x")
    found = json.loads(ctl("queues", "--json").stdout)
    assert [q["queue"] for q in found] == ["mine"]


def test_queues_finds_hundreds_among_thousands_of_keys(ctl, db):
    pipe = db.pipeline()
    for i in range(5000):
        pipe.set(key(f"result:{i}"), "x")
    for i in range(300):
        pipe.xadd(key("jobs", f"q{i}"), {"handler": "h"})
    pipe.execute()
    found = [q["queue"] for q in json.loads(ctl("queues", "--json").stdout)]
    assert found == sorted(f"q{i}" for i in range(300))


def test_queues_lists_those_of_the_configuration_too(ctl, db, tmp_path):
    conf = tmp_path / "stint.yaml"
    conf.write_text("queues: [critical, default]\n")
    db.xadd(key("jobs", "extra"), {"handler": "h"})
    done = ctl("queues", "--json", "--config", str(conf))
    assert [q["queue"] for q in json.loads(done.stdout)] == ["critical", "default", "extra"]


def test_queues_works_with_a_configuration_that_only_the_daemon_can_load(ctl, db, tmp_path):
    conf = tmp_path / "stint.yaml"
    conf.write_text("prefix: p1\nhandlers: { h: { command: ['${STINT_TEST_NOT_SET}'] } }\n")
    db.xadd(key("jobs", "extra", "p1"), {"handler": "h"})
    done = ctl("queues", "--json", "--config", str(conf))
    assert done.returncode == 0
    assert [q["queue"] for q in json.loads(done.stdout)] == ["extra"]
    assert str(conf) in line(done)


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
])
def test_wrong_usage_exits_64_with_one_line_and_sends_nothing(ctl, db, args, said):
    done = ctl(*args)
    assert (done.returncode, done.stdout) == (64, b"") and said in line(done)
    assert db.dbsize() == 0


@pytest.mark.parametrize("command", ["submit", "result", "wait", "queues"])
def test_every_command_has_its_help(ctl, command):
    done = ctl(command, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith(f"Usage: stintctl {command} ")
    assert "--redis URL" in done.stdout.decode()
    assert command in ctl("--help").stdout.decode()


def test_version(ctl):
    done = ctl("--version")
    assert done.returncode == 0 and done.stdout.startswith(b"stintctl ")


@pytest.mark.parametrize("args", [["--help"], ["submit", "h"], ["queues", "--json"],
                                  ["result", "j1"]])
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

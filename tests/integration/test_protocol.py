"""PROTOCOL.md keeps its word: the rights that it lists are enough, and all are needed."""
import re
import subprocess

import pytest
import redis as redis_py
from gates import is_reading
from look import (CONTROL, DEAD, STATS, consumer_of, consumers, entries, key, kill,
                  read_as, wait_delayed, wait_held)
from util import ROOT, STINTCTL, is_drained, result, run, submit, wait_until

PROTOCOL = (ROOT / "lib" / "wire" / "PROTOCOL.md").read_text("utf-8")
HANDLERS = {"upper": {"command": ["tr", "a-z", "A-Z"]},
            "fail": {"command": ["sh", "-c", "exit 3"]},
            "again": {"command": ["sh", "-c", '[ "$STINT_ATTEMPT" -ge 2 ]'],
                      "retries": 1, "backoff": "1ms"},
            "hold": {"command": ["sh", "-c", "echo 50 >&4; exec sleep 60"]}}


def rights(user):
    [line] = re.findall(rf"^ACL SETUSER {user} .*$", PROTOCOL, re.M)
    return line.split()


def granted(user):
    return {word[1:] for word in rights(user) if word.startswith("+")}


@pytest.fixture
def users(redis, client):
    for user in ("stintd", "submitter", "operator"):
        assert client.execute_command(*rights(user)) in (b"OK", True)
    client.acl_log_reset()
    return redis


def used(client):
    return {name.removeprefix("cmdstat_") for name in client.info("commandstats")}


def denied(client):
    return [(entry["username"], entry["object"]) for entry in client.acl_log()]


def end_jobs(admin):
    """Each way to end: with a reply or without, failed, with too many dead letters."""
    assert run(admin, "upper", b"it works", reply_to="me")["output"] == "IT WORKS"
    assert run(admin, "upper", b"plain", id="plain")["output"] == "PLAIN"
    for _ in range(2):
        assert run(admin, "fail")["status"] == "error"
    assert admin.xlen(DEAD) == 1
    assert admin.hget(STATS, "dead_lost") == b"1"


def put_off(admin):
    """Delayed, tried again, and dropped as a duplicate."""
    assert run(admin, "upper", b"later", delay="50ms")["output"] == "LATER"
    assert run(admin, "again", id="mine")["attempt"] == 2
    submit(admin, "upper", id="mine")
    wait_until(lambda: admin.hget(STATS, "duplicates") == b"1", "a duplicate")


def take_over(admin, daemon, config, stintd):
    """From a daemon of this host that is gone, and from one elsewhere that is silent."""
    job = submit(admin, "hold")
    wait_held(admin)
    wait_until(lambda: admin.exists(key("state") + f":{job}"), "its progress")
    kill(daemon)
    other = submit(admin, "upper", b"taken")
    assert read_as(admin, "elsewhere-1-2-3") == [other]
    successor = stintd(config)
    assert result(admin, other)["output"] == "TAKEN"
    wait_until(lambda: consumers(admin).get(consumer_of(admin, successor)) == 1, "taken over")
    return successor, job


def control(admin, daemon, running):
    """Cancel what runs, what is delayed and what waits; pause and resume."""
    delayed = submit(admin, "upper", delay="1h")
    wait_delayed(admin)
    for job in (running, delayed):
        admin.xadd(CONTROL, {"command": "cancel", "id": job})
        assert result(admin, job)["status"] == "cancelled"
    admin.xadd(CONTROL, {"command": "pause"})
    daemon.wait_log("queue is paused")
    wait_until(lambda: not is_reading(admin, daemon), "its read has ended")
    waiting = submit(admin, "upper")
    admin.xadd(CONTROL, {"command": "cancel", "id": waiting})
    assert result(admin, waiting)["status"] == "cancelled"
    admin.xadd(CONTROL, {"command": "resume"})
    daemon.wait_log("queue is resumed")


def lose_a_read(admin, daemon):
    """The pending list is compared after that."""
    wait_until(lambda: is_reading(admin, daemon), "the blocked read")
    [reader] = [c for c in admin.client_list() if c["name"].endswith(":reader")]
    admin.client_kill_filter(_id=reader["id"])
    daemon.wait_log("redis is back")


@pytest.mark.parametrize("right", ["set", "xadd", "xdel", "xack", "hdel", "hincrby"])
def test_a_right_that_is_missing_for_a_while_loses_nothing(users, client, stintd, right):
    """A script that ends in its middle is not undone: it asks before (Redis 7 can tell)."""
    url = users.url.replace("unix://", "unix://stintd:daemon-secret@")
    daemon = stintd({"redis": {"url": url}, "handlers": HANDLERS})
    client.execute_command("ACL", "SETUSER", "stintd", "-" + right)
    job = submit(client, "fail", reply_to="me")
    daemon.wait_log(f"this user lacks the right to {right.upper()}")
    client.execute_command("ACL", "SETUSER", "stintd", "+" + right)
    assert result(client, job)["error"] == "exit code 3"
    wait_until(lambda: is_drained(client), "drained")
    assert client.xlen(key("reply") + ":me") == client.xlen(DEAD) == 1


def test_the_daemon_needs_all_of_its_rights_and_no_others(users, stintd, tmp_path):
    url = f"{users.url}?db=1"
    (tmp_path / "password").write_text("daemon-secret\n")
    config = {"redis": {"url": url.replace("unix://", "unix://stintd@"),
                        "password_file": str(tmp_path / "password")},
              "lease": "2s", "concurrency": 2, "shutdown_timeout": "0s", "handlers": HANDLERS,
              "defaults": {"kill_grace": "1s"}, "dead_letters": {"max_count": 1}}
    admin = users.client(db=1)
    admin.config_resetstat()
    daemon = stintd(config)
    end_jobs(admin)
    put_off(admin)
    daemon, running = take_over(admin, daemon, config, stintd)
    control(admin, daemon, running)
    lose_a_read(admin, daemon)
    # a job that is cut short is handed back; the read that blocks is ended
    submit(admin, "hold")
    wait_held(admin)
    daemon.stop()
    assert len(entries(admin)) == 1
    assert "elsewhere-1-2-3" in consumers(admin) and len(consumers(admin)) == 1
    assert denied(admin) == []
    for told in ("trying again", "cannot"):
        assert told not in daemon.log().replace("redis is away, trying again", "")
    assert granted("stintd") - used(admin) == set()


def operate(url):
    """operate(*args): stintctl as an operator; what it has printed."""
    url = url.replace("unix://", "unix://operator:operator-secret@")

    def call(*args, code=0):
        done = subprocess.run([STINTCTL, "--redis", url, *args], capture_output=True, timeout=60)
        assert done.returncode == code, (args, done)
        return done.stdout.decode()
    return call


def test_an_operator_needs_all_of_its_rights_and_no_others(users, stintd):
    url = f"{users.url}?db=1"
    admin, ctl = users.client(db=1), operate(url)
    daemon = stintd({"handlers": HANDLERS, "shutdown_timeout": "0s"}, url=url)
    done, letters = submit(admin, "upper"), [submit(admin, "fail") for _ in range(4)]
    delayed, held = submit(admin, "upper", delay="1h"), submit(admin, "hold")
    wait_until(lambda: admin.xlen(DEAD) == 4, "four dead letters")
    wait_delayed(admin)
    result(admin, done)
    kill(daemon)
    waiting = submit(admin, "upper")
    # now all that is asked of Redis comes from the operator
    admin.config_resetstat()
    for job in (delayed, held, waiting, "nobody"):
        ctl("cancel", job)
    ctl("cancel", done, code=3)
    ctl("result", done)
    ctl("wait", done)
    ctl("pause")
    ctl("queues")
    ctl("queues", "--json")
    ctl("resume", "--all")
    assert all(letter in ctl("dead", "list") for letter in letters)
    assert "fail" in ctl("dead", "show", letters[0])
    ctl("dead", "drop", letters[0])
    ctl("dead", "retry", letters[1])
    ctl("dead", "retry", "--all")
    ctl("submit", "--wait", "--wait-timeout", "100ms", "upper", "hello", code=75)
    assert denied(admin) == []
    assert granted("operator") - used(admin) == set()
    stintd({"concurrency": 1, "handlers": HANDLERS}, url=url)
    for job in (delayed, held, waiting):
        assert result(admin, job)["status"] == "cancelled"
    wait_until(lambda: admin.xlen(DEAD) == 3, "they have failed again")
    ctl("dead", "drop", "--all")
    assert admin.xlen(DEAD) == 0
    assert denied(admin) == []


def test_a_submitter_can_submit_and_read_and_nothing_else(users, client, stintd):
    stintd({"handlers": HANDLERS})
    mine = users.client(username="submitter", password="submitter-secret")
    entry = submit(mine, "upper", b"mine", reply_to="me")
    [[_, [[_, reply]]]] = mine.xread({"stint:{default}:reply:me": "0-0"}, block=30000)
    assert reply[b"id"] == entry.encode()
    assert result(mine, entry)["output"] == "MINE"
    assert mine.hmget(f"stint:{{default}}:state:{entry}", "percent", "note") == [None, None]
    jobs = "stint:{default}:jobs"
    for forbidden in (("XREADGROUP", "GROUP", "stint", "me", "STREAMS", jobs, ">"),
                      ("XRANGE", jobs, "-", "+"),
                      ("XREAD", "STREAMS", jobs, "0-0"),
                      ("XADD", "stint:{default}:reply:me", "*", "a", "b"),
                      ("SET", f"stint:{{default}}:result:{entry}", "{}"),
                      ("HSET", f"stint:{{default}}:state:{entry}", "percent", "100"),
                      ("DEL", jobs)):
        with pytest.raises(redis_py.exceptions.NoPermissionError):
            mine.execute_command(*forbidden)
    assert is_drained(client)


def test_a_submitter_needs_no_more_rights_for_stintctl(users, stintd):
    stintd({"handlers": HANDLERS})
    url = users.url.replace("unix://", "unix://submitter:submitter-secret@")
    done = subprocess.run([STINTCTL, "--redis", url, "submit", "--wait", "upper", "hello"],
                          capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"HELLO"), done.stderr
    assert done.stderr == b""
    # these two it can do without
    assert {what for _, what in denied(users.client())} <= {"client|setname", "del"}

"""PROTOCOL.md keeps its word: the rights that it lists are enough, and all are needed."""
import re
import subprocess

import pytest
import redis as redis_py
from util import ROOT, STINTCTL, is_drained, result, run, submit, wait_until

PROTOCOL = (ROOT / "lib" / "wire" / "PROTOCOL.md").read_text("utf-8")
HANDLERS = {"upper": {"command": ["tr", "a-z", "A-Z"]},
            "fail": {"command": ["sh", "-c", "exit 3"]},
            "hold": {"command": ["sleep", "60"]}}


def rights(user):
    [line] = re.findall(rf"^ACL SETUSER {user} .*$", PROTOCOL, re.M)
    return line.split()


def granted(user):
    return {word[1:] for word in rights(user) if word.startswith("+")}


@pytest.fixture
def users(redis, client):
    for user in ("stintd", "submitter"):
        assert client.execute_command(*rights(user)) in (b"OK", True)
    client.acl_log_reset()
    return redis


def denied(client):
    return [(entry["username"], entry["object"]) for entry in client.acl_log()]


def test_the_daemon_needs_all_of_its_rights_and_no_others(users, stintd, tmp_path):
    url = f"{users.url}?db=1"
    (tmp_path / "password").write_text("daemon-secret\n")
    config = {"redis": {"url": url.replace("unix://", "unix://stintd@"),
                        "password_file": str(tmp_path / "password")},
              "concurrency": 1, "shutdown_timeout": "0s", "handlers": HANDLERS,
              "defaults": {"kill_grace": "1s"}}
    admin = users.client(db=1)
    admin.config_resetstat()
    daemon = stintd(config)
    assert run(admin, "upper", b"it works", reply_to="me")["output"] == "IT WORKS"
    assert run(admin, "upper", b"plain")["output"] == "PLAIN"
    assert run(admin, "fail")["status"] == "error"
    assert admin.xlen("stint:{default}:dead") == 1
    # a lost read: the pending list is compared
    [reader] = [c for c in admin.client_list() if c["name"].endswith(":reader")]
    wait_until(lambda: any(c["name"].endswith(":reader") and c["cmd"] == "xreadgroup"
                           for c in admin.client_list()), "the blocked read")
    admin.client_kill_filter(_id=reader["id"])
    daemon.wait_log("redis is back")
    # a job that is cut short is handed back; the read that blocks is ended
    submit(admin, "hold")
    wait_until(lambda: admin.xpending("stint:{default}:jobs", "stint")["pending"] == 1, "held")
    daemon.stop()
    assert admin.xlen("stint:{default}:jobs") == 1
    assert admin.xinfo_consumers("stint:{default}:jobs", "stint") == []
    assert denied(admin) == []
    stats = {name.removeprefix("cmdstat_") for name in admin.info("commandstats")}
    assert granted("stintd") - stats == set()


def test_a_submitter_can_submit_and_read_and_nothing_else(users, client, stintd):
    stintd({"handlers": HANDLERS})
    mine = users.client(username="submitter", password="submitter-secret")
    entry = submit(mine, "upper", b"mine", reply_to="me")
    [[_, [[_, reply]]]] = mine.xread({"stint:{default}:reply:me": "0-0"}, block=30000)
    assert reply[b"id"] == entry.encode()
    assert result(mine, entry)["output"] == "MINE"
    jobs = "stint:{default}:jobs"
    for forbidden in (("XREADGROUP", "GROUP", "stint", "me", "STREAMS", jobs, ">"),
                      ("XRANGE", jobs, "-", "+"),
                      ("XREAD", "STREAMS", jobs, "0-0"),
                      ("XADD", "stint:{default}:reply:me", "*", "a", "b"),
                      ("SET", f"stint:{{default}}:result:{entry}", "{}"),
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

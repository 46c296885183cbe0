"""stintctl dead: list, show, retry and drop dead letters."""
import base64
import json
import os
import re

import pytest
from ctl_fixtures import ctl, ctl_at, db, key, line, result_of, server
from look import DEAD, JOBS, STATS, calls, leftovers
from util import result, run, submit, wait_until

GONE = "1732153200000-0"
HEADING = "letter  died  id  handler  attempt  status  error\n"


def letter(db, job="j1", entry="*", handler="h", queue="default", error="why", **fields):
    """A dead letter as a daemon writes it; its id."""
    told = result_of(job, "error", attempt=2, output="", error=error)
    named = {"handler": handler, **fields, "stint-id": job, "stint-entry": "1-1",
             "stint-result": told}
    size = sum(len(part.encode() if isinstance(part, str) else part)
               for pair in named.items() for part in pair)
    db.hincrby(key("stats", queue), "dead_bytes", size)
    return db.xadd(key("dead", queue), named, entry).decode()


def letters(db, queue="default"):
    return [name.decode() for name, _ in db.xrange(key("dead", queue))]


def listed(ctl, *args):
    done = ctl("dead", "list", "--json", *args)
    assert done.returncode == 0, done.stderr
    return [row["letter"] for row in json.loads(done.stdout)]


def output_bytes(db):
    return db.info("stats")["total_net_output_bytes"]


# with a daemon: the whole way


@pytest.fixture
def failing(stintd, folder):
    """Its handler `fail` fails until the file `mended` is there."""
    test = f'if [ -e "{folder}/mended" ]; then cat; else echo oops >&2; exit 3; fi'
    return stintd({"handlers": {"fail": {"command": ["sh", "-c", test]}}})


def test_a_job_that_failed_is_listed_shown_and_retried(failing, redis, client, folder):
    ctl = ctl_at(redis.url)
    assert run(client, "fail", b"the payload", x_user="jane")["status"] == "error"
    [row] = json.loads(ctl("dead", "list", "--json").stdout)
    assert (row["handler"], row["attempt"], row["status"]) == ("fail", 1, "error")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["died"])
    shown = json.loads(ctl("dead", "show", "--json", row["id"]).stdout)
    assert shown["letter"] == row["letter"] and shown["result"]["error"] == row["error"]
    assert shown["fields"]["payload"] == "the payload" and shown["fields"]["x-user"] == "jane"
    open(os.path.join(folder, "mended"), "w").close()
    done = ctl("dead", "retry", row["id"])
    assert (done.returncode, done.stdout.decode()) == (0, row["id"] + "\n"), done.stderr
    assert result(client, row["id"])["output"] == "the payload"
    assert letters(client) == [] and listed(ctl) == []
    wait_until(lambda: not leftovers(client), "nothing is left")


def test_retry_of_all_ends_though_the_jobs_die_again(failing, redis, client):
    ctl = ctl_at(redis.url)
    jobs = [f"j{i}" for i in range(450)]  # several pages of them
    for job in jobs:
        submit(client, "unknown", id=job)
    wait_until(lambda: client.xlen(DEAD) == len(jobs), "all are dead")
    first = letters(client)
    done = ctl("dead", "retry", "--all")
    assert done.returncode == 0 and sorted(done.stdout.decode().split()) == sorted(jobs)
    wait_until(lambda: client.xlen(DEAD) == len(jobs), "all are dead again")
    assert not set(first) & set(letters(client))


# list


def test_list_is_a_table_newest_first(ctl, db):
    letter(db, "first-job", "1764000000000-0")
    letter(db, "j2", "1764000001000-12", handler="resize", error="exit status 3")
    done = ctl("dead", "list")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == (
        "letter            died                  id         handler  attempt  status  error\n"
        "1764000001000-12  2025-11-24T16:00:01Z  j2         resize         2  error   "
        "exit status 3\n"
        "1764000000000-0   2025-11-24T16:00:00Z  first-job  h              2  error   why\n")


def test_list_of_nothing(ctl, db):
    assert ctl("dead", "list").stdout.decode() == HEADING
    assert ctl("dead", "list", "--json").stdout == b"[]\n"


def test_list_as_json_of_another_queue(ctl, db):
    letter(db)
    name = letter(db, "j2", "1764000000000-0", queue="bulk")
    assert json.loads(ctl("dead", "list", "-q", "bulk", "--json").stdout) == [
        {"letter": name, "died": "2025-11-24T16:00:00Z", "id": "j2", "handler": "h",
         "attempt": 2, "status": "error", "error": "why"}]


def test_list_has_a_limit_and_says_when_there_are_more(ctl, db):
    names = [letter(db, f"j{i}") for i in range(450)]
    newest = names[::-1]
    done = ctl("dead", "list", "--limit", "3")
    assert done.stdout.decode().count("\n") == 4 and "more than these 3" in line(done)
    assert listed(ctl, "--limit", "3") == newest[:3]
    assert listed(ctl) == newest[:100]
    assert listed(ctl, "--limit", "449") == newest[:449]
    done = ctl("dead", "list", "--limit", "450")
    assert done.stdout.decode().count("\n") == 451 and done.stderr == b""
    assert listed(ctl, "--limit", "1000") == newest


def test_list_of_letters_that_no_daemon_wrote(ctl, db):
    db.xadd(DEAD, {"a": "b"})
    db.xadd(DEAD, {"handler": b"\x1b[2J\xff", "stint-id": "\r\n\x7f", "stint-result": "{"})
    db.xadd(DEAD, {"stint-result": '{"status":1,"error":["e"],"attempt":"many"}'})
    db.xadd(DEAD, {"stint-result": '["\\u00e4"]', "handler": "grüße"})
    rows = json.loads(ctl("dead", "list", "--json").stdout)
    assert [row["handler"] for row in rows] == ["grüße", "", "?[2J?", ""]
    assert [row["id"] for row in rows] == ["", "", "???", ""]
    assert all(row["status"] == row["error"] == "" and row["attempt"] == 0 for row in rows)
    assert b"\x1b" not in ctl("dead", "list").stdout


def test_list_cuts_a_long_error_between_characters(ctl, db):
    letter(db, error="ä" * 500)
    last = ctl("dead", "list").stdout.decode().split()[-1]
    assert len(last) > 50 and set(last) == {"ä"}


def test_list_does_not_read_payloads(ctl, db):
    for i in range(12):
        letter(db, f"j{i}", payload=b"x" * 2**20)
    sent, before = output_bytes(db), calls(db, "eval")
    assert len(listed(ctl)) == 12
    assert calls(db, "eval") - before >= 3
    assert ctl("dead", "drop", "j3").returncode == 0
    assert ctl("dead", "retry", "j4").returncode == 0
    assert output_bytes(db) - sent < 100000


def test_list_of_a_key_of_another_type_is_an_error(ctl, db):
    db.set(DEAD, "x")
    for args in (["list"], ["show", "j1"], ["drop", GONE], ["retry", "--all"]):
        done = ctl("dead", *args)
        assert done.returncode == 69 and "WRONGTYPE" in line(done)


def test_ten_thousand_letters_are_read_in_small_steps(ctl, db):
    pipe = db.pipeline(transaction=False)
    for i in range(10000):
        pipe.xadd(DEAD, {"handler": "h", "payload": b"x" * 1000, "stint-id": f"j{i}",
                         "stint-result": result_of(f"j{i}", "error", error="why")})
    pipe.execute()
    sent = output_bytes(db)
    before = calls(db, "eval")
    found = ctl("dead", "show", "j0")
    assert found.returncode == 0 and b"stint-id: j0\n" in found.stdout, found.stderr
    assert calls(db, "eval") - before >= 50
    assert output_bytes(db) - sent < 100000
    done = ctl("dead", "drop", "--all")
    assert done.returncode == 0 and done.stdout.count(b"\n") == 10000, done.stderr
    assert output_bytes(db) - sent < 2000000 and db.xlen(DEAD) == 0


# show


def test_show_prints_a_line_for_each_field(ctl, db):
    name = letter(db, "j1", "1764000000000-0", payload="two\nlines\x1b[2J")
    done = ctl("dead", "show", name)
    assert done.returncode == 0 and done.stdout.decode() == (
        f"letter: {name}\ndied: 2025-11-24T16:00:00Z\nhandler: h\n"
        "payload: two\\nlines\\u001b[2J\nstint-id: j1\nstint-entry: 1-1\n"
        f"stint-result: {result_of('j1', 'error', attempt=2, output='', error='why')}\n")
    assert ctl("dead", "show", "j1").stdout == done.stdout


def test_show_of_what_is_not_text(ctl, db):
    binary = bytes(range(256))
    letter(db, payload=binary)
    shown = json.loads(ctl("dead", "show", "--json", "j1").stdout)
    assert base64.b64decode(shown["fields"]["payload_base64"]) == binary
    assert "payload: (256 bytes that are no text; see --json)\n" in (
        ctl("dead", "show", "j1").stdout.decode())


def test_show_as_json_has_the_result_as_an_object(ctl, db):
    name = letter(db, "j1", "1764000000000-0", payload="p\0q")
    assert json.loads(ctl("dead", "show", "--json", "j1").stdout) == {
        "letter": name, "died": "2025-11-24T16:00:00Z",
        "fields": {"handler": "h", "payload": "p\0q", "stint-id": "j1", "stint-entry": "1-1"},
        "result": {"id": "j1", "status": "error", "attempt": 2, "output": "", "error": "why"}}


def test_show_of_a_letter_that_no_daemon_wrote(ctl, db):
    name = db.xadd(DEAD, {b"n\xff\n": "v", "stint-result": "{no json"}).decode()
    assert json.loads(ctl("dead", "show", "--json", name).stdout)["fields"] == {
        "n??": "v", "stint-result": "{no json"}
    assert "\nn??: v\n" in ctl("dead", "show", name).stdout.decode()


def test_a_job_id_stands_for_the_newest_letter_of_the_job(ctl, db):
    letter(db, "j1", error="first")
    newest = letter(db, "j1", error="second")
    letter(db, "j2")
    assert json.loads(ctl("dead", "show", "--json", "j1").stdout)["letter"] == newest


def test_an_id_of_two_letters_is_refused(ctl, db):
    letter(db, "7-1", "5-1")
    letter(db, "j2", "7-1")
    for command in ("show", "retry", "drop"):
        done = ctl("dead", command, "7-1")
        assert done.returncode == 64
        assert "7-1 is both a letter, of job j2, and a job, with letter 5-1" in line(done)
    assert letters(db) == ["5-1", "7-1"]
    assert ctl("dead", "drop", "j2").returncode == 0
    assert ctl("dead", "drop", "7-1").returncode == 0
    assert letters(db) == []


def test_a_letter_of_the_same_job_is_not_ambiguous(ctl, db):
    letter(db, "5-1", "5-1", error="old")
    letter(db, "5-1", "7-1", error="new")
    assert json.loads(ctl("dead", "show", "--json", "5-1").stdout)["result"]["error"] == "old"


@pytest.mark.parametrize("name", [GONE, "j1", "0-0", "5", "99999999999999999999-1"])
@pytest.mark.parametrize("command", ["show", "retry", "drop"])
def test_an_id_without_a_letter_exits_3(ctl, db, command, name):
    letter(db, "other", "5-1")
    done = ctl("dead", command, name)
    assert (done.returncode, done.stdout) == (3, b"")
    assert line(done) == f"stintctl: no dead letter {name} in queue default\n"
    assert letters(db) == ["5-1"]


# retry, drop


def test_retry_submits_the_job_as_it_was(ctl, db):
    db.set(key("result:j1"), result_of("j1", "error"))
    name = letter(db, "j1", payload="p", retries="2", delay="1h", deadline="5",
                  **{"x-user": "jane", "stint-attempt": "3"})
    assert ctl("dead", "retry", name).stdout == b"j1\n"
    assert [fields for _, fields in db.xrange(JOBS)] == [
        {b"id": b"j1", b"handler": b"h", b"payload": b"p", b"retries": b"2",
         b"x-user": b"jane"}]
    assert not db.exists(key("result:j1")) and letters(db) == []
    assert not db.hexists(STATS, "dead_bytes")


def test_drop_deletes_the_letter_and_nothing_else(ctl, db):
    db.set(key("result:j1"), result_of("j1", "error"))
    letter(db, "j1")
    kept = letter(db, "j2")
    left = db.hget(STATS, "dead_bytes")
    assert ctl("dead", "drop", "j1").stdout == b"j1\n"
    assert letters(db) == [kept] and not db.exists(JOBS) and db.exists(key("result:j1"))
    assert int(db.hget(STATS, "dead_bytes")) == int(left) // 2


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_several_ids_and_one_that_is_not_there(ctl, db, command):
    names = [letter(db, f"j{i}", f"{i}-1") for i in range(1, 4)]
    done = ctl("dead", command, "--json", "j1", "nobody", names[2])
    assert done.returncode == 3 and "no dead letter nobody" in line(done)
    assert json.loads(done.stdout) == [{"letter": "1-1", "id": "j1"},
                                       {"letter": "3-1", "id": "j3"}]
    assert letters(db) == [names[1]]
    assert db.xlen(JOBS) == (2 if command == "retry" else 0)


def test_all_of_another_queue(ctl, db):
    kept = letter(db)
    for i in range(450):
        letter(db, f"j{i}", queue="bulk")
    done = ctl("dead", "retry", "--all", "-q", "bulk")
    assert done.stdout.decode().split() == [f"j{i}" for i in range(450)]
    assert letters(db) == [kept] and db.xlen(key("jobs", "bulk")) == 450


def test_all_of_nothing(ctl, db):
    for command in ("retry", "drop"):
        assert ctl("dead", command, "--all").stdout == b""
        assert ctl("dead", command, "--all", "--json").stdout == b"[]\n"


@pytest.mark.parametrize("fields", [{"handler": "h"}, {"handler": "h", "stint-id": "a b"}])
def test_a_letter_without_a_job_id_can_be_dropped_but_not_retried(ctl, db, fields):
    name = db.xadd(DEAD, fields, "5-1").decode()
    letter(db, "j2")
    done = ctl("dead", "retry", name)
    assert done.returncode == 3 and "does not say of which job it is" in line(done)
    done = ctl("dead", "retry", "--all")
    assert done.returncode == 3 and "does not say of which job it is" in line(done)
    assert done.stdout == b"j2\n"
    assert ctl("dead", "drop", name).stdout == b"5-1\n"
    assert letters(db) == []

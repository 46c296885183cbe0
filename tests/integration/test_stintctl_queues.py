"""stintctl queues: the table, and which queues are in it."""

import json

from ctl_fixtures import ctl, db, key, line, server


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
    db.zadd(key("delayed", "a"), {"j1": 1, "j2": 2})
    db.hset(key("stats", "a"), mapping={"dead_lost": 5, "dead_bytes": 12})
    db.xadd(key("control", "a"), {"command": "pause"})


def test_queues_is_a_table(ctl, db):
    fill_queues(db)
    done = ctl("queues")
    assert done.returncode == 0
    assert done.stdout.decode() == (
        "queue              waiting  running  delayed  dead  dead_lost  consumers  paused\n"
        "a                        1        0        2    12          5          0  yes\n"
        "critical-and-long        1        2        0     0          0          2  no\n")


def test_queues_as_json(ctl, db):
    fill_queues(db)
    assert json.loads(ctl("queues", "--json").stdout) == [
        {"queue": "a", "waiting": 1, "running": 0, "delayed": 2, "dead": 12, "dead_lost": 5,
         "consumers": 0, "paused": True},
        {"queue": "critical-and-long", "waiting": 1, "running": 2, "delayed": 0, "dead": 0,
         "dead_lost": 0, "consumers": 2, "paused": False}]


def test_what_is_put_aside_waits(ctl, db):
    fill_queues(db)
    jobs = key("jobs", "critical-and-long")
    [held] = [row["message_id"] for row in db.xpending_range(jobs, "stint", "-", "+", 1)]
    db.xclaim(jobs, "stint", "aside:h", 0, [held], justid=True)
    [row] = [q for q in json.loads(ctl("queues", "--json").stdout) if q["queue"] != "a"]
    assert (row["waiting"], row["running"], row["consumers"]) == (2, 1, 2)


def test_queues_of_an_empty_redis(ctl, db):
    assert ctl("queues").stdout == (
        b"queue  waiting  running  delayed  dead  dead_lost  consumers  paused\n")
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

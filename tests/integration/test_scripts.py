"""The Lua scripts, each by itself on a Redis: what it answers, what it leaves behind."""
import contextlib
import shutil
import tempfile
import time

import pytest
import redis as redis_py
from util import ROOT, Redis, wait_until

FOLDER = ROOT / "lib/wire/scripts"
KEY = "stint:{q}:"
GROUP = "stint"
HOUR_MS = 3600 * 1000
GONE = "1-1"


@pytest.fixture(scope="module")
def server():
    folder = tempfile.mkdtemp(prefix="stint-it-")
    server = Redis(folder).start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Queue:
    """One queue, and the scripts with their keys and arguments in place."""

    def __init__(self, server):
        # binary values come as text with surrogates, and go back as they were
        self.options = {"decode_responses": True, "encoding_errors": "surrogateescape"}
        self.client = server.client(**self.options)
        self.server = server
        self.client.flushall()
        self.client.config_set("maxmemory", 0)
        self.client.xgroup_create(KEY + "jobs", GROUP, id="0", mkstream=True)

    def eval(self, name, keys, *args, shim="", client=None):
        text = shim + (FOLDER / "common.lua").read_text() + (FOLDER / f"{name}.lua").read_text()
        return (client or self.client).eval(text, len(keys), *(KEY + key for key in keys), *args)

    def per_job(self, name, keys, jobs, me, stems=("result", "state")):
        named = [f"{stem}:{job[1]}" for job in jobs for stem in stems]
        return self.eval(name, keys + named, GROUP, me, *(word for job in jobs for word in job))

    # ---- the scripts ----

    def finish(self, *jobs, me="me", max_count=100, max_bytes=10**6, reply=None, told=1):
        """Each job: entry, kind, store, ttl, id, result."""
        keys = ["jobs", "dead", "ids", "stats", "delayed", "bodies"]
        for job in jobs:
            keys += [f"result:{job[4]}", f"reply:{reply}" if reply else "jobs",
                     f"state:{job[4]}"]
        return self.eval("finish", keys, GROUP, me, max_count, max_bytes, 1000,
                         *(word for job in jobs for word in (*job, told)))

    def end(self, entry, kind, job_id=None, text="{}", store=1, **how):
        return self.finish((entry, kind, store, HOUR_MS, job_id or entry, text), **how)[0]

    def release(self, *jobs, me="me"):
        return self.per_job("release", ["jobs", "ids"], jobs, me, stems=("state",))

    def report(self, *jobs, me="me"):
        """Each job: entry, percent, note, ttl. They are called like their entries."""
        states = [f"state:{job[0]}" for job in jobs]
        return self.eval("report", ["jobs", *states], GROUP, me, *(w for j in jobs for w in j))

    def retry(self, *jobs, me="me"):
        return self.per_job("retry", ["jobs", "ids", "delayed", "bodies"], jobs, me)

    def put_off(self, entry, job_id=None, delay_ms=HOUR_MS, attempt=2, **how):
        return self.retry((entry, job_id or entry, 5, attempt, 0, 0, delay_ms, "oops"), **how)

    def admit(self, *jobs, me="me"):
        """Each job: entry, id, due."""
        return self.per_job("admit", ["jobs", "ids", "delayed", "bodies", "stats"], jobs, me)

    def promote(self, *ids):
        named = [f"{stem}:{job_id}" for job_id in ids for stem in ("result", "state")]
        return self.eval("promote", ["jobs", "ids", "delayed", "bodies", *named], *ids)

    # ---- what there is ----

    def add(self, **fields):
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.client.xadd(KEY + "jobs", {"handler": "h", **named})

    def read(self, me="me", count=100):
        found = self.client.xreadgroup(GROUP, me, {KEY + "jobs": ">"}, count=count)
        return [entry for entry, _ in found[0][1]] if found else []

    def held(self, me="me", **fields):
        """A job that @me has just read."""
        entry = self.add(**fields)
        assert self.read(me) == [entry]
        return entry

    def pending(self):
        rows = self.client.xpending_range(KEY + "jobs", GROUP, "-", "+", 1000)
        return {row["message_id"]: row["consumer"] for row in rows}

    def deliveries(self, entry):
        rows = self.client.xpending_range(KEY + "jobs", GROUP, entry, entry, 1)
        return rows[0]["times_delivered"]

    def idle_ms(self, entry):
        rows = self.client.xpending_range(KEY + "jobs", GROUP, entry, entry, 1)
        return rows[0]["time_since_delivered"]

    def jobs(self):
        return dict(self.client.xrange(KEY + "jobs"))

    def letters(self):
        return self.client.xrange(KEY + "dead")

    def result(self, job_id):
        return self.client.get(KEY + "result:" + job_id)

    def ids(self):
        return self.client.hgetall(KEY + "ids")

    def stats(self):
        return {name: int(n) for name, n in self.client.hgetall(KEY + "stats").items()}

    def delayed(self):
        return dict(self.client.zrange(KEY + "delayed", 0, -1, withscores=True))

    def state(self, job_id):
        return self.client.hgetall(KEY + "state:" + job_id)

    def now_ms(self):
        seconds, us = self.client.time()
        return seconds * 1000 + us // 1000

    def is_empty(self):
        """Nothing but results, dead letters and counts."""
        there = {key[len(KEY):] for key in self.client.keys(KEY + "*")}
        there = {key for key in there if not key.startswith(("result:", "reply:"))}
        return there - {"dead", "stats"} == {"jobs"} and not self.jobs() and not self.pending()

    @contextlib.contextmanager
    def no_memory(self):
        self.client.config_set("maxmemory", 1)
        with pytest.raises(redis_py.exceptions.ResponseError, match="OOM|maxmemory"):
            self.client.set("any", "thing")
        yield
        self.client.config_set("maxmemory", 0)

    def without_rights(self, command):
        """A connection that may do all but this."""
        self.client.acl_setuser("some", enabled=True, nopass=True, reset=True, keys=["*"],
                                commands=["+@all", f"-{command}"])
        return self.server.client(username="some", password="x", **self.options)


@pytest.fixture
def q(server):
    queue = Queue(server)
    yield queue
    queue.client.config_set("maxmemory", 0)
    queue.client.close()


def size(letter):
    return sum(len(name) + len(value) for name, value in letter[1].items())


# ---- finish ----

def test_finish_records_acknowledges_and_deletes(q):
    entry = q.held()
    assert q.end(entry, "ok", text="r") == 1
    assert q.result(entry) == "r"
    assert 0 < q.client.pttl(KEY + "result:" + entry) <= HOUR_MS
    assert q.is_empty()


def test_finish_forgets_the_id_of_a_job_that_has_one(q):
    entry = q.held(id="mine")
    assert q.admit((entry, "mine", ""))[0] == 1
    assert q.ids() == {"mine": entry}
    assert q.end(entry, "ok", "mine") == 1
    assert q.is_empty()


def test_finish_leaves_the_id_that_stands_for_another_entry(q):
    entry = q.held(id="mine")
    q.admit((entry, "mine", ""))
    assert q.release((entry, "mine", 5, 1, 0, 1)) == [1]
    [copy] = q.jobs()
    assert q.end(entry, "ok", "mine", text="late") == 1
    assert q.ids() == {"mine": copy}


@pytest.mark.parametrize("kind", ["failed", "dead"])
def test_finish_of_a_failure_counts_only_for_the_holder(q, kind):
    entry = q.held("other")
    assert q.end(entry, kind) == 0
    assert q.result(entry) is None and not q.letters() and q.pending() == {entry: "other"}
    assert q.end(entry, kind, me="other") == 1
    assert len(q.letters()) == (kind == "dead")


def test_finish_of_success_counts_for_whoever_it_did_once(q):
    entry = q.held("other")
    assert q.end(entry, "ok", text="first") == 1
    assert q.end(entry, "ok", text="second", me="other") == 2
    assert q.result(entry) == "first"


@pytest.mark.parametrize("job_id", [None, "mine"])
def test_finish_of_late_success_takes_away_the_retry(q, job_id):
    entry, other = q.held(), q.held()
    q.client.xclaim(KEY + "jobs", GROUP, "other", 0, [entry], justid=True)
    q.put_off(entry, job_id, me="other")
    q.put_off(other, "kept")
    assert q.end(entry, "failed", job_id) == 0 and len(q.delayed()) == 2
    assert q.end(entry, "ok", job_id, "late", store=0) == 2 and len(q.delayed()) == 2
    assert q.end(entry, "ok", job_id, "late") == 1
    assert list(q.delayed()) == list(q.ids()) == q.client.hkeys(KEY + "bodies") == ["kept"]
    assert not q.state(job_id or entry) and q.state("kept")
    assert q.result(job_id or entry) == "late"


def test_finish_goes_on_beside_a_delayed_set_of_another_type(q):
    q.client.set(KEY + "delayed", "x")
    assert q.finish(*((q.held(), "ok", 1, HOUR_MS, name, "{}") for name in "ab")) == [1, 1]


def test_finish_without_storing_is_first_when_it_acknowledges(q):
    entry = q.held()
    assert q.end(entry, "ok", store=0, reply="r") == 1
    assert q.end(entry, "ok", store=0, reply="r") == 2
    assert q.result(entry) is None
    assert q.client.xlen(KEY + "reply:r") == 1


def test_finish_of_the_second_result_leaves_no_letter_and_no_reply(q):
    entry = q.held(id="mine")
    q.client.set(KEY + "result:mine", "first")
    assert q.end(entry, "dead", "mine", text="second", reply="r") == 2
    assert q.result("mine") == "first"
    assert not q.letters() and not q.client.exists(KEY + "reply:r")
    assert q.is_empty()


def test_finish_repeated_records_nothing_twice(q):
    one, two = q.held(), q.held()
    jobs = ((one, "dead", 1, HOUR_MS, one, "a"), (two, "ok", 1, HOUR_MS, two, "b"))
    assert q.finish(*jobs, reply="r") == [1, 1]
    assert q.finish(*jobs, reply="r") == [0, 2]
    assert len(q.letters()) == 1 and q.client.xlen(KEY + "reply:r") == 2


def test_finish_keeps_all_fields_in_the_letter(q):
    q.held(payload="p", x_a="1")
    assert q.release((*q.pending(), "first", 5, 2, 3, 4)) == [1]
    [entry] = q.read()
    assert q.end(entry, "dead", "first", text="why") == 1
    [(_, letter)] = q.letters()
    assert letter == {
        "handler": "h", "payload": "p", "x-a": "1", "id": "first", "stint-submitted": "5",
        "stint-attempt": "2", "stint-deaths": "3", "stint-interruptions": "4",
        "stint-id": "first", "stint-entry": entry, "stint-result": "why"}
    assert q.stats() == {"dead_bytes": size(q.letters()[0])}


def test_finish_keeps_the_newest_letters(q):
    entries = [q.held() for _ in range(5)]
    for entry in entries:
        assert q.end(entry, "dead", max_count=3) == 1
    letters = q.letters()
    assert [letter["stint-id"] for _, letter in letters] == entries[2:]
    assert q.stats() == {"dead_bytes": sum(map(size, letters)), "dead_lost": 2}


def test_finish_caps_the_letters_by_their_bytes(q):
    entries = [q.held(payload="x" * 1000) for _ in range(5)]
    for entry in entries:
        assert q.end(entry, "dead", max_bytes=3500) == 1
    letters = q.letters()
    assert [letter["stint-id"] for _, letter in letters] == entries[2:]
    assert q.stats() == {"dead_bytes": sum(map(size, letters)), "dead_lost": 2}
    large = q.held(payload="x" * 4000)
    assert q.end(large, "dead", max_bytes=3500) == 1 + 8
    assert q.letters() == letters and q.stats()["dead_lost"] == 3


def test_finish_removes_many_letters_in_several_steps(q):
    for entry in [q.held() for _ in range(250)]:
        q.end(entry, "dead", max_count=1000)
    lengths = []
    for entry in [q.held() for _ in range(3)]:
        q.end(entry, "dead", max_count=10)
        lengths.append(len(q.letters()))
    assert lengths == [150, 50, 10]
    assert q.stats() == {"dead_bytes": sum(map(size, q.letters())), "dead_lost": 243}


def test_finish_keeps_no_letters_when_none_are_wanted(q):
    assert q.end(q.held(), "dead", max_count=0) == 1
    assert not q.letters() and q.stats() == {"dead_lost": 1}
    assert q.is_empty()


@pytest.mark.parametrize("key, code", [("reply:r", 5), ("dead", 9), ("stats", 9), ("ids", 1)])
def test_finish_goes_on_beside_a_key_of_another_type(q, key, code):
    one, two = q.held(), q.held()
    q.client.lpush(KEY + key, "x")
    jobs = [(entry, "dead", 1, HOUR_MS, f"id-{entry}", "r") for entry in (one, two)]
    assert q.finish(*jobs, reply="r") == [code, code]
    assert not q.jobs() and not q.pending()


def test_finish_without_stream_records_success(q):
    entry = q.held()
    q.client.delete(KEY + "jobs")
    assert q.end(entry, "ok") == 1
    q.client.lpush(KEY + "jobs", "x")
    assert q.end(GONE, "ok") == 1
    assert q.end(GONE, "dead") == 0


def test_finish_of_an_entry_that_was_deleted_leaves_no_letter(q):
    entry = q.held()
    q.client.xdel(KEY + "jobs", entry)
    assert q.end(entry, "dead") == 1
    assert not q.letters() and q.is_empty()


def test_finish_works_without_memory(q):
    one, two = q.held(id="a"), q.held()
    q.admit((one, "a", ""))
    with q.no_memory():
        jobs = ((one, "dead", 1, HOUR_MS, "a", "r"), (two, "ok", 1, HOUR_MS, two, "r"))
        assert q.finish(*jobs, reply="r") == [1, 1]
    assert len(q.letters()) == 1 and q.is_empty()


def test_ownership_that_cannot_be_asked_for_is_an_error(q):
    entry = q.held()
    client = q.without_rights("xpending")
    keys = ["jobs", "dead", "ids", "stats", "delayed", "bodies", "result:x", "jobs", "state:x"]
    with pytest.raises(redis_py.exceptions.ResponseError, match="can't run|no permissions"):
        q.eval("finish", keys, GROUP, "me", 1, 1, 1, entry, "failed", 1, 1000, "x", "{}", 0,
               client=client)
    client.close()
    assert q.pending() == {entry: "me"}


# ---- release ----

def test_release_makes_a_new_entry_of_the_same_job(q):
    entry = q.held(payload="p", delay="1s", at="7", stint_submitted="1", stint_attempt="1",
                   stint_deaths="0", stint_interruptions="0", x_a="b")
    assert q.release((entry, "mine", 5, 2, 3, 4)) == [1]
    [(copy, fields)] = q.jobs().items()
    assert copy != entry and not q.pending() and q.ids() == {"mine": copy}
    assert fields == {"handler": "h", "payload": "p", "x-a": "b", "id": "mine",
                      "stint-submitted": "5", "stint-attempt": "2", "stint-deaths": "3",
                      "stint-interruptions": "4"}
    assert q.read("other") == [copy]


def test_release_leaves_what_is_not_ours(q):
    mine, other, gone = q.held(), q.held("other"), q.held()
    q.client.xdel(KEY + "jobs", gone)
    jobs = [(entry, entry, 5, 1, 0, 1) for entry in (mine, other, gone, GONE)]
    assert q.release(*jobs) == [1, 0, 0, 0]
    assert q.pending() == {other: "other"} and len(q.jobs()) == 2
    assert q.release(*jobs) == [0, 0, 0, 0]
    assert len(q.jobs()) == 2


def test_release_works_without_memory(q):
    entry = q.held()
    with q.no_memory():
        assert q.release((entry, entry, 5, 1, 0, 1)) == [1]
    assert len(q.jobs()) == 1


def test_release_keeps_a_job_that_cannot_be_added(q):
    entry = q.held()
    q.client.xadd(KEY + "jobs", {"last": "one"}, id=f"{2**64 - 1}-{2**64 - 1}")
    with pytest.raises(redis_py.exceptions.ResponseError):
        q.release((entry, entry, 5, 1, 0, 1))
    assert q.pending() == {entry: "me"} and entry in q.jobs()


@pytest.mark.parametrize("script", ["release", "retry", "admit"])
def test_without_stream_or_group_nothing_is_ours(q, script):
    call = {"release": lambda: q.release((GONE, GONE, 5, 1, 0, 1)),
            "retry": lambda: q.put_off(GONE), "admit": lambda: q.admit((GONE, GONE, ""))}[script]
    for change in (lambda: q.client.xgroup_destroy(KEY + "jobs", GROUP),
                   lambda: q.client.delete(KEY + "jobs"),
                   lambda: q.client.lpush(KEY + "jobs", "x")):
        change()
        assert call()[0] == 0


@pytest.mark.parametrize("script", ["release", "retry", "admit", "promote", "finish"])
def test_a_refusal_keeps_its_first_word(q, script):
    entry = q.held()
    q.client.replicaof("127.0.0.1", "1")
    call = {"release": lambda: q.release((entry, entry, 5, 1, 0, 1)),
            "retry": lambda: q.put_off(entry), "admit": lambda: q.admit((entry, entry, "")),
            "promote": lambda: q.promote(entry), "finish": lambda: q.end(entry, "ok")}[script]
    try:
        with pytest.raises(redis_py.exceptions.ReadOnlyError):
            call()
    finally:
        q.client.replicaof("NO", "ONE")
    assert q.pending() == {entry: "me"}


# ---- retry ----

def test_retry_puts_the_job_into_the_delayed_set(q):
    entry = q.held(payload=b"\0\xff", x_a="")
    before = q.now_ms()
    codes = q.retry((entry, "mine", 5, 2, 1, 0, 60000, "it broke"))
    due = q.delayed()["mine"]
    assert codes[0] == 1 and 59000 < codes[1] <= 60000
    assert before + 60000 <= due <= q.now_ms() + 60000
    assert not q.jobs() and not q.pending() and q.ids() == {"mine": "delayed"}
    assert q.state("mine") == {"status": "retrying", "attempt": "2", "error": "it broke",
                               "next_ms": str(int(due))}


def test_retry_leaves_nothing_of_an_older_state(q):
    q.client.hset(KEY + "state:a", mapping={"percent": 50, "note": "half"})
    q.client.lpush(KEY + "state:b", "x")
    for job_id in "ab":
        q.put_off(q.held(), job_id)
        assert q.state(job_id).keys() == {"status", "attempt", "error", "next_ms"}


def test_retry_answers_when_the_first_of_all_is_due(q):
    one, two = q.held(), q.held()
    q.put_off(one, delay_ms=1000)
    codes = q.put_off(two, delay_ms=HOUR_MS)
    assert codes[0] == 1 and 0 < codes[1] <= 1000
    q.client.zadd(KEY + "delayed", {one: 0})
    assert q.put_off(GONE) == [0, 0]
    q.client.delete(KEY + "delayed")
    assert q.put_off(GONE) == [0, -1]


def test_retry_leaves_what_is_not_ours(q):
    entry, gone = q.held("other"), q.held()
    q.client.xdel(KEY + "jobs", gone)
    assert [q.put_off(e)[0] for e in (entry, gone, GONE)] == [0, 0, 0]
    assert q.pending() == {entry: "other"} and not q.delayed()


def test_retry_of_a_job_with_a_result_removes_it(q):
    entry = q.held(id="mine")
    q.admit((entry, "mine", ""))
    q.client.set(KEY + "result:mine", "r")
    assert q.put_off(entry, "mine")[0] == 2
    assert q.result("mine") == "r" and q.is_empty()


def test_retry_repeated_changes_nothing(q):
    entry = q.held()
    q.put_off(entry)
    before = q.delayed(), q.state(entry)
    assert q.put_off(entry, attempt=9)[0] == 0
    assert (q.delayed(), q.state(entry)) == before


def test_retry_works_without_memory(q):
    entry = q.held()
    with q.no_memory():
        assert q.put_off(entry)[0] == 1
    assert entry in q.delayed() and not q.pending()


# ---- report, and what becomes of it ----

def test_report_tells_of_what_is_ours_only(q):
    mine, other, gone = q.held(), q.held("other"), q.held()
    q.client.xdel(KEY + "jobs", gone)
    q.client.xack(KEY + "jobs", GROUP, gone)
    jobs = [(entry, 50, "half", HOUR_MS) for entry in (mine, other, gone, GONE)]
    assert q.report(*jobs) == [1, 0, 0, 0]
    assert q.state(mine) == {"percent": "50", "note": "half", "consumer": "me"}
    assert HOUR_MS - 60_000 < q.client.pttl(KEY + f"state:{mine}") <= HOUR_MS
    assert [q.state(entry) for entry in (other, gone, GONE)] == [{}, {}, {}]
    assert q.report((mine, 51, "", HOUR_MS)) == [1]
    assert q.state(mine) == {"percent": "51", "note": "", "consumer": "me"}


def test_report_passes_over_a_state_of_another_type(q):
    one, two = q.held(), q.held()
    q.client.set(KEY + f"state:{one}", "no hash")
    assert q.report((one, 1, "", HOUR_MS), (two, 2, "", HOUR_MS)) == [0, 1]
    assert q.end(one, "failed") == 1 and q.state(one) == {}


def test_report_is_refused_without_memory(q):
    entry = q.held()
    with q.no_memory(), pytest.raises(redis_py.exceptions.ResponseError, match="OOM|maxmemory"):
        q.report((entry, 1, "", HOUR_MS))
    assert q.state(entry) == {}


def ways_to_end(q, entry, me):
    return {"finish": lambda: q.end(entry, "failed", me=me),
            "release": lambda: q.release((entry, entry, 5, 1, 0, 1), me=me)[0],
            "retry": lambda: q.put_off(entry, me=me)[0]}


@pytest.mark.parametrize("way", ["finish", "release", "retry"])
def test_what_was_reported_goes_when_the_job_ends(q, way):
    entry = q.held()
    q.report((entry, 50, "half", HOUR_MS))
    assert ways_to_end(q, entry, "me")[way]() == 1
    assert "percent" not in q.state(entry)
    assert q.client.pttl(KEY + f"state:{entry}") == (-1 if way == "retry" else -2)
    assert q.report((entry, 60, "late", HOUR_MS)) == [0]
    assert "percent" not in q.state(entry)


@pytest.mark.parametrize("way", ["finish", "release", "retry"])
def test_who_has_lost_a_job_takes_its_own_report_away_and_no_other(q, way):
    entry = q.held()
    q.report((entry, 50, "mine", HOUR_MS))
    q.client.xclaim(KEY + "jobs", GROUP, "other", 0, [entry])
    assert ways_to_end(q, entry, "me")[way]() == 0
    assert q.state(entry) == {}
    q.report((entry, 10, "theirs", HOUR_MS), me="other")
    assert ways_to_end(q, entry, "me")[way]() == 0
    assert q.state(entry)["note"] == "theirs"
    # it has become another entry meanwhile, which waits
    assert q.put_off(entry, me="other")[0] == 1
    assert ways_to_end(q, entry, "me")[way]() == 0
    assert q.state(entry)["status"] == "retrying"


def test_a_success_that_comes_late_takes_the_report_of_others_away(q):
    entry = q.held()
    q.client.xclaim(KEY + "jobs", GROUP, "other", 0, [entry])
    q.report((entry, 10, "theirs", HOUR_MS), me="other")
    assert q.end(entry, "ok") == 1
    assert q.state(entry) == {} and q.report((entry, 20, "", HOUR_MS), me="other") == [0]
    entry = q.held("other")
    q.put_off(entry, me="other")
    assert q.end(entry, "ok", store=0) == 2  # what is delayed may be another job of this id
    assert q.state(entry)["status"] == "retrying"


def test_finish_asks_for_no_state_where_there_can_be_none(q):
    entry = q.held()
    q.client.hset(KEY + f"state:{entry}", "percent", 1)
    assert q.finish((entry, "failed", 1, HOUR_MS, entry, "{}"), told=0) == [1]
    assert q.state(entry) == {"percent": "1"}


# ---- admit ----

def test_admit_lets_a_first_job_run(q):
    entry = q.held(id="mine")
    assert q.admit((entry, "mine", "")) == [1, -1]
    assert q.admit((entry, "mine", "")) == [1, -1]
    assert q.ids() == {"mine": entry} and q.pending() == {entry: "me"}
    assert q.stats() == {}


def drop(q, entry, job_id):
    """It is a duplicate, and counted once, however often it is asked."""
    before = q.stats().get("duplicates", 0)
    assert q.admit((entry, job_id, ""))[0] == 2
    assert q.admit((entry, job_id, ""))[0] in (0, 3)
    assert q.stats()["duplicates"] == before + 1
    assert entry not in q.jobs() and entry not in q.pending()


def test_admit_drops_what_has_a_result(q):
    q.client.set(KEY + "result:mine", "r")
    drop(q, q.held(id="mine"), "mine")
    assert q.is_empty()


def test_admit_drops_the_second_while_the_first_runs(q):
    first, second = q.held(id="mine"), q.held("other", id="mine")
    assert q.admit((first, "mine", ""))[0] == 1
    assert q.admit((second, "mine", ""), me="other")[0] == 2
    assert q.jobs().keys() == {first} and q.ids() == {"mine": first}


def test_admit_drops_the_second_of_one_batch(q):
    first, second = q.held(id="mine"), q.held(id="mine")
    assert q.admit((first, "mine", ""), (second, "mine", "")) == [1, 2, -1]
    assert q.pending() == {first: "me"}


def test_admit_drops_the_second_while_the_first_waits_as_a_copy(q):
    first = q.held(id="mine")
    q.admit((first, "mine", ""))
    q.release((first, "mine", 5, 1, 0, 1))
    second = q.add(id="mine")
    q.read()
    drop(q, second, "mine")
    assert len(q.jobs()) == 1


def test_admit_drops_the_second_while_the_first_is_delayed(q):
    first = q.held(id="mine")
    q.admit((first, "mine", q.now_ms() + HOUR_MS))
    drop(q, q.held(id="mine"), "mine")
    assert q.ids() == {"mine": "delayed"}


def test_admit_drops_what_is_called_like_a_job_without_an_id(q):
    first = q.add()
    second = q.add(id=first)
    q.read()
    drop(q, second, first)
    q.put_off(first)
    drop(q, q.held(id=first), first)


def test_admit_runs_what_is_called_like_no_job(q):
    named = q.held(id="another")
    padded = "0" + q.held()
    for job_id in (named, padded, GONE, "99999999999999999999-1"):
        entry = q.held(id=job_id)
        assert q.admit((entry, job_id, ""))[0] == 1


@pytest.mark.parametrize("holder", [GONE, "delayed", "rubbish"])
def test_admit_replaces_a_holder_that_is_gone(q, holder):
    q.client.hset(KEY + "ids", "mine", holder)
    entry = q.held(id="mine")
    assert q.admit((entry, "mine", ""))[0] == 1
    assert q.ids() == {"mine": entry}


def test_admit_delays_what_is_not_due(q):
    entry = q.held(payload=b"\0\xff", id="mine", delay="1h")
    due = q.now_ms() + HOUR_MS
    codes = q.admit((entry, "mine", due))
    assert codes[0] == 3 and HOUR_MS - 1000 < codes[1] <= HOUR_MS
    assert q.delayed() == {"mine": due} and q.ids() == {"mine": "delayed"}
    assert q.state("mine") == {"status": "delayed", "attempt": "1", "next_ms": str(due)}
    assert not q.jobs() and not q.pending()
    assert q.admit((entry, "mine", due))[0] == 3
    assert q.delayed() == {"mine": due} and q.stats() == {}


def test_admit_delays_a_job_without_an_id(q):
    entry = q.held(at="9")
    assert q.admit((entry, entry, q.now_ms() + HOUR_MS))[0] == 3
    assert entry in q.delayed() and q.ids() == {entry: "delayed"}
    assert q.admit((entry, entry, q.now_ms() + HOUR_MS))[0] == 3


def test_admit_runs_what_is_due(q):
    entry = q.held(at="9")
    assert q.admit((entry, entry, 9)) == [1, -1]
    assert q.pending() == {entry: "me"} and q.ids() == {}


def test_admit_delays_also_for_ever(q):
    entry = q.held()
    codes = q.admit((entry, entry, 2**62))
    assert codes == [3, 2**53]


def test_admit_leaves_what_is_not_ours(q):
    entry = q.held("other", id="mine")
    assert q.admit((entry, "mine", ""), (GONE, "x", 2**60)) == [0, 0, -1]
    assert q.pending() == {entry: "other"} and q.ids() == {}


def test_admit_of_a_deleted_entry_that_is_delayed_acknowledges_it(q):
    entry = q.held()
    q.client.xdel(KEY + "jobs", entry)
    assert q.admit((entry, entry, q.now_ms() + HOUR_MS)) == [0, -1]
    assert q.is_empty()


def test_admit_works_without_memory(q):
    one, two, three = q.held(id="a"), q.held(), q.held(id="a")
    with q.no_memory():
        jobs = ((one, "a", ""), (two, two, q.now_ms() + HOUR_MS), (three, "a", ""))
        assert q.admit(*jobs)[:3] == [1, 3, 2]
    assert q.pending() == {one: "me"}


# ---- due and promote ----

def due(q, limit=100):
    return q.eval("due", ["delayed"], limit)


def test_due_answers_ids_in_order_and_the_next(q):
    assert due(q) == [-1]
    q.client.zadd(KEY + "delayed", {"b": 2, "a": 1, "later": q.now_ms() + HOUR_MS})
    wait, *ids = due(q)
    assert ids == ["a", "b"] and HOUR_MS - 1000 < wait <= HOUR_MS
    assert due(q, 2)[1:] == ["a", "b"] and due(q, 2)[0] > 0
    assert due(q, 1) == [0, "a"]
    q.client.zrem(KEY + "delayed", "later")
    assert due(q, 2) == [-1, "a", "b"]


def test_due_is_by_the_clock_of_redis(q):
    q.client.zadd(KEY + "delayed", {"soon": q.now_ms() + 50})
    started = time.monotonic()
    wait_until(lambda: due(q) == [-1, "soon"], "the job to be due")
    assert time.monotonic() - started > 0.04


def test_due_copes_with_any_score(q):
    q.client.zadd(KEY + "delayed", {"never": "inf", "long-ago": "-inf"})
    assert due(q) == [2**53, "long-ago"]


def test_promote_moves_what_is_due_with_all_its_fields(q):
    binary = b"\0\xff\r\n".decode("utf-8", "surrogateescape")
    entry = q.held(payload=binary, id="mine", delay="1h", x_a="")
    q.admit((entry, "mine", q.now_ms() + HOUR_MS))
    assert q.promote("mine") == [0]
    q.client.zadd(KEY + "delayed", {"mine": 0}, xx=True, lt=True)
    assert q.promote("mine", "unknown") == [1, 0]
    [(copy, fields)] = q.jobs().items()
    assert fields == {"handler": "h", "payload": binary, "id": "mine", "x-a": "",
                      "stint-submitted": entry.split("-")[0], "stint-attempt": "1",
                      "stint-deaths": "0", "stint-interruptions": "0"}
    assert q.ids() == {"mine": copy}
    assert not q.delayed() and not q.state("mine") and not q.client.exists(KEY + "bodies")
    assert q.promote("mine") == [0]
    assert len(q.jobs()) == 1


def test_promote_of_a_retry_brings_its_counts(q):
    entry = q.held()
    q.retry((entry, entry, 5, 2, 3, 4, 0, "oops"))
    assert q.promote(entry) == [1]
    [copy] = q.jobs().values()
    assert copy == {"handler": "h", "id": entry, "stint-submitted": "5", "stint-attempt": "2",
                    "stint-deaths": "3", "stint-interruptions": "4"}


def test_promote_drops_what_has_a_result(q):
    entry = q.held()
    q.put_off(entry, delay_ms=0)
    q.client.set(KEY + "result:" + entry, "of a daemon that knew of no retries")
    assert q.promote(entry) == [2]
    assert q.is_empty()


def test_promote_forgets_what_has_lost_its_body(q):
    entry = q.held()
    q.put_off(entry, delay_ms=0)
    q.client.delete(KEY + "bodies")
    assert q.promote(entry) == [0]
    assert q.is_empty()


def test_promote_keeps_a_job_that_cannot_be_added(q):
    entry = q.held()
    q.put_off(entry, delay_ms=0)
    q.client.delete(KEY + "jobs")
    q.client.lpush(KEY + "jobs", "x")
    with pytest.raises(redis_py.exceptions.ResponseError):
        q.promote(entry)
    q.client.delete(KEY + "jobs")
    assert q.promote(entry) == [1]


def test_promote_works_without_memory(q):
    entry = q.held()
    q.put_off(entry, delay_ms=0)
    with q.no_memory():
        assert q.promote(entry) == [1]
    assert len(q.jobs()) == 1


# ---- leases ----

def renew(q, *entries, me="me"):
    return q.eval("renew", ["jobs"], GROUP, me, *entries)


def grow_old(q, *entries, ms=HOUR_MS):
    """As if they had been read so long ago; by whom, and how often, stays."""
    for entry, owner in q.pending().items():
        if entry in entries:
            q.client.execute_command("XCLAIM", KEY + "jobs", GROUP, owner, 0, entry,
                                     "IDLE", ms, "JUSTID")


def test_renew_starts_the_lease_anew_and_counts_nothing(q):
    one, two = q.held(), q.held()
    grow_old(q, one, two)
    assert q.idle_ms(one) >= HOUR_MS
    assert renew(q, one, two) == []
    assert q.idle_ms(one) < HOUR_MS and q.idle_ms(two) < HOUR_MS
    assert q.deliveries(one) == 1


def test_renew_takes_nothing_from_others(q):
    mine, other = q.held(), q.held("other")
    deleted = q.held()
    q.client.xdel(KEY + "jobs", deleted)
    grow_old(q, other)
    assert renew(q, mine, other, GONE, deleted) == [other, GONE, deleted]
    assert q.pending()[other] == "other" and q.idle_ms(other) >= HOUR_MS
    assert renew(q, other) == [other]


def test_renew_without_group_or_stream_loses_all(q):
    entry = q.held()
    q.client.xgroup_destroy(KEY + "jobs", GROUP)
    assert renew(q, entry, GONE) == [entry, GONE]
    q.client.delete(KEY + "jobs")
    assert renew(q, entry) == [entry]
    assert not q.client.exists(KEY + "jobs")


def test_renew_works_without_memory_and_for_many(q):
    entries = [q.held() for _ in range(256)]
    with q.no_memory():
        assert renew(q, *entries) == []


def reclaim(q, lease=1000, cursor="0-0", count=100, me="me", shim=""):
    return q.eval("reclaim", ["jobs"], GROUP, me, lease, cursor, count, shim=shim)


def test_reclaim_takes_over_what_is_not_renewed(q):
    old, young = q.held("dead", payload="p"), q.held("alive")
    grow_old(q, old)
    assert reclaim(q) == ["0-0", 1, [old, ["handler", "h", "payload", "p"], 2]]
    assert q.pending() == {old: "me", young: "alive"}
    assert reclaim(q) == ["0-0", 1]
    q.client.xack(KEY + "jobs", GROUP, young)
    assert reclaim(q) == ["0-0", 0]
    grow_old(q, old)
    assert reclaim(q, me="next") == ["0-0", 0, [old, ["handler", "h", "payload", "p"], 3]]


def test_reclaim_goes_on_from_its_cursor(q):
    entries = [q.held("dead") for _ in range(5)]
    grow_old(q, *entries)
    cursor, found, rounds = "0-0", [], 0
    while rounds == 0 or cursor != "0-0":
        cursor, _, *rows = reclaim(q, cursor=cursor, count=2)
        assert len(rows) <= 2
        found += [row[0] for row in rows]
        rounds += 1
    assert found == entries and rounds == 3


def test_reclaim_leaves_out_what_was_deleted(q):
    gone, there = q.held("dead"), q.held("dead")
    grow_old(q, gone, there)
    q.client.xdel(KEY + "jobs", gone)
    assert reclaim(q) == ["0-0", 0, [there, ["handler", "h"], 2]]


# What Redis 6.2 answers: nil in place of an entry that was deleted, and no list of them.
AS_6_2 = """
local real = redis
local redis = setmetatable({}, {__index = real})
local function old(name, r)
  if name == 'XAUTOCLAIM' then
    return {r[1], {false, unpack(r[2])}}
  elseif name == 'XCLAIM' then
    return {false, unpack(r)}
  end
  return r
end
redis.call = function(name, ...) return old(name, real.call(name, ...)) end
redis.pcall = function(name, ...) return old(name, real.pcall(name, ...)) end
"""


def test_reclaim_and_takeover_accept_the_answers_of_redis_6_2(q):
    entry = q.held("dead")
    grow_old(q, entry)
    assert reclaim(q, shim=AS_6_2) == ["0-0", 0, [entry, ["handler", "h"], 2]]
    assert takeover(q, "me", me="next", shim=AS_6_2) == [[entry, ["handler", "h"], 3]]


def takeover(q, gone, count=100, me="me", shim=""):
    return q.eval("takeover", ["jobs"], GROUP, me, gone, count, shim=shim)


def test_takeover_takes_all_of_one_at_once(q):
    one, two, other = q.held("gone"), q.held("gone", x_a="b"), q.held("alive")
    assert takeover(q, "gone", count=1) == [[one, ["handler", "h"], 2]]
    assert takeover(q, "gone") == [[two, ["handler", "h", "x-a", "b"], 2]]
    assert takeover(q, "gone") == [] and takeover(q, "never-was") == []
    assert q.pending() == {one: "me", two: "me", other: "alive"}
    assert q.deliveries(two) == 2


def test_takeover_leaves_out_what_was_deleted(q):
    gone, there = q.held("gone"), q.held("gone")
    q.client.xdel(KEY + "jobs", gone)
    assert takeover(q, "gone") == [[there, ["handler", "h"], 2]]
    assert q.pending() == {there: "me"}


@pytest.mark.parametrize("script, args", [("reclaim", (1000, "0-0", 10)), ("takeover", ("x", 10))])
def test_a_missing_group_is_told_as_such(q, script, args):
    q.client.xgroup_destroy(KEY + "jobs", GROUP)
    with pytest.raises(redis_py.exceptions.ResponseError, match="^NOGROUP"):
        q.eval(script, ["jobs"], GROUP, "me", *args)


@pytest.mark.parametrize("script", [reclaim, lambda q: takeover(q, "dead")])
def test_taking_over_works_without_memory(q, script):
    entry = q.held("dead")
    grow_old(q, entry)
    with q.no_memory():
        script(q)
    assert q.pending() == {entry: "me"}


# ---- aside, take_aside ----

def aside(q, *jobs, me="me"):
    """Each job: entry, handler."""
    return q.eval("aside", ["jobs"], GROUP, me, *(word for job in jobs for word in job))


def take_aside(q, handler="h", me="me", age=0, count=100):
    return q.eval("take_aside", ["jobs"], GROUP, me, handler, age, count)


def consumers(q):
    return sorted(row["name"] for row in q.client.xinfo_consumers(KEY + "jobs", GROUP))


def test_aside_keeps_place_and_count_and_take_gives_them_back(q):
    first, other, second = q.held(payload="1"), q.held(), q.held(payload="2")
    assert aside(q, (second, "h"), (other, "i"), (first, "h")) == [1, 1, 1]
    assert q.pending() == {first: "aside:h", other: "aside:i", second: "aside:h"}
    assert take_aside(q, me="next", count=1) == [[first, ["handler", "h", "payload", "1"], 1]]
    assert take_aside(q, me="next") == [[second, ["handler", "h", "payload", "2"], 1]]
    assert take_aside(q, me="next") == [] and take_aside(q, "never-was") == []
    assert q.pending() == {first: "next", other: "aside:i", second: "next"}
    assert "aside:h" not in consumers(q) and "aside:i" in consumers(q)


def test_job_state_of_one_that_is_put_aside(q):
    def state(job_id):
        keys = ["jobs", "ids", "delayed", f"state:{job_id}", f"result:{job_id}"]
        return q.eval("job_state", keys, GROUP, job_id)
    entry = q.held()
    assert state(entry) == "running"
    aside(q, (entry, "h"))
    assert state(entry) == "waiting"
    take_aside(q)
    assert state(entry) == "running"


def test_who_holds_nothing_aside_is_gone(q):
    entry = q.held()
    aside(q, (entry, "h"))
    pull(q, entry)
    assert take_aside(q) == [] and consumers(q) == ["me"]


def test_aside_leaves_what_is_not_ours(q):
    entry = q.held("other")
    assert aside(q, (entry, "h"), (GONE, "h")) == [0, 0]
    assert q.pending() == {entry: "other"}


def test_take_aside_drops_what_was_deleted(q):
    gone, there = q.held(), q.held()
    aside(q, (gone, "h"), (there, "h"))
    q.client.xdel(KEY + "jobs", gone)
    assert take_aside(q) == [[there, ["handler", "h"], 1]]
    assert q.pending() == {there: "me"}


def test_take_aside_by_age(q):
    now = int(q.client.time()[0]) * 1000
    q.client.xadd(KEY + "jobs", {"handler": "h"}, id=f"{now - HOUR_MS}-0")
    old, young = *q.read("me"), q.held()
    aside(q, (old, "h"), (young, "h"))
    assert [row[0] for row in take_aside(q, age=HOUR_MS // 2)] == [old]
    assert take_aside(q, age=HOUR_MS // 2) == []
    assert q.pending() == {old: "me", young: "aside:h"}


def test_aside_and_take_work_without_memory(q):
    entry = q.held()
    with q.no_memory():
        assert aside(q, (entry, "h")) == [1]
        assert len(take_aside(q)) == 1


def test_reclaim_takes_from_daemons_what_lies_among_what_is_put_aside(q):
    entries = [q.held("dead") for _ in range(7)]
    grow_old(q, *entries[1::2])
    aside(q, *((entry, "h") for entry in entries[::2]), me="dead")
    grow_old(q, *entries[::2])
    assert set(q.pending().values()) == {"dead", "aside:h"}
    cursor, others, *rows = reclaim(q, count=2)
    assert (cursor != "0-0", others, [row[0] for row in rows]) == (True, 1, entries[1:4:2])
    cursor, others, *rows = reclaim(q, cursor=cursor, count=2)
    assert (cursor, others, rows) == ("0-0", 0, [[entries[5], ["handler", "h"], 2]])
    assert reclaim(q) == ["0-0", 0]


def test_a_reclaimed_job_that_is_put_aside_keeps_its_count(q):
    entry = q.held("dead")
    grow_old(q, entry)
    assert reclaim(q)[2][2] == 2
    aside(q, (entry, "h"))
    assert take_aside(q)[0][2] == 2
    aside(q, (entry, "h"))
    assert pull(q, entry) == [entry, ["handler", "h"], 2]
    assert q.pending() == {entry: "me"}


# ---- pull, leave ----

def pull(q, job_id, me="me", cancelled=None):
    return q.eval("pull", ["jobs", "ids"], GROUP, me, job_id, cancelled or q.now_ms())


def test_pull_takes_what_waits(q):
    first, second = q.add(), q.add(payload="p")
    assert pull(q, second) == [second, ["handler", "h", "payload", "p"], 1]
    assert q.pending() == {second: "me"} and q.deliveries(second) == 1
    assert q.end(second, "failed") == 1
    assert q.read() == [first]


def test_pull_takes_nothing_that_is_held_or_gone(q):
    entry = q.held("other")
    for what in (entry, GONE, "0" + entry, "no-entry", "99999999999999999999-1"):
        assert pull(q, what) == []
    assert q.pending() == {entry: "other"}
    q.client.xgroup_destroy(KEY + "jobs", GROUP)
    assert pull(q, entry) == []


def test_pull_finds_a_copy_by_the_id_of_its_job(q):
    entry = q.held(id="mine")
    q.admit((entry, "mine", ""))
    q.release((entry, "mine", 5, 1, 0, 1))
    [copy] = q.jobs()
    [pulled, fields, _] = pull(q, "mine")
    assert pulled == copy and fields[:4] == ["id", "mine", "stint-submitted", "5"]
    assert q.pending() == {copy: "me"}


def test_pull_finds_what_was_delayed_and_left_its_name(q):
    entry = q.held()
    q.put_off(entry, delay_ms=0)
    q.promote(entry)
    [copy] = q.jobs()
    assert copy != entry and pull(q, copy) == []
    assert pull(q, entry)[0] == copy


def test_pull_leaves_what_was_submitted_after_the_cancel(q):
    copied, entry = q.held(id="mine"), q.add()
    submitted = int(entry.split("-")[0])
    assert pull(q, entry, cancelled=submitted - 1) == []
    q.release((copied, "mine", submitted, 1, 0, 1))
    assert pull(q, "mine", cancelled=submitted - 1) == [] and q.pending() == {}
    assert pull(q, "mine", cancelled=submitted)[0] in q.jobs()
    assert pull(q, entry, cancelled=submitted)[0] == entry


@pytest.mark.parametrize("holder", [GONE, "delayed", "no-entry", None])
def test_pull_takes_nothing_by_an_id_that_leads_nowhere(q, holder):
    q.add(id="mine")
    if holder:
        q.client.hset(KEY + "ids", "mine", holder)
    assert pull(q, "mine") == [] and q.pending() == {}


def test_pull_takes_no_other_job_by_its_entry(q):
    entry = q.add(id="mine")
    assert pull(q, entry) == []
    q.client.hset(KEY + "ids", "other", entry)
    assert pull(q, "other") == [] and q.pending() == {}


def test_who_reads_a_pulled_entry_becomes_its_holder(q):
    entry = q.add()
    pull(q, entry)
    assert q.read("other") == [entry]
    assert q.end(entry, "failed") == 0
    assert q.end(entry, "failed", me="other") == 1


def test_pull_works_without_memory(q):
    entry = q.add()
    with q.no_memory():
        assert pull(q, entry)[0] == entry


def test_leave_only_with_empty_hands(q):
    def leave():
        return q.eval("leave", ["jobs"], GROUP, "me")

    entry = q.held()
    assert leave() == 0
    q.end(entry, "ok")
    assert leave() == 1 and q.client.xinfo_consumers(KEY + "jobs", GROUP) == []
    q.client.delete(KEY + "jobs")
    assert leave() == 0


# ---- dead letters ----

def letter_retry(q, letter, job_id):
    return q.eval("letter_retry", ["dead", "jobs", "stats", f"result:{job_id}"], letter)


def letter_drop(q, letter):
    return q.eval("letter_drop", ["dead", "stats"], letter)


def test_a_letter_is_submitted_again_as_if_for_the_first_time(q):
    entry = q.held(payload="p", id="mine", delay="1s", deadline="9", retries="3", x_a="b")
    assert q.release((entry, "mine", 5, 4, 1, 1)) == [1]
    [copy] = q.read()
    assert q.end(copy, "dead", "mine", text="why") == 1
    [(letter, _)] = q.letters()
    again = letter_retry(q, letter, "mine")
    assert q.jobs() == {again: {"handler": "h", "payload": "p", "id": "mine", "retries": "3",
                                "x-a": "b"}}
    assert q.result("mine") is None and not q.letters() and q.stats() == {}
    assert letter_retry(q, letter, "mine") is None
    assert len(q.jobs()) == 1
    assert q.read() == [again] and q.admit((again, "mine", ""))[0] == 1


def test_a_letter_of_a_job_without_an_id_keeps_its_name(q):
    entry = q.held()
    q.end(entry, "dead")
    [(letter, _)] = q.letters()
    again = letter_retry(q, letter, entry)
    assert q.jobs()[again] == {"handler": "h", "id": entry}


def test_what_is_no_letter_is_not_submitted(q):
    foreign = q.client.xadd(KEY + "dead", {"some": "thing"})
    assert letter_retry(q, foreign, "x") is None
    assert letter_retry(q, GONE, "x") is None
    assert not q.jobs() and len(q.letters()) == 1


def test_a_letter_is_retried_and_dropped_without_memory(q):
    for entry in (q.held(), q.held()):
        q.end(entry, "dead")
    (one, _), (two, letter) = q.letters()
    with q.no_memory():
        assert letter_drop(q, one) == 1
        assert letter_retry(q, two, letter["stint-id"])
    assert q.stats() == {} and not q.letters()


def test_a_dropped_letter_counts_no_more(q):
    for entry in (q.held(), q.held(payload="x")):
        q.end(entry, "dead")
    (one, _), second = q.letters()
    assert letter_drop(q, one) == 1 and letter_drop(q, one) == 0
    assert q.letters() == [second] and q.stats() == {"dead_bytes": size(second)}
    q.client.hset(KEY + "stats", "dead_bytes", 12345)
    assert letter_drop(q, second[0]) == 1
    assert q.stats() == {}
    for entry in (q.held(), q.held()):
        q.end(entry, "dead")
    q.client.hset(KEY + "stats", "dead_bytes", 1)
    assert letter_drop(q, q.letters()[0][0]) == 1
    assert q.stats() == {}

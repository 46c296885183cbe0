"""The torture test in small: a run, each of its checks, and what it must find out.

The whole of it is `make torture`; see tests/torture/torture.py.
"""
import io
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from util import PATIENCE_S, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "torture"))
import invariants  # noqa: E402
import mutants  # noqa: E402
import plan  # noqa: E402
import torture  # noqa: E402
from aof import AppendOnlyFile, scan, steps  # noqa: E402
from history import History  # noqa: E402
from links import Links  # noqa: E402
from runner import Settings  # noqa: E402
from story import story  # noqa: E402

SETTINGS = Settings(seed=4, jobs=400, faults=9, daemons=3)


def test_jobs_survive_faults_and_none_is_recorded_twice():
    told = io.StringIO()
    found = torture.torture(SETTINGS, out=told)
    assert not found, told.getvalue()
    assert "\n0 lost, 0 recorded twice, 0 violations" in told.getvalue()
    assert f"faults      {SETTINGS.faults}:" in told.getvalue()


@pytest.mark.parametrize("name", mutants.SCENARIOS)
def test_a_mechanism_that_is_switched_off_is_found_out(name):
    assert mutants.found(name) == []
    assert mutants.is_found_out(name)


# ---- plans ----

def test_a_seed_gives_the_same_jobs_and_faults_again():
    def make(seed):
        jobs = plan.make_jobs(seed, 500)
        return jobs, [job.number for job in plan.order(seed, jobs)], \
            plan.make_faults(seed, 20, 500, 3)
    assert make(1) == make(1)
    assert make(1) != make(2)
    jobs, _, faults = make(1)
    assert {job.kind for job in jobs} == set(plan.KINDS)
    assert {fault.kind for fault in faults} == set(plan.FAULTS)


# ---- Redis' file ----

def aof(*lines):
    return b"".join(b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        for words in ([str(word).encode() for word in line] for line in lines))


def test_an_append_only_file_that_is_torn_ends_where_it_is():
    first = aof(("SET", "a", "b"))
    data = first + aof(("XADD", "s", "*", "c", "d"))
    assert len(list(scan(data))) == 2
    for size in range(len(first), len(data)):
        assert [words[0] for words, _ in scan(data[:size])] == [b"SET"]


STEP = (("MULTI",), ("SET", "a", "c"), ("XDEL", "s", "1-0"), ("EXEC",))


def test_a_transaction_that_is_torn_is_cut_off_whole(folder):
    """Redis would only cut off the torn command, and lose what it answers from then on."""
    file = AppendOnlyFile(folder)
    file.path.parent.mkdir()
    before, step = aof(("SET", "a", "b")), aof(*STEP)
    for size in range(1, len(step)):
        file.path.write_bytes(before + step[:size])
        file.read_bytes = 0
        assert [len(commands) for commands in file.more()] == [1]
        assert file.cut_torn_end()
        assert file.path.read_bytes() == before
    with open(file.path, "ab") as more:
        more.write(step)
    assert [len(commands) for commands in file.more()] == [2]
    assert not file.cut_torn_end()
    assert file.path.read_bytes() == before + step


def test_a_transaction_that_was_left_open_is_told():
    with pytest.raises(ValueError):
        list(steps(aof(*STEP[:2], ("SET", "lost", "1"), *STEP)))


# ---- the checks: a run in which all is well, and a planted violation for each ----

HOST = socket.gethostname()
A, B = f"{HOST}-11-boot-start", f"{HOST}-12-boot-start"
JOBS, RESULT, REPLY, DEAD = (f"stint:{{default}}:{key}" for key in
                             ("jobs", "result:", "reply:r", "dead"))
NONCES = ("a" * 16, "b" * 16, "c" * 16, "d" * 16)


def told(job, status, attempt, nonce, pid, **more):
    return json.dumps({"id": job, "status": status, "output": f"{job} {attempt} {nonce}",
                       "attempt": attempt, "daemon": f"{HOST}-{pid}", "started_ms": 1, **more})


def claim(consumer, entry, unix_ms, count=1):
    return ("XCLAIM", JOBS, "stint", consumer, 0, entry, "TIME", unix_ms, "RETRYCOUNT", count,
            "FORCE", "JUSTID", "LASTID", "0-0")


def gone(entry):
    return ("XACK", JOBS, "stint", entry), ("XDEL", JOBS, entry)


def result(job, text):
    return "SET", RESULT + job, text, "PX", 1000


def step(*lines):
    return ("MULTI",), *lines, ("EXEC",)


# 1-0 is ok and replied to; 2-0 fails; own is ok with its second attempt, and a duplicate of
# it (3-1) was dropped
OK = told("1-0", "ok", 1, NONCES[0], 11)
FAILED = told("2-0", "error", 1, NONCES[1], 11, exit_code=3)
OWN = told("own", "ok", 2, NONCES[2], 12)
FILE = (
    ("XADD", JOBS, "1-0", "handler", "work", "x-n", 0, "reply_to", "r"),
    ("XADD", JOBS, "2-0", "handler", "work", "x-n", 1),
    ("XADD", JOBS, "3-0", "handler", "work", "x-n", 2, "id", "own"),
    ("XADD", JOBS, "3-1", "handler", "work", "x-n", 2, "id", "own"),
    claim(A, "1-0", 1000), claim(A, "2-0", 1000), claim(A, "3-0", 1000), claim(A, "3-1", 1000),
    *step(*gone("3-1")),
    claim(A, "2-0", 1050),  # a renewal
    *step(result("1-0", OK), *gone("1-0"), ("XADD", REPLY, "9-0", "id", "1-0", "result", OK)),
    *step(*gone("2-0"), result("2-0", FAILED), ("XADD", DEAD, "9-1", "stint-id", "2-0")),
    *step(*gone("3-0")),
    ("XADD", JOBS, "4-0", "id", "own", "stint-submitted", 3, "stint-attempt", 2, "x-n", 2),
    claim(B, "4-0", 2000), *step(result("own", OWN), *gone("4-0")),
)


def execution(run, number, job, attempt, nonce, begin_ms, how="0"):
    return invariants.Execution(run, number, job, attempt, nonce, begin_ms, begin_ms,
                                begin_ms + 10, how)


EXECUTIONS = (execution("0.1", 0, "1-0", 1, NONCES[0], 1100),
              execution("0.1", 1, "2-0", 1, NONCES[1], 1100, "3"),
              execution("0.1", 2, "own", 1, NONCES[3], 1100, "1"),
              execution("1.1", 2, "own", 2, NONCES[2], 2100))
VALUES = {"1-0": OK.encode(), "2-0": FAILED.encode(), "own": OWN.encode()}


def facts(more=(), **changes):
    """What a run in which all is well has left, with more in Redis' file, or changes."""
    history = History()
    for one, _ in steps(aof(*FILE, *more)):
        history.take(one)
    jobs = [plan.Job(0, "quick", {"reply_to": "r"}),
            plan.Job(1, "failing", {}, ends=("error",)),
            plan.Job(2, "retried", {}, own_id="own", retries=1, attempts=2)]
    return invariants.Facts(**{
        "jobs": jobs, "confirmed": {0: "1-0", 1: "2-0", 2: "own"}, "history": history,
        "executions": list(EXECUTIONS), "seen": VALUES, "final": VALUES,
        "replies": Counter({"1-0": 1}), "letters": Counter({"2-0": 1}), "duplicates": 1,
        "run_of": {A: "0.1", B: "1.1"}, **changes})


def changed(job, text):
    """That a job has this result, at the end and whenever anybody looked."""
    found = facts(seen={}, final={**VALUES, job: text.encode()})
    found.history.results[job][0].value = text.encode()
    return found


def again(since_ms, consumer=B, run="1.1", touches=()):
    """1-0 was taken over by B and ran there, too."""
    return facts([claim(consumer, "1-0", since_ms, 2)],
                 executions=[*EXECUTIONS, execution(run, 0, "1-0", 1, "e" * 16, since_ms)],
                 touches=[invariants.Touch("stop", *touch) for touch in touches])


def test_a_run_in_which_all_is_well_has_no_violation():
    assert invariants.violations(facts()) == []
    assert invariants.violations(again(1200, touches=[("0.1", 1150, 1300)])) == []


def rolled_back(**changes):
    """A fourth job was confirmed, and Redis has lost it."""
    found = facts(confirmed={0: "1-0", 1: "2-0", 2: "own", 3: "5-5"}, **changes)
    found.jobs.append(plan.Job(3, "quick", {}))
    return found


def test_what_redis_may_lose_is_no_violation_and_may_have_been_run_and_seen():
    late = told("5-5", "ok", 1, "e" * 16, 11)
    was_run = [*EXECUTIONS, execution("0.1", 3, "5-5", 1, "e" * 16, 1200)]
    seen = {**VALUES, "1-0": told("1-0", "ok", 1, "f" * 16, 11).encode()}
    found = rolled_back(may_roll_back=True, executions=was_run, seen=seen,
                        final={**VALUES, "5-5": late.encode()})
    assert invariants.violations(found) == []
    assert "every_job_has_a_result" in {name for name, _, _ in
                                        invariants.violations(rolled_back())}


def without(job):
    return {other: value for other, value in VALUES.items() if other != job}


def delayed():
    found = facts()
    found.jobs[0].delay_ms = 1500  # from 1 on: not before 1501
    return found


PLANTED = {
    "a result is missing": (
        "every_job_has_a_result", lambda: facts(final=without("1-0"))),
    "a confirmed job is not in Redis' file": (
        "every_job_has_a_result", lambda: facts(confirmed={0: "5-5"})),
    "a result of a job that nobody knows": (
        "every_result_is_a_jobs", lambda: facts(final={**VALUES, "8-8": OK.encode()})),
    "a result is written twice": (
        "results_are_written_once", lambda: facts([result("1-0", OK)])),
    "a result is another one at the end": (
        "results_do_not_change", lambda: facts(seen={**VALUES, "1-0": b"{}"})),
    "a result that nobody has seen change did": (
        "results_do_not_change",
        lambda: facts(seen={}, final={**VALUES, "1-0": OWN.encode()})),
    "output of no execution": (
        "results_are_of_an_execution", lambda: facts(executions=EXECUTIONS[1:])),
    "output of another attempt": (
        "results_are_of_an_execution",
        lambda: changed("own", told("own", "ok", 2, NONCES[3], 12))),
    "another exit code": (
        "results_are_of_an_execution",
        lambda: changed("2-0", told("2-0", "error", 1, NONCES[1], 11, exit_code=4))),
    "a job that must fail is ok": (
        "results_are_as_planned", lambda: changed("2-0", told("2-0", "ok", 1, NONCES[1], 11))),
    "an attempt too few": (
        "results_are_as_planned",
        lambda: changed("own", told("own", "ok", 1, NONCES[3], 12))),
    "a failure is told by one who does not hold the job": (
        "failures_are_told_by_the_holder",
        lambda: changed("2-0", told("2-0", "error", 1, NONCES[1], 12, exit_code=3))),
    "no reply": ("replies_are_given_once", lambda: facts(replies=Counter())),
    "two replies": (
        "replies_are_given_once",
        lambda: facts([("XADD", REPLY, "9-9", "id", "1-0", "result", OK)])),
    "no dead letter": (
        "dead_letters_are_the_failed_jobs", lambda: facts(letters=Counter())),
    "a dead letter of a job that is ok": (
        "dead_letters_are_the_failed_jobs",
        lambda: facts([("XADD", DEAD, "9-9", "stint-id", "1-0")])),
    "a key is left": ("nothing_is_left", lambda: facts(left=["ids"])),
    "a duplicate was not dropped": (
        "duplicates_were_dropped", lambda: facts(duplicates=0)),
    "an execution that nobody was given": (
        "executions_have_a_delivery_each",
        lambda: facts(executions=[*EXECUTIONS, execution("0.1", 0, "1-0", 1, "e" * 16, 1200)])),
    "an attempt too many": (
        "attempts_are_within_bounds",
        lambda: facts(executions=[*EXECUTIONS, execution("0.1", 1, "2-0", 2, "e" * 16, 1200)])),
    "it ran again for no reason": (
        "repeated_executions_are_due_to_faults", lambda: again(1200)),
    "it ran again before anything happened": (
        "repeated_executions_are_due_to_faults",
        lambda: again(1200, touches=[("0.1", 1250, 1300)])),
    "it ran again after something had happened to another": (
        "repeated_executions_are_due_to_faults",
        lambda: again(1200, touches=[("1.1", 1000, 1300)])),
    "an entry was taken from a daemon that is well": (
        "entries_change_hands_due_to_faults", lambda: again(1200)),
    "it started too early": ("nothing_starts_before_it_is_due", delayed),
    "a sanitizer has spoken": ("logs_are_clean", lambda: facts(logs=["AddressSanitizer"])),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_violation_is_found(what):
    check, make = PLANTED[what]
    found = make()
    names = {name for name, _, _ in invariants.violations(found)}
    assert check in names
    assert all(story(found, job) for _, job, _ in invariants.violations(found)
               if job in found.history.of_job)


def test_every_check_has_its_planted_violation():
    assert {check for check, _ in PLANTED.values()} == {c.__name__ for c in invariants.CHECKS}


# ---- the links ----

@pytest.fixture
def links(redis):
    two = Links(redis.sock, 2)
    yield two
    two.close()


@pytest.fixture
def linked(links):
    """A client of Redis by way of a link."""
    def connect(number=0):
        sock = socket.create_connection(("127.0.0.1", links.ports[number]))
        sock.settimeout(PATIENCE_S)
        return sock
    return connect


def ask(sock, text):
    sock.sendall(text)
    return sock.recv(4096)


PING, PONG = b"PING\r\n", b"+PONG\r\n"


def test_a_link_passes_everything_on_until_it_is_cut(links, linked):
    one, other = linked(0), linked(1)
    assert ask(one, PING) == ask(other, PING) == PONG
    assert links.ask("cut", 0) == "done"
    assert one.recv(1) == b""
    assert ask(other, PING) == PONG
    assert ask(linked(0), PING) == PONG
    assert (links.ask("count", 0), links.ask("count", 1)) == ("2", "1")


@pytest.mark.parametrize("way, got", [("up", b""), ("down", b"+PO")])
def test_a_link_is_cut_after_so_many_bytes(links, linked, way, got):
    links.ask("cut-after", 0, way, 3)
    sock = linked(0)
    assert ask(sock, PING) == got
    assert sock.recv(1) == b""
    assert ask(linked(0), PING) == PONG


def test_a_cut_that_is_forgotten_does_not_take_place(links, linked):
    sock = linked(0)
    links.ask("cut-after", 0, "up", len(PING) + 1)
    assert ask(sock, PING) == PONG
    links.ask("forget", 0)
    assert ask(sock, PING) == ask(sock, PING) == PONG


def test_the_probe_writes_down_when_nobody_answers(links, folder):
    told = Path(folder, "probed")
    probe = subprocess.Popen([sys.executable, torture.__file__.replace("torture.py", "probe.py"),
                              str(links.ports[0]), "100", told])
    try:
        wait_until(lambda: links.ask("count", 0) != "0", "it has begun")
        links.ask("mute", 0)
        time.sleep(0.2)  # this is what it must see
        links.ask("deliver", 0)
        wait_until(lambda: told.exists() and told.read_text().endswith("\n"), "it was told")
        begin_ms, end_ms = map(int, told.read_text().split()[-2:])
        assert end_ms - begin_ms > 100
    finally:
        probe.kill()
        probe.wait()


def test_a_lost_connection_is_still_there_for_redis(links, linked, client):
    sock = linked(0)
    assert ask(sock, b"CLIENT SETNAME lost\r\n") == b"+OK\r\n"
    links.ask("lose", 0)
    assert sock.recv(1) == b""
    assert "lost" in [one["name"] for one in client.client_list()]


@pytest.mark.parametrize("how, reaches", [("drop", False), ("deliver", True)])
def test_a_muted_link_is_silent_and_what_was_on_its_way_is_lost_or_late(
        links, linked, client, how, reaches):
    sock, barrier = linked(0), linked(1)
    assert ask(sock, PING) == PONG
    links.ask("mute", 0)
    sock.sendall(b"SET late 1\r\n")
    assert links.ask("is-given-up", 0) == "no"
    assert ask(barrier, PING) == PONG
    assert client.get("late") is None
    sock.close()
    wait_until(lambda: links.ask("is-given-up", 0) == "yes", "given up")
    links.ask(how, 0)
    assert ask(linked(0), PING) == PONG
    if reaches:
        wait_until(lambda: client.get("late"), "what was late")
    assert bool(client.get("late")) == reaches

"""`concurrency` of a handler: never more at once, and nobody else waits for it."""
import signal
import time

import pytest
from gates import Gate, quiet, reload, wait_dump
from look import (GROUP, JOBS, appended, calls, consumer_of, consumers, holders, key, kill,
                  redis_ms, wait_empty)
from util import is_drained, result, run, submit, wait_until

ECHO = {"command": ["cat"]}


def noting(folder, limit, pause="0.03", name="runs", together=0):
    """Each job adds a line when it begins and when it ends; none ends before so many have
    begun: those that may run at once then do, however slow the machine is."""
    note = ('echo "+ $STINT_JOB_ID $STINT_QUEUE" >> "$0"; '
            'until [ "$(grep -c + "$0")" -ge "$2" ]; do sleep 0.01; done; '
            'sleep "$1"; echo - >> "$0"')
    return {"command": ["sh", "-c", note.replace("$(", "$$("), f"{folder}/{name}", pause,
                        str(together or limit)], "concurrency": limit}


def at_once(folder, name="runs"):
    """How many jobs were running when each of them had begun."""
    now, seen = 0, []
    for line in appended(folder, name):
        now += 1 if line[0] == "+" else -1
        if line[0] == "+":
            seen.append(now)
    return seen


def began(folder, name="runs"):
    """The jobs in the order in which they began."""
    return [line.split()[1] for line in appended(folder, name) if line[0] == "+"]


def submit_many(client, handler, count, queue="default"):
    pipe = client.pipeline(transaction=False)
    for _ in range(count):
        pipe.xadd(key("jobs", queue), {"handler": handler})
    return [entry.decode() for entry in pipe.execute()]


def put_aside(client, handler, queue="default"):
    return consumers(client, queue).get(f"aside:{handler}", 0)


def wait_put_aside(client, handler, count, queue="default"):
    wait_until(lambda: put_aside(client, handler, queue) == count, f"{count} jobs put aside")


@pytest.mark.parametrize("limit, workers", [(1, 4), (3, 8), (5, 6)])
def test_never_more_at_once_and_in_order(stintd, client, folder, limit, workers):
    stintd({"concurrency": workers, "handlers": {"slow": noting(folder, limit)}})
    jobs = submit_many(client, "slow", 100)
    wait_until(lambda: is_drained(client), "all are done")
    assert max(at_once(folder)) == limit
    ran = began(folder)
    assert sorted(ran) == sorted(jobs)
    if limit == 1:  # else they tell of it in processes that run side by side
        assert ran == jobs


def test_others_run_while_it_is_full(stintd, client, gate):
    stintd({"concurrency": 2, "handlers": {"slow": gate.handler(concurrency=1), "echo": ECHO}})
    jobs = submit_many(client, "slow", 300)
    for i in range(20):
        assert run(client, "echo", str(i))["output"] == str(i)
    assert gate.wait_started(1) == jobs[:1]
    gate.open()
    wait_until(lambda: is_drained(client), "all are done")
    assert sorted(job for job, _ in gate.started()) == sorted(jobs)


@pytest.mark.parametrize("workers", [2, 16])
def test_one_behind_20000_of_a_full_handler(stintd, client, gate, workers):
    handlers = {"slow": gate.handler(concurrency=1), "echo": ECHO}
    daemon = stintd({"concurrency": workers, "shutdown_timeout": 0, "handlers": handlers})
    jobs = submit_many(client, "slow", 20000)
    behind = submit(client, "echo", "behind")
    assert result(client, behind)["output"] == "behind"
    wait_put_aside(client, "slow", 20000 - 65)
    assert len(holders(client)) == 10000  # the oldest; all are held by somebody
    assert consumers(client)[consumer_of(client, daemon)] == 65
    wait_dump(daemon, "in_flight=65")
    daemon.wait_state("19999 wait for their handler")
    # they wait there, and do not go to and fro, whatever else goes on
    before = calls(client, "xclaim"), calls(client, "xadd", "xack")
    for i in range(20):
        assert run(client, "echo", str(i))["output"] == str(i)
    assert calls(client, "xclaim") - before[0] < 10  # renewals
    assert calls(client, "xadd", "xack") - before[1] == 2 * 20
    assert gate.wait_started(1) == jobs[:1]


def test_two_handlers_do_not_wait_for_each_other(stintd, client, folder):
    one, two = Gate(folder, "one"), Gate(folder, "two")
    stintd({"concurrency": 8, "handlers": {"one": one.handler(concurrency=2),
                                           "two": two.handler(concurrency=3)}})
    submit_many(client, "one", 200)
    submit_many(client, "two", 200)
    one.wait_started(2)
    two.wait_started(3)
    two.open()
    wait_until(lambda: len(two.started()) == 200, "all of the other handler")
    assert len(one.started()) == 2
    one.open()
    wait_until(lambda: is_drained(client), "all are done")
    assert len(one.started()) == 200


def test_priority_is_kept_among_what_waits(stintd, client, folder, gate):
    daemon = stintd({"concurrency": 4, "queues": ["high", "low"], "handlers": {
        "slow": noting(folder, 1, "0"), "hold": gate.handler()}})
    before = Gate(folder, "before")
    handlers = {"slow": before.handler(concurrency=1)}
    reload(daemon, {"concurrency": 4, "queues": ["high", "low"], "handlers": handlers})
    low = submit_many(client, "slow", 100, "low")
    before.wait_started(1)
    wait_put_aside(client, "slow", 35, "low")
    high = submit_many(client, "slow", 100, "high")
    wait_put_aside(client, "slow", 36, "high")
    before.open()
    wait_until(lambda: len(before.started()) == 200, "all have run")
    assert [job for job, _ in before.started()] == low[:1] + high + low[1:]


def test_weights_are_kept_among_what_waits(stintd, client, folder):
    gate = Gate(folder, "w")
    stintd({"concurrency": 4, "queues": {"a": 3, "b": 1},
            "handlers": {"slow": gate.handler(concurrency=1)}})
    submit_many(client, "slow", 1, "a")
    gate.wait_started(1)
    a = set(submit_many(client, "slow", 120, "a"))
    # ids are of one queue: those of the other must be of another millisecond
    last_ms = max(int(job.split("-")[0]) for job in a)
    wait_until(lambda: redis_ms(client) > last_ms, "the next millisecond")
    assert a.isdisjoint(submit_many(client, "slow", 120, "b"))
    for queue in "ab":
        wait_put_aside(client, "slow", 56, queue)
    gate.open()
    wait_until(lambda: len(gate.started()) == 241, "all have run")
    ran = [job for job, _ in gate.started()][1:]
    first = set(ran[:40])  # so many are in the lines at the beginning
    assert abs(len(first & a) - 30) <= 2


@pytest.mark.parametrize("before, after", [(1, 3), (3, 1), (2, None), (None, 2), (2, 9)])
def test_reload_changes_it_and_loses_nothing(stintd, client, folder, before, after):
    first, second = Gate(folder, "first"), Gate(folder, "second")
    more = {"concurrency": before} if before else {}
    config = {"concurrency": 5, "handlers": {"slow": first.handler(**more)}}
    daemon = stintd(config)
    jobs = submit_many(client, "slow", 120)
    running = before or 5
    first.wait_started(running)
    more = {"concurrency": after} if after else {}
    reload(daemon, {**config, "handlers": {"slow": second.handler(**more)}})
    now = min(after or 5, 5)
    # what waited keeps the configuration that it came with
    wait_until(lambda: len(first.started()) + len(second.started()) == max(running, now),
               "as many as may run")
    if now < 5:  # else each worker has one; so many were given to workers, started or not
        wait_dump(daemon, f"limit={now} running={max(running, now)} ")
        assert len(first.started()) + len(second.started()) == max(running, now)
    first.open()
    second.open()
    wait_until(lambda: is_drained(client), "all are done")
    ran = first.started() + second.started()
    assert sorted(ran) == sorted((job, "1") for job in jobs)


def test_a_lower_limit_holds_as_soon_as_those_above_have_ended(stintd, client, folder):
    # they run until the seventh has begun, which is the test's
    config = {"concurrency": 8, "handlers": {"slow": noting(folder, 6, "0.01", together=7)}}
    daemon = stintd(config)
    submit_many(client, "slow", 100)
    wait_until(lambda: len(began(folder)) == 6, "running")
    reload(daemon, {**config, "handlers": {"slow": noting(folder, 2, "0.01")}})
    with open(f"{folder}/runs", "a", encoding="utf-8") as runs:
        runs.write("+ the test's\n- \n")
    wait_until(lambda: is_drained(client), "all are done")
    seen = at_once(folder)
    assert seen[:7] == [1, 2, 3, 4, 5, 6, 7] and max(seen[7:]) <= 2


def test_cancel_takes_them_from_wherever_they_wait(stintd, client, gate):
    daemon = stintd({"concurrency": 4, "handlers": {"slow": gate.handler(concurrency=1)}})
    jobs = submit_many(client, "slow", 200)
    gate.wait_started(1)
    wait_put_aside(client, "slow", 135)
    own = submit(client, "slow", id="mine")
    wait_put_aside(client, "slow", 136)
    for job in (jobs[30], jobs[150]):  # in a line; put aside
        client.xadd(key("control"), {"command": "cancel", "id": job})
        told = result(client, job)
        assert (told["status"], told["error"]) == ("cancelled", "cancelled before it started")
    client.xadd(key("control"), {"command": "cancel", "id": "mine"})
    wait_dump(daemon, "running=1")
    gate.open()
    assert result(client, "mine")["status"] == "cancelled"
    wait_until(lambda: is_drained(client), "all are done")
    started = {job for job, _ in gate.started()}
    assert started == set(jobs) - {jobs[30], jobs[150]} and own not in started


def test_a_deadline_passes_while_it_waits(stintd, client, gate):
    stintd({"concurrency": 4, "handlers": {"slow": gate.handler(concurrency=1)}})
    submit(client, "slow")
    gate.wait_started(1)
    soon = int(time.time() * 1000) + 300
    pipe = client.pipeline(transaction=False)
    for _ in range(100):
        pipe.xadd(JOBS, {"handler": "slow", "deadline": soon})
    late = [entry.decode() for entry in pipe.execute()]
    wait_until(lambda: time.time() * 1000 > soon, "the deadline")
    gate.open()
    for job in late:
        assert result(client, job)["status"] == "expired"
    assert len(gate.started()) == 1


def test_drain_leaves_them_in_their_place(stintd, client, gate):
    config = {"concurrency": 4, "handlers": {"slow": gate.handler("tidy", concurrency=1)},
              "shutdown_timeout": "100ms"}
    daemon = stintd(config)
    jobs = submit_many(client, "slow", 200)
    gate.wait_started(1)
    wait_put_aside(client, "slow", 135)
    daemon.stop()
    assert [c for c in consumers(client) if not c.startswith("aside:")] == []
    assert put_aside(client, "slow") == 199
    gate.open()
    stintd(config)
    wait_until(lambda: is_drained(client), "all are done")
    ran = [job for job, _ in gate.started()]
    assert ran[1:200] == jobs[1:]
    assert {result(client, job)["attempt"] for job in jobs} == {1}
    wait_empty(client)


def test_two_daemons_share_them(stintd, client, folder):
    config = {"concurrency": 4, "handlers": {"slow": noting(folder, 1, "0.01", together=2)}}
    one, two = stintd(config), stintd(config)
    jobs = submit_many(client, "slow", 300)
    wait_until(lambda: is_drained(client), "all are done")
    assert sorted(began(folder)) == sorted(jobs)
    assert max(at_once(folder)) == 2
    ran_on = [result(client, job)["daemon"].rsplit("-", 1)[1] for job in jobs]
    for daemon in (one, two):
        assert ran_on.count(str(daemon.process.pid)) > 50


def test_another_daemon_without_a_limit_takes_what_is_put_aside(stintd, client, gate):
    stintd({"concurrency": 4, "handlers": {"slow": gate.handler(concurrency=1)}})
    submit_many(client, "slow", 200)
    wait_put_aside(client, "slow", 135)
    stintd({"concurrency": 4, "handlers": {"slow": ECHO}})
    wait_until(lambda: len(holders(client)) == 65, "the other one has done the rest")
    gate.open()
    wait_until(lambda: is_drained(client), "all are done")


def test_what_a_dead_daemon_held_comes_first(stintd, client, folder):
    first, second = Gate(folder, "first"), Gate(folder, "second")
    config = {"concurrency": 4, "lease": "2s"}
    daemon = stintd({**config, "handlers": {"slow": first.handler(concurrency=1)}})
    jobs = submit_many(client, "slow", 200)
    first.wait_started(1)
    wait_put_aside(client, "slow", 135)
    kill(daemon)
    second.open()
    stintd({**config, "handlers": {"slow": second.handler(concurrency=1)}})
    wait_until(lambda: is_drained(client), "all are done")
    assert sorted(job for job, _ in second.started()) == sorted(jobs)
    assert all(result(client, job)["status"] == "ok" for job in jobs)


def test_they_are_not_reclaimed_however_long_they_wait(stintd, client, gate):
    config = {"concurrency": 4, "lease": "1s", "handlers": {"slow": gate.handler(concurrency=1)}}
    one = stintd(config)
    submit_many(client, "slow", 200)
    wait_put_aside(client, "slow", 135)
    two = stintd(config)
    wait_put_aside(client, "slow", 71)  # the other one has its share

    def aside():
        return {entry: idle for entry, (name, idle, _) in holders(client).items()
                if name == "aside:slow"}
    wait_until(lambda: min(aside().values()) > 2000, "they have waited for two leases")
    # who looks for leases that have ended finds this one, and no other
    [stale, *_] = aside()
    client.xclaim(JOBS, GROUP, "zombie", 0, [stale], idle=5000, justid=True)
    wait_until(lambda: not consumers(client).get("zombie"), "it was taken over")
    wait_put_aside(client, "slow", 71)
    assert {entry for entry, held in holders(client).items() if held[2] != 1} == {stale}
    assert sum(int(wait_dump(daemon, "reclaimed=").split()[0]) for daemon in (one, two)) == 1
    gate.open()
    wait_until(lambda: is_drained(client), "all are done")


def test_pause_and_quiet_leave_none_waiting(stintd, client, gate):
    daemon = stintd({"concurrency": 4, "handlers": {"slow": gate.handler(concurrency=1)}})
    submit_many(client, "slow", 100)
    gate.wait_started(1)
    wait_put_aside(client, "slow", 35)
    client.xadd(key("control"), {"command": "pause"})
    wait_put_aside(client, "slow", 99)
    client.xadd(key("control"), {"command": "resume"})
    wait_put_aside(client, "slow", 35)
    quiet(client, daemon)
    wait_put_aside(client, "slow", 99)
    daemon.signal(signal.SIGCONT)
    wait_put_aside(client, "slow", 35)
    gate.open()
    wait_until(lambda: is_drained(client), "all are done")
    assert len(gate.started()) == 100


def test_who_comes_while_it_is_quiet_does_not_wait_either(proxy, stintd, client, gate):
    daemon = stintd({"concurrency": 4, "handlers": {"slow": gate.handler(concurrency=1)}},
                    url=proxy.url)
    submit_many(client, "slow", 100)
    gate.wait_started(1)
    wait_put_aside(client, "slow", 35)
    daemon.signal(signal.SIGTSTP)
    wait_put_aside(client, "slow", 99)
    proxy.stall("down")
    daemon.signal(signal.SIGCONT)
    wait_put_aside(client, "slow", 35)  # they are on their way
    daemon.signal(signal.SIGTSTP)
    wait_until(lambda: daemon.log().count("quiet: fetching stops") == 2, "it to be quiet")
    proxy.go_on()
    wait_put_aside(client, "slow", 99)
    daemon.signal(signal.SIGCONT)
    gate.open()
    wait_until(lambda: is_drained(client), "all are done")


def test_a_handler_that_nobody_knows_any_more(stintd, client, gate):
    config = {"concurrency": 4, "shutdown_timeout": "100ms"}
    daemon = stintd({**config, "handlers": {"slow": gate.handler("tidy", concurrency=1)}})
    jobs = submit_many(client, "slow", 80)
    wait_put_aside(client, "slow", 15)
    daemon.stop()
    wait_put_aside(client, "slow", 79)
    daemon = stintd({**config, "unknown_handler": "1h", "handlers": {"echo": ECHO}})
    assert run(client, "echo", "x")["output"] == "x"
    wait_dump(daemon, "jobs are put aside queue=default handler=slow jobs=79")
    assert run(client, "echo", "y")["output"] == "y"
    assert put_aside(client, "slow") == 79  # somebody else may know it
    reload(daemon, {**config, "handlers": {"echo": ECHO}})
    for job in jobs[1:]:
        assert result(client, job)["error"] == 'unknown handler "slow"'


def test_a_lost_connection_loses_none(proxy, stintd, client, gate):
    daemon = stintd({"concurrency": 4, "handlers": {"slow": gate.handler(concurrency=2)}},
                    url=proxy.url)

    def lose():
        before = daemon.log().count("redis is back")
        proxy.cut()
        wait_until(lambda: daemon.log().count("redis is back") > before, "redis is back")
    jobs = submit_many(client, "slow", 1000)
    gate.wait_started(2)
    for _ in range(5):
        lose()
    gate.open()
    for _ in range(5):
        jobs += submit_many(client, "slow", 20)
        lose()
    wait_until(lambda: is_drained(client), "all are done")
    assert sorted({job for job, _ in gate.started()}) == sorted(jobs)
    assert len(gate.started()) == len(jobs)


def test_the_line_is_bounded_in_bytes(stintd, client, gate):
    daemon = stintd({"concurrency": 4, "handlers": {"slow": gate.handler(concurrency=1)}})
    for _ in range(30):
        submit(client, "slow", b"x" * (1 << 20))
    gate.wait_started(1)
    wait_put_aside(client, "slow", 30 - 1 - 8)  # one runs, and 8 MiB wait in the line
    assert consumers(client)[consumer_of(client, daemon)] == 9
    gate.open()
    wait_until(lambda: is_drained(client), "all are done")
    assert len(gate.started()) == 30

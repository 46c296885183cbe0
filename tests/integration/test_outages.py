"""Redis refuses, forgets or stops: the daemon waits, tells it once, and goes on by itself."""

import signal

import pytest
from gates import is_reading, quiet
from proxy import error
from util import is_drained, result, run, submit, wait_until

JOBS = "stint:{default}:jobs"
AWAY, BACK = "redis is away", "redis is back"
UNSTORED, STORED = "results cannot be stored", "results can be stored again"
ECHO = {"handlers": {"echo": {"command": ["cat"]}, "fail": {"command": ["false"]}}}


def noting(folder):
    """A handler that writes down that it ran."""
    return {"command": ["sh", "-c", 'echo "$STINT_JOB_ID" >> "$0"', f"{folder}/ran"]}


def ran(folder):
    with open(f"{folder}/ran") as file:
        return file.read().split()


def commands(client):
    return client.info("stats")["total_commands_processed"]


def kill_all(client):
    """Every connection but this one."""
    client.client_kill_filter(_type="normal", skipme=True)


# at the door


@pytest.mark.parametrize("why", [
    "LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
    "NOAUTH Authentication required."])
def test_a_redis_that_does_not_let_in_is_waited_for(proxy, stintd, client, why):
    proxy.replacements[b"PING"] = error(why)
    daemon = stintd(ECHO, wait=False, url=proxy.url)
    job = submit(client, "echo", "p")
    wait_until(lambda: proxy.tries >= 6, "six tries")
    assert not daemon.has_state("READY=1")
    assert daemon.log().count(AWAY) == 1
    assert why in daemon.log()
    proxy.replacements.clear()
    assert result(client, job)["output"] == "p"
    daemon.wait_state("READY=1")
    daemon.wait_log(BACK)
    wait_until(lambda: daemon.log().count(BACK) == 1, "back")
    assert daemon.log().count(AWAY) == 1


def test_an_outage_is_one_line_however_often_it_is_tried(proxy, stintd, client, gate):
    daemon = stintd({"concurrency": 2, "queues": ["default", "other"],
                     "handlers": {**ECHO["handlers"], "hold": gate.handler()}}, url=proxy.url)
    running = submit(client, "hold", queue="other")
    gate.wait_started(1)
    delayed = submit(client, "echo", "later", delay="500ms")
    wait_until(lambda: client.zcard("stint:{default}:delayed") == 1, "delayed")
    before = len(daemon.log())
    proxy.is_refusing = True
    proxy.cut()
    daemon.wait_log(AWAY)
    gate.open()
    tries = proxy.tries
    wait_until(lambda: proxy.tries >= tries + 20, "each connection is tried five times")
    assert [line for line in daemon.log()[before:].splitlines() if AWAY not in line] == []
    proxy.is_refusing = False
    assert result(client, running, "other")["output"] == "done"
    assert result(client, delayed)["output"] == "later"
    daemon.wait_log(BACK)
    assert run(client, "echo", "p")["output"] == "p"
    told = daemon.log()[before:].splitlines()
    assert [AWAY in told[0], BACK in told[1], len(told)] == [True, True, 2], told


def test_a_password_that_is_set_while_the_daemon_runs(stintd, client):
    daemon = stintd(ECHO)
    client.config_set("requirepass", "secret")
    client.execute_command("AUTH", "secret")
    kill_all(client)
    daemon.wait_log("NOAUTH")
    assert daemon.log().count("NOAUTH") == 1
    job = submit(client, "echo", "p")
    client.config_set("requirepass", "")
    assert result(client, job)["output"] == "p"
    wait_until(lambda: daemon.log().count(BACK) == 1, "back")
    assert daemon.log().count(AWAY) == 1


def test_a_redis_that_becomes_a_replica_is_away_until_it_is_none(stintd, redis, client, gate):
    daemon = stintd({"handlers": {**ECHO["handlers"], "hold": gate.handler()}})
    running = submit(client, "hold")
    gate.wait_started(1)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    daemon.wait_log(AWAY)
    gate.open()
    made = client.info("stats")["total_connections_received"]
    wait_until(lambda: client.info("stats")["total_connections_received"] >= made + 6, "six tries")
    assert (daemon.log().count(AWAY), daemon.log().count(BACK)) == (1, 0)
    client.execute_command("REPLICAOF", "NO", "ONE")
    assert result(client, running)["output"] == "done"
    assert run(client, "echo", "p")["output"] == "p"
    wait_until(lambda: daemon.log().count(BACK) == 1, "back")
    assert daemon.log().count(AWAY) == 1


# commands are refused


@pytest.mark.parametrize("store", ["all", "none"])
@pytest.mark.parametrize("handler", ["hold", "hold-fail"])
def test_without_replicas_results_wait_and_nothing_is_fetched(stintd, client, gate, store, handler):
    """NOREPLICAS: like MISCONF, writes are refused and reads are not."""
    daemon = stintd({"results": {"store": store}, "handlers": {
        "hold": gate.handler(), "hold-fail": {"command": [
            "sh", "-c", gate.handler()["command"][2] + "; exit 3", str(gate.folder)]}}})
    job = submit(client, handler, reply_to="me")
    waiting = submit(client, "hold", reply_to="plain")
    gate.wait_started(2)
    client.config_set("min-replicas-to-write", 1)
    gate.open()
    daemon.wait_log(UNSTORED)
    tried = commands(client)
    wait_until(lambda: commands(client) > tried + 10, "it tries again")
    assert not client.exists("stint:{default}:reply:me")
    assert client.xpending(JOBS, "stint")["pending"] == 2
    client.config_set("min-replicas-to-write", 0)
    for name in ("me", "plain"):
        wait_until(lambda name=name: client.xlen(f"stint:{{default}}:reply:{name}") == 1, "reply")
    wait_until(lambda: is_drained(client), "drained")
    assert client.exists(f"stint:{{default}}:result:{job}") == (store == "all")
    assert client.exists(f"stint:{{default}}:result:{waiting}") == (store == "all")
    daemon.wait_log(STORED)
    assert (daemon.log().count(UNSTORED), daemon.log().count(STORED)) == (1, 1)
    assert len(gate.started()) == 2


@pytest.mark.parametrize("why", [
    "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
    "LOADING Redis is loading the dataset in memory", "NOAUTH Authentication required.",
    "ERR nonsense"])
def test_while_results_are_refused_nothing_is_fetched(proxy, stintd, client, why):
    for name in (b"MULTI", b"SET", b"XACK", b"XDEL", b"EXEC", b"EVALSHA"):
        proxy.replacements[name] = error(why)
    daemon = stintd({**ECHO, "concurrency": 1}, url=proxy.url)
    jobs = [submit(client, "echo", str(i)) for i in range(2)]
    daemon.wait_log(UNSTORED)
    # a read that was on its way when that happened ends first; after it there is none
    for _ in range(2):
        wait_until(lambda: not is_reading(client, daemon), "no read")
        sent = len(proxy.commands)
        wait_until(lambda: len(proxy.commands) > sent + 2, "it tries again")
    held = client.xpending(JOBS, "stint")["pending"]
    sent = len(proxy.commands)
    jobs += [submit(client, "fail") for i in range(3)]
    wait_until(lambda: len(proxy.commands) > sent + 4, "it tries again")
    assert client.xpending(JOBS, "stint")["pending"] == held <= 2
    assert client.xlen(JOBS) == 5
    assert b"XREADGROUP" not in proxy.commands[sent:]
    proxy.replacements.clear()
    assert [result(client, job)["status"] for job in jobs] == ["ok"] * 2 + ["error"] * 3
    wait_until(lambda: is_drained(client), "drained")
    assert (daemon.log().count(UNSTORED), daemon.log().count(STORED)) == (1, 1)


@pytest.mark.parametrize("why", ["LOADING still", "BUSY a script", "NOPERM no permissions",
                                 "NOAUTH Authentication required."])
def test_reads_that_are_refused_are_told_once_and_tried_again(proxy, stintd, client, why):
    proxy.replacements[b"XREADGROUP"] = error(why)
    daemon = stintd(ECHO, url=proxy.url)
    job = submit(client, "echo", "p")
    wait_until(lambda: proxy.commands.count(b"XREADGROUP") >= 4, "four tries")
    proxy.replacements.clear()
    assert result(client, job)["output"] == "p"
    assert proxy.commands.count(b"XREADGROUP") < 10
    assert daemon.log().count("jobs cannot be read") == 1
    daemon.wait_log("jobs can be read again")


@pytest.mark.parametrize("why", [
    "LOADING still", "BUSY a script", "NOAUTH Authentication required."])
def test_jobs_of_a_lost_read_are_looked_for_until_redis_tells(proxy, stintd, client, why):
    daemon = stintd(ECHO, url=proxy.url)
    proxy.replacements[b"XPENDING"] = error(why)
    proxy.cut_at = (b"XREADGROUP", "down", 0)  # the next one: the first is on its way
    jobs = [submit(client, "echo", "p") for _ in range(3)]
    wait_until(lambda: proxy.commands.count(b"XPENDING") >= 2, "asked twice")
    proxy.replacements.clear()
    assert [result(client, job)["output"] for job in jobs] == ["p"] * 3
    wait_until(lambda: is_drained(client), "drained")
    assert daemon.process.poll() is None


def test_out_of_memory_jobs_are_finished_and_the_queue_drains(stintd, client):
    filler = "f" * 1000
    daemon = stintd(ECHO)
    quiet(client, daemon)
    for i in range(200):
        submit(client, ("echo", "fail")[i % 2], filler, reply_to="me")
    client.config_set("maxmemory", "1mb")
    daemon.signal(signal.SIGCONT)
    wait_until(lambda: is_drained(client), "drained")
    assert len(client.keys("stint:{default}:result:*")) == 200
    with pytest.raises(Exception, match="OOM|maxmemory"):
        submit(client, "echo", filler)
    client.config_set("maxmemory", 0)
    assert run(client, "echo", "p")["output"] == "p"
    assert daemon.log().count(AWAY) == 0


def test_out_of_memory_without_a_group_is_told_once(proxy, stintd, client):
    daemon = stintd(ECHO, url=proxy.url)
    client.config_set("maxmemory", "1mb")
    client.xgroup_destroy(JOBS, "stint")
    wait_until(lambda: proxy.commands.count(b"XGROUP") >= 6, "it tries again")
    assert daemon.log().count("consumer group is gone") <= 2
    client.config_set("maxmemory", 0)
    assert run(client, "echo", "p")["output"] == "p"


# Redis forgets


@pytest.mark.parametrize("forget", ["flushall", "destroy", "script", "delete"])
def test_what_redis_has_forgotten_is_made_again(proxy, stintd, client, forget):
    daemon = stintd(ECHO, url=proxy.url)
    assert run(client, "fail")["status"] == "error"
    sent = len(proxy.commands)
    for i in range(5):
        {"flushall": client.flushall, "destroy": lambda: client.xgroup_destroy(JOBS, "stint"),
         "script": client.script_flush, "delete": lambda: client.delete(JOBS)}[forget]()
        assert run(client, "echo", str(i))["output"] == str(i)
        assert run(client, "fail", reply_to="me")["status"] == "error"
    # about 8 to make anew, 12 for the two jobs
    assert len(proxy.commands) - sent < 5 * 40
    assert daemon.log().count(AWAY) == 0


def test_everything_is_flushed_while_jobs_run(stintd, client, gate):
    daemon = stintd({"concurrency": 2, "handlers": {**ECHO["handlers"], "hold": gate.handler()}})
    jobs = [submit(client, "hold") for _ in range(4)]
    gate.wait_started(2)
    client.flushall()
    gate.open()
    for job in jobs[:2]:
        assert result(client, job)["output"] == "done"
    assert run(client, "echo", "p")["output"] == "p"
    wait_until(lambda: is_drained(client), "drained")
    assert daemon.process.poll() is None


def test_jobs_under_load_survive_that_redis_forgets_and_kills(stintd, client, folder):
    daemon = stintd({"concurrency": 4, "handlers": {"note": noting(folder)}})
    jobs = []
    for i in range(300):
        jobs.append(submit(client, "note", reply_to="all"))
        if i % 75 == 50:
            kill_all(client)
        if i % 75 == 74:
            client.script_flush()
    for job in jobs:
        assert result(client, job)["status"] == "ok"
    wait_until(lambda: is_drained(client), "drained")
    # The daemon was there all the time and knows what it has run: once each.
    assert sorted(ran(folder)) == sorted(jobs)
    replies = [fields[b"id"].decode() for _, fields in client.xrange("stint:{default}:reply:all")]
    assert sorted(replies) == sorted(jobs)
    wait_until(lambda: daemon.log().count(BACK) == daemon.log().count(AWAY) >= 1, "back")

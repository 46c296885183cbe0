"""Each script refused, and cut off in the middle; each outage with jobs in every state."""
import hashlib
import re
import signal
import threading

import pytest
from gates import quiet
from look import (CONTROL, DELAYED, JOBS, STATS, appended, consumers, entries, kill, read_as,
                  told, wait_delayed, wait_empty)
from proxy import encode, error
from util import ROOT, result, run, submit, wait_until

SCRIPTS = ROOT / "lib" / "wire" / "scripts"
AWAY, BACK = "redis is away", "redis is back"
ELSEWHERE = "elsewhere-1-2-3"


def handlers(folder):
    note = f'echo "$STINT_JOB_ID" >> {folder}/ran; '
    gate = f'until [ -e {folder}/open ]; do sleep 0.02; done; '
    second = '[ "$STINT_ATTEMPT" -ge 2 ]'
    one = {"retries": 1, "backoff": "1ms"}
    return {"note": {"command": ["sh", "-c", note + "cat"]},
            "again": {"command": ["sh", "-c", note + second], **one},
            "hold": {"command": ["sh", "-c", note + gate]},
            "hold-again": {"command": ["sh", "-c", note + gate + second], **one}}


def ran(folder):
    return sorted(appended(folder, "ran"))


def sha_of(script):
    text = (SCRIPTS / "common.lua").read_bytes() + (SCRIPTS / f"{script}.lua").read_bytes()
    return hashlib.sha1(text).hexdigest().encode()


def sentences(daemon):
    """How often each sentence was said of what goes wrong; the values beside it left out."""
    said = [re.split(r" \w+=", line)[0] for line in told(daemon, "warning", "error")]
    return {sentence: said.count(sentence) for sentence in said}


# one script is in trouble: what it does for a job, and who has run that


def life_admit(stintd, start, client, folder):
    daemon = start()
    for _ in range(2):
        submit(client, "note", "p", id="mine", reply_to="all")
    submit(client, "note", "p", id="other", reply_to="all")
    wait_until(lambda: client.hget(STATS, "duplicates") == b"1", "a duplicate")
    return daemon, ["mine", "other"]


def life_retry(stintd, start, client, folder):
    daemon = start()
    jobs = [submit(client, "again", reply_to="all") for _ in range(3)]
    return daemon, jobs * 2


def life_delay(stintd, start, client, folder):
    daemon = start()
    return daemon, [submit(client, "note", delay=f"{n}00ms", reply_to="all") for n in range(1, 6)]


def life_renew(stintd, start, client, folder):
    daemon = start()
    job = submit(client, "hold", reply_to="all")
    wait_until(lambda: appended(folder, "ran"), "it runs")
    wait_until(lambda: not start.left, "its lease could not be renewed at first")
    open(f"{folder}/open", "w").close()
    return daemon, [job]


def life_release(stintd, start, client, folder):
    daemon = start()
    job = submit(client, "hold", id="mine", reply_to="all")
    wait_until(lambda: appended(folder, "ran"), "it runs")
    daemon.stop()
    [fields] = entries(client).values()
    assert (fields["id"], fields["stint-interruptions"]) == ("mine", "1")
    assert job not in entries(client) and consumers(client) == {}
    open(f"{folder}/open", "w").close()
    return start(), ["mine"] * 2


def life_reclaim(stintd, start, client, folder):
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    jobs = [submit(client, "note", reply_to="all") for _ in range(5)]
    read_as(client, ELSEWHERE)
    return start(), jobs


def life_takeover(stintd, start, client, folder):
    first = stintd({"lease": "1h", "handlers": handlers(folder)})
    jobs = [submit(client, "hold", reply_to="all") for _ in range(3)]
    wait_until(lambda: len(appended(folder, "ran")) == 3, "they run")
    kill(first)
    open(f"{folder}/open", "w").close()
    return start(), jobs * 2


def life_cancel(stintd, start, client, folder):
    daemon = start()
    submit(client, "note", id="mine", delay="1h", reply_to="all")
    wait_delayed(client)
    client.xadd(CONTROL, {"command": "pause"})
    daemon.wait_log("queue is paused")
    waiting = submit(client, "note", reply_to="all")
    for job in ("mine", waiting):
        client.xadd(CONTROL, {"command": "cancel", "id": job})
    client.xadd(CONTROL, {"command": "resume"})
    for job in ("mine", waiting):
        assert result(client, job)["status"] in ("cancelled", "ok")
    return daemon, None


LIVES = {"admit": life_admit, "retry": life_retry, "due": life_delay, "promote": life_delay,
         "renew": life_renew, "release": life_release, "reclaim": life_reclaim,
         "takeover": life_takeover, "hasten": life_cancel, "pull": life_cancel}
# all that the daemon does with a connection that it does not trust any more; what it says
# when that is over; and what may be wrong with just this script
TROUBLES = {
    "server": ["READONLY You can't write against a read only replica.",
               "NOAUTH Authentication required.", "LOADING Redis is loading"],
    "script": ["BUSY Redis is busy", "NOSCRIPT No matching script.", "ERR nonsense"],
    "writes": ["NOREPLICAS Not enough good replicas to write.",
               "MISCONF Redis is configured to save RDB snapshots", "OOM command not allowed"],
    "up": [("up", 0), ("up", 60), ("up", -1)],
    "down": [("down", 0), ("down", 1), ("down", 4)],
}


class Trouble:
    """Starts a daemon for which the next calls of one script go wrong, one after the other."""

    def __init__(self, stintd, proxy, script, left, config):
        self.stintd, self.proxy, self.sha, self.config = stintd, proxy, sha_of(script), config
        self.left = list(left)
        self.see = proxy.see
        proxy.see = self.spoil

    def __call__(self):
        return self.stintd(self.config, url=self.proxy.url)

    def spoil(self, pair, command):
        if command[0].upper() != b"EVALSHA" or command[1] != self.sha or not self.left:
            return self.see(pair, command)
        trouble = self.left.pop(0)
        if isinstance(trouble, str):
            return error(trouble)
        way, size = trouble
        pair.budget[way] = size if size >= 0 else len(encode(command)) - 1
        return self.see(pair, command)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("script", LIVES)
def test_a_script_that_goes_wrong_is_called_again(proxy, stintd, client, folder, script, trouble):
    start = Trouble(stintd, proxy, script, TROUBLES[trouble], {
        "lease": "3s", "shutdown_timeout": "0s", "max_deliveries": 1000,
        "handlers": handlers(folder)})
    daemon, expected = LIVES[script](stintd, start, client, folder)
    # a take-over that failed is left to the jobs' lease, which ends before the next listing
    spared = 2 if script == "takeover" else 0
    wait_until(lambda: len(start.left) <= spared, "it went wrong in each way")
    for job in set(expected or []):
        assert result(client, job)["status"] == "ok"
    wait_empty(client)
    if expected is not None:
        assert ran(folder) == sorted(expected)
    replies = [fields[b"id"] for _, fields in client.xrange("stint:{default}:reply:all")]
    assert len(replies) == len(set(replies)) == len(client.keys("stint:{default}:result:*"))
    assert run(client, "note", "p", id="after")["output"] == "p"
    # away and back three times at most, and each of the three troubles told once
    assert all(count <= 3 for count in sentences(daemon).values()), sentences(daemon)


# an outage, with jobs in every state


def kill_connections(client):
    client.client_kill_filter(_type="normal", skipme=True)


def outage_password(redis, client, daemon):
    client.config_set("requirepass", "secret")
    client.execute_command("AUTH", "secret")
    kill_connections(client)
    daemon.wait_log("NOAUTH")
    yield
    client.config_set("requirepass", "")


def outage_replica(redis, client, daemon):
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    daemon.wait_log(AWAY)
    yield
    client.execute_command("REPLICAOF", "NO", "ONE")


def outage_no_writes(redis, client, daemon):
    client.config_set("min-replicas-to-write", 1)
    daemon.wait_log("trying again")
    yield
    client.config_set("min-replicas-to-write", 0)


def outage_stopped(redis, client, daemon):
    redis.process.send_signal(signal.SIGSTOP)
    daemon.wait_log(AWAY)
    yield
    redis.process.send_signal(signal.SIGCONT)


def outage_killed(redis, client, daemon):
    redis.stop(signal.SIGKILL)
    daemon.wait_log(AWAY)
    yield
    redis.start("--appendonly", "yes")


def outage_connections(redis, client, daemon):
    for _ in range(3):
        kill_connections(client)
    yield
    kill_connections(client)


def outage_scripts(redis, client, daemon):
    client.script_flush()
    yield
    client.script_flush()


def outage_memory(redis, client, daemon):
    """Which is not over when the jobs are to end."""
    client.config_set("maxmemory", "1mb")
    yield


def outage_busy(redis, client, daemon):
    client.config_set("busy-reply-threshold", 1)
    endless = threading.Thread(target=lambda: pytest.raises(
        Exception, redis.client().eval, "while true do end", 0))
    endless.start()

    def is_busy():
        try:
            return not client.ping()
        except Exception as fault:
            return "BUSY" in str(fault)
    wait_until(is_busy, "busy")
    yield
    client.script_kill()
    endless.join()


OUTAGES = {name.removeprefix("outage_"): act for name, act in list(globals().items())
           if name.startswith("outage_")}


@pytest.fixture
def kept(redis):
    """The Redis of the test, with a file: what it has been told survives its end."""
    redis.stop()
    return redis.start("--appendonly", "yes", "--appendfsync", "always")


@pytest.mark.parametrize("outage", OUTAGES)
def test_jobs_in_every_state_survive_an_outage(kept, stintd, client, folder, outage):
    daemon = stintd({"lease": "20s", "concurrency": 8, "handlers": handlers(folder)})
    once = [submit(client, "note", str(n), delay=f"{n}00ms", reply_to="all") for n in (7, 9)]
    submit(client, "hold-again", id="tried", reply_to="all")
    twice = ["tried"]
    once.append(submit(client, "hold", reply_to="all"))
    wait_until(lambda: len(appended(folder, "ran")) >= 2, "two run, the others are delayed")
    acts = OUTAGES[outage](kept, client, daemon)
    next(acts)
    open(f"{folder}/open", "w").close()
    next(acts, None)
    for job in once + twice:
        end = result(client, job)
        assert (end["status"], end["attempt"]) == ("ok", 1 + (job in twice))
    wait_empty(client)
    assert ran(folder) == sorted(once + twice * 2)
    replies = [fields[b"id"].decode() for _, fields in client.xrange("stint:{default}:reply:all")]
    assert sorted(replies) == sorted(once + twice)
    if outage == "memory":
        client.config_set("maxmemory", 0)
    assert run(client, "note", "p", id="after", delay="1ms")["output"] == "p"
    assert all(count <= 4 for count in sentences(daemon).values()), sentences(daemon)
    wait_until(lambda: daemon.log().count(AWAY) == daemon.log().count(BACK), "told that it is back")


def test_without_memory_jobs_in_every_state_come_to_their_end(stintd, client, folder):
    """What was there before goes on: admitted, put off, promoted, renewed, taken over."""
    client.xgroup_create(JOBS, "stint", "0", mkstream=True)
    daemon = stintd({"lease": "2s", "concurrency": 8, "handlers": handlers(folder)})
    submit(client, "hold", id="held")
    submit(client, "note", id="late", delay="800ms")
    wait_until(lambda: appended(folder, "ran") == ["held"], "it runs")
    wait_delayed(client)
    quiet(client, daemon)
    theirs = submit(client, "note")
    read_as(client, ELSEWHERE)
    for _ in range(2):
        submit(client, "again", id="tried")
    submit(client, "note", id="soon", delay="1500ms")
    client.config_set("maxmemory", "1mb")
    with pytest.raises(Exception, match="OOM|maxmemory"):
        submit(client, "note")
    daemon.signal(signal.SIGCONT)
    for job in ("late", "soon", "tried", theirs):
        assert result(client, job)["status"] == "ok"
    assert ran(folder) == sorted(["held", "late", "soon", "tried", "tried", theirs])
    open(f"{folder}/open", "w").close()
    assert result(client, "held")["status"] == "ok"
    wait_empty(client)
    assert client.hget(STATS, "duplicates") == b"1"
    client.config_set("maxmemory", 0)
    assert sentences(daemon) == {
        "warning job dropped: there is one with the same id already": 1}


def test_without_memory_a_daemon_hands_its_jobs_back(stintd, client, folder):
    daemon = stintd({"shutdown_timeout": "0s", "handlers": handlers(folder)})
    submit(client, "hold", id="mine")
    wait_until(lambda: appended(folder, "ran"), "it runs")
    client.config_set("maxmemory", "1mb")
    daemon.stop()
    [fields] = entries(client).values()
    assert (fields["id"], fields["stint-interruptions"]) == ("mine", "1")


@pytest.mark.parametrize("forget", ["flushall", "delete", "destroy"])
def test_a_redis_that_forgets_jobs_in_every_state_serves_new_ones(stintd, client, folder, forget):
    daemon = stintd({"lease": "1s", "concurrency": 8, "handlers": handlers(folder)})
    for n in range(2):
        submit(client, "hold", id=f"held-{n}")
        submit(client, "hold-again", id=f"tried-{n}")
        submit(client, "note", id=f"late-{n}", delay="1h")  # not before it has forgotten
    wait_until(lambda: len(appended(folder, "ran")) == 4, "they run")
    wait_delayed(client, 2)
    {"flushall": client.flushall, "delete": lambda: client.delete(JOBS),
     "destroy": lambda: client.xgroup_destroy(JOBS, "stint")}[forget]()
    client.zadd(DELAYED, {f"late-{n}": 1 for n in range(2)}, xx=True)
    open(f"{folder}/open", "w").close()
    for kind in ("note", "again", "hold"):
        assert run(client, kind, id=f"{kind}-after", reply_to="all")["status"] == "ok"
    assert run(client, "note", id="later", delay="100ms", reply_to="all")["status"] == "ok"
    for n in range(2):
        if forget != "destroy":  # else the entries are there, and read once more
            submit(client, "note", id=f"tried-{n}")
        assert result(client, f"tried-{n}")["status"] == "ok"
    for n in range(2 if forget != "flushall" else 0):
        assert result(client, f"late-{n}")["status"] == "ok"
    wait_empty(client)
    assert client.xlen("stint:{default}:reply:all") == 4
    assert daemon.process.poll() is None

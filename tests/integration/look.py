"""What the tests look at in Redis, and how daemons come to a sudden end."""
import os
import re
import signal
import socket

from gates import status_of
from util import wait_until

GROUP = "stint"


def key(kind, queue="default"):
    return f"stint:{{{queue}}}:{kind}"


def redis_ms(client):
    """Its clock, which entry ids are made of."""
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


JOBS, DEAD, DELAYED, BODIES, IDS, CONTROL, STATS = (
    key(kind) for kind in ("jobs", "dead", "delayed", "bodies", "ids", "control", "stats"))


def text_of(fields):
    """A hash or the fields of an entry, as text."""
    return {name.decode(): value.decode(errors="replace") for name, value in fields.items()}


def holders(client, queue="default"):
    """Entry id -> (consumer, ms since it was leased, deliveries) of all that is held."""
    rows = client.xpending_range(key("jobs", queue), GROUP, "-", "+", 10000)
    return {row["message_id"].decode(): (row["consumer"].decode(), row["time_since_delivered"],
                                         row["times_delivered"]) for row in rows}


def consumers(client, queue="default"):
    return {row["name"].decode(): row["pending"]
            for row in client.xinfo_consumers(key("jobs", queue), GROUP)}


def consumer_of(client, daemon):
    """The name of this run of the daemon in the group."""
    start = f"{socket.gethostname()}-{daemon.process.pid}-"
    return wait_until(lambda: next((name for name in consumers(client) if name.startswith(start)),
                                   None), "the daemon is a consumer")


def entries(client, queue="default"):
    """Entry id -> fields of all jobs that wait or are held."""
    return {entry.decode(): text_of(fields)
            for entry, fields in client.xrange(key("jobs", queue))}


def state_of(client, job):
    return text_of(client.hgetall(key(f"state:{job}")))


def wait_delayed(client, count=1):
    wait_until(lambda: client.zcard(DELAYED) == count, f"{count} jobs in the delayed set")


def wait_held(client, count=1):
    wait_until(lambda: client.exists(JOBS) and len(holders(client)) == count, f"{count} jobs held")


def leftovers(client, queue="default"):
    """What of the jobs is still in Redis, results and dead letters aside."""
    found = client.keys(key("state:*", queue))
    found += [name for name in (key("delayed", queue), key("bodies", queue), key("ids", queue))
              if client.exists(name)]
    if client.exists(key("jobs", queue)):
        found += list(entries(client, queue)) + list(holders(client, queue))
    return found


def wait_empty(client, queue="default"):
    wait_until(lambda: not leftovers(client, queue), "nothing is left")


def kill(daemon):
    """kill -9, until nothing is left of the daemon."""
    daemon.process.kill()
    daemon.process.wait()
    daemon.check_clean()


def wait_stopped(daemon):
    """SIGSTOP, until the whole process has come to a halt."""
    daemon.signal(signal.SIGSTOP)
    wait_until(lambda: status_of(daemon.process.pid)[1] == "T", "stopped")


def read_as(client, consumer, count=1000, queue="default"):
    """Takes waiting jobs as a consumer that does nothing with them; their entry ids."""
    told = client.xreadgroup(GROUP, consumer, {key("jobs", queue): ">"}, count=count)
    return [entry.decode() for _, rows in told for entry, _ in rows]


def calls(client, *names):
    """How often Redis was asked for these commands, scripts' own calls included."""
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)


def told(daemon, *levels):
    """The log's lines of these levels, without their time."""
    lines = [line.split(" ", 1)[1] for line in daemon.log().splitlines() if " " in line]
    return [line for line in lines if re.match("|".join(levels), line)]


def appended(folder, name):
    """The lines that commands have added to a file."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return file.read().splitlines()

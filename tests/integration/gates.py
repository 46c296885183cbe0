"""Jobs that run until the test lets them go, and what else the daemon's life is tested with."""
import os
import signal
import socket
from pathlib import Path

from util import submit, wait_until

# In all of them $0 is the folder of the gate. "started" gets a line for each start.
_NOTE = 'printf "%s %s\\n" "$STINT_JOB_ID" "$STINT_ATTEMPT" >> "$0/started"; '
_WAIT = 'until [ -e "$0/open" ]; do sleep 0.02; done; '
_SCRIPTS = {
    "plain": _NOTE + _WAIT + "printf done",
    "deaf": "trap '' TERM; " + _NOTE + _WAIT + "printf done",
    "tidy": "trap 'printf saved; exit 0' TERM; " + _NOTE + _WAIT + "printf done",
}


class Gate:
    """Commands that wait in front of it, and say which job they are."""

    def __init__(self, folder, name="gate"):
        self.folder = Path(folder) / name
        self.folder.mkdir()

    def handler(self, kind="plain", **more):
        return {"command": ["sh", "-c", _SCRIPTS[kind], str(self.folder)], **more}

    def open(self):
        (self.folder / "open").touch()

    def started(self):
        """The job of each start, in order; and with which attempt."""
        path = self.folder / "started"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(line.split()) for line in lines]

    def wait_started(self, count):
        wait_until(lambda: len(self.started()) >= count, f"{count} jobs started")
        return [job for job, _ in self.started()]


def is_reading(client, daemon):
    """Redis holds a read of this daemon that waits for jobs."""
    name = f"stint:{socket.gethostname()}-{daemon.process.pid}:reader"
    return any(c["name"] == name and "b" in c["flags"] for c in client.client_list())


def quiet(client, daemon):
    """SIGTSTP, until no read of the daemon can get a job any more."""
    daemon.signal(signal.SIGTSTP)
    daemon.wait_log("quiet: fetching stops")
    wait_until(lambda: not is_reading(client, daemon), "the read has ended")


def wait_dump(daemon, text):
    """SIGUSR1, again and again, until the daemon says this of its state; returns the rest
    of that dump and of later ones."""
    before = len(daemon.log())

    def told():
        daemon.signal(signal.SIGUSR1)
        return daemon.log()[before:].partition(text)[2]
    return wait_until(told, f"state {text!r}\n{daemon.log()}")


def reload(daemon, config, log="configuration reloaded"):
    """Writes the configuration, sends SIGHUP, waits until the log says how it went."""
    before = daemon.log().count(log)
    daemon.write_config(config)
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count(log) > before, f"{log}\n{daemon.log()}")


def status_of(pid):
    """Name, state and parent of a process; None when there is none."""
    try:
        name, rest = Path(f"/proc/{pid}/stat").read_text().split(" (", 1)[1].rsplit(") ", 1)
    except OSError:
        return None
    return name, rest.split()[0], int(rest.split()[1])


def is_alive(pid):
    status = status_of(pid)
    return status is not None and status[1] not in "ZX"


def children(pid, name):
    """The children of a process with this name (at most 15 letters of it)."""
    found = []
    for entry in os.listdir("/proc"):
        status = status_of(entry) if entry.isdigit() else None
        if status and status[0] == name and status[2] == pid:
            found.append(int(entry))
    return found


def group(client, queue="default"):
    """Consumers and pending entries of a queue's group."""
    [told] = client.xinfo_groups(f"stint:{{{queue}}}:jobs")
    return told["consumers"], told["pending"]


def end_unstored(client, redis, daemon, gate):
    """A job whose result waits in the daemon, because Redis is stopped; returns its id."""
    job = submit(client, "hold")
    gate.wait_started(1)
    quiet(client, daemon)
    redis.process.send_signal(signal.SIGSTOP)
    gate.open()
    wait_dump(daemon, "unstored=1")
    return job

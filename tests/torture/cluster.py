"""One Redis that keeps its file, and the daemons on it, each behind a link of its own."""
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis as redis_py
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from aof import AppendOnlyFile
from history import History
from invariants import Touch
from links import Links

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))
from util import BUILD, STINTD, Daemon, Redis  # noqa: E402

WORK = BUILD / "torture" / "work"
MEMORY = Path("/dev/shm")
MEMORY_FREE_BYTES = 2 << 30
QUEUE = "stint:{default}:"
SANITIZERS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")
LATE_PART = 5  # of a lease: nearly as long as a daemon waits for an answer
LOAD_S = 300  # Redis may read its file for so long: a busy machine is no failure
RETRIES_OF_A_QUESTION = 200
RETRY_S = 0.05
LOG_LINES_TOLD = 5


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


def make_folder():
    """In memory where there is room: what is killed here are processes, not machines."""
    is_roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_FREE_BYTES
    return tempfile.mkdtemp(prefix="stint-torture-", dir=MEMORY if is_roomy else None)


def pid_of(consumer):
    """Consumers are called HOST-PID-..."""
    return int(consumer.removeprefix(socket.gethostname() + "-").split("-")[0])


class Member:
    """One daemon of the test, through all its runs."""

    def __init__(self, cluster, number):
        self.cluster, self.number, self.runs = cluster, number, 0
        folder = Path(cluster.folder, f"d{number}")
        folder.mkdir()
        self.daemon = Daemon(folder, cluster.links.url(number), {})
        self.daemon.program = cluster.program
        self.is_expected_to_end = False
        self.ready_before = 0

    def config(self):
        settings = self.cluster.settings
        return {
            "concurrency": settings.concurrency, "lease": f"{settings.lease_ms}ms",
            "max_deliveries": 1000, "shutdown_timeout": "200ms",
            "dead_letters": {"max_count": 10_000_000, "max_size": "10GiB"},
            "handlers": {"work": {
                "command": [str(WORK), str(self.cluster.work_log)], "timeout": "2min",
                "kill_grace": "100ms", "backoff": "20ms", "backoff_max": "300ms",
                "environment": {"TORTURE_RUN": f"{self.number}.{self.runs + 1}"}}},
        }

    @property
    def run(self):
        return f"{self.number}.{self.runs}"

    @property
    def pid(self):
        return self.daemon.process.pid

    def start(self):
        self.ready_before = self._times_ready()
        self.daemon.write_config(self.config())
        self.runs += 1
        self.is_expected_to_end = False
        self.daemon.start(wait=False)
        self.cluster.run_of_pid[self.pid] = self.run

    def _times_ready(self):
        return self.daemon.states.count("READY=1")

    def is_ready(self):
        return self._times_ready() > self.ready_before

    def signal(self, number):
        self.is_expected_to_end |= number in (signal.SIGKILL, signal.SIGTERM)
        self.daemon.signal(number)

    def has_ended(self):
        return self.daemon.process.poll() is not None

    def is_consumer(self, name):
        return pid_of(name) == self.pid

    def last_words(self):
        """How it ended, and the end of its log."""
        lines = self.daemon.log().splitlines()[-LOG_LINES_TOLD:]
        return "\n    ".join([f"exit {self.daemon.process.returncode}", *lines])

    def log_faults(self):
        """What must not stand in a log."""
        text = self.daemon.log()
        return [f"daemon {self.number}: {line}" for line in text.splitlines()
                if any(word in line for word in SANITIZERS)]


class Cluster:
    def __init__(self, settings, program=STINTD, before_redis_starts=lambda: None):
        self.settings, self.program = settings, program
        self.before_redis_starts = before_redis_starts
        self.run_of_pid = {}
        self.folder = make_folder()
        self.work_log = Path(self.folder, "work.log")
        self.work_log.touch()
        self.redis = Redis(
            self.folder, "--appendonly", "yes", "--appendfsync", settings.appendfsync,
            "--auto-aof-rewrite-percentage", "0", "--notify-keyspace-events", "E$")
        self.redis.start()
        self.client = self.connect()
        self.file, self.history = AppendOnlyFile(self.folder), History()
        self.torn_ends = 0
        self.links = Links(self.redis.sock, settings.daemons + 1)
        self.probed = Path(self.folder, "probed")
        self.probe = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("probe.py"),
             str(self.links.ports[settings.daemons]),
             str(settings.lease_ms // LATE_PART), self.probed])
        self.members = [Member(self, i) for i in range(settings.daemons)]

    def connect(self):
        """A client that asks again when the connection is lost: for questions only."""
        errors = [redis_py.exceptions.ConnectionError, redis_py.exceptions.BusyLoadingError]
        return self.redis.client(
            retry=Retry(ConstantBackoff(RETRY_S), RETRIES_OF_A_QUESTION), retry_on_error=errors)

    def held_by(self, is_consumer):
        """How many entries are held by the consumers that this is true for."""
        try:
            told = self.client.xpending(QUEUE + "jobs", "stint")
        except redis_py.exceptions.ResponseError:  # no group yet
            return 0
        return sum(one["pending"] for one in told["consumers"] or ()
                   if is_consumer(one["name"].decode()))

    def waiting(self):
        """Jobs that are in the stream or delayed."""
        return self.client.xlen(QUEUE + "jobs") + self.client.zcard(QUEUE + "delayed")

    def executions(self):
        """How many have begun."""
        return self.work_log.read_text().count("begin ")

    def restart_redis(self):
        self.redis.stop(signal.SIGKILL)
        self.read_history()
        self.torn_ends += self.file.cut_torn_end()
        self.before_redis_starts()
        self.redis.start(patience_s=LOAD_S)

    def read_history(self):
        """With what has happened since it was read last."""
        for step in self.file.more():
            self.history.take(step)
        return self.history

    def stalls(self):
        """The times in which nobody answered, that are over."""
        lines = self.probed.read_text().splitlines() if self.probed.exists() else ()
        return [Touch("stall", "", *map(int, line.split())) for line in lines]

    def left(self):
        """What of the queue's keys should not be there when all is done, as text."""
        found = []
        for key in self.client.scan_iter("*", count=1000):
            kind = key.decode().removeprefix(QUEUE).split(":")[0]
            if kind in ("result", "reply", "dead", "control", "stats"):
                continue
            size = self.client.xlen(key) if kind == "jobs" else -1
            if size != 0:
                found.append(f"{key.decode()} ({self.client.type(key).decode()}"
                             f"{f' of {size}' if size > 0 else ''})")
        held = self.held_by(lambda _: True)
        return found + ([f"{held} entries in the pending list"] if held else [])

    def close(self):
        for member in self.members:
            member.daemon.close()
        self.probe.kill()
        self.probe.wait()
        self.links.close()
        self.client.close()
        self.redis.stop()

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

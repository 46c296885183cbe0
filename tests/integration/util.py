"""What the tests are made of: waiting for a condition, and a running stintd."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from pathlib import Path

import redis
import yaml_text

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("STINT_BUILD", ROOT / "build")).resolve()
STINTD = BUILD / "stintd"
STINTCTL = BUILD / "stintctl"
# Either will do; their tools are told apart only by what they are called.
REDIS_SERVER = "redis-server" if shutil.which("redis-server") else "valkey-server"
REDIS_CLI = REDIS_SERVER.replace("server", "cli")
# A sanitizer build on a busy machine is slow; a test that waits this long has failed.
PATIENCE_S = 30


def for_others(path, folder):
    """A copy in the folder that any user can get at: the tree may lie in somebody's home."""
    os.chmod(folder, os.stat(folder).st_mode | 0o055)
    return shutil.copy(path, folder)


def wait_until(condition, what="condition", timeout_s=PATIENCE_S):
    """Returns the first true answer of condition()."""
    until = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"timed out waiting for: {what}")
        time.sleep(0.005)


class Redis:
    """A private redis-server on a unix socket."""

    def __init__(self, folder, *options):
        self.folder = Path(folder)
        self.sock = str(self.folder / "r.sock")
        self.url = f"unix://{self.sock}"
        self.options = options
        self.process = None

    def start(self, *options, patience_s=PATIENCE_S):
        self.process = subprocess.Popen(
            [REDIS_SERVER, "--port", "0", "--unixsocket", self.sock, "--dir", self.folder,
             "--save", "", "--logfile", str(self.folder / "redis.log"),
             *self.options, *options],
            stdin=subprocess.DEVNULL)
        wait_until(self._answers, REDIS_SERVER, patience_s)
        return self

    def _answers(self):
        try:
            return self.client().ping()
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.ResponseError as error:
            return "NOAUTH" in str(error) or "LOADING" in str(error)
        except (redis.exceptions.ConnectionError, OSError):
            return False

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def client(self, **options):
        return redis.Redis(unix_socket_path=self.sock, **options)


class Daemon:
    """A stintd with a configuration of its own."""

    def __init__(self, folder, url, config, env=None):
        self.folder = Path(folder)
        self.config_path = self.folder / "stint.yaml"
        self.log_path = self.folder / "stintd.log"
        self.mark = uuid.uuid4().hex
        self.url = url
        self.program = STINTD
        self.states = []
        self.write_config(config)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.folder / "notify"))
        threading.Thread(target=self._listen, daemon=True).start()
        self.env = {**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"),
                    "STINT_TEST_MARK": self.mark, **(env or {})}
        self.env.pop("JOURNAL_STREAM", None)
        self.process = None

    def write_config(self, config):
        """config: a dict, completed by the Redis of this test; or text, taken as it is."""
        if isinstance(config, dict):
            config = {"redis": {"url": self.url}, **config}
            config = yaml_text.dump(config)
        self.config_path.write_text(config)

    def start(self, wait=True, args=()):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [self.program, "--config", self.config_path, *args], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, env=self.env, cwd=self.folder, process_group=0)
        log.close()
        if wait:
            self.wait_state("READY=1")
        return self

    def _listen(self):
        """Takes what is told at once: a manager that does not listen holds the daemon up."""
        with contextlib.suppress(OSError):
            while told := self.notify.recv(4096):
                self.states += told.decode().split("\n")

    def _has_told(self, text):
        return any(text in s for s in self.states)

    def has_state(self, text):
        """Of all that it has told by now: what we tell ourselves comes behind that."""
        mark = f"MARK={uuid.uuid4().hex}"
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as last:
            last.sendto(mark.encode(), str(self.folder / "notify"))
        wait_until(lambda: mark in self.states, "what was told")
        self.states.remove(mark)
        return self._has_told(text)

    def wait_state(self, text):
        """Until the daemon has told its service manager a line with this text."""
        def told():
            if self.process.poll() is not None:
                raise AssertionError(f"stintd ended: {self.process.returncode}\n{self.log()}")
            return self._has_told(text)
        wait_until(told, f"sd_notify {text}\n{self.log()}")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, text):
        wait_until(lambda: text in self.log(), f"log line {text!r}")

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self, timeout_s=PATIENCE_S):
        """Waits for the end; returns the exit code."""
        wait_until(lambda: self.process.poll() is not None, f"stintd to end\n{self.log()}",
                   timeout_s)
        return self.process.returncode

    def stop(self, code=0):
        """SIGTERM, wait, and see that nothing is left behind."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        assert self.wait_end() == code, self.log()
        self.check_clean()

    def processes(self):
        """Every process that came from this daemon and still has its environment."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found

    def check_clean(self):
        wait_until(lambda: not self.processes(), "no process left")
        for word in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                     "WARNING: ThreadSanitizer"):
            assert word not in self.log(), self.log()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.notify.shutdown(socket.SHUT_RDWR)  # ends the thread that listens
        self.notify.close()


def result(client, job_id, queue="default", prefix="stint"):
    """Waits for the result of a job; returns it as a dict."""
    if isinstance(job_id, bytes):
        job_id = job_id.decode()
    key = f"{prefix}:{{{queue}}}:result:{job_id}"
    return json.loads(wait_until(lambda: client.get(key), f"result of {job_id}"))


def submit(client, handler, payload=b"", queue="default", prefix="stint", **fields):
    """One plain XADD; returns the entry id. Field names with a dash: x_trace is x-trace."""
    named = {name.replace("x_", "x-", 1) if name.startswith("x_") else name: value
             for name, value in fields.items()}
    return client.xadd(f"{prefix}:{{{queue}}}:jobs",
                       {"handler": handler, "payload": payload, **named}).decode()


def run(client, handler, payload=b"", queue="default", **fields):
    """Submit and wait; the result as a dict."""
    entry = submit(client, handler, payload, queue=queue, **fields)
    return result(client, fields.get("id", entry), queue)


def is_drained(client, queue="default", prefix="stint"):
    """Nothing waits in the queue and nothing is pending."""
    key = f"{prefix}:{{{queue}}}:jobs"
    return client.xlen(key) == 0 and client.xpending(key, "stint")["pending"] == 0

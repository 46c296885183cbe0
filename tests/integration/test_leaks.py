"""After any number of jobs the daemon has what it had before: descriptors, threads, children."""
import os
from pathlib import Path

from util import is_drained, result, submit, wait_until

CONFIG = {
    "concurrency": 4,
    "handlers": {
        "echo": {"command": ["cat"]},
        "fail": {"command": ["sh", "-c", "echo no >&2; exit 3"]},
        "slow": {"command": ["sleep", "60"], "timeout": "20ms"},
        "detach": {"command": ["sh", "-c", "setsid sleep 60 & exit 0"]},
        "gone": {"command": ["/no/such/program"]},
    },
}


def possessions(daemon):
    """Descriptors, threads and processes of a daemon and all that came from it."""
    return [(pid, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))
            for pid in sorted(daemon.processes())]


def run_all(client, times):
    jobs = [submit(client, handler, "x") for handler in CONFIG["handlers"] for _ in range(times)]
    for job in jobs:
        result(client, job)
    wait_until(lambda: is_drained(client), "drained")


def test_jobs_leave_no_descriptor_thread_or_process(stintd, client):
    daemon = stintd(CONFIG)
    run_all(client, 8)  # every worker has its keeper now
    wait_until(lambda: len(daemon.processes()) == 2 + CONFIG["concurrency"], "a keeper each")
    before = possessions(daemon)
    run_all(client, 20)
    wait_until(lambda: possessions(daemon) == before, "what there was before")


def test_memory_does_not_grow_with_the_jobs(stintd, client):
    # a sanitizer keeps freed memory for a while; here it must keep little
    daemon = stintd({"handlers": {"echo": {"command": ["cat"]}}, "concurrency": 2},
                    env={"ASAN_OPTIONS": "quarantine_size_mb=1:exitcode=99"})

    def resident_kib():
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def burst(count):
        jobs = [submit(client, "echo", b"x" * 100_000) for _ in range(count)]
        for job in jobs:
            result(client, job)

    burst(100)
    before = resident_kib()
    burst(200)
    assert resident_kib() - before < 8192  # of the 60 MB that went through it

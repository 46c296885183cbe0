#!/usr/bin/python3
"""Measure stintd and print one table.

    run.py [--quick] [--strict] [--only drain,spawn,latency,warm,plugin,...]

A rate or a latency is worth little on a machine that others use, too. So each is held
against a limit that is measured in the same run, in turns: limit, ours, limit, ours ...
The limits are small C programs beside this one that do what has to be done and nothing
else. The ratio is the median over the rounds of ours to the limit just before it, the
spread half the distance between the best and the worst round. A target that is missed
by less than the spread is "noise": run it again on a quieter machine.

Every measured run gets a Redis server of its own, on a unix socket in a temporary
folder, without persistence. What the library costs needs none, and its limit is Go: see
conc.py. $STINT_BUILD (build/bench) holds stintd, built with
-DSTINT_BENCH for its built-in handler `bench`, and bench-tools/.

Exit status: 0; 1 when something failed to run; 2 with --strict when a target is missed.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import conc
import redis

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("STINT_BUILD", ROOT / "build" / "bench")).resolve()

JOBS = "stint:{default}:jobs"
DEAD = "stint:{default}:dead"
RESULTS = "stint:{default}:result:*"
GROUP = "stint"
WORKERS = 16
ENOUGH_PER_S = 50_000  # jobs through processes of a plugin

START_S = 10  # to wait for a process to come up or to go down
STALL_S = 30  # without a finished job: it hangs
POLL_S = 0.01  # between two looks at the queue: under 1 % of the shortest full run
SETTLE_S = 1  # after the last job, before idling is measured

CONFIG = f"""\
redis:
  url: unix://%s
concurrency: {WORKERS}
queues:
  - default
handlers:
  bench:
    command: [/bin/true]
  spawn:
    command: [/bin/true]
  thread:
    plugin: {BUILD}/tests/plugins/nothing.so
    isolation: thread
results:
  ttl: 1h
log:
  level: info
"""


class Failure(Exception):
    """Something did not run, or did not do what it claims."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    rounds: int
    drain_jobs: int
    spawn_jobs: int
    latency_jobs: int
    warm_jobs: int
    idle_s: int
    starts: int
    depths: tuple
    depth_rounds: int
    conc_share: float


FULL = Sizes(5, 300_000, 5_000, 3_000, 100_000, 10, 7, (1_000, 100_000, 1_000_000), 3, 1.0)
QUICK = Sizes(3, 30_000, 1_000, 1_000, 30_000, 3, 3, (1_000, 10_000, 100_000), 2, 0.1)


# The table


@dataclasses.dataclass
class Row:
    figure: str
    limit: str = "-"
    ours: str = "-"
    ratio: str = "-"
    target: str = "-"
    spread: str = "-"
    verdict: str = "-"


def half_range(values):
    return (max(values) - min(values)) / 2


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def judge(value, spread, at_least, at_most):
    """The target in words, and the verdict."""
    if at_least is not None:
        target, missed_by = f">= {at_least:g}", at_least - value
    elif at_most is not None:
        target, missed_by = f"<= {at_most:g}", value - at_most
    else:
        return "-", "-"
    return target, "ok" if missed_by <= 0 else "noise" if missed_by <= spread else "MISSED"


def ratio_row(figure, limits, ours, at_least=None, at_most=None):
    """A figure held against a limit; round by round, since noise comes and goes."""
    ratios = [o / l for l, o in zip(limits, ours)]
    ratio, spread = statistics.median(ratios), half_range(ratios)
    target, verdict = judge(ratio, spread, at_least, at_most)
    return Row(figure, number(statistics.median(limits)), number(statistics.median(ours)),
               f"{ratio:.2f}", target, f"+-{spread:.2f}", verdict)


def plain_row(figure, values, at_most=None):
    """A figure with no limit but its target."""
    value, spread = statistics.median(values), half_range(values)
    target, verdict = judge(value, spread, None, at_most)
    return Row(figure, ours=number(value), target=target, verdict=verdict,
               spread=f"+-{number(spread)}" if len(values) > 1 else "-")


def print_table(rows):
    names = [f.name for f in dataclasses.fields(Row)]
    lines = [names] + [dataclasses.astuple(r) for r in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = [c.rjust(w) for c, w in zip(line, widths)]
        cells[0] = line[0].ljust(widths[0])
        cells[-1] = line[-1]
        print("  ".join(cells))


def say(text):
    print(text, file=sys.stderr, flush=True)


# Processes


def wait_until(condition, what, timeout_s=START_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {timeout_s} s")
        time.sleep(POLL_S)


def run_tool(name, *args):
    """Run a C program to its end; the JSON that it prints."""
    command = [BUILD / "bench-tools" / name, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{name}: {done.stderr.strip() or f'exit {done.returncode}'}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def running(command, **popen_args):
    """A process for as long as the block lasts."""
    process = subprocess.Popen([str(c) for c in command], **popen_args)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Server:
    """A private Redis server."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.socket = str(self.folder / "redis.sock")
        self.redis = redis.Redis(unix_socket_path=self.socket)

    def is_up(self):
        with contextlib.suppress(redis.RedisError):
            return self.redis.ping()

    def load(self, handler, count):
        run_tool("load", self.socket, handler, count)

    def check(self, jobs):
        """Every job has its result, an ok one, and nothing is left."""
        found = sum(1 for _ in self.redis.scan_iter(RESULTS, count=10_000))
        left, dead = self.redis.xlen(JOBS), self.redis.xlen(DEAD)
        pending = self.redis.xpending(JOBS, GROUP)["pending"]
        if (found, left, dead, pending) != (jobs, 0, 0, 0):
            raise Failure(f"{jobs} jobs: {found} results, {left} left, {pending} pending, "
                          f"{dead} dead")

    def a_result(self):
        return self.redis.get(next(self.redis.scan_iter(RESULTS)))


@contextlib.contextmanager
def redis_server():
    with tempfile.TemporaryDirectory(prefix="stint-bench-") as folder:
        server = Server(folder)
        command = [shutil.which("redis-server") or "valkey-server", "--port", "0",
                   "--unixsocket", server.socket, "--save", "",
                   "--appendonly", "no", "--dir", folder, "--loglevel", "warning"]
        with running(command, stdout=subprocess.DEVNULL):
            wait_until(server.is_up, command[0])
            yield server


def await_ready(notify, process):
    """Receive what sd_notify() sends until it is READY=1."""
    deadline = time.monotonic() + START_S
    notify.settimeout(POLL_S)
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(socket.timeout):
            if b"READY=1" in notify.recv(4096).split(b"\n"):
                return
    raise Failure("stintd: not READY")


@contextlib.contextmanager
def stintd(server):
    """The daemon, ready; its process, with ready_ms. It must end by SIGTERM with 0."""
    config, log = server.folder / "stint.yaml", server.folder / "stintd.log"
    notify_path = server.folder / "notify.sock"
    config.write_text(CONFIG % server.socket)
    with contextlib.ExitStack() as stack:
        notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notify_path.unlink(missing_ok=True)
        notify.bind(str(notify_path))
        environment = dict(os.environ, NOTIFY_SOCKET=str(notify_path))
        stderr = stack.enter_context(log.open("w"))
        started = time.monotonic()
        process = stack.enter_context(running([BUILD / "stintd", "--config", config],
                                              stderr=stderr, env=environment))
        try:
            await_ready(notify, process)
            process.ready_ms = (time.monotonic() - started) * 1000
            yield process
            process.terminate()
            if process.wait(START_S) != 0:
                raise Failure(f"stintd: exit {process.returncode}")
        except (Failure, subprocess.TimeoutExpired) as e:
            raise Failure(f"{e}\n" + "\n".join(log.read_text().splitlines()[-10:])) from e


def drain_rate(server, process, jobs):
    """Wait until the queue is empty: jobs a second.

    The yardstick is outside, in the length of the queue, and so the same for whatever
    drains it. It is taken from the first job that is seen gone: how long a process
    takes to start is another figure."""
    first = None
    seen, seen_at = jobs, time.monotonic()
    while seen > 0:
        time.sleep(POLL_S)
        has_ended = process.poll() is not None
        left, now = server.redis.xlen(JOBS), time.monotonic()
        if left < seen:
            seen, seen_at = left, now
            first = first or (left, now)
        elif has_ended or now - seen_at > STALL_S:
            raise Failure(f"stopped with {left} of {jobs} jobs left")
    if first[0] == 0:
        raise Failure(f"{jobs} jobs are too few to measure")
    return first[0] / (seen_at - first[1])


# What /proc says


def cpu_s(pid):
    """User and system time of all threads of a process: its CPU clock, in nanoseconds;
    /proc has no more than ticks of 10 ms. The formula is the kernel's (CPUCLOCK_SCHED)."""
    return time.clock_gettime((~pid << 3) | 2)


def family(pid):
    """A process and all its descendants."""
    parent_of = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # the name, in parentheses, may hold blanks
            parent_of[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    members = [pid]
    for member in members:
        members += [child for child, parent in parent_of.items() if parent == member]
    return members


def proc_value(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise Failure(f"{path}: no {name}")


def memory_mib(pid):
    """Rss of the process; Pss of it and its helpers: pages they share count once."""
    rss = proc_value(f"/proc/{pid}/smaps_rollup", "Rss")
    pss = sum(proc_value(f"/proc/{p}/smaps_rollup", "Pss") for p in family(pid))
    return rss / 1024, pss / 1024


def sleeps(pid):
    """How often each thread of the family went to sleep, that is, was woken."""
    return {task: proc_value(task / "status", "voluntary_ctxt_switches")
            for p in family(pid) for task in pathlib.Path(f"/proc/{p}/task").iterdir()}


# The figures: each returns rows


def drain(figure, handler, sizes):
    """Results stored of what the handler does; limit: Redis alone."""
    limits, ours, jobs = [], [], sizes.drain_jobs
    for i in range(sizes.rounds):
        with redis_server() as server:
            server.load(handler, jobs)
            tool = BUILD / "bench-tools" / "ceiling_drain"
            with running([tool, server.socket, jobs], stdout=subprocess.DEVNULL) as process:
                limits.append(drain_rate(server, process, jobs))
                if process.wait(START_S) != 0:
                    raise Failure("ceiling_drain")
            server.check(jobs)
            limit_bytes = len(server.a_result())
        with redis_server() as server:
            server.load(handler, jobs)
            with stintd(server) as process:
                ours.append(drain_rate(server, process, jobs))
            server.check(jobs)
            our_bytes = len(server.a_result())
        say(f"{figure} {i + 1}/{sizes.rounds}: limit {limits[-1]:,.0f}/s, ours {ours[-1]:,.0f}/s "
            f"(a result: {limit_bytes} and {our_bytes} bytes)")
    return ratio_row(figure, limits, ours, at_least=0.7)


def bench_drain(sizes):
    """No-ops in the daemon itself."""
    return [drain("drain of no-ops, jobs/s", "bench", sizes)]


def bench_plugin(sizes):
    """A plugin in threads is held against what a drain is; one in processes echoes, against
    the bare round trip to a process in C. At 50,000/s it is fast enough in any case."""
    rows = [drain("drain, plugin in threads, jobs/s", "thread", sizes)]
    tool = BUILD / "bench-tools" / "warm"
    plugin = [BUILD / "stint-host", BUILD / "tests/plugins/echo.so"]
    for slots in (2, WORKERS):
        limits, ours, jobs = [], [], sizes.warm_jobs // slots
        for _ in range(sizes.rounds):
            limits.append(run_tool("warm", "bare", slots, jobs, tool, "echo")["jobs_per_s"])
            ours.append(run_tool("warm", "handler", slots, jobs, *plugin)["jobs_per_s"])
        row = ratio_row(f"plugin in processes, {slots} slots, jobs/s", limits, ours, at_least=0.7)
        row.target += " or 50,000/s"
        if statistics.median(ours) >= ENOUGH_PER_S:
            row.verdict = "ok"
        rows.append(row)
        say(f"plugin: {row.figure}: {row.ours}, ratio {row.ratio}")
    return rows


def bench_spawn(sizes):
    """A process per job; limit: starting and reaping processes, without a daemon."""
    limits, ours, jobs = [], [], sizes.spawn_jobs
    for i in range(sizes.rounds):
        limits.append(run_tool("ceiling_spawn", WORKERS, jobs, "/bin/true")["per_second"])
        with redis_server() as server:
            server.load("spawn", jobs)
            with stintd(server) as process:
                ours.append(drain_rate(server, process, jobs))
            server.check(jobs)
        say(f"spawn {i + 1}/{sizes.rounds}: limit {limits[-1]:,.0f}/s, ours {ours[-1]:,.0f}/s")
    return [ratio_row("command /bin/true, jobs/s", limits, ours, at_least=0.8)]


def bench_latency(sizes):
    """From XADD to the reply, one job at a time; limit: the leanest consumer."""
    limits, ours, jobs = [], [], sizes.latency_jobs
    for i in range(sizes.rounds):
        with redis_server() as server:
            with running([BUILD / "bench-tools" / "ceiling_pair", server.socket]):
                limits.append(run_tool("latency", server.socket, "bench", jobs))
        with redis_server() as server:
            with stintd(server):
                ours.append(run_tool("latency", server.socket, "bench", jobs))
        say(f"latency {i + 1}/{sizes.rounds}: limit {limits[-1]['p50_us']} us, "
            f"ours {ours[-1]['p50_us']} us")
    return [ratio_row(f"submit to reply, {p}, us", [l[f"{p}_us"] for l in limits],
                      [o[f"{p}_us"] for o in ours], at_most=target)
            for p, target in (("p50", 2.0), ("p99", None))]


def bench_idle(sizes):
    """What a daemon costs that has nothing to do, all its helpers included: so it runs
    enough commands first that every worker has made its helper process."""
    with redis_server() as server, stintd(server) as process:
        fresh_rss, fresh_pss = memory_mib(process.pid)
        server.load("spawn", 20 * WORKERS)
        wait_until(lambda: server.redis.xlen(JOBS) == 0, "the queue is empty")
        time.sleep(SETTLE_S)
        rss, pss = memory_mib(process.pid)
        sleeps_before = sleeps(process.pid)
        commands_before = server.redis.info("stats")["total_commands_processed"]
        time.sleep(sizes.idle_s)
        # INFO counts itself only after it has answered: the first one is in the difference.
        commands = server.redis.info("stats")["total_commands_processed"] - commands_before - 1
        wakes = sum(n - sleeps_before.get(task, 0) for task, n in sleeps(process.pid).items())
        say(f"idle: stintd and {len(family(process.pid)) - 1} helpers, {wakes} wake-ups and "
            f"{commands} commands in {sizes.idle_s} s")
    return [
        plain_row("idle, just started, RSS of stintd, MiB", [fresh_rss], at_most=10),
        plain_row("idle, just started, PSS with helpers, MiB", [fresh_pss], at_most=10),
        plain_row("idle, RSS of stintd, MiB", [rss], at_most=10),
        plain_row("idle, PSS with helpers, MiB", [pss], at_most=10),
        plain_row("idle, wake-ups/s", [wakes / sizes.idle_s], at_most=2),
        plain_row("idle, Redis commands/s", [commands / sizes.idle_s], at_most=2),
    ]


def echo_rates(kinds, slots, program, sizes):
    """Of each kind of warm.c, in turns."""
    rates, jobs = [[] for _ in kinds], sizes.warm_jobs // slots
    for _ in range(sizes.rounds):
        for kind, into in zip(kinds, rates):
            into.append(run_tool("warm", kind, slots, jobs, *program)["jobs_per_s"])
    return rates


def bench_warm(sizes):
    """An echo through processes that stay; limit: the bare round trip to the same process,
    which has a session of its own in both. What that alone costs stands behind."""
    tool, rows = BUILD / "bench-tools" / "warm", []
    module = pathlib.Path(__file__).with_name("echo_module")
    programs = {"C": [tool, "echo"],
                "Python": [sys.executable, "-S", module.with_suffix(".py")],
                "Node": ["node", module.with_suffix(".js")]}
    for language, program in programs.items():
        for slots in (2, WORKERS):
            limits, ours = echo_rates(("bare", "handler"), slots, program, sizes)
            rows.append(ratio_row(f"warm {language} process, {slots} slots, jobs/s", limits, ours,
                                  at_least=0.7))
            say(f"warm: {rows[-1].figure}: {rows[-1].ours}, ratio {rows[-1].ratio}")
    for slots in (2, WORKERS):
        shared, own = echo_rates(("shared", "bare"), slots, programs["C"], sizes)
        rows.append(ratio_row(f"bare C process, own session to ours, {slots} slots", shared, own))
        say(f"warm: {rows[-1].figure}: ratio {rows[-1].ratio}")
    return rows


def bench_start(sizes):
    """From exec to READY=1."""
    ready_ms = []
    with redis_server() as server:
        for _ in range(sizes.starts):
            with stintd(server) as process:
                ready_ms.append(process.ready_ms)
    say("start: " + ", ".join(f"{ms:.1f}" for ms in ready_ms) + " ms")
    return [plain_row("start to READY, ms", ready_ms, at_most=50)]


def cpu_us_per_job(jobs):
    """CPU time of the daemon for emptying a queue, without that for its start."""
    with redis_server() as server:
        with stintd(server) as process:
            start_s = cpu_s(process.pid)
        server.load("bench", jobs)
        with stintd(server) as process:
            wait_until(lambda: server.redis.xlen(JOBS) == 0, "the queue is empty", 300)
            return (cpu_s(process.pid) - start_s) / jobs * 1e6


def bench_depth(sizes):
    """Whether a job costs the same, however many are queued: the two deep queues."""
    cpu_us = {depth: [] for depth in sizes.depths}
    for i in range(sizes.depth_rounds):
        for depth in sizes.depths:
            cpu_us[depth].append(cpu_us_per_job(depth))
        say(f"depth {i + 1}/{sizes.depth_rounds}: "
            + ", ".join(f"{us[-1]:.2f} us at {depth:,}" for depth, us in cpu_us.items()))
    _, deep, deepest = sizes.depths
    pairs = list(zip(cpu_us[deep], cpu_us[deepest]))
    flat = ratio_row(f"  {deep:,} and {deepest:,}: costlier to cheaper",
                     [min(p) for p in pairs], [max(p) for p in pairs], at_most=1.3)
    return [plain_row(f"CPU per job, {d:,} queued, us", us) for d, us in cpu_us.items()] + [flat]


def recorded_row(case, ours):
    """Measured here, but not beside Go: the ratio is that of another day and machine."""
    target, _ = judge(case.recorded, 0, None, case.at_most)
    return Row(case.figure, ours=number(statistics.median(ours)), ratio=f"{case.recorded:.2f}",
               target=target, verdict="recorded")


def bench_conc(sizes):
    """The parts of libstint; limit: the same in Go."""
    tools, rows, go = BUILD / "bench-tools", [], conc.go_version()
    say(f"conc: beside {go}" if go else
        f"conc: no go here (Debian: golang-go), so ratios as recorded: {conc.RECORDED_ON}")
    if go:
        conc.build_go(tools)
    for case in conc.CASES:
        limits, ours = conc.measure(tools, case, sizes.rounds, sizes.conc_share, bool(go))
        if limits:
            rows.append(ratio_row(case.figure, limits, ours, at_most=case.at_most))
        elif case.recorded is not None:
            rows.append(recorded_row(case, ours))
        else:
            rows.append(plain_row(case.figure, ours))
        say(f"conc: {rows[-1].figure}: {rows[-1].ours}, ratio {rows[-1].ratio}")
    return rows


BENCHES = {"drain": bench_drain, "spawn": bench_spawn, "latency": bench_latency,
           "warm": bench_warm, "plugin": bench_plugin,
           "idle": bench_idle, "start": bench_start, "depth": bench_depth,
           "conc": bench_conc}


def redis_version():
    with redis_server() as server:
        return server.redis.info("server")["redis_version"]


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller counts, coarser figures")
    parser.add_argument("--strict", action="store_true", help="exit 2 when a target is missed")
    parser.add_argument("--only", metavar="NAME,...", default=",".join(BENCHES),
                        help="some of: %(default)s")
    args = parser.parse_args()
    args.only = args.only.split(",")
    for name in args.only:
        if name not in BENCHES:
            parser.error(f"no benchmark is named {name}")
    return args


def main():
    args = parse_args()
    rows, load = [], os.getloadavg()[0]
    # with SystemExit every block above ends its processes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for name in args.only:
        try:
            rows += BENCHES[name](QUICK if args.quick else FULL)
        except (Failure, OSError, redis.RedisError, subprocess.SubprocessError) as e:
            say(f"{name}: {e}")
            rows.append(Row(name, verdict="FAILED"))
    print(f"{os.cpu_count()} cores, load {load:.1f} before, {os.getloadavg()[0]:.1f} after; "
          f"Linux {os.uname().release}, Redis {redis_version()}")
    print_table(rows)
    verdicts = {row.verdict for row in rows}
    if "FAILED" in verdicts:
        return 1
    return 2 if args.strict and "MISSED" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a run does: its jobs and its faults, all from one seed.

The same seed, counts and number of daemons give the same plan. When a fault comes, and
what of a job it meets, is up to the machine; that is why everything is checked by what
must be so whatever happened.
"""
import random
from dataclasses import dataclass, field

FAILING = ("error", "timeout", "crashed", "rejected")  # these leave a dead letter
DELAY_FOREVER_S = 86400  # only a cancel ends it
SLEEP_FOREVER_MS = 300_000


@dataclass
class Job:
    """One job: what is submitted, and how it must end."""
    number: int
    kind: str
    fields: dict
    own_id: str = ""
    copies: int = 1
    retries: int = 0
    is_cancelled: bool = False
    ends: tuple = ("ok",)  # the statuses that it may end with
    attempts: int = 1  # which attempt ends it, unless it is cancelled; 0: none starts
    delay_ms: int = 0

    def entry(self):
        return {"handler": "work", "x-n": str(self.number), **self.fields,
                **({"id": self.own_id} if self.own_id else {})}


@dataclass
class Fault:
    """One thing that goes wrong, once so many results were seen."""
    at: int
    kind: str
    target: int  # the daemon; -1: Redis, so all of them
    args: dict = field(default_factory=dict)


def _work(sleep_ms=0, failures=0, how="0", padding=0):
    return {"payload": f"{sleep_ms} {failures} {how} " + "x" * padding}


def _quick(job, rng):
    job.fields = _work(padding=rng.choice([0, 0, 0, 0, 200, 200, 2000]))


def _large(job, rng):
    job.fields = _work(padding=rng.randrange(10_000, 60_000))


def _slow(job, rng):
    job.fields = _work(rng.randrange(1, 60))


def _long(job, _rng):
    job.fields = _work(2500)


def _retried(job, rng):
    job.attempts = rng.randrange(2, 4)
    job.retries = job.attempts - 1 + rng.randrange(2)
    job.fields = _work(rng.randrange(20), job.attempts - 1, rng.choice(["1", "3", "signal"]))


def _failing(job, rng):
    job.retries = rng.randrange(3)
    job.attempts = job.retries + 1
    job.ends = ("error",)
    job.fields = _work(rng.randrange(30), 99, str(rng.randrange(1, 60)))


def _for_good(job, rng):
    job.retries, job.ends = 3, ("error",)
    job.fields = _work(rng.randrange(10), 99, "65")


def _crashing(job, rng):
    job.retries = rng.randrange(2)
    job.attempts = job.retries + 1
    job.ends = ("crashed",)
    job.fields = _work(rng.randrange(10), 99, "signal")


def _timed_out(job, _rng):
    job.ends = ("timeout",)
    job.fields = {**_work(SLEEP_FOREVER_MS), "timeout": "150ms"}


def _delayed(job, rng):
    job.delay_ms = rng.randrange(10, 1500)
    job.fields = {**_work(), "delay": f"{job.delay_ms}ms"}


def _expired(job, _rng):
    job.ends, job.attempts = ("expired",), 0
    job.fields = {**_work(), "deadline": "1"}


def _rejected(job, _rng):
    job.ends, job.attempts = ("rejected",), 0
    job.fields = {**_work(), "colour": "blue"}


def _cancelled_quick(job, rng):
    job.is_cancelled, job.ends = True, ("ok", "cancelled")
    job.fields = _work(rng.randrange(20))


def _cancelled_running(job, _rng):
    job.is_cancelled, job.ends = True, ("cancelled",)
    job.fields = _work(SLEEP_FOREVER_MS)


def _cancelled_delayed(job, _rng):
    job.is_cancelled, job.ends = True, ("cancelled",)
    job.fields = {**_work(), "delay": str(DELAY_FOREVER_S)}


# kind: (weight, what it sets)
KINDS = {
    "quick": (780, _quick),
    "large": (5, _large),
    "slow": (60, _slow),
    "long": (2, _long),
    "retried": (50, _retried),
    "failing": (20, _failing),
    "for-good": (5, _for_good),
    "crashing": (5, _crashing),
    "timed-out": (3, _timed_out),
    "delayed": (50, _delayed),
    "expired": (3, _expired),
    "rejected": (3, _rejected),
    "cancelled-quick": (8, _cancelled_quick),
    "cancelled-running": (3, _cancelled_running),
    "cancelled-delayed": (3, _cancelled_delayed),
}
OWN_ID_SHARE = 0.15
TWICE_SHARE = 0.3  # of those with an id of their own
REPLY_SHARE = 0.1
REPLY_JOBS = 2000  # numbers that share one reply stream: it never gets near its cap

FAULTS = {
    "kill": 4,  # SIGKILL, started again at once, or when others have its jobs
    "stop": 4,  # SIGSTOP until others have its jobs: beyond its lease
    "pause": 2,  # SIGSTOP, soon on again
    "term": 3,  # SIGTERM, started again
    "cut": 2,  # the link's connections end
    "cut-after": 5,  # one ends somewhere in an exchange
    "lose": 2,  # ends for the daemon; Redis does not hear of it
    "drop": 2,  # nothing passes until the daemon gives up; what was on its way is lost
    "deliver": 2,  # the same, but what was on its way arrives late
    "redis-kill": 2,  # SIGKILL, started again
    "script-flush": 1,
    "client-kill": 1,
}
OF_REDIS = ("redis-kill", "script-flush", "client-kill")


def make_jobs(seed, count):
    """The jobs in the order of their submission; one with two copies stands in it twice."""
    rng = random.Random(f"jobs {seed}")
    kinds, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
    # each kind at least once, however few there are
    drawn = (kinds + rng.choices(kinds, weights, k=count))[:count]
    rng.shuffle(drawn)
    jobs = []
    for number, kind in enumerate(drawn):
        job = Job(number, kind, {})
        KINDS[kind][1](job, rng)
        if rng.random() < OWN_ID_SHARE:
            job.own_id = f"own-{seed}-{number}"
            # a cancel does not hold for a copy that is submitted after it
            job.copies = 2 if rng.random() < TWICE_SHARE and not job.is_cancelled else 1
        if rng.random() < REPLY_SHARE:
            job.fields["reply_to"] = f"r{number // REPLY_JOBS}"
        if job.retries:
            job.fields["retries"] = str(job.retries)
        jobs.append(job)
    return jobs


def order(seed, jobs):
    """Who is submitted when: the second copies come a while after the first."""
    rng = random.Random(f"order {seed}")
    at = [(job.number, job) for job in jobs]
    at += [(job.number + rng.randrange(1, 200) + 0.5, job) for job in jobs if job.copies > 1]
    return [job for _, job in sorted(at, key=lambda pair: pair[0])]


def make_faults(seed, count, jobs, daemons):
    """Spread evenly over the run, every kind at least once where there are enough."""
    rng = random.Random(f"faults {seed}")
    kinds, weights = list(FAULTS), list(FAULTS.values())
    drawn = rng.choices(kinds, weights, k=count)
    if count >= len(kinds):
        drawn[:len(kinds)] = kinds
    rng.shuffle(drawn)
    faults = []
    for i, kind in enumerate(drawn):
        target = -1 if kind in OF_REDIS else rng.randrange(daemons)
        args = {}
        if kind == "kill":
            args = {"waits": rng.random() < 0.4}
        elif kind == "cut-after":
            args = {"way": rng.choice(["up", "down"]), "bytes": int(2 ** rng.uniform(0, 13))}
        faults.append(Fault((i + 1) * jobs // (count + 1), kind, target, args))
    return faults

"""What is known of a job, in the order in which it happened: for people who ask why.

Three clocks tell: Redis' and the daemons' (unix), the test's own (monotonic). One machine
has them all, so they are brought together; lines within a few ms may stand the wrong way
round.
"""
import re
from datetime import datetime

# what a daemon says of itself that may be the reason, whichever job it names
REASONS = ("redis is", "lease", "ready ", "took over", "reclaimed", "read jobs again", "stop")
AROUND_MS = 2000  # so long before and after it things may have to do with it
LINES_MAX = 60
TEXT_MAX = 300


def story(facts, job):
    """All that is known of a job, as lines."""
    plan = facts.plan_of(job)
    events = [*_of_entries(facts, job), *_of_executions(facts, job)]
    if not events:
        return []
    begin_ms = min(ms for ms, _ in events)
    end_ms = max(ms for ms, _ in events) + AROUND_MS
    events += _of_touches(facts, job, begin_ms - AROUND_MS, end_ms)
    events += _of_logs(facts, job, begin_ms - AROUND_MS, end_ms)
    lines = [f"{ms - begin_ms:+6} ms {text[:TEXT_MAX]}"
             for ms, text in sorted(events, key=lambda event: event[0])]
    head = f"job {plan.number}, {plan.kind}: {plan.entry()}" if plan else "a job of nobody"
    return [head[:TEXT_MAX], *lines[:LINES_MAX]]


def _runs(facts, job):
    """The runs of daemons that had to do with it."""
    given = {facts.run_of.get(one.consumer) for entry in facts.history.of_job.get(job, ())
             for one in entry.deliveries}
    return given | {one.run for one in facts.of_job[job]}


def _of_entries(facts, job):
    for entry in facts.history.of_job.get(job, ()):
        name = f"entry {entry.entry}"
        yield (int(entry.entry.split("-")[0]),
               f"{name}{' (copy)' if entry.is_copy else ''} added, attempt {entry.attempt}")
        for one in entry.deliveries:
            run = facts.run_of.get(one.consumer)
            yield one.unix_ms, f"{name} given to {run} ({one.consumer}), delivery {one.count}"
        for one in entry.renewals:
            yield one.unix_ms, f"{name} renewed for {facts.run_of.get(one.consumer)}"
    for one in facts.history.results.get(job, ()):
        yield one.unix_ms, (f"held by {', '.join(one.holders) or 'nobody'}: result "
                            + one.value.decode(errors="replace"))


def _of_executions(facts, job):
    for one in facts.of_job[job]:
        text = f"in {one.run}, attempt {one.attempt}, nonce {one.nonce}"
        yield one.begin_unix_ms, f"begins {text}"
        if one.end_ms:
            yield one.begin_unix_ms + one.end_ms - one.begin_ms, f"ends with {one.how} {text}"


def _of_touches(facts, job, since_ms, until_ms):
    offset_ms, runs = facts.monotonic_minus_unix_ms, {"", *_runs(facts, job)}
    for touch in facts.touches:
        begin_ms, end_ms = touch.begin_ms - offset_ms, touch.end_ms - offset_ms
        if touch.run in runs and begin_ms <= until_ms and end_ms >= since_ms:
            text = f"{touch.kind} of {touch.run or 'all'}"
            yield begin_ms, f"begin of {text}"
            if end_ms <= until_ms:
                yield end_ms, f"end of {text}"


def _of_logs(facts, job, since_ms, until_ms):
    """Of the daemons that had to do with it: what names it, and what may be the reason."""
    names = [job, *(entry.entry for entry in facts.history.of_job.get(job, ()))]
    names = re.compile(r"=(" + "|".join(map(re.escape, names)) + r")( |$)")
    for number in {run.split(".")[0] for run in _runs(facts, job) if run}:
        for line in facts.said.get(int(number), "").splitlines():
            ms = _time_ms(line)
            if ms is not None and since_ms <= ms <= until_ms and \
                    (names.search(line) or any(word in line for word in REASONS)):
                yield ms, f"daemon {number}: {line.split(' ', 1)[-1]}"


def _time_ms(line):
    try:
        return int(datetime.fromisoformat(line.split(" ", 1)[0].replace("Z", "+00:00"))
                   .timestamp() * 1000)
    except ValueError:  # a sanitizer's
        return None

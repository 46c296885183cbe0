"""What must be so after a run, whatever went wrong in it. Each check yields its violations.

A check that finds nothing is worth something only if it can find something: each one is
shown a run with a planted violation in tests/integration/test_torture_short.py.
"""
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from plan import FAILING

CLOCK_SLACK_MS = 2  # Redis' clock and the handler's, rounded to a ms each


@dataclass
class Execution:
    """The command of a job was started once; it came to its end by itself, or not."""
    run: str  # the daemon's run, "2.7": the seventh of daemon 2
    number: int
    job: str
    attempt: int
    nonce: str
    begin_ms: int  # monotonic
    begin_unix_ms: int
    end_ms: int = 0  # 0: it was ended
    how: str = ""


@dataclass
class Touch:
    """Something went wrong for a run of a daemon ("": for all), from when until when."""
    kind: str
    run: str
    begin_ms: int
    end_ms: int


@dataclass
class Facts:
    jobs: list  # plan.Job
    confirmed: dict  # number -> job id, of those whose XADD was answered
    history: object  # history.History
    executions: list
    seen: dict  # job id -> its result when it was first seen
    final: dict  # job id -> its result at the end
    replies: Counter  # job id -> entries in reply streams
    letters: Counter  # job id -> dead letters
    left: list = field(default_factory=list)  # keys that should be gone, as text
    duplicates: int = 0  # as the daemons counted them
    touches: list = field(default_factory=list)
    logs: list = field(default_factory=list)  # what is wrong in a daemon's log
    run_of: dict = field(default_factory=dict)  # consumer -> run
    monotonic_minus_unix_ms: int = 0
    said: dict = field(default_factory=dict)  # number of a daemon -> its log
    may_roll_back: bool = False  # this Redis may lose what it has answered

    def __post_init__(self):
        self.of_job = defaultdict(list)
        for execution in self.executions:
            self.of_job[execution.job].append(execution)
        # submitted, then lost by Redis: a daemon that has it by then may finish it
        self.rolled_back = {job: number for number, job in self.confirmed.items()
                            if job not in self.history.of_job} if self.may_roll_back else {}

    def is_touched(self, run, since_ms, until_ms):
        """Did something go wrong for this run in that time?"""
        return any(touch.run in ("", run) and touch.begin_ms <= until_ms
                   and touch.end_ms >= since_ms for touch in self.touches)

    def results(self):
        """Of each job that has one: plan, id, and the result as a dict."""
        for job, value in self.final.items():
            plan = self.plan_of(job)
            if plan:
                yield plan, job, json.loads(value)

    def plan_of(self, job):
        entries = self.history.of_job.get(job)
        if job in self.rolled_back:
            return self.jobs[self.rolled_back[job]]
        return self.jobs[entries[0].number] if entries and entries[0].number >= 0 else None


def every_job_has_a_result(facts):
    """Confirmed to the submitter, or found in the stream's history: it must not be lost."""
    for number, job in facts.confirmed.items():
        if job not in facts.history.of_job and job not in facts.rolled_back:
            yield job, f"lost: job {number} was confirmed, Redis' file does not have it"
    for job in {*facts.history.of_job, *facts.confirmed.values()} - facts.rolled_back.keys():
        if job not in facts.final:
            yield job, "lost: it has no result"


def every_result_is_a_jobs(facts):
    for job in {*facts.final, *facts.history.results}:
        if not facts.plan_of(job):
            yield job, "a result of a job that nobody has submitted"


def results_are_written_once(facts):
    for job, written in facts.history.results.items():
        if len(written) > 1:
            yield job, f"recorded {len(written)} times"


def results_do_not_change(facts):
    for job, value in facts.seen.items():
        is_rolled_back = facts.may_roll_back and value not in (
            written.value for written in facts.history.results.get(job, ()))
        if facts.final.get(job, value) != value and not is_rolled_back:
            yield job, f"the result changed, it was {value.decode(errors='replace')}"
    for job, written in facts.history.results.items():
        if job in facts.final and facts.final[job] != written[0].value:
            yield job, "the result is not the one that was first written"


def results_are_of_an_execution(facts):
    """Output, or the tail of standard error, names an execution that took place."""
    for _, job, result in facts.results():
        told = result.get("stderr", result["output"]) if result["status"] != "ok" \
            else result["output"]
        by_name = {f"{e.job} {e.attempt} {e.nonce}": e for e in facts.of_job[job]}
        execution = by_name.get(told)
        # one that was ended may not have come so far as to say who it is
        is_ended_early = not told and result["status"] in ("cancelled", "timeout")
        if execution is None:
            if result.get("started_ms") and not is_ended_early:
                yield job, f"the result says {told!r}, no execution is called so"
        elif result["attempt"] != execution.attempt:
            yield job, f"attempt {result['attempt']} with the output of {execution.attempt}"
        elif result["status"] in ("ok", "error"):
            code = str(result.get("exit_code", 0))
            if not execution.end_ms:
                yield job, "the result of an execution that has not come to its end"
            elif code != execution.how:
                yield job, f"exit code {code}, the execution ended with {execution.how}"


def results_are_as_planned(facts):
    for plan, job, result in facts.results():
        if result["status"] not in plan.ends:
            yield job, f"ended as {result['status']}, a {plan.kind} job ends as " \
                       f"{' or '.join(plan.ends)}"
        elif plan.attempts and result["status"] != "cancelled" \
                and result["attempt"] != plan.attempts:
            yield job, f"ended with attempt {result['attempt']} in place of {plan.attempts}"


def failures_are_told_by_the_holder(facts):
    """A daemon that has lost a job must not fail it for the one that has it now."""
    for job, written in facts.history.results.items():
        for one in written:
            result = json.loads(one.value)
            if result["status"] != "ok" and not any(
                    holder.startswith(result["daemon"]) for holder in one.holders):
                yield job, f"{result['status']} told by {result['daemon']}, held by " \
                           f"{', '.join(one.holders) or 'nobody'}"


def replies_are_given_once(facts):
    for plan, job, _ in facts.results():
        wanted = int("reply_to" in plan.fields)
        for where, count in (("are in the stream", facts.replies[job]),
                             ("were written", facts.history.replies.get(job, 0))):
            if count != wanted:
                yield job, f"{count} replies {where} in place of {wanted}"


def dead_letters_are_the_failed_jobs(facts):
    for _, job, result in facts.results():
        wanted = int(result["status"] in FAILING)
        for where, count in (("there are", facts.letters[job]),
                             ("there were written", facts.history.letters.get(job, 0))):
            if count != wanted:
                yield job, f"{where} {count} dead letters of a job that is {result['status']}"


def nothing_is_left(facts):
    for what in facts.left:
        yield None, f"left in Redis: {what}"


def duplicates_were_dropped(facts):
    """Each entry that a submitter added is a job of its own, or was dropped as a duplicate."""
    wanted = facts.history.first_copies - len(facts.history.of_job)
    if facts.duplicates != wanted:
        yield None, f"{facts.duplicates} duplicates were counted, there were {wanted}"


def executions_have_a_delivery_each(facts):
    count = Counter((e.job, e.attempt) for e in facts.executions)
    for (job, attempt), executions in count.items():
        deliveries = len(facts.history.deliveries(job, attempt))
        if executions > deliveries and not facts.may_roll_back:
            yield job, f"attempt {attempt} ran {executions} times, given out {deliveries} times"


def attempts_are_within_bounds(facts):
    for execution in facts.executions:
        plan = facts.plan_of(execution.job)
        if plan is None or plan.number != execution.number:
            yield execution.job, f"ran as job {execution.number}, which it is not"
        elif not 1 <= execution.attempt <= plan.attempts:
            yield execution.job, f"attempt {execution.attempt} ran, {plan.attempts} are planned"


def repeated_executions_are_due_to_faults(facts):
    """An attempt runs again only after something went wrong for the daemon that had it."""
    runs = defaultdict(list)
    for execution in facts.executions:
        runs[execution.job, execution.attempt].append(execution)
    for (job, attempt), executions in runs.items():
        if len(executions) < 2:
            continue
        given = in_order_of_delivery(facts, job, attempt, executions)
        for (one, since_ms), (following, _) in zip(given, given[1:]):
            if not facts.is_touched(one.run, since_ms, following.begin_ms):
                yield job, f"attempt {attempt} ran again in {following.run}, though nothing " \
                           f"had happened to {one.run}"


def in_order_of_delivery(facts, job, attempt, executions):
    """Pairs of execution and when it was given out (monotonic ms), in that order: a daemon
    that was stopped may start late what another one has finished meanwhile."""
    offset_ms = facts.monotonic_minus_unix_ms
    given = [(facts.run_of.get(one.consumer), one.unix_ms + offset_ms)
             for one in facts.history.deliveries(job, attempt)]
    pairs = []
    for execution in executions:
        # the last one before it began: not all that is given out is run
        since_ms = max((at_ms for run, at_ms in given if run == execution.run
                        and at_ms <= execution.begin_ms + CLOCK_SLACK_MS),
                       default=execution.begin_ms)
        pairs.append((execution, since_ms))
    return sorted(pairs, key=lambda pair: (pair[1], pair[0].begin_ms))


def entries_change_hands_due_to_faults(facts):
    """Nobody takes an entry from a daemon that is well, nor takes it back from one."""
    offset_ms = facts.monotonic_minus_unix_ms
    for entry in facts.history.entries.values():
        plan = facts.plan_of(entry.job)
        for one, following in zip(entry.deliveries, entry.deliveries[1:]):
            run = facts.run_of.get(one.consumer)
            # taken out of its turn to be cancelled, then read as new: see pull.lua
            is_pulled = plan and plan.is_cancelled and following.count == 1
            if is_pulled or one.consumer == following.consumer or facts.is_touched(
                    run, one.unix_ms + offset_ms, following.unix_ms + offset_ms):
                continue
            yield entry.job, f"{following.consumer} took entry {entry.entry} from " \
                             f"{one.consumer} ({run}), to which nothing had happened"


def nothing_starts_before_it_is_due(facts):
    for execution in facts.executions:
        plan = facts.plan_of(execution.job)
        if plan and plan.delay_ms:
            first = facts.history.of_job[execution.job][0].entry
            due = int(first.split("-")[0]) + plan.delay_ms
            if execution.begin_unix_ms < due - CLOCK_SLACK_MS:
                yield execution.job, f"started {due - execution.begin_unix_ms} ms too early"


def logs_are_clean(facts):
    for fault in facts.logs:
        yield None, fault


CHECKS = (
    logs_are_clean, every_job_has_a_result, every_result_is_a_jobs, results_are_written_once,
    results_do_not_change, results_are_of_an_execution, results_are_as_planned,
    failures_are_told_by_the_holder, replies_are_given_once, dead_letters_are_the_failed_jobs,
    nothing_is_left, duplicates_were_dropped, executions_have_a_delivery_each,
    attempts_are_within_bounds, repeated_executions_are_due_to_faults,
    entries_change_hands_due_to_faults, nothing_starts_before_it_is_due,
)


def violations(facts):
    """(name of the check, job id or None, what is wrong) of all that is wrong."""
    return [(check.__name__, job, text) for check in CHECKS for job, text in check(facts)]


def read_executions(path):
    """The log of tests/torture/work.c."""
    executions = {}
    with open(path, encoding="ascii") as log:
        for line in log:
            word = line.split()
            if word[0] == "begin":
                executions[word[5]] = Execution(word[1], int(word[2]), word[3], int(word[4]),
                                                word[5], int(word[6]), int(word[7]))
            else:
                executions[word[5]].end_ms, executions[word[5]].how = int(word[6]), word[7]
    return list(executions.values())

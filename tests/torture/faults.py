"""Carrying out the faults of a plan: each is a generator that yields what it waits for.

A fault begins when its turn has come and its daemon has no other; it goes on when the
condition that it has yielded is true. Nothing here waits for a time to pass, but for the
short pause, which is one.
"""
import signal

from cluster import now_ms, pid_of
from invariants import Touch
from plan import OF_REDIS

EXIT_UNAVAILABLE = 69
FOR_EVER_MS = 1 << 62


class Faults:
    def __init__(self, cluster, plan, results_seen):
        self.cluster, self.results_seen = cluster, results_seen
        self.waiting = list(reversed(plan))
        self.open = []  # (fault, generator, condition)
        self.touches = []
        self.done = {}  # kind -> how many
        self.faults = []  # what went wrong that must not
        self.noticed_ms = 0  # the longest that a silent link was not noticed

    # ---- the kinds ----

    def _kill(self, fault, member):
        pid = member.pid
        self._touch(fault, member)  # for ever: Redis may give jobs to the dead for a while
        member.signal(signal.SIGKILL)
        yield member.has_ended
        if fault.args["waits"]:
            yield lambda: self.cluster.held_by(lambda name: pid_of(name) == pid) == 0
        yield from self._start(member)

    def _stop(self, fault, member):
        # it must have something to lose, unless all is over
        begun = fault.args.get("begun", 0)
        yield lambda: (not begun or self.cluster.executions() >= begun) and \
            self.cluster.held_by(member.is_consumer) or \
            self.results_seen() and not self.cluster.waiting()
        touch = self._touch(fault, member)
        member.signal(signal.SIGSTOP)
        yield lambda: self.cluster.held_by(member.is_consumer) == 0
        member.signal(signal.SIGCONT)
        touch.end_ms = now_ms()

    def _pause(self, fault, member):
        touch = self._touch(fault, member)
        member.signal(signal.SIGSTOP)
        until_ms = now_ms() + self.cluster.settings.lease_ms // 3
        yield lambda: now_ms() > until_ms
        member.signal(signal.SIGCONT)
        touch.end_ms = now_ms()

    def _term(self, fault, member):
        touch = self._touch(fault, member)
        member.signal(signal.SIGTERM)
        yield member.has_ended
        code = member.daemon.process.returncode
        if code == 0:
            touch.end_ms = now_ms()  # it holds nothing, nor will it be given anything
        # a stop does not wait for a Redis that is away: then it says so, and gives up
        was_away = self._has_touched_all(touch.begin_ms)
        if code not in ((0, EXIT_UNAVAILABLE) if was_away else (0,)):
            self.faults.append(f"daemon {member.number}: exit {code} after SIGTERM")
        left = self.cluster.held_by(member.is_consumer)
        if code == 0 and left:
            self.faults.append(f"daemon {member.number}: a clean stop left {left} jobs held")
        yield from self._start(member)

    def _link(self, fault, member, verb, *more):
        touch = self._touch(fault, member)
        before = self._made(member)
        self.cluster.links.ask(verb, member.number, *more)
        yield lambda: self._made(member) > before
        self.cluster.links.ask("forget", member.number)
        touch.end_ms = now_ms()

    def _cut(self, fault, member):
        yield from self._link(fault, member, "cut")

    def _cut_after(self, fault, member):
        yield from self._link(fault, member, "cut-after", fault.args["way"], fault.args["bytes"])

    def _lose(self, fault, member):
        yield from self._link(fault, member, "lose")

    def _drop(self, fault, member):
        touch = self._touch(fault, member)
        links, before_ms, made = self.cluster.links, now_ms(), self._made(member)
        links.ask("mute", member.number)
        yield lambda: links.ask("is-given-up", member.number) == "yes"
        if not self._has_touched_all(before_ms):
            self.noticed_ms = max(self.noticed_ms, now_ms() - before_ms)
        if fault.kind == "drop":  # ends what was made since, too
            made = self._made(member)
        links.ask(fault.kind, member.number)
        yield lambda: self._made(member) > made
        touch.end_ms = now_ms()

    _deliver = _drop

    def _redis_kill(self, fault, _):
        touch = self._touch(fault, None)
        self.cluster.restart_redis()
        touch.end_ms = now_ms()
        yield lambda: True

    def _script_flush(self, fault, _):
        self._touch(fault, None).end_ms = now_ms()
        self.cluster.client.script_flush()
        yield lambda: True

    def _client_kill(self, fault, _):
        self._touch(fault, None).end_ms = now_ms()
        self.cluster.client.client_kill_filter(_type="normal", skipme=True)
        yield lambda: True

    # ---- helpers ----

    def _start(self, member):
        member.start()
        yield lambda: member.is_ready() or member.has_ended()

    def _made(self, member):
        return int(self.cluster.links.ask("count", member.number))

    def _has_touched_all(self, since_ms):
        """Something was wrong with Redis or the machine, since then."""
        return any(not touch.run and touch.end_ms >= since_ms
                   for touch in [*self.touches, *self.cluster.stalls()])

    def _touch(self, fault, member):
        """Notes the begin; as long as it has no end, it lasts."""
        touch = Touch(fault.kind, member.run if member else "", now_ms(), FOR_EVER_MS)
        self.touches.append(touch)
        return touch

    # ---- the run ----

    def next_at(self):
        """How many results must be there before the next fault; None: there is none."""
        return self.waiting[-1].at if self.waiting else None

    def is_over(self):
        return not self.waiting and not self.open

    def busy(self):
        return {fault.target for fault, _, _ in self.open} - {-1}

    def poll(self):
        """Goes on with what can go on; begins what is due."""
        still = []
        for fault, steps, condition in self.open:
            if condition():
                condition = next(steps, None)
            if condition:
                still.append((fault, steps, condition))
            else:
                self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
        self.open = still
        while self.waiting and self.results_seen() >= self.waiting[-1].at and self._may_begin():
            fault = self.waiting.pop()
            member = self.cluster.members[fault.target] if fault.target >= 0 else None
            steps = getattr(self, "_" + fault.kind.replace("-", "_"))(fault, member)
            self.open.append((fault, steps, next(steps)))
        for member in self.cluster.members:
            if member.has_ended() and not member.is_expected_to_end:
                member.is_expected_to_end = True
                self.faults.append(f"daemon {member.number} ended by itself: "
                                   + member.last_words())

    def _may_begin(self):
        """One at a time for each daemon, and one daemon always has none."""
        fault, busy = self.waiting[-1], self.busy()
        return fault.kind in OF_REDIS or \
            fault.target not in busy and len(busy) < len(self.cluster.members) - 1

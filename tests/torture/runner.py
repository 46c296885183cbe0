"""One run of the torture test: the jobs go in, the faults come, the facts are gathered."""
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass

from cluster import QUEUE, Cluster, now_ms, pid_of
from faults import Faults
from invariants import Facts, read_executions
from plan import order
from submitter import Submitter
from watcher import Watcher

POLL_S = 0.01
PROGRESS_S = 2
WINDOW = 400  # jobs that are submitted ahead of the results
STUCK_S = 30  # without any progress: the run has failed


@dataclass
class Settings:
    seed: int = 1
    jobs: int = 100_000
    faults: int = 200
    daemons: int = 4
    concurrency: int = 8
    lease_ms: int = 1500
    appendfsync: str = "always"


class Stuck(Exception):
    """Nothing goes on any more, though not all is done."""


class Run:
    """One run: collect() goes through it and returns the Facts for the checks."""

    def __init__(self, settings, jobs, faults, out=sys.stdout, **of_cluster):
        self.settings, self.jobs, self.out = settings, jobs, out
        self.cluster = Cluster(settings, before_redis_starts=self._count_rolled_back, **of_cluster)
        self.watcher = Watcher(self.cluster)
        self.faults = Faults(self.cluster, faults, self._progress_count)
        self.submitter = Submitter(self.cluster, order(settings.seed, jobs),
                                   self._limit)
        self.faults_found = []
        self.rolled_back = 0

    def _progress_count(self):
        """Jobs that need not be waited for; an unanswered one may never have arrived."""
        return len(self.watcher.seen) + len(self.submitter.unanswered) + self.rolled_back

    def _count_rolled_back(self):
        known = self.cluster.history.of_job
        self.rolled_back = sum(job not in known for job in [*self.submitter.confirmed.values()])

    def _limit(self):
        """So many may be submitted: the faults must find jobs to the last of them."""
        submitter, progress = self.submitter, self._progress_count()
        at = self.faults.next_at()
        second_copies = submitter.added - len(submitter.confirmed) - len(submitter.unanswered)
        return min(progress, progress if at is None else at) + WINDOW + second_copies

    # ---- going through it ----

    def collect(self):
        self.watcher.start()
        self.watcher.is_listening.wait()
        for member in self.cluster.members:
            member.start()
        try:
            self._wait(lambda: all(member.is_ready() for member in self.cluster.members), "ready")
            self.submitter.start()
            self._wait(lambda: not self.submitter.is_alive(), "submitted")
            expected = self._expected()
            self._wait(lambda: expected <= self.watcher.seen.keys() and self.faults.is_over()
                       and self.cluster.waiting() == 0, "all done")
        except Stuck as stuck:
            self.faults_found.append(str(stuck))
        self._stop()
        return self._facts()

    def _wait(self, condition, what):
        """Lets the faults come, until condition(); gives up when nothing goes on."""
        last, since = None, time.monotonic()
        told = since
        while not condition():
            self.faults.poll()
            state = (len(self.watcher.seen), self.submitter.added, sum(self.faults.done.values()))
            now = time.monotonic()
            if state != last:
                last, since = state, now
            if self.faults.faults:
                raise Stuck(f"not {what}: a daemon has failed")
            if now - since > STUCK_S:
                raise Stuck(f"not {what}: nothing has happened for {STUCK_S} s")
            if now - told > PROGRESS_S:
                told = now
                self._progress()
            time.sleep(POLL_S)

    def _progress(self):
        open_faults = " ".join(f"{fault.kind}:{fault.target}" for fault, _, _ in self.faults.open)
        print(f"  {len(self.watcher.seen)} results, {sum(self.faults.done.values())} faults done"
              f"{', now ' + open_faults if open_faults else ''}", file=self.out, flush=True)

    def _expected(self):
        """The ids of all jobs that there are; those whose answer was lost are looked up."""
        expected = set(self.submitter.confirmed.values())
        history = self.cluster.read_history()
        if self._may_roll_back():
            expected &= history.of_job.keys()
        if self.submitter.unanswered:
            for number in self.submitter.unanswered:
                for job in history.numbers.get(number, ()):
                    expected.add(job)
                    if self.jobs[number].is_cancelled:
                        self.submitter.cancel_found(job)
            self.submitter.finish()
        return expected

    def _may_roll_back(self):
        """Is this a Redis that may lose what it has answered, when it is killed?"""
        return self.settings.appendfsync != "always"

    def _stop(self):
        """Ends the daemons, each in peace, and sees that they leave no process behind."""
        self.submitter.is_stopped = True
        for member in self.cluster.members:
            try:
                if not member.has_ended():
                    # when the run has failed, a fault may not be over yet
                    self.cluster.links.ask("deliver", member.number)
                    member.signal(signal.SIGCONT)
                    member.daemon.stop()
                member.daemon.check_clean()
            except AssertionError:
                self.faults_found.append(f"daemon {member.number} did not end well: "
                                         + member.last_words())
        self.watcher.is_stopped = True
        self.watcher.join()

    def _facts(self):
        client = self.cluster.client
        start = len(QUEUE + "result:")
        keys = list(client.scan_iter(QUEUE + "result:*", count=1000))
        final = {}
        for at in range(0, len(keys), 1000):
            part = keys[at:at + 1000]
            final.update(zip((key[start:].decode() for key in part), client.mget(part)))
        replies = Counter(fields[b"id"].decode()
                          for key in client.scan_iter(QUEUE + "reply:*")
                          for _, fields in client.xrange(key))
        letters = Counter(fields[b"stint-id"].decode()
                          for _, fields in client.xrange(QUEUE + "dead"))
        history = self.cluster.read_history()
        run_of = {delivery.consumer: self.cluster.run_of_pid.get(pid_of(delivery.consumer))
                  for entry in history.entries.values() for delivery in entry.deliveries}
        return Facts(
            jobs=self.jobs, confirmed=self.submitter.confirmed, history=history,
            executions=read_executions(self.cluster.work_log), seen=self.watcher.seen,
            final=final, replies=replies, letters=letters, left=self.cluster.left(),
            duplicates=int(client.hget(QUEUE + "stats", "duplicates") or 0),
            touches=self.faults.touches + self.cluster.stalls(), run_of=run_of,
            said={member.number: member.daemon.log() for member in self.cluster.members},
            may_roll_back=self._may_roll_back(),
            monotonic_minus_unix_ms=now_ms() - int(time.time() * 1000),
            logs=[fault for member in self.cluster.members for fault in member.log_faults()]
            + self.faults_found + self.faults.faults)

    def close(self, keeps_folder=False):
        self.submitter.is_stopped = self.watcher.is_stopped = True
        self.cluster.close()
        if not keeps_folder:
            self.cluster.remove()

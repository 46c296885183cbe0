"""Adds the jobs, a bounded number ahead of the results, and survives the loss of answers.

A job with an id of its own whose XADD was not answered is added again: that is what ids
are for. One without may or may not be in the stream; which, tells Redis' file later.
"""
import threading
import time
from collections import deque

import redis as redis_py

from cluster import QUEUE

BATCH = 50
WAIT_S = 0.002
LOST = (redis_py.exceptions.ConnectionError, redis_py.exceptions.BusyLoadingError,
        redis_py.exceptions.TimeoutError, OSError)


class Submitter(threading.Thread):
    def __init__(self, cluster, jobs, limit):
        """jobs in the order of their submission; limit(): how many may be added by now."""
        super().__init__(daemon=True)
        self.redis, self.limit = cluster.redis, limit
        self.queue = deque(jobs)
        self.cancels = deque()
        self.confirmed = {}  # number -> job id
        self.unanswered = set()  # numbers of jobs without an id whose XADD was not answered
        self.added = 0
        self.lost_answers = 0
        self.is_stopped = False
        self.client = None
        self.lock = threading.Lock()

    def run(self):
        while not self.is_stopped and (self.queue or self.cancels):
            if not self._is_connected():
                time.sleep(WAIT_S)
                continue
            room = min(self.limit() - self.added, BATCH, len(self.queue))
            batch = [self.queue.popleft() for _ in range(max(room, 0))]
            with self.lock:
                ids = [self.cancels.popleft() for _ in range(min(BATCH, len(self.cancels)))]
            if batch or ids:
                self._send(batch, ids)
            else:
                time.sleep(WAIT_S)

    def _is_connected(self):
        """Only what was sent may have been stored: nothing is sent before Redis answers."""
        try:
            self.client = self.client or self.redis.client()
            return self.client.ping()
        except LOST:
            self.client = None
            return False

    def _send(self, batch, ids):
        answers = []
        try:
            pipe = self.client.pipeline(transaction=False)
            for job in ids:
                pipe.xadd(QUEUE + "control", {"command": "cancel", "id": job})
            for job in batch:
                pipe.xadd(QUEUE + "jobs", job.entry())
            answers = pipe.execute(raise_on_error=False)
        except LOST:
            self.client = None
        answers += [None] * (len(ids) + len(batch) - len(answers))
        for job, answer in zip(ids, answers):
            if not isinstance(answer, bytes):
                self._cancel(job)
        for job, answer in zip(batch, answers[len(ids):]):
            self._answered(job, answer)

    def _answered(self, job, answer):
        if isinstance(answer, bytes):
            self.added += 1
            self.confirmed[job.number] = job.own_id or answer.decode()
            if job.is_cancelled:
                self._cancel(self.confirmed[job.number])
            return
        self.lost_answers += 1
        if job.own_id:
            self.queue.appendleft(job)
        else:
            self.added += 1
            self.unanswered.add(job.number)

    def _cancel(self, job):
        with self.lock:
            self.cancels.append(job)

    def cancel_found(self, job):
        """To be called when run() has ended: a job whose answer was lost is there."""
        self.cancels.append(job)

    def finish(self):
        """Sends the cancels that cancel_found() has added."""
        self.run()

"""What happened, from Redis' own append-only file: every change, in order, none missed.

Each delivery of an entry is in it as an XCLAIM. So the file tells who held what at the time
when a result was written, and how often each key was written at all.
"""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Delivery:
    consumer: str
    count: int
    unix_ms: int


@dataclass
class Entry:
    """One entry of the jobs stream."""
    entry: str
    job: str
    number: int
    attempt: int
    is_copy: bool
    deliveries: list = field(default_factory=list)  # Delivery, as they came
    renewals: list = field(default_factory=list)  # likewise: the lease began anew
    holder: str = ""
    is_gone: bool = False


@dataclass
class Written:
    """A result key was set: to what, who held entries of the job then, and about when."""
    value: bytes
    holders: tuple
    unix_ms: int


class History:
    def __init__(self, queue="default"):
        self.prefix = f"stint:{{{queue}}}:"
        self.entries = {}  # entry id -> Entry
        self.of_job = {}  # job id -> its entries
        self.results = {}  # job id -> every Written
        self.replies = {}  # job id -> how often it was replied
        self.letters = {}  # job id -> how many dead letters were written
        self.numbers = {}  # number -> job ids
        self.first_copies = 0  # entries that submitters added
        self.unix_ms = 0  # of the last delivery that was read

    # ---- reading ----

    def take(self, step):
        """One atomic step. Who held what is asked as it was before."""
        holders = {}
        for command in step:
            if command[0].upper() == b"SET" and self._suffix(command[1], "result:"):
                job = self._suffix(command[1], "result:")
                holders[job] = tuple(entry.holder for entry in self.of_job.get(job, ())
                                     if entry.holder)
        for command in step:
            act = getattr(self, "_" + command[0].decode().lower(), None)
            if act:
                act(command, holders)

    # ---- commands ----

    def _suffix(self, key, kind):
        """The rest of a key of this queue and kind; None for others."""
        start = (self.prefix + kind).encode()
        return key[len(start):].decode() if key.startswith(start) else None

    def _is_jobs(self, key):
        return key == (self.prefix + "jobs").encode()

    def _set(self, command, holders):
        job = self._suffix(command[1], "result:")
        if job is not None:
            self.results.setdefault(job, []).append(Written(command[2], holders[job], self.unix_ms))

    def _xadd(self, command, _):
        at = 2
        while command[at].upper() in (b"MAXLEN", b"MINID", b"NOMKSTREAM", b"~", b"=", b"LIMIT") \
                or command[at].isdigit() and command[at - 1] in (b"~", b"=", b"MAXLEN", b"LIMIT"):
            at += 1
        fields = dict(zip(command[at + 1::2], command[at + 2::2]))
        if self._is_jobs(command[1]):
            self._add_entry(command[at].decode(), fields)
        elif self._suffix(command[1], "reply:") is not None:
            job = fields[b"id"].decode()
            self.replies[job] = self.replies.get(job, 0) + 1
        elif self._suffix(command[1], "dead") == "":
            job = fields[b"stint-id"].decode()
            self.letters[job] = self.letters.get(job, 0) + 1

    def _add_entry(self, name, fields):
        is_copy = b"stint-submitted" in fields
        entry = Entry(name, fields.get(b"id", name.encode()).decode(),
                      int(fields.get(b"x-n", -1)), int(fields.get(b"stint-attempt", 1)), is_copy)
        self.entries[name] = entry
        self.of_job.setdefault(entry.job, []).append(entry)
        self.numbers.setdefault(entry.number, set()).add(entry.job)
        self.first_copies += not is_copy

    def _xclaim(self, command, _):
        if not self._is_jobs(command[1]):
            return
        entry = self.entries.get(command[5].decode())
        words = [word.upper() for word in command]
        if entry and b"RETRYCOUNT" in words:
            one = Delivery(command[3].decode(), int(command[words.index(b"RETRYCOUNT") + 1]),
                           int(command[words.index(b"TIME") + 1]))
            entry.holder = one.consumer
            self.unix_ms = one.unix_ms
            last = entry.deliveries[-1] if entry.deliveries else None
            is_renewal = last and (last.consumer, last.count) == (one.consumer, one.count)
            (entry.renewals if is_renewal else entry.deliveries).append(one)

    def _xack(self, command, _):
        if self._is_jobs(command[1]):
            for name in command[3:]:
                if name.decode() in self.entries:
                    self.entries[name.decode()].holder = ""

    def _xdel(self, command, _):
        if self._is_jobs(command[1]):
            for name in command[2:]:
                if name.decode() in self.entries:
                    self.entries[name.decode()].is_gone = True

    # ---- answers ----

    def deliveries(self, job, attempt):
        """Each time that an entry for this attempt of a job was given to somebody."""
        return [one for entry in self.of_job.get(job, ()) if entry.attempt == attempt
                for one in entry.deliveries]

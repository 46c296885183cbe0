"""stint.py - handlers of stintd in Python, as persistent processes (`worker:`)

    import stint

    def handle(ctx, payload):               # payload: bytes
        return payload.upper()              # bytes or str; None is an empty output

    stint.run(handle)

An exception is an ERROR, which may be retried; stint.Fail is a FAIL, which is not. What the
job brings beside its payload, and what tells that nobody waits any more, is in ctx (class
Context). Needs Python 3.9 and nothing else; copy this one file, or install it.

The process reads frames from descriptor 3 and answers on descriptor 4 (../FRAMES.md). There
is no thread: descriptor 3 is looked at when the handler asks ctx.cancelled or, with
run(handle, raise_on_cancel=True), when the kernel tells by SIGIO that something has come. A
thread that reads would cost each job two switches.
"""
import fcntl
import os
import re
import select
import signal
import stat
import struct
import sys
import threading
import time
import traceback

__all__ = ["Cancelled", "Context", "Fail", "run"]

IN_FD = 3
OUT_FD = 4
STRINGS_MAX = 64
FRAME_BYTES_MAX = 64 << 20
# A message or note is one line for people. Cut to this, a PROGRESS frame stays below PIPE_BUF:
# the kernel writes it whole or, when Cancelled is raised in the middle of it, not at all.
TEXT_BYTES_MAX = 1024
READ_BYTES = 1 << 16  # what a pipe holds
EX_USAGE = 64
EX_IOERR = 74
EX_PROTOCOL = 76
F_SETOWN_EX = 15  # Linux; fcntl.py does not name it
F_OWNER_TID = 0

_COUNT = re.compile(rb"\*(\d{1,2})\r\n")
_SIZE = re.compile(rb"\$(\d{1,8})\r\n")
_COUNT_BEGUN = re.compile(rb"(\*(\d{1,2}\r?)?)?")
_SIZE_BEGUN = re.compile(rb"(\$(\d{1,8}\r?)?)?")


class Fail(Exception):
    """The job failed for good: no retry will help. Its text is the job's `error`."""


class Cancelled(BaseException):
    """Raised in the main thread by run(handle, raise_on_cancel=True); its text is the reason.

    No Exception, so that `except Exception` in a handler does not hold it up.
    """


class Context:
    """One attempt at a job. After the handler has returned it stays as it was then.

    id            the job's id (str)
    attempt       1 is the first
    deadline_ms   unix time in ms at which the daemon cancels this attempt
    fields        what else the job brings, name to str: its x- fields, `traceparent`; bytes
                  that are not UTF-8 are surrogate escapes, as in os.environ
    Any thread of the process may use it.
    """

    __slots__ = ("id", "attempt", "deadline_ms", "fields", "_link", "_id", "_end_s", "_reason",
                 "_told")

    def __init__(self, link, strings):
        """strings: JOB <id> <attempt> <remaining_ms> <payload> [name value]..."""
        remaining_ms = int(strings[3])
        self.id = _text(strings[1])
        self.attempt = int(strings[2])
        self.deadline_ms = int(time.time() * 1000) + remaining_ms
        self.fields = {}
        if len(strings) > 5:
            self.fields = dict(zip(map(_text, strings[5::2]), map(_text, strings[6::2])))
        self._link = link
        self._id = strings[1]
        self._end_s = time.monotonic() + remaining_ms / 1000
        self._reason = None
        self._told = None

    def remaining(self):
        """Seconds until the deadline (float), 0.0 when it has passed: fit for `timeout=`."""
        return max(0.0, self._end_s - time.monotonic())

    @property
    def cancelled(self):
        """Whether nobody waits for this attempt any more. Costs a system call: about 1 us."""
        if self._reason is None:
            self._link.poll(self)
        return self._reason is not None

    def progress(self, percent, note=""):
        """Tells how far the job is: percent from 0 to 100 (cut to that), a note of one line.

        The same again is not sent.
        """
        told = (min(100, max(0, int(percent))), note)
        if told != self._told:
            self._told = told
            self._link.tell(self, b"PROGRESS", b"%d" % told[0], _line(note))


def run(handle, raise_on_cancel=False):
    """Serves jobs with handle(ctx, payload) until the daemon closes descriptor 3; returns then.

    raise_on_cancel: Cancelled is raised in handle when the daemon cancels the job, at the next
    step of the interpreter (a call into C is not interrupted, a sleep or a read is). Takes
    SIGIO; run() must then be called in the main thread.
    """
    link = _Link()
    if raise_on_cancel:
        link.listen()
    link.send(b"READY", b"1")
    while True:
        strings = link.next()
        if strings is None:
            return
        if strings[0] == b"JOB":
            answer = _answer(link, handle, strings)
            link.end()
            link.send(*answer)
        # a CANCEL that comes too late, and verbs of a later version, are no fault


def _answer(link, handle, strings):
    """Runs the handler; the strings that tell what came of it."""
    ctx = Context(link, strings)
    ident = strings[1]
    try:
        try:
            link.begin(ctx)
            output = handle(ctx, strings[4])
        finally:
            # Should Cancelled come just here, it disarms by itself: what follows is safe from it.
            link.is_armed = False
        if not isinstance(output, bytes):
            output = _bytes(output)
    except Fail as fault:
        return b"FAIL", ident, _line(fault) or b"failed"
    except Cancelled as fault:
        return b"ERROR", ident, _line(f"cancelled: {fault}")
    except Exception as fault:
        traceback.print_exc()
        return b"ERROR", ident, _line(f"{type(fault).__name__}: {fault}")
    return b"OK", ident, output


def _bytes(output):
    if isinstance(output, str):
        return output.encode("utf-8", "surrogateescape")
    if isinstance(output, (bytearray, memoryview)):
        return bytes(output)
    if output is None:
        return b""
    raise TypeError(f"the handler returned {type(output).__name__}, not bytes or str")


def _text(value):
    return value.decode("utf-8", "surrogateescape")


def _line(value):
    """One line for people, cut at a whole character."""
    line = " ".join(str(value).split()).encode("utf-8", "replace")
    return line[:TEXT_BYTES_MAX].decode("utf-8", "ignore").encode("utf-8")


# ---- frames ----


class _Malformed(Exception):
    pass


_FORMATS = [b"*%d\r\n" % count + b"$%d\r\n%b\r\n" * count for count in range(STRINGS_MAX + 1)]


def _frame(*strings):
    parts = []
    for value in strings:
        parts += len(value), value
    return _FORMATS[len(strings)] % tuple(parts)


def _parse_whole(data):
    """The strings of data if it is one frame without a line end inside, as most are; else None.

    Three times as fast as _parse(): what is written again as it was read was a frame.
    """
    strings = data.split(b"\r\n")[2::2]
    if 1 <= len(strings) <= STRINGS_MAX and _frame(*strings) == data:
        return strings
    return None


def _parse(data):
    """The first frame of data, and the bytes it took; or None, and the bytes it takes at least.

    All limits are checked as soon as the number that breaks them is there.
    """
    count = _COUNT.match(data)
    if not count:
        if not _COUNT_BEGUN.fullmatch(data):
            raise _Malformed("a frame begins with *COUNT")
        return None, len(data) + 1
    if not 1 <= int(count[1]) <= STRINGS_MAX:
        raise _Malformed(f"{int(count[1])} strings, not 1 to {STRINGS_MAX}")
    strings = []
    end = count.end()
    for _ in range(int(count[1])):
        size = _SIZE.match(data, end)
        if not size:
            if not _SIZE_BEGUN.fullmatch(data, end):
                raise _Malformed("a string begins with $BYTES")
            return None, len(data) + 1
        begin = size.end()
        end = begin + int(size[1]) + 2
        if end > FRAME_BYTES_MAX:
            raise _Malformed(f"more than {FRAME_BYTES_MAX} bytes")
        if len(data) < end:
            return None, end
        if data[end - 2:end] != b"\r\n":
            raise _Malformed("a string does not end where it should")
        strings.append(data[begin:end - 2])
    return strings, end


def _check(strings):
    """What is wrong with a frame that came whole; verbs that are not known may be anything."""
    if strings[0] == b"JOB":
        if len(strings) < 5 or len(strings) % 2 == 0:
            raise _Malformed(f"JOB with {len(strings)} strings")
        for number in strings[2:4]:
            if not number.isdigit() or len(number) > 18:
                raise _Malformed("JOB whose attempt or time is no number")
    elif strings[0] == b"CANCEL" and len(strings) < 3:
        raise _Malformed(f"CANCEL with {len(strings)} strings")


# ---- the two pipes ----


class _Link:
    """The pipes, and the job at hand.

    The main thread reads when there is no job; while there is one, whoever holds `reading`
    does. Nobody waits for `reading`: who finds it taken leaves word in `missed`, since the
    holder may be the very code that a signal has interrupted.
    """

    def __init__(self):
        for fd in (IN_FD, OUT_FD):
            _check_open(fd)
            os.set_inheritable(fd, False)
        self.in_fd, self.out_fd = IN_FD, OUT_FD
        self.data = b""
        self.is_ended = False
        self.job = None
        self.reading = threading.Lock()
        self.writing = threading.Lock()
        self.missed = False
        self.is_listening = False
        self.is_armed = False
        self.poller = select.poll()
        self.poller.register(self.in_fd, select.POLLIN)
        os.register_at_fork(after_in_child=self.forget)
        if hasattr(sys.stdout, "reconfigure"):
            # else what a job prints would be logged with a later one
            sys.stdout.reconfigure(line_buffering=True)

    def forget(self):
        """In a child that the handler forked: the frames are none of its business."""
        self.job = None
        os.close(self.in_fd)
        os.close(self.out_fd)
        self.in_fd = self.out_fd = -1

    # -- reading --

    def next(self):
        """Waits for the next frame; None when the daemon has closed the pipe."""
        try:
            return self.take(True)
        except _Malformed as fault:
            _die(EX_PROTOCOL, f"malformed frame from the daemon: {fault}")

    def take(self, can_wait):
        need = 1
        while True:
            if self.data:
                strings, end = _parse_whole(self.data), len(self.data)
                if not strings:
                    strings, end = _parse(self.data)
                if strings:
                    self.data = self.data[end:]
                    _check(strings)
                    return strings
                need = end
            if not self.fill(need, can_wait):
                return None

    def fill(self, need, can_wait):
        """Reads until data has need bytes; False when it has not, for now or for good."""
        chunks, have = [self.data], len(self.data)
        while have < need and not self.is_ended and (can_wait or self.poller.poll(0)):
            chunk = os.read(self.in_fd, READ_BYTES)
            self.is_ended = not chunk
            chunks.append(chunk)
            have += len(chunk)
        self.data = b"".join(chunks)
        if self.is_ended and self.data:
            raise _Malformed("the pipe was closed in the middle of it")
        return have >= need

    def poll(self, ctx):
        """Takes note of what has come while ctx runs, without waiting."""
        has_read = False
        self.missed = True
        while self.missed and self.reading.acquire(blocking=False):
            self.missed = False
            try:
                if self.job is ctx:
                    self.hear(ctx)
            except _Malformed as fault:
                _die(EX_PROTOCOL, f"malformed frame from the daemon: {fault}")
            finally:
                self.reading.release()
            has_read = True
        # Not below a poll() that was interrupted in the middle of its reading: that one will.
        if has_read and self.is_armed and ctx._reason is not None:
            self.interrupt(ctx)

    def hear(self, ctx):
        while strings := self.take(False):
            if strings[0] == b"JOB":
                raise _Malformed("JOB while another one runs")
            if strings[0] == b"CANCEL" and strings[1] == ctx._id:
                ctx._reason = _text(strings[2])

    # -- the job at hand --

    def begin(self, ctx):
        self.job = ctx
        if self.is_listening:
            self.is_armed = True
            fcntl.fcntl(self.in_fd, fcntl.F_SETFL, self.flags | os.O_ASYNC)
            self.poll(ctx)  # what came before that made no signal

    def end(self):
        if self.is_listening:
            fcntl.fcntl(self.in_fd, fcntl.F_SETFL, self.flags)
        # in case another thread of the handler is reading or writing just now
        with self.reading, self.writing:
            self.job = None

    def listen(self):
        """SIGIO to this very thread, since only a system call that it interrupts returns."""
        self.main = threading.get_ident()
        signal.signal(signal.SIGIO, self.on_sigio)
        owner = struct.pack("ii", F_OWNER_TID, threading.get_native_id())
        fcntl.fcntl(self.in_fd, F_SETOWN_EX, owner)
        self.flags = fcntl.fcntl(self.in_fd, fcntl.F_GETFL)
        self.is_listening = True

    def on_sigio(self, _number, _frame):
        ctx = self.job
        if ctx is not None:
            self.poll(ctx)

    def interrupt(self, ctx):
        if threading.get_ident() != self.main:
            signal.pthread_kill(self.main, signal.SIGIO)
        else:
            self.is_armed = False
            raise Cancelled(ctx._reason)

    # -- writing --

    def tell(self, ctx, verb, *strings):
        """One frame about the job; dropped when the job is no longer at hand."""
        if self.job is ctx:
            with self.writing:
                if self.job is ctx:
                    self.send(verb, ctx._id, *strings)

    def send(self, *strings):
        data = _frame(*strings)
        if len(data) > FRAME_BYTES_MAX:
            data = _frame(b"ERROR", strings[1], b"the output of %d bytes does not fit a frame of"
                          b" %d bytes" % (len(strings[2]), FRAME_BYTES_MAX))
        try:
            sent = os.write(self.out_fd, data)
            while sent < len(data):
                sent += os.write(self.out_fd, memoryview(data)[sent:])
        except BrokenPipeError:
            _die(EX_IOERR, "the daemon does not listen any more")


def _check_open(fd):
    try:
        mode = os.fstat(fd).st_mode
        is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    except OSError:
        is_pipe = False
    if not is_pipe:
        print(f"stint: descriptor {fd} is no pipe: this program is to be started by stintd, as"
              " `worker:` in its configuration", file=sys.stderr)
        sys.exit(EX_USAGE)


def _die(code, text):
    """Whatever thread finds it, and whatever the handler catches: the process ends."""
    try:
        print(f"stint: {text}", file=sys.stderr, flush=True)
        print(end="", flush=True)
    finally:
        os._exit(code)

#!/usr/bin/env python3
"""Plays the daemon against a worker, and tells where the worker leaves FRAMES.md.

    conformance.py COMMAND [ARG...]                 a worker with the handler described below
    conformance.py --any-handler COMMAND [ARG...]   any worker that answers whatever it is given

One line per check; the last one counts them. Exit 0 when all went well, 1 when one failed, 64
when it is called wrongly. Each check has a worker of its own. Linux, Python 3.9.

The handler whose answers are known takes its orders from the payload:

    echo BYTES    answers BYTES
    error TEXT    fails with TEXT, as something that may be retried
    fail TEXT     fails with TEXT, for good
    wait          tells progress 1 "waiting", waits until it is cancelled, answers "cancelled"
                  (or fails with a text that begins so, where a cancel interrupts the handler)
    progress      tells progress 50 "half way", answers nothing
    context       answers "ID ATTEMPT REMAINING_MS DEADLINE_MS X-COLOUR", with blanks between
    print TEXT    prints TEXT as a line on standard output, answers nothing
    big N         answers N bytes

python/conformance_worker.py and node/conformance_worker.js are such workers.
"""
import argparse
import fcntl
import os
import select
import signal
import struct
import sys
import tempfile
import termios
import time

STRINGS_MAX = 64
FRAME_BYTES_MAX = 64 << 20
TEXT_BYTES_MAX = 1024
ANSWERS = (b"OK", b"ERROR", b"FAIL")
# How long a job that must go on is watched: a worker that is right never fails by it.
WATCHED_S = 0.1
PAIRS_MAX = (STRINGS_MAX - 5) // 2


class Wrong(Exception):
    """What the worker did that it should not have done."""


def frame(*strings):
    strings = [s.encode() if isinstance(s, str) else s for s in strings]
    parts = [b"*%d\r\n" % len(strings)]
    for value in strings:
        parts += b"$%d\r\n" % len(value), value, b"\r\n"
    return b"".join(parts)


def job(ident, payload=b"", *fields, attempt=1, remaining_ms=30000):
    return frame("JOB", ident, str(attempt), str(remaining_ms), payload, *fields)


def is_number(text):
    return text.isdigit() and len(text) <= 8


def parse(data):
    """(strings, bytes taken) of the first frame; None when it is not whole yet."""
    strings, at = [], 0

    def number(mark):
        nonlocal at
        end = data.find(b"\r\n", at, at + 16)
        if data[at:at + 1] not in (b"", mark) or end < 0 and len(data) - at > 10:
            raise Wrong(f"sent {bytes(data[at:at + 40])!r} where {mark.decode()}NUMBER should be")
        if end < 0:
            return None
        if not is_number(data[at + 1:end]):
            raise Wrong(f"sent {bytes(data[at:end])!r}, not {mark.decode()}NUMBER")
        value, at = int(data[at + 1:end]), end + 2
        return value

    count = number(b"*")
    if count is None:
        return None
    if not 1 <= count <= STRINGS_MAX:
        raise Wrong(f"sent a frame of {count} strings")
    for _ in range(count):
        size = number(b"$")
        if size is not None and at + size + 2 > FRAME_BYTES_MAX:
            raise Wrong(f"sent a frame of more than {FRAME_BYTES_MAX} bytes")
        if size is None or len(data) < at + size + 2:
            return None
        strings.append(bytes(data[at:at + size]))
        at += size + 2
        if data[at - 2:at] != b"\r\n":
            raise Wrong("sent a string that is not as long as it says")
    return strings, at


class Worker:
    """The command, with a pipe on descriptors 3 and 4, as the daemon starts it."""

    def __init__(self, command, patience_s):
        self.patience_s = patience_s
        self.data = bytearray()
        self.code = None
        self.stdout, self.stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        theirs_in, self.out_fd = high(os.pipe())
        self.in_fd, theirs_out = high(os.pipe())
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            self.pid = os.posix_spawnp(
                command[0], command, os.environ, setpgroup=0, file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, self.stdout.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, self.stderr.fileno(), 2),
                    (os.POSIX_SPAWN_DUP2, theirs_in, 3),
                    (os.POSIX_SPAWN_DUP2, theirs_out, 4)])
        finally:
            for fd in (theirs_in, theirs_out, null):
                os.close(fd)
        os.set_blocking(self.out_fd, False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.hang_up()
        os.close(self.in_fd)
        self.stdout.close()
        self.stderr.close()

    def hang_up(self):
        if self.out_fd >= 0:
            os.close(self.out_fd)
            self.out_fd = -1

    def send(self, data):
        """Writes all of data, as fast as the worker takes it."""
        rest = memoryview(data)
        while rest:
            self.wait_for(self.out_fd, select.POLLOUT, "did not read its descriptor 3")
            try:
                rest = rest[os.write(self.out_fd, rest):]
            except BrokenPipeError:
                raise Wrong("closed its descriptor 3" + self.last_words()) from None

    def send_slowly(self, data):
        """One byte at a time, each only when the worker has taken the one before."""
        for i in range(len(data)):
            self.send(data[i:i + 1])
            self.until(self.has_taken_all, "did not read its descriptor 3")

    def has_taken_all(self):
        left = struct.unpack("i", fcntl.ioctl(self.out_fd, termios.FIONREAD, b"\0" * 4))[0]
        return left == 0

    def until(self, condition, otherwise):
        end_s = time.monotonic() + self.patience_s
        while not condition():
            if time.monotonic() > end_s:
                raise Wrong(otherwise + self.last_words())
            time.sleep(0.0002)

    def wait_for(self, fd, event, otherwise):
        poller = select.poll()
        poller.register(fd, event)
        if not poller.poll(self.patience_s * 1000):
            raise Wrong(f"{otherwise} for {self.patience_s:g} s" + self.last_words())

    def receive(self):
        """The next frame from the worker; None at the end of the file."""
        while True:
            found = parse(self.data)
            if found:
                del self.data[:found[1]]
                return found[0]
            self.wait_for(self.in_fd, select.POLLIN, "sent no whole frame")
            chunk = os.read(self.in_fd, 1 << 20)
            if not chunk:
                if self.data:
                    raise Wrong("ended in the middle of a frame" + self.last_words())
                return None
            self.data += chunk

    def is_silent(self, for_s):
        poller = select.poll()
        poller.register(self.in_fd, select.POLLIN)
        return not self.data and not poller.poll(for_s * 1000)

    def expect_ready(self):
        strings = self.receive()
        if strings is None:
            raise Wrong("ended before READY" + self.last_words())
        if strings != [b"READY", b"1"]:
            raise Wrong(f"began with {shown(strings)}, not READY 1")
        return self

    def expect_answer(self, ident, verb=None):
        """The answer to the job; what it told of its progress goes before. -> verb, text"""
        while True:
            strings = self.receive()
            if strings is None:
                raise Wrong("ended without an answer" + self.last_words())
            if strings[0] == b"PROGRESS":
                check_progress(strings, ident)
                continue
            if strings[0] not in ANSWERS or len(strings) != 3:
                raise Wrong(f"sent {shown(strings)}, which is no answer")
            if strings[1] != ident.encode():
                raise Wrong(f"answered {strings[1]!r} when asked {ident!r}")
            if verb and strings[0] != verb.encode():
                raise Wrong(f"sent {shown(strings)}, not {verb}")
            if strings[0] != b"OK":
                check_line(strings[2])
            return strings[0].decode(), strings[2]

    def ask(self, payload, verb="OK", ident="ask-1", **more):
        self.send(job(ident, payload, **more))
        return self.expect_answer(ident, verb)[1]

    def expect_end(self):
        """The worker ends by itself; its exit status, or minus the signal."""
        pidfd = os.pidfd_open(self.pid)
        try:
            self.wait_for(pidfd, select.POLLIN, "did not end")
        finally:
            os.close(pidfd)
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def expect_exit_0(self):
        self.hang_up()
        strings = self.receive()
        if strings is not None:
            raise Wrong(f"sent {shown(strings)} unasked")
        if self.expect_end() != 0:
            raise Wrong(f"ended with {self.code}, not 0" + self.last_words())

    def words(self, file):
        # the descriptor is shared with the worker, the place in the file too
        return os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace")

    def last_words(self):
        words = self.words(self.stderr).strip().split("\n")[-1]
        return f" (its standard error: {words})" if words else ""


def high(fds):
    """Out of the way of 3 and 4."""
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in fds]
    for fd in fds:
        os.close(fd)
    return moved


def shown(strings):
    return " ".join(repr(s[:40])[1:] for s in strings[:5])


def check_line(text):
    if b"\n" in text or len(text) > TEXT_BYTES_MAX:
        raise Wrong(f"sent {text[:60]!r} ({len(text)} bytes), not one line of {TEXT_BYTES_MAX}")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong(f"sent {text[:60]!r}..., which is not UTF-8") from None
    if not text:
        raise Wrong("failed without saying why")


def check_progress(strings, ident):
    if len(strings) != 4 or strings[1] != ident.encode():
        raise Wrong(f"sent {shown(strings)}, not PROGRESS {ident} PERCENT NOTE")
    if not is_number(strings[2]) or int(strings[2]) > 100:
        raise Wrong(f"progress of {strings[2]!r}, not 0 to 100")
    if b"\n" in strings[3] or len(strings[3]) > TEXT_BYTES_MAX:
        raise Wrong(f"a note of {len(strings[3])} bytes that is not one line")


# ---- checks of any worker: what its handler answers does not matter ----


def says_ready_and_nothing_else(worker):
    worker.expect_exit_0()


def keeps_its_pipes_from_children(worker):
    for fd in (3, 4):
        with open(f"/proc/{worker.pid}/fdinfo/{fd}", encoding="ascii") as info:
            fields = dict(line.split(":", 1) for line in info)
        if not int(fields["flags"], 8) & os.O_CLOEXEC:
            raise Wrong(f"descriptor {fd} is not close-on-exec once it is ready")


def answers_each_job_once(worker):
    for i in range(50):
        worker.send(job(f"job-{i}", b"echo %d" % i))
        worker.expect_answer(f"job-{i}")
    worker.expect_exit_0()


def takes_a_frame_in_pieces(worker):
    worker.send_slowly(job("slow", b"echo " + bytes(range(20))))
    worker.expect_answer("slow")


def takes_many_frames_at_once(worker):
    worker.send(frame("CANCEL", "other", "timeout") + frame("LATER") + job("one", b"echo")
                + frame("CANCEL", "other", "timeout"))
    worker.expect_answer("one")
    worker.expect_exit_0()


def ignores_verbs_it_does_not_know(worker):
    worker.send(frame("LATER", *[b"\r\n"] * (STRINGS_MAX - 1)) + frame("") + frame("job", "1"))
    worker.send(job("one", b"echo"))
    worker.expect_answer("one")
    worker.expect_exit_0()


def ignores_cancels_of_jobs_it_does_not_have(worker):
    worker.send(frame("CANCEL", "one", "timeout") + job("one", b"echo"))
    worker.expect_answer("one")
    worker.send(frame("CANCEL", "one", "timeout") + job("two", b"echo"))
    worker.expect_answer("two")
    worker.expect_exit_0()


def takes_as_many_fields_as_fit(worker):
    fields = []
    for i in range(PAIRS_MAX):
        fields += f"x-field-{i}", bytes([i, 255])
    worker.send(job("fields", b"echo", *fields))
    worker.expect_answer("fields")


def takes_strings_added_to_a_cancel(worker):
    worker.send(frame("CANCEL", "other", "timeout", "more") + job("one", b"echo"))
    worker.expect_answer("one")


def takes_the_longest_time(worker):
    worker.send(job("long", b"echo", remaining_ms=10 ** 18 - 1))
    worker.expect_answer("long")


def takes_any_bytes(worker):
    for i, payload in enumerate((b"", bytes(range(256)), frame("JOB", "x"), b"\r\n" * 99)):
        worker.send(job(f"bytes-{i}", b"echo " + payload))
        worker.expect_answer(f"bytes-{i}")


def takes_the_largest_frame(worker):
    room = FRAME_BYTES_MAX - len(job("large", b"")) - 7  # $0 becomes $67108xxx
    data = job("large", b"echo " + b"x" * (room - 5))
    assert len(data) == FRAME_BYTES_MAX, len(data)
    worker.send(data)
    worker.expect_answer("large")
    worker.send(job("next", b"echo"))
    worker.expect_answer("next")


def finishes_its_job_when_the_pipe_is_closed(worker):
    worker.send(job("last", b"echo"))
    worker.hang_up()
    worker.expect_answer("last")
    worker.expect_exit_0()


MALFORMED = {
    "text": b"hello\r\n",
    "no_strings": b"*0\r\n",
    "a_null_array": b"*-1\r\n",
    "too_many_strings": b"*65\r\n",
    "a_count_without_end": b"*111111111111",
    "a_count_that_is_no_number": b"*1x\r\n",
    "a_line_end_of_one_byte": b"*1\n$3\r\nJOB\r\n",
    "an_integer": b"*1\r\n:5\r\n",
    "a_null_string": b"*1\r\n$-1\r\n",
    "a_nested_array": b"*1\r\n*1\r\n$3\r\nJOB\r\n",
    "a_string_over_its_length": b"*1\r\n$5\r\nLATERxx",
    "a_frame_over_the_limit": b"*2\r\n$3\r\nJOB\r\n$67108865\r\n",
    "a_frame_just_over_the_limit": b"*2\r\n$3\r\nJOB\r\n$67108840\r\n",
    "a_size_without_end": b"*1\r\n$9999999999999999999999",
    "a_job_without_payload": frame("JOB", "1", "1", "1000"),
    "a_job_with_half_a_field": frame("JOB", "1", "1", "1000", "", "x-a"),
    "a_job_whose_attempt_is_no_number": frame("JOB", "1", "one", "1000", ""),
    "a_job_whose_time_is_negative": frame("JOB", "1", "1", "-1", ""),
}


def refuses(data):
    def check(worker):
        worker.send(data)
        expect_refusal(worker)
    return check


def ends_on_half_a_frame(worker):
    worker.send(b"*1\r\n$3\r\nJO")
    worker.hang_up()
    expect_refusal(worker)


def expect_refusal(worker):
    strings = worker.receive()
    if strings is not None:
        raise Wrong(f"answered with {shown(strings)}")
    if worker.expect_end() == 0:
        raise Wrong("ended with 0")
    if not worker.words(worker.stderr).strip():
        raise Wrong("ended without a word on standard error")


ANY = [
    says_ready_and_nothing_else, keeps_its_pipes_from_children, answers_each_job_once,
    takes_a_frame_in_pieces, takes_many_frames_at_once, ignores_verbs_it_does_not_know,
    ignores_cancels_of_jobs_it_does_not_have, takes_as_many_fields_as_fit,
    takes_strings_added_to_a_cancel, takes_the_longest_time, takes_any_bytes,
    takes_the_largest_frame, finishes_its_job_when_the_pipe_is_closed, ends_on_half_a_frame,
]


# ---- checks of a worker with the handler that is known ----


def expect_text(got, wanted):
    if got != wanted:
        raise Wrong(f"said {got[:80]!r}, not {wanted[:80]!r}")


def gives_the_payload_as_it_is(worker):
    for payload in (b"", bytes(range(256)), b"\r\n$3\r\n", "grün".encode(), b"x" * 200000):
        expect_text(worker.ask(b"echo " + payload), payload)


def tells_error_from_failure(worker):
    if b"no luck" not in worker.ask(b"error no luck", "ERROR"):
        raise Wrong("the ERROR does not hold what the handler said")
    expect_text(worker.ask(b"fail bad input", "FAIL"), b"bad input")
    expect_text(worker.ask(b"echo on"), b"on")


def makes_one_line_of_an_error(worker):
    worker.ask(b"error two\nlines", "ERROR")
    worker.ask(b"fail two\r\nlines" + b"\xc3\xbc" * 2 * TEXT_BYTES_MAX, "FAIL")


def gives_the_context(worker):
    worker.send(job("ctx:1", b"context", "x-colour", "blue", "later", "", attempt=3,
                    remaining_ms=5000))
    now_ms = time.time() * 1000
    words = worker.expect_answer("ctx:1", "OK")[1].decode().split(" ")
    if len(words) != 5 or [words[0], words[1], words[4]] != ["ctx:1", "3", "blue"]:
        raise Wrong(f"the context is {words}")
    if not 0 < float(words[2]) <= 5000:
        raise Wrong(f"{words[2]} ms remain of 5000")
    if not abs(float(words[3]) - now_ms - 5000) < 1000 * worker.patience_s:
        raise Wrong(f"the deadline is {float(words[3]) - now_ms:.0f} ms from now, not 5000")


def says_that_no_time_is_left(worker):
    words = worker.ask(b"context", remaining_ms=0).decode().split(" ")
    if float(words[2]) != 0:
        raise Wrong(f"{words[2]} ms remain of 0")


def tells_progress(worker):
    worker.send(job("slow", b"progress"))
    strings = worker.receive()
    if strings != [b"PROGRESS", b"slow", b"50", b"half way"]:
        raise Wrong(f"sent {shown(strings or [])}, not its progress")
    worker.expect_answer("slow", "OK")


def start_waiting(worker, ident):
    worker.send(job(ident, b"wait"))
    strings = worker.receive()
    if strings != [b"PROGRESS", ident.encode(), b"1", b"waiting"]:
        raise Wrong(f"sent {shown(strings or [])}, not that it waits")


def expect_cancelled(worker, ident):
    verb, text = worker.expect_answer(ident)
    if verb == "FAIL" or not text.startswith(b"cancelled"):
        raise Wrong(f"sent {shown([verb.encode(), text])}, not that it was cancelled")


def hears_of_a_cancel_in_the_middle_of_a_job(worker):
    for ident in ("first", "second"):
        start_waiting(worker, ident)
        worker.send(frame("CANCEL", ident, "timeout"))
        expect_cancelled(worker, ident)
    expect_text(worker.ask(b"echo on"), b"on")


def hears_of_a_cancel_that_comes_with_its_job(worker):
    worker.send(job("at-once", b"wait") + frame("CANCEL", "at-once", "deadline"))
    expect_cancelled(worker, "at-once")


def hears_of_a_cancel_in_pieces(worker):
    start_waiting(worker, "pieces")
    worker.send_slowly(frame("CANCEL", "pieces", "timeout"))
    expect_cancelled(worker, "pieces")


def goes_on_when_another_job_is_cancelled(worker):
    start_waiting(worker, "mine")
    worker.send(frame("CANCEL", "other", "timeout") + frame("LATER", "mine"))
    if not worker.is_silent(WATCHED_S):
        raise Wrong(f"sent {shown(worker.receive() or [])}")
    worker.send(frame("CANCEL", "mine", "timeout"))
    expect_cancelled(worker, "mine")


def leaves_standard_output_to_the_handler(worker):
    worker.ask(b"print a line of its own")
    worker.until(lambda: "a line of its own\n" in worker.words(worker.stdout),
                 "did not print before it answered")


def refuses_malformed_frames_during_a_job(worker):
    start_waiting(worker, "mine")
    worker.send(b"*65\r\n")
    expect_refusal(worker)


def sends_the_largest_frame(worker):
    room = FRAME_BYTES_MAX - len(frame("OK", "big", b"")) - 7
    if len(worker.ask(b"big %d" % room, ident="big")) != room:
        raise Wrong("the output is not as long as it should be")


def says_when_the_output_is_too_large(worker):
    room = FRAME_BYTES_MAX - len(frame("OK", "big", b"")) - 7
    worker.ask(b"big %d" % (room + 1), "ERROR", ident="big")
    expect_text(worker.ask(b"echo on"), b"on")


KNOWN = [
    gives_the_payload_as_it_is, tells_error_from_failure, makes_one_line_of_an_error,
    gives_the_context, says_that_no_time_is_left, tells_progress,
    hears_of_a_cancel_in_the_middle_of_a_job, hears_of_a_cancel_that_comes_with_its_job,
    hears_of_a_cancel_in_pieces, goes_on_when_another_job_is_cancelled,
    leaves_standard_output_to_the_handler, refuses_malformed_frames_during_a_job,
    sends_the_largest_frame, says_when_the_output_is_too_large,
]


def checks(is_any):
    table = {check.__name__: check for check in (ANY if is_any else ANY + KNOWN)}
    for name, data in MALFORMED.items():
        table["refuses_" + name] = refuses(data)
    return table


def main():
    parser = argparse.ArgumentParser(
        usage="conformance.py [--any-handler] [--only CHECK] [--patience SECONDS] COMMAND [ARG...]",
        description=__doc__.split("\n", 1)[0], epilog=__doc__.split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--any-handler", action="store_true",
                        help="leave out what needs the handler described in this file")
    parser.add_argument("--only", metavar="CHECK", help="this check alone, by the name it prints")
    parser.add_argument("--patience", type=float, default=10, metavar="SECONDS",
                        help="how long the worker may take for one step (10)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    table = checks(args.any_handler)
    if args.only:
        table = {name: check for name, check in table.items() if name == args.only}
    if not command or not table:
        parser.print_usage(sys.stderr)
        return 64
    failed = 0
    for name, check in table.items():
        try:
            with Worker(command, args.patience) as worker:
                check(worker.expect_ready())
            print(f"ok    {name}", flush=True)
        except Wrong as wrong:
            failed += 1
            print(f"FAIL  {name}: the worker {wrong}", flush=True)
        except OSError as fault:
            print(f"conformance.py: {command[0]}: {fault.strerror}", file=sys.stderr)
            return 64
    print(f"{len(table) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

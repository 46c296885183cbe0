#!/usr/bin/env python3
"""What stint.py adds to the frames, which ../conformance.py tests: python3 test_stint.py"""
import os
import random
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import stint  # noqa: E402
from conformance import Worker, frame, job  # noqa: E402

PATIENCE_S = 30
ROUNDS = 200
# with it the interpreter writes every line at once by itself
os.environ.pop("PYTHONUNBUFFERED", None)


def worker(body, call="stint.run(handle)"):
    """A worker whose handler has this body."""
    source = (f"import os, signal, sys, threading, time\nsys.path.insert(0, {str(HERE)!r})\n"
              "import stint\nkept = []\n\ndef handle(ctx, payload):\n"
              + textwrap.indent(textwrap.dedent(body).strip(), "    ") + f"\n\n{call}\n")
    return Worker([sys.executable, "-c", source], PATIENCE_S)


def raising(body):
    return worker(body, "stint.run(handle, raise_on_cancel=True)")


class Outputs(unittest.TestCase):
    def test_bytes_text_and_nothing_are_outputs(self):
        with worker("return eval(payload)") as w:
            w.expect_ready()
            for source, output in ((b"b'\\xff'", b"\xff"), (b"'\\u00fc'", b"\xc3\xbc"),
                                   (b"None", b""), (b"bytearray(b'a')", b"a"),
                                   (b"memoryview(b'a')", b"a"), (b"'\\udcff'", b"\xff")):
                self.assertEqual(w.ask(source), output)

    def test_other_types_are_errors_that_name_them(self):
        with worker("return {}") as w:
            self.assertIn(b"returned dict, not bytes or str", w.expect_ready().ask(b"", "ERROR"))

    def test_exception_is_an_error_with_its_traceback_in_the_log(self):
        with worker("raise KeyError('colour')") as w:
            self.assertEqual(w.expect_ready().ask(b"", "ERROR"), b"KeyError: 'colour'")
            self.assertIn("Traceback", w.words(w.stderr))

    def test_fail_is_no_news_for_the_log(self):
        with worker("raise stint.Fail()") as w:
            self.assertEqual(w.expect_ready().ask(b"", "FAIL"), b"failed")
            self.assertEqual(w.words(w.stderr), "")

    def test_printed_line_is_out_before_the_answer(self):
        with worker("print('a line')") as w:
            w.expect_ready().ask(b"")
            self.assertEqual(w.words(w.stdout), "a line\n")

    def test_signals_in_the_middle_of_a_write_lose_nothing(self):
        with worker("""
                signal.signal(signal.SIGALRM, lambda *_: None)
                signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
                return b"x" * (32 << 20)""") as w:
            self.assertEqual(len(w.expect_ready().ask(b"")), 32 << 20)

    def test_exit_in_a_handler_ends_the_process_without_an_answer(self):
        with worker("sys.exit(3)") as w:
            w.expect_ready().send(job("one"))
            self.assertIsNone(w.receive())
            self.assertEqual(w.expect_end(), 3)


class Contexts(unittest.TestCase):
    def test_fields_keep_bytes_that_are_not_utf_8(self):
        with worker("return ctx.fields['x-a'] + ctx.fields['traceparent']") as w:
            w.expect_ready().send(job("one", b"", "x-a", b"\xff\xc3\xbc", "traceparent", "00-"))
            self.assertEqual(w.expect_answer("one", "OK")[1], b"\xff\xc3\xbc00-")

    def test_progress_is_cut_to_a_percentage_and_not_repeated(self):
        with worker("""
                for percent, note in (-5, ""), (0.9, ""), (0, ""), (0, "x"), (250.0, "a\\nb"):
                    ctx.progress(percent, note)""") as w:
            w.expect_ready().send(job("one"))
            told = [w.receive()[2:] for _ in range(3)]
            self.assertEqual(told, [[b"0", b""], [b"0", b"x"], [b"100", b"a b"]])
            w.expect_answer("one", "OK")

    def test_context_of_an_earlier_job_is_dead(self):
        with worker("""
                kept.append(ctx)
                kept[0].progress(len(kept))
                return str(kept[0].cancelled)""") as w:
            w.expect_ready().send(job("one"))
            self.assertEqual(w.receive()[:2], [b"PROGRESS", b"one"])
            w.expect_answer("one", "OK")
            for i in range(3):
                w.send(job(f"two-{i}") + frame("CANCEL", "one", "timeout"))
                self.assertEqual(w.receive(), [b"OK", b"two-%d" % i, b"False"])

    def test_thread_of_an_earlier_job_takes_no_frame_of_a_later_one(self):
        with worker("""
                def look():
                    while True:
                        ctx.cancelled, ctx.progress(time.monotonic_ns() % 100)
                if not kept:
                    kept.append(threading.Thread(target=look, daemon=True))
                    kept[0].start()
                return payload""") as w:
            w.expect_ready()
            for i in range(ROUNDS):
                self.assertEqual(w.ask(b"%d" % i, ident=f"job-{i}"), b"%d" % i)


class Cancels(unittest.TestCase):
    def test_exception_interrupts_a_sleep_and_is_an_error(self):
        with raising("ctx.progress(0); time.sleep(3600)") as w:
            w.expect_ready()
            for i in range(3):
                w.send(job(f"job-{i}"))
                w.receive()
                w.send(frame("CANCEL", f"job-{i}", "timeout"))
                self.assertEqual(w.expect_answer(f"job-{i}"), ("ERROR", b"cancelled: timeout"))

    def test_cancel_that_came_with_its_job_interrupts_it_too(self):
        with raising("time.sleep(3600)") as w:
            w.expect_ready().send(job("one") + frame("CANCEL", "one", "timeout"))
            self.assertEqual(w.expect_answer("one"), ("ERROR", b"cancelled: timeout"))

    def test_exception_comes_once(self):
        with raising("""
                try:
                    ctx.progress(0)
                    time.sleep(3600)
                finally:
                    ctx.progress(50)
                    while not os.path.exists(payload):
                        pass
                    ctx.progress(99)""") as w, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "go-on")
            w.expect_ready().send(job("one", path.encode()))
            w.receive()
            for wanted in (b"50", b"99"):
                w.send(frame("CANCEL", "one", "timeout"))
                w.until(w.has_taken_all, "did not hear of the cancel")
                if wanted == b"99":
                    Path(path).touch()
                self.assertEqual(w.receive()[2:], [wanted, b""])
            self.assertEqual(w.expect_answer("one"), ("ERROR", b"cancelled: timeout"))

    def test_except_exception_does_not_hold_it_up_and_finally_runs_undisturbed(self):
        with raising("""
                try:
                    ctx.progress(0)
                    time.sleep(3600)
                except Exception:
                    return "held up"
                finally:
                    seen = ctx.cancelled
                    ctx.progress(99, str(seen))""") as w:
            w.expect_ready().send(job("one"))
            w.receive()
            w.send(frame("CANCEL", "one", "timeout"))
            self.assertEqual(w.receive()[2:], [b"99", b"True"])
            self.assertEqual(w.expect_answer("one"), ("ERROR", b"cancelled: timeout"))

    def test_main_thread_is_interrupted_when_another_one_has_read_the_cancel(self):
        with raising("""
                done = threading.Event()
                def look():
                    while not ctx.cancelled:
                        pass
                threading.Thread(target=look, daemon=True).start()
                ctx.progress(0)
                time.sleep(3600)""") as w:
            w.expect_ready()
            for i in range(5):
                w.send(job(f"job-{i}"))
                w.receive()
                w.send(frame("CANCEL", f"job-{i}", "timeout"))
                self.assertEqual(w.expect_answer(f"job-{i}")[0], "ERROR")

    def test_cancel_at_any_moment_breaks_no_frame(self):
        with raising("""
                for i in range(int(payload)):
                    ctx.cancelled, ctx.progress(i % 100, "x" * 900)
                return payload""") as w:
            w.expect_ready()
            for i in range(ROUNDS):
                w.send(job(f"job-{i}", b"%d" % (i % 20)) + frame("LATER"))
                w.send(frame("CANCEL", f"job-{i}", "timeout"))
                self.assertNotEqual(w.expect_answer(f"job-{i}")[0], "FAIL")
            w.expect_exit_0()


class Processes(unittest.TestCase):
    def test_forked_child_has_no_part_in_the_frames(self):
        with worker("""
                def is_open(fd):
                    try:
                        return bool(os.fstat(fd))
                    except OSError:
                        return False
                if not is_open(3) or not is_open(4):
                    return "else this proves nothing"
                child = os.fork()
                if child == 0:
                    ctx.progress(50)
                    os._exit(is_open(3) or is_open(4) or ctx.cancelled)
                return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))""") as w:
            w.expect_ready().send(job("one"))
            self.assertEqual(w.receive(), [b"OK", b"one", b"0"])

    def test_run_returns_at_the_end_of_the_file(self):
        with worker("return payload", "stint.run(handle); print('after')") as w:
            w.expect_ready().ask(b"")
            w.expect_exit_0()
            self.assertEqual(w.words(w.stdout), "after\n")

    def test_without_a_daemon_it_says_so(self):
        null = os.open(os.devnull, os.O_RDWR)
        pid = os.posix_spawn(
            sys.executable, [sys.executable, str(HERE / "conformance_worker.py")], os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2, 3, 4)])
        os.close(null)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), stint.EX_USAGE)

    def test_ends_when_nobody_takes_the_answer(self):
        with worker("return payload") as w:
            w.expect_ready()
            os.dup2(w.out_fd, w.in_fd)  # closes what the worker writes to
            w.send(job("one"))
            self.assertEqual(w.expect_end(), stint.EX_IOERR)
            self.assertIn("does not listen", w.words(w.stderr))

    def test_takes_malformed_frames_for_the_end_whatever_the_handler_catches(self):
        with worker("""
                ctx.progress(0)
                while True:
                    try:
                        ctx.cancelled
                    except BaseException:
                        pass""") as w:
            w.expect_ready().send(job("one"))
            w.receive()
            w.send(job("two"))
            self.assertEqual(w.expect_end(), stint.EX_PROTOCOL)
            self.assertIn("JOB while another one runs", w.words(w.stderr))


class Parsing(unittest.TestCase):
    def test_both_parsers_read_what_was_written(self):
        dice = random.Random(7)
        for _ in range(ROUNDS):
            strings = [bytes(dice.choices(b"\r\n$*3x", k=dice.randrange(9)))
                       for _ in range(dice.randrange(1, 9))]
            data = stint._frame(*strings)
            self.assertEqual(stint._parse(data + b"*1"), (strings, len(data)))
            self.assertIn(stint._parse_whole(data), (strings, None))
            for cut in range(len(data)):
                none, need = stint._parse(data[:cut])
                self.assertIsNone(none)
                self.assertTrue(cut < need <= len(data))
                self.assertIsNone(stint._parse_whole(data[:cut]))


if __name__ == "__main__":
    unittest.main()

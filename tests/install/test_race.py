"""A planted race is found, and a channel is taken for the hand-over that it is.

By ThreadSanitizer, with a library that was built with it, and by helgrind, with one that
tells it of its locks.
"""
import subprocess

import pytest
from conftest import HERE, ROOT

TSAN_FOUND, HELGRIND_FOUND = 66, 88  # exit codes
HELGRIND = ["valgrind", "-q", "--tool=helgrind", f"--error-exitcode={HELGRIND_FOUND}",
            f"--suppressions={ROOT}/tests/valgrind.supp"]
TIMEOUT_S = 120


def build(compiler, folder, library, *options):
    program = folder / "handover"
    subprocess.run([compiler, "-std=c11", "-g", "-O1", *options, "-Wall", "-Wextra", "-Werror",
                    f"-I{ROOT}/lib/include", HERE / "handover.c", library, "-pthread",
                    "-o", program], check=True)
    return program


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=TIMEOUT_S, env={"PATH": "/usr/bin:/bin"})


def test_tsan(compiler, tsan_library, tmp_path):
    program = build(compiler, tmp_path, tsan_library, "-fsanitize=thread")
    done = run(program, "race")
    assert done.returncode == TSAN_FOUND
    assert "WARNING: ThreadSanitizer: data race" in done.stderr
    assert "take_turns" in done.stderr
    done = run(program, "channel")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2000\n", "")


def test_helgrind(compiler, valgrind_library, tmp_path):
    program = build(compiler, tmp_path, valgrind_library, "-gdwarf-4")
    done = run(*HELGRIND, program, "race")
    assert done.returncode == HELGRIND_FOUND
    assert "Possible data race" in done.stderr
    assert "take_turns" in done.stderr
    done = run(*HELGRIND, program, "channel")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2000\n", "")

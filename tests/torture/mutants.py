#!/usr/bin/python3
"""Daemons with a deliberate fault, and the scenarios in which the test must find it.

    mutants.py write NAME FOLDER    the scripts of a mutant, made from lib/wire/scripts

A test that finds nothing proves something only if it would have found it. Two of the
mechanisms on which everything rests are switched off, one each:

    fence    every daemon believes that it holds every entry
    renewal  leases are never renewed, though the daemon is told that they were
"""
import io
import re
import shutil
import sys
from pathlib import Path

from cluster import BUILD, STINTD
from invariants import violations
from plan import Fault, Job
from runner import Run, Settings

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "lib/wire/scripts"
LEASE_MS = 1500
DAEMONS = 2
TRIES = 5
JOBS = DAEMONS * Settings.concurrency  # all run at once


def _fence(folder):
    text = (folder / "common.lua").read_text()
    text, count = re.subn(r"(local function is_mine\(entry\)\n)", r"\1  do return true end\n", text)
    if count != 1:
        raise RuntimeError("common.lua: is_mine(entry) is not where it was")
    (folder / "common.lua").write_text(text)


def _renewal(folder):
    (folder / "renew.lua").write_text("return {}\n")


MUTANTS = {"fence": _fence, "renewal": _renewal}


def write(name, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SCRIPTS, folder)
    MUTANTS[name](Path(folder))


# ---- scenarios: jobs and faults in which the mechanism matters ----

def _stale_failures():
    """Jobs fail in a daemon that has lost them meanwhile, while they run elsewhere."""
    jobs = [Job(i, "failing", {"payload": f"{LEASE_MS + 300} 99 3"}, ends=("error",))
            for i in range(JOBS)]
    return jobs, [Fault(0, "stop", 0, {"begun": JOBS})]


def _long_jobs():
    """Jobs take longer than the lease, and nothing happens to anybody."""
    return [Job(i, "long", {"payload": f"{LEASE_MS * 5 // 2} 0 0"}) for i in range(JOBS)], []


SCENARIOS = {"fence": _stale_failures, "renewal": _long_jobs}


def program(name):
    return BUILD / "torture" / name / "stintd"


def found(scenario, daemon=STINTD):
    """The violations of a scenario with these daemons."""
    jobs, faults = SCENARIOS[scenario]()
    settings = Settings(jobs=len(jobs), faults=len(faults), daemons=DAEMONS, lease_ms=LEASE_MS)
    run = Run(settings, jobs, faults, out=io.StringIO(), program=daemon)
    try:
        return violations(run.collect())
    finally:
        run.close()


def is_found_out(name):
    """Once is enough: a stall of this machine may excuse all that a short run has shown."""
    return any(found(name, program(name)) for _ in range(TRIES))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "write" or sys.argv[2] not in MUTANTS:
        sys.exit(__doc__)
    write(sys.argv[2], sys.argv[3])

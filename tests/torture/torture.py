#!/usr/bin/python3
"""Thousands of jobs and hundreds of faults: is every job recorded, and only once?

    make torture
    make torture ARGS="--seed 7 --jobs 100000 --faults 200 --daemons 4"

Several daemons share the queue of one Redis that keeps its file; each has a link of its
own. While jobs of many kinds go through, daemons are killed and stopped beyond their
lease, links are cut in the middle of an exchange or fall silent, Redis is killed. When all
is done, everything that must be so is checked (invariants.py), from what the handlers have
logged and from Redis' own file. Then daemons with a deliberate fault must be found out
(mutants.py): else the test would prove nothing.

The seed is printed first: the same seed and counts give the same jobs and faults. Exit 1
when anything is wrong.
"""
import argparse
import random
import signal
import sys
from collections import Counter

import mutants
import plan
from cluster import WORK, now_ms
from invariants import violations
from runner import Run, Settings
from story import story

TOLD_MAX = 20  # violations that are printed


def counted(counter):
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def summary(run, facts, found, took_s):
    """The lines that stand at the end."""
    planned = Counter((e.job, e.attempt) for e in facts.executions)
    again = len(facts.executions) - len(planned)
    retries = len(planned) - len({job for job, _ in planned})
    statuses = Counter(result["status"] for _, _, result in facts.results())
    by_check = Counter(name for name, _, _ in found)
    stalls = [touch.end_ms - touch.begin_ms for touch in facts.touches if touch.kind == "stall"]
    stored = sum(bool(facts.history.numbers.get(number)) for number in run.submitter.unanswered)
    return [
        f"jobs        {len(facts.history.of_job)}; {facts.duplicates} duplicates dropped; "
        f"{run.submitter.lost_answers} answers lost, of {len(run.submitter.unanswered)} jobs "
        f"without an id, {stored} of them stored",
        f"executions  {len(facts.executions)}: {len({job for job, _ in planned})} jobs, "
        f"{retries} retries, {again} repeated after faults",
        f"faults      {sum(run.faults.done.values())}: {counted(run.faults.done)}; a silent link"
        f" was noticed within {run.faults.noticed_ms} ms",
        f"redis       answered late {len(stalls)} times, {sum(stalls) / 1000:.1f} s together; "
        f"{run.cluster.torn_ends} torn ends of its file cut, "
        f"{len(facts.rolled_back)} jobs rolled back",
        f"results     {len(facts.final)}: {counted(statuses)}",
        f"{by_check['every_job_has_a_result']} lost, "
        f"{by_check['results_are_written_once']} recorded twice, {len(found)} violations in all, "
        f"{took_s:.0f} s",
    ]


def tell_violations(facts, found, out):
    for name, job, text in found[:TOLD_MAX]:
        print(f"VIOLATION {name}: {f'job {job}: ' if job else ''}{text}", file=out)
        for line in story(facts, job) if job else ():
            print(f"    {line}", file=out)
    if len(found) > TOLD_MAX:
        print(f"... and {len(found) - TOLD_MAX} more", file=out)


def mutants_are_found(out=sys.stdout):
    """The test is tested: daemons as they are pass each scenario, a mutant must not."""
    is_well = True
    for name in mutants.SCENARIOS:
        is_found_out, healthy = mutants.is_found_out(name), mutants.found(name)
        print(f"without {name}: {'' if is_found_out else 'NOT '}found out; with it: "
              f"{len(healthy)} violations", file=out, flush=True)
        is_well &= is_found_out and not healthy
    return is_well


def torture(settings, out=sys.stdout, keeps_folder=False):
    """One run with its report; the violations that were found."""
    print(f"seed {settings.seed}: {settings.jobs} jobs, {settings.faults} faults, "
          f"{settings.daemons} daemons, lease {settings.lease_ms} ms, appendfsync "
          f"{settings.appendfsync}", file=out, flush=True)
    began = now_ms()
    run = Run(settings, plan.make_jobs(settings.seed, settings.jobs),
              plan.make_faults(settings.seed, settings.faults, settings.jobs, settings.daemons),
              out)
    try:
        facts = run.collect()
        found = violations(facts)
        tell_violations(facts, found, out)
        print("\n".join(summary(run, facts, found, (now_ms() - began) / 1000)), file=out)
        if keeps_folder:
            print(f"kept: {run.cluster.folder}", file=out)
        return found
    finally:
        run.close(keeps_folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    for name in ("jobs", "faults", "daemons", "concurrency", "lease_ms"):
        parser.add_argument("--" + name.replace("_", "-"), type=int,
                            default=getattr(Settings, name))
    parser.add_argument("--appendfsync", default="always", choices=("always", "everysec", "no"),
                        help="what Redis has written survives its end, whatever this says; but "
                        "with everysec it puts writes off while the disk is slow, and what it "
                        "has answered by then may be rolled back. Power cuts are not tested")
    parser.add_argument("--list", action="store_true", help="only print the faults of the seed")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all files")
    args = vars(parser.parse_args())
    only_list, keep = args.pop("list"), args.pop("keep")
    settings = Settings(**args)
    # a terminated test takes its processes with it, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if only_list:
        for fault in plan.make_faults(settings.seed, settings.faults, settings.jobs,
                                      settings.daemons):
            print(fault.at, fault.kind, fault.target, fault.args)
        return 0
    if not WORK.exists():
        print(f"{WORK} is missing: make torture builds it", file=sys.stderr)
        return 64
    found = torture(settings, keeps_folder=keep)
    is_proof = mutants_are_found()
    return 0 if is_proof and not found else 1


if __name__ == "__main__":
    sys.exit(main())

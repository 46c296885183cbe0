#!/usr/bin/python3
"""Builds and runs all tests, and closes with the line "N passed, N failed".

    run.py                  everything, as `make check` does
    run.py --only unit      stages whose name begins with this (see STAGES)
    run.py --stage unit man these stages and no others
    run.py -k PATTERN       passed on to pytest
    CC=clang run.py         with another compiler, in a build folder of its own

Stages run one after the other: the plain build first (it tells most, soonest), then the
sanitizers. What fails prints its whole output; the rest says how much passed.
"""
import argparse
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = str(os.cpu_count() or 1)
# Most tests wait more than they compute: for processes, leases, and Redis to be back.
SIDE_BY_SIDE = 2 * int(JOBS)
# One unit test program may take this long, also under a sanitizer on a busy machine.
UNIT_TIMEOUT_S = 300
# Of each family of the simulation, of which there are eleven: 101,200 and 2,255.
SCHEDULES, SCHEDULES_ASAN = 9200, 205

SAN_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1",
}
# The programs in which threads meet: what TSan is for.
THREADED = (r"ctx|chan|select|wg|pool|conc|clock|log|exec|keeper|zygote|resolve"
            r"|after|deadlock|group|leak|once|pipeline|results|run|task|linear|random")
# Under valgrind each instruction costs some fifty: one round in so many of what is repeated.
SLOW_SHARE = "40"
# It knows of its locks; and valgrind 3.19 cannot read what clang 14 writes of DWARF 5.
FOR_VALGRIND = "-DSTINT_VALGRIND -gdwarf-4"
# What valgrind looks at: the library. Not those that replace malloc(), or run programs.
OF_LIBRARY = (r"^test_(ctx|chan|select|wg|pool|conc_stress|after|deadlock_silent|group|leak$|once"
              r"|pipeline|results|run|task|linear|random_end)")


class Count:
    passed = 0
    failed = 0
    skipped = 0  # what this machine has no means for; it is told which, and pytest says why


def build_folder(kind=""):
    """Objects of two compilers must not meet: any but the usual ones has a folder of its own."""
    compiler = Path(os.environ.get("CC", "cc").split()[0]).name
    own = "" if compiler in ("cc", "gcc") else f"cc-{compiler}"
    return Path("build") / own / kind


def build(san, target="tests"):
    folder = build_folder("san-" + san.replace(",", "-") if san else "")
    command = ["make", "-s", "-j", JOBS, f"BUILD={folder}", target]
    if san:
        command.append("SAN=" + san)
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        print(f"build failed: {' '.join(command)}")
        Count.failed += 1
        return None
    return ROOT / folder


def unit(san, only=""):
    folder = build(san)
    if not folder:
        return
    unit_programs(folder, only, SIDE_BY_SIDE)


def names_of_units(only):
    return [source.stem for source in sorted((ROOT / "tests/unit").glob("test_*.c"))
            if re.search(only, source.stem)]


def unit_programs(folder, only, at_once, wrapper=()):
    def run(name):
        return unit_program(folder / "tests" / name, wrapper)

    with ThreadPoolExecutor(at_once) as pool:
        for passed, failed, skipped, told in pool.map(run, names_of_units(only)):
            Count.passed += passed
            Count.failed += failed
            Count.skipped += len(skipped)
            print(told, *(f"SKIPPED {name}" for name in skipped), sep="\n", flush=True)


def unit_program(program, wrapper):
    """How many have passed and failed, which were skipped, and what is to be told of it."""
    env = {**os.environ, **SAN_ENV, "STINT_DEBUG": "leaks"}
    if wrapper:
        env["STINT_TEST_SHARE"] = SLOW_SHARE
    began = time.monotonic()
    try:
        done = subprocess.run([*wrapper, program], cwd=ROOT, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=UNIT_TIMEOUT_S)
        output, code = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as hung:
        output, code = (hung.output or b"").decode(errors="replace"), "timeout"
    if code == 0 and re.search(r"^leak: ", output, re.M):
        code = "leaks"
    passed = len(re.findall(r"^\[       OK \]", output, re.M))
    skipped = set(re.findall(r"^\[  SKIPPED \] (\w+)$", output, re.M))
    failed = len(re.findall(r"^\[  FAILED  \] \S+$", output, re.M))
    # cmocka names each failed test twice; a crash or a sanitizer's report names none
    failed = max(1, failed // 2) if code != 0 or passed == 0 else 0
    if failed:
        return passed, failed, skipped, f"{output}\n{program.name}: exit {code}"
    took_s = time.monotonic() - began
    return passed, 0, skipped, f"{program.name}: {passed} passed, {took_s:.1f} s"


def integration(san, only="", tests="tests/integration"):
    folder = build(san)
    if not folder:
        return
    report = folder / "pytest.xml"
    report.unlink(missing_ok=True)
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
               "-n", str(SIDE_BY_SIDE), "--durations=5", f"--junitxml={report}", tests]
    if only:
        command += ["-k", only]
    env = {**os.environ, **SAN_ENV, "STINT_BUILD": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
           "STINT_SAN": san}
    count_report(subprocess.run(command, cwd=ROOT, env=env).returncode, report)


def count_report(code, report):
    """Of pytest, as JUnit has it."""
    if not report.exists():
        Count.failed += 1
        return
    for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
        failed = int(suite.get("failures")) + int(suite.get("errors"))
        skipped = int(suite.get("skipped"))
        Count.failed += failed
        Count.skipped += skipped
        Count.passed += int(suite.get("tests")) - failed - skipped
        if code != 0 and failed == 0:
            Count.failed += 1


def simulation(san, count):
    """Each family of schedules is one test, and so is each scenario of known faults."""
    folder = build(san, "sim")
    if not folder:
        return
    command = [folder / "tests/sim"]
    families = subprocess.run([*command, "--list"], stdout=subprocess.PIPE, check=True)

    def run(family):
        return subprocess.run([*command, "--family", family, "--count", str(count)], cwd=ROOT,
                              env={**os.environ, **SAN_ENV}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=UNIT_TIMEOUT_S)

    with ThreadPoolExecutor(int(JOBS)) as pool:
        for done in pool.map(run, families.stdout.decode().split()):
            output = done.stdout.decode(errors="replace")
            failed = len(re.findall(r": FAILED$", output, re.M))
            Count.passed += len(re.findall(r": ok", output))
            Count.failed += max(1, failed) if done.returncode != 0 else 0
            print(output, end="")


def can_boot_boxes(stage):
    """In a chroot none can be: its root is no mount point."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    can = os.geteuid() == 0 and any(line.split()[4] == "/" for line in mounts)
    if not can:
        print(f"{stage}: boots containers: run it as root, and not in a chroot")
        Count.failed += 1
    return can


def systemd(only):
    """The packages in boxes of Debian 12 and 13, at the same time; needs root."""
    def run(suite, paths):
        report = ROOT / f"build/systemd-{suite}.xml"
        report.unlink(missing_ok=True)
        command = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
                   f"--junitxml={report}", *(f"tests/systemd/{path}" for path in paths)]
        if only:
            command += ["-k", only]
        env = {**os.environ, "STINT_SUITE": suite, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        print(f"{suite}: {done.stdout.decode(errors='replace')}", flush=True)
        return done.returncode, report

    if not can_boot_boxes("systemd") or not build(""):
        return
    in_box = ["test_service.py", "test_confinement.py"]
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(run, ["trixie", "bookworm"], [in_box, [*in_box, "test_packages.py"]]))
    for code, report in runs:
        count_report(code, report)


def debian_13(only):
    """What runs here runs there as well: newer compilers and libraries, Valkey; needs root."""
    if not can_boot_boxes("debian-13"):
        return
    sys.path.insert(0, str(ROOT / "tests/systemd"))
    import box  # noqa: E402: not for those who have no use for containers
    import packages  # noqa: E402
    compiler = [f"--setenv=CC={os.environ['CC']}"] if "CC" in os.environ else []
    print("  making a small Debian 13, unless this week's is there", flush=True)
    counts = None
    with packages.container("trixie", "check", *compiler) as command:
        there = subprocess.Popen(
            [*command, "/usr/bin/python3", "-B", "-u", "tests/run.py", "-k", only, "--stage",
             *(["integration"] if only else THERE)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=box.end_with_parent)
        for line in there.stdout:
            line = line.decode(errors="replace").rstrip()
            print(f"  {line}", flush=True)
            counts = re.search(r"^(\d+) passed, (\d+) failed$", line) or counts
        code = there.wait()
    Count.passed += int(counts[1]) if counts else 0
    failed = int(counts[2]) if counts else 0
    Count.failed += failed or code != 0


def valgrind(tool, only, options):
    """The programs of the library under a tool that sees each access to memory."""
    folder = build_folder("valgrind")
    command = ["make", "-s", "-j", JOBS, f"BUILD={folder}",
               f"CPPFLAGS={FOR_VALGRIND}", "DAEMON_OBJ=", "CLIENT_OBJ=", "WIRE_OBJ=",
               *(f"{folder}/tests/{name}" for name in names_of_units(only))]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        print(f"build failed: {' '.join(command)}")
        Count.failed += 1
        return
    wrapper = ["valgrind", "-q", f"--tool={tool}", "--fair-sched=try", "--error-exitcode=88",
               "--suppressions=tests/valgrind.supp", *options]
    unit_programs(ROOT / folder, only, int(JOBS), wrapper)


STAGES = {
    "unit": lambda a: unit(""),
    "integration": lambda a: integration("", a.k),
    "man": lambda a: integration("", a.k, "tests/man"),
    "sim": lambda a: simulation("", SCHEDULES),
    "install": lambda a: integration("", a.k, "tests/install"),
    "valgrind-memcheck": lambda a: valgrind("memcheck", OF_LIBRARY,
                                            ["--leak-check=full",
                                             "--errors-for-leak-kinds=definite"]),
    "valgrind-helgrind": lambda a: valgrind("helgrind", OF_LIBRARY,
                                            ["--history-level=approx"]),
    "unit-asan": lambda a: unit("address,undefined"),
    "integration-asan": lambda a: integration("address,undefined", a.k),
    "man-asan": lambda a: integration("address,undefined", a.k or "prints", "tests/man"),
    "sim-asan": lambda a: simulation("address,undefined", SCHEDULES_ASAN),
    "unit-tsan": lambda a: unit("thread", THREADED),
    "integration-tsan": lambda a: integration("thread", a.k or "main_job or shutdown"),
    "man-tsan": lambda a: integration("thread", a.k or "prints", "tests/man"),
}

# Not for every machine, and so only by name: `make check-systemd`, `make check-debian-13`.
BY_NAME = {
    "systemd": lambda a: systemd(a.k),
    "debian-13": lambda a: debian_13(a.k),
}
# What is run in a container of another Debian.
THERE = ("unit", "integration", "man", "install")


def chosen(args):
    if args.stage:
        return args.stage
    return [name for name in STAGES if name.startswith(args.only)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="how the names of the stages begin")
    parser.add_argument("--stage", nargs="+", choices=[*STAGES, *BY_NAME], metavar="NAME",
                        help=", ".join([*STAGES, *BY_NAME]))
    parser.add_argument("-k", default="", help="passed on to pytest")
    args = parser.parse_args()
    for name in chosen(args):
        print(f"==> {name}", flush=True)
        began = time.monotonic()
        {**STAGES, **BY_NAME}[name](args)
        print(f"    {name}: {time.monotonic() - began:.0f} s", flush=True)
    if Count.skipped:
        print(f"not run here, see SKIPPED above: {Count.skipped}")
    print(f"{Count.passed} passed, {Count.failed} failed")
    return 1 if Count.failed or not Count.passed else 0


if __name__ == "__main__":
    sys.exit(main())

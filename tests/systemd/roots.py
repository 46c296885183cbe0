#!/usr/bin/python3
"""Root file systems to boot and to build in: roots.py SUITE run|build|check

Each is made once a week and kept in $STINT_ROOTS, by default stint-roots in the cache folder
of the user: an hour-long download is not what somebody wants who runs the tests again. Tests
never write to one. Prints where it is.
"""
import datetime
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOTS = Path(os.environ.get("STINT_ROOTS") or Path(
    os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stint-roots")

# What a small system has, with what the packages depend on: there is no network to get it
# from later. libnss-systemd: names for dynamic users.
BOOTED = ["systemd", "systemd-sysv", "dbus", "libnss-systemd", "python3", "sudo",
          "libyaml-0-2", "libjansson4"]
BUILT_IN = ["build-essential", "debhelper", "dh-python", "libevent-dev", "libhiredis-dev",
            "libjansson-dev", "libyaml-dev", "pkgconf", "scdoc", "uthash-dev"]
# What the tests need that are not about systemd, and a second compiler.
TESTED_IN = ["clang", "libclang-rt-dev", "llvm", "libcmocka-dev", "liblua5.1-0-dev", "man-db",
             "mandoc", "nodejs", "procps", "python3-pytest", "python3-pytest-xdist", "python3-redis",
             "systemd", "valgrind", "valkey-server", "valkey-tools"]
PACKAGES = {
    ("bookworm", "run"): BOOTED + ["redis-server", "redis-tools", "libevent-core-2.1-7",
                                   "libhiredis0.14"],
    ("trixie", "run"): BOOTED + ["valkey-server", "valkey-tools", "libevent-core-2.1-7t64",
                                 "libhiredis1.1.0"],
    ("bookworm", "build"): BUILT_IN,
    ("trixie", "build"): BUILT_IN + ["systemd-dev"],
    ("trixie", "check"): BUILT_IN + TESTED_IN,
}
SUITES = ("bookworm", "trixie")


def make(suite, packages, target):
    """In a folder beside it, so that a half-made one is never taken for a root."""
    half = target.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    done = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(packages),
         suite, str(half)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        shutil.rmtree(half, ignore_errors=True)
        raise RuntimeError(f"no root of {suite} could be made:\n{done.stdout}")
    (half / "etc/machine-id").write_text("")
    (half / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    half.rename(target)


def root(suite, kind):
    """The folder of a root that is this week's."""
    packages = PACKAGES[suite, kind]
    digest = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
    year, week, _ = datetime.date.today().isocalendar()
    target = ROOTS / f"{suite}-{kind}-{year}w{week:02}-{digest}"
    ROOTS.mkdir(parents=True, exist_ok=True)
    with open(ROOTS / f"{suite}-{kind}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            make(suite, packages, target)
        for other in ROOTS.glob(f"{suite}-{kind}-*"):
            if other != target and not is_recent(other):
                shutil.rmtree(other)
    return target


def is_recent(path):
    """Another checkout may be testing with it at this moment."""
    age = datetime.datetime.now().timestamp() - path.stat().st_mtime
    return age < datetime.timedelta(days=14).total_seconds()


if __name__ == "__main__":
    if len(sys.argv) != 3 or (sys.argv[1], sys.argv[2]) not in PACKAGES:
        sys.exit(__doc__.split("\n", 1)[0])
    print(root(*sys.argv[1:]))

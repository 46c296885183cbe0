"""What the tests of an installed library share: the folder of the manual's tests."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "man"))
from installed import BUILD, Installed  # noqa: E402: found by the line above


@pytest.fixture(scope="session")
def installed():
    dest = tempfile.mkdtemp(prefix="stint-install-")
    there = Installed(dest)
    there.make("install")
    yield there
    shutil.rmtree(dest)


@pytest.fixture
def pkg_config(installed):
    """Ask the installed stint.pc: pkg_config("--libs") gives a list of words."""
    env = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(installed.root / "lib/pkgconfig"),
           "PKG_CONFIG_SYSROOT_DIR": str(installed.dest)}

    def ask(*options):
        return subprocess.run(["pkg-config", *options, "stint"], check=True, env=env,
                              stdout=subprocess.PIPE, text=True).stdout.split()
    return ask


def static_library(name, variable):
    """libstint.a made in its own way, in the folder where the stages make theirs."""
    folder = BUILD / name
    subprocess.run(["make", "-s", "-j", str(os.cpu_count() or 1), variable, f"BUILD={folder}",
                    folder / "libstint.a"], cwd=ROOT, check=True)
    return folder / "libstint.a"


@pytest.fixture(scope="session")
def compiler():
    """The one that has made what is tested: their sanitizers do not mix."""
    return os.environ.get("CC", "gcc")


@pytest.fixture(scope="session")
def tsan_library():
    return static_library("san-thread", "SAN=thread")


@pytest.fixture(scope="session")
def valgrind_library():
    return static_library("valgrind", "CPPFLAGS=-DSTINT_VALGRIND -gdwarf-4")

"""Plugins made from what was installed, and nothing else, in what was installed."""
import re
import shutil
import subprocess
import sys
import tempfile

import pytest
from util import ROOT, Daemon, run

sys.path.append(str(ROOT / "tests" / "man"))
from installed import Installed  # noqa: E402 (what `make install` puts into a folder)

C11 = ["gcc", "-std=c11"]
CPP17 = ["g++", "-x", "c++", "-std=c++17"]
STRICT = ["-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
BOTH = pytest.mark.parametrize("isolation", ["process", "thread"])


@pytest.fixture(scope="module")
def installed():
    with tempfile.TemporaryDirectory(prefix="stint-plugin-") as dest:
        there = Installed(dest)
        there.make("install")
        yield there


@pytest.fixture
def start(installed, redis):
    """start(plugin, isolation): the daemon that was installed."""
    daemons = []

    def begin(plugin, isolation, **env):
        folder = tempfile.mkdtemp(prefix="stint-it-")
        handler = {"plugin": str(plugin), "isolation": isolation}
        if env and isolation == "process":
            handler["environment"] = env
        daemon = Daemon(folder, redis.url, {"handlers": {"p": handler}}, env)
        daemon.program = installed.root / "sbin" / "stintd"
        daemons.append(daemon)
        return daemon.start()

    yield begin
    for daemon in daemons:
        if daemon.process.poll() is None:
            daemon.stop()
        daemon.close()
        shutil.rmtree(daemon.folder, ignore_errors=True)


def compile(installed, source, output, compiler, *options):
    """As stint-plugin(7) says: with the words of pkg-config alone."""
    env = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(installed.root / "lib/pkgconfig"),
           "PKG_CONFIG_SYSROOT_DIR": str(installed.dest)}
    words = subprocess.run(["pkg-config", *(options or ["--cflags"]), "stint"], check=True,
                           env=env, stdout=subprocess.PIPE, text=True).stdout.split()
    done = subprocess.run([*compiler, *STRICT, source, "-o", output, *words], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0, done.stdout


@BOTH
@pytest.mark.parametrize("compiler", [C11, CPP17], ids=["C11", "C++17"])
def test_example_compiles_and_runs(installed, start, client, tmp_path, compiler, isolation):
    source = installed.root / "share/stint/examples/digest.c"
    compile(installed, source, tmp_path / "digest.so", compiler)
    start(tmp_path / "digest.so", isolation)
    assert run(client, "p", "hello")["output"] == "a430d84680aabd0b\n"


def test_programs_of_the_page_compile_and_load(installed, tmp_path):
    page = (ROOT / "packaging/man/stint-plugin.7.scd").read_text("utf-8")
    programs = [re.sub(r"\\\\(.)", r"\\\1", text)
                for text in re.findall(r"^```\n(#include.*?)^```$", page, re.M | re.S)]
    assert len(programs) == 2
    for number, program in enumerate(programs):
        source, plugin = tmp_path / f"{number}.c", tmp_path / f"{number}.so"
        source.write_text(program)
        compile(installed, source, plugin, ["gcc", "-std=gnu11"])
        subprocess.run([installed.root / "libexec/stint/stint-host", "--check", plugin],
                       check=True, timeout=60)


@BOTH
def test_installed_example_is_found_by_its_name(start, client, isolation):
    start("digest.so", isolation)
    assert run(client, "p", "hello")["output"] == "a430d84680aabd0b\n"


@BOTH
@pytest.mark.parametrize("options", [["--cflags"], ["--cflags", "--libs"]],
                         ids=["not linked", "linked"])
def test_functions_are_those_of_the_program(installed, start, client, tmp_path, isolation,
                                            options):
    """Also where a second copy of the library comes along."""
    source = ROOT / "tests/plugins/where.c"
    compile(installed, source, tmp_path / "where.so", ["gcc", "-std=gnu17", "-D_GNU_SOURCE"],
            *options)
    libraries = {"LD_LIBRARY_PATH": str(installed.root / "lib")}
    start(tmp_path / "where.so", isolation, **libraries)
    program = "stintd" if isolation == "thread" else "stint-host"
    assert run(client, "p")["output"] == " ".join([program] * 3)


def test_static_copy_gives_way_to_that_of_the_program(installed, start, client, tmp_path):
    source = ROOT / "tests/plugins/where.c"
    compile(installed, source, tmp_path / "where.so",
            ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Wl,--whole-archive",
             str(installed.root / "lib/libstint.a"), "-Wl,--no-whole-archive"])
    start(tmp_path / "where.so", "process")
    assert run(client, "p")["output"] == "stint-host stint-host stint-host"

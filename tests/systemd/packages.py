"""The Debian packages of this tree, for a suite: built here, or in a root of that suite."""
import contextlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

import roots

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("STINT_BUILD") or ROOT / "build").resolve()
NAMES = ("stintd", "libstint1", "libstint-dev", "python3-stint")


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def copy_tree(to):
    """The tree as somebody gets it, without what was built in it."""
    run("sh", "-c", f"tar -c --exclude=./build --exclude=./.git --exclude=__pycache__ . |"
                    f" tar -x -C '{to}'", cwd=ROOT)


@contextlib.contextmanager
def container(suite, kind, *options):
    """The words of a command that runs another one in a copy of the tree: in a root, which
    stays as it is (what is written to it lies in memory), and without a network."""
    with tempfile.TemporaryDirectory(prefix="stint-tree-") as tree:
        copy_tree(tree)
        yield ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
               "--volatile=overlay", "--as-pid2", "--resolv-conf=off", "--timezone=off",
               "--console=pipe", f"--directory={roots.root(suite, kind)}",
               f"--bind={tree}:/tree", "--setenv=CI=1", "--chdir=/tree", *options]


def build(suite, folder):
    """Into an empty folder."""
    with container(suite, "build", f"--bind={folder}:/out") as inside:
        run(*inside,
            "sh", "-ec", "packaging/build-deb.sh $(sed -n 's/^VERSION *:= //p' Makefile) /tmp/deb"
                         " && cp /tmp/deb/*.deb /tmp/deb/*.changes /tmp/deb/*.buildinfo"
                         " /tmp/deb/build.log /out",
            stdin=subprocess.DEVNULL)
    return folder


def named(folder, name):
    [deb] = folder.glob(f"{name}_*.deb")
    return deb


def older(deb, folder):
    """The same package under a lower version, in a new folder."""
    folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="stint-deb-") as inside:
        run("dpkg-deb", "-R", deb, inside)
        control = Path(inside) / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", "Version: 0.0.9-1", control.read_text(),
                                  flags=re.M))
        run("dpkg-deb", "--root-owner-group", "-b", inside, folder)


def host_suite():
    release = dict(line.split("=", 1) for line in
                   Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return release.get("VERSION_CODENAME", "").strip('"')


def make(suite, folder):
    """As `make deb` does, where this system is of the suite."""
    if suite != host_suite():
        return build(suite, folder)
    with tempfile.TemporaryDirectory(prefix="stint-tree-") as tree:
        copy_tree(tree)
        run("make", "-s", "deb", cwd=tree, env={**os.environ, "MAKEFLAGS": ""})
        run("sh", "-c", f"cp build/deb/*.* '{folder}'", cwd=tree)
    return folder

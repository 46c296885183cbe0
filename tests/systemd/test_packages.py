"""The packages themselves, and that `make install` puts the same files in place."""
import filecmp
import os
import re
import subprocess

import packages
import pytest
from packages import NAMES, ROOT, run

WORDS = {
    "": {"submit", "result", "wait", "cancel", "queues", "pause", "resume", "dead"},
    "dead ": {"list", "show", "retry", "drop"},
    "su": {"submit"},
    "submit --wait": {"--wait", "--wait-timeout"},
    "dead list --li": {"--limit"},
    "--redis redis://x queues --js": {"--json"},
}


def make(target, dest, *variables):
    return run("make", "-s", "-C", ROOT, target, f"DESTDIR={dest}", f"BUILD={packages.BUILD}",
               *variables, env={**os.environ, "MAKEFLAGS": ""})


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    dest = tmp_path_factory.mktemp("installed")
    triplet = run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip()
    places = ["PREFIX=/usr", f"LIBDIR=/usr/lib/{triplet}"]
    make("install", dest, *places)
    yield dest, places


def test_lintian_has_nothing_to_say(debs):
    [changes] = debs.glob("*.changes")
    done = subprocess.run(["lintian", "--allow-root", "-I", "--pedantic", "--fail-on",
                           "error,warning,info,pedantic", changes], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_maintainer_scripts_are_debhelpers_and_what_is_written_here(debs, tmp_path):
    def lines(path):
        text = path.read_text() if path.exists() else "#!/bin/sh\nset -e\n"
        text = re.sub(r"# Automatically added by dh_.*?# End automatically added section\n", "",
                      text, flags=re.S)
        return [line for line in text.split("\n") if line not in ("", "#DEBHELPER#")]

    for name in NAMES:
        run("dpkg-deb", "-e", packages.named(debs, name), tmp_path / name)
        for script in ("preinst", "postinst", "prerm", "postrm"):
            here = ROOT / f"packaging/debian/{name}.{script}"
            assert lines(tmp_path / name / script) == lines(here)


def test_the_same_tree_makes_the_same_bytes(suite, debs, tmp_path):
    packages.make(suite, tmp_path)
    names = sorted(deb.name for deb in tmp_path.glob("*.deb"))
    assert len(names) >= len(NAMES)
    _, other, missing = filecmp.cmpfiles(debs, tmp_path, names, shallow=False)
    assert (other, missing) == ([], [])


def test_make_install_puts_the_packages_files_in_place(debs, installed, tmp_path):
    for name in NAMES:
        run("dpkg-deb", "-x", packages.named(debs, name), tmp_path)
    of_packages = {re.sub(r"^lib/", "usr/lib/", re.sub(r"(/man\d/.*)\.gz$", r"\1", path))
                   for path in tree(tmp_path)
                   if not path.startswith(("usr/share/doc/", "usr/share/lintian/"))}
    assert of_packages == tree(installed[0])


def test_make_uninstall_takes_all_away_but_the_configuration(installed):
    dest, places = installed
    make("uninstall", dest, *places)
    assert tree(dest) == {"etc/stint/stint.yaml"}


def test_the_spec_is_one_that_rpm_reads():
    spec = ROOT / "packaging/rpm/stint.spec"
    assert "%files -n libstint" in run("rpmspec", "-P", spec)
    [version] = re.findall(r"^VERSION\s*:= (\S+)", (ROOT / "Makefile").read_text(), re.M)
    names = run("rpmspec", "-q", "--queryformat", "%{name} %{version}\n", spec).splitlines()
    assert sorted(names) == [f"{name} {version}" for name in
                             ("libstint", "libstint-devel", "python3-stint", "stint")]


@pytest.fixture(scope="module")
def programs():
    make("all", "")
    return {**os.environ, "PATH": f"{packages.BUILD}:{os.environ['PATH']}"}


@pytest.mark.parametrize("typed", WORDS)
def test_bash_completes_stintctl(programs, typed):
    script = f"""
        source {ROOT}/packaging/completion/stintctl.bash
        COMP_WORDS=(stintctl "$@") COMP_CWORD=$#
        _stintctl stintctl; printf '%s\\n' "${{COMPREPLY[@]}}" """
    words = typed.split(" ")
    told = set(run("bash", "-c", script, "bash", *words, env=programs).split())
    assert told >= WORDS[typed] if typed == "" else told == WORDS[typed]


@pytest.mark.parametrize("typed", WORDS)
def test_zsh_completes_stintctl(programs, typed):
    # compadd is what hands words to the shell's own matching
    script = f"""
        compadd() {{ shift; print -l -- $@ }}
        words=(stintctl "$@") CURRENT=$#words
        source {ROOT}/packaging/completion/_stintctl """
    words = typed.split(" ")
    told = run("zsh", "-f", "-c", script, "zsh", *words, env=programs).split()
    matching = {word for word in told if word.startswith(words[-1])}
    assert matching >= WORDS[typed] if typed == "" else matching == WORDS[typed]


def test_stintd_is_completed_too(programs):
    script = f"""
        source {ROOT}/packaging/completion/stintd.bash
        COMP_WORDS=(stintd --c) COMP_CWORD=1
        _stintd stintd; printf '%s\\n' "${{COMPREPLY[@]}}" """
    assert run("bash", "-c", script, env=programs).split() == ["--check", "--config"]
    run("zsh", "-n", ROOT / "packaging/completion/_stintd")

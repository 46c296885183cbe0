"""Each program in the manual compiles from what was installed, and prints what the page says."""
import os
import re
import subprocess
import textwrap

import page
import pytest
from installed import PREFIX, ROOT

# Beside what the page says on its own line.
STRICT = "-std=c17 -Wall -Wextra -Wshadow -Wconversion -Werror"
TIMEOUT_S = 60


def program_and_console(installed, name):
    lines = page.sections(page.rendered(installed.pages / name))["EXAMPLE"]
    program, console = page.blocks(lines)
    return program, console


def compiler(folder):
    """A cc that is as strict as can be, and takes part in a sanitizer build."""
    san = os.environ.get("STINT_SAN", "")
    cc = folder / "bin/cc"
    cc.parent.mkdir()
    cc.write_text(textwrap.dedent(f"""\
        #!/bin/sh
        exec ${{STRICT_CC:-gcc}} {STRICT} {"-g -fsanitize=" + san if san else ""} "$@"
        """))
    cc.chmod(0o755)
    return cc.parent


def environment(installed, folder):
    """Only what `make install` has put there: nothing of the checkout is in reach."""
    keep = {name: value for name, value in os.environ.items() if name.endswith("_OPTIONS")}
    return {**keep, "PATH": f"{compiler(folder)}:/usr/bin:/bin", "LC_ALL": "C",
            "STRICT_CC": os.environ.get("CC", "gcc"),
            "PKG_CONFIG_PATH": str(installed.root / "lib/pkgconfig"),
            "PKG_CONFIG_SYSROOT_DIR": str(installed.dest),
            "LD_LIBRARY_PATH": str(installed.root / "lib")}


def run(command, folder, env):
    return subprocess.run(["sh", "-c", command], cwd=folder, env=env, timeout=TIMEOUT_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("name", page.NAMES)
def test_example_prints_what_the_page_says(installed, name, tmp_path):
    program, console = program_and_console(installed, name)
    [source] = re.findall(r"^\$ cc .*\b(\w+\.c)\b", console, re.M)
    (tmp_path / source).write_text(program)
    env = environment(installed, tmp_path)
    # each command, and what it prints, as the page shows them
    printed = "".join(f"$ {command}\n{run(command, tmp_path, env).stdout}"
                      for command in re.findall(r"^\$ (.*)$", console, re.M))
    assert printed == console


def test_tour_prints_what_it_says(installed, tmp_path):
    tour = (ROOT / "lib/README.md").read_text("utf-8")
    (tmp_path / "program.c").write_text("\n".join(re.findall(r"^```c\n(.*?)^```$", tour,
                                                             re.M | re.S)))
    [output] = re.findall(r"^```text\n(.*?)^```$", tour, re.M | re.S)
    [command] = re.findall(r"^    (cc .*)$", tour, re.M)
    done = run(f"{command} && ./program", tmp_path, environment(installed, tmp_path))
    assert (done.returncode, done.stdout) == (0, output)


@pytest.mark.parametrize("name", page.NAMES)
def test_example_is_short(installed, name):
    program, _ = program_and_console(installed, name)
    assert 15 <= len(program.splitlines()) <= 65
    assert PREFIX not in program

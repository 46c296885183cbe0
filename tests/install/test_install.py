"""Programs are built from what was installed, and nothing else; and run."""
import re
import subprocess

import pytest
from conftest import HERE

# Also what the strict ask of their own code: headers that are not the system's count as that.
STRICT = ["-pedantic-errors", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wcast-qual",
          "-Wundef", "-Werror"]
C11 = ["gcc", "-std=c11", *STRICT]
CPP17 = ["g++", "-std=c++17", "-Wold-style-cast", "-Wuseless-cast", *STRICT]
TIMEOUT_S = 60


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, **more)
    assert done.returncode == 0, done.stdout
    return done.stdout


def dynamic_section(path, tag):
    """What `readelf -d` says under a tag, such as NEEDED."""
    return re.findall(rf"\({tag}\).*\[(.*)\]", run("readelf", "-d", path))


def abi():
    [number] = re.findall(r"^ABI\s*:= (\d+)$", (HERE.parent.parent / "Makefile").read_text(),
                          re.M)
    return number


def test_program_with_the_shared_library(installed, pkg_config, tmp_path):
    program = tmp_path / "consumer"
    run(*C11, HERE / "consumer.c", "-o", program, *pkg_config("--cflags", "--libs"))
    assert f"libstint.so.{abi()}" in dynamic_section(program, "NEEDED")
    env = {"LD_LIBRARY_PATH": str(installed.root / "lib")}
    assert run(program, env=env) == "sum 55\n"


def test_program_with_the_static_library(pkg_config, tmp_path):
    program = tmp_path / "consumer"
    run(*C11, "-static", HERE / "consumer.c", "-o", program,
        *pkg_config("--static", "--cflags", "--libs"))
    assert dynamic_section(program, "NEEDED") == []
    assert run(program, env={}) == "sum 55\n"


def test_program_in_cpp(installed, pkg_config, tmp_path):
    program = tmp_path / "consumer"
    run(*CPP17, HERE / "consumer.cc", "-o", program, *pkg_config("--cflags", "--libs"))
    env = {"LD_LIBRARY_PATH": str(installed.root / "lib")}
    assert run(program, env=env) == "once\nonce\n42\n"


def test_catalogue_is_where_systemd_looks(installed):
    assert (installed.root / "lib/systemd/catalog/stint.catalog").is_file()


def test_soname_carries_the_abi_version(installed):
    library = installed.root / f"lib/libstint.so.{abi()}"
    assert dynamic_section(library, "SONAME") == [library.name]
    assert (installed.root / "lib/libstint.so").resolve() == library.resolve()


def test_version_is_that_of_the_tree(pkg_config):
    [version] = re.findall(r"^VERSION\s*:= (\S+)$",
                           (HERE.parent.parent / "Makefile").read_text(), re.M)
    assert pkg_config("--modversion") == [version]


@pytest.mark.parametrize("compiler", [C11 + ["-x", "c"], CPP17 + ["-x", "c++"]],
                         ids=["C11", "C++17"])
def test_each_installed_header_stands_alone(installed, pkg_config, compiler):
    headers = sorted(path.name for path in (installed.root / "include/stint").glob("*.h"))
    assert "stint.h" in headers
    for header in headers:
        source = f"#include <stint/{header}>\n#include <stint/{header}>\ntypedef int some;\n"
        run(*compiler, "-fsyntax-only", *pkg_config("--cflags"), "-", input=source)

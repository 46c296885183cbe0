#!/usr/bin/python3
"""What libstint promises: api.py BUILD

The library exports the functions that are marked STINT_API in its public headers, all of
them and nothing else, also no data; each stint_x_at() is what a macro stint_x() calls; and
each header compiles on its own, as C11 and as C++17, with every
compiler that is here. Prints what is not so; exit 1 if anything was.
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HEADERS = sorted((ROOT / "lib/include/stint").glob("*.h"))
WARNINGS = ["-pedantic-errors", "-Wall", "-Wextra", "-Wundef", "-Werror"]
COMPILERS = [
    ("gcc", ["-x", "c", "-std=c11"]),
    ("clang", ["-x", "c", "-std=c11"]),
    ("g++", ["-x", "c++", "-std=c++17"]),
    ("clang++", ["-x", "c++", "-std=c++17"]),
]


def promised():
    names = set()
    for header in HEADERS:
        text = re.sub(r"/\*.*?\*/|^#.*?(?<!\\)$", "", header.read_text(), flags=re.S | re.M)
        names.update(re.findall(r"\bSTINT_API\b[^;{(]*?\b(\w+)\s*\(", text))
    return names


def macro_faults(wanted):
    """A macro in place of a function adds where it is called, and does nothing else."""
    behind = set()
    for header in HEADERS:
        for name, callee in re.findall(r"^#define (stint_\w+)\([^)]*\)[\s\\]*(\w+)\(",
                                       header.read_text(), re.M):
            behind.add(callee)
            if callee != name + "_at" or callee not in wanted:
                yield f"{header.name}: {name}() calls {callee}()"
    for name in sorted(wanted - behind):
        if name.endswith("_at"):
            yield f"{name}() has no macro"


def exported(library):
    done = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                          stdout=subprocess.PIPE, text=True)
    # of the sanitizers' and the tool chain's own symbols none is ours
    return {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()}


def compile_faults():
    for compiler, language in COMPILERS:
        if not shutil.which(compiler):
            continue
        for header in HEADERS:
            # a header may hold macros only, a translation unit must hold something
            source = f"#include <stint/{header.name}>\ntypedef int something;\n"
            done = subprocess.run(
                [compiler, *language, *WARNINGS, "-fsyntax-only", f"-I{ROOT}/lib/include", "-"],
                input=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                yield f"{compiler} {language[-1]}: {header.name}\n{done.stdout}"


def main():
    wanted, there = promised(), exported(Path(sys.argv[1]) / "libstint.so")
    faults = [f"STINT_API, but not in libstint.so: {name}" for name in sorted(wanted - there)]
    faults += [f"in libstint.so, but not STINT_API: {name}" for name in sorted(there - wanted)]
    if not wanted:
        faults.append("no STINT_API found in the public headers")
    faults += macro_faults(wanted)
    faults += compile_faults()
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

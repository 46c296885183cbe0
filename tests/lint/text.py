#!/usr/bin/python3
"""What can be seen in the text of the tree: text.py RULE

    blanks      no blank at the end of a line, no missing or spare new line at the end of a
                file; no space before a tab in an indentation; C is indented with tabs, the
                rest with spaces; no word glued to the asterisk of a comment, as the
                formatter leaves them that has filled a table
    columns     no line of C over COLUMNS_MAX columns
    comments    in a comment of C a blank follows the star: clang-format, which fills what is
                too long, leaves it out, and makes one paragraph of a table
    sizes       no C file over FILE_LINES_MAX lines, no function over FUNCTION_LINES_MAX
    leftovers   no notes of work still to be done
    python      every Python file compiles

Prints each fault as FILE:LINE: ...; exit 1 if there was one.
"""
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS_MAX = 100
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

NOT_OURS = {"build", ".git", "__pycache__", ".pytest_cache"}
C = {".c", ".h"}
TEXT = C | {".py", ".sh", ".lua", ".yaml", ".md", ".in", ".json", ".js", ".scd"}
TEXT_NAMES = {"Makefile", "run", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore"}
# Make wants tabs, and documents quote languages that do.
TABS_TOO = C | {"", ".md", ".scd"}


def files(suffixes, names=()):
    for folder, folders, here in os.walk(ROOT):
        folders[:] = sorted(set(folders) - NOT_OURS)
        for name in sorted(here):
            path = Path(folder) / name
            if not path.is_symlink() and (path.suffix in suffixes or name in names):
                yield path


def numbered(path):
    return enumerate(path.read_text(encoding="utf-8").split("\n"), 1)


def blanks():
    for path in files(TEXT, TEXT_NAMES):
        text = path.read_text(encoding="utf-8")
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            yield path, text.count("\n"), "the file does not end in exactly one new line"
        is_c = path.suffix in C
        for number, line in numbered(path):
            indent = line[:len(line) - len(line.lstrip())]
            if line != line.rstrip():
                yield path, number, "blank at the end of the line"
            elif " \t" in indent:
                yield path, number, "space before a tab"
            elif "\t" in indent and path.suffix not in TABS_TOO:
                yield path, number, "tab in the indentation"
            elif is_c and re.match(r" {8}", line):
                yield path, number, "spaces in place of a tab"
            elif is_c and re.match(r" \*[^ \t/*]", line):
                yield path, number, "a word glued to the asterisk of its comment"


def columns():
    for path in files(C):
        for number, line in numbered(path):
            width = len(line.expandtabs(8))
            if width > COLUMNS_MAX:
                yield path, number, f"{width} columns, more than {COLUMNS_MAX}"


def comments():
    for path in files(C):
        is_inside = False
        for number, line in numbered(path):
            if is_inside and re.match(r"\s*\*[^\s/]", line):
                yield path, number, "no blank behind the star"
            if is_inside or "/*" in line:
                is_inside = "*/" not in line[line.rfind("/*") + 1:]


def functions(path):
    """Each function's name, line and length: its brace alone stands in column 0."""
    name, begin = "", 0
    for number, line in numbered(path):
        found = re.match(r"(?:[\w *]*?)\b(\w+)\(", line)
        if found and line[:1] not in "\t #":
            name = found.group(1)
        if line == "{":
            begin = number
        elif line.startswith("}") and begin:
            yield name, begin, number - begin - 1
            begin = 0


def sizes():
    for path in files(C):
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > FILE_LINES_MAX:
            yield path, lines, f"{lines} lines, more than {FILE_LINES_MAX}"
        for name, number, length in functions(path):
            if length > FUNCTION_LINES_MAX:
                yield path, number, f"{name}() has {length} lines, more than {FUNCTION_LINES_MAX}"


def leftovers():
    # written so that this line is not one itself
    note = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    for path in files(TEXT, TEXT_NAMES):
        for number, line in numbered(path):
            if note.search(line):
                yield path, number, "a note of work still to be done"


def python():
    for path in files({".py"}):
        try:
            compile(path.read_text(encoding="utf-8"), str(path), "exec")
        except SyntaxError as fault:
            yield path, fault.lineno, fault.msg


RULES = {rule.__name__: rule for rule in (blanks, columns, comments, sizes, leftovers,
                                           python)}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in RULES:
        print("usage: text.py " + "|".join(RULES), file=sys.stderr)
        return 64
    faults = 0
    for path, number, what in RULES[sys.argv[1]]():
        print(f"{path.relative_to(ROOT)}:{number}: {what}")
        faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""A manual page as its reader sees it, and its source."""
import re
import subprocess
import textwrap
from pathlib import Path

SOURCES = sorted((Path(__file__).resolve().parent.parent.parent / "lib/man").glob("*.scd"))
NAMES = [source.stem for source in SOURCES]  # "stint_chan.3"
# Text stands at column 7, what is printed as it stands (programs, prototypes) at 11.
CODE_COLUMN = 11
# Wide enough that nothing is broken over two lines but paragraphs.
WIDTH = 200


def rendered(path, width=WIDTH, folder=None):
    """The page as plain text: without the letters struck twice that mean bold."""
    text = subprocess.run(["mandoc", "-T", "utf8", "-O", f"width={width}", path], cwd=folder,
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.sub(".\b", "", text)


def sections(text):
    """{"NAME": its lines, ...}, in their order; without header and footer."""
    found, name = {}, None
    for line in text.split("\n")[1:]:
        if re.match(r"[A-Z]", line) and line.upper() == line:
            name = line
            found[name] = []
        elif name and line[:1] in ("", " "):
            found[name].append(line)
    return found


def described(lines):
    """From the section NAME: the names in front of the dash, and what is behind it."""
    names, _, what = " ".join(line.strip() for line in lines).strip().partition(" - ")
    return names.split(", "), what


def blocks(lines):
    """What is printed as it stands: a list of texts, each without its indentation."""
    found, block = [], []
    for line in [*lines, "."]:
        if line.startswith(" " * CODE_COLUMN) or not line:
            block.append(line)
        else:
            text = textwrap.dedent("\n".join(block)).strip("\n")
            found += [text + "\n"] if text else []
            block = []
    return found

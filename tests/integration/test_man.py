"""The manual of the programs keeps its word.

Pages are well formed and lead to each other; they have every key, option, command, field, exit
code and signal that there is, and no other; what they show at a prompt prints what they show.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ctl_fixtures import environment
from util import BUILD, REDIS_CLI, ROOT, STINTCTL, STINTD

sys.path.append(str(ROOT / "tests" / "man"))
import page  # noqa: E402 (how the pages of the library are read)

SOURCES = {path.stem: path for path in sorted((ROOT / "packaging" / "man").glob("*.scd"))}
PROTOCOL = (ROOT / "lib" / "wire" / "PROTOCOL.md").read_text("utf-8")
WIDTH = 80
CONFIG_PATH = "/etc/stint/stint.yaml"
HANDLERS = {"upper": {"command": ["tr", "a-z", "A-Z"]},
            "fail": {"command": ["sh", "-c", "echo 'no luck' >&2; exit 3"]}}
# scdoc begins sections and blocks with a paragraph, which shows nowhere.
OF_SCDOC = "skipping paragraph macro"


@pytest.fixture(scope="module")
def manual():
    """All pages, made by `make man` in a folder that no other test uses."""
    folder = tempfile.mkdtemp(prefix="stint-man-")
    subprocess.run(["make", "-s", "man", f"BUILD={folder}"], cwd=ROOT, check=True)
    yield Path(folder) / "man"
    shutil.rmtree(folder)


def source(name):
    [version] = re.findall(r"^VERSION\s*:= (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    return SOURCES[name].read_text("utf-8").replace("@VERSION@", version)


def blocks(name):
    """What a page shows as it stands, in its order."""
    found = re.findall(r"^```\n(.*?)^```$", source(name), re.M | re.S)
    return [re.sub(r"\\(.)", r"\1", text) for text in found]


def section(manual, name, title):
    return page.sections(page.rendered(manual / name))[title]


def entries(lines):
    """{term: what is said of it}: terms stand at column 7, with no empty line behind them."""
    found, term = {}, None
    for line, below in zip(lines, [*lines[1:], ""]):
        if re.match(r" {7}\S", line):
            term = line.strip() if below.startswith(" " * page.CODE_COLUMN) else None
            if term:
                assert term not in found, term
                found[term] = ""
        elif term:
            found[term] += line.strip() + " "
    return found


def subsections(lines):
    found, title = {}, None
    for line in lines:
        if re.match(r" {3}\S", line):
            title = line.strip()
            found[title] = []
        elif title:
            found[title].append(line)
    return found


def names(terms):
    return {name for term in terms for name in term.split(", ")}


def printed(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


# ---- form ----

@pytest.mark.parametrize("name", SOURCES)
def test_mandoc_finds_no_fault(manual, name):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", manual / name],
                          stdout=subprocess.PIPE, text=True)
    assert [line for line in done.stdout.splitlines() if OF_SCDOC not in line] == []


@pytest.mark.parametrize("name", SOURCES)
def test_page_fits_a_terminal(manual, name):
    lines = page.rendered(manual / name, WIDTH).split("\n")
    # what a program prints is as long as it is
    of_programs = {line for text in blocks(name) if text.startswith(("$ ", "stint.yaml:"))
                   for line in text.split("\n") if line[:2] not in ("$ ", "> ")}
    assert [line for line in lines if len(line) > WIDTH and line.strip() not in of_programs] == []


@pytest.mark.parametrize("name", SOURCES)
def test_name_is_the_name_of_the_page(manual, name):
    found = page.sections(page.rendered(manual / name))
    assert list(found)[0] == "NAME" and list(found)[-1] == "SEE ALSO"
    described, what = page.described(found["NAME"])
    assert described == [name[:-2]] and what


def links(manual, name):
    text = re.sub(r"-\n +", "-", page.rendered(manual / name))  # broken at a hyphen
    found = re.findall(r"\b(stint[\w.-]*)\((\d)\)", text)
    return {f"{page_name}.{number}" for page_name, number in found} - {name}


@pytest.mark.parametrize("name", SOURCES)
def test_pages_that_a_page_names_are_there_and_name_it(manual, name):
    there = {path.name for path in manual.iterdir()}
    assert links(manual, name) and links(manual, name) <= there
    assert any(name in links(manual, other) for other in SOURCES if other != name)


# ---- stint.yaml(5) ----

def schema():
    """The rows of schema_keys, as the preprocessor leaves them: {path: (type, rest)}."""
    text = subprocess.run(
        [os.environ.get("CC", "cc"), "-E", "-P", "-std=gnu17", "-D_GNU_SOURCE", "-Ilib/include",
         "-I.", "daemon/config/schema.c"], cwd=ROOT, check=True, capture_output=True,
        text=True).stdout
    [table] = re.findall(r"schema_keys\[\] = \{(.*?)\n?\};", text, re.S)
    rows = re.findall(r'\{\s*"([^"]+)",\s*(KEY_\w+)(.*?)\}(?=\s*,)', table, re.S)
    assert len(rows) > 30
    return {path: (kind, rest) for path, kind, rest in rows if kind != "KEY_SECTION"}


def keys_of_page(manual):
    """{path as in the schema: what the page says of it}"""
    return {name.replace(".NAME.", ".*."): text
            for term, text in entries(section(manual, "stint.yaml.5", "KEYS")).items()
            for name in term.split(", ")}


def value(rest, member):
    found = re.search(rf'\.{member} = "([^"]*)"', rest)
    return found and found.group(1)


def test_every_key_stands_in_stint_yaml_and_no_other(manual):
    assert set(keys_of_page(manual)) == set(schema())


def test_defaults_and_ranges_are_those_of_the_schema(manual):
    said = keys_of_page(manual)
    # a key of one handler shares the text, and so the default, of the key for all
    with_default = {said[path] for path, (_, rest) in schema().items() if value(rest, "preset")}
    for path, (kind, rest) in schema().items():
        text = said[path]
        preset, words = value(rest, "preset"), (value(rest, "words") or "").split("|")
        if preset:
            assert f"Default: {preset}." in text, path
        else:
            assert text in with_default or "Default: " not in text, path
        if value(rest, "min"):
            low, high = value(rest, "min"), value(rest, "max")
            weights = "Weights go from {} to {}." if kind == "KEY_QUEUES" else "From {} to {}"
            assert weights.format(low, high) in text, path
        for word in words:
            assert re.search(rf"\b{word}\b", text), path
        assert ("Needs a restart." in text) == ("KEY_NEEDS_RESTART" in rest), path
        assert ("Required." in text) == ("KEY_REQUIRED" in rest), path


def check(folder, text):
    (folder / "stint.yaml").write_text(text)
    done = subprocess.run([STINTD, "--check", "--config", "stint.yaml"], cwd=folder,
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_configurations_have_the_faults_that_the_page_says(tmp_path):
    shown = blocks("stint.yaml.5")
    faults = {config: said for config, said in zip(shown, shown[1:])
              if said.startswith("stint.yaml:")}
    assert len(faults) == 1
    for text in shown:
        if text in faults:
            assert check(tmp_path, text) == (78, faults[text])
        elif text not in faults.values():
            assert check(tmp_path, text) == (0, "")


# ---- stintctl(1) and stintd(8) ----

def options(help_text):
    """["-q, --queue QUEUE", ...]"""
    return re.findall(r"^ {2,6}(-.*?)(?: {2,}.*)?$", help_text, re.M)


def option_terms(lines):
    return [term for term in entries(lines) if term.startswith("-")]


def common_help():
    _, begin, common = printed(STINTCTL, "--help").partition("\nOptions of all commands")
    return begin + common


def commands():
    """The names of all commands; "dead" alone only tells of the others."""
    text = "".join(path.read_text() for path in (ROOT / "daemon" / "ctl").glob("cmd_*.c"))
    return set(re.findall(r'^\t\.name = "(.*)",$', text, re.M)) - {"dead"}


def test_every_command_of_stintctl_stands_in_its_page_and_no_other(manual):
    usages = {printed(STINTCTL, *name.split(), "--help").split("\n")[0] for name in commands()}
    shown = subsections(section(manual, "stintctl.1", "COMMANDS"))
    assert {f"Usage: stintctl {title}" for title in shown} == usages


def test_every_option_of_stintctl_stands_in_its_page_and_no_other(manual):
    assert option_terms(section(manual, "stintctl.1", "OPTIONS")) == options(common_help())
    shown = subsections(section(manual, "stintctl.1", "COMMANDS"))
    for title, lines in shown.items():
        name = re.match(r"[a-z ]+[a-z]", title).group()
        own = printed(STINTCTL, *name.split(), "--help").replace(common_help(), "")
        assert option_terms(lines) == options(own), name


def test_columns_of_queues_stand_in_the_page(manual):
    code = (ROOT / "daemon" / "ctl" / "cmd_queues.c").read_text()
    [columns] = re.findall(r"columns\[\] = \{(.*?)\}", code, re.S)
    shown = subsections(section(manual, "stintctl.1", "COMMANDS"))["queues [OPTION]..."]
    assert ["queue", *entries(shown)] == re.findall(r'"(\w+)"', columns)


@pytest.mark.parametrize("name, program, mark", [
    ("stintctl.1", STINTCTL, "Exit codes:"), ("stintd.8", STINTD, "exit status:")])
def test_exit_codes_are_those_of_the_help(manual, name, program, mark):
    codes = re.findall(r"\b\d+\b", printed(program, "--help").partition(mark)[2])
    assert list(entries(section(manual, name, "EXIT STATUS"))) == codes


def test_every_option_of_stintd_stands_in_its_page_and_no_other(manual):
    shown = option_terms(section(manual, "stintd.8", "OPTIONS"))
    assert shown == options(printed(STINTD, "--help"))


def test_every_signal_of_stintd_stands_in_its_page_and_no_other(manual):
    code = "".join(path.read_text() for path in (ROOT / "daemon").glob("*.c"))
    [taken] = re.findall(r"const int signals\[\] = \{(.*?)\}", code, re.S)
    assert names(entries(section(manual, "stintd.8", "SIGNALS"))) == \
        set(re.findall(r"\w+", taken))


# ---- stint-protocol(7) ----

def table(head):
    """What stands between backquotes in the first column of a table of PROTOCOL.md."""
    [rows] = re.findall(rf"^\| {re.escape(head)} \|\n\|[- |]+\n((?:\|.*\n)+)", PROTOCOL, re.M)
    return {name for row in rows.splitlines() for name in re.findall(r"`([^`]+)`",
                                                                     row.split(" | ")[0])}


@pytest.mark.parametrize("title, head", [
    ("KEYS", "key | type | what | how long"),
    ("FIELDS OF A JOB", "field | value"),
    ("RESERVED FIELDS", "field | where | what"),
    ("RESULTS", "member | when"),
    ("STATUS", "status | meaning")])
def test_page_has_what_the_protocol_has_and_no_more(manual, title, head):
    assert names(entries(section(manual, "stint-protocol.7", title))) == table(head)


def commands_shown(text):
    """The commands behind the prompt of a block, each as one line."""
    shown = re.findall(r"^\$ (.*(?:\n> .*)*)", text, re.M)
    return [re.sub(r"\\?\n> *", " ", command) for command in shown]


def test_rights_are_those_of_the_protocol():
    shown = [command for text in blocks("stint-protocol.7") for command in commands_shown(text)]
    rights = [shlex.split(command)[1:] for command in shown if "ACL SETUSER" in command]
    assert rights == [line.split() for line in re.findall(r"^ACL SETUSER .*$", PROTOCOL, re.M)]
    assert rights


# ---- stint-handlers(7) and stint-ops(7) ----

def test_variables_of_a_command_are_those_that_it_gets(manual):
    code = (ROOT / "daemon" / "handler" / "command.c").read_text()
    of_job = set(re.findall(r'add_(?:value|int)\(c, "(\w+)"', code))
    assert "STINT_X_" in code
    lines = section(manual, "stint-handlers.7", "ENVIRONMENT")
    assert set(entries(lines)) == of_job | {"STINT_X_NAME"}
    [inherited] = re.findall(r"names\[\] = \{(.*?)\}", code, re.S)
    for name in [*re.findall(r"(\w+)=", inherited), "LC_"]:
        assert f"*{name}*" in SOURCES["stint-handlers.7"].read_text().replace("\\_", "_")


def test_lines_of_the_log_are_those_that_the_daemon_writes():
    code = "".join(path.read_text() for path in (ROOT / "daemon").rglob("*.c"))
    literals = set(re.findall(r'"((?:[^"\\]|\\.)*)"', re.sub(r'"\s*\n\s*"', "", code)))
    text = source("stint-ops.7")
    shown = re.findall(r"^(\*.*\*)\n\t", text[text.index("# ALARMS"):], re.M)
    lines = {line for term in shown for line in re.findall(r"\*([^*]+)\*", term)}
    assert len(lines) > 15
    assert lines - literals == set()


# ---- what stands behind a prompt ----

def shell_script(text):
    """A block as a script that prints it: each command as it stands, then what it prints."""
    script = []
    for shown in re.findall(r"^\$ .*(?:\n> .*)*", text, re.M):
        script.append(f"printf '%s\\n' {shlex.quote(shown)}")
        script.append(re.sub(r"^[$>] ", "", shown, flags=re.M))
    return "\n".join(script)


def alike(text):
    """Without what differs from run to run."""
    text = re.sub(r"\b\d{13}-\d+\b", "ENTRY", text)
    text = re.sub(r"it was (waiting|delayed|running)$", "it was STATE", text, flags=re.M)
    return [line for line in text.split("\n") if line]


def programs(folder, redis):
    """A PATH with the programs of the build, and a redis-cli for the Redis of the test."""
    cli = folder / "redis-cli"
    cli.write_text(f'#!/bin/sh\nexec {shutil.which(REDIS_CLI)} -s {redis.sock} "$@"\n')
    cli.chmod(0o755)
    return f"{folder}:{BUILD}:{os.environ['PATH']}"


def assert_blocks_print_what_they_show(name, folder, redis, daemon):
    env = environment(redis.url, {"PATH": programs(folder, redis),
                                  "STINT_CONFIG": str(daemon.config_path)})
    shown = [text for text in blocks(name) if text.startswith("$ ")]
    assert shown
    for text in shown:
        script = shell_script(text).replace(CONFIG_PATH, str(daemon.config_path))
        done = subprocess.run(["sh", "-c", script], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        out = done.stdout.replace(str(daemon.config_path), CONFIG_PATH)
        assert alike(out) == alike(text)


@pytest.mark.parametrize("name", ["stintd.8", "stintctl.1", "stint-protocol.7", "stint-ops.7"])
def test_examples_print_what_the_page_shows(name, redis, stintd, tmp_path):
    daemon = stintd({"handlers": HANDLERS})
    # a daemon counts as a consumer once it has had a job
    assert printed(STINTCTL, "--redis", redis.url, "submit", "--wait", "upper", "hello") == "HELLO"
    assert_blocks_print_what_they_show(name, tmp_path, redis, daemon)


def test_example_handlers_print_what_the_page_shows(redis, stintd, tmp_path):
    for text in blocks("stint-handlers.7"):
        if text.startswith("#!"):
            program = tmp_path / re.search(r"^# /usr/local/bin/(\S+)$", text, re.M).group(1)
            program.write_text(text)
            program.chmod(0o755)
    [config] = [text for text in blocks("stint-handlers.7") if text.startswith("handlers:")]
    config = config.replace("/usr/local/bin", str(tmp_path)).replace("/var/lib/app",
                                                                     str(tmp_path))
    daemon = stintd(f"redis: {{ url: '{redis.url}' }}\n{config}")
    assert_blocks_print_what_they_show("stint-handlers.7", tmp_path, redis, daemon)
    # a second run of the same job, as after the death of its daemon
    again = subprocess.run([tmp_path / "book"], cwd=tmp_path, env={"STINT_JOB_ID": "seat-9"},
                           capture_output=True, text=True, timeout=60)
    assert again.stdout == "booked before\n"


@pytest.mark.parametrize("name", SOURCES)
def test_commands_for_root_are_shell(name):
    shown = re.findall(r"^# (.*)$", "\n".join(text for text in blocks(name)
                                              if text.startswith("# ")), re.M)
    assert subprocess.run(["sh", "-n", "-c", "\n".join(shown)], timeout=60).returncode == 0

"""README.md keeps its word: its snippets run as they stand, its links lead somewhere."""
import json
import re
import shlex
import subprocess
import sys

import pytest
from util import REDIS_CLI, ROOT, STINTD

README = (ROOT / "README.md").read_text("utf-8")
UPPER = {"handlers": {"upper": {"command": ["tr", "a-z", "A-Z"]}}}


def snippet(language):
    [text] = re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)
    return text


def replaced(text, old, new):
    """Where the private Redis of this test takes the place of the one of the snippet."""
    assert old in text
    return text.replace(old, new)


def test_redis_cli_snippet_prints_the_result(redis, stintd):
    stintd(UPPER)
    script = replaced(snippet("sh"), "redis-cli ", f"{REDIS_CLI} -s {shlex.quote(redis.sock)} ")
    done = subprocess.run(["sh", "-e", "-c", script], capture_output=True, timeout=60)
    [line] = [line for line in done.stdout.decode().splitlines() if line.startswith("{")]
    assert json.loads(line)["output"] == "HELLO"


def test_python_snippet_prints_the_result(redis, stintd):
    stintd(UPPER)
    program = replaced(snippet("python"), "redis.Redis()",
                       f"redis.Redis(unix_socket_path={redis.sock!r})")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "'output': 'HELLO'" in done.stdout.decode()


def test_configuration_snippet_has_no_faults(tmp_path):
    path = tmp_path / "stint.yaml"
    path.write_text(snippet("yaml"), "utf-8")
    done = subprocess.run([STINTD, "--check", "--config", path], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "page", ["README.md", "daemon/DESIGN.md", "lib/README.md", "lib/wire/PROTOCOL.md"])
def test_what_a_page_names_is_there(page):
    path = ROOT / page
    text = path.read_text("utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / link).exists(), link
    for name in re.findall(r"`((?:daemon|lib|config|tests|packaging)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name

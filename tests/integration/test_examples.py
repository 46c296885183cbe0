"""The examples: every configuration is valid, and the demo shows what it says."""
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from util import BUILD, ROOT, STINTD, wait_until

EXAMPLES = ROOT / "config" / "examples"
# What a newcomer is promised; a sanitizer build may take longer.
DEMO_S = 15


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.name)
def test_example_has_no_faults(path):
    done = subprocess.run([STINTD, "--check", "--config", path], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def start_demo(folder, build=BUILD):
    """In a process group of its own, as a shell would; all its files are in the folder."""
    return subprocess.Popen(
        [EXAMPLES / "demo.sh", build], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": folder}, text=True,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def group_members(group):
    """The processes of a group, Redis of --dev (which has its own) beside them."""
    members = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == group:
                members.append(int(entry.name))
        except ProcessLookupError:
            pass
    return members


def assert_clean(folder, process):
    assert os.listdir(folder) == []
    wait_until(lambda: not group_members(process.pid), "no process left")


def test_demo_ends_with_the_word_that_all_went_well(folder):
    started = time.monotonic()
    demo = start_demo(folder)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, output
    assert output.splitlines()[-1].startswith("All went as expected.")
    assert "\033" not in output
    if not os.environ.get("STINT_SAN"):
        assert time.monotonic() - started < DEMO_S
    assert_clean(folder, demo)


def test_demo_fails_when_a_result_is_not_what_it_should_be(folder, tmp_path):
    config = (EXAMPLES / "demo.yaml").read_text()
    assert "command: [sha256sum]" in config
    broken = tmp_path / "broken.yaml"
    broken.write_text(config.replace("command: [sha256sum]", "command: [cat]"))
    stintd = tmp_path / "stintd"
    stintd.write_text(f'#!/bin/sh\nexec "{STINTD}" --dev --config "{broken}"\n')
    stintd.chmod(0o755)
    demo = start_demo(folder, tmp_path)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert "demo: expected b94d27b9934d" in output
    assert_clean(folder, demo)


def test_demo_fails_when_the_daemon_does_not_start(folder, tmp_path):
    stintd = tmp_path / "stintd"
    stintd.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 70\n")
    stintd.chmod(0o755)
    demo = start_demo(folder, tmp_path)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert "stintd has ended" in output and "no such luck" in output
    assert_clean(folder, demo)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_demo_leaves_nothing_behind(folder, number, code):
    demo = start_demo(folder)
    lines = iter(demo.stdout.readline, "")
    assert any("handler slow" in line for line in lines)  # a job is running
    os.killpg(demo.pid, number)
    demo.communicate(timeout=120)
    assert demo.returncode == code
    assert_clean(folder, demo)

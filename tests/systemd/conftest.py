"""Fixtures: the packages of a suite ($STINT_SUITE), and boxes in which they are installed."""
import json
import os
import shutil
import tempfile
from pathlib import Path

import packages
import pytest
import roots
from box import Box, wait_until

SUITE = os.environ.get("STINT_SUITE", packages.host_suite())
SERVER = {"bookworm": "redis-server", "trixie": "valkey-server"}[SUITE]
CLI = {"bookworm": "redis-cli", "trixie": "valkey-cli"}[SUITE]

CONFIG = {"concurrency": 2, "handlers": {}}


def pytest_configure():
    """Nothing of this may be left out in silence."""
    if os.geteuid() != 0:
        pytest.exit("these tests boot containers: run them as root", returncode=1)


@pytest.fixture(scope="session")
def suite():
    return SUITE


@pytest.fixture(scope="session")
def debs():
    """A folder with the packages of this tree for the suite, or those in $STINT_DEBS; and, in
    older/, the daemon's under a lower version."""
    folder = Path(tempfile.mkdtemp(prefix="stint-debs-"))
    if "STINT_DEBS" in os.environ:
        shutil.copytree(os.environ["STINT_DEBS"], folder, dirs_exist_ok=True)
    else:
        packages.make(SUITE, folder)
    packages.older(packages.named(folder, "stintd"), folder / "older")
    yield folder
    shutil.rmtree(folder)


class Service(Box):
    """A box with the daemon's package in it, and a Redis that runs."""

    def install(self, name="stintd", folder="/deb"):
        self("sh", "-c", f"dpkg -i {folder}/{name}_*.deb", timeout_s=120)

    def configure(self, config, unit="stintd", how="restart"):
        """config: a dict, written as the JSON that YAML also is."""
        name = unit.partition("@")[2] or "stint"
        self.write(f"/etc/stint/{name}.yaml", json.dumps({**CONFIG, **config}))
        self("chgrp", "stint", f"/etc/stint/{name}.yaml")
        self("systemctl", how, unit)

    def redis(self, *words):
        return self(CLI, *words).rstrip("\n")

    def submit(self, handler, payload="", **fields):
        """Returns the id of the entry."""
        words = [word for pair in fields.items() for word in pair]
        return self.redis("XADD", "stint:{default}:jobs", "*", "handler", handler,
                          "payload", payload, *words)

    def result(self, job, timeout_s=60):
        """Waits for the result of a job; returns it as a dict."""
        return json.loads(wait_until(lambda: self.redis("GET", f"stint:{{default}}:result:{job}"),
                                     lambda: f"the result of {job}\n{self.journal()}", timeout_s))

    def do(self, handler, payload="", **fields):
        return self.result(self.submit(handler, payload, **fields))

    def status(self):
        return self.show("stintd", "StatusText")

    def journal(self, *options):
        return self("journalctl", "-u", "stintd", "-o", "cat", "--no-pager", *options)

    def entries(self, *matches):
        """Of the journal, as dicts."""
        text = self("journalctl", "-o", "json", "--no-pager", *matches)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def pid(self):
        return int(self.show("stintd", "MainPID"))


@pytest.fixture
def bare_box(debs):
    """Booted; nothing of ours is installed."""
    with Service(roots.root(SUITE, "run"), binds={"/deb": debs}) as box:
        wait_until(lambda: box.ok(CLI, "PING"), "redis in the box")
        yield box


@pytest.fixture
def box(bare_box):
    """With stintd installed and running."""
    bare_box.install()
    return bare_box

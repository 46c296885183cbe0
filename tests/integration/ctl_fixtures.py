"""What the tests of stintctl share: a Redis of their own, and the words for its keys."""

import json
import os
import subprocess

import pytest
from util import Redis, STINTCTL


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Redis(tmp_path_factory.mktemp("redis")).start()
    yield started
    started.stop()


@pytest.fixture
def db(server):
    client = server.client()
    client.flushall()
    return client


@pytest.fixture
def ctl(server):
    return ctl_at(server.url)


def ctl_at(url):
    """Runs stintctl to its end; what it is told by environment is this Redis alone."""

    def run(*args, env=None, stdin=b"", **options):
        return subprocess.run([STINTCTL, *args], env=environment(url, env),
                              input=stdin, capture_output=True, timeout=60, **options)

    return run


def environment(url, more=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STINT_")}
    return {**clean, "STINT_REDIS": url, **(more or {})}


def key(kind, queue="default", prefix="stint"):
    return f"{prefix}:{{{queue}}}:{kind}"


def jobs(db, queue="default", prefix="stint"):
    return [fields for _, fields in db.xrange(key("jobs", queue, prefix))]


def result_of(job_id, status="ok", **members):
    return json.dumps({"id": job_id, "status": status, **members})


def line(done):
    """The one line that stintctl says on standard error."""
    text = done.stderr.decode()
    assert text.startswith("stintctl: ") and text.count("\n") == 1 and text[-1] == "\n"
    return text

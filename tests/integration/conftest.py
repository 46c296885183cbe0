"""Fixtures: a private Redis, and daemons on it, all gone when the test ends."""
import shutil
import tempfile

import pytest
from gates import Gate
from proxy import Proxy
from util import Daemon, Redis


@pytest.fixture
def folder():
    """A temporary folder with a short path: sockets need that."""
    path = tempfile.mkdtemp(prefix="stint-it-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def redis(folder):
    server = Redis(folder).start()
    yield server
    server.stop()


@pytest.fixture
def client(redis):
    connection = redis.client()
    yield connection
    connection.close()


@pytest.fixture
def gate(folder):
    """Commands that run until the test lets them go."""
    return Gate(folder)


@pytest.fixture
def proxy(folder, redis):
    """A link to the Redis of the test that can be cut, frozen and lied on."""
    between = Proxy(folder, redis)
    yield between
    between.close()


@pytest.fixture
def stintd(redis):
    """stintd(config, **options) starts one and waits until it is ready.

    config is a dict (the Redis of the test is filled in) or the text of a file. What
    still runs when the test ends must stop cleanly.
    """
    daemons = []

    def start(config=None, wait=True, env=None, args=(), url=None, program=None):
        folder = tempfile.mkdtemp(prefix="stint-it-")
        daemon = Daemon(folder, url or redis.url, config or {}, env)
        daemon.program = program or daemon.program
        daemons.append(daemon)
        return daemon.start(wait, args)

    yield start
    failures = []
    for daemon in daemons:
        try:
            if daemon.process.poll() is None:
                daemon.stop()
            daemon.check_clean()
        except Exception as fault:  # the others must be ended all the same
            failures.append(fault)
        daemon.close()
        shutil.rmtree(daemon.folder, ignore_errors=True)
    if failures:
        raise failures[0]

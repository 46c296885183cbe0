"""Fixtures: what `make install` puts into a folder."""
import tempfile

import pytest
from installed import Installed


@pytest.fixture
def empty():
    """Where nothing has been installed yet."""
    with tempfile.TemporaryDirectory(prefix="stint-man-") as dest:
        yield Installed(dest)


@pytest.fixture(scope="session")
def installed():
    with tempfile.TemporaryDirectory(prefix="stint-man-") as dest:
        there = Installed(dest)
        there.make("install")
        yield there

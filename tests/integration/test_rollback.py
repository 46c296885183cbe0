"""Redis comes back with an older state, as after a failover that lost the last second."""
import shutil
import signal

import pytest
from gates import quiet
from look import wait_empty
from util import result, run, submit, wait_until


@pytest.fixture
def kept(redis):
    redis.stop()
    return redis.start("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def rollback(kept, folder):
    """rollback.keep() remembers the state, rollback.back() puts it in place of the present."""
    class Rollback:
        here, there = f"{folder}/appendonlydir", f"{folder}/kept"

        def keep(self):
            shutil.copytree(self.here, self.there)

        def back(self):
            kept.stop(signal.SIGKILL)
            shutil.rmtree(self.here)
            shutil.copytree(self.there, self.here)
            kept.start("--appendonly", "yes", "--appendfsync", "always")
    return Rollback()


def test_what_was_rolled_back_has_one_result_in_the_history_that_survives(
        stintd, client, gate, rollback):
    daemon = stintd({"lease": "3s", "concurrency": 2, "handlers": {
        "hold": gate.handler(), "echo": {"command": ["cat"]}}})
    before = run(client, "echo", "before", id="before")
    quiet(client, daemon)
    waits = {name: submit(client, "hold" if name == "runs" else "echo", name, id=name,
                          reply_to="me") for name in ("done", "runs")}
    rollback.keep()
    daemon.signal(signal.SIGCONT)
    assert result(client, "done")["output"] == "done"
    gate.wait_started(1)
    submit(client, "echo", "lost", id="lost")
    assert result(client, "lost")["output"] == "lost"
    rollback.back()
    # its submission is lost with its result; the submitter is the one who can know
    assert result(client, "done")["output"] == "done"
    gate.open()
    assert result(client, "runs")["output"] == "done"
    assert result(client, "before") == before
    assert client.get("stint:{default}:result:lost") is None
    assert run(client, "echo", "again", id="lost")["output"] == "again"
    wait_empty(client)
    replies = [fields[b"id"].decode() for _, fields in client.xrange("stint:{default}:reply:me")]
    assert sorted(replies) == sorted(waits)
    # Redis had forgotten who held it: it was ended, and begun once more
    assert len(gate.started()) <= 2


def test_a_result_that_was_rolled_back_is_made_again(stintd, client, gate, rollback):
    daemon = stintd({"lease": "3s", "handlers": {
        "hold": gate.handler(), "echo": {"command": ["cat"]}}})
    job = submit(client, "hold")
    gate.wait_started(1)
    rollback.keep()
    gate.open()
    assert result(client, job)["output"] == "done"
    rollback.back()
    # it stands in the pending list of a daemon that has forgotten it
    wait_until(lambda: len(gate.started()) == 2, "it runs again")
    assert result(client, job)["output"] == "done"
    wait_empty(client)
    assert run(client, "echo", "on")["output"] == "on"
    assert daemon.process.poll() is None

"""Jobs that take their daemon with them: counted apart from attempts and interruptions."""
import json

import pytest
from look import DEAD, entries, holders, kill, text_of, wait_empty
from util import result, submit


def config_of(gate, **more):
    return {"lease": "1h", "shutdown_timeout": "0s", "handlers": {"hold": gate.handler()}, **more}


@pytest.mark.parametrize("deaths", [1, 3])
def test_after_so_many_deaths_a_job_is_given_up(stintd, client, gate, deaths):
    config = config_of(gate, max_deliveries=deaths)
    job = submit(client, "hold", b"\xff\x00", x_user="jane", reply_to="me", id="mine")
    for n in range(deaths):
        daemon = stintd(config)
        gate.wait_started(n + 1)
        kill(daemon)
    last = stintd(config)
    told = result(client, "mine")
    assert (told["status"], told["attempt"]) == ("crashed", 1)
    assert f"its daemon died {deaths} times while it had the job" in told["error"]
    last.wait_log("poison job")
    [(_, letter)] = client.xrange(DEAD)
    assert letter[b"payload"] == b"\xff\x00"
    letter = text_of(letter)
    assert (letter["stint-id"], letter["stint-entry"], letter["x-user"]) == ("mine", job, "jane")
    assert json.loads(letter["stint-result"]) == told
    wait_empty(client)
    assert len(gate.started()) == deaths
    assert client.xlen("stint:{default}:reply:me") == 1


def test_a_poison_job_does_not_take_the_others_with_it(stintd, client, gate):
    config = config_of(gate, max_deliveries=2)
    config["handlers"]["echo"] = {"command": ["cat"]}
    bad = submit(client, "hold")
    for n in range(2):
        daemon = stintd(config)
        gate.wait_started(n + 1)
        kill(daemon)
    good = submit(client, "echo", "fine")
    stintd(config)
    assert result(client, bad)["status"] == "crashed"
    assert result(client, good)["output"] == "fine"


def test_one_death_less_and_it_runs(stintd, client, gate):
    config = config_of(gate, max_deliveries=3)
    job = submit(client, "hold")
    for n in range(2):
        daemon = stintd(config)
        gate.wait_started(n + 1)
        kill(daemon)
    gate.open()
    stintd(config)
    assert (result(client, job)["status"], len(gate.started())) == ("ok", 3)


def test_interruptions_are_free(stintd, client, gate):
    config = config_of(gate, max_deliveries=1)
    job = submit(client, "hold")
    for n in range(4):
        daemon = stintd(config)
        gate.wait_started(n + 1)
        daemon.stop()
    [fields] = entries(client).values()
    assert (fields["stint-interruptions"], fields["stint-deaths"]) == ("4", "0")
    gate.open()
    stintd(config)
    assert result(client, job)["status"] == "ok"


def test_deaths_are_remembered_when_a_job_is_handed_back(stintd, client, gate):
    config = config_of(gate, max_deliveries=2)
    job = submit(client, "hold")
    ends = [kill, lambda daemon: daemon.stop(), kill]
    for n, end in enumerate(ends):
        daemon = stintd(config)
        gate.wait_started(n + 1)
        if n == 2:
            [(entry, fields)] = entries(client).items()
            assert (fields["stint-deaths"], fields["stint-interruptions"]) == ("1", "1")
            assert holders(client)[entry][2] == 1, "a new entry begins with one delivery"
        end(daemon)
    stintd(config)
    told = result(client, job)
    assert "its daemon died 2 times" in told["error"]
    [(_, letter)] = client.xrange(DEAD)
    assert letter[b"stint-interruptions"] == b"1"


def test_deaths_are_remembered_by_a_retry_and_are_no_attempts(stintd, client, gate):
    config = config_of(gate, max_deliveries=5)
    config["handlers"]["hold"]["command"][2] += "; exit 1"
    config["handlers"]["hold"].update(retries=1, backoff="1ms")
    job = submit(client, "hold")
    daemon = stintd(config)
    gate.wait_started(1)
    kill(daemon)
    gate.open()
    stintd(config)
    told = result(client, job)
    assert (told["status"], told["attempt"]) == ("error", 2)
    [(_, letter)] = client.xrange(DEAD)
    assert (letter[b"stint-attempt"], letter[b"stint-deaths"]) == (b"2", b"1")
    assert [attempt for _, attempt in gate.started()] == ["1", "1", "2"]

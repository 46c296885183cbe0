"""What the journal gets: fields, IDs, one job's life; and what happens when it gets nothing."""
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from journal import Journal
from util import BUILD, ROOT, run, submit, wait_until

WORKER = str(Path(__file__).with_name("worker.py"))
HANDLERS = {
    "cat": {"command": ["cat"]},
    "fail": {"command": ["sh", "-c", 'printf "Traceback:\\n  oh no\\n" >&2; exit 3'],
             "retries": 1, "backoff": "1ms"},
    "w": {"worker": ["/usr/bin/python3", WORKER]},
}
HEADER = (ROOT / "daemon/obs/log_ids.h").read_text()
IDS = dict(re.findall(r'^#define (LOG_ID_\w+)\s+"([0-9a-f]{32})"$', HEADER, re.M))
CATALOG = ROOT / "packaging/systemd/stint.catalog"
CODE = {path: path.read_text() for path in (ROOT / "daemon").rglob("*.c")}


@pytest.fixture
def journal(folder, redis):  # which ends after its daemons
    there = Journal(folder)
    yield there
    there.close()


def sentences(entries):
    return [re.sub(r" \w+=.*", "", entry["MESSAGE"], flags=re.S) for entry in entries]


# ---- fields ----

def test_fields_tell_the_life_of_a_job(journal, redis, client):
    journal.listen().start(redis.url, {"handlers": HANDLERS, "log": {"level": "debug"}})
    assert run(client, "fail", id="f-1")["stderr"] == "Traceback:\n  oh no\n"
    journal.wait(MESSAGE_ID=IDS["LOG_ID_JOB_FAILED"])
    life = journal.having(STINT_JOB_ID="f-1")
    assert sentences(life) == [
        "job starts", "command printed", "job failed, it will be tried again",
        "job starts", "command printed", "job failed"]
    for entry, attempt in zip(life, "111222"):
        assert (entry["STINT_QUEUE"], entry["STINT_HANDLER"]) == ("default", "fail")
        assert (entry["STINT_ATTEMPT"], entry["SYSLOG_IDENTIFIER"]) == (attempt, "stintd")
    assert life[4]["STINT_TEXT"] == "Traceback:\n  oh no\n"
    assert life[4]["MESSAGE"].endswith(" attempt=2 on=stderr:\nTraceback:\n  oh no")
    last = life[-1]
    assert (last["STINT_STATUS"], last["STINT_ERROR"]) == ("error", "exit code 3")
    assert last["MESSAGE_ID"] == IDS["LOG_ID_JOB_FAILED"] and last["PRIORITY"] == "6"
    assert last["MESSAGE"] == ("job failed job=f-1 queue=default handler=fail attempt=2 "
                               'status=error error="exit code 3"')
    # a call over several lines is at its first one for gcc, at its last one for clang
    lines = (ROOT / last["CODE_FILE"]).read_text().split("\n")[:int(last["CODE_LINE"])]
    statement = "\n".join(lines).rstrip(";").rpartition(";")[2]
    assert "log_info(" in statement and last["CODE_FUNC"] == "log_result"


def test_a_job_that_went_well_is_told_at_debug(journal, redis, client):
    journal.listen().start(redis.url, {"handlers": HANDLERS, "log": {"level": "debug"}})
    job = submit(client, "cat", "x")
    [done] = journal.wait(STINT_JOB_ID=job, STINT_STATUS="ok")
    assert sentences(journal.having(STINT_JOB_ID=job)) == ["job starts", "job done"]
    assert done["PRIORITY"] == "7" and int(done["STINT_RUN_US"]) > 0


def test_what_a_worker_prints_has_the_fields_of_its_job(journal, redis, client):
    journal.listen().start(redis.url, {"handlers": HANDLERS})
    job = submit(client, "w", "prints a stray line")
    for stream, text in ("stdout", "a stray line"), ("stderr", "err a stray line"):
        [entry] = journal.wait(STINT_JOB_ID=job, STINT_ON=stream)
        assert entry["STINT_TEXT"] == text
        assert (entry["STINT_HANDLER"], entry["STINT_ATTEMPT"]) == ("w", "1")
        assert entry["MESSAGE"].endswith(f" on={stream}: {text}")


def test_events_have_their_ids(journal, redis):
    daemon = journal.listen().start(redis.url, {"handlers": HANDLERS})
    expected = []

    def see(name, **fields):
        expected.append(IDS["LOG_ID_" + name])
        [entry] = journal.wait(MESSAGE_ID=expected[-1], **fields)
        return entry

    daemon.signal(signal.SIGHUP)
    see("RELOADED", PRIORITY=6)
    config = daemon.config_path.read_text()
    daemon.write_config("rubbish: 1\n" + config)
    daemon.signal(signal.SIGHUP)
    see("RELOAD_REFUSED", PRIORITY=3)
    daemon.write_config(config)
    redis.stop()
    assert redis.sock in see("REDIS_AWAY", PRIORITY=4)["STINT_REDIS"]
    redis.start("--requirepass", "secret")
    see("REDIS_REFUSES", PRIORITY=4)
    redis.stop()
    redis.start()
    see("REDIS_BACK", PRIORITY=6)
    daemon.stop()
    assert see("STOPPING", PRIORITY=6)["STINT_WHY"] == "SIGTERM"
    see("STOPPED", STINT_DONE=0)
    assert [e["MESSAGE_ID"] for e in journal.settled() if "MESSAGE_ID" in e] == expected
    assert daemon.log() == ""


def test_a_poison_job_has_its_id(journal, redis, client):
    config = {"handlers": HANDLERS, "max_deliveries": 1, "lease": "2s"}
    handlers = {"sleep": {"command": ["sleep", "1000"]}}
    first = journal.listen().start(redis.url, {**config, "handlers": handlers})
    submit(client, "sleep", id="p-1")
    wait_until(lambda: first.processes() and client.xpending("stint:{default}:jobs",
                                                             "stint")["pending"], "job taken")
    first.process.kill()
    first.wait_end()
    journal.start(redis.url, {**config, "handlers": handlers})
    [entry] = journal.wait(MESSAGE_ID=IDS["LOG_ID_JOB_POISON"])
    assert entry["PRIORITY"] == "3" and entry["STINT_DEATHS"] == "1"
    assert (entry["STINT_JOB_ID"], entry["STINT_STATUS"]) == ("p-1", "crashed")
    assert (entry["STINT_QUEUE"], entry["STINT_HANDLER"]) == ("default", "sleep")


# ---- where it goes ----

def test_stderr_that_is_not_the_journals_gets_text(journal, redis):
    daemon = journal.listen().start(redis.url, {"handlers": HANDLERS}, stream="another")
    daemon.stop()
    assert re.search(r"^\S+Z info ready name=", daemon.log(), re.M)
    assert journal.settled() == []


@pytest.mark.parametrize("format", ["text", "json", "journal"])
def test_the_format_that_is_configured_holds(journal, redis, format):
    config = {"handlers": HANDLERS, "log": {"format": format}}
    stream = "another" if format == "journal" else "stderr"
    daemon = journal.listen().start(redis.url, config, stream)
    daemon.stop()
    assert bool(journal.settled()) == (format == "journal")
    assert bool(daemon.log()) == (format != "journal")
    if format == "json":
        assert f'"msg":"stopped","message_id":"{IDS["LOG_ID_STOPPED"]}"' in daemon.log()


def test_lines_with_levels_go_to_stderr_where_there_is_no_journal(journal, redis):
    daemon = journal.start(redis.url, {"handlers": HANDLERS})
    assert re.search(r"^<6>ready name=\S+ workers=\d+ queues=1$", daemon.log(), re.M)
    journal.listen()
    daemon.signal(signal.SIGUSR1)
    journal.wait(STINT_IN_FLIGHT=0)
    assert "state" not in daemon.log()


def test_a_journal_that_does_not_read_holds_nobody_up(journal, redis, client):
    journal.bind()
    daemon = journal.start(redis.url, {"handlers": HANDLERS})
    jobs = 100 + int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    with client.pipeline(transaction=False) as many:
        for i in range(jobs):
            many.xadd("stint:{default}:jobs", {"handler": "unknown", "id": f"u-{i}"})
        many.execute()
    wait_until(lambda: client.xlen("stint:{default}:dead") == jobs, "all jobs are rejected")
    assert run(client, "cat", "x")["status"] == "ok"
    journal.read()
    wait_until(lambda: daemon.signal(signal.SIGUSR1) or journal.having(STINT_IN_FLIGHT=0),
               "room again")
    # more than once, where it is read more slowly than the signals are told of
    dropped = [int(e["STINT_COUNT"]) for e in journal.settled()
               if e["MESSAGE"].startswith("log lines were dropped")]
    failed = len(journal.having(MESSAGE_ID=IDS["LOG_ID_JOB_FAILED"]))
    assert dropped and min(dropped) > 0 and failed < jobs
    # the signals may have been among what was dropped
    assert failed + sum(dropped) >= jobs
    assert daemon.log() == ""


def test_jobs_that_go_well_are_not_in_the_log(stintd, client):
    daemon = stintd({"handlers": HANDLERS, "concurrency": 4})
    before = daemon.log()
    assert " info ready " in before
    for i in range(50):
        for handler, payload in ("cat", "x"), ("w", "echo x"):
            submit(client, handler, payload, id=f"{handler}-{i}", **({"delay": "1ms"} if i % 2
                                                                     else {}))
    wait_until(lambda: len(client.keys("stint:{default}:result:*")) == 100, "100 results")
    assert daemon.log() == before


# ---- the catalogue ----

def catalogue():
    entries = re.findall(r"^-- ([0-9a-f]{32})\n(.*?)(?=^-- |\Z)", CATALOG.read_text(), re.M | re.S)
    assert len(entries) == len(dict(entries))
    return dict(entries)


def calls(name):
    """What the code logs with an ID: the text of each call."""
    found = [call for text in CODE.values()
             for call in re.findall(r"\blog_(?:error|warn|info|debug)\((.*?)\);", text, re.S)]
    return [call for call in found if f"F_MESSAGE_ID({name})" in call]


def test_each_id_is_used_once_and_explained_with_fields_that_it_has():
    assert len(set(IDS.values())) == len(IDS) > 5
    assert set(catalogue()) == set(IDS.values())
    [macro] = re.findall(r"#define F_ATTEMPT.*?\n\n",
                         (ROOT / "daemon/queue/attempt.h").read_text(), re.S)
    for name, value in IDS.items():
        [call] = calls(name)
        fields = re.findall(r'F_(?:STR|INT)\("(\w+)"', call.replace("F_ATTEMPT(a)", macro))
        fields = {"STINT_JOB_ID" if f == "job" else f"STINT_{f.upper()}" for f in fields}
        assert set(re.findall(r"@(\w+)@", catalogue()[value])) <= fields, name


def test_manual_has_each_id_with_its_sentence():
    page = (ROOT / "packaging/man/stint-ops.7.scd").read_text()
    shown = dict(re.findall(r"^\*([0-9a-f]{32})\*\n\t_(.*?)_[.:]", page, re.M))
    sentence = {value: re.sub(r'"\s*"', "", re.search(r'"(.*?)",\s*F_', calls(name)[0],
                                                      re.S).group(1))
                for name, value in IDS.items()}
    assert shown == sentence


def test_commands_of_the_catalogue_are_there():
    programs = {"stintctl": BUILD / "stintctl", "stintd": BUILD / "stintd"}
    shown = re.findall(r"^    (stint\w+) (.*)$", CATALOG.read_text(), re.M)
    assert len(shown) > 3
    for program, rest in shown:
        words = [word for word in shlex.split(rest) if "@" not in word and word != "FILE"]
        options = [word for word in words if word.startswith("-")]
        names = [word for word in words if not word.startswith("-")]
        told = subprocess.run([programs[program], *names, "--help"], check=True,
                              capture_output=True, text=True).stdout
        assert all(re.search(rf"(^|[\s,]){option}\b", told) for option in options), rest


def test_journalctl_takes_the_catalogue(tmp_path):
    for folder in "usr/lib/systemd/catalog", "var/lib/systemd/catalog":
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/catalog/stint.catalog").write_bytes(CATALOG.read_bytes())

    def journalctl(*options):
        done = subprocess.run(["journalctl", f"--root={tmp_path}", *options], check=True,
                              capture_output=True, text=True)
        assert done.stderr == ""
        return done.stdout

    journalctl("--update-catalog")
    listed = [line.split()[0] for line in journalctl("--list-catalog").splitlines()]
    assert sorted(listed) == sorted(IDS.values())
    for value in IDS.values():
        text = journalctl("--dump-catalog", value)
        assert "Defined-By: stint\n" in text and "Documentation: man:" in text

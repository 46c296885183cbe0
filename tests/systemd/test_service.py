"""The installed service in a booted system: from the installation to the purge."""
import json


import pytest
from box import wait_until

UPPER = {"command": ["/usr/bin/tr", "a-z", "A-Z"]}
HOLD = {"command": ["/bin/sh", "-c", "until [ -e /etc/stint/open ]; do sleep 0.05; done; echo done"],
        "timeout": "1h"}


def restarts(box):
    return int(box.show("stintd", "NRestarts"))


def busy(box, count):
    wait_until(lambda: box.status().startswith(f"{count}/"),
               lambda: f"{count} busy, not {box.status()}")


def test_the_package_starts_a_service_that_works(box):
    assert box("systemctl", "is-active", "stintd").strip() == "active"
    assert box("systemctl", "is-enabled", "stintd").strip() == "enabled"
    assert "/16 busy, 1 queue, 0 done, 0 failed" in box.status()
    assert box("stat", "-c", "%U:%G %a", "/etc/stint/stint.yaml").strip() == "root:stint 640"
    assert box("stat", "-c", "%U", f"/proc/{box.pid()}").strip() == "stint"
    box.configure({"handlers": {"upper": UPPER}})
    result = box.do("upper", "hello")
    assert (result["status"], result["output"]) == ("ok", "HELLO")
    assert box("stintctl", "submit", "--wait", "upper", "again") == "AGAIN"
    wait_until(lambda: "2 done, 0 failed" in box.status(), "the counts")


def test_systemd_finds_no_fault_with_the_units(box):
    done = box.run("systemd-analyze", "verify", "--man=no", "stintd.service", "stintd@two.service")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_reload_changes_what_runs_and_loses_nothing(box, suite):
    box.configure({"concurrency": 2, "handlers": {"hold": HOLD, "upper": UPPER}})
    before = box.pid()
    jobs = [box.submit("hold") for _ in range(5)]
    busy(box, 2)
    box.configure({"concurrency": 4, "handlers": {"hold": HOLD, "upper": UPPER}}, how="reload")
    busy(box, 4)
    box("touch", "/etc/stint/open")
    assert [box.result(job)["output"] for job in jobs] == ["done\n"] * 5
    assert (box.pid(), restarts(box)) == (before, 0)
    assert "configuration reloaded" in box.journal()
    assert box.show("stintd", "Type") == ("notify" if suite == "bookworm" else "notify-reload")


def test_reload_returns_when_the_new_configuration_is_in_force(box):
    box.configure({"handlers": {}})
    # systemd may send SIGCONT with its signal, so it is not stopped by one
    freeze = "/sys/fs/cgroup/system.slice/stintd.service/stintd/cgroup.freeze"
    box.write(freeze, "1")
    box.write("/etc/stint/stint.yaml", json.dumps({"handlers": {"upper": UPPER}}))
    box("sh", "-c", "(systemctl reload stintd; echo $? > /run/reloaded) > /dev/null 2>&1 &")
    told = wait_until(lambda: box.ok("test", "-s", "/run/reloaded") and "it returned" or
                      box.show("stintd", "ControlPID") != "0" and "it asks", "the reload to begin")
    assert (told, box.ok("test", "-s", "/run/reloaded")) == ("it asks", False)
    box.write(freeze, "0")
    wait_until(lambda: box.ok("test", "-s", "/run/reloaded"), "the reload")
    assert box("cat", "/run/reloaded") == "0\n"
    assert "configuration reloaded" in box.journal()
    assert box.do("upper", "x")["output"] == "X"


def test_reload_of_a_faulty_file_is_told_and_changes_nothing(box):
    box.configure({"handlers": {"upper": UPPER}})
    before = box.pid()
    box.write("/etc/stint/stint.yaml", "concurrency: many\n")
    assert box.run("systemctl", "reload", "stintd").returncode != 0
    assert box.status().startswith("faulty configuration not loaded, 0/2 busy")
    assert "stint.yaml:1:1: concurrency: expected" in box.journal()
    assert box.show("stintd", "ActiveState") == "active"
    assert box.do("upper", "x")["output"] == "X"
    assert (box.pid(), restarts(box)) == (before, 0)
    box.configure({"handlers": {"upper": UPPER}}, how="reload")
    wait_until(lambda: box.status().startswith("0/2 busy"), box.status)


def test_stop_ends_a_job_that_ignores_it_and_hands_it_back(box):
    box.configure({"shutdown_timeout": "500ms", "defaults": {"kill_grace": "500ms"}, "handlers": {
        "deaf": {"command": ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]}}})
    job = box.submit("deaf")
    busy(box, 1)
    box("systemctl", "stop", "stintd")
    assert box.show("stintd", "Result") == "success"
    assert box.show("stintd", "ExecMainStatus") == "0"
    assert not [uid for uid in box("sh", "-c", "stat -c %U /proc/[0-9]*").split() if uid == "stint"]
    assert not box.ok("test", "-e", "/sys/fs/cgroup/system.slice/stintd.service")
    assert box.redis("EXISTS", f"stint:{{default}}:result:{job}") == "0"
    # handed back: it waits, and nobody holds it
    assert box.redis("XLEN", "stint:{default}:jobs") == "1"
    assert box("stintctl", "queues").splitlines()[1].split()[1:3] == ["1", "0"]
    assert "cancelling the jobs that still run" in box.journal()
    box.configure({"handlers": {"deaf": UPPER}}, how="start")
    assert box.result(job)["status"] == "ok"


def test_a_daemon_that_hangs_is_killed_and_started_again(box):
    box.write("/etc/systemd/system/stintd.service.d/watchdog.conf", "[Service]\nWatchdogSec=2\n")
    box("systemctl", "daemon-reload")
    box.configure({"handlers": {"hold": HOLD}})
    job = box.submit("hold")
    busy(box, 1)
    before = box.pid()
    box("touch", "/etc/stint/open")
    box("sh", "-c", f"kill -STOP {before}")
    wait_until(lambda: restarts(box) == 1, "the restart")
    assert "Failed with result 'watchdog'" in box.journal()
    assert box.result(job)["output"] == "done\n"
    assert box.pid() != before
    assert box("find", "/", "-xdev", "-maxdepth", "1", "-name",
               "*core*", "-type", "f") == ""


def test_signs_of_life_keep_an_idle_daemon_alive(box):
    box.write("/etc/systemd/system/stintd.service.d/watchdog.conf", "[Service]\nWatchdogSec=1\n")
    box("systemctl", "daemon-reload")
    box.configure({"handlers": {}})
    signs = {box.show("stintd", "WatchdogTimestampMonotonic")}
    wait_until(lambda: signs.add(box.show("stintd", "WatchdogTimestampMonotonic")) or
               len(signs) >= 6, "signs of life")
    assert restarts(box) == 0


def test_kill_9_loses_no_job(box):
    box.configure({"concurrency": 4, "handlers": {"slow": {
        "command": ["/bin/sh", "-c", "sleep 0.1; cat"]}}})
    jobs = [box.submit("slow", str(n)) for n in range(40)]
    wait_until(lambda: box.redis("EXISTS", f"stint:{{default}}:result:{jobs[4]}") == "1", "a start")
    for kills in (1, 2):
        box("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "stintd")
        wait_until(lambda count=kills: restarts(box) == count and
                   box.show("stintd", "ActiveState") == "active", "the restart")
    # sooner than a lease (30 s) ends: the new one can prove that the old one is gone
    assert [box.result(job, 25)["output"] for job in jobs] == [str(n) for n in range(40)]


def test_the_journal_tells_the_life_of_one_job(box):
    box.configure({"handlers": {"upper": UPPER, "fails": {"retries": 1, "backoff": "10ms", "command": [
        "/bin/sh", "-c", "echo no luck today >&2; exit 3"]}}})
    job, other = box.submit("fails"), box.submit("fails")
    assert (box.result(job)["status"], box.result(other)["status"]) == ("error", "error")
    box("journalctl", "--sync")
    entries = box.entries(f"STINT_JOB_ID={job}")
    last = [entry for entry in entries if "STINT_STATUS" in entry][-1]
    assert last["MESSAGE"].startswith("job failed") and last["_SYSTEMD_UNIT"] == "stintd.service"
    assert last["STINT_STATUS"] == "error"
    assert (last["STINT_QUEUE"], last["STINT_HANDLER"]) == ("default", "fails")
    assert last["STINT_ATTEMPT"] == "2"
    assert {entry["STINT_JOB_ID"] for entry in entries} == {job}
    assert "no luck today" in box("journalctl", "-o", "cat", "--no-pager", f"STINT_JOB_ID={job}")
    assert box.entries(f"MESSAGE_ID={last['MESSAGE_ID']}", f"STINT_JOB_ID={other}")
    # the catalogue explains it
    told = box("journalctl", "-x", "--no-pager", f"STINT_JOB_ID={job}")
    assert f"stintctl dead retry -q default {job}" in told
    # nothing is told of a job that goes well
    well = box.submit("upper", "x")
    assert box.result(well)["status"] == "ok"
    box("journalctl", "--sync")
    assert not box.entries(f"STINT_JOB_ID={well}")


def test_each_job_has_a_control_group_of_its_own(box):
    box.configure({"handlers": {"where": {"command": ["/bin/grep", "^0::", "/proc/self/cgroup"]}}})
    own = "0::/system.slice/stintd.service/"
    groups = [box.do("where")["output"] for _ in range(2)]
    assert all(group.startswith(f"{own}job-") for group in groups)
    assert box("sh", "-c", f"grep '^0::' /proc/{box.pid()}/cgroup").startswith(f"{own}stintd")
    wait_until(lambda: "job-" not in box("ls", "/sys/fs/cgroup/system.slice/stintd.service"),
               "the groups to be removed")


def test_a_faulty_configuration_is_a_failure_and_not_tried_again(box):
    box.write("/etc/stint/stint.yaml", "concurrency: many\n")
    assert not box.ok("systemctl", "restart", "stintd")
    assert box.show("stintd", "ActiveState") == "failed"
    assert box.show("stintd", "ExecMainStatus") == "78"
    assert restarts(box) == 0


def test_instances_have_a_file_each(box):
    box("systemctl", "stop", "stintd")
    box.configure({"queues": ["other"], "handlers": {"upper": UPPER}}, unit="stintd@two",
                  how="start")
    job = box.redis("XADD", "stint:{other}:jobs", "*", "handler", "upper", "payload", "x")
    told = wait_until(lambda: box.redis("GET", f"stint:{{other}}:result:{job}"), "the result")
    assert json.loads(told)["output"] == "X"
    box("systemctl", "reload", "stintd@two")
    box("systemctl", "stop", "stintd@two")
    assert box.show("stintd@two", "Result") == "success"


@pytest.mark.parametrize("unit", ["stintd", "stintd@two"])
def test_the_password_comes_as_a_credential(box, unit):
    secret = "correct-horse-battery"
    name = "redis-password" + ("-two" if "@" in unit else "")
    box("systemctl", "stop", "stintd")
    box.redis("CONFIG", "SET", "requirepass", secret)
    box.write(f"/etc/credstore/{name}", secret + "\n", mode="600")
    box.configure({"redis": {"password_file": name}, "handlers": {
        "environment": {"command": ["/usr/bin/env"]}}}, unit=unit, how="start")
    box.redis("-a", secret, "--no-auth-warning", "XADD", "stint:{default}:jobs", "1-1",
              "handler", "environment")
    told = wait_until(lambda: box.redis("-a", secret, "--no-auth-warning", "GET",
                                        "stint:{default}:result:1-1"), "the result")
    assert json.loads(told)["status"] == "ok"
    # a reload reads it again
    box("systemctl", "reload", unit)
    wait_until(lambda: "configuration reloaded" in box("journalctl", "-u", unit, "--no-pager"),
               "the reload")
    assert secret not in told and "CREDENTIALS" not in told
    assert secret not in box("journalctl", "--no-pager")
    # of processes that end meanwhile there is nothing to read; of the daemon there is
    for where, known in ("cmdline", "/usr/sbin/stintd"), ("environ", "CREDENTIALS_DIRECTORY="):
        seen = box("sh", "-c", f"cat /proc/[0-9]*/{where} 2>/dev/null || true")
        assert known in seen and secret not in seen


def test_an_upgrade_loses_no_job(bare_box):
    box = bare_box
    box.install(folder="/deb/older")
    box.configure({"shutdown_timeout": "1s", "concurrency": 2, "handlers": {
        "hold": HOLD, "slow": {"command": ["/bin/sh", "-c", "sleep 0.05; cat"]}}})
    before = box.pid()
    held = [box.submit("hold") for _ in range(2)]
    busy(box, 2)
    rest = [box.submit("slow", str(n)) for n in range(20)]
    box.install()
    assert not box("dpkg-query", "-W", "-f", "${Version}", "stintd").startswith("0.0.9")
    assert box.show("stintd", "ActiveState") == "active"
    assert box.pid() != before
    box("touch", "/etc/stint/open")
    assert [box.result(job)["output"] for job in held] == ["done\n"] * 2
    assert [box.result(job)["output"] for job in rest] == [str(n) for n in range(20)]


def test_an_upgrade_restarts_the_instances_that_run_and_loses_no_job(bare_box):
    box = bare_box
    box.install(folder="/deb/older")
    config = {"queues": ["other"], "shutdown_timeout": "1s", "handlers": {"hold": HOLD}}
    box.configure(config, unit="stintd@two", how="start")
    box.write("/etc/stint/idle.yaml", json.dumps(config))
    before = box.show("stintd@two", "MainPID")
    job = box.redis("XADD", "stint:{other}:jobs", "*", "handler", "hold")
    wait_until(lambda: box.show("stintd@two", "StatusText").startswith("1/2 busy"), "the job")
    box.install()
    assert box.show("stintd@two", "ActiveState") == "active"
    assert box.show("stintd@two", "MainPID") not in (before, "0")
    assert box.show("stintd@idle", "ActiveState") == "inactive"
    box("touch", "/etc/stint/open")
    told = wait_until(lambda: box.redis("GET", f"stint:{{other}}:result:{job}"), "the result")
    assert (json.loads(told)["output"], json.loads(told)["attempt"]) == ("done\n", 1)


# What the system itself writes, and the files that also hold the other users.
NOT_OURS = ("/var/log/", "/var/lib/dpkg/", "/var/cache/", "/var/lib/systemd/", "/var/tmp/",
            "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid",
            "/etc/subgid", "/etc/.pwd.lock", "/var/lib/redis/", "/var/lib/valkey/", "/tmp/")


def files(box):
    found = box("find", "/", "-xdev", "-not", "-path", "/proc/*", "-not", "-path", "/sys/*",
                "-not", "-path", "/run/*", "-not", "-path", "/dev/*").splitlines()
    return {path for path in found if not path.startswith(NOT_OURS)}


def test_a_purge_leaves_nothing(bare_box):
    box = bare_box
    before = files(box)
    box.install()
    box("install", "-D", "/usr/share/stint/systemd/files.conf",
        "/run/systemd/system/stintd.service.d/files.conf")
    box("systemctl", "daemon-reload")
    box.configure({"handlers": {"keep": {"command": ["/bin/sh", "-c", "echo > /var/lib/stint/x"]}}})
    box.configure({}, unit="stintd@two", how="enable")
    box("systemctl", "start", "stintd@two")
    assert box.do("keep")["status"] == "ok"
    assert files(box) - before
    box("rm", "-r", "/run/systemd/system/stintd.service.d")
    box("dpkg", "-P", "stintd")
    # a configuration that the package did not bring stays, as root's alone
    assert files(box) - before == {"/etc/stint", "/etc/stint/two.yaml"}
    assert box("stat", "-c", "%U:%G", "/etc/stint/two.yaml").strip() == "root:root"
    box("rm", "-r", "/etc/stint")
    assert files(box) == before
    assert "stint" not in box("cat", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")
    assert box.show("stintd@two", "LoadState") == "not-found"
    assert box.show("stintd", "LoadState") == "not-found"
    assert "stint" not in box("ls", "-R", "/var/lib/systemd", "/run/systemd/system")
    assert not box.ok("test", "-e", "/sys/fs/cgroup/system.slice/stintd.service")


def test_a_purge_leaves_a_user_that_is_needed(bare_box):
    box = bare_box
    box.install()
    box("sh", "-c", "setpriv --reuid=stint --clear-groups sleep 600 > /dev/null 2>&1 & ")
    wait_until(lambda: "stint" in box("sh", "-c", "stat -c %U /proc/[0-9]*"), "the process")
    box("systemctl", "stop", "stintd")
    box("dpkg", "-P", "stintd")
    assert box.ok("getent", "passwd", "stint")


def test_a_purge_leaves_a_user_that_was_there_before(bare_box):
    box = bare_box
    box("useradd", "--system", "--user-group", "--comment", "somebody", "stint")
    box.install()
    assert box("stat", "-c", "%U", f"/proc/{box.pid()}").strip() == "stint"
    box("dpkg", "-P", "stintd")
    assert "somebody" in box("getent", "passwd", "stint") and box.ok("getent", "group", "stint")

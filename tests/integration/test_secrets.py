"""The Redis password is nowhere to be seen: arguments, environments, log, results, output."""
import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
from gates import status_of
from util import REDIS_SERVER, STINTCTL, STINTD, Daemon, Redis, run, submit, wait_until

SECRET = "s3cr3t.of-the-Redis"
OTHER = "an0ther.of-the-Redis"
SHOWN = "tr '\\0' '\\n' < /proc/self/environ; tr '\\0' ' ' < /proc/$PPID/cmdline"
HANDLERS = {
    "show": {"command": ["sh", "-c", SHOWN]},
    "fail": {"command": ["sh", "-c", f"{{ {SHOWN}; }} >&2; exit 1"]},
    "sleep": {"command": ["sleep", "1000"]},
    "idle": {"worker": ["/usr/bin/python3", str(Path(__file__).with_name("worker.py"))]},
}
# name: (keys of `redis`, environment)
WAYS = {
    "url": ({"url": "unix://:{secret}@{sock}"}, {}),
    "url with user": ({"url": "unix://app:{secret}@{sock}"}, {}),
    "whole url by variable": ({"url": "${{REDIS_URL}}"}, {"REDIS_URL": "unix://:{secret}@{sock}"}),
    "password by variable": ({"url": "unix://:${{REDIS_PW}}@{sock}"}, {"REDIS_PW": "{secret}"}),
    "file": ({"url": "unix://{sock}", "password_file": "{folder}/pw"}, {}),
    "file beside": ({"url": "unix://{sock}", "password_file": "pw"}, {}),
    "credential": ({"url": "unix://{sock}", "password_file": "pw"},
                   {"CREDENTIALS_DIRECTORY": "{folder}/credentials"}),
}


class Locked(Redis):
    """Lets in who has the password, as `default` and as `app`."""

    def __init__(self, folder):
        self.password = SECRET
        super().__init__(folder)
        self.start("--requirepass", SECRET)
        self.lock(SECRET)

    def lock(self, secret):
        """From now on this is the password."""
        with contextlib.closing(self.client()) as client:
            client.acl_setuser("app", enabled=True, reset=True, passwords=["+" + secret],
                               keys=["*"], channels=["*"], categories=["+@all"])
            client.config_set("requirepass", secret)
        self.password = secret

    def client(self, **options):
        return super().client(password=self.password, **options)


@pytest.fixture
def redis(folder):
    server = Locked(folder)
    yield server
    server.stop()


class Planted:
    """A daemon that has been given the password in one of the ways."""

    def __init__(self, way, redis):
        self.keys, self.env = WAYS[way]
        self.daemon = Daemon(redis.folder, redis.url, "")
        self.names = {"sock": redis.sock, "folder": redis.folder}
        for name in "pw", "credentials/pw":
            path = redis.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(SECRET + "\n")
        self.daemon.env.update(self.fill(self.env))
        self.configure()

    def fill(self, texts, secret=SECRET):
        return {name: text.format(secret=secret, **self.names) for name, text in texts.items()}

    def configure(self, secret=SECRET, **more):
        self.daemon.write_config({"redis": self.fill(self.keys, secret), "handlers": HANDLERS,
                                  "log": {"level": "debug"}, "shutdown_timeout": "0s", **more})


@pytest.fixture(params=WAYS)
def planted(request, redis):
    there = Planted(request.param, redis)
    yield there
    if there.daemon.process and there.daemon.process.poll() is None:
        there.daemon.stop()
    there.daemon.check_clean()
    there.daemon.close()


def arguments(daemon):
    """Of the daemon and all that came from it, one below the other."""
    parents = {int(pid): status_of(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    family = [daemon.process.pid]
    for pid in family:
        family += [child for child, status in parents.items() if status and status[2] == pid]
    lines = []
    for pid in family:
        with contextlib.suppress(OSError):
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
    return b"\n".join(lines)


def assert_hidden(text, *secrets):
    text = text if isinstance(text, str) else text.decode(errors="replace")
    for secret in secrets or (SECRET, OTHER):
        assert secret not in text


def test_daemon_hides_it(planted, redis, client):
    daemon = planted.daemon.start()
    for handler in "show", "fail":
        answer = run(client, handler)
        shown = answer["output"] + answer.get("stderr", "")
        assert "STINT_JOB_ID=" in shown and "stintd --config" in shown
    submit(client, "sleep")
    run(client, "idle", "pid")
    wait_until(lambda: b"sleep 1000" in arguments(daemon), "sleep")
    assert b"worker.py" in arguments(daemon)
    assert_hidden(arguments(daemon))
    daemon.signal(signal.SIGUSR1)
    daemon.wait_log(" job runs ")
    planted.configure(OTHER)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration reloaded")
    for rubbish in ("redis: {sock}", "redis:\n  {sock}: 1", "redis: {{ urls: '{sock}' }}", "{sock}",
                    "redis: {{ url: {sock} }}}}", "redis: {{ url: 'http{sock}' }}",
                    "prefix: '{sock}'", "redis: {{ password: {secret} }}",
                    "redis: {{ password_file: {secret} }}", "{secret}"):
        daemon.write_config(rubbish.format(sock=f"unix://:{SECRET}@{redis.sock}", secret=SECRET))
        faults = daemon.log().count("configuration not reloaded")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count("configuration not reloaded") > faults, "faults")
        done = subprocess.run([STINTD, "--check", "--config", daemon.config_path],
                              capture_output=True, cwd=daemon.folder, env=daemon.env)
        assert done.returncode == 78
        assert_hidden(done.stdout + done.stderr)
    planted.configure()
    redis.lock(OTHER)
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    daemon.wait_log("redis does not let us in")
    redis.lock(SECRET)
    daemon.wait_log("redis is back")
    assert_hidden(str(client.client_list()))
    for name in client.keys("stint:*result*"):
        assert_hidden(client.get(name))
    daemon.stop()
    assert_hidden(daemon.log())


def test_environments_of_handlers_do_not_have_it(planted, redis, client):
    daemon = planted.daemon.start()
    for handler in "show", "fail":
        answer = run(client, handler)
        text = answer["output"] + answer.get("stderr", "")
        assert "PATH=" in text
        assert_hidden(text)
        assert "CREDENTIALS_DIRECTORY" not in text
    pid = int(run(client, "idle", "pid")["output"])
    assert_hidden(Path(f"/proc/{pid}/environ").read_bytes())
    daemon.stop()


def test_failed_start_hides_it(planted, redis):
    redis.lock(OTHER)
    planted.configure(start_timeout="300ms")
    daemon = planted.daemon.start(wait=False)
    assert daemon.wait_end() == 69
    assert "WRONGPASS" in daemon.log()
    assert_hidden(daemon.log())


def occurrences(pid, secret):
    """How often it stands in the memory that the process can write to."""
    count = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, rights, *_ = line.split()
            begin, end = (int(x, 16) for x in span.split("-"))
            # what is larger is a sanitizer's notes
            if rights.startswith("rw") and end - begin < 1 << 30:
                with contextlib.suppress(OSError):
                    memory.seek(begin)
                    count += memory.read(end - begin).count(secret)
    return count


@pytest.mark.parametrize("way", ["file", "credential"])
def test_memory_has_it_only_where_it_is_used(way, redis, client):
    planted = Planted(way, redis)
    daemon = planted.daemon.start()
    assert run(client, "show")["status"] == "ok"
    # the configuration, and each of the three connections, which connect again with it
    assert occurrences(daemon.process.pid, SECRET.encode()) == 4
    for reloads in range(1, 4):
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count("configuration reloaded") == reloads, "reload")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    daemon.wait_log("redis is back")
    # and the configuration of the start, which is kept to the end
    assert occurrences(daemon.process.pid, SECRET.encode()) == 5
    daemon.stop()
    daemon.close()


def test_arguments_of_dev_do_not_have_it(redis):
    daemon = Daemon(redis.folder, redis.url, {"redis": {"url": f"unix://:{SECRET}@{redis.sock}"},
                                              "handlers": HANDLERS})
    daemon.start(args=["--dev"])
    assert REDIS_SERVER.encode() in arguments(daemon)
    assert_hidden(arguments(daemon))
    daemon.stop()
    daemon.close()
    assert_hidden(daemon.log())


@pytest.mark.parametrize("args", [["URL"], ["--redis", "URL"], ["--redis=URL"], ["--check", "URL"]])
def test_stintd_does_not_repeat_a_url(args):
    args = [arg.replace("URL", f"redis://app:{SECRET}@localhost/0") for arg in args]
    done = subprocess.run([STINTD, *args], capture_output=True, timeout=60)
    assert done.returncode == 64
    assert_hidden(done.stderr + done.stdout)


# ---- stintctl ----

def ctl_ways(way, secret, sock):
    url = f"unix://:{secret}@{sock}"
    return {"option": (["--redis", url], {}), "option=": ([f"--redis={url}"], {}),
            "variable": ([], {"STINT_REDIS": url})}[way]


@pytest.mark.parametrize("way", ["option", "option=", "variable"])
def test_stintctl_hides_it(way, redis, client):
    base = {name: text for name, text in os.environ.items() if not name.startswith("STINT_")}

    def ctl(secret, sock, *args):
        more, env = ctl_ways(way, secret, sock)
        done = subprocess.run([STINTCTL, *args, *more, "--prefix", "stint"], env={**base, **env},
                              capture_output=True, timeout=60)
        assert_hidden(done.stdout + done.stderr)
        return done

    for options in [], ["--json"]:
        assert ctl(SECRET, redis.sock, "queues", *options).returncode == 0
        assert ctl(SECRET, redis.sock, "submit", "show", "x", *options).returncode == 0
        assert ctl(OTHER, redis.sock, "queues", *options).returncode == 69
        assert ctl(SECRET, redis.sock + "x", "queues", *options).returncode == 69
        assert ctl(SECRET, "localhost:1", "queues", *options).returncode in (64, 78)


@pytest.mark.parametrize("way", ["file", "credential", "url", "password by variable"])
def test_stintctl_hides_what_the_configuration_has(way, redis, client):
    planted = Planted(way, redis)
    env = {name: text for name, text in planted.daemon.env.items()
           if not name.startswith("STINT_")}
    for secret, code in ((SECRET, 0), (OTHER, 69)):
        (redis.folder / "pw").write_text(secret)
        (redis.folder / "credentials/pw").write_text(secret)
        env.update(planted.fill(planted.env, secret))
        planted.configure(secret)
        done = subprocess.run([STINTCTL, "--config", planted.daemon.config_path, "queues"], env=env,
                              capture_output=True, timeout=60)
        assert done.returncode == code
        assert_hidden(done.stdout + done.stderr)
    planted.daemon.close()


@pytest.mark.parametrize("args", [
    ["URL"], ["--rediss=URL", "queues"], ["--prefix", "URL", "queues"], ["result", "URL"],
    ["submit", "h", "-q", "URL"], ["submit", "h", "--delay", "URL"], ["--redis", "http://URL"],
    ["queues", "--redis", "URLx"], ["submit", "h", "-x", "URL"]])
def test_stintctl_does_not_repeat_a_url_at_the_wrong_place(args):
    args = [arg.replace("URL", f"redis://app:{SECRET}@localhost:1x") for arg in args]
    done = subprocess.run([STINTCTL, *args], capture_output=True, timeout=60)
    assert done.returncode == 64
    assert_hidden(done.stderr + done.stdout)


def test_arguments_of_stintctl_lose_it(redis, client):
    args = ["wait", "none", "--prefix", "stint", "--redis"]
    process = subprocess.Popen([STINTCTL, *args, f"unix://:{SECRET}@{redis.sock}"])
    try:
        wait_until(lambda: any(c["name"] == "stintctl" for c in client.client_list()), "connected")
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert_hidden(line)
        assert redis.sock.encode() in line
    finally:
        process.kill()
        process.wait()

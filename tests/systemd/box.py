"""A small system with a systemd of its own, booted in a container.

    with Box(root, binds={"/deb": folder}) as box:
        box("systemctl", "start", "stintd")

What it writes is gone with it: the root lies below an overlay in memory. It has no network but
its own loopback, and nothing of the host's changes. It is driven by entering its namespaces, as
nothing listens in it that could be asked. Needs root.
"""
import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PATIENCE_S = 60
PR_SET_PDEATHSIG = 1
SIGRTMIN = signal.SIGRTMIN
HALT = SIGRTMIN + 3  # what systemd(1) takes for `systemctl halt`

# The container's own flags, each for a reason:
FLAGS = [
    # no D-Bus and no machined on the host is needed, or asked
    "--register=no", "--keep-unit",
    # the root is read only, what is written lies in memory
    "--volatile=overlay",
    "--private-network", "--private-users=no",
    # without it IPAddressDeny= and DevicePolicy= are silently not enforced
    "--system-call-filter=bpf",
    "--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe",
]
ENVIRONMENT = {
    # cgroup 2 inside, whatever the host has: units may have cgroups of their own
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_NSPAWN_LOCK": "0",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
}
INSIDE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "",
          "SYSTEMD_COLORS": "0", "DEBIAN_FRONTEND": "noninteractive"}


def wait_until(condition, what, timeout_s=PATIENCE_S):
    """Returns the first true value of condition()."""
    until = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout_s} s for {what() if callable(what) else what}")
        time.sleep(0.05)
    return value


def end_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Box:
    def __init__(self, root, binds=None):
        self.root = Path(root)
        self.binds = binds or {}
        self.cgroups = []
        self.process = None
        self.init = 0

    # ---- life ----

    def __enter__(self):
        name = f"stint-box-{os.getpid()}-{time.monotonic_ns() % 1000000}"
        self.log = tempfile.TemporaryFile()
        # without one of its own it would share the host's, with all other boxes
        for hierarchy in ("systemd", "unified", "."):
            folder = Path("/sys/fs/cgroup") / hierarchy
            if (folder / "cgroup.procs").exists():
                (folder / name).mkdir()
                self.cgroups.append(folder / name)
        if not self.cgroups:
            raise RuntimeError("no cgroup hierarchy to boot a system in, at /sys/fs/cgroup")

        def move_in():
            end_with_parent()
            for cgroup in self.cgroups:
                (cgroup / "cgroup.procs").write_text(str(os.getpid()))

        binds = [f"--bind-ro={there}:{here}" for here, there in self.binds.items()]
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={name}",
             "--boot", f"--kill-signal={int(HALT)}", *FLAGS, *binds],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=ENVIRONMENT,
            preexec_fn=move_in)
        try:
            self.init = wait_until(self._find_init, self._why_not)
            wait_until(lambda: self.ok("test", "-S", "/run/systemd/private"), self._why_not)
            self("timeout", str(PATIENCE_S), "systemctl", "is-system-running", "--wait",
                 check=False)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _children(self, pid):
        with contextlib.suppress(OSError):
            return [int(child) for child in
                    Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def _find_init(self):
        """The container's own first process, under one or two of nspawn's."""
        assert self.process.poll() is None, self._why_not()
        for child in self._children(self.process.pid):
            for pid in [child, *self._children(child)]:
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                        return pid
        return 0

    def _why_not(self):
        self.log.seek(0)
        return "the box to boot\n" + self.log.read().decode(errors="replace")

    def __exit__(self, *_):
        if self.init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, HALT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for cgroup in self.cgroups:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                os.rmdir(folder)
        self.log.close()

    # ---- use ----

    def __call__(self, *command, check=True, input=None, timeout_s=PATIENCE_S):
        """Runs a command inside; returns what it printed to standard output."""
        done = self.run(*command, input=input, timeout_s=timeout_s)
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *command, input=None, timeout_s=PATIENCE_S):
        return subprocess.run(
            ["nsenter", f"--target={self.init}", "--mount", "--uts", "--ipc", "--net", "--pid",
             "--cgroup", "--", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=INSIDE,
            input=input if input is not None else "", timeout=timeout_s)

    def ok(self, *command):
        return self.run(*command).returncode == 0

    def write(self, path, text, mode=None):
        self("sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path, input=text)
        if mode:
            self("chmod", mode, path)

    def show(self, unit, what):
        """One property of a unit."""
        return self("systemctl", "show", "--value", f"--property={what}", unit).strip()

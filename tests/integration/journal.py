"""A journald of the test, and daemons that find its socket where systemd has it."""
import contextlib
import os
import socket
import tempfile
import threading
from pathlib import Path

from util import STINTD, Daemon, wait_until

# /run of their own for a daemon and what it starts; "exec" keeps the process id.
_SCRIPT = """#!/bin/sh
set -eu
if [ "${{IN_NAMESPACE-}}" = "" ]; then
    [ "$(id -u)" = 0 ] && map= || map=--map-root-user
    IN_NAMESPACE=1 exec unshare $map --mount --propagation unchanged "$0" "$@"
fi
unset IN_NAMESPACE
# told at the namespace's root, since that of a chroot is no mount point
nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal
mount --bind {folder} /run/systemd/journal
exec {stintd} "$@"
"""


def parse(datagram):
    """The fields of an entry, see https://systemd.io/JOURNAL_NATIVE_PROTOCOL/"""
    fields, rest = {}, datagram
    while rest:
        line, _, rest = rest.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, end, rest = rest[8:8 + length], rest[8 + length:9 + length], rest[9 + length:]
            assert len(value) == length and end == b"\n"
        assert name.decode() not in fields
        fields[name.decode()] = value.decode(errors="backslashreplace")
    return fields


class Journal:
    """Takes entries as they come, unless it is told to be stuck."""

    def __init__(self, folder):
        self.folder = Path(folder) / "journal"
        self.folder.mkdir()
        self.entries = []
        self.socket = None
        self.daemons = []

    def listen(self):
        self.bind()
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def bind(self):
        """Is there, and reads nothing."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.folder / "socket"))

    def read(self):
        """Begin to read after all."""
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        with contextlib.suppress(OSError):
            while datagram := self.socket.recv(1 << 20):
                self.entries.append(parse(datagram))

    def start(self, url, config, stream="stderr"):
        """A daemon in reach of this journal; stream: what JOURNAL_STREAM names."""
        folder = Path(tempfile.mkdtemp(prefix="d-", dir=self.folder.parent))
        program = folder / "stintd-here"
        program.write_text(_SCRIPT.format(folder=self.folder, stintd=STINTD))
        program.chmod(0o755)
        daemon = Daemon(folder, url, config)
        daemon.program = program
        daemon.log_path.touch()
        at = os.stat(daemon.log_path if stream == "stderr" else folder)
        daemon.env["JOURNAL_STREAM"] = f"{at.st_dev}:{at.st_ino}"
        self.daemons.append(daemon)
        return daemon.start()

    def having(self, **fields):
        return [entry for entry in list(self.entries)
                if all(entry.get(name) == str(value) for name, value in fields.items())]

    def settled(self):
        """All that was sent before: what is sent now comes behind it."""
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as last:
            last.sendto(b"LAST=1\n", str(self.folder / "socket"))
        self.wait(LAST=1)
        return [entry for entry in self.entries if "LAST" not in entry]

    def wait(self, count=1, **fields):
        """The first entries that have these fields."""
        return wait_until(lambda: len(self.having(**fields)) >= count and self.having(**fields),
                          f"{count} journal entries with {fields}")

    def close(self):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.stop()
            daemon.check_clean()
            daemon.close()
        if self.socket:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

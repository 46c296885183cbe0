"""Redis' append-only file: its steps in order, and its end put right after a kill.

Redis writes what a script or a transaction changed as single commands between MULTI and
EXEC; together they are one step.

A kill may tear the last write. Redis (7.0.15; see valkey-io/valkey#4342) cuts the torn command
off when it starts, but leaves the MULTI before it. All that follows then belongs to that
transaction: the next restart loses it, or carries out a half of a step. So the end is cut
here before that, as `redis-check-aof --fix` does: what is tested are the daemons, on a Redis
that keeps what it has answered.
"""
from pathlib import Path


def scan(data):
    """Each whole command, and where it ends; a torn one at the end ends it."""
    at, end = 0, len(data)
    while at < end:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return
        if data[at:at + 1] == b"#":  # a time stamp
            at = line_end + 2
            continue
        command, next_at = [], line_end + 2
        for _ in range(int(data[at + 1:line_end])):
            line_end = data.find(b"\r\n", next_at)
            if line_end < 0:
                return
            begin = line_end + 2
            next_at = begin + int(data[next_at + 1:line_end]) + 2
            if next_at > end:
                return
            command.append(data[begin:next_at - 2])
        yield command, next_at
        at = next_at


def steps(data):
    """Each whole step, a list of commands, and where it ends."""
    step = None
    for command, end in scan(data):
        verb = command[0].upper()
        if verb == b"MULTI":
            if step is not None:
                raise ValueError(f"a transaction before {end} was not ended: what follows is lost")
            step = []
        elif verb == b"EXEC":
            yield step, end
            step = None
        elif step is not None:
            step.append(command)
        else:
            yield [command], end


class AppendOnlyFile:
    """The file of a Redis that never rewrites it, read bit by bit."""

    def __init__(self, folder):
        self.path = Path(folder, "appendonlydir", "appendonly.aof.1.incr.aof")
        self.read_bytes = 0

    def more(self):
        """The steps that were added since the last call."""
        with open(self.path, "rb") as file:
            file.seek(self.read_bytes)
            data = file.read()
        begin = self.read_bytes
        for step, end in steps(data):
            yield step
            self.read_bytes = begin + end

    def cut_torn_end(self):
        """After a kill, and more(): only whole steps stay. Returns whether one was torn."""
        size = self.path.stat().st_size
        with open(self.path, "r+b") as file:
            file.truncate(self.read_bytes)
        return size > self.read_bytes

"""A proxy before Redis that can put commands in place of others, cut, stall and refuse."""
import contextlib
import socket
import threading
from pathlib import Path


def error(text):
    """A command that Redis answers with this error: the replies stay in order."""
    return [b"EVAL", b"return redis.error_reply(ARGV[1])", b"0", text.encode()]


def encode(command):
    return b"*%d\r\n" % len(command) + b"".join(
        b"$%d\r\n%s\r\n" % (len(word), word) for word in command)


def take_command(data):
    """Takes one whole command off the front of a bytearray; None when it is not all there."""
    lines = bytes(data[:32]).split(b"\r\n", 1)
    if len(lines) < 2:
        return None
    at = len(lines[0]) + 2
    command = []
    for _ in range(int(lines[0][1:])):
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(data[at + 1:end])
        at = end + 2 + size + 2
        if len(data) < at:
            return None
        command.append(bytes(data[end + 2:at - 2]))
    del data[:at]
    return command


class _Pair:
    """One connection and its counterpart."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(proxy.target)
        self.budget = {"up": None, "down": None}
        self.threads = [threading.Thread(target=pump, daemon=True)
                        for pump in (self.pump_up, self.pump_down)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def _send(self, way, to, data):
        """False when this was where it had to be cut."""
        left = self.budget[way]
        if left is not None and left < len(data):
            to.sendall(data[:left])
            return False
        if left is not None:
            self.budget[way] = left - len(data)
        to.sendall(data)
        return True

    def pump_up(self):
        data = bytearray()
        with contextlib.suppress(OSError):
            while chunk := self.client.recv(65536):
                data += chunk
                while command := take_command(data):
                    self.proxy.open_up.wait()
                    command = self.proxy.see(self, command)
                    if not self._send("up", self.server, encode(command)):
                        self.cut()
                        return
        if not self.proxy.keeps_half_open:
            self.cut()

    def pump_down(self):
        with contextlib.suppress(OSError):
            while chunk := self.server.recv(65536):
                self.proxy.open_down.wait()
                if not self._send("down", self.client, chunk):
                    break
        self.cut()

    def cut(self):
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.cut()
        for thread in self.threads:
            thread.join()
        self.client.close()
        self.server.close()


class Proxy:
    """Listens on a socket of its own; url is what a daemon is told."""

    def __init__(self, folder, redis):
        self.target = redis.sock
        self.path = str(Path(folder) / "proxy.sock")
        self.url = f"unix://{self.path}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.pairs = []
        self.commands = []  # the names of all that went through
        self.tries = 0  # connections made or refused
        self.replacements = {}  # name of a command: the command to send in its place
        self.cut_at = None  # (name, way, bytes): once, so far behind this command
        self.cuts = 0
        self.is_refusing = False
        self.keeps_half_open = False
        self.open_up = threading.Event()  # cleared: nothing passes
        self.open_down = threading.Event()
        self.open_up.set()
        self.open_down.set()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.tries += 1
            try:
                if self.is_refusing:
                    raise OSError("refused")
                pair = _Pair(self, client)
            except OSError:
                client.close()
                continue
            self.pairs.append(pair)
            pair.start()

    def see(self, pair, command):
        """What is sent to Redis in place of this command."""
        name = command[0].upper()
        self.commands.append(name)
        if self.cut_at and self.cut_at[0] == name:
            _, way, size = self.cut_at
            self.cut_at = None
            self.cuts += 1
            pair.budget[way] = size
        return self.replacements.get(name, command)

    def cut(self):
        """Cuts all connections, as a router that restarts."""
        for pair in list(self.pairs):
            pair.cut()

    def lose_clients(self):
        """The clients lose their connections; Redis does not hear of it."""
        self.keeps_half_open = True
        for pair in list(self.pairs):
            with contextlib.suppress(OSError):
                pair.client.shutdown(socket.SHUT_RDWR)

    def stall(self, *ways):
        for way in ways:
            (self.open_up if way == "up" else self.open_down).clear()

    def go_on(self):
        self.open_up.set()
        self.open_down.set()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        self.go_on()
        for pair in self.pairs:
            pair.close()

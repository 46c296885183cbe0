#!/usr/bin/python3
"""The links between the daemons and Redis: one small TCP proxy, a port for each daemon.

It runs as a process of its own (the work of the test must not slow it down) and is told
by lines on standard input what becomes of a link; each is answered by one line. Links,
below, is the other end of that.

    cut I            all connections of link I end, on both sides
    cut-after I WAY N  the next connection that sends something ends N bytes later, up or down
    forget I         a cut-after that has not come to its end does not take place
    lose I           the daemon loses its connections, Redis does not hear of it
    mute I           nothing passes any more, nobody is told
    is-given-up I    yes: the daemon has closed a muted connection, or had none
    drop I           ends a mute; what was on its way is lost
    deliver I        ends a mute; what was on its way arrives, late
    count I          connections made so far
"""
import contextlib
import json
import selectors
import socket
import struct
import subprocess
import sys

CHUNK_BYTES = 65536
GIVEN_UP = (7, 8)  # states of TCP: CLOSE, it was reset; CLOSE_WAIT, the other side has closed
TCP_INFO_STATE_ONLY = 1


class Pair:
    """One connection of a daemon and its counterpart at Redis."""

    def __init__(self, proxy, link, client):
        self.selector, self.link, self.client = proxy.selector, link, client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(proxy.target)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.watched = set()
        self.is_lost = False  # the daemon's side is gone, Redis' side stands
        self.budget = {"up": None, "down": None}

    def read(self, wanted):
        for way in ("down",) if self.is_lost else ("up", "down"):
            self._watch(way, wanted)

    def _watch(self, way, wanted):
        end = self.client if way == "up" else self.server
        if wanted and way not in self.watched:
            self.watched.add(way)
            self.selector.register(end, selectors.EVENT_READ, (self, way))
        elif not wanted and way in self.watched:
            self.watched.remove(way)
            self.selector.unregister(end)

    def pump(self, way):
        here, there = (self.client, self.server)[::1 if way == "up" else -1]
        is_end = False
        try:
            chunk = here.recv(CHUNK_BYTES)
            left = self.budget[way]
            if left is not None:
                self.budget[way] = left - len(chunk)
                is_end = left <= len(chunk)
                chunk = chunk[:left]
            is_end |= not chunk
            if not self.is_lost:
                there.sendall(chunk)
        except OSError:
            is_end = True
        if is_end:
            self.close()

    def lose_client(self):
        if not self.is_lost:
            self._watch("up", False)
            self.is_lost = True
            self.client.close()

    def is_given_up(self):
        info = self.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO,
                                      TCP_INFO_STATE_ONLY)
        return info[0] in GIVEN_UP

    def close(self):
        self.read(False)
        self.client.close()
        self.server.close()
        self.link.pairs.discard(self)


class Link:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.pairs = set()
        self.is_muted = False
        self.muted = set()  # the pairs that were there when it was
        self.budget = None  # (way, bytes) for the connection that next sends something
        self.made = 0


class Proxy:
    def __init__(self, target, count):
        self.target = target
        self.selector = selectors.DefaultSelector()
        self.links = [Link() for _ in range(count)]
        for link in self.links:
            self.selector.register(link.listener, selectors.EVENT_READ, (link, "accept"))

    def accept(self, link):
        client, _ = link.listener.accept()
        try:
            pair = Pair(self, link, client)
        except OSError:  # Redis is not there
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        link.pairs.add(pair)
        link.made += 1
        pair.read(not link.is_muted)

    def take(self, pair, way):
        link = pair.link
        if link.budget and link.budget[0] == way and not pair.is_lost:
            pair.budget[way] = link.budget[1]
            link.budget = None
        pair.pump(way)

    def obey(self, verb, link, *more):
        if verb == "cut-after":
            link.budget = (more[0], int(more[1]))
        elif verb == "forget":
            link.budget = None
            for pair in link.pairs:
                pair.budget = {"up": None, "down": None}
        elif verb == "is-given-up":
            is_given_up = not link.muted or any(pair.is_given_up() for pair in link.muted)
            return "yes" if is_given_up else "no"
        elif verb == "count":
            return str(link.made)
        elif verb == "mute":
            link.is_muted = True
            link.muted = {pair for pair in link.pairs if not pair.is_lost}
            for pair in link.pairs:
                pair.read(False)
        elif verb == "deliver":
            link.is_muted = False
            for pair in link.pairs:
                pair.read(True)
        else:
            link.is_muted = False
            for pair in list(link.pairs):
                pair.lose_client() if verb == "lose" else pair.close()
        return "done"

    def run(self):
        print(json.dumps([link.listener.getsockname()[1] for link in self.links]), flush=True)
        self.selector.register(sys.stdin, selectors.EVENT_READ, (None, "order"))
        while True:
            for key, _ in self.selector.select():
                what, way = key.data
                if way == "order":
                    line = sys.stdin.readline()
                    if not line:
                        return
                    verb, link, *more = line.split()
                    print(self.obey(verb, self.links[int(link)], *more), flush=True)
                elif way == "accept":
                    self.accept(what)
                elif way in what.watched:  # not ended by another event of this round
                    self.take(what, way)


class Links:
    """The proxy as the test has it: ask("cut", 2)."""

    def __init__(self, target, count):
        self.process = subprocess.Popen(
            [sys.executable, __file__, target, str(count)], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports = json.loads(self.process.stdout.readline())

    def url(self, link):
        return f"redis://127.0.0.1:{self.ports[link]}"

    def ask(self, verb, link, *more):
        self.process.stdin.write(" ".join(map(str, (verb, link, *more))) + "\n")
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise RuntimeError("the proxy has ended")
        return answer

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    Proxy(sys.argv[1], int(sys.argv[2])).run()

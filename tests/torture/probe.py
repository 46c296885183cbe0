#!/usr/bin/python3
"""Asks Redis all the time, by way of a link of its own, and writes down when nobody answers.

    probe.py PORT LATE_MS FILE

The machine is what daemons are tested on, not what is tested: where it has no time for Redis,
the links or a process that wants to ask, a daemon may lose a lease, too. One line to FILE for
each time without an answer that was longer than LATE_MS: BEGIN END, monotonic ms.
"""
import contextlib
import socket
import sys
import time

PAUSE_S = 0.01


def now_ms():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


def answers(sock):
    """Yields after each answer, until the connection ends."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        sock.sendall(b"PING\r\n")
        if sock.recv(64) != b"+PONG\r\n":  # LOADING: it is not there yet
            return
        yield
        time.sleep(PAUSE_S)


def probe(port, late_ms, told):
    last_ms = now_ms()
    while True:
        with contextlib.suppress(OSError), \
                socket.create_connection(("127.0.0.1", port)) as sock:
            for _ in answers(sock):
                now = now_ms()
                if now - last_ms > late_ms:
                    print(last_ms, now, file=told, flush=True)
                last_ms = now
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    with open(sys.argv[3], "w", encoding="ascii") as file:
        probe(int(sys.argv[1]), int(sys.argv[2]), file)

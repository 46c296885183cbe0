"""What a handler can do to its process, its parent and its pipes; for commands and workers.

    crimes.py NAME [ARGUMENT]
"""
import os
import signal
import sys
import time


def segfault(_):
    import ctypes
    ctypes.string_at(1)


def abort(_):
    os.abort()


def exits(_):
    os._exit(0)


def eats(_):
    """Memory, in steps, until there is no more."""
    eaten = []
    try:
        while True:
            eaten.append(bytearray(1 << 20))
    except MemoryError:
        os._exit(1)


def bombs(_):
    """Every process starts others, and none heeds anything."""
    ignore_all()
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def ignore_all():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass  # the C library's own


def ignores(_):
    ignore_all()
    while True:
        time.sleep(60)


def spins(_):
    """Heeds nothing, and is never at rest."""
    ignore_all()
    while True:
        pass


def closes(_):
    os.closerange(0, 1024)
    time.sleep(60)


def stops(_):
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def kills_group(_):
    os.killpg(0, signal.SIGKILL)


def kills_parent_group(_):
    os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
    time.sleep(60)


def kills_parent(_):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def stops_parent(_):
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(60)


def daemonizes(path):
    """Leaves a grandchild in a session of its own, with all pipes, also as other numbers."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in range(5):
                try:
                    os.dup2(fd, 100 + fd)
                except OSError:
                    pass  # there are only three
            ignore_all()
            with open(path, "w", encoding="ascii") as file:
                file.write(str(os.getpid()))
            time.sleep(60)
        os._exit(0)
    while not os.path.exists(path) or not os.path.getsize(path):
        time.sleep(0.005)
    os._exit(0)


def commit(text):
    name, _, argument = text.partition(" ")
    globals()[name](argument)


if __name__ == "__main__":
    commit(" ".join(sys.argv[1:]))

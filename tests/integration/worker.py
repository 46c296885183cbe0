"""A process of a `worker` handler whose every job says how it shall behave.

    worker.py [START]

START is how it begins: `mute` is never READY, `exit` ends before it is, `v2` speaks another
version, `early` answers first, `once` serves one job and ends. The payload of a job is the
name of a function below, then a blank and its argument.
"""
import json
import os
import signal
import subprocess
import sys
import time

IN, OUT = 3, 4
data = b""


def frame(*strings):
    out = b"*%d\r\n" % len(strings)
    for s in strings:
        s = s if isinstance(s, bytes) else str(s).encode()
        out += b"$%d\r\n%b\r\n" % (len(s), s)
    return out


def write(out):
    while out:
        out = out[os.write(OUT, out):]


def say(*strings):
    write(frame(*strings))


def need(n):
    global data
    chunks, have = [data], len(data)
    while have < n:
        chunk = os.read(IN, 1 << 16)
        if not chunk:
            sys.exit(0)
        chunks.append(chunk)
        have += len(chunk)
    data = b"".join(chunks)


def take(n):
    global data
    need(n)
    taken, data = data[:n], data[n:]
    return taken


def line():
    while b"\r\n" not in data:
        need(len(data) + 1)
    return take(data.index(b"\r\n") + 2)[1:-2]


def read_frame():
    return [take(int(line()) + 2)[:-2] for _ in range(int(line()))]


# What a job can ask for: each returns the output, or has answered itself (None).


def echo(ident, arg):
    return arg


def pid(ident, arg):
    return str(os.getpid())


def job(ident, arg):
    """All of the frame."""
    return json.dumps([s.decode() for s in current])


def error(ident, arg):
    print("why it failed", file=sys.stderr)
    say("ERROR", ident, arg)


def fail(ident, arg):
    say("FAIL", ident, arg)


def die(ident, arg):
    print("last words", file=sys.stderr, flush=True)
    os._exit(int(arg))


def crash(ident, arg):
    os.kill(os.getpid(), signal.SIGSEGV)


def orphan(ident, arg):
    """Its keeper is gone."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def close(ident, arg):
    os.close(OUT)
    time.sleep(60)


def raw(ident, arg):
    """Any bytes, and it goes on."""
    write(arg.replace(b"ID", ident))
    read_frame()


def half_and_exit(ident, arg):
    write(frame("OK", ident, "output")[:-4])
    os._exit(0)


def pieces(ident, arg):
    """An answer in single bytes."""
    for byte in frame("OK", ident, arg):
        write(bytes([byte]))


def chatty(ident, arg):
    """Verbs of another version, and progress, then the answer."""
    say("LATER", "what", "ever")
    say("PROGRESS", ident, "50", "half")
    say("OK", ident, arg)
    say("PROGRESS", ident, "100", "late")


def tells(ident, arg):
    """Progress that counts, then some that does not; waits for a file."""
    senseless = ["another", "41", "not mine"], [], [ident], [ident, "-1", "less"], \
        [ident, "nan", "no number"]
    # at once, so that who has read the first has read all
    write(b"".join(frame("PROGRESS", *strings) for strings in ([ident, "40"], *senseless)))
    while not os.path.exists(arg):
        time.sleep(0.02)
    return "told"


def reports(ident, arg):
    """Progress without end."""
    flood = frame("PROGRESS", ident, "5", "x" * 50) * 20_000
    while True:
        write(flood)


def reports_later(ident, arg):
    """The same, once it has answered; a file says when the pipe is full, nearly."""
    say("OK", ident, str(os.getpid()))
    report = frame("PROGRESS", ident, "5", "late")
    write(report * (60_000 // len(report)))
    open(arg, "w").close()
    reports(ident, arg)


def twice(ident, arg):
    # at once: a second one that comes late is one for a job that it does not have
    write(frame("OK", ident, "first") + frame("OK", ident, "second"))


def prints(ident, arg):
    print(arg.decode())
    print("err", arg.decode(), file=sys.stderr)
    return "printed"


def floods(ident, arg):
    for i in range(int(arg)):
        print(f"line {i} " + "x" * 50, file=sys.stderr)
    return "flooded"


def big(ident, arg):
    return b"x" * int(arg)


def length(ident, arg):
    return str(len(arg))


def environment(ident, arg):
    return json.dumps(dict(os.environ))


def folder(ident, arg):
    return os.getcwd()


def descriptors(ident, arg):
    return json.dumps(sorted(int(fd) for fd in os.listdir("/proc/self/fd")
                             if os.path.exists(f"/proc/self/fd/{fd}"))
                      + [os.readlink("/proc/self/fd/0")])


def starts(ident, arg):
    """A process in a session of its own, which holds everything open."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True, close_fds=False)
    return f"{os.getpid()} {child.pid}"


def heeds(ident, arg):
    """Answers once it is cancelled, with the reason."""
    open(arg, "w").close()
    verb, other, reason = read_frame()
    assert (verb, other) == (b"CANCEL", ident)
    print("told:", reason.decode())
    say("ERROR", ident, "it was cancelled")


def finishes(ident, arg):
    """Is done all the same when it is cancelled."""
    open(arg, "w").close()
    read_frame()
    return "done"


def after(ident, arg):
    """Does another thing once it is cancelled."""
    path, _, then = arg.partition(b" ")
    open(path, "w").close()
    read_frame()
    name, _, argument = then.partition(b" ")
    return globals()[name.decode()](ident, argument)


def leaves(ident, arg):
    """Ends when it is cancelled."""
    open(arg, "w").close()
    read_frame()
    os._exit(0)


def ignores(ident, arg):
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, signal.SIG_IGN)
    open(arg, "w").close()
    while True:
        time.sleep(60)


def deaf(ident, arg):
    """From now on it does not end at the end of its input."""
    sys.exit = lambda _: time.sleep(60)
    return str(os.getpid())


def rlimit(ident, arg):
    import resource
    return json.dumps(resource.getrlimit(getattr(resource, "RLIMIT_" + arg.decode())))


def status(ident, arg):
    """What the kernel says of it."""
    with open("/proc/self/status") as file:
        return file.read()


def crime(ident, arg):
    import crimes
    crimes.commit(arg.decode())


def waits(ident, arg):
    while not os.path.exists(arg):
        time.sleep(0.01)
    return "survived"


def place(ident, arg):
    """Descriptors, process group, session and parent-death signal."""
    import ctypes
    pdeathsig = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(pdeathsig))
    return json.dumps({
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")
                      if os.path.exists(f"/proc/self/fd/{fd}")),
        "to": [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in range(3)],
        "group": os.getpgrp() == os.getpid(), "session": os.getsid(0) == os.getppid(),
        "pdeathsig": pdeathsig.value})


def burns(ident, arg):
    """Processor time."""
    until = time.process_time() + float(arg)
    while time.process_time() < until:
        pass
    return "burnt"


def goodbye(ident, arg):
    """Writes a file when it ends as it should."""
    import atexit
    atexit.register(lambda: open(arg, "w").close())
    return str(os.getpid())


def quits_later(ident, arg):
    """Ends once it has answered."""
    say("OK", ident, str(os.getpid()))
    os._exit(0)


start = sys.argv[1] if len(sys.argv) > 1 else ""
if start == "mute":
    time.sleep(60)
elif start == "exit":
    print("cannot begin", file=sys.stderr, flush=True)
    os._exit(3)
elif start == "early":
    say("OK", "1", "")
elif start == "v2":
    say("READY", "2")
elif start.startswith("wait:"):
    while not os.path.exists(start[5:]):
        time.sleep(0.01)
sys.stdout.reconfigure(line_buffering=True)
say("READY", "1")
while True:
    current = read_frame()
    if current[0] != b"JOB":
        continue
    name, _, argument = current[4].partition(b" ")
    output = globals()[name.decode()](current[1], argument)
    if output is not None:
        say("OK", current[1], output)
    if start == "once":
        os._exit(0)

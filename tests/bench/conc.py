"""What the parts of libstint cost beside the same in Go: conc.c and conc.go, in turns.

Go is taken when it is there (Debian: golang-go); it is too big to be installed for this.
Without it the ratios are those that were recorded, once, on a machine that had it, and
are printed as such.
"""
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).with_name("conc.go")


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    figure: str
    count: int  # a second or less
    at_most: float = None  # ours to Go's
    recorded: float = None  # ours to Go's, see RECORDED_ON; None: Go has no such thing


# Medians of 5 rounds of one run, with nothing else running.
RECORDED_ON = "2 virtual processors (Xeon, KVM), Linux 6.18, gcc 12.2, go1.19.8, November 2026"

# Where a thread has to wait for the other one each time, twice Go's time is the target.
# Threads are not goroutines: those change places without the kernel and, mostly, on one
# processor, while what two threads hand over crosses from one processor's cache to the
# other's and back. A task that is started starts a thread, which is another matter
# altogether: so the group has no target.
CASES = (
    Case("bounded_1_1", "channel of 128, 1 to 1, ns/item", 2_000_000, 1.0, 0.74),
    Case("bounded_4_4", "channel of 128, 4 to 4, ns/item", 2_000_000, 1.0, 0.68),
    Case("select_4", "select over 4 of 128, ns/item", 1_000_000, 1.0, 0.73),
    Case("unbuffered", "unbuffered channel, ns/item", 300_000, 2.0, 1.5),
    Case("ping_pong", "ping-pong, unbuffered, ns/round", 200_000, 2.0, 1.1),
    Case("context", "context with 10 children, ns", 100_000, 1.0, 0.23),
    Case("group", "group of 100 empty tasks, ns/task", 20_000, None, 16),
    Case("batches", "channel of 128, batches of 16, ns/item", 4_000_000),
)


def go_version():
    """Its version, as in go1.19.8; None when it is not here."""
    if not shutil.which("go"):
        return None
    return subprocess.check_output(["go", "env", "GOVERSION"], text=True).strip()


def build_go(tools):
    """Compile conc.go next to the C programs, with a cache of its own."""
    program = tools / "conc-go"
    environment = dict(os.environ, GOCACHE=str(tools / "go-cache"), CGO_ENABLED="0")
    subprocess.run(["go", "build", "-o", program, SOURCE], check=True, env=environment)
    return program


def ns(program, case, share):
    count = max(1000, int(case.count * share))
    done = subprocess.run([program, case.name, str(count)], capture_output=True, text=True,
                          check=True, timeout=300)
    return json.loads(done.stdout)["ns"]


def measure(tools, case, rounds, share, has_go):
    """Rounds of [ns of Go], [ns of ours]; the first list stays empty without Go."""
    go, ours = [], []
    for _ in range(rounds):
        if has_go and case.recorded is not None:
            go.append(ns(tools / "conc-go", case, share))
        ours.append(ns(tools / "conc", case, share))
    return go, ours

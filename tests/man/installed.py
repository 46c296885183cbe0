"""The library and its pages, installed from the build as a package is made."""
import fcntl
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("STINT_BUILD", ROOT / "build")).resolve()
PREFIX = "/usr/local"


class Installed:
    """A folder in which `make install` has put everything, as a package is made."""

    def __init__(self, dest):
        self.dest = Path(dest)
        self.root = self.dest / PREFIX[1:]
        self.man = self.root / "share/man"
        self.pages = self.man / "man3"

    def make(self, target, *variables):
        """Returns what it has printed."""
        command = ["make", "-s", target, f"DESTDIR={self.dest}", f"PREFIX={PREFIX}",
                   f"BUILD={BUILD}", f"SAN={os.environ.get('STINT_SAN', '')}", *variables]
        # the tests run in several processes, and each make writes to the one build folder
        with open(BUILD / "install.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

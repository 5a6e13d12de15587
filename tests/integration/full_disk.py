"""A data directory on a small file system in its own mount namespace, so that a test can fill it."""

import contextlib
import http.client
import os
import unittest

from support import wait_until


class FullDisk:
    """`fleet`: without a coordinator yet. A test is skipped if mount namespaces are unavailable."""

    BYTES = 24 << 20

    def __init__(self, fleet):
        self.fleet = fleet
        self.data = fleet.dir / "data"
        self.data.mkdir()
        own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        script = f"mount -t tmpfs -o size={self.BYTES},mode=700 tmpfs {self.data} && echo mounted && exec sleep 100000"
        keeper = fleet.start("disk", ["unshare", *own, "--mount", "sh", "-c", script])
        wait_until(lambda: not keeper.alive() or "mounted" in keeper.log(), what="the file system is there")
        if not keeper.alive():
            raise unittest.SkipTest("a mount namespace is needed, and not permitted: " + keeper.log().strip())
        self.enter = ["nsenter", "--target", keeper.pid, "--mount", "--root", *(["--user"] if own else [])]
        self.inside = f"/proc/{keeper.pid}/root{self.data}"

    def start_coordinator(self, started=None, args=("--keep-free-mb", "0")):
        """Without other `args` nothing is refused before the disk is really full."""
        self.fleet.coordinator = self.fleet.start("coordinator", [*self.enter, *self.fleet.coordinator_command(*args)])
        self.fleet.api.close()
        wait_until(started or (lambda: self.status("/ready") == 200), what="the coordinator is ready")

    def status(self, path):
        with contextlib.suppress(http.client.HTTPException, OSError):
            return self.fleet.api.get(path).status
        return None

    def available(self):
        space = os.statvfs(self.inside)
        return space.f_bavail * space.f_frsize

    def fill(self, leave=0):
        with open(f"{self.inside}/ballast", "ab", buffering=0) as file, contextlib.suppress(OSError):
            while not leave or self.available() > leave:
                file.write(b"x" * 4096)

    def free(self):
        os.unlink(f"{self.inside}/ballast")

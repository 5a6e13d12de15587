"""Shared by the cloud providers: a key, and a limit of requests in a window of time."""

import threading
import time

from standins.server import Provider


class Limit:
    def __init__(self):
        self.lock = threading.Lock()
        self.began = None
        self.used = 0

    def window(self, settings):
        if self.began is None or time.monotonic() - self.began >= settings["window_s"]:
            self.began, self.used = time.monotonic(), 0

    def take(self, settings):
        """Seconds to wait, or None if the request is admitted and counted."""
        with self.lock:
            self.window(settings)
            if self.used >= settings["requests"]:
                return max(0.01, self.began + settings["window_s"] - time.monotonic())
            self.used += 1
            return None

    def left(self, settings):
        """(requests left, seconds until the next window)"""
        with self.lock:
            self.window(settings)
            return max(0, settings["requests"] - self.used), max(0.01, self.began + settings["window_s"] - time.monotonic())


class Cloud(Provider):
    def __init__(self, backend, options):
        self.backend = backend
        self.models = list(options["models"])
        self.key = options["key"]
        self.limit = Limit()

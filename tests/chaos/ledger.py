"""The answers to the clients, recorded when they arrive."""
import dataclasses
import hashlib
import random
import threading
import time

FINAL = {"succeeded", "failed", "cancelled", "expired"}


@dataclasses.dataclass
class Entry:
    """One task from the view of its submitter; the label is its name and its idempotency key."""

    label: str
    body: dict  # as submitted
    way: str  # http, batch, mqtt
    batch: str = ""  # label of the batch
    source: str = ""  # label of the file that it reads
    first_sent: float = 0  # monotonic
    id: str = ""
    ids: set = dataclasses.field(default_factory=set)  # every id that was answered for it
    accepted_at: float = 0
    refused: list = dataclasses.field(default_factory=list)  # status of each definite refusal
    lost: int = 0  # submits without an answer
    cancels: list = dataclasses.field(default_factory=list)  # (sent, answered, status, state)
    retries: list = dataclasses.field(default_factory=list)  # (sent, answered, status); status 0: lost
    outcomes: list = dataclasses.field(default_factory=list)  # (when, how, outcome)

    @property
    def once(self):
        return self.body.get("max_attempts") == 1

    def is_over(self):
        return bool(self.outcomes) and not any(sent > self.outcomes[-1][0] for sent, _, status in self.retries
                                           if status in (0, 202))


def outcome_of(view):
    """The part of a view that must not change after it was answered."""
    error = view.get("error") or {}
    return {"state": view["state"], "output": view.get("output"), "error": error.get("code")}


def content(label):
    """The content of the file with that label: mostly small, sometimes empty, or half a minute over a slow link."""
    draw = random.Random(f"content of {label}")
    size = draw.choices([int(8000 * draw.random() ** 2), 0, 200_000], [92, 3, 5])[0]
    return draw.randbytes(size)


def artifact_id(data):
    return "sha256-" + hashlib.sha256(data).hexdigest()


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.entries = {}
        self.batches = {}  # label: {"ids": set, "tasks": [labels]}
        self.files = {}  # id of a stored file: (label, monotonic: when its upload was last answered)
        self.counts = {}

    def add(self, entry):
        with self.lock:
            self.entries[entry.label] = entry
        return entry

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def accepted(self, entry, task_id):
        with self.lock:
            entry.ids.add(task_id)
            entry.id = entry.id or task_id
            entry.accepted_at = entry.accepted_at or time.monotonic()

    def stored(self, artifact, label):
        with self.lock:
            self.files[artifact] = (label, time.monotonic())

    def record(self, entry, how, view, when):
        """`when`: the time of the request; a retry after it may have changed the answer."""
        with self.lock:
            entry.outcomes.append((when, how, outcome_of(view)))

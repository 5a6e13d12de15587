"""Clients that submit, cancel, query and retry a mix of tasks all the time, and record the answers."""
import json
import random
import subprocess
import threading
import time

from client import Lost
from ledger import FINAL, Entry, artifact_id, content, outcome_of

TOPICS = "edgefleet/v1/home"
RATE = 25  # actions of one client per second, at most
OPEN = 40  # unfinished tasks of one client, before it stops submitting
PATIENCE = 8  # seconds until an answer counts as lost
LATE = 1.5  # seconds of a long poll
RECENT = 20  # latest files of a client, which its tasks read; an unused file is kept for an hour


def command(draw, label):
    """A command of 0.1 to 5 s, mostly short; some of them fail on purpose."""
    seconds = round(0.1 + 4.9 * draw.random() ** 5, 2)
    code = 3 if draw.random() < 0.05 else 0
    return {"capability": "command.run", "input": {"task": label, "seconds": seconds, "code": code}}


def file_command(draw, label, artifact):
    """A command with an input file, from which it makes up to three files."""
    body = command(draw, label)
    body["capability"] = "command.file"
    body["input"].update(file={"artifact": artifact}, files=draw.randrange(1, 4))
    return body


def echo(draw, label, large):
    """Some are too large for a message: their input and their output are files."""
    size = draw.randrange(260_000, 600_000) if large and draw.random() < 0.1 else int(2000 * draw.random() ** 4)
    return {"capability": "echo", "input": {"label": label, "pad": "x" * size}}


def any_task(draw, label, artifact, large):
    kind = draw.random()
    if kind < 0.2 and artifact:
        body = file_command(draw, label, artifact)
    elif kind < 0.6:
        body = echo(draw, label, large)
    else:
        body = command(draw, label)
    body["name"] = label
    if draw.random() < 0.25:
        body["max_attempts"] = 1
    if draw.random() < 0.1:
        body["delay_ms"] = draw.randrange(100, 8000)
    if draw.random() < 0.1:
        body["expires_after_ms"] = draw.randrange(500, 30000)
    if draw.random() < 0.2:
        body["priority"] = draw.randrange(-5, 6)
    if draw.random() < 0.05:
        body["timeout_ms"] = 2000
    return body


def unclear(answer):
    """A 503 that states that the outcome of the request is unknown."""
    return answer.status == 503 and "not known" in str(answer.body)


class Client:
    def __init__(self, world, ledger, seed, number, stop):
        self.world, self.ledger, self.stop = world, ledger, stop
        self.name = f"client-{number}"
        self.random = random.Random(f"{seed}-{self.name}")
        self.counter = 0
        self.mine = []  # entries whose outcome the client has not received
        self.ended = []
        self.files = []  # (label, id) of stored files
        self.strange = []  # answers that are wrong in every case
        self.http = world.http(PATIENCE, self.name)
        self.error = None
        self.thread = threading.Thread(target=self.run, name=self.name, daemon=True)

    def run(self):
        actions = {self.submit: 6, self.submit_batch: 1, self.submit_mqtt: 1, self.ask: 6, self.cancel: 2, self.again: 1,
                 self.upload: 1}
        try:
            while not self.stop.is_set():
                action = self.random.choices(list(actions), list(actions.values()))[0]
                if action in (self.submit, self.submit_batch, self.submit_mqtt) and len(self.mine) > OPEN:
                    action = self.ask
                action()
                self.stop.wait(self.random.expovariate(RATE))
        except Exception as error:  # an error of this client must fail the test
            self.error = error
        finally:
            self.http.close()

    def request(self, method, path, body=None):
        """The answer, or None if the outcome of the request is unknown."""
        try:
            answer = self.http.request(method, path, body)
        except Lost:
            self.ledger.count("answers lost")
            return None
        self.ledger.count(f"{method} {answer.status}")
        return None if unclear(answer) else answer

    # ---- submitting

    def entry(self, way, batch=""):
        self.counter += 1
        label = f"{self.name}-{self.counter}"
        source, artifact = self.random.choice(self.files[-RECENT:]) if self.files else ("", "")
        body = any_task(self.random, label, artifact, way != "mqtt")
        if body["capability"] != "command.file":
            source = ""
        return self.ledger.add(Entry(label, body, way, batch, source=source, first_sent=time.monotonic()))

    def upload(self):
        """A file is used only after the answer that it is stored."""
        self.counter += 1
        label = f"{self.name}-file-{self.counter}"
        data = content(label)
        answer = self.request("PUT", "/api/v1/artifacts", data)
        if answer is None or answer.status not in (200, 201):
            return
        if (answer.body.get("id"), answer.body.get("bytes")) != (artifact_id(data), len(data)):
            self.strange.append(f"stored wrongly: {label}, {artifact_id(data)}, was answered {answer.body}")
        self.ledger.stored(answer.body["id"], label)
        self.files.append((label, answer.body["id"]))

    def note_submit(self, entry, answer):
        if answer is None:
            entry.lost += 1
        elif answer.status == 202:
            self.ledger.accepted(entry, answer.body["id"])
        else:
            entry.refused.append(answer.status)
        return entry.id

    def submit(self):
        entry = self.entry("http")
        self.post(entry)
        if not entry.id and self.random.random() < 0.7:  # as a person would try again
            self.post(entry)
        if entry.id:
            self.mine.append(entry)

    def post(self, entry):
        return self.note_submit(
            entry, self.request("POST", "/api/v1/tasks", {**entry.body, "idempotency_key": entry.label}))

    def submit_batch(self):
        self.counter += 1
        label = f"{self.name}-batch-{self.counter}"
        entries = [self.entry("batch", label) for _ in range(self.random.randrange(2, 20))]
        record = {"ids": set(), "tasks": [entry.label for entry in entries], "refused": [], "lost": 0}
        self.ledger.batches[label] = record
        for _ in range(2):
            if self.post_batch(label):
                self.mine += entries
                return

    def post_batch(self, label):
        record = self.ledger.batches[label]
        entries = [self.ledger.entries[one] for one in record["tasks"]]
        answer = self.request("POST", "/api/v1/batches",
                              {"tasks": [entry.body for entry in entries], "idempotency_key": label})
        if answer is None:
            record["lost"] += 1
        elif answer.status == 202:
            record["ids"].add(answer.body["id"])
            for entry, task_id in zip(entries, answer.body["tasks"], strict=True):
                self.ledger.accepted(entry, task_id)
        else:
            record["refused"].append(answer.status)
        return bool(record["ids"])

    def submit_mqtt(self):
        entry = self.entry("mqtt")
        wants = self.random.choice(["accepted", "outcome"])
        self.over_mqtt(entry, wants)
        if entry.id and not entry.outcomes:
            self.mine.append(entry)

    def over_mqtt(self, entry, wants):
        body = {**entry.body, "idempotency_key": entry.label}
        if wants == "accepted":
            body["answer"] = "accepted"
        done = subprocess.run(
            ["mosquitto_rr", "-V", "5", *self.world.mqtt_options(self.name), "-q", "1", "-W", "4",
             "-t", f"{TOPICS}/submit/{self.name}",
             "-e", f"{TOPICS}/replies/{self.name}/{entry.label}", "-m", json.dumps(body)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        if done.returncode != 0 or not done.stdout.strip():
            entry.lost += 1
            return self.ledger.count("MQTT lost")
        view = json.loads(done.stdout)
        self.ledger.count(f"MQTT {view.get('status', 'answered')}")
        if "status" in view:
            if view["status"] == 503 and "not known" in view.get("detail", ""):
                entry.lost += 1
            else:
                entry.refused.append(view["status"])
            return None
        self.ledger.accepted(entry, view["id"])
        if view["state"] in FINAL and wants == "outcome":
            self.ledger.record(entry, "mqtt", view, entry.first_sent)
        return None

    # ---- querying, cancelling, retrying

    def ask(self):
        if not self.mine:
            return
        entry = self.random.choice(self.mine)
        sent = time.monotonic()
        wait = f"?wait={LATE}" if self.random.random() < 0.2 else ""
        answer = self.request("GET", f"/api/v1/tasks/{entry.id}{wait}")
        if answer is None or answer.status not in (200, 404):
            return
        if answer.status == 404:
            self.ledger.record(entry, "http", {"state": "404"}, sent)
            self.mine.remove(entry)
        elif answer.body["state"] in FINAL:
            self.ledger.record(entry, "http", answer.body, sent)
            self.mine.remove(entry)
            self.ended.append(entry)

    def cancel(self):
        if not self.mine:
            return
        entry = self.random.choice(self.mine)
        sent = time.monotonic()
        answer = self.request("POST", f"/api/v1/tasks/{entry.id}/cancel")
        state = answer.body.get("state", "") if answer is not None and answer.status == 202 else ""
        entry.cancels.append((sent, time.monotonic(), answer.status if answer is not None else 0, state))

    def again(self):
        """Queries a task that has ended; sometimes retries it."""
        if not self.ended:
            return
        entry = self.random.choice(self.ended[-50:])
        sent = time.monotonic()
        if entry.outcomes[-1][2]["state"] in ("failed", "cancelled") and not entry.retries and self.random.random() < 0.3:
            answer = self.request("POST", f"/api/v1/tasks/{entry.id}/retry")
            entry.retries.append((sent, time.monotonic(), answer.status if answer is not None else 0))
            return
        answer = self.request("GET", f"/api/v1/tasks/{entry.id}")
        if answer is not None and answer.status == 200 and answer.body["state"] in FINAL:
            self.ledger.record(entry, "http", answer.body, sent)

    # ---- the end

    def settle(self):
        """Repeats every submit whose outcome is unknown, with its key, until it is answered."""
        self.http = self.world.http(PATIENCE, self.name)
        for entry in [e for e in self.ledger.entries.values() if e.label.startswith(self.name + "-")]:
            if entry.way == "http" and entry.lost and self.random.random() < 0.8:
                self.until_answered(lambda e=entry: self.post(e) or e.refused)
            elif entry.way == "mqtt" and entry.lost and self.random.random() < 0.3:
                self.over_mqtt(entry, "accepted")
        for label, record in self.ledger.batches.items():
            if label.startswith(self.name + "-") and record["lost"] and self.random.random() < 0.8:
                self.until_answered(lambda l=label: self.post_batch(l))
        self.http.close()

    def until_answered(self, action):
        end = time.monotonic() + 30
        while not action():
            if time.monotonic() > end:
                raise RuntimeError("the coordinator does not answer submits although all faults are over")
            time.sleep(0.2)


__all__ = ["Client", "outcome_of"]

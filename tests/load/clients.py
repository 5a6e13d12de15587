"""Clients that submit at a steady rate: batches, and single tasks whose outcome a client waits for."""
import concurrent.futures
import json
import random
import threading
import time

ENDED = {"succeeded", "failed", "cancelled", "expired"}
LONGEST_RUN_MS = 20_000
BATCH_PERIOD = 0.5  # seconds
WAITERS = 200  # at the same time
CAPABILITY = "echo"
FILLER = "x" * 150  # so that an input is about 200 bytes


class Clients:
    """All times in seconds. The latency of a single task counts from the time at which it was due, so that a wait for a
    free client is included."""

    def __init__(self, new_api, *, rate, singles, run_ms, seed):
        """`new_api`: makes a connection of a client."""
        self.new_api, self.rate, self.singles_rate, self.run_ms = new_api, rate, singles, run_ms
        self.random = random.Random(seed)
        self.local = threading.local()
        self.lock = threading.Lock()
        self.accepted, self.batches = [], []
        self.singles = []  # (id, state, latency, latency without the run)
        self.trouble = []  # refusals and wrong answers
        self.latest_start = 0.0  # the longest delay of a batch

    def api(self):
        if not hasattr(self.local, "api"):
            self.local.api = self.new_api()
        return self.local.api

    def task(self):
        run = min(self.random.expovariate(1 / self.run_ms), LONGEST_RUN_MS)
        return {"capability": CAPABILITY, "input": {"run_ms": round(run, 3), "text": FILLER}}

    def bad(self, text):
        with self.lock:
            self.trouble.append(text)

    def submit(self, seconds):
        """Submits for that time; returns when all submits have been answered and all single tasks have ended."""
        began = time.monotonic()
        pool = concurrent.futures.ThreadPoolExecutor(WAITERS)
        batches = threading.Thread(target=self.guarded, args=(self.submit_batches, began, seconds))
        batches.start()
        count = round(self.singles_rate * seconds)
        waits = []
        for n in range(count):
            due = began + n / self.singles_rate
            time.sleep(max(0.0, due - time.monotonic()))
            waits.append(pool.submit(self.guarded, self.single, {**self.task(), "idempotency_key": f"single-{n}"}, due))
        batches.join()
        concurrent.futures.wait(waits)
        pool.shutdown()

    def guarded(self, call, *args):
        try:
            call(*args)
        except Exception as error:
            self.bad(f"{call.__name__}: {error!r}")

    def submit_batches(self, began, seconds):
        chances = Clients(self.new_api, rate=0, singles=0, run_ms=self.run_ms, seed=self.random.random())
        size = round((self.rate - self.singles_rate) * BATCH_PERIOD)
        if size <= 0:
            return
        for n in range(round(seconds / BATCH_PERIOD)):
            body = json.dumps({"tasks": [chances.task() for _ in range(size)], "idempotency_key": f"batch-{n}"})
            due = began + n * BATCH_PERIOD
            time.sleep(max(0.0, due - time.monotonic()))
            self.latest_start = max(self.latest_start, time.monotonic() - due)
            answer = self.api().post("/api/v1/batches", body)
            if answer.status != 202:
                self.bad(f"a batch was answered {answer.status}: {answer.body}")
                continue
            with self.lock:
                self.batches.append(answer.body["id"])
                self.accepted += answer.body["tasks"]

    def single(self, task, due):
        api = self.api()
        answer = api.post("/api/v1/tasks", task)
        if answer.status != 202:
            return self.bad(f"a task was answered {answer.status}: {answer.body}")
        task_id = answer.body["id"]
        with self.lock:
            self.accepted.append(task_id)
        while True:
            found = api.get(f"/api/v1/tasks/{task_id}?wait=60")
            if found.status == 200 and found.body["state"] in ENDED:
                break
            if found.status != 200:
                self.bad(f"a query of {task_id} was answered {found.status}: {found.body}")
                time.sleep(1)  # as a client does after a refusal
        latency = time.monotonic() - due
        if found.body.get("output") != task["input"]:
            self.bad(f"the output of {task_id} is not its input: {found.body}")
        with self.lock:
            self.singles.append((task_id, found.body["state"], latency, latency - task["input"]["run_ms"] / 1e3))

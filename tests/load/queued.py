"""A queue of a million tasks that no agent can take: memory, submit rate, and the start after a kill."""
import json
import statistics
import threading
import time

from world import Driver, World, cpu_seconds, memory_mb, wait_until

BATCH = 10_000
CLIENTS = 2
ONE_MORE = 200
PATIENCE = 600


class Queued:
    def __init__(self, folder, args, say):
        self.args, self.say = args, say
        self.world = World(folder, args.port)
        self.count = -(-args.queued // BATCH) * BATCH
        self.figures = {"tasks": self.count, "batch": BATCH, "memory": {}}
        self.violations = []

    def run(self):
        self.world.start_broker()
        self.start()
        wait_until(self.world.ready, 20, "the coordinator is ready")
        self.memory("empty")
        self.submit()
        self.memory(f"{self.count} queued")
        self.one_more()
        self.kill_and_start()

    def start(self):
        return self.world.start_coordinator("--max-tasks", self.count + ONE_MORE)

    def memory(self, when):
        self.figures["memory"][when] = memory_mb(self.world.processes["coordinator"].pid)

    def submit(self):
        body = json.dumps({"tasks": [{"capability": "echo", "input": {"text": "x" * 180}}] * BATCH})
        rest = list(range(self.count // BATCH))
        last_report = [time.monotonic()]
        lock = threading.Lock()

        def client():
            api = self.world.new_api()
            while True:
                with lock:
                    if not rest:
                        return
                    rest.pop()
                answer = api.post("/api/v1/batches", body)
                if answer.status != 202:
                    self.violations.append(f"a batch was answered {answer.status}: {answer.body}")
                with lock:
                    if time.monotonic() - last_report[0] > 2:
                        last_report[0] = time.monotonic()
                        self.say(f"submitting: {self.count - len(rest) * BATCH} of {self.count}")

        cpu, began = cpu_seconds(self.world.processes["coordinator"].pid), time.monotonic()
        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        self.figures.update(submit_s=round(seconds, 2), submitted_per_s=round(self.count / seconds),
                            submit_cpu_s=round(cpu_seconds(self.world.processes["coordinator"].pid) - cpu, 2))

    def one_more(self):
        """The latency of a single submit with a full queue."""
        times = []
        for _ in range(ONE_MORE):
            began = time.monotonic()
            self.world.api.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})
            times.append((time.monotonic() - began) * 1e3)
        self.figures["one_more_ms"] = {"p50": round(statistics.median(times), 2), "max": round(max(times), 2)}

    def queued(self):
        return sum(one["queued"] for one in self.world.api.good("GET", "/api/v1/queue")["queues"])

    def kill_and_start(self):
        """Kills and starts the coordinator, while an agent that can take the tasks is connected and waits for it."""
        before = self.queued()
        self.world.processes["coordinator"].kill()
        self.world.api.close()
        store = sum(path.stat().st_size for path in (self.world.folder / "data").glob("*.db*"))
        self.figures["store_mb"] = round(store / 1e6)
        driver = Driver(self.world, agents=1, slots=1, seed=1)
        wait_until(lambda: driver.latest()["up"] == 1, 20, "the agent is connected")
        began = time.monotonic_ns()
        self.start()
        wait_until(self.world.ready, PATIENCE, "the coordinator is ready", pause=0.01)
        self.figures["ready_s"] = round((time.monotonic_ns() - began) / 1e9, 2)
        self.say(f"ready after {self.figures['ready_s']} s")
        first = wait_until(lambda: driver.latest()["first_start_ns"], PATIENCE, "a task starts", pause=0.1)
        self.figures["first_start_s"] = round((first - began) / 1e9, 2)
        self.memory("after the start")
        driver.process.terminate()
        self.check(before, driver)

    def check(self, before, driver):
        """All queued tasks still exist, or have been run."""
        counts = driver.reports()[-1]
        wait_until(lambda: not any(a["placeable"] for a in self.world.api.agents().values()), 20, "the agent is offline")
        rest = self.queued() + sum(a["tasks"] for a in self.world.api.agents().values())
        if before != self.count + ONE_MORE:
            self.violations.append(f"{before} tasks were queued, {self.count + ONE_MORE} were accepted")
        if not before - counts["finished"] <= rest <= before:
            self.violations.append(f"{before} tasks were queued; {counts['finished']} have been run, {rest} are left")
        self.figures["violations"] = self.violations

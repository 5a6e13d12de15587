"""Thousands of agents for minutes: joining, heartbeats, and a steady flow of tasks."""
import collections
import re
import sqlite3
import statistics
import threading
import time

from clients import CAPABILITY, ENDED, Clients
from closed_world import ClosedWorld
from world import Driver, World, raise_file_limit, wait_until

STATES = ["scheduled", "queued", "assigned", "running", "cancelling", "succeeded", "failed", "cancelled", "expired"]
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of ULIDs
MOST_IN_A_BATCH = 10_000
LOOK_EVERY = 7  # seconds; not a divisor of the heartbeats' 10, so that the phase of the samples varies
PATIENCE = 600  # seconds, for joining and for the last outcomes


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


class Looks:
    """Samples the coordinator's list of agents. Agents and coordinator share a clock, so the skew of an agent's clock
    is the time from the creation of its last heartbeat until it was handled, in whole milliseconds."""

    def __init__(self, world):
        self.api = world.operator_api()
        self.delays_ms, self.silences_ms, self.answers_s, self.missing = [], [], [], 0
        self.bytes = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def fetch(self):
        """Unparsed: the driver shares the cores, and parsing megabytes of JSON would slow it."""
        connection = self.api.new_connection(timeout=60)
        try:
            connection.request("GET", "/api/v1/agents", headers=self.api.headers)
            return connection.getresponse().read()
        finally:
            connection.close()

    def watch(self):
        over = False
        while not over:
            over = self.stopped.wait(LOOK_EVERY)  # and a last sample
            began = time.monotonic()
            text = self.fetch()
            self.answers_s.append(time.monotonic() - began)
            self.bytes = len(text)
            self.delays_ms += [-int(skew) for skew in re.findall(rb'"skew_ms":(-?\d+)', text)]
            self.silences_ms += [int(age) for age in re.findall(rb'"last_heartbeat_ms":(-?\d+)', text)]
            self.missing += text.count(b'"placeable":false')

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def found(self):
        answers_ms = [seconds * 1e3 for seconds in self.answers_s]
        return {
            "beats_looked_at": len(self.delays_ms),
            "beat_handled_ms": {"p50": percentile(self.delays_ms, 0.5), "p99": percentile(self.delays_ms, 0.99),
                                "slowest": max(self.delays_ms, default=None)},
            "longest_silence_ms": max(self.silences_ms, default=None),
            "agents_not_placeable": self.missing,
            "looks": len(answers_ms), "look_mb": round(self.bytes / 1e6, 2),
            "look_ms": {"p50": round(statistics.median(answers_ms), 1), "max": round(max(answers_ms), 1)}}


def id_bytes(text):
    number = 0
    for char in text:
        number = number * 32 + ALPHABET.index(char)
    return number.to_bytes(16, "big")


class Steady:
    def __init__(self, folder, args, say):
        raise_file_limit(args.agents)
        self.args, self.say = args, say
        self.world = ClosedWorld(folder) if args.closed else World(folder, args.port)
        self.figures = {"agents": args.agents, "slots": args.slots, "rate": args.rate, "singles": args.singles,
                        "run_ms": args.run_ms, "seconds": args.seconds, "seed": args.seed}
        self.violations, self.expected_losses = [], 0

    def run(self):
        self.world.start_broker()
        self.start_coordinator()
        wait_until(self.world.ready, 20, "the coordinator is ready")
        self.figures["empty"] = self.world.memory()
        if enrolled := self.world.enrol(self.args.agents, self.say):
            self.figures["enrolled"] = enrolled
        self.join()
        self.phase("beats alone", lambda: self.stopped_wait(self.args.idle_seconds))
        self.clients = Clients(self.world.new_api, rate=self.args.rate, singles=self.args.singles,
                               run_ms=self.args.run_ms, seed=self.args.seed)
        self.phase("at work", self.work)
        if self.args.restarts:
            self.restart("coordinator")
            self.restart("broker")
        self.check()

    def start_coordinator(self):
        """Ended tasks are kept, so that the store has every outcome at the end."""
        self.world.start_coordinator("--keep-ended-tasks", "100000000")

    # ---- phases

    def join(self):
        before = self.world.cpu()
        self.driver = Driver(self.world, agents=self.args.agents, slots=self.args.slots, seed=self.args.seed)
        seconds = self.all_there(self.driver.began, "joining")
        self.figures["joined"] = {"seconds": seconds, "agents_per_s": round(self.args.agents / seconds),
                                  "cpu_s": self.world.cpu_since(before)}

    def all_there(self, began, what):
        """Seconds from `began` until every agent is placeable."""
        looks, last_report = Looks(self.world), [time.monotonic()]

        def there():
            try:
                count = looks.fetch().count(b'"placeable":true')
            except OSError:
                count = 0  # the coordinator has not started yet
            if time.monotonic() - last_report[0] > 2:
                last_report[0] = time.monotonic()
                self.say(f"{what}: {count} of {self.args.agents} agents")
            return count >= self.args.agents

        wait_until(there, PATIENCE, "all agents are placeable", pause=0.2)
        seconds = round(time.monotonic() - began, 2)
        self.say(f"{what}: {self.args.agents} agents in {seconds} s")
        return seconds

    def restart(self, name):
        """Kill -9 while every slot is busy, and the time until all agents are placeable again."""
        clients, api = self.clients, self.world.api
        slots = self.args.agents * self.args.slots
        tasks = [{"capability": CAPABILITY, "input": {"run_ms": 5000 + n % 1000}} for n in range(slots)]
        started = self.driver.next()["started"] + len(tasks)  # before any of them has
        batches = [api.good("POST", "/api/v1/batches", {"tasks": tasks[first:first + MOST_IN_A_BATCH]})
                   for first in range(0, slots, MOST_IN_A_BATCH)]
        wait_until(lambda: self.driver.latest()["started"] >= started, PATIENCE, "all slots are busy", pause=0.1)
        losses = self.driver.next()["losses"]
        self.world.processes[name].kill()
        api.close()
        began, before = time.monotonic(), self.world.cpu(without=name)
        if name == "coordinator":
            self.start_coordinator()
        else:
            wait_until(lambda: not self.world.ready(), 10, "the coordinator has noticed the loss")
            self.world.start_broker()
        self.figures.setdefault("restarts", {})[name] = {
            "whole_s": self.all_there(began, f"{name} killed"), "cpu_s": self.world.cpu_since(before)}
        for batch in batches:
            clients.accepted += batch["tasks"]
            clients.batches.append(batch["id"])
        self.wait_for_batches(began + PATIENCE)
        if name == "broker":
            self.expected_losses += self.driver.next()["losses"] - losses

    def stopped_wait(self, seconds):
        time.sleep(seconds)  # part of the measurement: the cost of heartbeats alone

    def phase(self, name, during):
        """CPU, memory and heartbeats while `during` runs."""
        before, counted, began = self.world.cpu(), self.driver.latest(), time.monotonic()
        looks = Looks(self.world).start()
        over = threading.Event()
        reporter = threading.Thread(target=self.report_progress, args=(name, over))
        reporter.start()
        try:
            during()
        finally:
            over.set()
            reporter.join()
            looks.stop()
        seconds, spent, counts = time.monotonic() - began, self.world.cpu_since(before), self.driver.latest()
        self.figures[name] = {
            "seconds": round(seconds, 1), "memory": self.world.memory(),
            "cpu": {one: {"s": s, "percent": round(s / seconds * 100, 1)} for one, s in spent.items()},
            "beats_per_s": round((counts["beats"] - counted["beats"]) / seconds),
            "messages_from_agents_per_s": round((counts["sent"] - counted["sent"]) / seconds),
            "messages_to_agents_per_s": round((counts["received"] - counted["received"]) / seconds), **looks.found()}

    def report_progress(self, name, over):
        began = time.monotonic()
        while not over.wait(10 if self.args.seconds > 60 else 2):
            counts = self.driver.latest()
            text = f"{name}: {time.monotonic() - began:.0f} s, {counts['up']} agents, {counts['beats']} heartbeats"
            if hasattr(self, "clients"):
                text += f", {len(self.clients.accepted)} tasks accepted, {counts['finished']} run"
            self.say(text)

    def work(self):
        began = time.monotonic()
        self.clients.submit(self.args.seconds)
        self.wait_for_batches(began + self.args.seconds + PATIENCE)
        self.figures["ended_after_s"] = round(time.monotonic() - began, 2)
        self.figures["accepted"] = len(self.clients.accepted)

    def wait_for_batches(self, until):
        batches, self.clients.batches = self.clients.batches, []
        for batch in batches:
            while True:
                answer = self.world.api.good("GET", f"/api/v1/batches/{batch}?wait=60")
                if sum(answer["counts"].get(state, 0) for state in ENDED) == answer["total"]:
                    break
                if time.monotonic() > until:
                    return self.violations.append(f"batch {batch} has not ended: {answer}")

    # ---- the end

    def check(self):
        clients, counts = self.clients, self.driver.next()
        listed = self.world.api.good("GET", "/api/v1/agents")["agents"]
        stored = self.stored()
        accepted = {id_bytes(text) for text in clients.accepted}
        by_state = collections.Counter(STATES[stored[one]] if one in stored else "LOST" for one in accepted)
        without = sum(count for state, count in by_state.items() if state not in ENDED)
        bad = self.violations.append
        if without:
            bad(f"{without} accepted tasks have no outcome: {dict(by_state)}")
        if len(accepted) != len(clients.accepted):
            bad(f"{len(clients.accepted) - len(accepted)} ids were assigned twice")
        if set(stored) - accepted:
            bad(f"the store has {len(set(stored) - accepted)} tasks that no client received")
        for task_id, state, _, _ in clients.singles:
            if STATES[stored.get(id_bytes(task_id), 0)] != state:
                bad(f"{task_id} was answered as {state} and is {STATES[stored.get(id_bytes(task_id), 0)]}")
        if len({agent["name"] for agent in listed}) != self.args.agents or len(listed) != self.args.agents:
            bad(f"the list of agents has {len(listed)} of {self.args.agents}")
        for name in self.world.lost_agents():
            bad(f"agent {name} was declared lost or unreachable, although it was connected")
        if counts["losses"] != self.expected_losses or counts["up"] != self.args.agents:
            bad(f"{counts['losses']} connections were lost (by the broker's restart: {self.expected_losses}), "
                f"{counts['up']} of {self.args.agents} agents are connected")
        if counts["started"] != len(accepted):
            bad(f"{counts['started']} runs of {len(accepted)} tasks: some ran twice or not at all")
        for name in ("dropped", "unknown", "bad", "spooled"):
            if counts[name] and not (name == "spooled" and self.args.restarts):  # after 2 s without delivery results are spooled
                bad(f"agents counted {name}: {counts[name]}")
        for name in ("beats alone", "at work"):
            times = self.figures[name]["agents_not_placeable"]
            if times:
                bad(f"{name}: connected agents were not placeable, {times} times")
        self.violations += clients.trouble
        self.report_tasks(by_state, counts)

    def report_tasks(self, by_state, counts):
        def spread(values):
            ms = [value * 1e3 for value in values]
            return {"p50": round(percentile(ms, 0.5), 1), "p99": round(percentile(ms, 0.99), 1), "max": round(max(ms), 1)}

        latencies = [one[2] for one in self.clients.singles]
        without_run = [one[3] for one in self.clients.singles]
        self.figures["tasks"] = {
            "accepted": len(self.clients.accepted), "outcomes": dict(by_state), "runs": counts["started"],
            "returned": counts["returned"], "per_s": round(self.figures["accepted"] / self.figures["ended_after_s"], 1),
            "single": len(latencies), "single_ms": spread(latencies) if latencies else None,
            "single_without_run_ms": spread(without_run) if without_run else None,
            "batch_sent_late_ms": round(self.clients.latest_start * 1e3, 1)}
        self.figures["driver_lag_ms"] = round(max((one["lag_ms"] for one in self.driver.reports()), default=0), 1)
        self.figures["violations"] = self.violations

    def stored(self):
        """State of every task in the store, by the 16 bytes of its id; read after the end of the coordinator."""
        code = self.world.processes["coordinator"].terminate(30)
        if code != 0:
            self.violations.append(f"the coordinator ended with {code} on SIGTERM")
        with sqlite3.connect(f"file:{self.world.store}?mode=ro", uri=True) as connection:
            return dict(connection.execute("SELECT id, state FROM tasks"))

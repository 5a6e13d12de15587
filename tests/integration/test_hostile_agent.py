"""An agent with a valid certificate that lies harms only itself: others' work, times and the coordinator's memory stay as
they are without it (real broker with its access lists, real programs).

The times are compared within one run, in turns with and without the liar, which publishes RATE messages a second, some
hundred times as many as an agent. As fast as it can (EDGEFLEET_FLOOD=1), it slows the broker for everybody, as every
client of a broker can; then only the work and the memory of others are checked (docs/security.md)."""

import json
import multiprocessing
import os
import random
import statistics
import threading
import time
import unittest

from closed_fleet import ClosedFleet
from support import BIN, wait_until

HOME = "edgefleet/v1/home/"
TURNS, TURN_S = (5, 4) if os.environ.get("EDGEFLEET_SLOW_TESTS") else (2, 2)
RATE = 300
FLOOD = os.environ.get("EDGEFLEET_FLOOD")
SLOW = os.environ.get("EDGEFLEET_SLOW_TESTS")
MORE = 1.10  # with EDGEFLEET_SLOW_TESTS=1, on a machine that does nothing else
MORE_MB = 24


class Liar(multiprocessing.Process):
    """Publishes what it may, as fast as it can: its topics are its own, what it says is not. A process of its own, so
    that it does not hold up the clients of this test."""

    def __init__(self, fleet, certificate, newest):
        super().__init__(daemon=True)
        self.connect = lambda: fleet.agent_client(certificate)
        self.newest = newest  # a file with the newest ids of others' tasks
        self.lying, self.over = multiprocessing.Event(), multiprocessing.Event()
        self.told = multiprocessing.Value("q", 0)

    def run(self):
        client, self.random, self.lies = self.connect(), random.Random(1), 0
        while not self.over.is_set():
            if not self.lying.wait(0.1):
                continue
            self.tasks = self.newest.read_text().split()
            began = time.monotonic()
            for _ in range(20):
                client.publish(*self.lie())
                self.lies += 1
            self.told.value = self.lies
            if not FLOOD:
                time.sleep(max(0, began + 20 / RATE - time.monotonic()))

    def others(self):
        return [{"id": one, "attempt": 1} for one in self.tasks]

    def lie(self):
        draw, session = self.random.randrange(8), self.random.choice(("one", "another"))
        if draw == 0:
            executors = [{"name": f"e{n}", "capabilities": ["echo", f"unwanted{n}"], "slots": 10_000, "free": 10_000}
                         for n in range(50)]
            return HOME + "agents/liar/info", json.dumps({"session": session, "version": "9", "executors": executors}).encode()
        if draw == 1:
            state = self.random.choice(("online", "lost", "offline", "draining"))
            return HOME + "agents/liar/status", json.dumps({"state": state, "session": session}).encode(), True
        if draw == 2:
            held = [{**one, "phase": "running", "executor": "e1"} for one in self.others()]
            return HOME + "agents/liar/heartbeat", json.dumps(
                {"session": session, "sequence": self.random.choice((2**64 - 1, self.lies)), "epoch": 2**53,
                 "coordinator": session, "n": 1, "uptime_ms": 1, "load": 0, "executors": [], "held": held}).encode()
        if draw == 3:
            results = [{**one, "status": "succeeded", "output": "forged", "run_ms": 1} for one in self.others()]
            return HOME + "results/liar", json.dumps({"session": session, "results": results}).encode()
        if draw == 4:
            parts = {**(self.others() or [{"id": "0" * 26, "attempt": 1}])[0], "session": session, "at": 0, "delta": "forged"}
            return HOME + "streams/liar", json.dumps(parts).encode()
        if draw == 5:
            return HOME + "agents/liar/temperature", json.dumps({"session": session, "celsius": 1e308}).encode(), True
        if draw == 6:
            return HOME + "agents/liar/parameters", b'{"session":"one","parameters":' + b"[" * 10_000
        return HOME + "agents/liar/status", os.urandom(self.random.randrange(2000))


class Worker(threading.Thread):
    """One task at a time; the times until their outcomes."""

    def __init__(self, caller, newest):
        super().__init__(daemon=True)
        self.caller, self.newest = caller, newest
        self.times = []  # of this turn
        self.wrong = []
        self.over = False

    def run(self):
        number = 0
        while not self.over:
            number += 1
            began = time.monotonic()
            task = self.caller.good("POST", "/api/v1/tasks", {"capability": "echo", "input": number})
            self.newest.write_text(task["id"])
            done = self.caller.good("GET", f"/api/v1/tasks/{task['id']}?wait=20")
            self.times.append(time.monotonic() - began)
            if (done["state"], done.get("output"), len(done["attempts"])) != ("succeeded", number, 1):
                self.wrong.append(done)


class HostileAgent(unittest.TestCase):
    def memory_mb(self):
        return self.fleet.coordinator.resident_bytes() / 2**20

    def turn(self, lies):
        for worker in self.workers:
            worker.times = []
        (self.liar.lying.set if lies else self.liar.lying.clear)()
        time.sleep(TURN_S)
        times = [one for worker in self.workers for one in list(worker.times)]
        return statistics.median(times), len(times)

    def test_others_do_not_notice_it(self):
        fleet = self.fleet = ClosedFleet()
        self.addCleanup(fleet.end)
        fleet.begin()
        token = fleet.admin.good("POST", "/api/v1/join-tokens", {"uses": 2})["token"]
        for name in ("pi-1", "pi-2"):
            fleet.start(name, [BIN / "edgefleet-agent", "--work", fleet.root / f"w-{name}", "--name", name, "--echo", "4",
                               "--token", token])
        ready = lambda: [a["name"] for a in fleet.admin.good("GET", "/api/v1/agents")["agents"] if a["placeable"]]
        wait_until(lambda: sorted(ready()) == ["pi-1", "pi-2"])
        newest = fleet.root / "newest"
        newest.touch()
        self.workers = [Worker(fleet.access(f"worker-{n}", "submit"), newest) for n in range(2)]
        self.liar = Liar(fleet, fleet.join("liar"), newest)
        for thread in (*self.workers, self.liar):
            thread.start()
        self.turn(False)  # to warm up
        before = self.memory_mb()
        quiet, lied = [], []
        for number in range(TURNS):
            quiet.append(self.turn(False)), lied.append(self.turn(True))
        self.liar.over.set()
        self.liar.join(30)
        for worker in self.workers:
            worker.over = True
            worker.join(30)
        median = lambda turns: statistics.median(time for time, _ in turns)
        count = lambda turns: sum(done for _, done in turns)
        figures = {"lies": self.liar.told.value, "median_ms": round(median(quiet) * 1e3, 2),
                   "median_ms_beside_lies": round(median(lied) * 1e3, 2), "tasks": count(quiet),
                   "tasks_beside_lies": count(lied), "more_mb": round(self.memory_mb() - before, 1)}
        print(figures, flush=True)
        self.assertGreater(self.liar.told.value, 500)
        self.assertEqual([wrong for worker in self.workers for wrong in worker.wrong], [])
        self.assertLess(figures["more_mb"], MORE_MB)
        if SLOW and not FLOOD:
            self.assertLess(median(lied), MORE * median(quiet), figures)
        self.assertEqual(sorted(set(ready()) - {"liar"}), ["pi-1", "pi-2"])
        audit = fleet.admin.good("GET", "/api/v1/agents/liar")
        self.assertFalse(audit.get("running"), audit)


if __name__ == "__main__":
    unittest.main()

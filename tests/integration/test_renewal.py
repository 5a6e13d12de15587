"""Renewal under load: a closed fleet whose certificates live a minute, echo tasks all the time (real programs).

EDGEFLEET_RENEWAL_SECONDS is how long it runs (default: 180); EDGEFLEET_RENEWAL_REPORT is a file for its figures."""

import json
import os
import pathlib
import re
import ssl
import threading
import time
import unittest

from closed_fleet import ClosedFleet
from mqtt5 import Client, Refused
from support import BIN, wait_until

LIFE = 60  # seconds
AGENTS = ("pi-1", "pi-2", "pi-3")


class Worker(threading.Thread):
    """Does one thing again and again, until it is stopped; its failures are kept."""

    def __init__(self, act, pause=0.0):
        super().__init__(daemon=True)
        self.act, self.pause = act, pause
        self.done, self.failures = 0, []
        self.stopped = threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(self.pause):
            try:
                self.act()
                self.done += 1
            except Exception as failure:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {type(failure).__name__}: {failure}")

    def end(self):
        self.stopped.set()
        self.join(120)


class Probe:
    """An agent by hand: it renews its certificate, and connects with the newest one each time."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.files = fleet.join("probe")
        self.request = (fleet.root / "probe.csr").read_text()
        self.renewed_at = time.monotonic()
        self.renewals = 0

    def renew_if_due(self):
        if time.monotonic() - self.renewed_at < LIFE * 2 / 3:
            return
        joined = self.fleet.agents_caller(self.files).good("POST", "/api/v1/renew", {"request": self.request})
        self.files[0].write_text(joined["certificate"])
        self.renewed_at = time.monotonic()
        self.renewals += 1

    def connect(self):
        self.renew_if_due()
        context = ssl.create_default_context(cafile=self.fleet.ca)
        context.load_cert_chain(*self.files)
        client = Client(self.fleet.broker_agents, context, timeout=30)
        try:
            client.publish("edgefleet/v1/home/agents/probe/temperature", b"{}")
        finally:
            client.vanish()
        self.fleet.agents_caller(self.files).good("GET", "/api/v1/crl")


class Renewal(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin("--test-certificate-seconds", str(LIFE))
        self.agents = {}

    def start_agent(self, name, *options):
        self.agents[name] = self.fleet.start(
            name, [BIN / "edgefleet-agent", "--work", self.fleet.root / f"work-{name}", "--echo", "2", *options])

    def placeable(self):
        return {one["name"] for one in self.fleet.admin.good("GET", "/api/v1/agents")["agents"] if one["placeable"]}

    def renewals(self):
        log = self.fleet.coordinator.log()
        counts = {name: len(re.findall(rf"the certificate {name} was renewed", log))
                  for name in ("people", "agents", "broker", "coordinator", "watch")}
        for name in AGENTS:
            counts[name] = self.agents[name].log().count("the certificate of this agent was renewed")
        return counts

    def can_connect(self, name, key):
        try:
            self.fleet.person_client(name, key).vanish()
            return True
        except (OSError, Refused):
            return False

    def test_no_task_is_lost_and_no_connection_refused(self):
        fleet = self.fleet
        length = float(os.environ.get("EDGEFLEET_RENEWAL_SECONDS", 180))
        for name in AGENTS:
            token = fleet.admin.good("POST", "/api/v1/join-tokens", {"name": name})["token"]
            self.start_agent(name, "--token", token)
        wait_until(lambda: self.placeable() == set(AGENTS), timeout=60, what=self.agents["pi-1"].log)
        submitter, watcher = fleet.access("anna", "submit"), fleet.access("wall", "observe")
        wait_until(lambda: self.can_connect("wall", watcher.key), timeout=30)  # the broker has its new files
        accepted, ended, attempts = [], [], []

        def task():
            number = len(accepted)
            made = submitter.good("POST", "/api/v1/tasks", {"capability": "echo", "input": number})
            accepted.append(made["id"])
            view = submitter.good("GET", f"/api/v1/tasks/{made['id']}?wait=60", timeout=90)
            if view["state"] == "succeeded" and "output" in view:
                ended.append(view["id"])
                attempts.append(len(view["attempts"]))
            else:
                raise AssertionError(f"{view}")

        restarted = []

        def restart():  # what has just started uses the newest certificate at once
            name = AGENTS[len(restarted) % len(AGENTS)]
            self.assertEqual(self.agents[name].terminate(60), 0)
            self.start_agent(name)
            restarted.append(name)
            wait_until(lambda: name in self.placeable(), timeout=60, what=self.agents[name].log)

        def connect_as_person():
            fleet.person_client("wall", watcher.key, timeout=30).vanish()

        probe = Probe(fleet)
        workers = {"tasks": [Worker(task), Worker(task)], "agents' connections": [Worker(probe.connect, 1)],
                   "people's connections": [Worker(connect_as_person, 1)],
                   "restarts": [Worker(restart, 40)]}
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun >= length, timeout=length + 60, pause=1)
        for group in workers.values():
            for worker in group:
                worker.end()
        fleet.clients.clear()
        counts = self.renewals()
        report = {"seconds": round(time.monotonic() - begun), "accepted": len(accepted), "succeeded": len(ended),
                  "lost": len(set(accepted) - set(ended)), "more than one attempt": sum(n > 1 for n in attempts),
                  "renewals": {**counts, "probe": probe.renewals}, "restarts": len(restarted),
                  "generations": int(fleet.broker_state()["generation"].split("-")[0])}
        for name, group in workers.items():
            report[name] = {"done": sum(one.done for one in group), "failed": sum(len(one.failures) for one in group),
                            "first failures": [text for one in group for text in one.failures][:5]}
        if path := os.environ.get("EDGEFLEET_RENEWAL_REPORT"):
            pathlib.Path(path).write_text(json.dumps(report, indent=1) + "\n")
            for name, process in [("coordinator", fleet.coordinator), ("broker", fleet.watcher), *self.agents.items()]:
                pathlib.Path(f"{path}.{name}.log").write_text(process.log())
        self.assertGreater(len(accepted), length)
        self.assertEqual(report["lost"], 0, report)
        for name in workers:
            self.assertEqual(report[name]["failed"], 0, report)
        for name, count in report["renewals"].items():
            self.assertGreaterEqual(count, int(length / LIFE) - 1, (name, report))
        self.assertNotIn("lost the connection", "".join(agent.log() for agent in self.agents.values()))
        self.assertNotIn("lets through", fleet.coordinator.log())
        # The broker and its clients start anew, with what they were given last.
        self.assertEqual(fleet.watcher.terminate(30), 0)
        fleet.start_broker()
        wait_until(lambda: self.placeable() == set(AGENTS), timeout=90, what=fleet.coordinator.log)
        task()


if __name__ == "__main__":
    unittest.main()

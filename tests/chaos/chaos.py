#!/usr/bin/env python3
"""Chaos: a fleet of real processes on its own network, with faults while clients work; afterwards a checker.

  ./dev chaos --minutes 10 --seed 42     the plan of faults of that seed (the reaction of the processes differs)
  ./dev chaos --preset tsan              the programs of that preset; a report of a sanitizer is a violation
  ./dev chaos --keep                     keeps the folder of a good run too

Exit codes: 0 nothing lost or duplicated; 1 a violation, and the folder with all logs is kept; 77 not possible here.
"""
import argparse
import collections
import json
import pathlib
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time

import isolation

if __name__ == "__main__":
    isolation.enter("chaos")

from checker import Checker, named_artifacts, read_runs  # noqa: E402
from client import Lost  # noqa: E402
from closed_world import ClosedWorld  # noqa: E402
from clients import Client  # noqa: E402
from faults import Faults  # noqa: E402
from ledger import Ledger  # noqa: E402
from world import World  # noqa: E402

DATA_MB = 256, 16  # size of the coordinator's disk: fixed part, and per minute
SLOWER = 4  # factor for the following times with sanitizers
HEALED = 60  # seconds until every agent must be back after the last fault
OUTCOMES = 240  # seconds until every accepted task must have an outcome
QUIET = 60  # seconds until nothing waits for delivery, and every clock skew is known
SKEW = 2000  # ms of tolerance for the shown skew, because a heartbeat takes time


class Monitor:
    """Records ten times per second which agents are placeable, to measure recoveries, and what agents have spooled."""

    def __init__(self, world):
        self.world = world
        self.seen = []  # (monotonic, placeable agents)
        self.spooled = set()  # paths
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with self.world.http(1) as http:
            while not self.stop.wait(0.1):
                self.spooled.update(self.world.undelivered())
                answer = http.try_request("GET", "/api/v1/agents")
                names = set()
                if answer is not None and answer.status == 200:
                    names = {agent["name"] for agent in answer.body["agents"] if agent["placeable"]}
                self.seen.append((time.monotonic(), names))

    def recoveries(self, faults):
        """(seconds, fault) from the end of a fault until its target works, unless another fault interfered."""
        found = []
        common = {"broker", "coordinator", "disk"}
        for fault in faults:
            if not fault.until:
                continue
            wanted = {fault.target} if fault.target not in common else None
            back = next((at for at, names in self.seen if at > fault.until and (wanted <= names if wanted else names)), None)
            if back is None:
                continue
            def interferes(other):
                return (other is not fault and (other.target in common or other.target == fault.target)
                        and other.at < back and (other.until or back) > fault.until - 1)
            if not any(interferes(other) for other in faults):
                found.append((back - fault.until, fault))
        return found


class Chaos:
    def __init__(self, args):
        self.args = args
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="edgefleet-chaos-"))
        self.events = open(self.folder / "events.jsonl", "w", encoding="utf-8", buffering=1)
        self.began = time.monotonic()
        names = [f"pi-{n}" for n in range(1, args.agents + 1)]
        world = ClosedWorld if args.closed else World
        self.world = world(self.folder, agents=args.agents, proxied=["coordinator", *names[::2]],
                           data_mb=round(DATA_MB[0] + DATA_MB[1] * args.minutes), preset=args.preset, clocks=True,
                           coordinator_args=("--keep-free-mb", "0"))  # faults fill the disk to its end
        self.slower = SLOWER if self.world.sanitizers.environment else 1
        self.ledger = Ledger()
        self.faults = Faults(self.world, args.seed, self.log)
        self.final = {}
        self.files = {}  # id: the fetched content, or None
        self.violations = []

    def log(self, event, **what):
        at = time.monotonic()
        self.events.write(json.dumps({"at": round(at - self.began, 3), "monotonic": round(at, 3), "event": event, **what}) + "\n")

    def say(self, text):
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    def run(self):
        self.say(f"seed {self.args.seed}, {self.args.minutes:g} minutes, {self.args.agents} agents, {self.args.clients} "
                 f"clients; logs in {self.folder}")
        self.world.start()
        names = [f"client-{n}" for n in range(1, self.args.clients + 1)]
        self.world.serves_clients(names)
        monitor = Monitor(self.world)
        over = threading.Event()
        clients = [Client(self.world, self.ledger, self.args.seed, n, over) for n in range(1, self.args.clients + 1)]
        for client in clients:
            client.thread.start()
        self.faults.run(self.args.minutes * 60)
        over.set()
        self.say(f"{len(self.faults.history)} faults are over; waiting for {len(self.ledger.entries)} tasks")
        self.heal()
        for client in clients:
            client.thread.join(60)
            if client.error:
                raise client.error
            client.settle()
            self.violations += client.strange
        self.wait_for_outcomes()
        self.wait_for_quiet()
        monitor.stop.set()
        monitor.thread.join()
        self.recoveries = monitor.recoveries(self.faults.history)
        self.spooled = collections.Counter(path.parent.name for path in monitor.spooled if path.suffix != ".new")
        self.collect()
        self.check()

    def heal(self):
        began = time.monotonic()
        names = set(self.world.agent_names)
        missing = names
        while missing and time.monotonic() < began + HEALED * self.slower:
            self.faults.look_after()
            last, missing = missing, names - self.world.placeable()
            time.sleep(0.1)
        if missing:
            self.violations.append(f"not back: {sorted(missing)} are not placeable {HEALED * self.slower} s after the last fault")
        self.say(self.violations[-1] if missing else
                 f"all agents are back after {time.monotonic() - began:.1f} s, last {', '.join(sorted(last))}")

    def unfinished(self, http):
        """One state at a time, forwards and backwards: a task that changes its state meanwhile is counted too."""
        count = 0
        states = ("scheduled", "queued", "assigned", "running", "cancelling")
        for state in (*states, *reversed(states), *states):
            count += len(http.good("GET", f"/api/v1/tasks?state={state}&limit=1000")["tasks"])
        return count

    def wait_for_outcomes(self):
        end = time.monotonic() + OUTCOMES * self.slower
        with self.world.http(30) as http:
            while time.monotonic() < end:
                self.faults.look_after()
                try:
                    if self.unfinished(http) == 0:
                        return
                except Lost:
                    pass
                time.sleep(0.2)
        # The checker reports the tasks without an outcome.

    def wait_for_quiet(self):
        """Waits until all spooled results are delivered, and a heartbeat of each agent has reported its clock."""
        end = time.monotonic() + QUIET * self.slower
        while True:
            wrong = [f"spool: {path.relative_to(self.world.folder)} is still there" for path in self.world.undelivered()]
            wrong += self.wrong_clocks()
            if not wrong or time.monotonic() > end:
                self.violations += wrong
                return
            time.sleep(0.2)

    def wrong_clocks(self):
        """Agents for which the API shows another skew than the jumps of their clock and of the coordinator's clock."""
        wrong = []
        with self.world.http(10) as http:
            agents = http.good("GET", "/api/v1/agents")["agents"]
        for agent in agents:
            ahead = 1000 * (self.world.agents[agent["name"]].clock.offset - self.world.coordinator.clock.offset)
            if abs(agent.get("skew_ms", 0) - ahead) > SKEW:
                wrong.append(f"clock: {agent['name']} is {ahead} ms ahead, the API says {agent.get('skew_ms')}")
        return wrong

    def collect(self):
        """Every task, complete, from the API; and the store itself, after the end of the coordinator."""
        with self.world.http(60) as http:
            after = ""
            while True:
                page = http.good("GET", f"/api/v1/tasks?limit=1000{after}")
                for task in page["tasks"]:
                    self.final[task["id"]] = http.good("GET", f"/api/v1/tasks/{task['id']}")
                if "next" not in page:
                    break
                after = "&after=" + page["next"]
            self.queue = http.good("GET", "/api/v1/queue")
            self.agents = http.good("GET", "/api/v1/agents")["agents"]
            for artifact in {*self.ledger.files, *named_artifacts(self.final)}:
                answer = http.request("GET", f"/api/v1/artifacts/{artifact}")
                self.files[artifact] = answer.body if answer.status == 200 else None
        for program in (*self.world.agents.values(), self.world.coordinator):
            code = program.terminate(20 * self.slower)
            if code != 0:
                self.violations.append(f"exit: {program.name} ended with {code} on SIGTERM")
        for path in self.world.left_over():
            self.violations.append(f"left over: {path.relative_to(self.world.folder)}")
        stored = sqlite3.connect(self.world.data / "store/edgefleet.db")
        count = stored.execute("SELECT count(*) FROM tasks").fetchone()[0]
        if count != len(self.final):
            self.violations.append(f"store: it has {count} tasks, the API listed {len(self.final)}")
        said = stored.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            self.violations.append(f"store: {said}")
        stored.close()

    def check(self):
        for name, life, code in self.faults.unexpected:
            self.violations.append(f"ended by itself: {name}, life {life}: {code}")
        for agent in self.agents:
            if agent.get("running"):
                self.violations.append(f"still held: {agent['name']} {agent['running']}")
        for name in self.world.programs:
            for report in self.world.sanitizers.reports(self.world.log(name)):
                self.violations.append(f"sanitizer: {name}: {report}")
        now = time.time() * 1000
        shift = now - time.monotonic() * 1000
        self.runs = read_runs(self.world.runs)
        self.violations += Checker(self.ledger, self.final, self.runs, self.files, shift, now).check()

    # ---- the report

    def report(self):
        self.say("report")
        by_kind = collections.Counter(f"{self.role(f.target)} {f.kind}" for f in self.faults.history)
        lines = {"faults": by_kind}
        lines["tasks"] = collections.Counter(
            task["state"] + (f" ({task['error']['code']})" if task.get("error") else "") for task in self.final.values())
        runs = sum(map(len, self.runs.values()))
        lines["runs of commands"] = {"tasks": len(self.runs), "runs": runs, "re-runs": runs - len(self.runs)}
        lines["files"] = {"uploaded": len(self.ledger.files), "fetched": sum(data is not None for data in self.files.values()),
                          "KiB": sum(len(data or b"") for data in self.files.values()) // 1024}
        lines["spooled by agents"] = self.spooled
        lines["attempts"] = collections.Counter(a["state"] for t in self.final.values() for a in t["attempts"])
        lines["clients"] = {**self.ledger.counts, "outcomes received": sum(len(e.outcomes) for e in self.ledger.entries.values()),
                            "submits without an answer": sum(e.lost for e in self.ledger.entries.values())}
        for title, counts in lines.items():
            print(f"{title}: " + ", ".join(f"{key} {value}" for key, value in sorted(counts.items())))
        print("slowest recoveries, from the end of a fault until its target works:")
        for seconds, fault in sorted(self.recoveries, key=lambda one: -one[0])[:8]:
            print(f"  {seconds:6.2f} s  {fault.target} {fault.kind} of {fault.until - fault.at:.1f} s, at {fault.at - self.began:.0f} s")
        if self.violations:
            print(f"{len(self.violations)} VIOLATIONS")
            for violation in self.violations[:40]:
                print("  " + violation[:1500])
        else:
            print(f"nothing lost, nothing duplicated: {len(self.final)} tasks, {len(self.faults.history)} faults")

    @staticmethod
    def role(target):
        return "agent" if target.startswith("pi-") else target

    def end(self):
        bad = bool(self.violations)
        if bad or self.args.keep:
            shutil.copytree(self.world.data, self.folder / "kept-data", ignore=shutil.ignore_patterns("ballast"))
            with open(self.folder / "ledger.json", "w", encoding="utf-8") as out:
                json.dump({label: entry.__dict__ for label, entry in self.ledger.entries.items()}, out, default=list)
            with open(self.folder / "final.json", "w", encoding="utf-8") as out:
                json.dump(self.final, out)
        self.world.stop()
        if bad or self.args.keep:
            print(f"seed {self.args.seed}; everything is kept in {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, which is printed")
    parser.add_argument("--agents", type=int, default=6)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--preset", choices=("release", "asan", "tsan"), help="programs from build/PRESET/bin")
    parser.add_argument("--closed", action="store_true", help="after setup: TLS, certificates, accesses; without a proxy")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(1_000_000)
    chaos = Chaos(args)
    try:
        chaos.run()
        chaos.report()
    except Exception as error:
        import traceback
        traceback.print_exc()
        chaos.violations.append(f"the test itself failed: {error!r}")
    sys.exit(chaos.end())


if __name__ == "__main__":
    main()

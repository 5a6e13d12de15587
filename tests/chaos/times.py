#!/usr/bin/env python3
"""How long work stops after a fault, measured from outside: from the fault to the first line that a task writes.

  ./dev times                          50 trials of each, about ten minutes
  ./dev times --only killed,broker     some of: killed, cut, broker, coordinator
  ./dev times --trials 10 --json       fewer trials; the figures as JSON

Each process runs on its own host (network namespace); the coordinator's store is on the disk of TMPDIR. Times are from
the clock that all processes of a machine share (CLOCK_MONOTONIC). Exit code 77: not possible on this machine.
"""
import argparse
import concurrent.futures
import datetime
import itertools
import json
import os
import pathlib
import platform
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import isolation

if __name__ == "__main__":
    isolation.enter("times")

from world import World, wait_until  # noqa: E402

LONG = 90  # seconds of a victim's task, so that it never ends by itself
PATIENCE = 60  # seconds for each wait
QUEUED = 100_000
BATCH = 10_000


class Starts:
    """Reads the lines that the agents' commands write."""

    def __init__(self, folder):
        self.folder = folder
        self.offsets, self.rests = {}, {}
        self.by_task = {}
        self.lock = threading.Lock()

    def read(self):
        with self.lock:
            for path in self.folder.glob("*.runs"):
                with open(path, "rb") as file:
                    file.seek(self.offsets.get(path, 0))
                    data = self.rests.get(path, b"") + file.read()
                    self.offsets[path] = file.tell()
                whole, _, self.rests[path] = data.rpartition(b"\n")
                for line in whole.decode().splitlines():
                    what, _, task, _, at = line.split()
                    if what == "start":
                        self.by_task.setdefault(task, []).append((path.stem, int(at)))

    def of(self, task):
        self.read()
        return self.by_task.get(task, [])

    def nth(self, task, n):
        """(agent, ns) of its nth start."""
        wait_until(lambda: len(self.of(task)) >= n, PATIENCE, f"start {n} of {task}", pause=0.02)
        return self.by_task[task][n - 1]

    def first_after(self, ns):
        def found():
            self.read()
            with self.lock:
                later = [at for starts in self.by_task.values() for _, at in starts if at > ns]
            return min(later, default=0)
        return wait_until(found, PATIENCE, "a task starts", pause=0.02)


class Times:
    def __init__(self, folder, args, agents):
        self.args = args
        self.world = World(folder, agents=agents, slots=1, echo=0, data_mb=0, coordinator_args=("--log-level", "warning"))
        self.starts = Starts(self.world.runs)
        self.numbers = itertools.count(1)
        self.found = {}
        self.random = random.Random(1)
        self.world.start()

    def note(self, name, ns):
        with open(self.world.folder / "times.log", "a", encoding="utf-8") as out:
            out.write(f"{datetime.datetime.now(datetime.timezone.utc).isoformat()} {threading.current_thread().name} {name}: {ns / 1e9:.3f} s\n")
        self.found.setdefault(name, []).append(ns / 1e9)

    def submit(self, seconds, **options):
        label = f"t-{next(self.numbers)}"
        with self.world.http(10) as http:
            task = http.good("POST", "/api/v1/tasks", {"capability": "command.run", "input": {
                "task": label, "seconds": seconds}, **options})
        return label, task["id"]

    def cancel(self, task_id):
        with self.world.http(10) as http:
            http.good("POST", f"/api/v1/tasks/{task_id}/cancel")

    def placeable(self, *names):
        wait_until(lambda: set(names) <= self.world.placeable(), PATIENCE, f"{names} are placeable", pause=0.1)

    def in_parallel(self, trial, at_once):
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(trial) for _ in range(self.args.trials)]:
                done.result()

    # ---- trials

    def killed(self):
        """Kill -9 of an agent during a task of less than three seconds."""
        label, task = self.submit(LONG)
        agent, _ = self.starts.nth(label, 1)
        time.sleep(self.random.uniform(0.2, 2.0))
        program = self.world.agents[agent]
        began = time.monotonic_ns()
        program.kill()
        other, at = self.starts.nth(label, 2)
        assert other != agent
        self.note("agent killed: its task starts elsewhere", at - began)
        program.start()
        self.cancel(task)
        self.placeable(agent)

    def cut(self):
        """A link that is cut silently; after its repair, a task that waits for that agent."""
        time.sleep(self.random.uniform(0, 10))  # anywhere between two heartbeats
        label, task = self.submit(LONG)
        agent, _ = self.starts.nth(label, 1)
        time.sleep(self.random.uniform(0.2, 2.0))
        began = time.monotonic_ns()
        self.world.network.cut(agent)
        other, at = self.starts.nth(label, 2)
        assert other != agent
        self.note("link cut silently: its task starts elsewhere", at - began)
        self.cancel(task)
        time.sleep(self.random.uniform(0, 20))
        waiting, _ = self.submit(0, where={"agent": agent})
        began = time.monotonic_ns()
        self.world.network.mend(agent)
        _, at = self.starts.nth(waiting, 1)
        self.note("link back: that agent works again", at - began)
        self.placeable(agent)

    def broker(self):
        """Kill -9 of the broker, which starts again at once without its data."""
        began = time.monotonic_ns()
        self.world.broker.kill()
        for kept in (self.world.folder / "broker").glob("mosquitto.db*"):
            kept.unlink()
        self.world.broker.start()
        labels = [self.submit(0, where={"agent": name})[0] for name in self.world.agent_names]
        at = [self.starts.nth(label, 1)[1] for label in labels]
        self.note("broker killed and emptied: work flows again", min(at) - began)
        self.note("the same: every agent has begun a task", max(at) - began)
        self.placeable(*self.world.agent_names)
        time.sleep(self.random.uniform(0.5, 1.5))

    def fill(self):
        """Queues tasks of one second each."""
        with self.world.http(60) as http:
            for _ in range(QUEUED // BATCH):
                http.good("POST", "/api/v1/batches", {"tasks": [
                    {"capability": "command.run", "input": {"task": f"q-{next(self.numbers)}", "seconds": 1}}
                    for _ in range(BATCH)]})

    def coordinator(self):
        """Kill -9 of the coordinator, which starts again at once. No agent has prefetched tasks: they take too long."""
        began = time.monotonic_ns()
        self.world.coordinator.kill()
        self.world.coordinator.start()
        killed = time.monotonic_ns()
        wait_until(self.world.ready, PATIENCE, "the coordinator is ready", pause=0.01)
        self.note(f"coordinator killed, {QUEUED:,} queued: serving", time.monotonic_ns() - began)
        self.note("the same: dispatching", self.starts.first_after(killed) - began)
        self.placeable(*self.world.agent_names)
        time.sleep(self.random.uniform(0.5, 1.5))

    def run(self, only):
        if "killed" in only:
            self.in_parallel(self.killed, 4)
        if "cut" in only:
            self.in_parallel(self.cut, 7)
        if "broker" in only:
            for _ in range(self.args.trials):
                self.broker()
        if "coordinator" in only:
            self.fill()
            for _ in range(self.args.trials):
                self.coordinator()


AIMS = {"agent killed: its task starts elsewhere": 2.5, "link cut silently: its task starts elsewhere": 20,
        "link back: that agent works again": 2, "broker killed and emptied: work flows again": 3,
        f"coordinator killed, {QUEUED:,} queued: serving": 3, "the same: dispatching": 3}


def percentile(values, share):
    """The smallest value that this percentage of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def report(found, as_json):
    rows = {name: {"aim_s": AIMS.get(name), "trials": len(values), "p50_s": round(percentile(values, 50), 3),
                   "p95_s": round(percentile(values, 95), 3), "max_s": round(max(values), 3)}
            for name, values in found.items()}
    if as_json:
        print(json.dumps({"machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
                          "times": rows}, indent=1))
        return
    print(f"{'':52} {'trials':>6} {'p50':>8} {'p95':>8} {'max':>8} {'aim':>6}")
    for name, row in rows.items():
        aim = f"{row['aim_s']:g} s" if row["aim_s"] else ""
        print(f"{name:52} {row['trials']:6} {row['p50_s']:6.2f} s {row['p95_s']:6.2f} s {row['max_s']:6.2f} s {aim:>6}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--agents", type=int, default=16)
    parser.add_argument("--only", default="killed,cut,broker,coordinator")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs, and print its path")
    args = parser.parse_args()
    only = set(args.only.split(","))
    if not only <= {"killed", "cut", "broker", "coordinator"} or args.trials < 1 or args.agents < 16:
        parser.error("--only: killed, cut, broker, coordinator; --trials: 1 and up; --agents: 16 and up")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="edgefleet-times-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    times = Times(folder, args, args.agents)
    try:
        times.run(only)
    except BaseException:
        sys.stderr.write(f"times: failed; logs are in {folder}\n")
        raise
    finally:
        times.world.stop()
    report(times.found, args.json)
    if args.keep:
        sys.stderr.write(f"logs are kept in {folder}\n")
    else:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

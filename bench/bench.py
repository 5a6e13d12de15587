#!/usr/bin/env python3
"""Measures edgefleet beside the raw ceiling of the same broker, in one run.

  ./dev bench                 everything, some two minutes
  ./dev bench --only echo     one of: raw, echo, latency, llm, core, idle
  ./dev bench --json          figures for programs

Everything runs on this machine's loopback. Machines differ and are noisy: trust the ratios.
"""
import argparse
import http.client
import json
import os
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import llm

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("EDGEFLEET_BIN", ROOT / "build/release/bin"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    sys.exit(f"bench: {what} did not happen within {seconds} s")


class Fleet:
    """A broker, a coordinator and agents of our own; ended by their ids."""

    def __init__(self, folder, agents, slots):
        self.folder, self.processes = Path(folder), {}
        self.broker_port, self.port = free_port(), free_port()
        self.start("broker", ["sh", str(ROOT / "mosquitto/broker.sh"), str(self.broker_port), str(self.folder)])
        wait_until(self.broker_answers, 10, "the broker's start")
        broker = ["--broker", f"mqtt://127.0.0.1:{self.broker_port}"]
        self.start("coordinator", [BIN / "edgefleet-coordinator", *broker, "--data", self.folder / "data",
                                   "--listen", f"127.0.0.1:{self.port}", "--log-level", "warning"])
        for i in range(agents):
            self.start(f"agent-{i + 1}", [BIN / "edgefleet-agent", *broker, "--name", f"bench-{i + 1}", "--coordinator",
                                          f"http://127.0.0.1:{self.port}", "--work", self.folder / f"work-{i}",
                                          "--echo", str(slots), "--log-level", "warning"])
        wait_until(lambda: self.placeable() == agents, 15, "the agents' start")

    def start(self, name, command):
        log = open(self.folder / f"{name}.log", "wb")
        self.processes[name] = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log,
                                                stdin=subprocess.DEVNULL)

    def broker_answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.broker_port)) == 0

    def placeable(self):
        try:
            return sum(a["placeable"] for a in Client(self.port).call("GET", "/api/v1/agents")["agents"])
        except OSError:
            return -1

    def stop(self):
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, method, path, body=None):
        self.connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = self.connection.getresponse()
        data = response.read()
        if response.status >= 300:
            sys.exit(f"bench: {method} {path}: {response.status} {data[:300]}")
        return json.loads(data)


def raw(fleet, count):
    out = subprocess.run([BIN / "edgefleet-bench-raw", "--broker", f"tcp://127.0.0.1:{fleet.broker_port}", "--count",
                          str(count)], capture_output=True, text=True, timeout=120)
    if out.returncode:
        sys.exit(out.stderr)
    return json.loads(out.stdout)


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def echo(fleet, count, batch):
    """Tasks a second from the first byte submitted to the last result recorded; bodies are made beforehand."""
    element = json.dumps({"capability": "echo", "input": {"text": "x" * 180}})
    body = '{"tasks":[' + ",".join([element] * batch) + "]}"
    names = list(fleet.processes)
    before = {n: cpu_seconds(fleet.processes[n]) for n in names}
    ids, lock = [], threading.Lock()

    def submit(batches):
        client = Client(fleet.port)
        for _ in range(batches):
            answer = client.call("POST", "/api/v1/batches", body)
            with lock:
                ids.append(answer["id"])

    began = time.monotonic()
    total = count // batch
    threads = [threading.Thread(target=submit, args=(total // 2 + (i < total % 2),)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = Client(fleet.port)
    for batch_id in ids:
        counts = client.call("GET", f"/api/v1/batches/{batch_id}?wait=60")["counts"]
        if counts["succeeded"] != batch:
            sys.exit(f"bench: batch {batch_id} has not succeeded: {counts}")
    seconds = time.monotonic() - began
    done = total * batch
    cpu = {n: round((cpu_seconds(fleet.processes[n]) - before[n]) / done * 1e6, 1) for n in names}
    return {"tasks": done, "tasks_per_s": round(done / seconds), "cpu_us_per_task": cpu}


def latency(fleet, count):
    """Submit one task over HTTP, wait for its result, and so on."""
    client, times = Client(fleet.port), []
    for i in range(count):
        began = time.monotonic()
        task = client.call("POST", "/api/v1/tasks", json.dumps({"capability": "echo", "input": i}))
        client.call("GET", f"/api/v1/tasks/{task['id']}?wait=30")
        times.append((time.monotonic() - began) * 1e3)
    times = sorted(times[count // 10:])
    return {"p50_ms": round(statistics.median(times), 3), "p99_ms": round(times[int(len(times) * 0.99)], 3)}


def commit_ms(folder):
    """What one small durable commit costs on this disk: a row by SQLite, WAL and synchronous FULL, as the store's."""
    database = sqlite3.connect(Path(folder) / "commit.db", isolation_level=None)
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)")
    times = []
    for _ in range(300):
        began = time.monotonic()
        database.execute("INSERT INTO t VALUES (zeroblob(200))")
        times.append((time.monotonic() - began) * 1e3)
    database.close()
    return round(statistics.median(times), 3)


def core():
    out = subprocess.run([BIN / "edgefleet-bench-core", "--benchmark_format=json"], capture_output=True, text=True,
                         timeout=300)
    if out.returncode:
        sys.exit(out.stderr)
    return {b["name"]: round(b["real_time"], 3) for b in json.loads(out.stdout)["benchmarks"]}


def memory_mb(process):
    private = resident = 0
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            resident = int(line.split()[1])
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            private += int(line.split()[1])
    return {"private_mb": round(private / 1024, 1), "resident_mb": round(resident / 1024, 1)}


def idle(fleet, seconds):
    watched = {n: p for n, p in fleet.processes.items() if n in ("coordinator", "agent-1")}
    before = {n: cpu_seconds(p) for n, p in watched.items()}
    time.sleep(seconds)  # the measure itself: what an idle process does in that time
    return {n: {**memory_mb(p), "cpu_percent": round((cpu_seconds(p) - before[n]) / seconds * 100, 2)}
            for n, p in watched.items()}


def models(fleet, folder):
    """Two streams, as many as the server has slots, through the door and beside it; then 200 streams and 200 polls."""
    unpacked = llm.unpacked(BIN.parent / "llama")
    if unpacked is None:
        return {"skipped": "no llama-server"}
    port = free_port()
    fleet.start("llama-server", llm.server_command(unpacked, port))
    wait_until(lambda: llm.healthy(port), 60, "llama-server's start")
    config = Path(folder) / "llm.toml"
    config.write_text(f'[[llm]]\nprovider = "openai"\nurl = "http://127.0.0.1:{port}"\nslots = {llm.SLOTS}\n')
    fleet.start("agent-llm", [BIN / "edgefleet-agent", "--broker", f"mqtt://127.0.0.1:{fleet.broker_port}", "--name",
                              "bench-llm", "--work", fleet.folder / "work-llm", "--config", config, "--log-level",
                              "warning"])
    wait_until(lambda: llm.MODEL in llm.get(fleet.port, "/v1/models")[1].decode(), 15, "the model's offer")
    private = lambda: memory_mb(fleet.processes["coordinator"])["private_mb"]
    return {**llm.beside_direct(fleet.port, port, 5), **llm.held(fleet.port, private, 200)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["raw", "echo", "latency", "llm", "core", "idle"])
    parser.add_argument("--count", type=int, default=100_000, help="tasks end to end")
    parser.add_argument("--batch", type=int, default=5_000, help="tasks a request")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--idle-seconds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    wanted = lambda name: args.only in (None, name)
    say = (lambda *a: None) if args.json else (lambda *a: print(*a, flush=True))
    figures = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}"}
    say(figures["machine"])
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-", dir=os.environ.get("TMPDIR")) as folder:
        os.chmod(folder, 0o755)
        fleet = Fleet(folder, args.agents, args.slots)
        try:
            if wanted("idle"):
                figures["idle"] = idle(fleet, args.idle_seconds)
                say("idle:", figures["idle"])
            if wanted("raw") or wanted("echo") or wanted("latency"):
                figures["raw"] = raw(fleet, 30_000)
                say("raw:", figures["raw"])
            if wanted("echo"):
                echo(fleet, args.count // 5, args.batch)  # warm
                figures["echo"] = echo(fleet, args.count, args.batch)
                figures["echo"]["times_raw"] = round(figures["echo"]["tasks_per_s"] / figures["raw"]["tasks_per_s"], 2)
                say("echo:", figures["echo"])
            if wanted("latency"):
                figures["latency"] = latency(fleet, 1000)
                figures["latency"]["commit_ms"] = commit_ms(folder)
                aim = 3 * figures["raw"]["round_trip_p50_ms"] + 2 * figures["latency"]["commit_ms"]
                figures["latency"]["aim_p50_ms"] = round(aim, 3)
                say("latency:", figures["latency"])
            if wanted("llm"):
                figures["llm"] = models(fleet, folder)
                say("llm:", figures["llm"])
        finally:
            fleet.stop()
    if wanted("core"):
        figures["core_us"] = core()
        say("core, us:", figures["core_us"])
    if args.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures edgefleet and the raw ceiling of the same broker in one run.

  ./dev bench                 everything, about two minutes
  ./dev bench --only echo     one of: raw, echo, latency, llm, http, core, idle, tls
  ./dev bench --only tls      a fleet after `setup` beside one without TLS, in turns; prints the rows of docs/benchmarks.md
  ./dev bench --only http --against ../before/build/release/bin
                              the HTTP server of this build and of another build, in turns
  ./dev bench --json          the figures as JSON

Everything runs on the loopback interface. Machines differ and are noisy: compare the ratios.
"""
import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import http_api
import llm
import tls
from fleet import BIN, Client, Fleet, cpu_seconds, latency, memory_mb, offer_model, start_llama


def raw(fleet, count):
    out = subprocess.run([BIN / "edgefleet-bench-raw", "--broker", f"tcp://127.0.0.1:{fleet.broker_port}", "--count",
                          str(count)], capture_output=True, text=True, timeout=120)
    if out.returncode:
        sys.exit(out.stderr)
    return json.loads(out.stdout)


def echo(fleet, count, batch):
    """Tasks per second from the first submitted byte to the last recorded result; the bodies are made beforehand."""
    element = json.dumps({"capability": "echo", "input": {"text": "x" * 180}})
    body = '{"tasks":[' + ",".join([element] * batch) + "]}"
    names = list(fleet.processes)
    before = {n: cpu_seconds(fleet.processes[n]) for n in names}
    ids, lock = [], threading.Lock()

    def submit(batches):
        client = fleet.client()
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
    client = fleet.client()
    for batch_id in ids:
        counts = client.call("GET", f"/api/v1/batches/{batch_id}?wait=60")["counts"]
        if counts["succeeded"] != batch:
            sys.exit(f"bench: batch {batch_id} has not succeeded: {counts}")
    seconds = time.monotonic() - began
    done = total * batch
    cpu = {n: round((cpu_seconds(fleet.processes[n]) - before[n]) / done * 1e6, 1) for n in names}
    return {"tasks": done, "tasks_per_s": round(done / seconds), "cpu_us_per_task": cpu}


def commit_ms(folder):
    """The time of a small durable commit on this disk: a row in SQLite, with WAL and synchronous FULL as in the store."""
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


def idle(fleet, seconds):
    watched = {n: p for n, p in fleet.processes.items() if n in ("coordinator", "agent-1")}
    before = {n: cpu_seconds(p) for n, p in watched.items()}
    time.sleep(seconds)  # part of the measurement: the work of an idle process
    return {n: {**memory_mb(p), "cpu_percent": round((cpu_seconds(p) - before[n]) / seconds * 100, 2)}
            for n, p in watched.items()}


def models(fleet):
    """Two streams, one per slot of the server, through the endpoint and directly; then 200 streams and long polls."""
    port = start_llama(fleet)
    if port is None:
        return {"skipped": "no llama-server"}
    offer_model(fleet, port)
    private = lambda: memory_mb(fleet.processes["coordinator"])["private_mb"]
    return {**llm.beside_direct(fleet.port, port, 5), **llm.held(fleet.port, private, 200, 200)}


def with_fleet(args, wanted, say, figures):
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
                echo(fleet, args.count // 5, args.batch)  # warm-up
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
                figures["llm"] = models(fleet)
                say("llm:", figures["llm"])
        finally:
            fleet.stop()


def with_two_fleets(args, say):
    """Both are up all the time, and only one of them works at a time."""
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-", dir=os.environ.get("TMPDIR")) as folder:
        os.chmod(folder, 0o755)
        fleets = {}
        try:
            (Path(folder) / "plain").mkdir(mode=0o755)
            (Path(folder) / "tls").mkdir(mode=0o755)
            fleets["plain"] = Fleet(f"{folder}/plain", args.agents, args.slots)
            fleets["tls"] = tls.ClosedBench(f"{folder}/tls", args.agents, args.slots)
            figures = {"idle": {name: idle(fleet, args.idle_seconds) for name, fleet in fleets.items()}}
            say("idle:", figures["idle"])
            figures["rounds"] = []
            for number in range(tls.ROUNDS):
                turns = dict(sorted(fleets.items(), reverse=number % 2 == 1))
                one = tls.measure(turns, lambda fleet, count: echo(fleet, count, args.batch), args.count)
                figures["rounds"].append(one)
                say(f"round {number + 1}:", {name: tls.short(found) for name, found in one.items()})
            return tls.compare(figures)
        finally:
            for fleet in fleets.values():
                fleet.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["raw", "echo", "latency", "llm", "http", "core", "idle", "tls"])
    parser.add_argument("--count", type=int, default=100_000, help="number of tasks of echo")
    parser.add_argument("--batch", type=int, default=5_000, help="tasks per request")
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--idle-seconds", type=int, default=30)
    parser.add_argument("--against", type=Path, metavar="DIR", help="folder of another build's programs, for http")
    parser.add_argument("--connections", type=int, default=5000, help="streams and long polls held open, for http")
    parser.add_argument("--http-seconds", type=float, default=5, help="duration of each measurement, for http")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    wanted = lambda name: args.only in (None, name)
    say = (lambda *a: None) if args.json else (lambda *a: print(*a, flush=True))
    figures = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}"}
    say(figures["machine"])
    if args.only not in ("http", "core", "tls"):
        with_fleet(args, wanted, say, figures)
    if wanted("tls"):
        figures["tls"] = with_two_fleets(args, say)
        say(tls.rows(figures["tls"]))
    if wanted("http"):
        figures["http"] = http_api.measure(args.against, args.connections, args.http_seconds)
        say(http_api.table(figures["http"]))
    if wanted("core"):
        figures["core_us"] = core()
        say("core, us:", figures["core_us"])
    if args.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

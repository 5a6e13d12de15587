"""The HTTP server of this build: compared with that of another build, in turns, and with thousands of connections."""
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import llm
from fleet import BIN, Client, Fleet, latency, memory_mb, offer_model, start_llama, wait_until

ROUNDS = 3
RATE_CONNECTIONS = 64
STREAMS = 300  # at the same time, until they end
MOST_HELD_BEFORE = 500  # by the other build: a server with a thread per connection supports a few hundred
ROWS = [  # key, label, target
    ("health_per_s", "/health, answers per second, 64 connections", ""),
    ("submit_and_wait_p50_ms", "submit a task and wait for its result, p50 in ms", ""),
    ("submit_and_wait_p99_ms", "the same, p99 in ms", ""),
    ("first_token_ms", "first token of the OpenAI endpoint, ms", ""),
    ("tokens_per_s", "tokens per second, two streams", ""),
    ("share_of_direct", "the same, as a share of llama-server asked directly", "0.95"),
    ("streams", f"{STREAMS} streams at the same time: answered", str(STREAMS)),
    ("streams_s", "all of them answered after, s", ""),
    ("streams_health_max_ms", "/health at the same time, max in ms", ""),
    ("idle_private_mb", "idle coordinator, private MB", ""),
    ("idle_resident_mb", "the same, resident MB", ""),
    ("held", "streams and long polls held open", "5000"),
    ("held_streams", "streams among them", ""),
    ("held_health_p50_ms", "/health at the same time, p50 in ms", ""),
    ("held_health_p99_ms", "the same, p99 in ms", "20"),
    ("held_kib", "coordinator's memory for each, its task included, KiB", ""),
    ("bare_health_per_s", "the server alone: answers per second", ""),
    ("bare_pool_per_s", "the same, by a handler on the pool", ""),
    ("bare_tls_health_per_s", "the same with TLS, no pool", ""),
    ("bare_held", "the server alone: streams and long polls held open", "5000"),
    ("bare_held_health_p99_ms", "/health at the same time, p99 in ms", "20"),
    ("bare_held_kib", "memory for each, KiB", "24"),
    ("bare_tls_held_health_p99_ms", "/health at the same time under TLS, p99 in ms", "20"),
    ("bare_tls_held_kib", "memory for each under TLS, KiB", "40"),
]


def load(port, seconds, path="/health", tls=False):
    """Answers per second on keep-alive connections that send the next request at once."""
    out = subprocess.run([BIN / "edgefleet-bench-http", "--port", str(port), "--path", path, "--seconds", str(seconds),
                          "--connections", str(RATE_CONNECTIONS), *(["--tls"] if tls else [])],
                         capture_output=True, text=True, timeout=seconds + 60, check=False)
    if out.returncode:
        sys.exit(out.stderr)
    return json.loads(out.stdout)


def private_kib(process):
    return memory_mb(process)["private_mb"] * 1024


def at_rest(process):
    """The private memory of the process, when it no longer grows."""
    seen = [private_kib(process)]

    def rests():
        time.sleep(0.2)  # between two samples
        seen.append(private_kib(process))
        return abs(seen[-1] - seen[-2]) <= 128
    wait_until(rests, 30, "the end of the memory's growth")
    return seen[-1]


class Held:
    """Connections that wait; each sends one of these requests, in turn."""

    def __init__(self, port, count, requests, seconds, tls=False):
        command = [BIN / "edgefleet-bench-http", "--port", str(port), "--hold", str(count), "--seconds", str(seconds),
                   *(["--tls"] if tls else []), "--holding", *requests]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.line()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("bench: the client that holds connections has failed")
        return json.loads(line)

    def health(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


def hold(port, process, count, requests, seconds, tls=False, arrived=lambda: True):
    """The memory of so many connections, and the latency of /health at the same time."""
    before = at_rest(process)
    held = Held(port, count, requests, seconds, tls)
    wait_until(arrived, 60, "the arrival of all requests")
    after = at_rest(process)
    found = held.health()
    held.end()
    return {"held": found["open"], "held_streams": found["streams"], "held_polls": found["polls"],
            "held_health_p50_ms": round(found["p50_ms"], 2),
            "held_health_p99_ms": round(found["p99_ms"], 2),
            "held_kib": round((after - before) / max(found["open"], 1), 1)}


def certificate(folder):
    files = {"certificate": folder / "certificate.pem", "key": folder / "key.pem"}
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=localhost", "-days", "2", "-keyout", files["key"], "-out", files["certificate"]],
                   check=True, capture_output=True)
    return files


@contextlib.contextmanager
def bare_server(folder):
    files = certificate(folder)
    process = subprocess.Popen([BIN / "edgefleet-bench-http-bare", "--certificate", files["certificate"], "--key",
                                files["key"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)


def bare(folder, count, seconds):
    """The server without a coordinator; each kind of listener has its own process, so that memory is not shared."""
    figures = {}
    for tls in (False, True):
        prefix = "bare_tls_" if tls else "bare_"
        with bare_server(folder) as (process, ports):
            port = ports["tls_port" if tls else "port"]
            counted = lambda: int(llm.get(ports["port"], "/count")[1]) >= count
            found = hold(port, process, count, ["GET /stream", "GET /wait"], seconds, tls, counted)
            figures.update({prefix + key: value for key, value in found.items()})
        with bare_server(folder) as (process, ports):
            port = ports["tls_port" if tls else "port"]
            figures[prefix + "health_per_s"] = round(load(port, seconds, "/health", tls)["per_s"])
            if not tls:
                figures["bare_pool_per_s"] = round(load(port, seconds, "/pool")["per_s"])
    return figures


def in_turns(fleets, seconds):
    """The median of some rounds, in turns, so that both builds run under the same conditions."""
    found = {name: {"health_per_s": [], "submit_and_wait_p50_ms": [], "submit_and_wait_p99_ms": []} for name in fleets}
    for _ in range(ROUNDS):
        for name, fleet in fleets.items():
            found[name]["health_per_s"].append(round(load(fleet.port, seconds)["per_s"]))
        for name, fleet in fleets.items():
            times = latency(fleet, 400)
            found[name]["submit_and_wait_p50_ms"].append(times["p50_ms"])
            found[name]["submit_and_wait_p99_ms"].append(times["p99_ms"])
    return {name: {key: statistics.median(values) for key, values in of.items()} for name, of in found.items()}


def models(fleets):
    first = next(iter(fleets.values()))
    direct = start_llama(first)
    if direct is None:
        return {}
    figures = {}
    for fleet in fleets.values():
        offer_model(fleet, direct)
    for name, fleet in fleets.items():
        beside = llm.beside_direct(fleet.port, direct, ROUNDS)
        coordinator = fleet.processes["coordinator"]
        streams = llm.held(fleet.port, lambda process=coordinator: memory_mb(process)["private_mb"], STREAMS, 0,
                           may_fail=True)
        figures[name] = {"first_token_ms": beside["first_token_ms"], "tokens_per_s": beside["tokens_per_s"],
                         "share_of_direct": beside["share"], "streams": streams["streams"],
                         "streams_s": streams["all_answered_after_s"],
                         "streams_health_max_ms": streams["health_max_ms"]}
    return figures


def held_by_coordinator(folder, binaries, count, seconds):
    """Half of them are streams of a model without a free slot, half long polls of a task that no agent can take. The
    fleet is new, because heap memory from earlier requests would hide the cost of these."""
    with new_fleet(folder, binaries) as fleet:
        task = Client(fleet.port).call("POST", "/api/v1/tasks", json.dumps({"capability": "not.offered"}))["id"]
        requests = [f"GET /api/v1/tasks/{task}?wait=60"]
        direct = start_llama(fleet)
        if direct is not None:
            offer_model(fleet, direct)
            chat = json.dumps({**llm.CHAT, "max_tokens": 4000, "ignore_eos": True})
            requests.append(f"POST /v1/chat/completions {chat}")
        return hold(fleet.port, fleet.processes["coordinator"], count, requests, seconds)


@contextlib.contextmanager
def new_fleet(folder, binaries):
    folder.mkdir()
    fleet = Fleet(folder, 1, 16, binaries)
    try:
        yield fleet
    finally:
        fleet.stop()


def measure(against, count, seconds):
    builds = ({"before": Path(against).resolve()} if against else {}) | {"now": BIN}
    figures = {name: {} for name in builds}
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-", dir=os.environ.get("TMPDIR")) as base:
        os.chmod(base, 0o755)
        figures["now"].update(bare(Path(base), count, seconds))
        with contextlib.ExitStack() as running:
            fleets = {name: running.enter_context(new_fleet(Path(base) / name, binaries))
                      for name, binaries in builds.items()}
            for name, fleet in fleets.items():
                idle = memory_mb(fleet.processes["coordinator"])
                figures[name].update({f"idle_{key}": value for key, value in idle.items()})
            for found in (in_turns(fleets, seconds), models(fleets)):
                for name, of in found.items():
                    figures[name].update(of)
        for name, binaries in builds.items():
            wanted = count if name == "now" else min(count, MOST_HELD_BEFORE)
            figures[name].update(held_by_coordinator(Path(base) / f"{name}-held", binaries, wanted, seconds))
    return figures


def table(figures):
    names = list(figures)
    lines = [f"{'':64}" + "".join(f"{name:>12}" for name in names) + f"{'target':>10}"]
    for key, label, target in ROWS:
        if any(key in of for of in figures.values()):
            lines.append(f"{label:64}" + "".join(f"{figures[n].get(key, '-'):>12}" for n in names) + f"{target:>10}")
    return "\n".join(lines)

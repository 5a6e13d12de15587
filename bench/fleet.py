"""The fleet of the benchmarks (a broker, a coordinator, agents) and its measurements."""
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
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
    """A broker, a coordinator and agents; they are ended by their process ids."""

    def __init__(self, folder, agents, slots, binaries=BIN):
        self.folder, self.binaries, self.processes = Path(folder), Path(binaries), {}
        self.broker_port, self.port = free_port(), free_port()
        self.start("broker", ["sh", str(ROOT / "mosquitto/broker.sh"), str(self.broker_port), str(self.folder)])
        wait_until(self.broker_answers, 10, "the broker's start")
        broker = ["--broker", f"mqtt://127.0.0.1:{self.broker_port}"]
        self.start("coordinator", [self.binaries / "edgefleet-coordinator", *broker, "--data", self.folder / "data",
                                   "--listen", f"127.0.0.1:{self.port}", "--log-level", "warning"])
        for i in range(agents):
            self.start(f"agent-{i + 1}", [self.binaries / "edgefleet-agent", *broker, "--name", f"bench-{i + 1}",
                                          "--coordinator", f"http://127.0.0.1:{self.port}", "--work",
                                          self.folder / f"work-{i}", "--echo", str(slots), "--log-level", "warning"])
        wait_until(lambda: self.placeable() == agents, 15, "the agents' start")

    def start(self, name, command):
        log = open(self.folder / f"{name}.log", "wb")
        self.processes[name] = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log,
                                                stdin=subprocess.DEVNULL)

    def broker_answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.broker_port)) == 0

    def client(self):
        return Client(self.port)

    def placeable(self):
        try:
            return sum(a["placeable"] for a in self.client().call("GET", "/api/v1/agents")["agents"])
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
    def __init__(self, port, tls=None, key=None):
        """`key`: of an access; with the context `tls`."""
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        if tls:
            self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=120, context=tls)
        else:
            self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, method, path, body=None):
        headers = {**self.headers, "Content-Type": "application/json"} if body else self.headers
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        data = response.read()
        if response.status >= 300:
            sys.exit(f"bench: {method} {path}: {response.status} {data[:300]}")
        return json.loads(data)


def round_trips_ms(client, count):
    """Submits one task at a time over HTTP and waits for its result."""
    times = []
    for i in range(count):
        began = time.monotonic()
        task = client.call("POST", "/api/v1/tasks", json.dumps({"capability": "echo", "input": i}))
        client.call("GET", f"/api/v1/tasks/{task['id']}?wait=30")
        times.append((time.monotonic() - began) * 1e3)
    return times


def latency(fleet, count):
    times = sorted(round_trips_ms(fleet.client(), count)[count // 10:])
    return {"p50_ms": round(statistics.median(times), 3), "p99_ms": round(times[int(len(times) * 0.99)], 3)}


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process):
    private = resident = 0
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            resident = int(line.split()[1])
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            private += int(line.split()[1])
    return {"private_mb": round(private / 1024, 1), "resident_mb": round(resident / 1024, 1)}


def start_llama(fleet):
    """The port of a llama-server; None if it is not available."""
    unpacked = llm.unpacked(BIN.parent / "llama")
    if unpacked is None:
        return None
    port = free_port()
    fleet.start("llama-server", llm.server_command(unpacked, port))
    wait_until(lambda: llm.healthy(port), 60, "llama-server's start")
    return port


def offer_model(fleet, llama_port):
    """Starts an agent that offers the model of llama-server."""
    config = fleet.folder / "llm.toml"
    config.write_text(f'[[llm]]\nprovider = "openai"\nurl = "http://127.0.0.1:{llama_port}"\nslots = {llm.SLOTS}\n')
    fleet.start("agent-llm", [fleet.binaries / "edgefleet-agent", "--broker", f"mqtt://127.0.0.1:{fleet.broker_port}",
                              "--name", "bench-llm", "--work", fleet.folder / "work-llm", "--config", config,
                              "--log-level", "warning"])
    wait_until(lambda: llm.MODEL in llm.get(fleet.port, "/v1/models")[1].decode(), 15, "the model's offer")

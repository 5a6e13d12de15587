"""The processes of a load test: the broker in this project's configuration, a coordinator, the driver of the agents."""
import collections
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/integration"))
from support import BIN, Api, Fleet, Process, free_port, wait_until  # noqa: E402, F401

FILES_OF_AN_AGENT = 3  # its socket, and a socket pair of libmosquitto
LOST = re.compile(r"agent (\S+) is lost|agent (\S+) sends heartbeats but does not receive")


class Impossible(Exception):
    """The machine does not permit it; the text says what to change."""


def raise_file_limit(agents):
    needed = FILES_OF_AN_AGENT * agents + 200
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Impossible(f"{agents} agents need {needed} open files in one process, the limit is {hard}: "
                         f"raise it (ulimit -Hn {needed}), or use fewer agents")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid):
    private = resident = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            resident = int(line.split()[1])
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            private += int(line.split()[1])
    return {"resident_mb": round(resident / 1024, 1), "private_mb": round(private / 1024, 1)}


class Driver:
    """The process with all agents; it prints its counters every second, one line each time."""

    def __init__(self, world, *, agents, slots, seed):
        self.began = time.monotonic()
        self.process = world.start("agents", [BIN / "edgefleet-load-agents", *world.options_of_agents(), "--agents",
                                              agents, "--slots", slots, "--seed", seed])

    def reports(self):
        whole, _, _ = self.process.log().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def latest(self):
        if not self.process.alive():
            raise RuntimeError(f"the driver has ended:\n{self.process.log()[-2000:]}")
        reports = self.reports()
        return collections.defaultdict(int, reports[-1] if reports else {})

    def next(self):
        """The current counters, not those of up to a second ago."""
        known = len(self.reports())
        wait_until(lambda: len(self.reports()) > known, 20, "the driver prints its counters", pause=0.05)
        return self.latest()


class World:
    def __init__(self, folder, port):
        """`port`: for HTTP, the next one for the broker; None: free ports."""
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o755)  # the broker switches to another user
        self.http_port, self.broker_port = (port, port + 1) if port else (free_port(), free_port())
        self.processes = {}
        self.api = self.new_api()

    def new_api(self):
        """A connection of a client; self.api is the operator's."""
        return Api(self.http_port)

    def operator_api(self):
        return self.new_api()

    def options_of_agents(self):
        return ["--port", self.broker_port]

    def enrol(self, agents, say):
        """Before the agents start; what it cost, or None if nothing was needed."""

    @property
    def store(self):
        return self.folder / "data/edgefleet.db"

    def start(self, name, command):
        process = Process(name, command, self.folder / f"{name}.log")
        self.processes[name] = process
        return process

    def start_broker(self):
        broker = self.start("broker", ["sh", ROOT / "mosquitto/broker.sh", self.broker_port, self.folder / "broker"])
        wait_until(lambda: Fleet.listening(self.broker_port) or not broker.alive(), 10, "the broker listens")
        if not broker.alive():
            raise Impossible(f"the broker has ended:\n{broker.log()}")

    def start_coordinator(self, *args):
        return self.start("coordinator", [
            BIN / "edgefleet-coordinator", "--broker", f"mqtt://127.0.0.1:{self.broker_port}", "--data",
            self.folder / "data", "--listen", f"127.0.0.1:{self.http_port}", "--log-level", "warning", *args])

    def ready(self):
        coordinator = self.processes["coordinator"]
        if not coordinator.alive():
            raise RuntimeError(f"the coordinator has ended:\n{coordinator.log()}")
        try:
            return self.api.get("/ready").status == 200
        except OSError:
            return False

    def cpu(self, without=None):
        """CPU seconds until now; this process runs the clients."""
        spent = {name: cpu_seconds(process.pid) for name, process in self.processes.items() if name != without}
        return {**spent, "clients": time.process_time()}

    def cpu_since(self, before):
        return {name: round(seconds - before.get(name, 0), 2) for name, seconds in self.cpu().items()}

    def memory(self):
        return {name: memory_mb(process.pid) for name, process in self.processes.items()}

    def lost_agents(self):
        """Every agent that the coordinator has declared lost or unreachable, from its log."""
        return sorted({a or b for a, b in LOST.findall(self.processes["coordinator"].log())})

    def stop(self):
        for name in ("coordinator", "agents", "broker"):
            if name in self.processes and self.processes[name].alive():
                self.processes[name].signal(15)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

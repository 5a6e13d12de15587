"""What TLS, certificates and accesses cost: a fleet after `setup` beside one without, in one run and in turns."""
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import time

from fleet import BIN, ROOT, Client, cpu_seconds, round_trips_ms, wait_until

os.environ.setdefault("EDGEFLEET_BIN", str(BIN))
sys.path.append(str(ROOT / "tests/integration"))
from closed_fleet import ClosedFleet  # noqa: E402

ROUNDS = 5
WARM_UP = 5_000  # tasks
ONE_AT_A_TIME = 20  # tasks of a turn
TURNS = 20  # of each fleet


class WatchedBroker:
    """The broker that watch.sh runs."""

    def __init__(self, fleet):
        self.fleet = fleet

    @property
    def pid(self):
        return self.fleet.broker_pid


class ClosedBench:
    """The same as fleet.Fleet, after `edgefleet-coordinator setup`: all by certificate, and an access that submits."""

    def __init__(self, folder, agents, slots):
        self.fleet = ClosedFleet(folder)
        self.processes = {}
        try:
            self.begin(agents, slots)
        except BaseException:
            self.stop()
            raise

    def begin(self, agents, slots):
        done = self.fleet.setup()
        if done.returncode != 0:
            sys.exit(f"bench: setup: {done.stderr}")
        self.fleet.start_broker()
        coordinator = self.fleet.start_coordinator("--log-level", "warning")
        admin = self.fleet.admin
        self.key = admin.good("POST", "/api/v1/accesses", {"name": "bench", "role": "submit", "capabilities": ["echo"]})["key"]
        self.context = ssl.create_default_context(cafile=self.fleet.ca)
        self.processes.update(broker=WatchedBroker(self.fleet), coordinator=coordinator)
        token = admin.good("POST", "/api/v1/join-tokens", {"uses": agents})["token"]
        for number in range(1, agents + 1):
            name, work = f"bench-{number}", self.fleet.root / f"work-{number}"
            joined = self.fleet.run(BIN / "edgefleet-agent", "join", "--work", work, "--name", name, "--token-file", "-",
                                    input=token)
            if joined.returncode != 0:
                sys.exit(f"bench: join: {joined.stderr}")
            self.processes[f"agent-{number}"] = self.fleet.start(
                name, [BIN / "edgefleet-agent", "--work", work, "--echo", slots, "--log-level", "warning"])
        wait_until(lambda: sum(a["placeable"] for a in admin.good("GET", "/api/v1/agents")["agents"]) == agents, 30,
                   "the start of the agents with certificates")

    def client(self):
        return Client(self.fleet.people_port, self.context, self.key)

    def stop(self):
        for process in reversed(self.fleet.processes):
            if process.alive():
                try:
                    process.terminate(10)
                except subprocess.TimeoutExpired:
                    process.kill()
        shutil.rmtree(self.fleet.root, ignore_errors=True)


def measure(fleets, echo, count):
    """A round. `fleets`: by name, in the order of their turns."""
    found = {}
    for name, fleet in fleets.items():
        echo(fleet, WARM_UP)
        found[name] = {"echo": echo(fleet, count // ROUNDS), "times_ms": []}
    clients = {name: fleet.client() for name, fleet in fleets.items()}
    for client in clients.values():
        round_trips_ms(client, ONE_AT_A_TIME)
    before = {name: cpu_of(fleet) for name, fleet in fleets.items()}
    client_s = dict.fromkeys(fleets, 0.0)
    for _ in range(TURNS):
        for name, client in clients.items():
            began = time.process_time()
            found[name]["times_ms"] += round_trips_ms(client, ONE_AT_A_TIME)
            client_s[name] += time.process_time() - began
    for name, fleet in fleets.items():
        spent = {process: seconds - before[name][process] for process, seconds in cpu_of(fleet).items()}
        found[name]["cpu_us_one"] = {process: seconds / (TURNS * ONE_AT_A_TIME) * 1e6
                                     for process, seconds in {**spent, "client": client_s[name]}.items()}
    return found


def cpu_of(fleet):
    return {name: cpu_seconds(process) for name, process in fleet.processes.items()}


def short(found):
    return {"tasks_per_s": found["echo"]["tasks_per_s"], "p50_ms": round(statistics.median(found["times_ms"]), 3)}


def compare(figures):
    rounds = figures.pop("rounds")
    for name in ("plain", "tls"):
        cpu = [one[name]["echo"]["cpu_us_per_task"] for one in rounds]
        figures[name] = {
            "tasks_per_s": round(statistics.median(one[name]["echo"]["tasks_per_s"] for one in rounds)),
            "p50_ms": round(statistics.median(ms for one in rounds for ms in one[name]["times_ms"]), 3),
            "cpu_us_per_task": means(cpu), "cpu_us_one_at_a_time": means([one[name]["cpu_us_one"] for one in rounds])}
    # Each round by itself: the two halves of one have had the same machine.
    shares = [one["tls"]["echo"]["tasks_per_s"] / one["plain"]["echo"]["tasks_per_s"] for one in rounds]
    more = [statistics.median(one["tls"]["times_ms"]) - statistics.median(one["plain"]["times_ms"]) for one in rounds]
    figures["throughput_less_percent"] = round((1 - statistics.median(shares)) * 100, 1)
    figures["of_rounds"] = [round((1 - share) * 100, 1) for share in shares]
    figures["p50_more_ms"] = round(statistics.median(more), 3)
    figures["p50_more_of_rounds_ms"] = [round(one, 3) for one in more]
    return figures


def means(rounds):
    return {process: round(statistics.mean(one[process] for one in rounds), 1) for process in rounds[0]}


def rows(figures):
    """As docs/benchmarks.md has them."""
    plain, closed, idle = figures["plain"], figures["tls"], figures["idle"]

    def listed(values):
        return ", ".join(str(value) for value in values)

    def memory(name, who):
        found = idle[name][who]
        return f"{found['private_mb']} MB private, {found['resident_mb']} MB resident, {found['cpu_percent']} % of a core"

    def cpu(used):
        agents = round(sum(us for name, us in used.items() if name.startswith("agent")), 1)
        client = f", client {used['client']} us" if "client" in used else ""
        return f"coordinator {used['coordinator']} us, agents {agents} us, broker {used['broker']} us{client}"

    return "\n".join([
        f"| after `setup` (TLS, certificates, accesses) beside a fleet without, in turns, {ROUNDS} rounds: `echo` as above | "
        f"`./dev bench --only tls` | {closed['tasks_per_s']:,} tasks/s of {plain['tasks_per_s']:,}: "
        f"**{figures['throughput_less_percent']} % less** (rounds: {listed(figures['of_rounds'])}) | 15 % less |",
        f"| CPU per task (same run) | | {cpu(closed['cpu_us_per_task'])}; without: {cpu(plain['cpu_us_per_task'])} | |",
        f"| one at a time (same run) | | p50 {closed['p50_ms']} ms, without {plain['p50_ms']} ms: "
        f"**{figures['p50_more_ms']} ms more** (rounds: {listed(figures['p50_more_of_rounds_ms'])}) | 0.2 ms more |",
        f"| CPU per task (same run) | | {cpu(closed['cpu_us_one_at_a_time'])}; without: "
        f"{cpu(plain['cpu_us_one_at_a_time'])} | |",
        f"| idle agent with a certificate | | {memory('tls', 'agent-1')}; without: {memory('plain', 'agent-1')} "
        "| 4 MB private |",
        f"| idle coordinator after `setup` | | {memory('tls', 'coordinator')}; without: "
        f"{memory('plain', 'coordinator')} | |"])

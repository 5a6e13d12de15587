"""The processes of a load test after `edgefleet-coordinator setup`: TLS and access lists at the broker, which
mosquitto/watch.sh runs, a certificate for each agent, and accesses for the clients."""
import json
import os
import resource

from world import BIN, World, cpu_seconds

from closed_fleet import ClosedFleet  # world.py has made the tests' folder known

AT_ONCE = 8
MOST_ENROLLING_S = 1200
OF_CLIENTS = {"role": "submit", "capabilities": ["echo"]}


class WatchedBroker:
    """The broker that watch.sh runs: its cost is the broker's, its end is followed by another one."""

    def __init__(self, fleet):
        self.fleet = fleet

    @property
    def pid(self):
        return self.fleet.broker_pid

    def kill(self):
        os.kill(self.pid, 9)

    def alive(self):
        return self.fleet.watcher.alive()

    def log(self):
        return self.fleet.watcher.log()

    def signal(self, number):
        self.fleet.watcher.signal(number)

    def wait(self, timeout=None):
        return self.fleet.watcher.wait(timeout)


class ClosedWorld(World):
    def __init__(self, folder):
        self.fleet = ClosedFleet(folder)
        self.key = None  # of the clients' access
        super().__init__(folder, None)
        self.http_port, self.broker_port = self.fleet.people_port, self.fleet.broker_agents

    def new_api(self):
        return self.fleet.kept_api(self.key) if self.key else None

    def operator_api(self):
        return self.fleet.kept_api(self.fleet.key_file.read_text().strip())

    def options_of_agents(self):
        return ["--identities", self.fleet.root / "agents"]

    def start(self, name, command):
        self.processes[name] = self.fleet.start(name, command)
        return self.processes[name]

    def start_broker(self):
        if self.fleet.watcher is None:
            done = self.fleet.setup()
            if done.returncode != 0:
                raise RuntimeError(f"setup failed:\n{done.stderr}")
            self.api = self.operator_api()
            self.processes["broker"] = WatchedBroker(self.fleet)
            return self.fleet.start_broker()
        return None  # watch.sh starts the next one

    def start_coordinator(self, *args):
        return self.start("coordinator", [BIN / "edgefleet-coordinator", "--data", self.fleet.data, "--log-level",
                                          "warning", *args])

    def enrol(self, agents, say):
        """Every agent joins by the API, as `edgefleet-agent join` does, all with one token."""
        access = self.api.good("POST", "/api/v1/accesses", {"name": "load", **OF_CLIENTS})
        self.key = access["key"]
        token = self.api.good("POST", "/api/v1/join-tokens", {"uses": agents})["token"]
        coordinator = self.processes["coordinator"].pid
        before, before_own = cpu_seconds(coordinator), cpu_of_children()
        done = self.fleet.run(BIN / "edgefleet-load-enrol", "--folder", self.fleet.root / "agents", "--agents", agents,
                              "--threads", AT_ONCE, "--seconds", MOST_ENROLLING_S, input=token,
                              timeout=MOST_ENROLLING_S + 60)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        reports = [json.loads(line) for line in done.stdout.splitlines()]
        seconds = reports[-1]["seconds"]
        cpu = cpu_seconds(coordinator) - before
        figures = {"seconds": round(seconds, 1), "per_s": round(agents / seconds), "last_tenth_per_s": last_rate(reports),
                   "cpu_s": {"coordinator": round(cpu, 2), "machines": round(cpu_of_children() - before_own, 2)},
                   "coordinator_ms_each": round(cpu / agents * 1e3, 2)}
        say(f"enrolled: {agents} agents in {figures['seconds']} s, {figures['per_s']} per second")
        return figures


def cpu_of_children():
    """CPU seconds of the programs that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def last_rate(reports):
    """Of the last tenth of the machines, per second: the rate beside those that had joined before."""
    last = reports[-1]
    before = [one for one in reports if one["joined"] <= last["joined"] * 0.9]
    if not before:
        return None  # it took about a second
    return round((last["joined"] - before[-1]["joined"]) / (last["seconds"] - before[-1]["seconds"]))

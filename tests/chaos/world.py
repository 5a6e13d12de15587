"""The fleet under test: broker, coordinator and agents, each on its own host (namespace)."""
import itertools
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

from client import Http
from clock import WallClock
from network import HERE, Network
from sanitizers import Sanitizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/integration"))
from support import BIN, Process, wait_until  # noqa: E402

RUNNER = pathlib.Path(__file__).resolve().parent / "runner.py"
BROKER_PORT = 1883
HTTP_PORT = 7001
PROXY_PORT = 2000  # and up, one for each host behind it
GRACE_S = 3  # for agents that are asked to stop
CONDITION = re.compile(r"^(persistence|log_type)\b")


class Program:
    """One program on its host, with all its lives. An end that the test did not cause is a violation."""

    def __init__(self, world, name, command):
        self.world, self.name, self.command = world, name, command
        self.process = None
        self.life = 0
        self.began = 0.0  # monotonic, this life
        self.wanted = False  # it must run: if it ends by itself, this is recorded and it is restarted
        self.stopped = False  # by SIGSTOP
        self.clock = WallClock(world.folder / f"{name}.clock") if world.clocks else None

    def start(self):
        self.life += 1
        self.stopped = False
        self.began = time.monotonic()
        command = Network.inside(self.name, [*self.prefix(), *self.command(self)])
        log = self.world.log(self.name)
        with open(log, "a", encoding="utf-8") as out:
            out.write(f"---- life {self.life}, monotonic {time.monotonic():.3f}\n")
        self.process = Process(self.name, command, log, cwd=self.world.folder)
        self.wanted = True
        return self

    def prefix(self):
        """The prefix of its command, which sets its environment."""
        clock = self.clock.environment(self.world.bin) if self.clock else {}
        variables = {**clock, **self.world.sanitizers.environment}
        return [*self.world.sanitizers.prefix, "env", *(f"{name}={value}" for name, value in variables.items())]

    def alive(self):
        return self.process is not None and self.process.alive()

    def signal(self, number):
        self.process.signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self.stopped = number == signal.SIGSTOP

    def kill(self):
        self.wanted = False
        self.process.kill()

    def terminate(self, patience):
        """Asks it to end; its exit code, or None if it had to be killed."""
        self.wanted = False
        if self.alive():
            self.process.signal(signal.SIGTERM)
            if self.stopped:
                self.signal(signal.SIGCONT)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None


class World:
    """`preset`: the build of the programs; `clocks`: each program has a wall clock that can jump."""

    def __init__(self, folder, *, agents, slots=2, echo=4, data_mb=256, proxied=(), coordinator_args=(), preset=None,
                 clocks=False):
        self.folder = pathlib.Path(folder)
        self.bin = ROOT / "build" / preset / "bin" if preset else BIN
        self.sanitizers = Sanitizers(self.bin / "edgefleet-coordinator")
        self.clocks = clocks
        self.slots, self.echo, self.coordinator_args = slots, echo, coordinator_args
        self.runs = self.folder / "runs"
        self.runs.mkdir()
        self.network = Network()
        self.broker_address = self.network.add("broker")
        self.http_address = self.network.add("coordinator")
        self.agent_names = [f"pi-{n}" for n in range(1, agents + 1)]
        for name in self.agent_names:
            self.network.add(name)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.data_mb = data_mb
        if data_mb:  # a small separate disk, which can be filled
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={data_mb}m,mode=700", "none", self.data], check=True)
        self.proxied = {name: PROXY_PORT + n for n, name in enumerate(proxied)}
        self.proxy = self.forwarder = None
        self.broker = Program(self, "broker", self.broker_command)
        self.coordinator = Program(self, "coordinator", self.coordinator_command)
        self.agents = {name: Program(self, name, self.agent_command) for name in self.agent_names}
        self.lock = threading.RLock()
        self.counter = itertools.count(1)

    @property
    def programs(self):
        return {"broker": self.broker, "coordinator": self.coordinator, **self.agents}

    # ---- the programs

    def broker_command(self, _program):
        """The broker of mosquitto/common.conf, but with a database: a broker with old data is a harder test."""
        common = (ROOT / "mosquitto/common.conf").read_text(encoding="utf-8").splitlines()
        own = self.folder / "broker"
        own.mkdir(exist_ok=True)
        conf = own / "mosquitto.conf"
        conf.write_text("\n".join([
            f"listener {BROKER_PORT} 0.0.0.0", "allow_anonymous true", "user root",
            *(line for line in common if not CONDITION.match(line)),
            "persistence true", f"persistence_location {own}/", "autosave_interval 1", "autosave_on_changes true",
            "log_type error", "log_type warning", "log_type notice", ""]), encoding="utf-8")
        return ["mosquitto", "-c", conf]

    def broker_url(self, name):
        if name in self.proxied:
            return f"mqtt://{HERE}:{self.proxied[name]}"
        return f"mqtt://{self.broker_address}:{BROKER_PORT}"

    def coordinator_command(self, program):
        return [self.bin / "edgefleet-coordinator", "--broker", self.broker_url(program.name), "--data", self.data / "store",
                "--listen", f"127.0.0.1:{HTTP_PORT}", *self.coordinator_args]

    def command_toml(self, program, kind, more_argv=(), more_params=""):
        argv = [sys.executable, "-I", "-S", "-B", RUNNER, self.runs, program.name, program.life, kind, self.slots, "{task}",
                "{seconds}", "{code}", *more_argv]
        return (f'[[command]]\nname = "{kind}"\nargv = [{", ".join(chr(34) + str(part) + chr(34) for part in argv)}]\n'
                f'slots = {self.slots}\ntimeout_s = 60\n[command.params]\n'
                'task = { type = "string", pattern = "[a-z0-9-]+" }\nseconds = { type = "number", max = 100 }\n'
                f'code = {{ type = "integer", default = 0 }}\n{more_params}')

    def work(self, name):
        """The work folder of an agent."""
        return self.folder / f"work-{name}"

    def log(self, name):
        return self.folder / f"{name}.log"

    def undelivered(self):
        """What agents still have to deliver. An uploaded file of a run that was stopped before its result may stay for an
        hour; integration tests check that the others are removed."""
        return [path for name in self.agent_names for path in (self.work(name) / "spool").rglob("*")
                if path.is_file() and path.suffix != ".uploaded"]

    def left_over(self):
        """Files that must not exist after the end of all tasks and programs: scratch folders, partial uploads."""
        scratch = [path for name in self.agent_names for path in (self.work(name) / "scratch").rglob("[0-9A-Z]*-[0-9]*")]
        unknown = [path for name in self.agent_names for path in (self.work(name) / "unknown-results").glob("*")]
        return scratch + unknown + list((self.data / "store/artifacts/incoming").glob("*"))

    def configuration(self, program):
        config = self.folder / f"{program.name}.toml"
        config.write_text(self.command_toml(program, "run") + self.command_toml(
            program, "file", ["{file}", "{files}"], 'file = { type = "artifact" }\nfiles = { type = "integer" }\n'),
            encoding="utf-8")
        return config

    def agent_command(self, program):
        name = program.name
        return [self.bin / "edgefleet-agent", "--name", name, "--broker", self.broker_url(name), "--coordinator",
                f"http://{self.http_address}:{HTTP_PORT}", "--work", self.work(name), "--sys",
                self.folder / "no-sys", "--config", self.configuration(program), "--stop-grace-s", GRACE_S,
                *(["--echo", self.echo] if self.echo else [])]

    def prepare(self):
        """Without a setup the coordinator serves its own host only."""
        self.forwarder = subprocess.Popen(
            Network.inside("coordinator", [sys.executable, "-B", str(RUNNER.with_name("forward.py")), self.http_address,
                                           str(HTTP_PORT)]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.forwarder.stdout.readline() != "ready\n":
            raise RuntimeError("the forwarder did not start")

    def enrol(self):
        """Agents and clients need no credential."""

    def start(self):
        self.prepare()
        if self.proxied:
            from proxy import Proxy
            self.proxy = Proxy(self)
        self.broker.start()
        self.coordinator.start()
        wait_until(lambda: self.ready(), 20, "the coordinator is ready")
        self.enrol()
        for agent in self.agents.values():
            agent.start()
        wait_until(lambda: set(self.agent_names) <= self.placeable(), 20, "all agents are placeable")

    def http(self, timeout=10, who=None):  # pylint: disable=unused-argument
        """`who`: which client; without a setup they are all the same."""
        return Http(self.http_address, HTTP_PORT, timeout)

    def mqtt_options(self, _who):
        return ["-h", self.broker_address, "-p", str(BROKER_PORT)]

    def serves_clients(self, names):
        """Blocks until these clients can use the fleet."""

    def ready(self):
        with self.http(2) as http:
            answer = http.try_request("GET", "/ready")
            return answer is not None and answer.status == 200

    def placeable(self):
        with self.http(2) as http:
            answer = http.try_request("GET", "/api/v1/agents")
        if answer is None or answer.status != 200:
            return set()
        return {agent["name"] for agent in answer.body["agents"] if agent["placeable"]}

    # ---- the end

    def stop(self):
        for program in self.programs.values():
            if program.alive() and program.stopped:
                program.signal(signal.SIGCONT)
        for program in (*self.agents.values(), self.coordinator, self.broker):
            if program.alive():
                program.wanted = False
                program.process.signal(signal.SIGTERM)
        for program in self.programs.values():
            if program.process is not None:
                program.terminate(12)
        if self.proxy:
            self.proxy.stop()
        if self.forwarder:
            self.forwarder.kill()
            self.forwarder.wait()
        if self.data_mb:
            subprocess.run(["umount", "-l", self.data], check=False)

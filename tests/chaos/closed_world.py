"""The fleet of world.py after `edgefleet-coordinator setup`: TLS everywhere, a certificate for each agent, an access for
each client, and mosquitto/watch.sh, which runs the broker as another user."""
import os
import pathlib
import signal
import ssl
import subprocess
import time

from client import Http
from network import Network
from world import GRACE_S, HTTP_PORT, ROOT, Program, World, wait_until

AGENTS_PORT = 8883
PEOPLE_PORT = 8884
NOBODY = 65534
OF_CLIENTS = {"role": "submit", "capabilities": ["echo", "command.*"]}


class WatchedBroker(Program):
    """mosquitto/watch.sh with its broker: faults are for both."""

    def broker(self):
        try:
            return int((self.world.broker_run / "pid").read_text())
        except (OSError, ValueError):
            return None

    def kill(self):
        broker = self.broker()
        super().kill()
        if broker:
            with_broker(broker, signal.SIGKILL)

    def signal(self, number):
        super().signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT) and (broker := self.broker()):
            with_broker(broker, number)


def with_broker(pid, number):
    """It may have ended, and its id may be another process's by now."""
    try:
        if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto":
            os.kill(pid, number)
    except OSError:
        pass


class ClosedWorld(World):
    def __init__(self, folder, **options):
        options["proxied"] = ()  # a proxy cannot see messages in TLS
        super().__init__(folder, **options)
        self.folder.chmod(0o711)  # the broker's user finds its folders below
        self.broker = WatchedBroker(self, "broker", self.broker_command)
        self.broker_files, self.broker_run = self.folder / "broker", self.folder / "broker-run"
        self.key = None
        self.keys = {}
        self.tls = None

    # ---- preparing

    def run(self, host, *command, **options):
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "config"), **self.sanitizers.environment}
        done = subprocess.run([str(part) for part in Network.inside(host, [*self.sanitizers.prefix, *command])],
                              capture_output=True, text=True, timeout=120, env=environment, check=False, **options)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def prepare(self):
        self.broker_files.mkdir()
        os.chown(self.broker_files, 0, NOBODY)
        self.broker_files.chmod(0o2750)
        self.broker_run.mkdir(mode=0o755)
        os.chown(self.broker_run, NOBODY, NOBODY)
        self.run("coordinator", self.bin / "edgefleet-coordinator", "setup", "--data", self.data / "store", "--host",
                 self.http_address, "--broker-host", self.broker_address, "--broker-folder", self.broker_files, "--broker-run",
                 self.broker_run, "--key-file", self.folder / "admin.key")
        self.key = (self.folder / "admin.key").read_text().strip()
        self.tls = ssl.create_default_context(cafile=self.ca)

    def enrol(self):
        """Before the first fault: each agent joins, and each client has an access."""
        with self.http() as http:
            token = http.good("POST", "/api/v1/join-tokens", {"uses": len(self.agent_names)})["token"]
        for name in self.agent_names:
            self.run(name, self.bin / "edgefleet-agent", "join", "--work", self.work(name), "--name", name,
                     "--token-file", "-", input=token)

    @property
    def ca(self):
        return self.data / "store/ca/ca.crt"

    # ---- the programs

    def broker_command(self, _program):
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", ROOT / "mosquitto/watch.sh",
                self.broker_files, self.broker_run]

    def coordinator_command(self, _program):
        return [self.bin / "edgefleet-coordinator", "--data", self.data / "store", *self.coordinator_args]

    def agent_command(self, program):
        return [self.bin / "edgefleet-agent", "--work", self.work(program.name), "--sys", self.folder / "no-sys", "--config",
                self.configuration(program), "--stop-grace-s", GRACE_S, *(["--echo", self.echo] if self.echo else [])]

    # ---- the clients

    def http(self, timeout=10, who=None):
        """`who`: a client with an access of its own; the operator if it is not given."""
        return Http(self.http_address, HTTP_PORT, timeout, self.tls, self.key_of(who) if who else self.key)

    def key_of(self, who):
        if who not in self.keys:
            with self.http() as http:
                self.keys[who] = http.good("POST", "/api/v1/accesses", {"name": who, **OF_CLIENTS})["key"]
        return self.keys[who]

    def mqtt_options(self, who):
        return ["-h", self.broker_address, "-p", str(PEOPLE_PORT), "--cafile", str(self.ca), "-u", who, "-P", self.key_of(who)]

    def serves_clients(self, names):
        """The broker knows them all."""
        for name in names:
            self.key_of(name)
        newest = (self.broker_files / "current/id").read_text().strip()
        wait_until(lambda: f"generation={newest}" in (self.broker_run / "state").read_text(), 20, "the broker knows all clients")
        time.sleep(0.5)  # its SIGHUP

"""A whole fleet on this machine: a broker, a coordinator and agents, by default with the image plug-in."""
import http.client
import json
import os
import pathlib
import shutil
import socket

from processes import DemoError, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("edgefleet", "edgefleet-coordinator", "edgefleet-agent", "edgefleet-plugin-image")
HOST = "127.0.0.1"
CAPABILITY = "image.process"
PATIENCE = 60  # seconds for a part to start, also on a busy Pi


def need_programs(folder, helpers):
    for name in PROGRAMS:
        if not os.access(folder / name, os.X_OK):
            raise DemoError(f"{folder / name} is missing: run ./dev build")
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin"  # Debian's folder for mosquitto
    for name in helpers:
        if not shutil.which(name, path=path):
            raise DemoError(f"the program {name} is missing: run ./dev setup")


def free_ports(number):
    sockets = [socket.create_server((HOST, 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def answer_of(port, method, path, body=None, patience=30):
    """The answer of this port; None without an answer or without success."""
    connection = http.client.HTTPConnection(HOST, port, timeout=patience)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return json.loads(text) if answer.status == 200 else None


class Fleet:
    capability = CAPABILITY  # offered by every agent that is ready

    def __init__(self, programs, processes, names):
        self.programs = programs
        self.processes = processes
        self.names = names
        self.broker_port, self.port = free_ports(2)
        self.broker = f"mqtt://{HOST}:{self.broker_port}"
        self.url = f"http://{HOST}:{self.port}"

    def start(self):
        self.start_broker()
        self.start_coordinator()
        self.start_agents()

    def start_broker(self):
        script = ROOT / "mosquitto" / "broker.sh"
        folder = self.processes.folder / "broker"
        self.processes.start({"broker": ["sh", str(script), str(self.broker_port), str(folder)]})
        self.wait("broker", self.broker_answers)

    def start_coordinator(self):
        self.processes.start({"coordinator": [
            str(self.programs / "edgefleet-coordinator"), "--broker", self.broker, "--listen", f"{HOST}:{self.port}",
            "--data", str(self.processes.folder / "data")]})
        self.wait("coordinator", lambda: self.ask("/ready") is not None)

    def start_agents(self):
        self.processes.start({name: self.agent(name) for name in self.names})
        self.wait(self.names[-1], lambda: self.ready_agents() == self.names)

    def agent(self, name):
        folder = self.processes.folder / name
        folder.mkdir()
        configuration = folder / "agent.toml"
        configuration.write_text(self.configuration(name), encoding="utf-8")
        return [str(self.programs / "edgefleet-agent"), "--name", name, "--broker", self.broker, "--coordinator",
                self.url, "--config", str(configuration), "--work", str(folder / "work"), "--stop-grace-s", "0"]

    def configuration(self, _name):
        """The contents of an agent's configuration file."""
        plugin = json.dumps(str(self.programs / "edgefleet-plugin-image"), ensure_ascii=False)
        return f'[[plugin]]\nname = "image"\nargv = [{plugin}, "--slots", "1"]\n'

    def wait(self, name, ready):
        """Waits until this part is ready; an error if any part has ended or it takes too long."""
        came = wait_until(lambda: self.processes.ended() or ready(), PATIENCE)
        failed = self.processes.ended() or ([] if came else [name])
        if failed:
            raise DemoError(f"{failed[0]} did not start; the end of its log:\n{self.processes.last_words(failed[0])}")

    def broker_answers(self):
        try:
            socket.create_connection((HOST, self.broker_port), timeout=1).close()
        except OSError:
            return False
        return True

    def ready_agents(self):
        agents = (self.ask("/api/v1/agents") or {}).get("agents", [])
        return sorted(agent["name"] for agent in agents if agent["placeable"] and any(
            self.capability in executor["capabilities"] for executor in agent["executors"]))

    def ask(self, path):
        """The coordinator's answer to a GET; None without an answer or without success."""
        return answer_of(self.port, "GET", path)

    def get(self, path):
        """Like ask, but no answer is an error."""
        answer = self.ask(path)
        if answer is None:
            self.processes.check()
            raise DemoError(f"the coordinator did not answer {self.url}{path}")
        return answer

    def command(self, *arguments):
        """Runs `edgefleet` and returns its output."""
        return self.processes.run([str(self.programs / "edgefleet"), "--url", self.url, *map(str, arguments)])

    def held(self):
        """Ids of the tasks on each agent."""
        return {name: {task["id"] for task in self.get(f"/api/v1/agents/{name}")["running"]} for name in self.names}

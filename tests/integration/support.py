"""A fleet of real processes for the integration tests: Mosquitto, a coordinator, agents, all on loopback.

Programs come from the folder in EDGEFLEET_BIN (default: build/release/bin). Every process is ended by its id when its
test is over, and what the processes have logged is printed if the test failed. Nothing sleeps for a fixed time:
wait_until() waits for what the test is about.
"""

import collections
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("EDGEFLEET_BIN") or ROOT / "build/release/bin").resolve()
TOPICS = "edgefleet/v1/home"
PATIENCE = float(os.environ.get("EDGEFLEET_TEST_PATIENCE", "20"))  # seconds, for steps that normally take far less
UNKNOWN_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"  # a valid ULID that no coordinator has given out
SANITIZED = "TSAN_OPTIONS" in os.environ or "ASAN_OPTIONS" in os.environ
os.umask(0o022)  # an agent refuses files that others can change
# A script that runs the tests in the background has them ignore SIGINT, and a shell cannot end that for watch.sh.
signal.signal(signal.SIGINT, signal.default_int_handler)
ENDED = {"succeeded", "failed", "cancelled", "expired"}


class Timeout(AssertionError):
    pass


def open_terminal():
    """Both ends of a new terminal; the test is skipped if there are none (no /dev/pts in a bare root)."""
    try:
        return os.openpty()
    except OSError as why:
        raise unittest.SkipTest(f"no terminals here: {why}") from why


def wait_until(condition, timeout=None, what=None, pause=0.01):
    """Waits until condition() is true, and returns its value."""
    timeout = PATIENCE if timeout is None else timeout
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"not within {timeout:g} s: {what() if callable(what) else what or 'the condition'}")
        time.sleep(pause)


def free_port():
    """A port on 127.0.0.1, below the range of outgoing connections."""
    for _ in range(200):
        port = random.randint(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("EDGEFLEET_")}


def processes_with(word):
    """Ids of the processes that have `word` as one of their arguments."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if word.encode() in arguments and state != "Z":
            found.append(int(entry.name))
    return found


class Process:
    """One program under test; its output goes to a file."""

    def __init__(self, label, command, log_path, **options):
        self.label = label
        self.log_path = pathlib.Path(log_path)
        self.command = [str(part) for part in command]
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=clean_environment(), **options)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=None):
        return self.popen.wait(PATIENCE if timeout is None else timeout)

    def terminate(self, timeout=None):
        """Sends SIGTERM, waits for the end, and returns the exit code."""
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        if self.alive():
            self.signal(signal.SIGKILL)
        return self.wait()

    def resident_bytes(self):
        pages = int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


Answer = collections.namedtuple("Answer", "status body headers")


class Api:
    """The coordinator's HTTP API over one kept connection."""

    headers = {}  # of every request

    def __init__(self, port):
        self.port = port
        self.connection = None

    def new_connection(self, timeout):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=90):
        """`body`: bytes or text as they are, anything else as JSON."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        for attempt in (1, 2):  # a kept connection may have been closed by the other side
            fresh = self.connection is None
            if fresh:
                self.connection = self.new_connection(timeout)
            try:
                self.connection.request(method, path, body, {**self.headers, **(headers or {})})
                response = self.connection.getresponse()
                content = response.read()
            except (http.client.HTTPException, OSError):
                self.close()
                if fresh or attempt == 2:
                    raise
                continue
            if response.will_close:
                self.close()
            text = content
            if "json" in (response.getheader("Content-Type") or ""):
                text = json.loads(content)
            return Answer(response.status, text, response.headers)

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body if body is not None else b"", **options)

    def good(self, method, path, body=None):
        """The body of an answer that must be a success."""
        answer = self.request(method, path, body)
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body}")
        return answer.body

    # ---- common operations

    def submit(self, capability, value=None, **options):
        return self.good("POST", "/api/v1/tasks", {"capability": capability, "input": value, **options})["id"]

    def described(self, capability):
        """Waits until the coordinator knows the parameters of a capability; returns its entry."""
        found = {}

        def known():
            found.update({one["name"]: one for one in self.good("GET", "/api/v1/capabilities")["capabilities"]})
            return "parameters" in found.get(capability, {})

        wait_until(known, what=f"the parameters of {capability} are known")
        return found[capability]

    def batch(self, tasks, **options):
        return self.good("POST", "/api/v1/batches", {"tasks": tasks, **options})

    def task(self, task_id):
        return self.good("GET", f"/api/v1/tasks/{task_id}")

    def outcome(self, task_id, timeout=None):
        """The task, once it has ended."""
        timeout = PATIENCE if timeout is None else timeout
        end = time.monotonic() + timeout
        while True:
            rest = max(0.1, end - time.monotonic())
            task = self.good("GET", f"/api/v1/tasks/{task_id}?wait={min(rest, 30):.2f}")
            if task["state"] in ENDED:
                return task
            if time.monotonic() > end:
                raise Timeout(f"no outcome within {timeout:g} s: {task}")

    def batch_ended(self, batch_id, timeout=None):
        timeout = PATIENCE if timeout is None else timeout
        end = time.monotonic() + timeout
        while True:
            rest = max(0.1, end - time.monotonic())
            batch = self.good("GET", f"/api/v1/batches/{batch_id}?wait={min(rest, 30):.2f}")
            if sum(batch["counts"].get(state, 0) for state in ENDED) == batch["total"]:
                return batch
            if time.monotonic() > end:
                raise Timeout(f"unfinished after {timeout:g} s: {batch}")

    def batch_tasks(self, batch_id):
        tasks, after = [], ""
        while True:
            page = self.good("GET", f"/api/v1/tasks?batch={batch_id}&limit=1000{after}")
            tasks += page["tasks"]
            if "next" not in page:
                return tasks
            after = "&after=" + page["next"]

    def state_becomes(self, task_id, state, timeout=None):
        last = {}

        def reached():
            last["task"] = self.task(task_id)
            return last["task"] if last["task"]["state"] == state else None

        return wait_until(reached, timeout, lambda: f"task is {state}; it is {last['task']}")

    def agents(self):
        return {agent["name"]: agent for agent in self.good("GET", "/api/v1/agents")["agents"]}

    def agent(self, name):
        return self.good("GET", f"/api/v1/agents/{name}")

    def agent_becomes(self, name, state, timeout=None):
        return wait_until(lambda: self.agents().get(name, {}).get("state") == state, timeout,
                          lambda: f"agent {name} is {state}; it is {self.agents().get(name)}")

    def placeable(self, *names, timeout=None):
        """Waits until the coordinator would assign tasks to these agents."""
        wait_until(lambda: all(self.agents().get(name, {}).get("placeable") for name in names), timeout,
                   lambda: f"agents {names} are there; there are {self.agents()}")


Message = collections.namedtuple("Message", "at retained qos topic payload")


class Observer:
    """`mosquitto_sub`, an independent observer of the broker's messages."""

    def __init__(self, fleet, *filters, retained=True):
        self.messages = []
        self.fleet = fleet
        self.changed = threading.Condition()
        self.probe = probe = f"probe/{random.getrandbits(64):x}"
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(fleet.broker_port), "-F", "%U\t%r\t%q\t%t\t%p", "-q", "1"]
        if not retained:
            command.append("-R")
        for topic in (*filters, probe):
            command += ["-t", topic]
        self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

        def subscribed():
            fleet.publish(probe, "?", absolute=True)
            return any(message.topic == probe for message in list(self.messages))

        wait_until(subscribed, what="mosquitto_sub is subscribed", pause=0.05)
        with self.changed:
            self.messages = [message for message in self.messages if message.topic != probe]

    def read(self):
        for line in self.popen.stdout:
            parts = line.rstrip(b"\n").split(b"\t", 4)
            if len(parts) < 5:
                continue
            at, retained, qos, topic, payload = parts
            topic = topic.decode(errors="replace")
            try:
                value = json.loads(payload)
            except ValueError:
                value = payload
            short = topic[len(TOPICS) + 1:] if topic.startswith(TOPICS + "/") else topic
            with self.changed:
                self.messages.append(Message(float(at), retained == b"1", int(qos), short, value))
                self.changed.notify_all()

    def all(self, topic=None):
        with self.changed:
            return [m for m in self.messages if m.topic != self.probe and (topic is None or m.topic == topic)]

    def wait_for(self, condition, timeout=None, what=None):
        """The first past or future message for which condition(message) is true."""
        timeout = PATIENCE if timeout is None else timeout
        end = time.monotonic() + timeout
        seen = 0
        with self.changed:
            while True:
                for message in self.messages[seen:]:
                    if message.topic != self.probe and condition(message):  # a probe may arrive late
                        return message
                seen = len(self.messages)
                rest = end - time.monotonic()
                if rest <= 0 or not self.changed.wait(rest):
                    if time.monotonic() < end:
                        continue
                    raise Timeout(f"no such message within {timeout:g} s: {what or ''}; seen: {self.messages[-20:]}")

    def status(self, agent, state, timeout=None):
        return self.wait_for(
            lambda m: m.topic == f"agents/{agent}/status" and isinstance(m.payload, dict) and m.payload["state"] == state,
            timeout, f"{agent} says {state}")

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self.reader.join(5)
        self.popen.stdout.close()


NOTE_SCRIPT = """#!/bin/sh
# note.sh FILE LABEL SECONDS: writes a line when it begins and one when it has ended.
echo "begin $2" >>"$1"
/bin/sleep "$3"
echo "end $2" >>"$1"
"""


class Fleet:
    """A broker, a coordinator and agents in a folder of their own."""

    broker_scheme = "mqtt"

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="edgefleet-test-"))
        self.processes = []
        self.observers = []
        self.apis = []
        self.broker_port = free_port()
        self.http_port = free_port()
        self.api = self.new_api()
        self.broker = None
        self.coordinator = None
        self.coordinator_args = ()
        self.agents = {}
        self.counter = itertools.count(1)
        self.notes = self.dir / "notes"
        self.notes.touch()
        self.note_script = self.dir / "note.sh"
        self.note_script.write_text(NOTE_SCRIPT)

    # ---- processes

    def new_api(self):
        api = Api(self.http_port)
        self.apis.append(api)
        return api

    def start(self, label, command, **options):
        path = self.dir / f"{next(self.counter):02d}-{label}.log"
        process = Process(label, command, path, **options)
        self.processes.append(process)
        return process

    def start_broker(self):
        for _ in range(5):
            self.broker = self.start("broker", [ROOT / "mosquitto/broker.sh", self.broker_port, self.dir / "broker"])
            if wait_until(lambda: self.listening(self.broker_port) or not self.broker.alive(), what="the broker listens") \
                    and self.broker.alive():
                return self.broker
            self.broker_port = free_port()  # another process has taken the port
        raise RuntimeError("the broker does not start:\n" + self.broker.log())

    @staticmethod
    def listening(port):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    @property
    def broker_url(self):
        return f"{self.broker_scheme}://127.0.0.1:{self.broker_port}"

    def coordinator_command(self, *args, port=None, data=None):
        return [BIN / "edgefleet-coordinator", "--broker", self.broker_url, "--data", data or self.dir / "data",
                "--listen", f"127.0.0.1:{port or self.http_port}", *args]

    def start_coordinator(self, *args, ready=True):
        self.coordinator_args = args or self.coordinator_args
        self.coordinator = self.start("coordinator", self.coordinator_command(*self.coordinator_args))
        self.api.close()

        def up():
            if not self.coordinator.alive():
                raise AssertionError("the coordinator has ended:\n" + self.coordinator.log())
            try:
                return self.api.get("/ready" if ready else "/health").status == 200
            except (http.client.HTTPException, OSError):
                return False

        wait_until(up, what="the coordinator is ready")
        return self.coordinator

    def agent_command(self, name, *args, toml="", echo=0, grace=0, coordinator=None):
        config = self.dir / f"{name}.toml"
        config.write_text(toml)
        return [BIN / "edgefleet-agent", "--name", name, "--broker", self.broker_url, "--coordinator",
                coordinator or f"http://127.0.0.1:{self.http_port}", "--work", self.dir / f"work-{name}", "--sys", self.dir / "no-sys",
                "--config", config, "--stop-grace-s", grace, *(["--echo", echo] if echo else []), *args]

    def start_agent(self, name, *args, wait=True, **options):
        """With wait=False: does not wait until the coordinator would assign it tasks."""
        process = self.start(name, self.agent_command(name, *args, **options))
        self.agents[name] = process
        if wait and self.coordinator is not None:
            self.api.placeable(name)
        return process

    def restart_agent(self, name, wait=True):
        process = self.start(name, self.agents[name].command)
        self.agents[name] = process
        if wait:
            self.api.placeable(name)
        return process

    def sleep_toml(self, slots=1):
        """The command `sleep`."""
        return (f'[[command]]\nname = "sleep"\nargv = ["/bin/sleep", "{{seconds}}"]\nslots = {slots}\ntimeout_s = 100\n'
                '[command.params]\nseconds = { type = "number", min = 0, max = 100000 }\n')

    def note_toml(self, slots=1):
        """The command `note`, which records each run in self.notes."""
        return (f'[[command]]\nname = "note"\nargv = ["/bin/sh", "{self.note_script}", "{self.notes}", "{{label}}", '
                f'"{{seconds}}"]\nslots = {slots}\ntimeout_s = 100\n[command.params]\n'
                'label = { type = "string", pattern = "[a-z0-9-]+" }\nseconds = { type = "number", min = 0, max = 1000 }\n')

    def note_lines(self):
        return self.notes.read_text().splitlines()

    def noted(self, line, times=1, timeout=None):
        """Waits until `note` has written this line `times` times. A task's state may follow up to a second later."""
        wait_until(lambda: self.note_lines().count(line) >= times, timeout,
                   lambda: f"{times} x {line!r}; there are {self.note_lines()}")

    def cli(self, *args, stdin=None, timeout=60):
        """Runs the command line and returns its CompletedProcess."""
        options = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            [BIN / "edgefleet", "--url", f"http://127.0.0.1:{self.http_port}", *map(str, args)], capture_output=True,
            text=True, timeout=timeout, env=clean_environment(), cwd=self.dir, check=False, **options)

    # ---- MQTT

    def observe(self, *filters, retained=True):
        observer = Observer(self, *(f"{TOPICS}/{topic}" for topic in filters), retained=retained)
        self.observers.append(observer)
        return observer

    def publish(self, topic, payload, *, absolute=False, retain=False, qos=1, properties=(), check=True):
        """`payload`: bytes or text as they are, anything else as JSON."""
        if not isinstance(payload, (bytes, str)):
            payload = json.dumps(payload)
        if isinstance(payload, str):
            payload = payload.encode()
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.broker_port), "-q", str(qos), "-V", "5",
                   "-t", topic if absolute else f"{TOPICS}/{topic}", "-s" if payload else "-n"]
        if retain:
            command.append("-r")
        for name, value in properties:
            command += ["-D", "publish", name, value]
        done = subprocess.run(command, input=payload, capture_output=True, timeout=20, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"mosquitto_pub: {done.stderr.decode(errors='replace')}")
        return done

    # ---- the end

    def print_logs(self, out=sys.stderr):
        for process in self.processes:
            text = process.log()
            if len(text) > 6000:
                text = text[:2000] + "\n[...]\n" + text[-4000:]
            out.write(f"---- log of {process.label} (exit {process.popen.poll()})\n{text}\n")
        out.flush()

    def end(self):
        for api in self.apis:
            api.close()
        for observer in self.observers:
            observer.close()
        servers = [p for p in self.processes if p.label in ("broker", "coordinator")]
        others = [p for p in reversed(self.processes) if p not in servers]
        for process in self.processes:
            if process.alive():
                process.signal(signal.SIGCONT)
        # Agents get SIGTERM, so that they end their children too; a second one means at once.
        for patience in (1, 4):
            for process in others:
                if process.alive():
                    process.signal(signal.SIGTERM)
            until = time.monotonic() + patience
            for process in others:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0, until - time.monotonic()))
        for process in (*others, *servers):
            process.kill()

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class FleetCase(unittest.TestCase):
    """A test with a fleet: `self.fleet`, a broker and (unless COORDINATOR is None) a coordinator run already."""

    COORDINATOR = ()  # its options
    longMessage = True

    def run(self, result=None):
        self.tally = result if result is not None else self.defaultTestResult()
        self.bad_before = self.bad()
        return super().run(self.tally)

    def bad(self):
        return len(self.tally.failures) + len(self.tally.errors)

    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.end_fleet)
        self.fleet.start_broker()
        if self.COORDINATOR is not None:
            self.fleet.start_coordinator(*self.COORDINATOR)
        self.api = self.fleet.api

    def end_fleet(self):
        try:
            self.fleet.end()
            if self.bad() > self.bad_before:
                self.fleet.print_logs()
        finally:
            self.fleet.remove()

    # ---- common checks

    def assert_works(self):
        """All processes run, /health answers, and a normal task gets its outcome."""
        for process in self.fleet.processes:
            self.assertTrue(process.alive(), f"{process.label} has ended with {process.popen.poll()}")
        self.assertEqual(self.api.get("/health").status, 200)
        value = {"check": random.getrandbits(32)}
        task = self.api.outcome(self.api.submit("echo", value))
        self.assertEqual((task["state"], task["output"]), ("succeeded", value))

    def assert_problem(self, answer, *status):
        """An error as in RFC 9457, with one of these status codes."""
        self.assertIn(answer.status, status, answer.body)
        self.assertEqual(answer.headers["Content-Type"].split(";")[0], "application/problem+json", answer.body)
        self.assertEqual(answer.body["status"], answer.status)
        self.assertTrue(answer.body["title"])
        self.assertTrue(answer.body["detail"])
        return answer.body["detail"]

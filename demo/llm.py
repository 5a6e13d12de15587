"""Shows language models: two llama-servers behind the agents pi-1 and pi-2, asked through OpenAI's API. In the middle
of a long answer its agent is killed with -9, and the other agent continues the answer at the same place."""
import datetime
import http.client
import json
import os
import queue
import sys
import threading
import time

import processes
import screen
from fleet import HOST, ROOT, Fleet, answer_of, free_ports
from processes import DemoError, Unavailable

AGENTS = ["pi-1", "pi-2"]
SCRIPTS = ROOT / "tests" / "llm"
TINY = SCRIPTS / "edge-tiny-1m.gguf"
QUESTION = "What is MQTT?"
LONG_QUESTION = "Tell me a long story about a sensor."
# The tiny model has learned few sentences: the penalties prevent endless repetition. `ignore_eos`: all 400 tokens.
LONG = {"max_tokens": 400, "ignore_eos": True, "presence_penalty": 1.0, "frequency_penalty": 0.3}
SPEED = 60  # tokens per second, slow enough to watch
KILL_AFTER = 400  # characters of the answer
SILENT = 1.0  # seconds; the task of a killed agent moves after two
PATIENCE = 60  # seconds without any data from the endpoint; without output it sends a comment every ten seconds
MARK = "    -- "


def llama_server(options, started, progress):
    """The folder with Debian's llama-server, which is unpacked there if necessary."""
    folder = os.environ.get("EDGEFLEET_LLAMA") or options.bin.parent / "llama"
    script = SCRIPTS / "get-llama-server.sh"
    progress.status(f"looking for llama-server; if necessary, 20 MB are downloaded to {folder}")
    try:
        started.run([str(script), str(folder)], environ=dict(os.environ))
    except DemoError as problem:
        raise Unavailable(f"llama-server is not available ({script.name}: {screen.printable(problem)})") from None
    return folder


# --- the parts --------------------------------------------------------------------------------------------------------

class LlmFleet(Fleet):
    """Each agent has a llama-server of its own."""

    capability = "llm.chat"

    def __init__(self, options, started, llama):
        super().__init__(options.bin, started, AGENTS)
        self.llama = llama
        self.model = TINY.stem
        self.servers = dict(zip(AGENTS, free_ports(len(AGENTS))))  # ports of the llama-servers
        self.brakes = dict(zip(AGENTS, free_ports(len(AGENTS))))
        self.speed = 0.0  # tokens per second without the proxies

    def start(self):
        self.start_servers()
        super().start()

    def start_servers(self):
        self.processes.start({f"llama-of-{name}": self.server(name) for name in self.names})
        self.processes.start({f"brake-of-{name}": self.brake(name) for name in self.names})
        for name in self.names:
            self.wait(f"llama-of-{name}", lambda name=name: self.warm_up(name))

    def server(self, name):
        return [str(SCRIPTS / "run-llama-server.sh"), str(self.llama), "-m", str(TINY), "--alias", self.model, "--host",
                HOST, "--port", str(self.servers[name]), "-c", "2048", "-np", "1", "-t", "1", "--no-webui"]

    def brake(self, name):
        return [sys.executable, str(ROOT / "demo" / "brake.py"), str(self.brakes[name]), str(self.servers[name]),
                str(SPEED)]

    def warm_up(self, name):
        """Whether the server answers; measures its speed. Afterwards both servers have the same history."""
        body = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, **LONG, "max_tokens": 100}
        answer = answer_of(self.servers[name], "POST", "/v1/chat/completions", json.dumps(body), PATIENCE)
        if not answer:
            return False
        self.speed = answer["timings"]["predicted_per_second"]
        return True

    def configuration(self, name):
        return f'[[llm]]\nprovider = "openai"\nurl = "http://{HOST}:{self.brakes[name]}"\nslots = 1\nrefresh_s = 1\n'

    def ready_agents(self):
        agents = (self.ask("/api/v1/agents") or {}).get("agents", [])
        return sorted(agent["name"] for agent in agents if agent["placeable"] and any(
            self.model in executor.get("models", []) for executor in agent["executors"]))


class Answer(threading.Thread):
    """A streamed answer; each chunk is put into `events` with the time of its arrival."""

    def __init__(self, port, body):
        super().__init__(daemon=True)
        self.events = queue.SimpleQueue()  # of (time, chunk); an error's text instead of a chunk, None at the end
        self.connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        self.body = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}})

    def run(self):
        try:
            self.connection.request("POST", "/v1/chat/completions", self.body, {"Content-Type": "application/json"})
            self.read(self.connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as problem:
            self.put(f"the stream was interrupted: {problem}")

    def read(self, response):
        if response.status != 200:
            return self.put(json.loads(response.read())["error"]["message"])
        for line in response:
            if line.startswith(b"data: [DONE]"):
                return self.put(None)
            if line.startswith(b"data: "):
                self.put(json.loads(line[6:]))
        return self.put("the stream was interrupted")

    def put(self, event):
        self.events.put((time.monotonic(), event))


# --- one question -----------------------------------------------------------------------------------------------------

class Received:
    """The part of one answer that the client has received."""

    def __init__(self):
        self.asked = time.monotonic()
        self.task = ""
        self.text = ""
        self.pieces = []  # arrival time of each
        self.usage = {}
        self.problem = ""

    def add(self, at, chunk):
        """Adds a chunk; returns its text."""
        if "error" in chunk:
            error = chunk["error"]
            self.problem = f"{error.get('code') or error.get('type')}: {error['message']}"
            return ""
        self.task = chunk["id"].removeprefix("chatcmpl-")
        self.usage = chunk.get("usage") or self.usage
        words = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        if words:
            self.pieces.append(at)
            self.text += words
        return words

    def speed(self):
        tokens, took = self.usage.get("completion_tokens", 0), self.pieces[-1] - self.pieces[0]
        rate = f", {(tokens - 1) / took:.0f} per second" if len(self.pieces) > 2 else ""
        return f"{screen.counted(tokens, 'token')}{rate}, first token after {self.pieces[0] - self.asked:.2f} s"


class LlmDemo:
    def __init__(self, options, started, progress):
        self.options = options
        self.processes = started
        self.progress = progress
        self.fleet = None
        self.answers = []  # (what was received, the recorded task)
        self.victim = ""
        self.killed = (0.0, 0.0)  # time on the monotonic and on the wall clock
        self.silence = 0.0

    def run(self):
        llama = llama_server(self.options, self.processes, self.progress)
        self.fleet = LlmFleet(self.options, self.processes, llama)
        self.progress.note(f"starting a broker, a coordinator, and the agents {' and '.join(AGENTS)} with a "
                           "llama-server each")
        self.fleet.start()
        if self.fleet.speed > SPEED:
            self.progress.note(f"{self.fleet.model} generates {self.fleet.speed:,.0f} tokens per second here, "
                               f"limited to {SPEED} so that you can watch")
        self.show_models()
        self.ask(QUESTION, {})
        self.progress.note(MARK + self.answers[-1][0].speed())
        self.ask(LONG_QUESTION, LONG, kill=True)
        received = self.answers[-1][0]
        if not received.problem:
            took = received.pieces[-1] - received.asked
            self.progress.note(f"{MARK}{received.usage['completion_tokens']} tokens in {took:.1f} s")

    def show_models(self):
        self.progress.note()
        self.progress.note(f"models at {self.fleet.url}/v1, for any client of OpenAI's API:")
        agents = self.fleet.get("/api/v1/agents")["agents"]
        for model in self.fleet.get("/v1/models")["data"]:
            offering = [agent["name"] for agent in agents if any(
                model["id"] in executor.get("models", []) for executor in agent["executors"])]
            self.progress.note(f"  {model['id']} ({model['owned_by']}), on {' and '.join(sorted(offering))}")

    def ask(self, question, more, kill=False):
        """Asks, and shows the answer as it arrives."""
        self.progress.note(f"\n> {question}")
        messages = [{"role": "user", "content": question}]
        body = {"model": self.fleet.model, "temperature": 0, "messages": messages, **more}
        received = Received()
        answer = Answer(self.fleet.port, body)
        answer.start()
        while True:
            try:
                at, event = answer.events.get(timeout=0.1)
            except queue.Empty:
                self.processes.check()
                self.show_pause(received)
                continue
            if not isinstance(event, dict):
                received.problem = received.problem or event or ""
                break
            if words := received.add(at, event):
                self.show_pause(received)
                self.progress.stream(words)
                if kill and not self.victim:
                    self.kill_in_the_middle(received)
        self.progress.finish()
        if not received.task:
            raise DemoError(f"the OpenAI endpoint did not answer: {received.problem}")
        record = self.fleet.get(f"/api/v1/tasks/{received.task}")
        self.answers.append((received, record))

    def kill_in_the_middle(self, received):
        if len(received.text) < KILL_AFTER:
            return
        record = self.fleet.get(f"/api/v1/tasks/{received.task}")
        if record["state"] == "running":
            self.victim = record["attempts"][-1]["agent"]
            self.processes.kill(self.victim)
            self.killed = (time.monotonic(), time.time())
            self.progress.note(f"{MARK}{self.victim}, which generates this answer, was killed with -9")

    def show_pause(self, received):
        """Shows the pause after the kill, and its end."""
        if not self.victim or self.silence:
            return
        if received.pieces[-1] > self.killed[0] and received.pieces[-1] - received.pieces[-2] >= SILENT:
            self.silence = received.pieces[-1] - received.pieces[-2]
            agent = self.fleet.get(f"/api/v1/tasks/{received.task}")["attempts"][-1]["agent"]
            self.progress.note(f"{MARK}{self.silence:.1f} s without output; "
                               f"{agent} continues where {self.victim} stopped")
        elif time.monotonic() - received.pieces[-1] > 0.3:
            self.progress.status(f"{MARK}no output for {time.monotonic() - received.pieces[-1]:.1f} s")

    def report(self):
        return Report(self.answers, self.victim, self.killed[1], self.silence)

    def looks(self):
        return ["agents", f"chat {self.fleet.model}"]


# --- the results ------------------------------------------------------------------------------------------------------

class Report:
    def __init__(self, answers, victim, killed_at, silence):
        self.answers = answers
        self.victim = victim
        self.killed_at = killed_at
        self.silence = silence
        self.bad = [problem for received, record in answers if (problem := problem_of(received, record))]
        if not self.bad and not self.moved():
            self.bad.append(f"no second agent took over ({self.fate()})")

    def attempts(self):
        return self.answers[-1][1]["attempts"]

    def moved(self):
        lost = [attempt["agent"] for attempt in self.attempts()[:-1] if attempt["state"] == "lost"]
        return bool(self.victim) and self.victim in lost and self.attempts()[-1]["agent"] != self.victim

    def fate(self):
        return f"{self.victim} was killed" if self.victim else "the answer ended before its agent could be killed"

    def lines(self, _folder):
        yield from screen.table(("attempt", "agent", "ended", ""), [
            (attempt["n"], attempt["agent"], attempt["state"], self.remark(attempt)) for attempt in self.attempts()])
        yield ""
        if self.bad:
            yield from (screen.printable(problem) for problem in self.bad)
            return
        successor = self.attempts()[-1]["agent"]
        yield f"{self.victim} was killed with -9 in the middle of its answer; {successor} generated the answer again " \
              f"and continued it after {self.silence:.1f} s without output"
        for received, record in self.answers:
            yield f"the streamed answer is the result of task {record['id']}, byte for byte: " \
                  f"{len(received.text):,} characters"

    def remark(self, attempt):
        if attempt["state"] == "lost" and attempt["agent"] == self.victim:
            return "killed with -9"
        began = attempt.get("started_at")
        if not self.victim or not began:
            return ""
        after = datetime.datetime.fromisoformat(began).timestamp() - self.killed_at
        return f"started {max(0.0, after):.1f} s after the kill"


def problem_of(received, record):
    """Why this is not the recorded answer; empty if it is."""
    if received.problem:
        return f"the answer to task {record['id']} ended with {received.problem}"
    if record["state"] != "succeeded":
        return f"task {record['id']} is {record['state']}, although its answer was streamed completely"
    if not received.text or received.text != record["output"]["choices"][0]["message"]["content"]:
        return f"the streamed answer is not the result of task {record['id']}"
    return ""

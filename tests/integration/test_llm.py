"""Language models: a real llama-server behind agents, and OpenAI's API in front of them."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import llama
import standin
from support import BIN, FleetCase, open_terminal, wait_until

QUESTION = {"model": llama.MODEL, "messages": [{"role": "user", "content": "Is the attic warm?"}], "temperature": 0}
# The model then never stops by itself, so an answer can be as long as needed.
LONG = {**QUESTION, "ignore_eos": True, "max_tokens": 1500}

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQV"
                                                    "R42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}}


class Stream:
    """An answer as it grows, event by event."""

    def __init__(self, port, body, path="/v1/chat/completions"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.request("POST", path, json.dumps({**body, "stream": True}),
                                {"Content-Type": "application/json", "Authorization": "Bearer whatever"})
        self.response = self.connection.getresponse()
        self.text = ""
        self.chunks = []
        self.done = False
        self.comments = []
        self.until_comment = False

    def next(self):
        """The next chunk, or none at the end."""
        while True:
            line = self.response.readline().decode()
            if not line or line.startswith("data: [DONE]"):
                self.done = bool(line)
                return None
            if line.startswith(":"):
                self.comments.append(line)
                if self.until_comment:
                    return line
            if line.startswith("data: "):
                chunk = json.loads(line[6:])
                self.chunks.append(chunk)
                for choice in chunk.get("choices", []):
                    self.text += choice.get("delta", {}).get("content") or choice.get("text") or ""
                return chunk

    def until_text(self):
        while not self.text:
            if self.next() is None:
                raise AssertionError(f"ended without a word: {self.chunks}")
        return self

    def rest(self):
        while self.next() is not None:
            pass
        return self

    def close(self):
        self.response.close()
        self.connection.close()


class LlmCase(FleetCase):
    SERVERS = 1

    @classmethod
    def setUpClass(cls):
        llama.need()

    def setUp(self):
        super().setUp()
        self.servers = [llama.LlamaServer(self.fleet, f"llama-{n}") for n in range(1, self.SERVERS + 1)]
        for server in self.servers:
            server.wait()

    def agent(self, name, server, **options):
        lines = [f'{key} = {json.dumps(value)}' for key, value in options.items()]
        toml = "\n".join(["[[llm]]", 'provider = "openai"', f'url = "{server.url}"', "slots = 2", "refresh_s = 1", *lines])
        process = self.fleet.start_agent(name, toml=toml + "\n")
        wait_until(lambda: self.executor(name).get("models") or self.executor(name).get("problem"), what="models")
        return process

    def executor(self, name):
        return (self.api.agent(name)["executors"] or [{}])[0]

    def ask(self, body, path="/v1/chat/completions", headers=None):
        return self.api.post(path, body, headers=headers)

    def stream(self, body, path="/v1/chat/completions"):
        stream = Stream(self.api.port, body, path)
        self.addCleanup(stream.close)
        return stream

    def last_task(self):
        return self.api.task(self.api.good("GET", "/api/v1/tasks?limit=1")["tasks"][0]["id"])


class Door(LlmCase):
    def setUp(self):
        super().setUp()
        self.agent("pi-1", self.servers[0])

    def test_whole_and_streamed(self):
        """An answer in one piece and as a stream has the same text, in OpenAI's shape, with correct counts."""
        whole = self.ask(QUESTION)
        self.assertEqual(whole.status, 200, whole.body)
        answer = whole.body
        self.assertEqual(answer["object"], "chat.completion")
        choice = answer["choices"][0]
        self.assertEqual((choice["message"]["role"], choice["finish_reason"]), ("assistant", "stop"))
        usage = answer["usage"]
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
        stream = self.stream({**QUESTION, "stream_options": {"include_usage": True}}).rest()
        self.assertTrue(stream.done)
        self.assertEqual(stream.text, choice["message"]["content"])
        self.assertEqual(stream.chunks[0]["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual(stream.chunks[-2]["choices"][0]["finish_reason"], "stop")
        self.assertEqual(stream.chunks[-1]["usage"]["completion_tokens"], usage["completion_tokens"])
        self.assertEqual({chunk["id"] for chunk in stream.chunks}, {stream.chunks[0]["id"]})

    def test_a_long_answer_streams_while_it_is_made(self):
        """The first words arrive long before the last; every word of the result is sent exactly once."""
        stream = self.stream(LONG).until_text()
        self.assertEqual(self.last_task()["state"] in ("assigned", "running"), True)
        stream.rest()
        self.assertTrue(stream.done)
        self.assertGreater(len(stream.chunks), 10)
        self.assertEqual(stream.text, self.last_task()["output"]["choices"][0]["message"]["content"])
        self.assertEqual(stream.chunks[-1]["choices"][0]["finish_reason"], "length")

    def test_why_it_waits(self):
        """While there is no output, a comment keeps the connection open and gives the reason."""
        self.servers[0].process.signal(signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:  # each head is held for a second
            streams = list(pool.map(lambda _: self.stream(LONG), range(3)))  # on two slots
        task_of = {stream: stream.next()["id"].removeprefix("chatcmpl-") for stream in streams}
        wait_until(lambda: sum(self.api.task(task)["state"] == "running" for task in task_of.values()) == 2, what="two run")
        waiting = next(stream for stream in streams if self.api.task(task_of[stream])["state"] != "running")
        waiting.until_comment = True
        while not waiting.comments:
            self.assertIsNotNone(waiting.next())
        self.assertIn("busy", waiting.comments[0])
        self.servers[0].process.signal(signal.SIGCONT)
        waiting.until_comment = False
        for stream in streams:
            self.assertTrue(stream.rest().done)

    def test_completions_embeddings_models(self):
        """The other endpoints, also below /openai."""
        listed = self.api.good("GET", "/openai/v1/models")["data"]
        self.assertEqual([model["id"] for model in listed], [llama.MODEL])
        text = self.ask({"model": llama.MODEL, "prompt": "The attic", "max_tokens": 5}, "/v1/completions")
        self.assertEqual((text.status, text.body["object"]), (200, "text_completion"), text.body)
        stream = self.stream({"model": llama.MODEL, "prompt": "The attic", "max_tokens": 5, "temperature": 0},
                             "/v1/completions").rest()
        self.assertTrue(stream.done and stream.text)
        refused = self.ask({"model": llama.MODEL, "input": ["a", "b"]}, "/v1/embeddings")
        self.assertEqual(refused.status, 400, refused.body)  # this server was not started for embeddings
        self.assertIn("embeddings", refused.body["error"]["message"])

    def test_wrong_requests(self):
        """Each gets a clear error in OpenAI's shape; nothing is dropped silently."""
        cases = [({**QUESTION, "model": "gpt-9"}, 404, llama.MODEL), ({**QUESTION, "n": 9}, 400, "`n`"),
                 ({**QUESTION, "functions": "f"}, 400, "functions"), ({"messages": []}, 400, "model"),
                 ({**QUESTION, "messages": "hello"}, 400, "messages"),
                 ("{", 400, "JSON"), ({**QUESTION, "messages": [{"content": "x"}]}, 400, "role"),
                 ({**QUESTION, "stream": "yes"}, 400, "stream"),
                 ({**QUESTION, "messages": [{"role": "user", "content": [PICTURE]}]}, 400, "image input"),
                 ({**QUESTION, "messages": [{"role": "user", "content": "word " * 3000}]}, 400, "context"),
                 ({**QUESTION, "messages": [{"role": "user", "content": "x" * (8 << 20)}]}, 413, "--max-task-mb")]
        for body, status, word in cases:
            answer = self.ask(body)
            self.assertEqual(answer.status, status, answer.body)
            self.assertIn(word, answer.body["error"]["message"])
            self.assertTrue(answer.body["error"]["type"])
        stream = self.stream({**QUESTION, "n": 9})
        self.assertEqual(stream.response.status, 400)
        self.assertIn("`n`", stream.response.read().decode())
        self.assertEqual(self.ask(QUESTION).status, 200)

    def test_a_client_that_goes_away(self):
        """Its task is cancelled and the back end's slot is free again, for streams and whole answers."""
        self.stream(LONG).until_text().close()
        wait_until(lambda: self.last_task()["state"] == "cancelled", what="the stream's task is cancelled")
        wait_until(lambda: self.servers[0].busy() == 0, what="the slot is free")
        body = json.dumps(LONG).encode()
        with socket.create_connection(("127.0.0.1", self.api.port)) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self.servers[0].process.signal(signal.SIGSTOP)  # it would be over too soon
            wait_until(lambda: self.last_task()["state"] in ("assigned", "running"), what="it is in progress")
            task = self.last_task()["id"]
            client.sendall(b"more than was announced")
        wait_until(lambda: self.api.task(task)["state"] in ("cancelled", "cancelling"), what="it is cancelled")
        self.servers[0].process.signal(signal.SIGCONT)
        self.assertEqual(self.api.outcome(task)["state"], "cancelled")

    def test_a_coordinator_that_was_killed(self):
        """Requests from before a restart are cancelled at the start: their clients are no longer connected."""
        stream = self.stream(LONG).until_text()
        self.servers[0].process.signal(signal.SIGSTOP)
        task = self.last_task()["id"]
        self.fleet.coordinator.kill()
        with contextlib.suppress(http.client.HTTPException, OSError):
            stream.rest()
        self.assertFalse(stream.done)
        self.fleet.start_coordinator()
        self.servers[0].process.signal(signal.SIGCONT)
        self.assertEqual(self.api.outcome(task)["state"], "cancelled")

    def test_tasks_without_the_door(self):
        """llm.chat is a capability like others."""
        task = self.api.outcome(self.api.submit("llm.chat", QUESTION, where={"model": llama.MODEL}))
        self.assertEqual(task["state"], "succeeded", task)
        self.assertTrue(task["output"]["choices"][0]["message"]["content"])
        self.assertGreater(task["usage"]["completion_tokens"], 0)
        by_provider = self.api.outcome(self.api.submit("llm.chat", {**QUESTION, "model": f"openai/{llama.MODEL}"},
                                                       where={"model": f"openai/{llama.MODEL}"}))
        self.assertEqual(by_provider["state"], "succeeded", by_provider)


class NeverCloses:
    """A proxy in front of a server: drops everything after the last event, and keeps the connection open."""

    END = b"data: [DONE]\n\n"

    def __init__(self, port):
        self.port = port
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                self.sockets += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while more := source.recv(65536):
                said, end, _ = more.partition(self.END)
                sink.sendall(said + end)
                if end:
                    return

    def close(self):
        for one in [self.listener, *self.sockets]:
            one.close()


class BackEnds(LlmCase):
    SERVERS = 2

    def test_an_agent_that_dies(self):
        """Before the first word the client notices nothing; after it, another agent continues if the text agrees."""
        one = self.agent("pi-1", self.servers[0])
        self.servers[0].process.signal(signal.SIGSTOP)
        stream = self.stream(QUESTION)
        wait_until(lambda: self.last_task()["state"] == "running", what="pi-1 has it")
        self.agent("pi-2", self.servers[1])
        one.kill()
        stream.rest()
        self.assertTrue(stream.done and stream.text, stream.chunks)
        self.servers[0].process.signal(signal.SIGCONT)

        self.fleet.restart_agent("pi-1")
        wait_until(lambda: self.executor("pi-1").get("models"), what="pi-1 is back")
        self.api.placeable("pi-1")
        self.api.good("POST", "/api/v1/agents/pi-2/drain")
        stream = self.stream(LONG).until_text()
        self.servers[0].process.signal(signal.SIGSTOP)
        self.api.good("POST", "/api/v1/agents/pi-2/resume")
        before = stream.text
        self.fleet.agents["pi-1"].kill()
        stream.rest()
        self.assertTrue(stream.done, stream.chunks[-1])
        self.assertTrue(stream.text.startswith(before))
        self.assertEqual(stream.text, self.last_task()["output"]["choices"][0]["message"]["content"])
        self.assertEqual(len(self.last_task()["attempts"]), 2)

    def test_a_back_end_that_hangs_or_dies(self):
        """A silent back end is replaced by another; an unreachable one is shown by `edgefleet agents`."""
        self.agent("pi-1", self.servers[0], first_token_timeout_s=1, token_timeout_s=1)
        self.servers[0].process.signal(signal.SIGSTOP)
        stream = self.stream(QUESTION)
        wait_until(lambda: any(a.get("error", {}).get("code") == "backend_timed_out"
                               for a in self.last_task()["attempts"]), what="pi-1 gives up")
        self.agent("pi-2", self.servers[1])
        self.assertTrue(stream.rest().done, stream.chunks)
        self.servers[0].process.kill()
        wait_until(lambda: "cannot reach" in self.executor("pi-1").get("problem", ""), what="the reason is shown")
        self.assertEqual(self.ask(QUESTION).status, 200)
        again = llama.LlamaServer(self.fleet, "llama-again", self.servers[0].port)
        wait_until(lambda: self.executor("pi-1").get("models"), what="it is in service again")
        again.process.kill()

    def test_a_back_end_that_does_not_end_its_answer(self):
        """Its output so far is the answer: it is not lost, and the slot is not held until the timeout."""
        relay = NeverCloses(self.servers[0].port)
        self.addCleanup(relay.close)
        self.agent("pi-1", relay, token_timeout_s=1)
        whole = self.ask(QUESTION)
        self.assertEqual(whole.status, 200, whole.body)
        self.assertGreater(whole.body["usage"]["completion_tokens"], 0)
        self.assertEqual(len(self.last_task()["attempts"]), 1)

    def test_keys(self):
        """A refused key puts the executor out of service; a valid one needs no restart. No key is ever shown."""
        guarded = llama.LlamaServer(self.fleet, "guarded", key="open-sesame").wait()
        key_file = self.fleet.dir / "key"
        key_file.write_text("wrong-sesame\n")
        self.agent("pi-1", guarded, api_key_file=str(key_file))
        self.assertIn("key is refused", self.executor("pi-1")["problem"])
        self.assertEqual(self.ask(QUESTION).status, 404)
        logs = self.fleet.agents["pi-1"].log() + self.fleet.coordinator.log()
        self.assertNotIn("sesame", logs)
        key_file.write_text("open-sesame\n")
        self.assertEqual(self.fleet.agents["pi-1"].terminate(), 0)
        self.fleet.restart_agent("pi-1")
        wait_until(lambda: self.executor("pi-1").get("models"), what="the right key works")
        self.api.placeable("pi-1")
        self.assertEqual(self.ask(QUESTION).status, 200)

    def test_a_budget(self):
        """When its requests are used up, the executor reports it and gets no tasks, also after a restart."""
        self.agent("pi-1", self.servers[0], requests_per_day=2)
        for _ in range(2):
            self.assertEqual(self.ask(QUESTION).status, 200)
        began = time.monotonic()
        stream = self.stream(QUESTION)
        wait_until(lambda: "2 requests a day" in self.executor("pi-1").get("problem", ""), what="the budget is shown")
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(self.fleet.agents["pi-1"].terminate(), 0)
        self.fleet.restart_agent("pi-1")
        wait_until(lambda: "2 requests a day" in self.executor("pi-1").get("problem", ""), what="it is still used up")
        self.agent("pi-2", self.servers[1])
        self.assertTrue(stream.rest().done, stream.chunks)


class Aliases(LlmCase):
    COORDINATOR = None

    def test_a_chain(self):
        """An alias for several models uses an available one."""
        config = self.fleet.dir / "coordinator.toml"
        config.write_text(f'[models]\nfast = ["groq/llama-3.3-70b", "{llama.MODEL}"]\n')
        self.fleet.start_coordinator("--config", config)
        self.agent("pi-1", self.servers[0])
        self.assertIn("fast", [model["id"] for model in self.api.good("GET", "/v1/models")["data"]])
        answer = self.ask({**QUESTION, "model": "fast"})
        self.assertEqual((answer.status, answer.body["model"]), (200, "fast"), answer.body)


class AliasOfTwo(LlmCase):
    COORDINATOR = None
    SERVERS = 2

    def test_a_model_that_is_lost_while_it_is_waited_for(self):
        """Before any output, the next model of the chain answers, and the first task is cancelled."""
        config = self.fleet.dir / "coordinator.toml"
        config.write_text(f'[models]\nfast = ["{llama.MODEL}", "groq/llama-3.3-70b-versatile"]\n')
        self.fleet.start_coordinator("--config", config)
        first = self.agent("pi-1", self.servers[0])
        behind = standin.StandIn(self.fleet, "groq", self.servers[1])
        key = self.fleet.dir / "key"
        key.write_text(standin.KEY)
        self.fleet.start_agent("pi-2", toml=f'[[llm]]\nprovider = "groq"\nurl = "{behind.url}/openai"\n'
                               f'api_key_file = "{key}"\nmodels = ["llama-3.3-70b-versatile"]\nslots = 2\n')
        wait_until(lambda: self.executor("pi-2").get("models") and not self.executor("pi-2").get("problem"), what="pi-2")
        self.servers[0].process.signal(signal.SIGSTOP)
        stream = self.stream({**QUESTION, "model": "fast"})
        with concurrent.futures.ThreadPoolExecutor() as pool:
            whole = pool.submit(self.api_of_its_own().post, "/v1/chat/completions", {**QUESTION, "model": "fast"})
            wait_until(lambda: [task["state"] for task in self.tasks()] == ["running"] * 2, what="pi-1 has both")
            first.kill()
            self.assertTrue(stream.rest().done, stream.chunks)
            self.assertTrue(stream.text)
            self.assertEqual(whole.result(20).status, 200)
        ends = sorted((task["where"]["model"], task["state"]) for task in self.tasks())
        self.assertEqual(ends, [(llama.MODEL, "cancelled")] * 2 + [("groq/llama-3.3-70b-versatile", "succeeded")] * 2)

    def tasks(self):
        return self.api.good("GET", "/api/v1/tasks?limit=10")["tasks"]

    def api_of_its_own(self):
        return self.fleet.new_api()


class Bench(LlmCase):
    SERVERS = 2

    def setUp(self):
        super().setUp()
        self.agent("pi-1", self.servers[0])
        self.agent("pi-2", self.servers[1])

    def tasks_of(self, agent):
        listed = self.api.good("GET", "/api/v1/tasks?limit=100")["tasks"]
        return [task for task in reversed(listed) if task["where"]["agent"] == agent]

    def test_every_agent_is_asked(self):
        """A row for each agent with its figures, from the requested number of tasks, run in sequence."""
        done = self.fleet.cli("bench", "llm", "--tokens", 4, "--repeat", 3)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        rows = re.findall(rf"(?m)^(pi-\d)   {llama.MODEL} +- +(\d+) +([\d.]+) +4$", done.stdout)
        self.assertEqual([row[0] for row in rows], ["pi-1", "pi-2"], done.stdout)
        for agent, first, speed in rows:
            tasks = self.tasks_of(agent)
            self.assertEqual(len(tasks), 3)
            usages = [task["usage"] for task in tasks]
            self.assertEqual({usage["completion_tokens"] for usage in usages}, {4})
            self.assertEqual(int(first), sorted(usage["first_token_ms"] for usage in usages)[1])
            self.assertAlmostEqual(float(speed), sorted(usage["tokens_per_second"] for usage in usages)[1], delta=0.06)
            for before, after in zip(tasks, tasks[1:]):
                self.assertLessEqual(before["ended_at"], after["accepted_at"])
        done = self.fleet.cli("bench", "llm", f"openai/{llama.MODEL}", "--tokens", 4, "--repeat", 1, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        results = json.loads(done.stdout)["results"]
        self.assertEqual([(one["agent"], one["completion_tokens"], len(one["runs"])) for one in results],
                         [("pi-1", 4, 1), ("pi-2", 4, 1)])

    def test_a_failure(self):
        """It is a line with its reason, the other tasks of that model are skipped, and the exit code reports it."""
        done = self.fleet.cli("bench", "llm", llama.MODEL, "--prompt", "word " * 3000)
        self.assertEqual(done.returncode, 1, done.stdout)
        for agent in ("pi-1", "pi-2"):
            self.assertRegex(done.stdout, rf"(?m)^{agent}   {llama.MODEL} +- +- +- +-$")
            self.assertRegex(done.stdout, rf"(?m)^{agent}, {llama.MODEL}: failed: context_too_long: ")
            self.assertEqual(len(self.tasks_of(agent)), 1)
        unknown = self.fleet.cli("bench", "llm", "gpt-9")
        self.assertEqual((unknown.returncode, unknown.stdout), (3, ""))
        self.assertIn(f'offers the model "gpt-9"; other models: {llama.MODEL}', unknown.stderr)

    def test_an_interruption(self):
        """On a terminal it shows progress; Ctrl-C cancels only its own tasks."""
        for server in self.servers:
            server.process.signal(signal.SIGSTOP)
        other = self.api.submit("llm.chat", QUESTION, where={"agent": "pi-1"})
        terminal, end = open_terminal()
        self.addCleanup(os.close, terminal)
        bench = subprocess.Popen([BIN / "edgefleet", "--url", f"http://127.0.0.1:{self.api.port}", "bench", "llm"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=end, text=True)
        self.addCleanup(bench.kill)
        os.close(end)
        said = ""
        while "0 of 6 requests; pi-1: " not in said:
            said += os.read(terminal, 4096).decode()
        bench.send_signal(signal.SIGINT)
        while "2 tasks were cancelled" not in said:
            said += os.read(terminal, 4096).decode()
        self.assertEqual((bench.communicate(timeout=20)[0], bench.returncode), ("", -signal.SIGINT))
        for server in self.servers:
            server.process.signal(signal.SIGCONT)
        asked = [task for agent in ("pi-1", "pi-2") for task in self.tasks_of(agent) if task["id"] != other]
        self.assertEqual([self.api.outcome(task["id"])["state"] for task in asked], ["cancelled", "cancelled"])
        self.assertEqual(self.api.outcome(other)["state"], "succeeded")


if __name__ == "__main__":
    unittest.main()

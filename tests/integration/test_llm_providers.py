"""Ollama, Groq and Gemini behind an agent: stand-ins with a real llama-server behind them (tests/llm/standin.py)."""

import json
import signal
import unittest

import llama
import standin
from support import FleetCase, wait_until
from test_llm import Stream

TOOL = {"type": "function", "function": {"name": "get_temperature", "parameters": {
    "type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]}}}
ENDINGS = [("hang_before", "backend_timed_out", "sent nothing for"),
           ("hang_mid", "backend_timed_out", "nothing more of its answer"),
           ("cut_mid", "backend_unavailable", ""), ("end_early", "backend_unavailable", "is incomplete"),
           ("garbage_line", "bad_answer", "invalid JSON"), ("endless_line", "bad_answer", "without an end"),
           ("error_mid", "backend_error", "during its answer")]


class ProviderCase(FleetCase):
    PROVIDER = ""
    MODEL = ""
    EMBEDDER = None
    PATH = ""  # behind the stand-in's address
    OPTIONS = {}  # of the stand-in
    AGENT = {}  # of the agent

    @classmethod
    def setUpClass(cls):
        if not cls.PROVIDER:
            raise unittest.SkipTest("what the providers have in common")
        llama.need()

    def setUp(self):
        super().setUp()
        self.server = llama.LlamaServer(self.fleet, "llama", slots=4, embeddings=True)
        self.backend = self.stand_in()
        self.key_file = self.fleet.dir / "key"
        self.key_file.write_text(standin.KEY + "\n")
        self.server.wait()

    def stand_in(self):
        return standin.StandIn(self.fleet, self.PROVIDER, self.server, **self.OPTIONS)

    def agent(self, name="pi-1", backend=None, **options):
        table = {"provider": self.PROVIDER, "url": (backend or self.backend).url + self.PATH, "slots": 2, "refresh_s": 1,
                 "api_key_file": str(self.key_file), "models": [self.MODEL, *([self.EMBEDDER] if self.EMBEDDER else [])],
                 **self.AGENT, **options}
        toml = "\n".join(["[[llm]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]) + "\n"
        process = self.fleet.start_agent(name, toml=toml)
        wait_until(lambda: self.in_service(name) or self.executor(name).get("problem"), what="the back end is looked at")
        return process

    def executor(self, name="pi-1"):
        return (self.api.agent(name)["executors"] or [{}])[0]

    def in_service(self, name="pi-1"):
        executor = self.executor(name)
        return bool(executor.get("models")) and not executor.get("problem") and executor["free"] > 0

    def question(self, **more):
        return {"model": self.MODEL, "messages": [{"role": "user", "content": "Is the attic warm?"}], "temperature": 0,
                "max_tokens": 40, **more}

    def ask(self, **more):
        answer = self.api.post("/v1/chat/completions", self.question(**more))
        self.assertEqual(answer.status, 200, answer.body)
        return answer.body

    def stream(self, **more):
        stream = Stream(self.api.port, self.question(**more))
        self.addCleanup(stream.close)
        return stream

    def task(self, **options):
        return self.api.submit("llm.chat", self.question(), where={"model": self.MODEL}, **options)

    def last_task(self):
        return self.api.task(self.api.good("GET", "/api/v1/tasks?limit=1")["tasks"][0]["id"])

    def idle(self, backend=None):
        """Neither the back end nor llama-server is busy."""
        backend = backend or self.backend
        wait_until(lambda: backend.seen("infer_open") == 0 and self.server.busy() == 0, what="the back end is free")

    def problem(self, words, name="pi-1"):
        wait_until(lambda: words in self.executor(name).get("problem", ""), what=lambda: f"{words!r} in {self.executor(name)}")
        wait_until(lambda: self.executor(name)["free"] == 0, what="it has no free slot")


class Common:
    """Tests for each provider."""

    def test_answers(self):
        """Whole and streamed, tools, a schema, thoughts, embeddings: what the model endpoints guarantee, for each back end."""
        self.agent()
        whole = self.ask()
        stream = self.stream(stream_options={"include_usage": True}).rest()
        self.assertTrue(stream.done, stream.chunks)
        self.assertEqual(stream.text, whole["choices"][0]["message"]["content"])
        self.assertEqual(stream.chunks[-1]["usage"]["completion_tokens"], whole["usage"]["completion_tokens"])
        self.assertGreater(whole["usage"]["prompt_tokens"], 10)
        cut = self.ask(max_tokens=3)
        self.assertEqual((cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]), ("length", 3))
        self.tools()
        thought = self.ask(model=self.THINKER, reasoning_effort="low", max_tokens=100)["choices"][0]["message"]
        self.assertTrue(thought["reasoning_content"] and thought["content"], thought)
        if self.EMBEDDER:
            made = self.api.post("/v1/embeddings", {"model": self.EMBEDDER, "input": ["attic", "cellar"], "dimensions": 8})
            self.assertEqual([len(one["embedding"]) for one in made.body["data"]], [8, 8], made.body)
        else:
            refused = self.api.post("/v1/embeddings", {"model": self.MODEL, "input": "x"})
            self.assertEqual(refused.status, 404, refused.body)
        self.idle()

    def tools(self):
        messages = [{"role": "user", "content": "Use get_temperature"}]
        choice = self.ask(messages=messages, tools=[TOOL], max_tokens=200)["choices"][0]
        self.assertEqual(choice["finish_reason"], "tool_calls", choice)
        call = choice["message"]["tool_calls"][0]
        self.assertEqual(list(json.loads(call["function"]["arguments"])), ["room"])
        messages += [choice["message"], {"role": "tool", "tool_call_id": call["id"], "content": "21"}]
        self.assertTrue(self.ask(messages=messages, tools=[TOOL])["choices"][0]["message"]["content"])

    def test_endings(self):
        """If a back end aborts in any way, the task ends with a reason, and the back end is not kept busy."""
        self.agent(first_token_timeout_s=1, token_timeout_s=1)
        for kind, code, words in ENDINGS:
            with self.subTest(kind):
                self.backend.fault(kind)
                task = self.api.outcome(self.task(max_attempts=1))
                self.assertEqual((task["state"], task["error"]["code"]), ("failed", code), task["error"])
                self.assertIn(words, task["error"]["message"])
                self.idle()
        self.assertTrue(self.ask()["choices"][0]["message"]["content"])
        self.assertEqual(self.backend.seen("faults_left"), [])
        # The client does not notice one failure: the second attempt begins with the same words. More are an error.
        self.backend.fault("error_mid")
        self.assertTrue(self.stream().rest().done)
        self.assertEqual(len(self.last_task()["attempts"]), 2)
        self.backend.fault("error_mid", times=-1)
        stream = self.stream().rest()
        self.assertFalse(stream.done)
        self.assertIn("during its answer", stream.chunks[-1]["error"]["message"])

    def test_cancel(self):
        """If a client disconnects, or a task is cancelled, the back end stops working."""
        self.agent()
        self.backend.set(token_ms=20, ignore_eos=True)
        self.stream(max_tokens=900).until_text().close()
        wait_until(lambda: self.last_task()["state"] == "cancelled", what="the stream's task is cancelled")
        self.idle()
        self.assertEqual(self.backend.seen("client_aborts"), 1)
        task = self.api.submit("llm.chat", self.question(max_tokens=900), where={"model": self.MODEL})
        wait_until(lambda: self.server.busy() == 1, what="llama-server works")
        self.api.good("POST", f"/api/v1/tasks/{task}/cancel")
        self.assertEqual(self.api.outcome(task)["state"], "cancelled")
        self.idle()
        self.assertEqual(self.backend.seen("client_aborts"), 2)

    def test_a_refused_key(self):
        """Out of service with the reason, not a loop of requests; a valid key needs no restart."""
        self.agent()
        self.backend.fault("status", status=403, times=-1, on="infer")
        task = self.api.outcome(self.task(max_attempts=1))
        self.assertEqual(task["error"]["code"], "unauthorized", task)
        self.problem("key is refused")
        refused = self.api.post("/v1/chat/completions", self.question())
        self.assertEqual(refused.status, 503, refused.body)
        self.assertIn("key is refused", refused.body["error"]["message"])
        self.assertEqual(self.backend.seen("infer"), 1)
        self.backend.fault("none")
        self.refuse_key()
        self.assertEqual(self.fleet.agents["pi-1"].terminate(), 0)
        service = self.fleet.start("pi-1", ["setsid", *self.fleet.agents["pi-1"].command])  # has no terminal
        self.api.placeable("pi-1")
        self.problem("key is refused")
        self.backend.fault("none")
        self.key_file.write_text(standin.KEY + "\n")
        service.signal(signal.SIGHUP)
        wait_until(self.in_service, what="the right key works")
        self.ask()
        self.assertNotIn(standin.KEY, service.log() + self.fleet.coordinator.log())

    def refuse_key(self):
        self.key_file.write_text("another\n")

    def test_a_budget(self):
        """Own budgets survive a restart of the agent."""
        self.agent(**{self.BUDGET: 1})
        self.ask()
        self.problem("1 " + self.BUDGET.replace("_per_", " a "))
        for end in (self.fleet.agents["pi-1"].terminate, self.fleet.agents["pi-1"].kill):
            end()
            self.fleet.restart_agent("pi-1")
            self.problem("is used up")
        self.assertEqual(self.backend.seen("infer"), 1)


class Limits:
    """Tests for the cloud providers."""

    def test_a_limit_that_is_told(self):
        """While limited there is no free slot; the task waits, or runs elsewhere; later ones run here again."""
        self.agent()
        self.backend.fault("status", status=429, retry_after=30)
        task = self.task()
        self.problem("asks for a pause of 30 s")
        # What the executor says may come before what the task was returned with.
        wait_until(lambda: self.api.task(task)["state"] != "running", what="the task is given back")
        self.assertNotEqual(self.api.task(task)["state"], "failed")
        other = self.stand_in()
        self.agent("pi-2", other)
        done = self.api.outcome(task)
        self.assertEqual(done["state"], "succeeded", done)
        self.assertEqual([one["agent"] for one in done["attempts"]], ["pi-1", "pi-2"])
        self.ask()
        self.assertEqual((self.backend.seen("infer"), other.seen("infer")), (1, 2))

    def test_the_limit_itself(self):
        """When a window of requests is used up, the executor rests until the next window, and serves again."""
        self.backend.set(requests=2, window_s=4)
        self.agent()
        for _ in range(5):  # the third and the fifth wait for a new window, and are not refused
            self.ask()
        seen = self.backend.seen()
        self.assertLessEqual(seen["refused"], 2)
        self.assertEqual(seen["infer"], 5 + seen["refused"])


class Ollama(Common, ProviderCase):
    PROVIDER = "ollama"
    MODEL = "edge:1m"
    THINKER = "deepseek-r1:1.5b"
    EMBEDDER = "edge:1m"
    OPTIONS = {"models": "edge:1m=1905152,deepseek-r1:1.5b=1.1G"}
    AGENT = {"num_ctx": 256, "models": ["edge:1m", "deepseek-r1:1.5b"]}
    BUDGET = "requests_per_day"

    def refuse_key(self):  # Ollama has none; a proxy in front of it may have one
        self.backend.fault("status", status=401, times=-1)

    def test_a_context_that_is_too_small(self):
        """A prompt that does not fit is an error, not truncated silently: one message, or the first of many."""
        self.agent()
        turns = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"The attic is warm, said {n}."} for n in range(41)]
        for messages in (turns, [{"role": "user", "content": "warm " * 400}]):
            answer = self.api.post("/v1/chat/completions", self.question(messages=messages))
            self.assertEqual((answer.status, answer.body["error"]["code"]), (400, "context_length_exceeded"), answer.body)
        self.backend.set(ignore_eos=True)
        full = self.ask(max_tokens=2000)  # a full context ends the answer
        self.assertEqual(full["choices"][0]["finish_reason"], "length")
        self.assertEqual(full["usage"]["total_tokens"], 256)

    def test_models_that_take_turns(self):
        """With room for one model, the other is loaded when it is requested; the loaded model is reported."""
        self.backend.set(most_loaded=1, load_ms=200)
        births = self.fleet.observe("agents/pi-1/info")
        self.agent()
        self.assertGreaterEqual(self.ask()["usage"]["load_ms"], 150)
        self.assertLess(self.ask()["usage"]["load_ms"], 150)
        self.ask(model=self.THINKER)
        births.wait_for(lambda birth: any(one.get("loaded_models") == [self.THINKER] for one in birth.payload["executors"]))
        self.assertEqual(self.backend.seen("loads"), {self.MODEL: 1, self.THINKER: 1})

    def test_a_busy_server(self):
        """503: another attempt a little later."""
        self.agent()
        self.backend.fault("status", status=503)
        self.ask()
        self.assertEqual([one.get("error", {}).get("code") for one in self.last_task()["attempts"]],
                         ["backend_unavailable", None])


class Groq(Common, Limits, ProviderCase):
    PROVIDER = "groq"
    PATH = "/openai"
    MODEL = "llama-3.3-70b-versatile"
    THINKER = "openai/gpt-oss-20b"
    AGENT = {"models": [MODEL, THINKER]}
    BUDGET = "requests_per_minute"

    def test_tokens_of_an_answer_that_took_long(self):
        """They are kept over a restart: the request is recorded before its answer is complete."""
        self.backend.set(token_ms=300)
        self.agent(tokens_per_day=30)
        stream = self.stream(max_tokens=12)
        kept = self.fleet.dir / "work-pi-1/llm/llm-groq.json"
        wait_until(lambda: kept.exists(), what="the request is recorded")
        self.assertEqual(json.loads(kept.read_text())["tokens"], 0, "the answer was over too soon")
        self.assertTrue(stream.rest().done)
        self.assertEqual(self.fleet.agents["pi-1"].terminate(), 0)
        usage = self.api.good("GET", "/api/v1/tasks?limit=1")["tasks"][0]["id"]
        self.assertEqual(json.loads(kept.read_text())["tokens"], self.api.task(usage)["usage"]["total_tokens"])

    def test_the_last_request_of_a_window(self):
        """The headers report that nothing is left: no request is wasted."""
        self.backend.set(requests=1, window_s=3600)
        self.agent()
        self.ask()
        self.problem("limit is reached; available again in 35")
        self.assertEqual(self.backend.seen("refused"), 0)


class Gemini(Common, Limits, ProviderCase):
    PROVIDER = "gemini"
    MODEL = "gemini-2.5-flash"
    THINKER = MODEL
    EMBEDDER = "gemini-embedding-001"
    BUDGET = "tokens_per_day"

    def test_thoughts_count(self):
        """Reasoning tokens that are not shown are counted too."""
        self.agent(price_completion=1000.0)
        usage = self.ask()["usage"]
        thought = usage["completion_tokens_details"]["reasoning_tokens"]
        self.assertGreater(thought, 0)
        self.assertAlmostEqual(usage["cost_usd"], usage["completion_tokens"] / 1000, places=6)
        self.assertGreater(usage["completion_tokens"], thought)


if __name__ == "__main__":
    unittest.main()

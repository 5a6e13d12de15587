"""The OpenAI endpoint in front of a back end that answers at once (scripted.py): no model server is needed."""

import concurrent.futures
import http.client
import json
import threading
import time

from scripted import ScriptedBackend
from support import FleetCase, wait_until

CHAT = "/v1/chat/completions"
QUESTION = {"model": "scripted", "messages": [{"role": "user", "content": "Is the attic warm?"}]}
TOOL = {"name": "heat", "parameters": {"type": "object", "properties": {"room": {"type": "string"}}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
CALL = {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "heat", "arguments": '{"room":"attic"}'}}],
        "finish_reason": "tool_calls"}


class Stream:
    """An answer as server-sent events; an error with a status has a body instead."""

    def __init__(self, port, body, path=CHAT):
        self.began = time.monotonic()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.request("POST", path, json.dumps({**body, "stream": True}))
        self.response = self.connection.getresponse()
        self.head_after = time.monotonic() - self.began
        self.status = self.response.status
        self.error = None if self.status == 200 else json.loads(self.response.read())["error"]
        self.events = []
        self.done = False

    def rest(self, on_text=lambda: None, on_event=lambda: None):
        for line in iter(self.response.readline, b""):
            if line == b"data: [DONE]\n":
                self.done = True
            elif line.startswith(b"data: "):
                self.events.append(json.loads(line[6:]))
                on_event()
                if self.texts():
                    on_text()
        self.connection.close()
        return self

    def choices(self, index):
        return [choice for event in self.events for choice in event.get("choices", []) if choice["index"] == index]

    def texts(self, index=0):
        said = [choice.get("delta", {}).get("content") or choice.get("text") for choice in self.choices(index)]
        return [text for text in said if text]

    def calls(self, index=0):
        """The pieces of tool calls, and their arguments put together."""
        pieces = [piece for choice in self.choices(index) for piece in choice["delta"].get("tool_calls", [])]
        arguments = {}
        for piece in pieces:
            arguments[piece["index"]] = arguments.get(piece["index"], "") + piece["function"]["arguments"]
        return pieces, [arguments[at] for at in sorted(arguments)]


class EndpointCase(FleetCase):
    SCRIPT = staticmethod(lambda body: ["Hello"])
    MODELS = ("scripted",)
    ALIASES = {}  # with COORDINATOR = None

    def setUp(self):
        super().setUp()
        if self.ALIASES:
            config = self.fleet.dir / "coordinator.toml"
            config.write_text("[models]\n" + "".join(f"{name} = {json.dumps(chain)}\n" for name, chain in self.ALIASES.items()))
            self.fleet.start_coordinator("--config", config)
        self.backend = self.scripted(self.SCRIPT, self.MODELS)
        self.fleet.start_agent("pi-1", toml=self.backend.table())
        self.in_service("pi-1")

    def scripted(self, *args):
        backend = ScriptedBackend(*args)
        self.addCleanup(backend.close)
        return backend

    def in_service(self, name, executors=1):
        wait_until(lambda: sum(bool(one.get("models")) and not one.get("problem")
                               for one in self.api.agent(name)["executors"]) == executors, what=f"{name} is in service")

    def ask(self, more=None, path=CHAT, status=200, **fields):
        answer = self.api.post(path, {**QUESTION, **(more or {}), **fields})
        self.assertEqual(answer.status, status, answer.body)
        return answer.body

    def stream(self, path=CHAT, **fields):
        return Stream(self.api.port, {**QUESTION, **fields}, path)

    def tasks(self):
        return self.api.good("GET", "/api/v1/tasks?limit=100")["tasks"]


class Streams(EndpointCase):
    def test_the_first_words_of_a_quick_back_end(self):
        """Each stream has its first word before the last one exists: no part is lost before its listener is there."""
        heard = [threading.Event() for _ in range(400)]
        self.backend.script = lambda body: ["first ", heard[body["seed"]], "second"]

        def stream(number):
            return self.stream(seed=number).rest(heard[number].set)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            streams = list(pool.map(stream, range(len(heard))))
        self.assertEqual({tuple(stream.texts()) for stream in streams}, {("first ", "second")})
        self.assertTrue(all(stream.done for stream in streams))


class Heads(EndpointCase):
    SCRIPT = staticmethod(lambda body: [2.5, "late"] if body.get("seed") == 1 else
                          (400, "no such grammar") if body.get("seed") == 2 else ["at once", 2, "late"])

    def test_a_stream_that_fails_has_the_status_of_the_failure(self):
        """A failure before the first token has the status and the body that it has without a stream."""
        for fields, status in (({"seed": 2}, 400), ({"model": "nobody-has-it"}, 404), ({"n": 9}, 400),
                               ({"messages": []}, 400)):
            stream = self.stream(**fields)
            self.assertEqual(stream.status, status, stream.error)
            whole = self.ask(fields, status=status)["error"]
            self.assertEqual({**stream.error, "message": ""}, {**whole, "message": ""})

    def test_the_head_waits_for_the_first_part_but_not_longer_than_a_second(self):
        """The head comes with the first text, or after a second; nothing else waits for the end."""
        quick = self.stream()
        self.assertEqual(quick.status, 200)
        self.assertLess(quick.head_after, 1.9)
        self.assertEqual(quick.rest().texts(), ["at once", "late"])
        slow = self.stream(seed=1)
        self.assertEqual(slow.status, 200)
        self.assertGreater(slow.head_after, 0.8)
        self.assertLess(slow.head_after, 2.4)
        self.assertEqual(slow.rest().texts(), ["late"])
        self.assertTrue(slow.done)

    def test_a_late_failure_is_an_event(self):
        """After the head, a failure ends the stream with an error event and without the end mark."""
        def late(_):
            time.sleep(1.5)  # a back end that refuses after it has read a long prompt
            return (400, "too warm")

        self.backend.script = late
        stream = self.stream().rest()
        self.assertEqual(stream.status, 200)
        self.assertIn("too warm", stream.events[-1]["error"]["message"])
        self.assertFalse(stream.done)


class Choices(EndpointCase):
    SCRIPT = staticmethod(lambda body: (400, "no seven") if body.get("seed") == 7 else
                          [f"{body.get('prompt', '')}{body.get('seed', '')}", 0.05, "!"])

    def test_n_answers_are_one(self):
        """Whole and streamed: each choice has its index, and further choices have other seeds."""
        whole = self.ask(n=3, seed=1)
        self.assertEqual([(one["index"], one["message"]["content"]) for one in whole["choices"]],
                         [(0, "1!"), (1, "2!"), (2, "3!")])
        self.assertEqual(whole["usage"], {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15})
        stream = self.stream(n=3, seed=1, stream_options={"include_usage": True}).rest()
        self.assertTrue(stream.done)
        for index in range(3):
            self.assertEqual("".join(stream.texts(index)), f"{index + 1}!")
            self.assertEqual(stream.choices(index)[0]["delta"]["role"], "assistant")
            self.assertEqual(stream.choices(index)[-1]["finish_reason"], "stop")
        self.assertEqual(stream.events[-1]["usage"]["total_tokens"], 15)
        self.assertEqual(len({event["id"] for event in stream.events}), 1)

    def test_prompts(self):
        """A list of prompts has a choice for each, n times."""
        body = {"prompt": ["a"]}
        self.assertEqual(self.ask(body, "/v1/completions")["choices"][0]["text"], "a!")
        body = {"prompt": ["a", "b"], "n": 2, "seed": 1, "best_of": 2}
        whole = self.ask(body, "/v1/completions")
        self.assertEqual([one["text"] for one in whole["choices"]], ["a1!", "a2!", "b1!", "b2!"])
        self.assertEqual([one["index"] for one in whole["choices"]], [0, 1, 2, 3])
        stream = self.stream("/v1/completions", **body).rest()
        self.assertEqual(["".join(stream.texts(index)) for index in range(4)], ["a1!", "a2!", "b1!", "b2!"])

    def test_one_that_fails(self):
        """Then the request fails with its error, and the other tasks are cancelled."""
        self.backend.script = lambda body: (400, "no seven") if body["seed"] == 7 else [10, "never"]
        error = self.ask(n=3, seed=5, status=400)["error"]
        self.assertIn("no seven", error["message"])
        wait_until(lambda: sorted(task["state"] for task in self.tasks()) == ["cancelled", "cancelled", "failed"],
                   what=lambda: f"the others are cancelled: {self.tasks()}")

    def test_a_client_that_goes_away(self):
        """All tasks of its request are cancelled."""
        self.backend.script = lambda body: ["a", 30, "b"]
        stream = self.stream(n=4)
        wait_until(lambda: [task["state"] for task in self.tasks()] == ["running"] * 4, what="all four run")
        stream.response.close()
        stream.connection.close()
        wait_until(lambda: {task["state"] for task in self.tasks()} == {"cancelled"}, what="all are cancelled")


def call(index=0, **function):
    """A piece of a tool call."""
    named = {"id": f"c{index}", "type": "function"} if "name" in function else {}
    return {"tool_calls": [{"index": index, **named, "function": function}]}


class ToolCalls(EndpointCase):
    def script_step_by_step(self, steps):
        """Each step is sent when the client has received as many pieces as there were steps before it."""
        self.received = [threading.Event() for _ in steps]
        self.in_time = []

        def script(_):
            for number, step in enumerate(steps):
                if number > 0:
                    self.in_time.append(self.received[number - 1].wait(10))
                yield dict(step)

        self.backend.script = script

    def note_received(self, count):
        for event in self.received[:count]:
            event.set()

    def test_arguments_arrive_while_the_model_writes_them(self):
        """As OpenAI streams them: a call without arguments, then pieces of them, each before the next one is there."""
        self.script_step_by_step([
            call(name="heat", arguments=""), call(arguments='{"room":'), call(arguments='"attic"}'),
            call(1, name="light", arguments=""), {**call(1, arguments="{}"), "finish_reason": "tool_calls"}])
        stream = self.stream()
        stream.rest(on_event=lambda: self.note_received(len(stream.calls()[0])))
        self.assertEqual(self.in_time, [True] * 4)
        self.assertTrue(stream.done)
        pieces, arguments = stream.calls()
        self.assertEqual(pieces[0], {"index": 0, "id": "c0", "type": "function",
                                     "function": {"name": "heat", "arguments": ""}})
        self.assertEqual(pieces[1], {"index": 0, "function": {"arguments": '{"room":'}})
        self.assertEqual((len(pieces), arguments), (5, ['{"room":"attic"}', "{}"]))
        self.assertEqual(stream.choices(0)[-1]["finish_reason"], "tool_calls")

    def test_a_function_call_arrives_while_the_model_writes_it(self):
        """A client of the first form of tools gets it in that form."""
        self.script_step_by_step([call(name="heat", arguments=""), call(arguments='{"room":'),
                                  {**call(arguments='"attic"}'), "finish_reason": "tool_calls"}])
        stream = self.stream(functions=[TOOL])

        def calls():
            return [choice["delta"]["function_call"] for choice in stream.choices(0) if "function_call" in choice["delta"]]

        stream.rest(on_event=lambda: self.note_received(len(calls())))
        self.assertEqual(self.in_time, [True] * 2)
        self.assertEqual(calls(), [{"name": "heat", "arguments": ""}, {"arguments": '{"room":'}, {"arguments": '"attic"}'}])
        self.assertEqual(stream.choices(0)[-1]["finish_reason"], "function_call")

    def stream_over_two_agents(self, second):
        """The agent dies when the client has half of the arguments; `second` is the answer to its successor."""
        over = threading.Event()
        self.addCleanup(over.set)

        def first():
            yield call(name="heat", arguments="")
            yield call(arguments='{"room":')
            over.wait(60)

        self.backend.script = lambda body: first() if len(self.backend.asked) == 1 else [dict(step) for step in second]
        stream = self.stream()

        def lose_the_agent():
            if stream.calls()[1] == ['{"room":'] and self.fleet.agents["pi-1"].alive():
                self.fleet.start_agent("pi-2", toml=self.backend.table())
                self.in_service("pi-2")
                self.fleet.agents["pi-1"].kill()

        return stream.rest(on_event=lose_the_agent)

    def test_an_agent_that_dies_in_the_middle_of_a_call(self):
        """Its successor continues the same call, although it has another id and other pieces."""
        named = {"tool_calls": [{"index": 0, "id": "new", "function": {"name": "heat", "arguments": '{"r'}}]}
        stream = self.stream_over_two_agents([named, {**call(arguments='oom":"attic"}'), "finish_reason": "tool_calls"}])
        self.assertTrue(stream.done, stream.events)
        pieces, arguments = stream.calls()
        self.assertEqual(arguments, ['{"room":"attic"}'])
        self.assertEqual([piece["id"] for piece in pieces if "id" in piece], ["c0"])

    def assert_changed(self, second):
        stream = self.stream_over_two_agents(second)
        self.assertEqual(stream.events[-1]["error"]["code"], "answer_changed")
        self.assertFalse(stream.done)
        self.assertEqual(stream.calls()[1], ['{"room":'])

    def test_a_successor_that_makes_another_call(self):
        """The stream ends with an error: never two halves of different calls."""
        self.assert_changed([{**call(name="heat", arguments='{"floor":1}'), "finish_reason": "tool_calls"}])

    def test_a_successor_that_makes_no_call(self):
        """The stream ends with an error: the call that has begun is not given up in silence."""
        self.assert_changed([{"content": "It is 21 degrees"}])


class Fields(EndpointCase):
    def test_functions(self):
        """A client of the first form of tools is answered in that form."""
        self.backend.script = lambda body: [dict(CALL)] if len(body["messages"]) == 1 else ["It is 21 degrees"]
        body = {"functions": [TOOL], "function_call": "auto"}
        whole = self.ask(body)["choices"][0]
        self.assertEqual(whole["message"]["function_call"], {"name": "heat", "arguments": '{"room":"attic"}'})
        self.assertEqual(whole["finish_reason"], "function_call")
        self.assertEqual(self.backend.asked[-1]["tools"], [{"type": "function", "function": TOOL}])
        stream = self.stream(**body).rest()
        calls = [choice["delta"]["function_call"] for choice in stream.choices(0) if "function_call" in choice["delta"]]
        self.assertEqual("".join(call["arguments"] for call in calls), '{"room":"attic"}')
        messages = [*QUESTION["messages"], whole["message"], {"role": "function", "name": "heat", "content": "21"}]
        answer = self.ask(body, messages=messages)
        self.assertEqual(answer["choices"][0]["message"]["content"], "It is 21 degrees")
        tool = self.backend.asked[-1]["messages"][2]
        self.assertEqual((tool["role"], tool["tool_call_id"]),
                         ("tool", self.backend.asked[-1]["messages"][1]["tool_calls"][0]["id"]))

    def test_a_picture_for_a_model_that_reads_only_text(self):
        """It is the client's mistake: 400 after one attempt."""
        for words in ("image input is not supported - hint: you may need to provide the mmproj",
                      "this model is missing data required for image input", "scripted is not a multimodal model"):
            self.backend.script = lambda body, words=words: (500, words)
            error = self.ask(messages=[{"role": "user", "content": [PICTURE]}], status=400)["error"]
            self.assertIn(words, error["message"])
            self.assertEqual(error["code"], "unsupported_parameter")
            self.assertEqual(self.api.task(self.tasks()[0]["id"])["attempts"][-1]["n"], 1)

    def test_tokens(self):
        """Arrays of tokens are refused by name."""
        self.assertIn("`prompt`", self.ask({"prompt": [1, 2]}, "/v1/completions", status=400)["error"]["message"])
        self.assertIn("`input`", self.ask({"input": [[1, 2]]}, "/v1/embeddings", status=400)["error"]["message"])


class Embeddings(EndpointCase):
    def test_a_long_list(self):
        """It is split over tasks and joined in order, on several agents; the counts are added up."""
        self.fleet.start_agent("pi-2", toml=self.backend.table())
        self.in_service("pi-2")
        texts = ["x" * (index % 50) for index in range(100)]
        answer = self.ask({"input": texts}, "/v1/embeddings")
        self.assertEqual([one["index"] for one in answer["data"]], list(range(100)))
        self.assertEqual([one["embedding"][0] for one in answer["data"]], [len(text) for text in texts])
        self.assertEqual(answer["usage"]["prompt_tokens"], 100)
        self.assertTrue(answer["id"].startswith("embd-"))
        self.assertEqual({len(body["input"]) for body in self.backend.asked}, {8, 4})
        self.assertEqual(len(self.tasks()), 13)

    def test_a_part_that_fails(self):
        """Then the request fails, and no task of it is left."""
        self.backend.embed = lambda body: (400, "too odd") if "odd" in body["input"] else None
        error = self.ask({"input": ["x"] * 50 + ["odd"] + ["x"] * 49}, "/v1/embeddings", status=400)["error"]
        self.assertIn("too odd", error["message"])
        wait_until(lambda: all(task["state"] in ("succeeded", "failed", "cancelled") for task in self.tasks()),
                   what="no task is left")


class Models(EndpointCase):
    COORDINATOR = None
    ALIASES = {"fast": ["nobody-has-it", "tinyllama"]}
    MODELS = ("tinyllama:latest", "tinyllama:1b")

    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-2", toml=self.backend.table("ollama"))
        self.in_service("pi-2")

    def test_names(self):
        """A model is found with and without its provider and `:latest`."""
        owner = self.api.good("GET", "/v1/models/tinyllama")["owned_by"]
        for name in ("tinyllama:latest", "tinyllama", f"{owner}/tinyllama", f"{owner}%2Ftinyllama:latest"):
            self.assertEqual(self.api.good("GET", f"/v1/models/{name}")["id"], "tinyllama:latest")
        self.assertEqual(self.api.good("GET", "/v1/models/fast")["owned_by"], "alias")
        missing = self.api.get("/v1/models/tiny")
        self.assertEqual(missing.status, 404)
        self.assertIn("tinyllama:1b", missing.body["error"]["message"])

    def test_a_name_without_its_tag_is_answered(self):
        """The back end gets the name that it lists, whatever its kind."""
        self.api.good("POST", "/api/v1/agents/pi-2/drain")
        for name in ("tinyllama", "openai/tinyllama", "fast"):
            self.assertEqual(self.ask(model=name)["choices"][0]["message"]["content"], "Hello")
        self.assertEqual({body["model"] for body in self.backend.asked}, {"tinyllama:latest"})


class Alias(EndpointCase):
    COORDINATOR = None
    ALIASES = {"any": ["ollama/plain", "scripted"], "eyes": ["blind", "scripted"]}
    MODELS = ("scripted", "blind")
    SCRIPT = staticmethod(lambda body: (500, "image input is not supported") if body["model"] == "blind" else ["I see"])

    def setUp(self):
        super().setUp()
        other = self.scripted(self.SCRIPT, ("plain",))
        self.fleet.start_agent("pi-2", toml=other.table("ollama"))
        self.in_service("pi-2")

    def test_a_field_that_one_provider_refuses(self):
        """The next model of the alias answers, whole and streamed; without an alias it is the client's mistake."""
        refused = self.ask(model="plain", logprobs=True, status=400)["error"]
        self.assertIn("`logprobs` is not supported by ollama", refused["message"])
        self.assertEqual(self.ask(model="any", logprobs=True)["choices"][0]["message"]["content"], "I see")
        self.assertEqual(self.stream(model="any", logprobs=True).rest().texts(), ["I see"])

    def test_a_picture_that_one_model_cannot_read(self):
        """The next model of the alias answers, and for n choices it answers all of them."""
        messages = [{"role": "user", "content": [PICTURE]}]
        answer = self.ask(model="eyes", messages=messages, n=2)
        self.assertEqual([one["message"]["content"] for one in answer["choices"]], ["I see"] * 2)
        self.assertLessEqual({"scripted"}, {body["model"] for body in self.backend.asked})

    def test_a_wrong_request_is_not_tried_elsewhere(self):
        """A request that no model can serve has one task."""
        self.ask(model="any", messages=[{"content": "x"}], status=400)
        self.assertEqual(len(self.tasks()), 1)

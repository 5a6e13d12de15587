"""A back end that answers as the test wants, byte by byte, behind an agent: what its answers become, and what it gets."""

import http.server
import itertools
import json
import pathlib
import threading

from support import SANITIZED, FleetCase, wait_until


def event(**choice):
    return "data: " + json.dumps({"choices": [{"index": 0, **choice}]}) + "\n\n"


def delta(**members):
    return event(delta=members)


def call(**members):
    return delta(tool_calls=[members])


STOP = event(delta={}, finish_reason="stop")
END = STOP + "data: [DONE]\n\n"


class Scripted:
    """An OpenAI-compatible server on the loopback interface. `answer` is a body, or the pieces of one; a number among them
    is a pause in seconds, which ends early with the test."""

    def __init__(self):
        self.answer = ""
        self.content_type = "text/event-stream"
        self.models = {"data": [{"id": "tiny"}]}
        self.requests = []
        self.over = threading.Event()
        standin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):  # noqa: N802
                self.send(json.dumps(standin.models).encode(), "application/json")

            def do_POST(self):  # noqa: N802
                standin.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
                if isinstance(standin.answer, str):
                    return self.send(standin.answer.encode(), standin.content_type)
                return self.stream()

            def send(self, data, content_type):
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def stream(self):
                self.send_response(200)
                self.send_header("Content-Type", standin.content_type)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    for piece in standin.answer:
                        if not isinstance(piece, str):
                            standin.over.wait(piece)
                            continue
                        data = piece.encode()
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    self.close_connection = True

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Shapes(FleetCase):
    def setUp(self):
        super().setUp()
        self.backend = Scripted()
        self.addCleanup(self.backend.close)
        self.agent = self.fleet.start_agent(
            "pi-1", toml=f'[[llm]]\nprovider = "openai"\nurl = "{self.backend.url}"\nrefresh_s = 1\ntoken_timeout_s = 1\n')
        wait_until(lambda: (self.api.agent("pi-1")["executors"] or [{}])[0].get("models"), what="the back end is looked at")

    def outcome(self, answer, model="tiny", **more):
        self.backend.answer = answer
        question = {"model": model, "messages": [{"role": "user", "content": "?"}], **more}
        return self.api.outcome(self.api.submit("llm.chat", question))

    def choice(self, answer, **more):
        task = self.outcome(answer, **more)
        self.assertEqual(task["state"], "succeeded", task)
        return task["output"]["choices"][0]

    def failed(self, answer, code, words, attempts, **more):
        task = self.outcome(answer, **more)
        self.assertEqual((task["state"], task["error"]["code"]), ("failed", code), task)
        self.assertIn(words, task["error"]["message"])
        self.assertEqual(len(task["attempts"]), attempts, task["attempts"])

    def test_answers(self):
        """An answer in a shape of its own reaches the client whole, whatever its pieces are."""
        message = self.choice("\ufeff" + delta(reasoning="hm", reasoning_content="hm") + delta(content="a\ud83d") +
                              delta(content="\ude00") + delta(refusal="no", annotations=[{"z": 1, "a": 2}]) + END)["message"]
        self.assertEqual(message, {"role": "assistant", "content": "a\U0001f600", "reasoning_content": "hm", "refusal": "no",
                                   "annotations": [{"z": 1, "a": 2}]})
        self.assertEqual(self.choice(delta(content=[{"type": "text", "text": "Hi"}]) + END)["message"]["content"], "Hi")
        logprobs = event(delta={"content": "x"}, logprobs={"content": [{"token": "x", "logprob": -1}]})
        self.assertEqual(len(self.choice(logprobs * 2 + END)["logprobs"]["content"]), 2)
        self.backend.content_type = "application/json"
        whole = {"choices": [{"message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}]}
        self.assertEqual(self.choice(json.dumps(whole, indent=1))["message"]["content"], "whole")

    def test_calls(self):
        """Calls that the back end does not number are told apart, and their ids differ from those of earlier turns."""
        answer = (call(index=0, id="call_0", function={"name": "f", "arguments": ""}) +
                  call(index=0, function={"arguments": '{"n":1}'}) +
                  call(index=0, id="call_0", function={"name": "g", "arguments": None}) + END)
        first = self.choice(answer)["message"]["tool_calls"]
        self.assertEqual([(one["function"]["name"], one["function"]["arguments"]) for one in first],
                         [("f", '{"n":1}'), ("g", "{}")])
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": first},
                    *({"role": "tool", "tool_call_id": one["id"], "content": "1"} for one in first)]
        second = self.choice(answer, messages=messages)["message"]["tool_calls"]
        ids = [one["id"] for one in first + second]
        self.assertEqual(len(set(ids)), 4, ids)

    def test_names_in_fragments(self):
        """A name in several pieces is one, as the functions of the request show; else two names are two calls."""
        tools = [{"type": "function", "function": {"name": name}} for name in ("get_weather", "get_time")]

        def names(*pieces):
            answer = "".join(call(**{"index": 0, **piece}) for piece in pieces) + END
            return [one["function"]["name"] for one in self.choice(answer, tools=tools)["message"]["tool_calls"]]

        begin = {"id": "a", "function": {"name": "get_", "arguments": ""}}
        arguments = {"function": {"arguments": "{}"}}
        self.assertEqual(names(begin, {"function": {"name": "weather"}}, arguments), ["get_weather"])
        self.assertEqual(names(begin, {"id": "a", "function": {"name": "get_weather"}}, arguments), ["get_weather"])
        at_once = [{**begin, "index": n, "id": str(n)} for n in range(2)]
        at_once += [{"index": n, "function": {"name": name}} for n, name in enumerate(("weather", "time"))]
        self.assertEqual(names(*at_once, arguments), ["get_weather", "get_time"])
        self.assertEqual(names(*({"function": {"name": name}} for name in ("get_weather", "get_time"))),
                         ["get_weather", "get_time"])

    def test_fields_beside_the_choices(self):
        """What a back end says beside its choices reaches the client, whole and streamed, and byte for byte."""
        piece = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "of the back end", "citations": ["a"],
                 "choices": [{"delta": {"content": "Hi"}}]}
        end = '{"choices":[{"delta":{},"finish_reason":"stop"}],"citations":["a",1.50],"system_fingerprint":"fp"}'
        self.backend.answer = "data: " + json.dumps(piece) + "\n\ndata: " + end + "\n\ndata: [DONE]\n\n"
        question = {"model": "tiny", "messages": [{"role": "user", "content": "?"}]}
        passed = '"citations":["a",1.50],"system_fingerprint":"fp"'
        whole = self.api.post("/v1/chat/completions", question)
        self.assertEqual((whole.body.get("citations"), whole.body.get("system_fingerprint")), (["a", 1.5], "fp"))
        self.assertEqual(whole.body["model"], "tiny")
        streamed = self.api.post("/v1/chat/completions", {**question, "stream": True}).body.decode()
        self.assertEqual(streamed.count(passed), 1, streamed)
        self.assertEqual(self.outcome(self.backend.answer)["output"].get("citations"), ["a", 1.5])

    def test_failures(self):
        """What a back end says reaches the user, and what cannot succeed is not tried again."""
        self.failed(json.dumps({"detail": [{"loc": ["body", "top_k"], "msg": "must be positive"}]}), "invalid_input",
                    "body.top_k: must be positive", 1)
        self.failed("data: " + json.dumps({"object": "error", "message": "no such thing", "code": 40001}) + "\n\n",
                    "invalid_input", "no such thing", 1)
        self.failed("event: error\ndata: " + json.dumps({"message": "bad grammar", "code": 400}) + "\n\n", "invalid_input",
                    "bad grammar", 1)
        for refused in ({"code": 400, "msg": "bad grammar"}, {"error": "bad grammar", "statusCode": 400},
                        {"error": {"message": "bad grammar"}, "type": "invalid_request_error"},
                        {"detail": {"error": {"message": "bad grammar", "code": 422}}},
                        {"errors": {"message": "bad grammar", "code": 400}},
                        {"code": 400, "choices": [], "message": "bad grammar"},
                        {"error": json.dumps({"error": {"message": "bad grammar", "code": 400}})}):
            self.failed(json.dumps(refused), "invalid_input", "bad grammar", 1)
        self.failed(json.dumps({"error": "bad grammar"}), "backend_error", "bad grammar", 3)
        self.failed(delta(content={"of": "another type"}) + END, "unsupported_answer", "content", 1)
        self.failed(delta(content="x") + event(index=1, delta={"content": "y"}) + END, "unsupported_answer", "choice", 1)
        no_error = "data: " + json.dumps({"choices": [{"delta": {"content": "x"}}], "error": {"code": 0}}) + "\n\n"
        self.assertEqual(self.choice(no_error + END)["message"]["content"], "x")

    def test_an_answer_that_takes_long(self):
        """A finish reason with every piece does not end an answer that goes on: it is whole, or an error."""
        piece = event(delta={"content": "x"}, finish_reason="stop")
        self.assertEqual(self.choice([piece, 0.3, piece, 0.3, piece, "data: [DONE]\n\n"])["message"]["content"], "xxx")
        task = self.outcome([piece, 30, piece])
        self.assertEqual((task["state"], task["error"]["code"]), ("failed", "backend_timed_out"), task)
        # One that comes alone is the end, even if the back end keeps the connection open.
        self.assertEqual(self.choice([delta(content="x"), STOP, 30])["message"]["content"], "x")

    def test_another_model(self):
        """The server would answer with the model that it has."""
        self.failed(delta(content="x") + END, "model_not_found", 'did you mean "tiny"?', 3, model="tinny")
        self.assertEqual(self.backend.requests, [])

    def test_lists_of_models(self):
        """A list of its own shape is read; an error in its place is the reason why the agent is out of service."""
        self.backend.models = {"detail": "the token has expired"}
        wait_until(lambda: "the token has expired" in self.api.agent("pi-1")["executors"][0].get("problem", ""))
        self.backend.models = [{"id": "other"}]
        wait_until(lambda: self.api.agent("pi-1")["executors"][0].get("models") == ["other"])

    def test_requests(self):
        """What the agent does not need to understand reaches the back end byte for byte."""
        self.backend.answer = delta(content="x") + END
        passed = (b'"seed":12345678901234567890123,"parallel_tool_calls":false,"cache_prompt":false,"min_p":1e400,'
                  b'"tools":[{"type":"function","function":{"name":"f","parameters":{"z":{},"a":1.50}}}]')
        question = b'{"model":"tiny","messages":[{"role":"user","content":"?"}],' + passed
        answer = self.api.request("POST", "/v1/chat/completions", question + b"}", headers={"Content-Type": "application/json"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.backend.requests,
                         [question + b',"stream":true,"stream_options":{"include_usage":true}}'])

    def test_large_questions_and_answers(self):
        """A session of a coding agent and a photograph, and an answer of a megabyte: whole, streamed, and as a task."""
        words = [f"word {n} " * 200 for n in range(500)]  # 1 MB
        self.backend.answer = [delta(content=word) for word in words] + [END]
        picture = "data:image/jpeg;base64," + "A" * 3_000_000
        question = {"model": "tiny", "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}]},
            {"role": "user", "content": "x" * 1_000_000}]}
        whole = self.api.post("/v1/chat/completions", question)
        self.assertEqual(whole.status, 200, whole.body)
        self.assertEqual(whole.body["choices"][0]["message"]["content"], "".join(words))
        self.assertEqual(json.loads(self.backend.requests[-1])["messages"], question["messages"])
        streamed = self.api.post("/v1/chat/completions", {**question, "stream": True})
        events = [line[6:] for line in streamed.body.decode().splitlines() if line.startswith("data: ")]
        self.assertEqual(events[-1], "[DONE]")
        pieces = [choice["delta"].get("content") or "" for one in events[:-1] for choice in json.loads(one)["choices"]]
        self.assertEqual("".join(pieces), "".join(words))
        task = self.api.outcome(self.api.submit("llm.chat", question))
        self.assertEqual(task["output"]["choices"][0]["message"]["content"], "".join(words))
        self.assertGreater(task["input_at"]["bytes"], 4_000_000)
        question["messages"][1]["content"] = "x" * (8 << 20)
        refused = self.api.post("/v1/chat/completions", question)
        self.assertEqual(refused.status, 413, refused.body)
        self.assertIn("--max-task-mb", refused.body["error"]["message"])

    def test_a_flood(self):
        """Log probabilities without end reach a bound, not the memory of the machine."""
        piece = event(delta={}, logprobs={"content": [{"token": "x" * 1000, "logprob": -1}] * 50})
        sent = itertools.count()

        def flood():
            while next(sent) < 10_000:  # 500 MB
                yield piece

        before = self.agent.resident_bytes()
        self.failed(flood(), "output_too_large", "ask for fewer tokens", 1)
        status = pathlib.Path(f"/proc/{self.agent.pid}/status").read_text()
        peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        if not SANITIZED:
            self.assertLess(peak - before, 3 * (8 << 20))
        self.assertLess(next(sent), 1000)

"""Text from a real llama-server, for all stand-ins.

The model of the tests is tiny and not trained for tools, so three features are arranged, always with its own tokens:
- a tool is called if it must be, or if the last message names it; the arguments are generated under its schema,
- thoughts are a first, short answer to the same prompt,
- strings and lists in a schema get a bound, because the model would not end them.
"""

import dataclasses
import http.client
import json
import time
import urllib.parse

from standins.server import Disconnected, Refused

LONGEST_STRING = 16
MOST_ITEMS = 3


@dataclasses.dataclass
class Wanted:
    messages: list = None  # in OpenAI's format, with content as text
    prompt: str = None  # instead of messages; passed unchanged
    params: dict = dataclasses.field(default_factory=dict)  # named as in llama-server
    schema: dict = None
    tools: dict = dataclasses.field(default_factory=dict)  # name: schema of the arguments
    tool: str = None  # the one to call, if any
    thoughts: int = 0  # maximum number of tokens


@dataclasses.dataclass
class Totals:
    prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_ms: float = 0
    tokens: int = 0
    thought_tokens: int = 0
    ms: float = 0
    reason: str = "stop"  # or length


class Backend:
    def __init__(self, url):
        place = urllib.parse.urlsplit(url)
        self.host, self.port = place.hostname, place.port
        self.known_ctx = None

    def connect(self, timeout=600):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, path, body=None):
        """A short request to the server itself."""
        connection = self.connect(60)
        try:
            connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return self.good(answer.status, answer.read())
        except OSError as why:
            raise Refused(502, f"llama-server cannot be reached: {why}") from why
        finally:
            connection.close()

    @staticmethod
    def good(status, data):
        try:
            body = json.loads(data)
        except ValueError:
            body = {}
        if status != 200:
            error = body.get("error", {})
            raise Refused(status, error.get("message", "the back end refuses") if isinstance(error, dict) else str(error))
        return body

    def context(self):
        """Tokens that fit, including the first token of the answer."""
        if self.known_ctx is None:
            self.known_ctx = self.ask("/props")["default_generation_settings"]["n_ctx"] - 1
        return self.known_ctx

    def tokens(self, text):
        return self.ask("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]

    def prompt_tokens(self, wanted):
        text = wanted.prompt
        if text is None:
            text = self.ask("/apply-template", {"messages": wanted.messages})["prompt"]
        return self.tokens(text)

    def embed(self, call, texts):
        """[vectors], tokens"""
        made = self.ask("/v1/embeddings", {"input": texts})
        tokens = made.get("usage", {}).get("prompt_tokens", 0)
        call.standin.count("prompt_tokens", tokens)
        return [one["embedding"] for one in made["data"]], tokens

    # ---- text

    def words(self, call, wanted, tokens, totals):
        """Yields ("thinking", text), ("text", text) and ("tool", name, arguments); afterwards the counts are in `totals`."""
        params = dict(wanted.params)
        most = params.get("n_predict", -1)
        if wanted.thoughts:
            thoughts = wanted.thoughts if most < 0 else min(wanted.thoughts, most)
            for text in self.generate(call, tokens, {**params, "n_predict": thoughts, "stop": []}, totals):
                yield ("thinking", text)
            totals.thought_tokens = totals.tokens
            if most >= 0:  # thoughts count
                params["n_predict"] = most - totals.tokens
                if params["n_predict"] <= 0:
                    totals.reason = "length"
                    return
        if wanted.tool:
            made = "".join(self.generate(call, tokens, {**params, "json_schema": bounded(wanted.tools[wanted.tool])},
                                         totals))
            try:
                yield ("tool", wanted.tool, json.loads(made))
            except ValueError:  # too few tokens were allowed
                yield ("text", made)
            return
        if wanted.schema is not None:
            params["json_schema"] = bounded(wanted.schema)
        for text in self.generate(call, tokens, params, totals):
            yield ("text", text)

    def generate(self, call, tokens, params, totals):
        settings = call.standin.settings
        body = {**params, "prompt": tokens, "stream": True, "cache_prompt": True}
        if settings["ignore_eos"] and "json_schema" not in params:
            body["ignore_eos"] = True
        connection = self.connect()
        call.backend = connection
        try:
            connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                self.good(answer.status, answer.read())
            for line in answer:
                if not line.startswith(b"data: "):
                    continue
                piece = json.loads(line[6:])
                if "error" in piece:
                    raise Refused(500, piece["error"].get("message", "the back end ended the answer"))
                if piece.get("stop"):
                    self.add_up(call, piece, totals)
                if piece.get("content"):
                    yield piece["content"]
                    if settings["token_ms"]:
                        call.wait(settings["token_ms"] / 1000)
        except (OSError, http.client.HTTPException, ValueError) as why:
            if call.disconnected.is_set():
                raise Disconnected from why
            raise Refused(500, f"llama runner process has terminated: {why}") from why
        finally:
            call.backend = None
            connection.close()
        if call.disconnected.is_set():
            raise Disconnected

    @staticmethod
    def add_up(call, piece, totals):
        timings = piece.get("timings", {})
        read, cached = timings.get("prompt_n", 0), timings.get("cache_n", 0)
        totals.prompt_tokens = read + cached
        totals.cached_tokens = cached
        totals.prompt_ms += timings.get("prompt_ms", 0)
        totals.tokens += timings.get("predicted_n", 0)
        totals.ms += timings.get("predicted_ms", 0)
        totals.reason = "length" if piece.get("stop_type") == "limit" else "stop"
        call.standin.count("prompt_tokens", read + cached)
        call.standin.count("prompt_tokens_read", read)
        call.standin.count("tokens", timings.get("predicted_n", 0))


def bounded(schema):
    """The same schema, with a maximum length for every string and list."""
    if isinstance(schema, list):
        return [bounded(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: bounded(value) for key, value in schema.items()}
    kind = schema.get("type")
    if kind == "string" and not {"enum", "const", "pattern", "format"} & set(schema):
        made["maxLength"] = min(LONGEST_STRING, schema.get("maxLength", LONGEST_STRING))
    if kind == "array":
        made["maxItems"] = min(MOST_ITEMS, schema.get("maxItems", MOST_ITEMS))
    if kind == "integer" and not {"enum", "const", "maximum"} & set(schema):
        made.update(minimum=schema.get("minimum", 0), maximum=999)
    if kind == "object" and "properties" not in schema:
        made.update(properties={"answer": {"type": "string", "maxLength": LONGEST_STRING}}, required=["answer"])
    elif kind == "object" and "required" not in schema:
        made["required"] = list(schema["properties"])
    return made


def chosen_tool(tools, messages, must=False):
    """The tool to call: the one that the last message names, or any tool if a call is required."""
    last = messages[-1] if messages else {}
    if last.get("role") in ("user", "model"):
        for name in tools:
            if name in (last.get("content") or ""):
                return name
    return next(iter(tools), None) if must else None


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000Z"

"""Ollama's own API. Facts: ollama/ollama, server/routes.go, server/prompt.go, server/sched.go, api/types.go."""

import json
import random
import string
import time
import types

from standins.ollama_models import Models
from standins.server import Provider, Refused
from standins.words import Totals, Wanted, chosen_tool, now

TOO_LONG = "the input length exceeds the context length"
KEPT = 4  # tokens that stay at the beginning when a message itself is cut (num_keep)
# Ollama's name: llama-server's. Options that are not listed are accepted by Ollama and have no effect on this model.
OPTIONS = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p", "seed": "seed",
           "repeat_penalty": "repeat_penalty", "presence_penalty": "presence_penalty",
           "frequency_penalty": "frequency_penalty", "stop": "stop", "num_predict": "n_predict"}


class Ollama(Provider):
    name = "ollama"

    def __init__(self, backend, options):
        self.backend = backend
        self.models = Models(self, options)

    def routes(self):
        return [
            ("GET", "/", "list", self.alive), ("HEAD", "/", "list", self.alive),
            ("GET", "/api/version", "list", lambda call: call.json(200, {"version": "0.12.6"})),
            ("GET", "/api/tags", "list", self.models.tags), ("GET", "/api/ps", "list", self.models.ps),
            ("POST", "/api/show", "list", self.models.show), ("DELETE", "/api/delete", "manage", self.models.delete),
            ("POST", "/api/pull", "pull", self.models.pull),
            ("GET", "/v2/(.+)/manifests/([^/]+)", "registry", self.models.manifest),
            ("POST", "/api/chat", "infer", self.chat), ("POST", "/api/generate", "infer", self.generate),
            ("POST", "/api/embed", "infer", self.embed)]

    @staticmethod
    def alive(call):
        call.raw(200, b"Ollama is running", "text/plain; charset=utf-8")

    def frame(self, value):
        return (value if isinstance(value, str) else json.dumps(value)).encode() + b"\n"

    def error(self, refused):
        return {"error": refused.message}

    @staticmethod
    def words_for(status):
        return {503: "server busy, please try again.  maximum pending requests exceeded", 401: "unauthorized",
                500: "llama runner process has terminated: exit status 2", 429: "too many requests"}.get(
                    status, Provider.words_for(status))

    # ---- chat and generate

    def chat(self, call):
        body = call.body
        messages = [self.message(one) for one in body.get("messages") or []]
        tools = self.tools_of(body.get("tools") or [])
        wanted = Wanted(messages=messages, params=self.params(body), schema=self.schema_of(body.get("format")), tools=tools,
                        tool=chosen_tool(tools, messages))
        self.run(call, wanted, "chat", empty=not messages)

    def generate(self, call):
        body = call.body
        prompt = body.get("prompt") or ""
        messages = [{"role": "user", "content": prompt}]
        if body.get("system"):
            messages.insert(0, {"role": "system", "content": body["system"]})
        if body.get("suffix"):
            raise Refused(400, f'registry.ollama.ai/library/{body.get("model")} does not support insert')
        wanted = Wanted(params=self.params(body), schema=self.schema_of(body.get("format")))
        if body.get("raw"):
            wanted.prompt = prompt
        else:
            wanted.messages = messages
        self.run(call, wanted, "generate", empty=not prompt)

    def run(self, call, wanted, shape, empty):
        body = call.body
        model = self.models.wanted(body)
        if empty and body.get("keep_alive") in (0, "0", "0s"):
            self.models.unload(model)
            return call.json(200, self.said(body, shape, "", done=True, done_reason="unload"))
        wanted.thoughts = self.thoughts(body, model)
        with self.models.use(call, model, body) as loaded:
            if empty:
                return call.json(200, self.said(body, shape, "", done=True, done_reason="load"))
            tokens = self.fit(wanted, loaded.num_ctx, body)
            if body.get("shift") is False:  # otherwise the oldest tokens are dropped and generation continues
                room = max(1, loaded.num_ctx - len(tokens))
                asked = wanted.params.get("n_predict", -1)
                wanted.params["n_predict"] = room if asked < 0 else min(asked, room)
            return self.send_answer(call, wanted, shape, tokens, loaded)

    def send_answer(self, call, wanted, shape, tokens, loaded):
        totals = Totals()
        whole = types.SimpleNamespace(text="", thinking="", calls=[])
        streaming = call.body.get("stream") is not False
        for kind, *what in self.backend.words(call, wanted, tokens, totals):
            piece = self.piece(call.body, shape, kind, what, whole)
            if streaming:
                if not call.started:
                    call.begin("application/x-ndjson")
                call.piece(piece)
        last = {"done": True, "done_reason": totals.reason, "total_duration": self.ns(time.monotonic() - call.began),
                "load_duration": self.ns(loaded.load_s), "prompt_eval_count": len(tokens),
                "prompt_eval_duration": self.ns(totals.prompt_ms / 1000), "eval_count": totals.tokens,
                "eval_duration": self.ns(totals.ms / 1000)}
        if not streaming:
            made = self.said(call.body, shape, whole.text, whole.thinking, whole.calls)
            return call.whole({**made, **last})
        if not call.started:
            call.begin("application/x-ndjson")
        call.piece({**self.said(call.body, shape, ""), **last})
        return call.end()

    def piece(self, body, shape, kind, what, whole):
        if kind == "thinking":
            whole.thinking += what[0]
            return self.said(body, shape, "", what[0])
        if kind == "tool":
            made = {"id": "call_" + "".join(random.choices(string.ascii_lowercase + string.digits, k=8)),
                    "function": {"index": 0, "name": what[0], "arguments": what[1]}}
            whole.calls.append(made)
            return self.said(body, shape, "", calls=[made])
        whole.text += what[0]
        return self.said(body, shape, what[0])

    @staticmethod
    def said(body, shape, text, thinking="", calls=(), **more):
        made = {"model": body.get("model"), "created_at": now()}
        if shape == "generate":
            made["response"] = text
            if thinking:
                made["thinking"] = thinking
        else:
            made["message"] = {"role": "assistant", "content": text}
            if thinking:
                made["message"]["thinking"] = thinking
            if calls:
                made["message"]["tool_calls"] = list(calls)
        return {**made, "done": False, **more}

    @staticmethod
    def ns(seconds):
        return int(seconds * 1e9)

    # ---- the request

    @staticmethod
    def message(given):
        if not isinstance(given, dict) or not isinstance(given.get("content", ""), str):
            raise Refused(400, "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string")
        if given.get("role") not in ("system", "user", "assistant", "tool"):
            raise Refused(400, f'invalid role: "{given.get("role")}"')
        for one in given.get("tool_calls") or []:
            if not isinstance(one.get("function", {}).get("arguments"), dict):
                raise Refused(400, "json: cannot unmarshal string into Go struct field .arguments of type map[string]any")
        content = given.get("content") or " ".join(json.dumps(one) for one in given.get("tool_calls") or [])
        return {"role": "user" if given["role"] == "tool" else given["role"], "content": content}

    @staticmethod
    def tools_of(tools):
        return {one["function"]["name"]: one["function"].get("parameters") or {"type": "object"} for one in tools}

    @staticmethod
    def params(body):
        options = body.get("options") or {}
        for name, value in options.items():
            if name in ("num_ctx", "num_predict", "seed", "top_k", "num_thread") and not isinstance(value, int):
                raise Refused(400, f'option "{name}" must be of type integer')
        params = {theirs: options[ours] for ours, theirs in OPTIONS.items() if ours in options}
        if "stop" in params and not isinstance(params["stop"], list):
            raise Refused(400, 'option "stop" must be of type array')
        return params

    @staticmethod
    def schema_of(given):
        if given in (None, ""):
            return None
        if given == "json":
            return {"type": "object"}
        if isinstance(given, dict):
            return given
        raise Refused(400, f'invalid format: "{given}"; expected "json" or a valid JSON Schema object')

    @staticmethod
    def thoughts(body, model):
        thinks = "r1" in model
        if body.get("think") and not thinks:
            raise Refused(400, f'"{body.get("model")}" does not support thinking')
        return 12 if thinks and body.get("think") is not False else 0

    def fit(self, wanted, num_ctx, body):
        """The prompt's tokens. Text that does not fit is silently cut: first the oldest messages, except the system
        message and the last one, then the beginning of the rest."""
        tokens = self.backend.prompt_tokens(wanted)
        if len(tokens) <= num_ctx:
            return tokens
        if body.get("truncate") is False:
            raise Refused(400, TOO_LONG)
        while wanted.messages and len(tokens) > num_ctx:
            rest = [n for n, one in enumerate(wanted.messages[:-1]) if one["role"] != "system"]
            if not rest:
                break
            del wanted.messages[rest[0]]
            tokens = self.backend.prompt_tokens(wanted)
        if len(tokens) > num_ctx:
            tokens = tokens[:KEPT] + tokens[len(tokens) - num_ctx + KEPT:]
        return tokens

    # ---- embeddings

    def embed(self, call):
        body = call.body
        model = self.models.wanted(body)
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise Refused(400, "invalid input type")
        with self.models.use(call, model, body) as loaded:
            vectors, tokens = self.backend.embed(call, texts) if texts else ([], 0)
            size = body.get("dimensions") or 0
            if size:
                vectors = [self.shortened(one, size) for one in vectors]
            call.whole({"model": body["model"], "embeddings": vectors, "prompt_eval_count": tokens,
                        "total_duration": self.ns(time.monotonic() - call.began), "load_duration": self.ns(loaded.load_s)})

    @staticmethod
    def shortened(vector, size):
        vector = vector[:size]
        length = sum(x * x for x in vector) ** 0.5 or 1
        return [x / length for x in vector]

"""Groq's API: OpenAI's chat completions with its own limits and times.

Facts: console.groq.com/docs (openai, rate-limits, errors, reasoning, structured-outputs), the types of groq-sdk.
"""

import json
import time
import uuid

from standins.cloud import Cloud
from standins.server import Provider, Refused
from standins.words import Totals, Wanted, chosen_tool

FIELDS = {"model", "messages", "temperature", "top_p", "stop", "seed", "max_tokens", "max_completion_tokens", "stream",
          "stream_options", "response_format", "tools", "tool_choice", "parallel_tool_calls", "presence_penalty",
          "frequency_penalty", "user", "n", "service_tier", "reasoning_effort", "reasoning_format", "include_reasoning",
          "functions", "function_call", "metadata", "store", "disable_tool_validation", "documents", "citation_options",
          "compound_custom", "exclude_domains", "include_domains", "search_settings"}
UNSUPPORTED = ("logprobs", "logit_bias", "top_logprobs")
TOKENS_A_MINUTE = 131_072


class Groq(Cloud):
    name = "groq"

    def routes(self):
        return [("GET", "/openai/v1/models", "list", self.list),
                ("GET", "/openai/v1/models/(.+)", "list", lambda call, name: call.json(200, self.entry(self.known(name)))),
                ("POST", "/openai/v1/chat/completions", "infer", self.chat)]

    def frame(self, value):
        return b"data: " + (value if isinstance(value, str) else json.dumps(value)).encode() + b"\n\n"

    def headers(self, call):
        made = {"x-request-id": "req_" + uuid.uuid4().hex[:26]}
        if call.kind == "infer":
            left, reset = self.limit.left(self.standin.settings)
            made.update({"x-ratelimit-limit-requests": self.standin.settings["requests"],
                         "x-ratelimit-remaining-requests": left, "x-ratelimit-reset-requests": go_duration(reset),
                         "x-ratelimit-limit-tokens": TOKENS_A_MINUTE, "x-ratelimit-remaining-tokens": TOKENS_A_MINUTE - 100,
                         "x-ratelimit-reset-tokens": "45.776ms"})
        return made

    # ---- errors

    def error(self, refused):
        kinds = {400: ("invalid_request_error", None), 401: ("invalid_request_error", "invalid_api_key"),
                 403: ("permissions_error", "permission_denied"), 404: ("invalid_request_error", "model_not_found"),
                 413: ("tokens", "rate_limit_exceeded"), 429: ("requests", "rate_limit_exceeded"),
                 498: ("internal_server_error", "capacity_exceeded")}
        kind, code = kinds.get(refused.status, ("internal_server_error", None))
        error = {"message": refused.message, "type": kind}
        code = refused.more.get("code", code)
        if code:
            error["code"] = code
        return {"error": error}

    def error_headers(self, refused):
        after = refused.more.get("retry_after")
        return {} if after is None else {"retry-after": max(1, round(after))}

    @staticmethod
    def words_for(status):
        return {401: "Invalid API Key", 403: "Forbidden: this organization may not use this model",
                429: "Rate limit reached for model in organization on requests per minute (RPM): Limit 30, Used 30, Requested 1",
                498: "Flex tier capacity exceeded", 503: "Service Unavailable"}.get(status, Provider.words_for(status))

    def check(self, call):
        if call.headers.get("Authorization") != f"Bearer {self.key}":
            raise Refused(401, "Invalid API Key")
        if call.kind == "none":
            raise Refused(404, f"Unknown request URL: {call.handler.command} {call.path}. Please check the URL for typos, or "
                               "see the docs at https://console.groq.com/docs/", code="unknown_url")
        if call.kind != "infer":
            return
        wait = self.limit.take(self.standin.settings)
        if wait is not None:
            most = self.standin.settings["requests"]
            raise Refused(429, f"Rate limit reached for model `{call.body.get('model')}` in organization `org_1` service tier "
                               f"`on_demand` on requests per day (RPD): Limit {most}, Used {most}, Requested 1. Please try "
                               f"again in {go_duration(wait)}. Need more tokens? Upgrade to Dev Tier today at "
                               "https://console.groq.com/settings/billing", retry_after=wait)

    # ---- models

    def known(self, name):
        if name not in self.models:
            raise Refused(404, f"The model `{name}` does not exist or you do not have access to it.")
        return name

    @staticmethod
    def entry(name):
        return {"id": name, "object": "model", "created": 1733447754, "owned_by": "Meta", "active": True,
                "context_window": 131072, "public_apps": None, "max_completion_tokens": 32768}

    def list(self, call):
        call.json(200, {"object": "list", "data": [self.entry(name) for name in self.models]})

    # ---- chat

    def chat(self, call):
        body = call.body
        for field in body:
            if field in UNSUPPORTED and body[field] not in (None, False):
                raise Refused(400, f"`{field}` is not supported with this model")
            if field not in FIELDS and field not in UNSUPPORTED:
                raise Refused(400, f"property '{field}' is unsupported")
        if body.get("n") not in (None, 1):
            raise Refused(400, "'n' : number must be at most 1")
        self.known(body.get("model"))
        messages = [self.message(n, one) for n, one in enumerate(body.get("messages") or [])]
        if not messages:
            raise Refused(400, "'messages' : minimum number of items is 1")
        wanted = Wanted(messages=messages, params=self.params(body), schema=self.schema(body, messages))
        wanted.tools = {one["function"]["name"]: one["function"].get("parameters") or {"type": "object"}
                        for one in body.get("tools") or []}
        choice = body.get("tool_choice")
        if isinstance(choice, dict):
            wanted.tool = choice["function"]["name"]
        elif choice != "none":
            wanted.tool = chosen_tool(wanted.tools, messages, must=choice == "required")
        wanted.thoughts = self.thoughts(body)
        self.send_answer(call, wanted)

    @staticmethod
    def message(number, given):
        if given.get("name"):
            raise Refused(400, f"'messages.{number}' : for 'role:{given.get('role')}' the following must be satisfied"
                               f"[('messages.{number}' : property 'name' is unsupported)]")
        if given.get("role") not in ("system", "user", "assistant", "tool", "developer"):
            raise Refused(400, f"'messages.{number}' : discriminator property 'role' has invalid value")
        content = given.get("content")
        if isinstance(content, list):
            if any(part.get("type") != "text" for part in content):
                raise Refused(400, f"'messages.{number}.content' must be a string: this model reads no pictures")
            content = "".join(part["text"] for part in content)
        calls = " ".join(one["function"]["arguments"] for one in given.get("tool_calls") or [])
        role = {"developer": "system", "tool": "user"}.get(given["role"], given["role"])
        return {"role": role, "content": (content or "") + calls}

    @staticmethod
    def params(body):
        params = {name: body[name] for name in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
                  if body.get(name) is not None}
        if params.get("temperature", 0) > 2:
            raise Refused(400, "'temperature' : number must be at most 2")
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        if most is not None:
            params["n_predict"] = most
        stop = body.get("stop")
        if stop:
            params["stop"] = [stop] if isinstance(stop, str) else stop
            if len(params["stop"]) > 4:
                raise Refused(400, "'stop' : maximum number of items is 4")
        return params

    @staticmethod
    def schema(body, messages):
        given = body.get("response_format") or {}
        kind = given.get("type", "text")
        if kind == "json_object":
            if not any("json" in one["content"].lower() for one in messages):
                raise Refused(400, "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                                   "'json_object'.")
            return {"type": "object"}
        if kind == "json_schema":
            if "gpt-oss" not in body["model"]:
                raise Refused(400, "This model does not support response format `json_schema`. See supported models at "
                                   "https://console.groq.com/docs/structured-outputs#supported-models")
            return given["json_schema"]["schema"]
        return None

    @staticmethod
    def thoughts(body):
        thinks = "gpt-oss" in body["model"]
        effort = body.get("reasoning_effort")
        if effort and not thinks:
            raise Refused(400, "`reasoning_effort` is not supported with this model")
        if effort not in (None, "low", "medium", "high"):
            raise Refused(400, "`reasoning_effort` must be one of `low`, `medium`, or `high`")
        return {"low": 6, "medium": 12, "high": 18}[effort or "medium"] if thinks else 0

    def send_answer(self, call, wanted):
        totals = Totals()
        tokens = self.backend.prompt_tokens(wanted)
        if len(tokens) > self.backend.context():
            raise Refused(400, "Please reduce the length of the messages or completion.", code="context_length_exceeded")
        stream = Stream(call, call.body["model"], self) if call.body.get("stream") else None
        message = {"role": "assistant", "content": None}
        for kind, *what in self.backend.words(call, wanted, tokens, totals):
            if kind == "tool":
                delta = {"tool_calls": [{"id": "call_" + uuid.uuid4().hex[:24], "type": "function", "index": 0,
                                         "function": {"name": what[0], "arguments": json.dumps(what[1])}}]}
                message["tool_calls"] = [{k: v for k, v in delta["tool_calls"][0].items() if k != "index"}]
            else:
                field = "reasoning" if kind == "thinking" else "content"
                delta = {field: what[0]}
                message[field] = (message.get(field) or "") + what[0]
            if stream:
                stream.piece(delta)
        reason = "tool_calls" if "tool_calls" in message else totals.reason
        usage = self.usage(totals, call)
        if stream:
            return stream.finish(reason, usage)
        return call.whole({"id": "chatcmpl-" + str(uuid.uuid4()), "object": "chat.completion", "created": int(time.time()),
                           "model": call.body["model"], "system_fingerprint": "fp_standin",
                           "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
                           "usage": usage, "usage_breakdown": None, "x_groq": {"id": "req_" + uuid.uuid4().hex[:26]},
                           "service_tier": "on_demand"})

    @staticmethod
    def usage(totals, call):
        made = {"queue_time": 0.0, "prompt_tokens": totals.prompt_tokens, "prompt_time": totals.prompt_ms / 1000,
                "completion_tokens": totals.tokens, "completion_time": totals.ms / 1000,
                "total_tokens": totals.prompt_tokens + totals.tokens, "total_time": time.monotonic() - call.began}
        if totals.thought_tokens:
            made["completion_tokens_details"] = {"reasoning_tokens": totals.thought_tokens}
        return made


class Stream:
    """Chunks of one answer."""

    def __init__(self, call, model, provider):
        self.call = call
        self.provider = provider
        self.request = "req_" + uuid.uuid4().hex[:26]
        self.base = {"id": "chatcmpl-" + str(uuid.uuid4()), "object": "chat.completion.chunk", "created": int(time.time()),
                     "model": model, "system_fingerprint": "fp_standin"}

    def chunk(self, delta, reason=None, **more):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self.base, "choices": [choice], **more}

    def begin(self):
        self.call.begin("text/event-stream", {"cache-control": "no-cache"})
        self.call.piece(self.chunk({"role": "assistant", "content": ""}, x_groq={"id": self.request}))

    def piece(self, delta):
        if not self.call.started:
            self.begin()
        self.call.piece(self.chunk(delta))

    def finish(self, reason, usage):
        if not self.call.started:
            self.begin()
        self.call.piece(self.chunk({}, reason, x_groq={"id": self.request, "usage": usage}))
        if (self.call.body.get("stream_options") or {}).get("include_usage"):
            self.call.piece({**self.base, "choices": [], "usage": usage})
        self.call.chunk(b"data: [DONE]\n\n")
        self.call.end()


def go_duration(seconds):
    """2m59.56s, 7.66s, 45.776ms"""
    if seconds < 1:
        return f"{seconds * 1000:.6g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{hours:.0f}h" if hours else ""
    text += f"{minutes:.0f}m" if hours or minutes else ""
    return text + f"{rest:.6g}s"

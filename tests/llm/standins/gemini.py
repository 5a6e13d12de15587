"""Gemini's API.

Facts: ai.google.dev/api (generate-content, embeddings, models), google.rpc.Status, the types of @google/genai.
"""

import json
import urllib.parse
import uuid

from standins.cloud import Cloud
from standins.server import Provider, Refused, take
from standins.words import Totals, Wanted, chosen_tool

STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
          429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
          504: "DEADLINE_EXCEEDED"}
BODY = {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "safetySettings", "cachedContent", "model"}
CONFIG = {"temperature": "temperature", "topP": "top_p", "topK": "top_k", "seed": "seed", "maxOutputTokens": "n_predict",
          "presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty", "stopSequences": "stop"}
OTHER_CONFIG = {"candidateCount", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig",
                "responseModalities"}
DETAIL = "type.googleapis.com/google.rpc."


class Gemini(Cloud):
    name = "gemini"

    def routes(self):
        return [("GET", "/v1beta/models", "list", self.list),
                ("GET", "/v1beta/models/([^/:]+)", "list", lambda call, name: call.json(200, self.entry(self.known(name)))),
                ("POST", "/v1beta/models/([^/:]+):(generateContent|streamGenerateContent)", "infer", self.generate),
                ("POST", "/v1beta/models/([^/:]+):countTokens", "list", self.count_tokens),
                ("POST", "/v1beta/models/([^/:]+):(embedContent|batchEmbedContents)", "infer", self.embed)]

    # Events end with CR LF here.
    def frame(self, value):
        return b"data: " + (value if isinstance(value, str) else json.dumps(value)).encode() + b"\r\n\r\n"

    # ---- errors

    def error(self, refused):
        error = {"code": refused.status, "message": refused.message, "status": STATUS.get(refused.status, "UNKNOWN")}
        after = refused.more.get("retry_after")
        if refused.status == 429:
            error["details"] = [{"@type": DETAIL + "Help", "links": [{"description": "Learn more about Gemini API quotas",
                                                                      "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}]}]
        if after is not None:
            error["message"] += f"\nPlease retry in {after:.9g}s."
            error["details"].append({"@type": DETAIL + "RetryInfo", "retryDelay": f"{after:.9g}s"})
        if refused.more.get("reason"):
            error["details"] = [{"@type": DETAIL + "ErrorInfo", "reason": refused.more["reason"], "domain": "googleapis.com"}]
        return {"error": error}

    @staticmethod
    def words_for(status):
        return {429: "You exceeded your current quota, please check your plan and billing details.",
                403: "Permission denied: Consumer 'api_key:...' has been suspended.",
                401: "Request had invalid authentication credentials.",
                503: "The model is overloaded. Please try again later.",
                500: "An internal error has occurred. Please retry or report in "
                     "https://developers.generativeai.google/guide/troubleshooting"}.get(status, Provider.words_for(status))

    def check(self, call):
        given = call.headers.get("x-goog-api-key") or (urllib.parse.parse_qs(call.query).get("key") or [None])[0]
        if not given:
            raise Refused(403, "Method doesn't allow unregistered callers (callers without established identity). Please use API "
                               "Key or other form of API consumer identity to call this API.")
        if given != self.key:
            raise Refused(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")
        if call.kind == "none":
            raise Refused(404, f"models/{call.path.rsplit('/', 1)[-1]} is not found for API version v1beta")
        if call.kind != "infer":
            return
        wait = self.limit.take(self.standin.settings)
        if wait is not None:
            raise Refused(429, self.words_for(429) + "\n* Quota exceeded for metric: generativelanguage.googleapis.com/"
                          f"generate_content_free_tier_requests, limit: {self.standin.settings['requests']}", retry_after=wait)

    # ---- models

    def known(self, name, method="generateContent"):
        if name not in self.models or (method.endswith("EmbedContents") or method == "embedContent") != ("embed" in name):
            raise Refused(404, f"models/{name} is not found for API version v1beta, or is not supported for {method}. Call "
                               "ListModels to see the list of available models and their supported methods.")
        return name

    @staticmethod
    def entry(name):
        methods = ["embedContent", "batchEmbedContents"] if "embed" in name else ["generateContent", "countTokens"]
        return {"name": f"models/{name}", "version": "001", "displayName": name, "inputTokenLimit": 1048576,
                "outputTokenLimit": 65536, "supportedGenerationMethods": methods}

    def list(self, call):
        query = urllib.parse.parse_qs(call.query)
        size = int((query.get("pageSize") or ["50"])[0])
        start = int((query.get("pageToken") or ["0"])[0])
        answer = {"models": [self.entry(name) for name in self.models[start:start + size]]}
        if start + size < len(self.models):
            answer["nextPageToken"] = str(start + size)
        call.json(200, answer)

    def embed(self, call, name, method):
        self.known(name, method)
        requests = call.body.get("requests") if method == "batchEmbedContents" else [call.body]
        if not isinstance(requests, list) or not requests:
            raise Refused(400, "* BatchEmbedContentsRequest.requests: at least one is needed")
        texts = []
        for one in requests:
            take(one, {"model", "content", "taskType", "title", "outputDimensionality"})
            if method == "batchEmbedContents" and one.get("model") != f"models/{name}":
                raise Refused(400, "* BatchEmbedContentsRequest.requests[0].model: unexpected model name format")
            texts.append("".join(part["text"] for part in one["content"]["parts"]))
        vectors, _ = self.backend.embed(call, texts)
        made = [{"values": vector[:one.get("outputDimensionality") or len(vector)]}
                for vector, one in zip(vectors, requests, strict=True)]
        call.whole({"embeddings": made} if method == "batchEmbedContents" else {"embedding": made[0]})

    def count_tokens(self, call, name):
        self.known(name)
        messages = [self.message(n, one) for n, one in enumerate(call.body.get("contents") or [])]
        call.json(200, {"totalTokens": len(self.backend.prompt_tokens(Wanted(messages=messages)))})

    # ---- generateContent

    def generate(self, call, name, method):
        self.known(name, method)
        body = call.body
        self.take(body, BODY)
        config = body.get("generationConfig") or {}
        self.take(config, set(CONFIG) | OTHER_CONFIG, " at 'generation_config'")
        contents = body.get("contents") or []
        if not contents:
            raise Refused(400, "* GenerateContentRequest.contents: contents is not specified\n")
        self.check_turns(contents)
        messages = [self.message(n, one) for n, one in enumerate(contents)]
        system = "\n".join(self.text_of(part) for part in (body.get("systemInstruction") or {}).get("parts") or [])
        tools = self.tools(body)
        tool = self.tool(body, tools, messages)
        if system:
            messages.insert(0, {"role": "system", "content": system})
        for one in messages:
            one["role"] = "assistant" if one["role"] == "model" else one["role"]
        wanted = Wanted(messages=messages, params=self.params(config), schema=self.schema(config), tools=tools, tool=tool)
        wanted.thoughts, shown = self.thoughts(name, config)
        self.send_answer(call, name, wanted, shown, method == "streamGenerateContent")

    @staticmethod
    def take(given, fields, where=""):
        for field in given:
            if field not in fields:
                raise Refused(400, f'Invalid JSON payload received. Unknown name "{field}"{where}: Cannot find field.')

    @staticmethod
    def check_turns(contents):
        """Each answer to a turn with calls has as many responses as there were calls."""
        calls = 0
        for turn in contents:
            parts = turn.get("parts") or []
            responses = sum("functionResponse" in part for part in parts)
            if calls != responses:
                raise Refused(400, "Please ensure that the number of function response parts is equal to the number of function "
                                   "call parts of the function call turn.")
            calls = sum("functionCall" in part for part in parts)

    def message(self, number, turn):
        where = f"* GenerateContentRequest.contents[{number}]"
        role = turn.get("role", "user")
        if role not in ("user", "model"):
            raise Refused(400, f"{where}.role: Please use a valid role: user, model.")
        if not turn.get("parts"):
            raise Refused(400, f"{where}.parts: contents.parts must not be empty.\n")
        for part in turn["parts"]:
            self.take(part, {"text", "inlineData", "functionCall", "functionResponse", "thought", "thoughtSignature"},
                      f" at 'contents[{number}].parts'")
            if not part:
                raise Refused(400, f"{where}.parts[0].data: required oneof field 'data' must have one initialized field\n")
        return {"role": role, "content": "".join(self.text_of(part) for part in turn["parts"])}

    @staticmethod
    def text_of(part):
        if "inlineData" in part:
            return " (a picture) "
        if "functionResponse" in part:
            return json.dumps(part["functionResponse"].get("response"))
        return part.get("text") or json.dumps(part.get("functionCall") or "")

    def tools(self, body):
        made = {}
        for tool in body.get("tools") or []:
            self.take(tool, {"functionDeclarations"}, " at 'tools[0]'")
            for one in tool["functionDeclarations"]:
                self.take(one, {"name", "description", "parameters", "parametersJsonSchema", "response", "behavior"},
                          " at 'tools[0].function_declarations[0]'")
                made[one["name"]] = plain(one.get("parametersJsonSchema") or one.get("parameters") or {"type": "object"})
        return made

    @staticmethod
    def tool(body, tools, messages):
        config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        mode = config.get("mode", "AUTO")
        allowed = config.get("allowedFunctionNames")
        if allowed and mode != "ANY":
            raise Refused(400, "Function calling config is set without function_calling_mode ANY")
        if mode == "NONE":
            return None
        return chosen_tool({name: tools[name] for name in allowed or tools}, messages, must=mode == "ANY")

    @staticmethod
    def params(config):
        if config.get("candidateCount") not in (None, 1):
            raise Refused(400, "Multiple candidates is not enabled for this model")
        if len(config.get("stopSequences") or []) > 5:
            raise Refused(400, "The number of stop sequences must be at most 5")
        return {theirs: config[ours] for ours, theirs in CONFIG.items() if config.get(ours) is not None}

    @staticmethod
    def schema(config):
        given = config.get("responseJsonSchema") or config.get("responseSchema")
        if config.get("responseMimeType", "text/plain") == "application/json":
            return plain(given or {"type": "object"})
        if given:
            raise Refused(400, "Invalid value at 'generation_config': response_schema only works with response mime type "
                               "application/json")
        return None

    @staticmethod
    def thoughts(name, config):
        """(tokens for thoughts, whether they are shown)"""
        given = config.get("thinkingConfig")
        if given and "2.5" not in name:
            raise Refused(400, "Unable to submit request because thinking is not supported by this model")
        given = given or {}
        Gemini.take(given, {"thinkingBudget", "includeThoughts", "thinkingLevel"}, " at 'generation_config.thinking_config'")
        budget = given.get("thinkingBudget", -1)
        if "2.5" not in name or budget == 0:
            return 0, False
        return (12 if budget < 0 else min(12, budget)), bool(given.get("includeThoughts"))

    def send_answer(self, call, name, wanted, shown, streaming):
        totals = Totals()
        tokens = self.backend.prompt_tokens(wanted)
        if len(tokens) > self.backend.context():
            raise Refused(400, f"The input token count ({len(tokens)}) exceeds the maximum number of tokens allowed "
                               f"({self.backend.context()}).")
        sink = Sink(call, name, streaming, len(tokens))
        for kind, *what in self.backend.words(call, wanted, tokens, totals):
            if kind == "tool":
                sink.part({"functionCall": {"name": what[0], "args": what[1]}})
            elif kind == "text":
                sink.part({"text": what[0]})
            elif shown:
                sink.part({"text": what[0], "thought": True})
        sink.finish(totals)


class Sink:
    """One answer: whole, as events, or as a list of pieces."""

    def __init__(self, call, model, streaming, prompt_tokens):
        self.call, self.streaming, self.prompt_tokens = call, streaming, prompt_tokens
        self.sse = "alt=sse" in call.query
        self.base = {"modelVersion": model, "responseId": uuid.uuid4().hex[:22]}
        self.parts = []
        self.held = None  # the last part, which is sent with the finish reason
        self.many = 0

    def body(self, parts, **more):
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if "finishReason" in more:
            candidate["finishReason"] = more.pop("finishReason")
        usage = {"promptTokenCount": self.prompt_tokens, "totalTokenCount": self.prompt_tokens,
                 "promptTokensDetails": [{"modality": "TEXT", "tokenCount": self.prompt_tokens}], **more}
        return {"candidates": [candidate], "usageMetadata": usage, **self.base}

    def part(self, part):
        if not self.streaming:
            last = self.parts[-1] if self.parts else {}
            if "text" in part and "text" in last and part.get("thought") == last.get("thought"):
                last["text"] += part["text"]
            else:
                self.parts.append(part)
            return
        if self.held is not None:
            self.send(self.body([self.held]))
        self.held = part

    def send(self, body):
        if not self.call.started:
            self.call.begin("text/event-stream" if self.sse else "application/json")
        if self.sse:
            return self.call.piece(body)
        self.call.chunk((b",\r\n" if self.many else b"[") + json.dumps(body).encode())
        self.many += 1
        return None

    def finish(self, totals):
        counts = {"candidatesTokenCount": totals.tokens - totals.thought_tokens,
                  "totalTokenCount": self.prompt_tokens + totals.tokens}
        if totals.thought_tokens:
            counts["thoughtsTokenCount"] = totals.thought_tokens
        if totals.cached_tokens:
            counts["cachedContentTokenCount"] = totals.cached_tokens
        reason = "MAX_TOKENS" if totals.reason == "length" else "STOP"
        if not self.streaming:
            return self.call.whole(self.body(self.parts, finishReason=reason, **counts))
        self.send(self.body([self.held or {"text": ""}], finishReason=reason, **counts))
        if not self.sse:
            self.call.chunk(b"]")
        return self.call.end()


def plain(schema):
    """Google writes types in capital letters; JSON Schema does not."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: value.lower() if key == "type" and isinstance(value, str) else plain(value)
            for key, value in schema.items()}

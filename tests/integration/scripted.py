"""A back end of OpenAI's kind in the process of the test, which answers at once what the test has written."""

import http.server
import json
import threading
import time

QUIET = (BrokenPipeError, ConnectionResetError)


class ScriptedBackend:
    """`script(body)` answers a chat or a completion. It returns a list with the steps of the answer: a text is a piece of
    it, a dict its delta, a number a pause in seconds, an event something to wait for; a tuple is (status, message) instead
    of an answer. Embeddings have the length of each text as their vector; `embed(body)` may answer them in the same way."""

    def __init__(self, script=lambda body: ["Hello"], models=("scripted",), embed=lambda body: None):
        self.script, self.embed = script, embed
        self.asked = []  # the bodies of all requests, in their order
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"backend": self, "models": models})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.request_queue_size = 128
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def table(self, provider="openai", **options):
        lines = [f"{name} = {json.dumps(value)}" for name, value in
                 {"provider": provider, "url": self.url, "slots": 8, "refresh_s": 1, **options}.items()]
        return "\n".join(["[[llm]]", *lines]) + "\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    backend = None
    models = ()

    def log_message(self, *args):
        pass

    def do_GET(self):  # pylint: disable=invalid-name
        if self.path == "/api/tags":
            return self.whole(200, {"models": [{"name": one} for one in self.models]})
        if self.path == "/api/ps":
            return self.whole(200, {"models": []})
        return self.whole(200, {"data": [{"id": one} for one in self.models]})

    def do_POST(self):  # pylint: disable=invalid-name
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.backend.lock:
            self.backend.asked.append(body)
        embeds = self.path == "/v1/embeddings"
        steps = (self.backend.embed if embeds else self.backend.script)(body)
        try:
            if isinstance(steps, tuple):
                self.whole(steps[0], {"error": {"message": steps[1], "type": "invalid_request_error", "code": steps[0]}})
            elif embeds:
                self.whole(200, self.vectors(body["input"]))
            else:
                self.stream(steps, "delta" if "chat" in self.path else "text")
        except QUIET:
            self.close_connection = True

    @staticmethod
    def vectors(texts):
        data = [{"object": "embedding", "index": index, "embedding": [len(text), 0.5]} for index, text in enumerate(texts)]
        return {"data": data, "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)}}

    def whole(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, steps, member):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        reason = "stop"
        for step in steps:
            if isinstance(step, (int, float)):
                time.sleep(step)  # a slow back end
            elif isinstance(step, threading.Event):
                step.wait(10)
            elif isinstance(step, dict):
                reason = step.pop("finish_reason", reason)
                self.piece({"choices": [{"index": 0, "delta": step}]})
            else:
                self.piece({"choices": [{"index": 0, member: {"content": step} if member == "delta" else step}]})
        self.piece({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        self.piece({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
        self.event(b"[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def piece(self, value):
        self.event(json.dumps(value).encode())

    def event(self, data):
        data = b"data: " + data + b"\n\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

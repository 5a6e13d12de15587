"""Shared by all stand-ins: HTTP, faults on request, and counters of requests.

In addition to the paths of its provider, each stand-in answers
  POST /standin/fault   {"kind": ..., "times": 1, ...}: see FAULTS; {"kind": "none"} removes the remaining faults
  POST /standin/set     {"token_ms": 20, ...}: changes settings at run time
  GET  /standin/seen    counters, the settings, the last request
"""

import http.server
import json
import re
import socket
import sys
import threading
import time
import traceback
import urllib.parse

# The kinds of faults with their fields. Fields of all: `times` (1; -1: no limit), `after` pieces of a stream (2),
# `on`: "infer" (the default), "list", "pull" or "any" (the default for 401 and 403), `model`: only requests for it.
FAULTS = {
    "status": ("status", "message", "retry_after"),  # an error; loading is {"status": 503}
    "hang_before": ("seconds",),  # no answer
    "hang_mid": ("after", "seconds"),  # stops in the middle and keeps the connection open
    "cut_mid": ("after",),  # the connection ends in the middle
    "end_early": ("after",),  # the body ends properly, but before the answer is complete
    "garbage_line": ("after",),  # a line that is not JSON, then the answer continues
    "endless_line": ("after",),  # a line without an end
    "error_mid": ("after", "status", "message"),  # an error in the middle, with status 200
}
FOR_ALL = ("kind", "times", "on", "model")
LONGEST_ENDLESS = 1 << 30


class Disconnected(Exception):
    """The client has disconnected, or the connection was cut on purpose: no answer is possible."""


class Refused(Exception):
    def __init__(self, status, message, **more):
        super().__init__(message)
        self.status, self.message, self.more = status, message, more


class Call:
    """One request and the ways to answer it."""

    def __init__(self, standin, handler, path, query, body, kind):
        self.standin, self.handler, self.path, self.query, self.body, self.kind = standin, handler, path, query, body, kind
        self.headers = handler.headers
        self.began = time.monotonic()
        self.disconnected = threading.Event()
        self.over = threading.Event()
        self.fault = None
        self.pieces = 0
        self.started = False
        self.answered = False  # completely
        self.backend = None  # the connection to llama-server during a request

    # ---- the client

    def watch(self):
        """Ends the work of the back end when the client disconnects, as the real servers do."""
        while not self.over.wait(0.02):
            if self.client_has_disconnected():
                self.disconnected.set()
                self.drop_backend()
                return

    def client_has_disconnected(self):
        try:
            return self.handler.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def drop_backend(self):
        backend = self.backend
        if backend is not None and backend.sock is not None:
            try:
                backend.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait(self, seconds):
        if self.disconnected.wait(seconds):
            raise Disconnected

    def wait_for(self, condition):
        """Waits until condition() is true; checked fifty times per second."""
        while not condition():
            self.wait(0.02)

    # ---- answers

    def head(self, status, headers):
        self.started = True
        self.handler.send_response(status)
        for name, value in {**self.standin.provider.headers(self), **headers}.items():
            self.handler.send_header(name, str(value))
        self.handler.end_headers()

    def raw(self, status, data, content_type, headers=None):
        self.head(status, {"Content-Type": content_type, "Content-Length": len(data), **(headers or {})})
        if self.handler.command != "HEAD":
            self.write(data)
        self.answered = True

    def json(self, status, body, headers=None):
        self.raw(status, json.dumps(body).encode(), "application/json; charset=utf-8", headers)

    def begin(self, content_type, headers=None):
        self.head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked", **(headers or {})})

    def chunk(self, data):
        self.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self):
        self.write(b"0\r\n\r\n")
        self.answered = True

    def write(self, data):
        if self.disconnected.is_set():
            raise Disconnected
        try:
            self.handler.wfile.write(data)
            self.handler.wfile.flush()
        except OSError as why:
            self.disconnected.set()
            raise Disconnected from why

    def piece(self, value):
        """Sends a piece of a stream in the provider's framing; faults in the middle of an answer happen here."""
        if self.fault and self.pieces >= self.fault.get("after", 2):
            fault, self.fault = self.fault, None
            self.strike(fault)
        self.pieces += 1
        self.chunk(self.standin.provider.frame(value))

    def strike(self, fault):
        provider = self.standin.provider
        kind = fault["kind"]
        if kind == "hang_mid":
            self.wait(fault.get("seconds", 3600))
        elif kind == "garbage_line":
            self.chunk(provider.frame('{"this is": not JSON'))
        elif kind == "endless_line":
            self.chunk(provider.frame("{").rstrip())
            for _ in range(LONGEST_ENDLESS >> 16):
                self.chunk(b"x" * (1 << 16))
        elif kind == "error_mid":
            status = fault.get("status", 500)
            message = fault.get("message", "an error was encountered while running the model")
            self.chunk(provider.frame(provider.mid_error(status, message)))
            self.end()
            raise Disconnected
        else:
            if kind == "end_early":
                self.end()
            self.cut()

    def cut(self):
        self.handler.connection.shutdown(socket.SHUT_RDWR)
        raise Disconnected

    def whole(self, body):
        """Sends an answer in one piece; faults in the middle of an answer apply to it too."""
        fault, self.fault = self.fault, None
        if fault is None:
            return self.json(200, body)
        data = json.dumps(body).encode()
        provider = self.standin.provider
        if fault["kind"] == "error_mid":
            return self.json(200, provider.mid_error(fault.get("status", 500), fault.get("message", "it broke")))
        if fault["kind"] == "endless_line":
            self.begin("application/json")
            self.chunk(data[:-1])
            for _ in range(LONGEST_ENDLESS >> 16):
                self.chunk(b" " * (1 << 16))
        if fault["kind"] in ("garbage_line", "end_early"):
            return self.raw(200, data[:-2], "application/json")
        self.head(200, {"Content-Type": "application/json", "Content-Length": len(data)})
        self.write(data[:len(data) // 2])
        if fault["kind"] == "hang_mid":
            self.wait(fault.get("seconds", 3600))
            return self.write(data[len(data) // 2:])
        return self.cut()


class Standin:
    """A server for one provider on a port."""

    def __init__(self, provider, settings):
        self.provider = provider
        self.settings = {"token_ms": 0, "ignore_eos": False, **settings}
        self.lock = threading.Lock()
        self.faults = []
        self.seen = {"requests": {}, "open": 0, "infer_open": 0, "infer": 0, "client_aborts": 0, "faults": 0, "refused": 0,
                     "loads": {}, "unloads": {}, "pulls": {}, "prompt_tokens": 0, "prompt_tokens_read": 0,
                     "tokens": 0, "last": None}
        provider.standin = self

    def count(self, what, by=1, of=None):
        with self.lock:
            place, key = (self.seen, what) if of is None else (self.seen[what], of)
            place[key] = place.get(key, 0) + by

    # ---- faults

    def add_fault(self, fault):
        kind = fault.get("kind")
        if kind == "none":
            with self.lock:
                self.faults = []
            return
        if kind not in FAULTS:
            raise Refused(400, f"kind must be one of {sorted(FAULTS)}")
        unknown = set(fault) - set(FAULTS[kind]) - set(FOR_ALL)
        if unknown or (kind == "status" and "status" not in fault):
            raise Refused(400, f"{kind} takes {FAULTS[kind]} and {FOR_ALL}, not {sorted(unknown)}")
        with self.lock:
            self.faults.append({"times": 1, "on": "any" if fault.get("status") in (401, 403) else "infer", **fault})

    def take_fault(self, call):
        model = call.body.get("model") if isinstance(call.body, dict) else None
        with self.lock:
            for fault in self.faults:
                if fault["on"] not in (call.kind, "any") or fault.get("model", model) != model:
                    continue
                fault["times"] -= 1
                if fault["times"] == 0:
                    self.faults.remove(fault)
                self.seen["faults"] += 1
                return fault
        return None

    # ---- requests

    def serve(self, host, port):
        server = http.server.ThreadingHTTPServer((host, port), type("Handler", (Handler,), {"standin": self}))
        server.daemon_threads = True
        print(f"stand-in for {self.provider.name} on http://{host}:{server.server_address[1]}", flush=True)
        server.serve_forever()

    def answer(self, handler, method):
        path, _, query = handler.path.partition("?")
        path = urllib.parse.unquote(path)
        data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        try:
            body = json.loads(data) if data else {}
        except ValueError:
            body = None
        if path.startswith("/standin/"):
            return self.admin(Call(self, handler, path, query, body, "admin"))
        found = None
        for wanted, pattern, kind, what in self.provider.routes():
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                found = (kind, what, match)
        kind, what, match = found or ("none", None, None)
        call = Call(self, handler, path, query, body, kind)
        self.count("requests", of=f"{method} {path}")
        return self.watched(call, what, match)

    def watched(self, call, what, match):
        infer = int(call.kind == "infer")
        with self.lock:
            self.seen["open"] += 1
            self.seen["infer_open"] += infer
            self.seen["infer"] += infer
            if infer:
                self.seen["last"] = call.body
        watcher = threading.Thread(target=call.watch, daemon=True)
        watcher.start()
        try:
            self.run(call, what, match)
        finally:
            call.over.set()
            watcher.join()
            with self.lock:
                self.seen["open"] -= 1
                self.seen["infer_open"] -= infer
                self.seen["client_aborts"] += call.disconnected.is_set() and not call.answered

    def run(self, call, what, match):
        try:
            call.fault = self.take_fault(call)
            self.fault_before(call)
            if what is None:
                raise Refused(404, "404 page not found")
            if call.body is None:
                raise Refused(400, "the body is not JSON")
            self.provider.check(call)
            what(call, *match.groups())
        except Disconnected:
            call.handler.close_connection = True
        except Refused as refused:
            self.refuse(call, refused)
        except Exception as why:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stderr)
            self.refuse(call, Refused(500, f"internal error of the stand-in: {why!r}"))

    @staticmethod
    def fault_before(call):
        fault = call.fault
        if fault is None or fault["kind"] not in ("status", "hang_before"):
            return
        call.fault = None
        if fault["kind"] == "hang_before":
            call.wait(fault.get("seconds", 3600))
            return
        message = fault.get("message") or call.standin.provider.words_for(fault["status"])
        raise Refused(fault["status"], message, retry_after=fault.get("retry_after"))

    def refuse(self, call, refused):
        self.count("refused")
        provider = self.provider
        try:
            if call.started:  # the status has already been sent: an error in the stream
                call.chunk(provider.frame(provider.mid_error(refused.status, refused.message)))
                call.end()
            else:
                call.json(refused.status, provider.error(refused), provider.error_headers(refused))
        except Disconnected:
            call.handler.close_connection = True

    def admin(self, call):
        try:
            if call.path == "/standin/fault":
                for fault in call.body if isinstance(call.body, list) else [call.body]:
                    self.add_fault(fault)
            elif call.path == "/standin/set":
                unknown = set(call.body) - set(self.settings)
                if unknown:
                    raise Refused(400, f"unknown settings: {sorted(unknown)}; the settings are {sorted(self.settings)}")
                with self.lock:
                    self.settings.update(call.body)
            elif call.path != "/standin/seen":
                raise Refused(404, "no such path; the paths are /standin/fault, /standin/set and /standin/seen")
            with self.lock:
                answer = json.loads(json.dumps({**self.seen, "settings": self.settings, "faults_left": self.faults}))
            call.json(200, answer)
        except Refused as refused:
            call.json(refused.status, {"error": refused.message})


class Provider:
    """The part that differs by provider; `routes` returns (method, pattern, kind, function of the call and the groups)."""

    name = ""
    standin = None

    def routes(self):
        raise NotImplementedError

    def frame(self, value):
        raise NotImplementedError

    def headers(self, call):  # pylint: disable=unused-argument
        return {}

    def check(self, call):
        """Raises Refused if the request is not permitted, for example without a valid key."""

    def error(self, refused):
        raise NotImplementedError

    def error_headers(self, refused):  # pylint: disable=unused-argument
        return {}

    def mid_error(self, status, message):
        return self.error(Refused(status, message))

    @staticmethod
    def words_for(status):
        return http.client.responses.get(status, f"status {status}")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    standin = None

    def answer(self):
        try:
            self.standin.answer(self, self.command)
        except (OSError, Disconnected):
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        if "/standin/" not in str(args[0] if args else ""):
            print(f"{time.strftime('%H:%M:%S')} {format % args}", flush=True)


def take(body, fields, where="the request"):
    """The fields of `body`; unknown fields are refused."""
    unknown = set(body) - set(fields)
    if unknown:
        raise Refused(400, f"{where} has unknown fields: {', '.join(sorted(unknown))}")
    return body

"""Shared by the tests of the HTTP contract: a client that sees each byte, and a back end with scripted answers.

The contract is RFC 9110, RFC 9112 and docs/http-api.md. The client is strict: an answer that breaks the framing rules
of RFC 9112, or a connection that is reset before its answer was read, fails the test.
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import struct
import threading
import time
import unittest

from support import Fleet, FleetCase, free_port, wait_until

SLOW = os.environ.get("EDGEFLEET_SLOW_TESTS") == "1"

MEBIBYTE = 1 << 20
MOST_HEAD = 64 << 10
MOST_BODY = 64 << 20
STOP = 5  # seconds that a server that stops gives to answers in progress
NOTICED = 1.5  # seconds: a closed connection is noticed within one, and this machine may be busy
QUICK = 0.25  # seconds: bound on /health under load; bench/ measures the real bound


class BadAnswer(AssertionError):
    pass


class Answer:
    """`headers`: lists of values by name in lower case. `framing`: how the end of the body was marked."""

    def __init__(self, version, status, headers, interim):
        self.version, self.status, self.headers, self.interim = version, status, headers, interim
        self.body = b""
        self.framing = "none"

    def __getitem__(self, name):
        values = self.headers.get(name.lower(), [])
        if len(values) > 1:
            raise BadAnswer(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else None

    def tokens(self, name):
        """The elements of a list such as Allow or Connection."""
        return {part.strip() for value in self.headers.get(name.lower(), []) for part in value.split(",")
                if part.strip()}

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Connection:
    """One TCP connection to the coordinator."""

    def __init__(self, port, host="127.0.0.1", timeout=10, receive_buffer=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.port = port
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect((host, port))
        self.own_port = self.socket.getsockname()[1]
        self.buffer = bytearray()
        self.at_end = False
        self.watched = None

    # ---- to the server

    def send(self, data):
        self.socket.sendall(data)
        return self

    def send_what_it_takes(self, data):
        """As send(), but the server may stop reading and close: its answer then has the reason."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a RST, like a program that crashes with unread data."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # ---- the server's end

    def server_end(self):
        """(bytes not yet read, inode) of the server's socket; the inode is 0 until it is accepted."""
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in pathlib.Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                ports = [int(address.rsplit(":", 1)[1], 16) for address in fields[1:3]]
                if ports == [self.port, self.own_port]:
                    return int(fields[4].split(":")[1], 16), int(fields[9])
        return 0, 0

    def server_has_read(self):
        wait_until(lambda: self.server_end()[0] == 0, what="the server has read what was sent", pause=0.0005)
        return self

    def watch(self, process):
        """Records which open file of the server this connection is."""
        inode = wait_until(lambda: self.server_end()[1], what="the connection is accepted")
        self.watched = pathlib.Path(f"/proc/{process.pid}/fd"), f"socket:[{inode}]"
        return self

    def server_holds(self):
        folder, wanted = self.watched
        for file in folder.iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(file) == wanted:
                    return True
        return False

    def server_lets_go(self, timeout=NOTICED):
        wait_until(lambda: not self.server_holds(), timeout, "the server closes its end of the connection")

    # ---- from the server

    def fill(self):
        """Reads more; false at the end. A reset is an error."""
        if self.at_end:
            return False
        piece = self.socket.recv(65536)
        self.at_end = not piece
        self.buffer += piece
        return bool(piece)

    def take(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise BadAnswer(f"the answer ends after {len(self.buffer)} of {count} bytes: {self.buffer[-200:]!r}")
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def take_line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                raise BadAnswer(f"the answer ends in a line: {self.buffer[-200:]!r}")
        return self.take(self.buffer.index(b"\r\n") + 2)[:-2]

    def read_head(self):
        first = re.fullmatch(rb"HTTP/(1\.[01]) ([1-5][0-9][0-9]) [^\r\n]*", line := self.take_line())
        if not first:
            raise BadAnswer(f"no status line: {line!r}")
        headers = {}
        while line := self.take_line():
            field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e]*?)[ \t]*", line)
            if not field:
                raise BadAnswer(f"no header field: {line!r}")
            headers.setdefault(field[1].decode().lower(), []).append(field[2].decode())
        return Answer(first[1].decode(), int(first[2]), headers, [])

    def read_chunk(self):
        """The content of the next chunk; b"" at the end of the body."""
        line = self.take_line()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
            raise BadAnswer(f"no chunk size: {line!r}")
        content = self.take(int(line, 16))
        while not content and self.take_line():
            pass  # trailers
        if content and self.take(2) != b"\r\n":
            raise BadAnswer("a chunk without its end")
        return content

    def begin_answer(self, method="GET"):
        """The head of the next answer, those of 1xx before it included."""
        interim = []
        while (answer := self.read_head()).status < 200:
            if answer.framing != "none" or "content-length" in answer.headers:
                raise BadAnswer(f"an interim answer with a body: {answer}")
            interim.append(answer.status)
        answer.interim = interim
        coded, length = answer["Transfer-Encoding"], answer["Content-Length"]
        if coded is not None and (coded != "chunked" or length is not None):
            raise BadAnswer(f"wrong framing: {answer}")
        if answer.status in (204, 304) or method == "HEAD":
            if answer.status == 204 and (coded or length):
                raise BadAnswer(f"204 with a body: {answer}")
        elif coded:
            answer.framing = "chunked"
        elif length is not None:
            answer.framing = "length"
        else:
            answer.framing = "close"
        return answer

    def read(self, method="GET"):
        """The next answer, whole."""
        answer = self.begin_answer(method)
        if answer.framing == "chunked":
            while piece := self.read_chunk():
                answer.body += piece
        elif answer.framing == "length":
            answer.body = self.take(int(answer["Content-Length"]))
        elif answer.framing == "close":
            while self.fill():
                pass
            answer.body = self.take(len(self.buffer))
        return answer

    def read_all(self):
        """All answers until the server closes the connection."""
        answers = []
        try:
            while self.buffer or self.fill():
                answers.append(self.read())
        except TimeoutError as why:
            raise BadAnswer(f"the connection stays open behind {answers} {bytes(self.buffer[:200])}") from why
        return answers

    def ended(self, timeout=5):
        """True if the server closes the connection cleanly, without another answer."""
        self.socket.settimeout(timeout)
        try:
            return not self.buffer and not self.fill()
        except TimeoutError:
            return False

    def ask(self, method, target, body=None, *lines):
        """One request and its answer; `lines`: more header lines."""
        return self.send(request(method, target, body, *lines)).read(method)


def request(method, target, body=None, *lines, host="x", version="1.1"):
    """The bytes of a request; `host=None`: without that line."""
    head = [f"{method} {target} HTTP/{version}", *([] if host is None else [f"Host: {host}"]), *lines]
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def chunked_request(target, content, *lines, method="POST"):
    """A request whose body, `content`, is already in chunks."""
    return request(method, target, None, "Transfer-Encoding: chunked", *lines) + content


def chunks(*pieces, extension=b"", trailers=b""):
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    return body + b"0%s\r\n%s\r\n" % (extension, trailers)


def task_body(name, capability="nobody.offers", **more):
    return json.dumps({"capability": capability, "name": name, **more}).encode()


HIDDEN = request("POST", "/api/v1/tasks", task_body("hidden", "smuggled.task"))  # must never be read as a request


class ContractCase(FleetCase):
    def setUp(self):
        self.prepare_fleet()

    def prepare_fleet(self):
        super().setUp()


class HttpCase(ContractCase):
    """One fleet for all tests of a class. A coordinator that has ended fails the test, and is restarted."""

    smuggled = 0  # tasks of HIDDEN so far

    @classmethod
    def setUpClass(cls):
        cls.shared = Fleet()
        cls.addClassCleanup(cls.shared.remove)
        cls.addClassCleanup(cls.shared.end)
        cls.shared.start_broker()
        cls.shared.start_coordinator(*cls.COORDINATOR)
        cls.prepare(cls.shared)

    @classmethod
    def prepare(cls, fleet):
        """Further processes that all tests of the class need."""

    def prepare_fleet(self):
        self.fleet = self.shared
        self.api = self.fleet.api
        self.port = self.fleet.http_port
        if not self.fleet.coordinator.alive():
            self.fleet.start_coordinator()
        self.addCleanup(self.look_back)

    def look_back(self):
        alive = self.fleet.coordinator.alive()
        if not alive or self.bad() > self.bad_before:
            self.fleet.print_logs()
        self.assertTrue(alive, f"the coordinator has ended with {self.fleet.coordinator.popen.poll()}")

    # ---- requests

    def connect(self, **options):
        connection = Connection(self.port, **options)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method, target, body=None, *lines):
        """A request on a connection of its own."""
        return self.connect().ask(method, target, body, *lines)

    def tasks_named(self, name):
        return [task for task in self.api.good("GET", "/api/v1/tasks?limit=1000")["tasks"] if task.get("name") == name]

    def stored_artifact(self, content):
        return self.api.request("PUT", "/api/v1/artifacts", content).body["id"]

    def health_times(self, count=40):
        """Seconds that each of some requests for /health took, on one connection."""
        connection = self.connect()
        times = []
        for _ in range(count):
            began = time.monotonic()
            self.assertEqual(connection.ask("GET", "/health").status, 200)
            times.append(time.monotonic() - began)
        return sorted(times)

    def assert_quick(self):
        """/health is quick; the slowest twentieth does not count on a busy machine."""
        times = self.health_times()
        self.assertLess(times[int(len(times) * 0.95)], QUICK, f"/health took {times}")

    # ---- checks of answers

    def assert_error(self, answer, *statuses, model_api=False):
        """An error in the shape for its path: problem+json, or OpenAI's below /v1."""
        self.assertIn(answer.status, statuses, answer)
        kind = (answer["Content-Type"] or "").split(";")[0]
        self.assertTrue(answer["X-Request-Id"], answer)
        if model_api:
            self.assertEqual(kind, "application/json", answer)
            error = answer.json()["error"]
            self.assertTrue(error["message"] and error["type"] and "code" in error, answer)
            return error["message"]
        self.assertEqual(kind, "application/problem+json", answer)
        problem = answer.json()
        self.assertEqual(problem["status"], answer.status, answer)
        self.assertTrue(problem["title"] and problem["detail"], answer)
        return problem["detail"]

    def assert_refused(self, data, *statuses, model_api=False):
        """One error is returned, then the connection is closed cleanly; no hidden data was read as a request."""
        connection = self.connect(timeout=5).send_what_it_takes(data)
        answers = connection.read_all()
        self.assertEqual(len(answers), 1, answers)
        self.assert_error(answers[0], *statuses, model_api=model_api)
        self.assert_nothing_smuggled()
        return answers[0]

    def assert_nothing_smuggled(self):
        now = len(self.api.good("GET", "/api/v1/tasks?capability=smuggled.task&limit=1000")["tasks"])
        before, type(self).smuggled = self.smuggled, now  # each one is reported once
        self.assertEqual(now, before, "what is hidden in a request was carried out as another one")


class ScriptedModel(http.server.ThreadingHTTPServer):
    """A back end of OpenAI's kind in this process. The last message of a chat selects the behaviour: "quick" answers at
    once, "hold" sends one word and waits for release(), "silent" sends nothing before that."""

    NAME = "scripted"
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", free_port()), ScriptedHandler)
        self.released = threading.Event()
        self.questions = 0
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def release(self):
        self.released.set()

    def handle_error(self, _request, _address):
        """Aborted connections of an agent are part of the tests."""

    def stop(self):
        self.release()
        self.shutdown()
        self.server_close()


class ScriptedHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def begin(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def do_GET(self):
        self.begin("application/json")
        self.wfile.write(json.dumps({"data": [{"id": ScriptedModel.NAME}]}).encode())

    def piece(self, text, reason=None):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
        self.wfile.write(b"data: " + json.dumps({"model": ScriptedModel.NAME, "choices": [choice]}).encode() + b"\n\n")
        self.wfile.flush()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        script = body["messages"][-1]["content"]
        self.server.questions += 1
        self.begin("text/event-stream")
        if script != "silent":
            self.piece("one")
        if script != "quick":
            self.server.released.wait(60)
        self.piece(" two", "stop")
        self.wfile.write(b"data: [DONE]\n\n")


class ModelCase(HttpCase):
    """A fleet with an agent in front of a scripted back end."""

    SLOTS = 8

    @classmethod
    def prepare(cls, fleet):
        cls.model = ScriptedModel()
        cls.addClassCleanup(cls.model.stop)
        toml = f'[[llm]]\nprovider = "openai"\nurl = "{cls.model.url}"\nslots = {cls.SLOTS}\nrefresh_s = 1\n'
        fleet.start_agent("pi-1", toml=toml)
        wait_until(lambda: any(executor.get("models") for executor in fleet.api.agent("pi-1")["executors"]),
                   what="the agent has its model")

    def prepare_fleet(self):
        super().prepare_fleet()
        self.model.released.clear()
        self.addCleanup(self.cancel_all)

    def cancel_all(self):
        """Frees the slots for the next test."""
        for state in ("running", "assigned", "queued"):
            for task in self.api.good("GET", f"/api/v1/tasks?state={state}&limit=1000")["tasks"]:
                self.api.post(f"/api/v1/tasks/{task['id']}/cancel")
        self.model.release()

    def chat_request(self, script, stream, *lines, version="1.1"):
        body = {"model": ScriptedModel.NAME, "messages": [{"role": "user", "content": script}], "stream": stream}
        return request("POST", "/v1/chat/completions", json.dumps(body).encode(), *lines, version=version)

    def chat(self, script, stream, begun=True):
        """A connection that has sent a chat, and the id of its task; `begun`: when it has reached the back end."""
        before = {task["id"] for task in self.chats()}
        questions = self.model.questions
        connection = self.connect().send(self.chat_request(script, stream))
        task = wait_until(lambda: next((new for new in self.chats() if new["id"] not in before), None), what="a task")
        if begun:
            wait_until(lambda: self.model.questions > questions, what="the question has reached the back end")
        return connection, task["id"]

    def chats(self, state=None):
        return self.api.good("GET", "/api/v1/tasks?capability=llm.chat&limit=1000" + (f"&state={state}"
                                                                                      if state else ""))["tasks"]

    def assert_cancelled(self, task, began):
        """The task is cancelled soon after `began`, because its client has disconnected."""
        wait_until(lambda: self.api.task(task)["state"] in ("cancelling", "cancelled"), NOTICED,
                   lambda: f"the task is cancelled; it is {self.api.task(task)}")
        self.assertLess(time.monotonic() - began, NOTICED)


def slow(test):
    return unittest.skipUnless(SLOW, "takes half a minute; EDGEFLEET_SLOW_TESTS=1 runs it")(test)

"""Bad requests over HTTP: any request harms only its sender. After each one, everything works as before."""

import signal
import socket
import subprocess
import unittest

from rubbish import NOT_JSON, WRONG_SHAPE
from support import BIN, SANITIZED, UNKNOWN_ID, FleetCase

# A sanitizer remembers several bytes for each one.
SANITIZER_SHARE = 6 if SANITIZED else 1


class Http(FleetCase):
    COORDINATOR = ("--max-artifact-mb", "1")

    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=4)

    def test_malformed(self):
        """A body that is not JSON, or has another shape, is refused by every endpoint that reads one."""
        for path in ("/api/v1/tasks", "/api/v1/batches"):
            for body in NOT_JSON + WRONG_SHAPE:
                answer = self.api.post(path, body)
                self.assert_problem(answer, 400, 422)
        for path in ("/api/v1/agents/pi-1/resume", f"/api/v1/tasks/{UNKNOWN_ID}/cancel", f"/api/v1/tasks/{UNKNOWN_ID}/retry"):
            for body in NOT_JSON:
                self.assertIn(self.api.post(path, body).status, (202, 400, 404, 422))
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_wrong_types(self):
        """Each field of a task with a wrong type or out of range is refused by name."""
        wrong = {
            "capability": [None, 7, "", "A", "a..b", "x" * 200, [], {}], "name": [7, "x" * 201, [], {}, True],
            "priority": [1001, -1001, 1.5, "1", 2**64], "timeout_ms": [0, -1, 1.5, "1", 2**63, 2592000001],
            "expires_after_ms": [-1, "1", 1e300], "delay_ms": [-1, [], 2592000001], "max_attempts": [0, 101, -1, "3"],
            "where": [7, [], "x", {"a": 1}, {"": "x"}, {"a": "x" * 129}, {str(n): "x" for n in range(17)}],
            "idempotency_key": [7, [], "x" * 201, ""],
        }
        for field, values in wrong.items():
            for value in values:
                answer = self.api.post("/api/v1/tasks", {"capability": "echo", field: value})
                self.assertIn(field, self.assert_problem(answer, 422), value)
        for field, value, says in (
                ("priority", 10**20, "`priority` is 100000000000000000000; the range is -1000 to 1000"),
                ("where", {"cpus": 2}, '`where`: `cpus` is not a string: write "2"'),
                ("where", {"room": ["a"]}, "`where`: `room` is not a string"),
                ("where", {"cpus": ">=" + "9" * 20}, "the largest number is 18446744073709551615")):
            self.assertIn(says, self.assert_problem(self.api.post("/api/v1/tasks", {"capability": "echo", field: value}), 422))
        self.assert_problem(self.api.post("/api/v1/tasks", {"input": 1}), 422)
        for tasks in (None, 7, {}, "x", [7], [None], [[]]):
            self.assert_problem(self.api.post("/api/v1/batches", {"tasks": tasks}), 422)
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_queries(self):
        """Wrong query parameters are refused by name; invalid ids and names are not found."""
        for path in ("tasks?state=lost", "tasks?state=", "tasks?capability=A", "tasks?batch=x", "tasks?after=x", "tasks?limit=0",
                     "tasks?limit=-1", "tasks?limit=1001", "tasks?limit=x", "tasks?limit=99999999999999999999",
                     f"tasks/{UNKNOWN_ID}?wait=x", f"tasks/{UNKNOWN_ID}?wait=-1", f"tasks/{UNKNOWN_ID}?wait=nan"):
            self.assert_problem(self.api.get("/api/v1/" + path), 422)
        for path in ("tasks/x", f"tasks/{UNKNOWN_ID}", f"tasks/{UNKNOWN_ID.lower()}", "tasks/" + "7" * 27, "batches/x",
                     f"batches/{UNKNOWN_ID}", "agents/Big", "agents/nobody", "tasks/a%2Fb", "nothing",
                     "artifacts/x", "artifacts/%2e%2e%2f%2e%2e", "artifacts/..", "tasks/%ff%fe", "tasks/'%20or%201=1"):
            self.assert_problem(self.api.get("/api/v1/" + path), 404)
        for path in ("agents/%00", "tasks/%00", "tasks/%zz", "artifacts/%f"):
            self.assert_problem(self.api.get("/api/v1/" + path), 400)
        self.assert_works()

    def test_what_the_command_line_cannot_submit(self):
        """Bad usage has the exit code 2, whether the command line or the coordinator refuses it, and a reason."""
        (self.fleet.dir / "lines").write_text('{"capability":"echo","name":"%s"}\n' % ("x" * 201))
        for arguments, says in (
                (("submit", "echo", "1", "--name", "x" * 201), "`name` is longer than 200 bytes"),
                (("batch", self.fleet.dir / "lines"), "`name` is longer than 200 bytes"),
                (("batch", self.fleet.dir), "cannot read .*: it is a folder"),
                (("submit", "echo", f"@{self.fleet.dir}"), "cannot read .*: it is a folder"),
                (("submit", "echo", "@nofile"), "cannot read nofile: No such file or directory"),
                (("submit", "echo", "1", "--idempotency-key", ""), "at least one character"),
                (("submit", "echo", "--", "1", "--wait"), "'--wait' was not expected after --"),
                (("submit", "echo", "1", "--wiat"), "did you mean --wait")):
            done = self.fleet.cli(*arguments)
            self.assertEqual(done.returncode, 2, done)
            self.assertRegex(done.stderr, says)
        for url in ("http://127.0.0.1:99999", "nonsense", "x/y"):
            done = subprocess.run([BIN / "edgefleet", "--url", url, "status"], capture_output=True, text=True, timeout=10,
                                  check=False)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn("is not of the form http://HOST:PORT", done.stderr)
        secure = subprocess.run([BIN / "edgefleet", "--url", f"https://127.0.0.1:{self.fleet.http_port}", "status"],
                                capture_output=True, text=True, timeout=10, check=False)
        self.assertEqual(secure.returncode, 3, secure)
        self.assertNotIn("sSL", secure.stderr)
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])

    def test_one_bad_task_in_a_batch(self):
        """One bad task refuses the whole batch, and is named by its number."""
        tasks = [{"capability": "echo", "input": n} for n in range(50)]
        for bad in ({}, None, 7, {"capability": "Bad"}, {"capability": "echo", "priority": "high"},
                    {"capability": "echo", "idempotency_key": "own"}, {"capability": "echo", "input": "x" * (1 << 20)}):
            answer = self.api.post("/api/v1/batches", {"tasks": tasks[:33] + [bad] + tasks[33:]})
            self.assertIn("33", self.assert_problem(answer, 413 if isinstance(bad, dict) and "input" in bad else 422))
            self.assertEqual([error["index"] for error in answer.body["errors"]], [33])
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_sizes(self):
        """An input over the bound, a batch over 10,000 tasks and a body over 64 MiB are too large; the bounds themselves fit."""
        most = 1 << 20  # it is an artifact
        self.assert_problem(self.api.post("/api/v1/tasks", {"capability": "echo", "input": "x" * (most - 1)}), 413)
        task = self.api.outcome(self.api.submit("echo", "x" * (most - 2)))
        self.assertEqual((task["state"], len(task["output"])), ("succeeded", most - 2))
        many = [{"capability": "nobody.offers"}] * 10_000
        self.assert_problem(self.api.post("/api/v1/batches", {"tasks": many + many[:1]}), 413)
        self.assertEqual(len(self.api.batch(many)["tasks"]), 10_000)
        self.assert_problem(self.api.post("/api/v1/batches", {"tasks": []}), 422)
        status = raw_status(self.fleet.http_port, b"POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                            % (80 << 20), b" " * (1 << 20), 80)
        self.assertIn(status, (413, None))  # None: it hung up on us while we were still sending, which is right too
        self.assert_works()

    def test_memory_is_bounded(self):
        """A body of 400 MiB is not collected in memory, for any path and any method."""
        self.assert_works()
        before = self.fleet.coordinator.resident_bytes()
        for request in (b"POST /api/v1/tasks", b"POST /api/v1/nothing", b"PUT /", b"DELETE /api/v1/agents"):
            most = 0

            def look():
                nonlocal most
                most = max(most, self.fleet.coordinator.resident_bytes() - before)

            raw_status(self.fleet.http_port, request + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (400 << 20),
                       b" " * (1 << 20), 400, look)
            with self.subTest(request=request):
                self.assertLess(most, (256 << 20) * SANITIZER_SHARE)  # what may come, 64 MiB, is copied as it grows
            self.assertTrue(self.fleet.coordinator.alive())
        self.assert_works()

    def test_endless_heads(self):
        """Headers without an end, or one header without an end, are refused before they fill memory."""
        before = self.fleet.coordinator.resident_bytes()
        for start, piece in ((b"GET /health HTTP/1.1\r\n", b"X-A: " + b"b" * 1000 + b"\r\n"),
                             (b"GET /health HTTP/1.1\r\nX-A: ", b"b" * 1000), (b"GET /", b"a" * 1000)):
            with self.subTest(start=start):
                status = raw_status(self.fleet.http_port, start, piece * 1000, 100)
                # 400: the library itself refuses a long line; None: it hung up on us while we were still sending
                self.assertIn(status, (431, 414, 400, None))
                self.assertLess(self.fleet.coordinator.resident_bytes() - before, (32 << 20) * SANITIZER_SHARE)
        self.assertEqual(raw_status(self.fleet.http_port, b"GET /health HTTP/1.1\r\nHost: x\r\n",
                                    b"X-A: %s\r\n" % (b"b" * 7_000), 10), 431)
        with socket.create_connection(("127.0.0.1", self.fleet.http_port), timeout=10) as connection:
            reader = connection.makefile("rb")
            for _ in range(200):  # each head has its own bound: a connection may carry any number of them
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: %s\r\n\r\n" % (b"b" * 4000))
                self.assertIn(b" 200 ", reader.readline())
                headers = iter(reader.readline, b"\r\n")
                length = next(int(line.split(b":")[1]) for line in headers if line.lower().startswith(b"content-length"))
                for _ in headers:
                    pass
                reader.read(length)
        self.assert_works()

    def test_a_rush_of_connections(self):
        """Hundreds of simultaneous connections need no retransmission after a second."""
        self.fleet.coordinator.signal(signal.SIGSTOP)  # so that no connection is accepted
        try:
            for _ in range(200):
                self.addCleanup(socket.create_connection(("127.0.0.1", self.fleet.http_port), timeout=0.5).close)
        finally:
            self.fleet.coordinator.signal(signal.SIGCONT)
        self.assert_works()

    def test_foreign_pages(self):
        """A browser's request from a page of another site is refused, also if the site's name leads here (DNS rebinding:
        421); one from its own page is accepted."""
        body = {"capability": "echo"}
        own = f"127.0.0.1:{self.fleet.http_port}"
        for origin, host in (("http://evil.example", own), ("http://evil.example", "evil.example"), ("null", own),
                             (f"http://127.0.0.1:{self.fleet.http_port + 1}", own), ("https://evil.example", "evil.example:80")):
            for method, path in (("POST", "/api/v1/tasks"), ("GET", "/api/v1/tasks"), ("GET", "/health")):
                answer = self.api.request(method, path, body if method == "POST" else None, {"Origin": origin, "Host": host})
                self.assertEqual(answer.status, 403 if host == own else 421, (origin, host))
                self.assertNotIn("Access-Control-Allow-Origin", answer.headers)
                self.api.close()
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assertEqual(self.api.request("POST", "/api/v1/tasks", body, {"Origin": "http://" + own}).status, 202)
        self.assert_works()

    def test_allowed_pages(self):
        """Only the sites of --allow-origin may use the API from a browser."""
        friend, stranger = "http://chat.example:3000", "http://chat.example"
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator("--allow-origin", f"https://a.example,{friend}")
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-stainless-os"}
        answer = self.api.request("OPTIONS", "/v1/chat/completions", None, {"Origin": friend, **ask})
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], friend)
        self.assertEqual(answer.headers["Access-Control-Allow-Headers"], "authorization,x-stainless-os")
        self.assertIn("POST", answer.headers["Access-Control-Allow-Methods"])
        answer = self.api.request("GET", "/v1/models", None, {"Origin": friend})
        self.assertEqual((answer.status, answer.headers["Access-Control-Allow-Origin"]), (200, friend))
        self.assertEqual(self.api.request("POST", "/v1/chat/completions", {}, {"Origin": friend}).headers[
            "Access-Control-Allow-Origin"], friend)  # errors must be readable too
        for headers in ({"Origin": stranger, **ask}, {"Origin": "null", **ask}, ask):
            answer = self.api.request("OPTIONS", "/v1/chat/completions", None, headers)
            self.assertEqual(answer.status, 403 if "Origin" in headers else 204)
            self.assertNotIn("Access-Control-Allow-Origin", answer.headers)
            self.api.close()
        for wrong in ("*", "chat.example", "http://chat.example/path", "http://a.example, http://b.example"):
            done = subprocess.run([BIN / "edgefleet-coordinator", "--allow-origin", wrong], capture_output=True, text=True,
                                  timeout=10, check=False, cwd=self.fleet.dir)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn("is not an origin", done.stderr)

    def test_nothing_is_smuggled(self):
        """The body of a refused request is never taken for the next request."""
        task = b'{"capability":"echo","name":"smuggled"}'
        inner = (b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(task)) + task
        outers = {
            "foreign page": b"POST /api/v1/tasks HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.example\r\n",
            "long path": b"POST /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: h\r\n",
            "unknown path": b"POST /nothing HTTP/1.1\r\nHost: h\r\n",
            "unknown method": b"BREW /api/v1/tasks HTTP/1.1\r\nHost: h\r\n",
            "a GET with a body": b"GET /health HTTP/1.1\r\nHost: h\r\n",
            "a DELETE with a body": b"DELETE /api/v1/tasks HTTP/1.1\r\nHost: h\r\n",
            "an upload from a foreign page": b"PUT /api/v1/artifacts HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.example\r\n",
            "a coding that is not known": b"POST /api/v1/tasks HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n",
        }
        upload = b"PUT /api/v1/artifacts HTTP/1.1\r\nHost: h\r\n"
        smuggled = 0
        too_large = {"a body that is too large": (b"POST /api/v1/tasks HTTP/1.1\r\nHost: h\r\n", 65 << 20),
                     "an upload that is too large": (upload, 3 << 20)}
        for name, (head, padded_to) in [(n, (h, p)) for n, h in outers.items() for p in (0, 4096, 16384)] + [*too_large.items()]:
            with self.subTest(name, padded_to=padded_to):
                # The library reads 4096 bytes at a time: what follows may stand at the border of two reads.
                length = b"Content-Length: %010d\r\n\r\n"
                padding = max(0, padded_to - len(head) - len(length % 0))
                raw(self.fleet.http_port, head + length % (padding + len(inner)) + b"x" * padding + inner, 0.5)
                tasks = self.api.good("GET", "/api/v1/tasks")["tasks"]
                names = [t["name"] for t in tasks if "name" in t]
                before, smuggled = smuggled, len(names)
                self.assertEqual(smuggled, before)

    def test_garbage(self):
        """Invalid requests do no harm."""
        for garbage in (b"", b"\r\n\r\n", b"\x00" * 1000, b"\xff" * 1000, b"GET\r\n\r\n", b"GET /health\r\n\r\n",
                        b"GET /health HTTP/9.9\r\n\r\n", b"get /health HTTP/1.1\r\n\r\n", b"GET  /health  HTTP/1.1\r\n\r\n",
                        b"GET /health HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
                        b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
                        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /%00%ff%zz% HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"GET /api/v1/tasks?" + b"a=b&" * 1500 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"GET /api/v1/tasks/" + b"a" * 7000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", b"DELETE /api/v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=\r\nContent-Length: 4\r\n\r\n--\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9\r\n\r\n--b\r\n\r\nx\r\n",
                        b"GET /api/v1/artifacts/x HTTP/1.1\r\nHost: x\r\nRange: bytes=5-1\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nHost: x\r\nRange: bytes=" + b"0-0," * 2000 + b"\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nOrigin: " + b"[" * 500 + b"\r\nHost: [\r\n\r\n"):
            raw(self.fleet.http_port, garbage, 0.3)
            self.assertTrue(self.fleet.coordinator.alive(), garbage[:80])
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_half_requests_do_not_stop_others(self):
        """A hundred connections that never complete their request do not affect the others."""
        open_ones = []
        try:
            for n in range(100):
                connection = socket.create_connection(("127.0.0.1", self.fleet.http_port))
                open_ones.append(connection)
                connection.sendall(b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + (b"Content-Length: 9\r\n\r\n{" if n % 2 else b"X"))
            self.assert_works()
        finally:
            for connection in open_ones:
                connection.close()

    def test_ways_to_send(self):
        """A task is accepted as curl sends it by default, in chunks, with other types, and twice on one connection."""
        body = b'{"capability":"echo","input":1}'
        for kind in (b"application/x-www-form-urlencoded", b"text/plain", b"application/json; charset=utf-8"):
            self.assertEqual(self.api.post("/api/v1/tasks", body, headers={"Content-Type": kind.decode()}).status, 202, kind)
        long_body = b'{"capability":"echo","input":"' + b"x" * 20_000 + b'"}'
        self.assertEqual(self.api.post("/api/v1/tasks", long_body, headers={
            "Content-Type": "application/x-www-form-urlencoded"}).status, 202)
        chunked = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n"
        self.assertIn(b"HTTP/1.1 202", raw(self.fleet.http_port, chunked, 1))
        waiting = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.assertIn(b" 202 ", raw(self.fleet.http_port, waiting + body, 2))
        self.assert_works()


def raw(port, data, patience):
    """Sends bytes, and returns the answer until the other side closes or sends nothing more."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.settimeout(patience)
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
    return answer


def raw_status(port, head, piece, count, look=None):
    """Sends a head and then `count` pieces; the status of the answer, or None if the other side hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(head)
            for _ in range(count):
                connection.sendall(piece)
                if look:
                    look()
        except OSError:
            pass
        connection.settimeout(3)
        try:
            line = connection.recv(100)
        except OSError:
            return None
        return int(line.split()[1]) if line.startswith(b"HTTP/") else None


if __name__ == "__main__":
    unittest.main()

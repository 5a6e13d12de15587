"""The HTTP contract, answers: methods, targets, expectations, errors, pages of other sites, and common clients."""

import json
import random
import re
import shutil
import socket
import subprocess
import time
import unittest

from http_contract import (HIDDEN, MEBIBYTE, MOST_BODY, ContractCase, HttpCase, chunked_request, chunks, request,
                           task_body)
from support import UNKNOWN_ID, wait_until

READ = {"GET", "HEAD"}


class Methods(HttpCase):
    # Each kind of route with its methods. OPTIONS may be named as well.
    ROUTES = {
        "/health": READ, "/ready": READ, "/api/v1/tasks": READ | {"POST"}, f"/api/v1/tasks/{UNKNOWN_ID}": READ,
        f"/api/v1/tasks/{UNKNOWN_ID}/cancel": {"POST"}, f"/api/v1/tasks/{UNKNOWN_ID}/retry": {"POST"},
        "/api/v1/batches": {"POST"}, f"/api/v1/batches/{UNKNOWN_ID}": READ, "/api/v1/agents": READ,
              "/api/v1/agents/a": READ,
        "/api/v1/agents/a/drain": {"POST"}, "/api/v1/queue": READ, "/api/v1/release": {"POST"},
              "/api/v1/artifacts": {"PUT"},
        "/api/v1/artifacts/x": READ, "/v1/models": READ, "/v1/models/a/b": READ, "/v1/chat/completions": {"POST"},
        "/v1/completions": {"POST"}, "/openai/v1/embeddings": {"POST"},
    }

    @staticmethod
    def model_api(path):
        return path.startswith(("/v1", "/openai/v1"))

    def assert_allows(self, answer, methods):
        self.assertEqual(answer.tokens("Allow") - {"OPTIONS"}, methods, answer)

    def test_head_wherever_get_is(self):
        """HEAD has the headers of GET, its Content-Length included, and no body."""
        task = self.api.submit("nobody.offers")
        batch = self.api.batch([{"capability": "nobody.offers"}])["id"]
        artifact = self.stored_artifact(b"some bytes")
        connection = self.connect()
        for path in ("/health", "/ready", "/api/v1/tasks", f"/api/v1/tasks/{task}", f"/api/v1/batches/{batch}",
                     "/api/v1/agents",
                     "/api/v1/queue", f"/api/v1/artifacts/{artifact}", "/v1/models", f"/api/v1/tasks/{UNKNOWN_ID}",
                     "/nothing",
                     "/v1/nothing", "/api/v1/tasks?limit=x"):
            with self.subTest(path):
                got, head = connection.ask("GET", path), connection.ask("HEAD", path)
                self.assertEqual((head.status, head.body), (got.status, b""))
                for name in ("content-length", "content-type", "etag", "accept-ranges", "cache-control"):
                    if name == "content-length" and got.status >= 400:
                        continue  # an error may name the method
                    self.assertEqual(head.headers.get(name), got.headers.get(name), name)
                self.assertIsNotNone(head["Content-Length"])
        self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_other_methods(self):
        """A method that a path does not have is 405 with Allow, in the shape of errors of its place."""
        for path, methods in self.ROUTES.items():
            for method in ({"GET", "POST", "PUT", "DELETE", "PATCH"} - methods):
                with self.subTest(path=path, method=method):
                    answer = self.ask(method, path, b"" if method != "GET" else None)
                    self.assert_error(answer, 405, model_api=self.model_api(path))
                    self.assert_allows(answer, methods)

    def test_methods_that_are_not_known(self):
        """An unknown method is 405 too; TRACE and CONNECT do nothing."""
        for method in ("BREW", "get", "TRACE", "LOCK", "X" * 30):
            with self.subTest(method):
                self.assert_error(self.ask(method, "/health"), 405, 501)
        self.assert_error(self.connect().send(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n").read("GET"), 400, 404, 405,
                          501)
        self.assert_refused(b"X" * 70_000 + b" /health HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN, 400, 405, 431, 501)

    def test_options(self):
        """OPTIONS lists the methods of a path, is accepted for `*`, and fails for an unknown path."""
        connection = self.connect()
        for path, methods in self.ROUTES.items():
            with self.subTest(path):
                answer = connection.ask("OPTIONS", path)
                self.assertIn(answer.status, (200, 204))
                self.assertEqual(answer.body, b"")
                self.assert_allows(answer, methods)
        self.assertIn(connection.ask("OPTIONS", "*").status, (200, 204))
        self.assert_error(connection.ask("OPTIONS", "/nothing"), 404)
        self.assert_error(connection.ask("GET", "*"), 400, 404)

    def test_paths_that_are_not_there(self):
        """An unknown path is 404 for every method, and the error names the path."""
        for path, model_api in (("/nothing", False), ("/", False), ("/api/v1/tasks/", False), ("/api/v2/tasks", False),
                                ("//health", False), ("/v1/nothing", True), ("/openai/v1/nothing", True)):
            for method in ("GET", "POST", "PUT", "DELETE"):
                with self.subTest(path=path, method=method):
                    answer = self.ask(method, path, None if method == "GET" else b"")
                    self.assertIn(path, self.assert_error(answer, 404, model_api=model_api))

    def test_dots_in_paths(self):
        """Dots and escapes in a path reach nothing else, and nothing outside."""
        for path in ("/api/v1/artifacts/../../../../etc/passwd", "/../etc/passwd",
                     "/api/v1/artifacts/..%2f..%2fedgefleet.db",
                     "/api/v1/artifacts/%2e%2e", "/%00", "/health%00", "/health%2f", "/%zz", "/%", "/health%"):
            with self.subTest(path):
                self.assert_error(self.ask("GET", path), 400, 404)
        self.assertEqual(self.ask("GET", "/%68ealth").status, 200)  # the same path, by RFC 3986, 6.2.2.2


class Targets(HttpCase):
    def test_absolute_form(self):
        """A target with scheme and host, as a client sends it to a proxy, is its path and query."""
        connection = self.connect()
        for host in ("x", f"127.0.0.1:{self.port}", "[::1]:7001", "HOST.example"):
            self.assertEqual(connection.ask("GET", f"http://{host}/health").status, 200, host)
        self.assertEqual(connection.ask("GET", "HTTP://x/health").status, 200)
        self.assert_error(connection.ask("GET", "http://x/api/v1/tasks?limit=x"), 422)
        self.assert_error(connection.ask("GET", "http://x/v1/nothing"), 404, model_api=True)
        self.assertEqual(connection.ask("POST", "http://x/api/v1/tasks", task_body("absolute")).status, 202)
        for target in ("http://x", "http://x/", "http://x?a=b"):
            self.assert_error(connection.ask("GET", target), 404)

    def test_absolute_form_of_a_foreign_page(self):
        """The host in the target does not bypass the checks of a page's origin and of the host."""
        for target, host in (("http://evil.example/health", "evil.example"),
                             ("http://evil.example/health", f"127.0.0.1:{self.port}")):
            data = request("GET", target, None, "Origin: http://evil.example", host=host)
            self.assert_error(self.connect().send(data).read(), 421 if host == "evil.example" else 403)

    def test_queries(self):
        """A query may be escaped, empty, repeated or no query at all."""
        connection = self.connect()
        for query in ("", "?", "?&&", "?a", "?=", "?limit=1", "?%6cimit=1", "?limit=1&x=%zz", "?x=a+b%20c",
                      "?" + "a&" * 500):
            self.assertEqual(connection.ask("GET", "/api/v1/tasks" + query).status, 200, query)
        for query in ("?limit=0", "?limit=%30", "?%6c%69mit=x"):
            self.assert_error(connection.ask("GET", "/api/v1/tasks" + query), 422)

    def test_upgrades_are_not_followed(self):
        """A client that offers HTTP/2 or a WebSocket gets its answer in HTTP/1.1."""
        connection = self.connect()
        for lines in (("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
                      ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
                       "Sec-WebSocket-Version: 13")):
            answer = connection.ask("GET", "/health", None, *lines)
            self.assertEqual((answer.status, answer.interim), (200, []))


class Expectations(HttpCase):
    """`Expect: 100-continue`: the client sends its body after the server's 100."""

    EXPECT = "Expect: 100-continue"

    def head(self, method, target, length, *lines, version="1.1"):
        return request(method, target, None, self.EXPECT, f"Content-Length: {length}", *lines, version=version)

    def test_go_on(self):
        """100 comes before the body, for each way to send one, and the answer after it."""
        body = task_body("expected")
        connection = self.connect()
        for head, content in ((self.head("POST", "/api/v1/tasks", len(body)), body),
                              (chunked_request("/api/v1/tasks", b"", self.EXPECT), chunks(body)),
                              (self.head("POST", "/api/v1/tasks", len(body)).replace(b"100-c", b"100-C"), body)):
            connection.send(head)
            self.assertEqual(connection.read_head().status, 100)
            answer = connection.send(content).read()
            self.assertEqual((answer.status, answer.interim), (202, []))
        connection.send(self.head("PUT", "/api/v1/artifacts", 5))
        self.assertEqual(connection.read_head().status, 100)
        self.assertIn(connection.send(b"12345").read().status, (200, 201))

    def test_a_body_that_does_not_wait(self):
        """A client may send its body without waiting, and one without a body gets only the answer."""
        body = task_body("hasty")
        connection = self.connect()
        for data, status in ((self.head("POST", "/api/v1/tasks", len(body)) + body, 202),
                             (request("GET", "/health", None, self.EXPECT), 200),
                             (self.head("POST", "/api/v1/agents/a/drain", 0), 404)):
            answer = connection.send(data).read()
            self.assertEqual(answer.status, status)
        self.assertEqual(connection.ask("GET", "/health").interim, [])

    def test_a_refusal_instead(self):
        """A request refused by its head is refused at once: no body is requested."""
        for head, statuses in ((self.head("POST", "/api/v1/tasks", MOST_BODY + 1), (413,)),
                               (self.head("POST", "/nothing", 5), (404,)),
                               (self.head("PUT", "/api/v1/tasks", 5), (405,)),
                               (self.head("POST", "/api/v1/tasks", 5, "Origin: http://evil.example"), (403,)),
                               (self.head("POST", "/api/v1/tasks", 5, "Content-Encoding: br"), (415,)),
                               (self.head("POST", "/api/v1/tasks", 5, "Content-Type: multipart/form-data; boundary=b"),
                                (415,))):
            with self.subTest(head=head):
                connection = self.connect().send(head)
                answer = connection.read()
                self.assert_error(answer, *statuses)
                self.assertEqual(answer.interim, [])
                if "close" in answer.tokens("Connection"):
                    self.assertTrue(connection.ended())
                else:  # then the body is read and discarded
                    self.assertNotEqual(answer.status, 413)
                    self.assertEqual(connection.send(b"12345").ask("GET", "/health").status, 200)

    def test_http_1_0(self):
        """A client of HTTP/1.0 gets no 100."""
        body = task_body("old")
        connection = self.connect().send(self.head("POST", "/api/v1/tasks", len(body), version="1.0") + body)
        answer = connection.read()
        self.assertEqual((answer.status, answer.interim), (202, []))

    def test_other_expectations(self):
        """Another expectation is 417, or has no effect."""
        self.assertIn(self.ask("GET", "/health", None, "Expect: tea").status, (200, 417))


class Errors(HttpCase):
    COORDINATOR = ("--max-artifact-mb", "1")

    def test_bodies_that_are_too_large(self):
        """Over 64 MiB is 413: by its length before it is sent, in chunks when it reaches the bound."""
        for target, model_api in (("/api/v1/tasks", False), ("/v1/chat/completions", True)):
            self.assert_refused(request("POST", target, None, f"Content-Length: {MOST_BODY + 1}"), 413,
                                model_api=model_api)
            piece = chunks(bytes(MEBIBYTE))[:-5]
            connection = self.connect(timeout=20).send(chunked_request(target, b""))
            for _ in range(66):
                connection.send_what_it_takes(piece)
            self.assert_error(connection.read(), 413, model_api=model_api)

    def test_uploads_that_are_too_large(self):
        """An upload over its bound is 413, with a length or in chunks."""
        content = bytes(2 * MEBIBYTE)
        for data in (request("PUT", "/api/v1/artifacts", content),
                     chunked_request("/api/v1/artifacts", chunks(content), method="PUT")):
            self.assert_error(self.connect().send_what_it_takes(data).read(), 413)

    def test_shapes(self):
        """Every error, also the server's own, is problem+json with its own status; below /v1 in OpenAI's shape."""
        form = "Content-Type: multipart/form-data; boundary=b"
        for root, model_api in (("/api/v1/tasks", False), ("/v1/chat/completions", True),
                                ("/openai/v1/completions", True)):
            for data, statuses in ((request("POST", root + "/x/y/z", b"{}"), (404,)), (request("DELETE", root), (405,)),
                                   (request("POST", root, b"--b--", form), (415,)),
                                   (request("POST", root, b"{"), (400, 422)),
                                   (chunked_request(root, b"zz\r\n"), (400,)),
                                   (request("POST", root, None, "Content-Length: x"), (400,)),
                                   (request("POST", root, b"{}", "Origin: http://evil.example"), (403,)),
                                   (request("POST", root, None, "Content-Length: 99999999999"), (413,)),
                                   (request("POST", root, None, "X-A: " + "b" * 70_000), (431,))):
                with self.subTest(root=root, data=data[:80], statuses=statuses):
                    connection = self.connect().send_what_it_takes(data)
                    self.assert_error(connection.read(), *statuses, model_api=model_api)

    def test_request_ids(self):
        """Every answer has an X-Request-Id: the client's own if it is valid, otherwise a new one."""
        connection = self.connect()
        artifact = "/api/v1/artifacts/" + self.stored_artifact(b"x" * 100)
        asked = [("GET", "/health", ()), ("HEAD", "/health", ()), ("OPTIONS", "/health", ()), ("DELETE", "/health", ()),
                 ("GET", "/nothing", ()),
                 ("GET", "/v1/models", ()), ("GET", artifact, ("Range: bytes=0-1",)),
                 ("GET", artifact, ("Range: bytes=100-",)),
                 ("GET", artifact, ("If-None-Match: *",)), ("GET", "/health", ("Origin: http://evil.example",))]
        seen = []
        for method, path, lines in asked:
            answer = connection.ask(method, path, None, *lines)
            self.assertRegex(answer["X-Request-Id"] or "", r"\A[A-Za-z0-9._:-]{8,128}\Z", answer)
            seen.append(answer["X-Request-Id"])
            if "close" in answer.tokens("Connection"):
                connection = self.connect()
        self.assertEqual(len(set(seen)), len(asked))
        for own in ("5f0c6a9e-1d1f-4f1e-9d55-8f0b0f6f3a11", UNKNOWN_ID, "req_abc.123-4", "a" * 64):
            for path in ("/health", "/nothing"):
                self.assertEqual(self.ask("GET", path, None, f"X-Request-Id: {own}")["X-Request-Id"], own)
        for rubbish in ("", " ", "a b", "<script>", '"', "a\tb", "\xff\xfe", "a" * 1000, "a;b", "${jndi:x}"):
            given = self.ask("GET", "/health", None, f"X-Request-Id: {rubbish}")["X-Request-Id"]
            self.assertNotEqual(given, rubbish)
            self.assertRegex(given, r"\A[A-Za-z0-9._:-]{8,128}\Z")
        self.assertTrue(self.ask("GET", "/health", None, "X-Request-Id: abcdefgh-1",
                                 "X-Request-Id: abcdefgh-2")["X-Request-Id"])

    def test_pages_of_other_sites(self):
        """Another Origin is 403 for every method and path, and gets no CORS headers."""
        own = f"127.0.0.1:{self.port}"
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            for path in ("/health", "/api/v1/tasks", "/nothing"):
                answer = self.connect().send(request(method, path, b"" if method == "POST" else None,
                                                     "Origin: http://evil.example", host=own)).read()
                self.assert_error(answer, 403)
                self.assertIsNone(answer["Access-Control-Allow-Origin"])
        self.assertEqual(self.connect().send(request("GET", "/health", None, f"Origin: http://{own}",
                                                     host=own)).read().status, 200)


class AllowedPages(HttpCase):
    COORDINATOR = ("--allow-origin", "http://chat.example:3000")

    def test_a_preflight_and_what_follows(self):
        """A page that may use the API gets CORS headers in the preflight, in answers and in errors."""
        origin = "http://chat.example:3000"
        connection = self.connect()
        answer = connection.ask("OPTIONS", "/api/v1/tasks", None, f"Origin: {origin}",
                                "Access-Control-Request-Method: POST",
                                "Access-Control-Request-Headers: content-type")
        self.assertEqual((answer.status, answer["Access-Control-Allow-Origin"]), (204, origin))
        self.assertIn("POST", answer.tokens("Access-Control-Allow-Methods"))
        for method, path, body in (("POST", "/api/v1/tasks", task_body("page")), ("GET", "/nothing", None),
                                   ("DELETE", "/health", None)):
            answer = connection.ask(method, path, body, f"Origin: {origin}")
            self.assertEqual(answer["Access-Control-Allow-Origin"], origin)
            self.assertIn("Origin", answer.tokens("Vary"))


class Listening(ContractCase):
    """The addresses of the coordinator. The logged address can be opened."""

    def printed(self, listen):
        command = [part if part != f"127.0.0.1:{self.fleet.http_port}" else listen
                   for part in self.fleet.coordinator_command()]
        self.fleet.coordinator.terminate()
        process = self.fleet.start("coordinator", command)
        found = wait_until(lambda: re.search(r"http://(\S+):(\d+)\b", process.log()) or not process.alive(),
                           what="the address is logged")
        self.assertTrue(process.alive(), process.log())
        self.fleet.coordinator = process
        return found[1], int(found[2])

    def health(self, host, port):
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(request("GET", "/health", None, "Connection: close"))
            return connection.makefile("rb").readline()

    def test_addresses(self):
        """IPv4, IPv6 and localhost, each with any free port."""
        for listen in ("127.0.0.1:0", "[::1]:0", "localhost:0"):
            with self.subTest(listen):
                host, port = self.printed(listen)
                self.assertNotEqual(port, 0)
                self.assertEqual(host.startswith("["), ":" in host, "an IPv6 address is in brackets in a URL")
                self.assertIn(b" 200 ", self.health(host.strip("[]"), port))


@unittest.skipUnless(shutil.which("curl"), "there is no curl here")
class Curl(HttpCase):
    def curl(self, *args, stdin=b""):
        done = subprocess.run(["curl", "-sS", "-i", "--max-time", "20", "--noproxy", "*", *args], input=stdin,
                              capture_output=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def test_plain_use(self):
        """curl uses GET, POST, HEAD and HTTP/1.0, offers HTTP/2 and reuses its connection."""
        self.assertIn(b" 200 ", self.curl(self.url("/health")))
        self.assertIn(b" 202 ", self.curl("--data-binary", task_body("curl").decode(), self.url("/api/v1/tasks")))
        for option in ("-I", "-0", "--http1.1", "--http2", "--compressed"):
            self.assertIn(b" 200 ", self.curl(option, self.url("/health")), option)
        self.assertEqual(self.curl(self.url("/health"), self.url("/health")).count(b" 200 "), 2)
        self.assertIn(b" 404 ", self.curl("--path-as-is", self.url("/api/v1/artifacts/../x")))

    def test_files(self):
        """curl uploads after a 100, in chunks or with a length, resumes, and gets an error for a form."""
        content = random.Random(5).randbytes(3 * MEBIBYTE)
        file = self.fleet.dir / "upload"
        file.write_bytes(content)
        for options in ((), ("-H", "Transfer-Encoding: chunked")):
            began = time.monotonic()
            answer = self.curl("-T", str(file), *options, "-H", "Expect: 100-continue", self.url("/api/v1/artifacts"))
            self.assertRegex(answer, rb"\AHTTP/1.1 100 ")
            self.assertLess(time.monotonic() - began, 5)
        artifact = json.loads(answer.split(b"\r\n\r\n")[-1])["id"]
        part = self.curl("-r", "1000-", self.url(f"/api/v1/artifacts/{artifact}"))
        self.assertIn(b" 206 ", part)
        self.assertTrue(part.endswith(content[1000:]))
        for expect in ((), ("-H", "Expect:")):
            self.assertIn(b" 415 ", self.curl("-F", f"file=@{file}", *expect, self.url("/api/v1/tasks")))


NODE_SCRIPT = """
const base = process.argv[1];
const big = new Blob([new Uint8Array(3 << 20)]);
const form = new FormData();
form.append('file', big);
const json = {'Content-Type': 'application/json'};
const asked = {
  health: ['/health'],
  head: ['/health', {method: 'HEAD'}],
  missing: ['/nothing'],
  method: ['/health', {method: 'DELETE'}],
  task: ['/api/v1/tasks', {method: 'POST', headers: json, body: '{"capability":"nobody.offers"}'}],
  upload: ['/api/v1/artifacts', {method: 'PUT', body: big}],
  stream: ['/api/v1/artifacts', {method: 'PUT', body: big.stream(), duplex: 'half'}],
  form: ['/api/v1/tasks', {method: 'POST', body: form}],
  unwanted: ['/nothing', {method: 'POST', body: big}],
  chat: ['/v1/chat/completions', {method: 'POST', headers: json, body: '{}'}],
};
const seen = {};
for (let turn = 0; turn < 3; ++turn) {
  for (const [name, [path, options]] of Object.entries(asked)) {
    try {
      const body = options?.body === undefined || typeof options.body === 'string' ? options :
          {...options, body: name === 'stream' ? big.stream() : options.body};
      const answer = await fetch(base + path, body);
      await answer.arrayBuffer();
      (seen[name] ??= []).push(answer.status);
    } catch (error) {
      (seen[name] ??= []).push(String(error.cause ?? error));
    }
  }
}
console.log(JSON.stringify(seen));
"""


@unittest.skipUnless(shutil.which("node"), "there is no node here")
class Node(HttpCase):
    def test_fetch(self):
        """Node's fetch, which keeps its connections, gets each answer, also for refused bodies."""
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
        if int(version.lstrip("v").split(".")[0]) < 18:
            self.skipTest(f"node {version} has no fetch")
        done = subprocess.run(["node", "--input-type=module", "-e", NODE_SCRIPT, f"http://127.0.0.1:{self.port}"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        wanted = {"health": {200}, "head": {200}, "missing": {404}, "method": {405}, "task": {202},
                  "upload": {200, 201},
                  "stream": {200, 201}, "form": {415}, "unwanted": {404}, "chat": {400}}
        seen = json.loads(done.stdout)
        for name, statuses in wanted.items():
            with self.subTest(name):
                self.assertEqual(len(seen[name]), 3)
                self.assertLessEqual(set(seen[name]), statuses)


if __name__ == "__main__":
    unittest.main()

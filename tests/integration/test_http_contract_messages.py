"""The HTTP contract, messages: each request is read correctly or refused, however its bytes arrive."""

import threading
import time
import unittest

from http_contract import (HIDDEN, MEBIBYTE, MOST_HEAD, Connection, HttpCase, chunked_request, chunks, request, slow,
                           task_body)
from support import SANITIZED

CHUNKED = "Transfer-Encoding: chunked"


class Pieces(HttpCase):
    """TCP may cut a request anywhere."""

    def post_in_two(self, label, make):
        """Sends `make(name)` cut at every byte; the second part only when the server has read the first."""
        connection = self.connect()
        names = []
        for cut in range(1, len(make("cut-000"))):
            name = f"{label}-{cut:03}"
            data = make(name)
            connection.send(data[:cut]).server_has_read().send(data[cut:])
            answer = connection.read()
            self.assertEqual(answer.status, 202, (data[:cut], answer))
            names.append(name)
        stored = {task.get("name") for task in self.api.good("GET", "/api/v1/tasks?limit=1000")["tasks"]}
        self.assertEqual(set(names) - stored, set())

    def test_a_post_cut_at_every_byte(self):
        """A POST that arrives in two parts, cut anywhere, is read completely."""
        self.post_in_two("cut", lambda name: request("POST", "/api/v1/tasks", task_body(name)))

    def test_a_chunked_post_cut_at_every_byte(self):
        """A POST in chunks, with an extension and a trailer, is read completely too."""
        def make(name):
            body = task_body(name)
            return chunked_request("/api/v1/tasks", chunks(body[:9], body[9:], extension=b";a=b",
                                                           trailers=b"X-T: 1\r\n"))

        self.post_in_two("chunk", make)

    def test_byte_by_byte(self):
        """A request may arrive byte by byte."""
        connection = self.connect()
        body = task_body("bytes")
        for data in (request("POST", "/api/v1/tasks", body), chunked_request("/api/v1/tasks",
                                                                             chunks(body[:1], body[1:]))):
            for byte in data:
                connection.send(bytes([byte])).server_has_read()
            self.assertEqual(connection.read().status, 202)
        self.assertEqual(len(self.tasks_named("bytes")), 2)

    def test_two_requests_cut_at_every_byte(self):
        """Where one request ends and the next begins does not depend on how they are cut."""
        data = request("POST", "/api/v1/agents/a/drain", b"{}") + request("GET", "/api/v1/agents/b")
        for cut in range(40, len(data)):
            connection = self.connect().send(data[:cut]).server_has_read().send(data[cut:])
            details = [connection.read().json()["detail"] for _ in range(2)]
            self.assertEqual(details, ["agent a is not known", "agent b is not known"], data[:cut])


class Chunks(HttpCase):
    def test_forms(self):
        """Chunks may have upper-case and padded sizes, extensions and trailers, and be any number."""
        body = task_body("chunks", input="x" * 200)
        half = len(body) // 2
        forms = {
            "one": chunks(body),
            "two": chunks(body[:half], body[half:]),
            "single bytes": chunks(*(bytes([byte]) for byte in body)),
            "upper case, padded": b"0000%X\r\n%s\r\n000\r\n\r\n" % (len(body), body),
            "extensions": chunks(body, extension=b';name;a=b;c="d e;f"'),
            "trailers": chunks(body, trailers=b"X-One: 1\r\nX-Two: 2\r\n"),
        }
        connection = self.connect()
        for number, (form, content) in enumerate(forms.items(), 1):
            with self.subTest(form):
                answer = connection.send(chunked_request("/api/v1/tasks", content)).read()
                self.assertEqual(answer.status, 202, answer)
                self.assertEqual(self.api.task(answer.json()["id"])["input"], "x" * 200)
                self.assertEqual(len(self.tasks_named("chunks")), number)

    def test_framing_in_a_trailer(self):
        """A field that may not be a trailer, such as a length, is refused or has no effect."""
        content = chunks(b"{}", trailers=b"Content-Length: 3\r\nTransfer-Encoding: gzip\r\nHost: y\r\n")
        connection = self.connect().send(chunked_request("/api/v1/tasks", content))
        self.assert_error(answer := connection.read(), 400, 422)
        if "close" in answer.tokens("Connection"):
            self.assertTrue(connection.ended())
        else:
            self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_bad_chunks(self):
        """An invalid chunk ends the request and the connection: the start of the next request is unknown."""
        good = b"2\r\n{}\r\n"
        for bad in (b"zz\r\n{}\r\n", b"-2\r\n{}\r\n", b"+2\r\n{}\r\n", b"0x2\r\n{}\r\n", b"\r\n{}\r\n", b" \r\n{}\r\n",
                    b"2 2\r\n{}\r\n", b"2\r\n{}X\r\n", b"2\r\n{}\n", b"2\r\n{}2\r\n{}\r\n", b"2\n{}\n", b";a\r\n{}\r\n",
                    b"2\x00\r\n{}\r\n", b"2;a\x00b\r\n{}\r\n", b"2;a\nb\r\n{}\r\n", b"\xff\r\n{}\r\n"):
            for before in (b"", good):
                with self.subTest(bad=bad, before=before):
                    content = before + bad + b"0\r\n\r\n" + HIDDEN
                    self.assert_refused(chunked_request("/api/v1/tasks", content), 400)

    def test_absurd_chunk_sizes(self):
        """A size beyond the bound, or beyond any number, is refused before its content arrives."""
        for size in (b"4000001", b"ffffffff", b"ffffffffffffffff", b"10000000000000000", b"10000000000000002",
                     b"f" * 200):
            with self.subTest(size=size):
                self.assert_refused(chunked_request("/api/v1/tasks", size + b"\r\n{}\r\n0\r\n\r\n" + HIDDEN), 400, 413)

    def test_endless_framing(self):
        """Extensions and trailers without an end are refused like a head without an end."""
        more = b"x" * (4 * MOST_HEAD)
        lines = b"X-A: " + b"y" * 1000 + b"\r\n"
        for content in (b"2;" + more, b"0" * len(more), b"2\r\n{}\r\n0\r\nX-A: " + more,
                        b"2\r\n{}\r\n0\r\n" + lines * (4 * MOST_HEAD // len(lines))):
            with self.subTest(content=content[:20]):
                self.assert_refused(chunked_request("/api/v1/tasks", content), 400, 413, 431)


class Framing(HttpCase):
    """Two lengths, or an invalid one: the body of such a request must not be read as the next request."""

    def post(self, *lines, content=HIDDEN, version="1.1"):
        return request("POST", "/api/v1/tasks", None, *lines, version=version) + content

    def test_lengths_that_are_none(self):
        """A Content-Length that is not a plain number is refused."""
        for length in ("-1", "+5", "x", "", "0x10", "5;", "5 5", "1e3", "5.0", "\xb2", "5,6", "5\t5", "\x005", "5\x00"):
            with self.subTest(length=length):
                self.assert_refused(self.post(f"Content-Length: {length}"), 400)

    def test_huge_lengths(self):
        """A length beyond any number, or beyond the bound, is refused before its body arrives."""
        for length in ((64 << 20) + 1, 2**31, 2**32, 2**32 + 2, 2**63, 2**64 - 1, 2**64, 2**64 + 2, 10**40):
            with self.subTest(length=length):
                self.assert_refused(self.post(f"Content-Length: {length}", content=b"{}" + HIDDEN), 400, 413)

    def test_two_lengths(self):
        """Two different lengths are refused, in any form."""
        for lines in (("Content-Length: 0", f"Content-Length: {len(HIDDEN)}"),
                      (f"Content-Length: {len(HIDDEN)}", "Content-Length: 0"), (f"Content-Length: 0, {len(HIDDEN)}",),
                      ("Content-Length: 0", "X-A: b", "content-length: 2"), ("Content-Length: 2", "Content-Length: x")):
            with self.subTest(lines=lines):
                self.assert_refused(self.post(*lines), 400)

    def test_the_same_length_twice(self):
        """The same length twice is refused, or is that length."""
        body = b"not a task"
        for lines in ((f"Content-Length: {len(body)}",) * 2, (f"Content-Length: {len(body)}, {len(body)}",)):
            with self.subTest(lines=lines):
                connection = self.connect().send_what_it_takes(self.post(*lines, content=body))
                self.assert_error(answer := connection.read(), 400, 422)
                if "close" in answer.tokens("Connection"):
                    self.assertTrue(connection.ended())
                else:
                    self.assertEqual(connection.ask("GET", "/health").status, 200)
        self.assert_nothing_smuggled()

    def test_a_length_and_chunks(self):
        """Content-Length beside Transfer-Encoding is refused, whichever is first."""
        hidden_in_chunks = chunks(HIDDEN)
        for length in (0, 5, len(hidden_in_chunks)):
            for lines in ((f"Content-Length: {length}", CHUNKED), (CHUNKED, f"Content-Length: {length}")):
                for content in (b"0\r\n\r\n" + HIDDEN, hidden_in_chunks):
                    with self.subTest(lines=lines, content=content[:3]):
                        self.assert_refused(self.post(*lines, content=content), 400)

    def test_codings_that_are_not_known(self):
        """A Transfer-Encoding that is not exactly `chunked` is refused."""
        for coding in ("gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "xchunked",
                       "chunked;q=1",
                       "\x0bchunked", "chunked\x00", '"chunked"', ""):
            with self.subTest(coding=coding):
                self.assert_refused(self.post(f"Transfer-Encoding: {coding}", content=b"0\r\n\r\n" + HIDDEN), 400, 501)
        with self.subTest("two lines"):
            self.assert_refused(self.post(CHUNKED, "Transfer-Encoding: identity", content=b"0\r\n\r\n" + HIDDEN), 400,
                                501)
        with self.subTest("HTTP/1.0"):
            self.assert_refused(self.post(CHUNKED, content=b"0\r\n\r\n" + HIDDEN, version="1.0"), 400, 501)

    def test_coding_names_have_no_case(self):
        """`Chunked` is `chunked`, with blanks around it too."""
        for coding in ("Chunked", "CHUNKED", " \tchunked \t"):
            answer = self.ask_raw(f"Transfer-Encoding:{coding}", content=chunks(task_body("case")))
            self.assertEqual(answer.status, 202, answer)

    def ask_raw(self, *lines, content):
        return self.connect().send(self.post(*lines, content=content)).read()

    def test_folded_lines(self):
        """A folded header line is refused, or is one line: a request has only one interpretation."""
        for lines, body in ((("X-A: b\r\n Transfer-Encoding: chunked", "Content-Length: 2"), b"{}"),
                            (("X-A: b\r\n\tContent-Length: 99", "Content-Length: 2"), b"{}"),
                            ((CHUNKED, "X-A: b\r\n c"), b"2\r\n{}\r\n0\r\n\r\n")):
            with self.subTest(lines=lines):
                connection = self.connect().send_what_it_takes(self.post(*lines, content=body))
                self.assert_error(answer := connection.read(), 400, 422)
                if answer.status == 400:
                    self.assertTrue(connection.ended())
                else:
                    self.assertEqual(connection.ask("GET", "/health").status, 200)
        self.assert_refused(self.post("Content-Length: 0\r\n 0", content=HIDDEN), 400)

    def test_no_body_without_a_length(self):
        """A POST without a length has no body: what follows is the next request."""
        connection = self.connect().send(request("POST", "/api/v1/tasks") + request("GET", "/health"))
        self.assert_error(connection.read(), 400, 411, 422)
        self.assertEqual(connection.read().status, 200)

    def test_a_get_with_a_body(self):
        """The body of a GET is read as a body or refused, and never as a request."""
        for data in (request("GET", "/health", HIDDEN), chunked_request("/health", chunks(HIDDEN), method="GET"),
                     request("HEAD", "/health", HIDDEN), request("OPTIONS", "/health", HIDDEN),
                     request("DELETE", "/health", HIDDEN)):
            with self.subTest(data=data[:20]):
                method = data.split()[0].decode()
                connection = self.connect().send_what_it_takes(data)
                answer = connection.read(method)
                self.assertIn(answer.status, (200, 204, 400, 405, 422))
                if "close" in answer.tokens("Connection"):
                    self.assertTrue(connection.ended())
                else:
                    self.assertEqual(connection.ask("GET", "/api/v1/agents/a").json()["detail"], "agent a is not known")
                self.assert_nothing_smuggled()


class Heads(HttpCase):
    def test_request_lines_that_are_none(self):
        """A first line that is not METHOD SP TARGET SP VERSION is refused."""
        for line in (b"GET", b"GET /health", b"/health HTTP/1.1", b"GET /health HTTP/1.1x",
                     b"GET /health http/1.1",
                     b"GET /health HTTP/11", b"GET /health HTTP/1.", b"GET /health HTTP", b"GET /health FTP/1.1",
                     b"GET /hea lth HTTP/1.1", b"GET /health\x00 HTTP/1.1", b"GET /\x01 HTTP/1.1",
                     b"G\x00T /health HTTP/1.1",
                     b"G(T /health HTTP/1.1", b"GET health HTTP/1.1", b"\xff\xff\xff", b"\x00\x00\x00"):
            with self.subTest(line=line):
                self.assert_refused(line + b"\r\nHost: x\r\n\r\n" + HIDDEN, 400)

    def test_other_blanks_in_a_request_line(self):
        """Several blanks, or tabs, are refused or read as RFC 9112, 3 permits."""
        for line in (b"GET  /health HTTP/1.1", b"GET /health  HTTP/1.1", b"GET\t/health\tHTTP/1.1",
                     b" GET /health HTTP/1.1", b"GET /health HTTP/1.1 "):
            with self.subTest(line=line):
                connection = self.connect().send_what_it_takes(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertIn([answer.status for answer in connection.read_all()], ([200], [400]))

    def test_other_versions(self):
        """Other versions of HTTP are refused: 505, or 400."""
        for version in (b"0.9", b"2.0", b"3.0", b"9.9"):
            with self.subTest(version=version):
                self.assert_refused(b"GET /health HTTP/" + version + b"\r\nHost: x\r\n\r\n" + HIDDEN, 400, 505)

    def test_other_protocols(self):
        """HTTP/2, TLS and other protocols are refused."""
        start = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"
        hello = start + bytes(range(32)) + b"\x00\x00\x02\x13\x01\x01\x00\r\n\r\n"
        for start in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", hello, b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
                      b"\x10\x0c\x00\x04MQTT\x05\r\n\r\n"):
            with self.subTest(start=start[:10]):
                self.assert_refused(start, 400, 505)

    def test_header_lines_that_are_none(self):
        """A header line that is not NAME: VALUE is refused, with any hidden content."""
        for line in (b"X-A", b": b", b"X A: b", b"X-A : b", b"X-A\t: b", b"X\x00A: b", b"X-A: b\x00c", b"X-A: b\x01c",
                     b"X-A: b\x7fc", b"X-A: b\rX-B: c", b"X-A: b\nX-B: c", b"X-(A): b", b"X-\xc3\xa4: b", b"\xff\xff",
                     b"Content-Length : 0", b"Transfer-Encoding : chunked", b"Transfer-Encoding\x0b: chunked"):
            for place in (b"Host: x\r\n" + line, line + b"\r\nHost: x"):
                with self.subTest(place=place):
                    self.assert_refused(b"GET /health HTTP/1.1\r\n" + place + b"\r\n\r\n" + HIDDEN, 400)

    def test_line_ends(self):
        """A line that ends with only LF or CR cannot hide another line."""
        for head in (b"GET /health HTTP/1.1\nHost: x\n\n", b"GET /health HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
                     b"GET /health HTTP/1.1\rHost: x\r\r", b"GET /health HTTP/1.1\r\nHost: x\r\n\n",
                     b"GET /health HTTP/1.1\r\nHost: x\r\n\r \n"):
            with self.subTest(head=head):
                connection = self.connect().send_what_it_takes(head + request("GET", "/health", None,
                                                                              "Connection: close"))
                statuses = [answer.status for answer in connection.read_all()]
                self.assertIn(statuses, ([400], [200, 200]))  # as RFC 9112, 2.2 permits LF

    def test_values_of_other_encodings(self):
        """Bytes above ASCII in a value are opaque, and a value may be empty."""
        connection = self.connect()
        for value in (b"\xc3\xa4", b"\xff", b"", b" \t ", b'"', b"a" * 8000):
            connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\nX-A:" + value + b"\r\n\r\n")
            self.assertEqual(connection.read().status, 200, value)

    def test_hosts(self):
        """HTTP/1.1 has exactly one Host; HTTP/1.0 needs none."""
        for hosts in ([], [b"Host: x", b"Host: y"], [b"Host: x", b"Host: x"], [b"Host: a b"], [b"Host: x/y"],
                      [b"Host: u@x"]):
            with self.subTest(hosts=hosts):
                self.assert_refused(b"\r\n".join([b"GET /health HTTP/1.1", *hosts]) + b"\r\n\r\n" + HIDDEN, 400)
        for host in ("x", "x:7001", "[::1]:7001", "127.0.0.1"):
            self.assertEqual(self.connect().send(request("GET", "/health", host=host)).read().status, 200, host)
        self.assertEqual(self.connect().send(request("GET", "/health", host=None, version="1.0")).read().status, 200)

    def test_empty_lines_before_a_request(self):
        """An empty line before a request is ignored: some clients send one after a body."""
        connection = self.connect()
        for _ in range(2):
            self.assertEqual(connection.send(b"\r\n" + request("GET", "/health")).read().status, 200)
        connection.send(request("POST", "/api/v1/tasks", task_body("line")) + b"\r\n")
        self.assertEqual(connection.read().status, 202)
        self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_a_large_head(self):
        """A head of 60 KiB is read, in many lines or in one; each head of a connection has the whole bound."""
        connection = self.connect()
        for lines in ([f"X-{n}: " + "b" * 1000 for n in range(60)], ["X-A: " + "b" * 60_000]):
            for _ in range(2):
                self.assertEqual(connection.ask("GET", "/health", None, *lines).status, 200)

    def test_a_head_that_is_too_large(self):
        """A head above 64 KiB is 431, even before its end; below /v1 in OpenAI's shape."""
        line = b"X-A: " + b"b" * 1000 + b"\r\n"
        lines = line * (MOST_HEAD // len(line) + 2)
        for path, model_api in ((b"/health", False), (b"/v1/models", True), (b"/openai/v1/models", True)):
            for more in (lines, b"X-A: " + b"b" * (2 * MOST_HEAD), lines * 20):
                for end in (b"\r\n", b""):
                    with self.subTest(path=path, more=len(more), end=end):
                        self.assert_refused(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + more + end, 431,
                                            model_api=model_api)

    def test_a_long_target(self):
        """A target of 4 KiB is not found; one that has no end is refused as too long."""
        self.assert_error(self.ask("GET", "/" + "a" * 4000), 404, 414)
        self.assertEqual(self.ask("GET", "/health?" + "a=b&" * 1000).status, 200)
        self.assert_refused(b"GET /" + b"a" * (4 * MOST_HEAD), 414, 431)

    @slow
    def test_deadlines(self):
        """A head that comes too slowly is 408 after 30 s; meanwhile and after it a connection may be idle."""
        idle = self.connect(timeout=45)
        used = self.connect(timeout=45)
        self.assertEqual(used.ask("GET", "/health").status, 200)
        stalled = self.connect(timeout=45).send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-A: ")
        trickle = self.connect(timeout=45).send(b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: ")
        body = self.connect(timeout=45).send(b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        over = threading.Event()
        self.addCleanup(over.set)

        def send_slowly():
            while not over.wait(1):
                trickle.send_what_it_takes(b"b")

        sender = threading.Thread(target=send_slowly)
        sender.start()
        self.addCleanup(sender.join, 5)
        began = time.monotonic()
        for connection, model_api in ((stalled, True), (trickle, False), (body, False)):
            self.assert_error(connection.read(), 408, model_api=model_api)
            self.assertLess(time.monotonic() - began, 40)
            self.assertTrue(connection.ended())
        over.set()
        self.assertGreater(time.monotonic() - began, 25)
        for connection in (idle, used):
            self.assertEqual(connection.ask("GET", "/health").status, 200)


class Pipelining(HttpCase):
    """A client may send requests without waiting for the answers, which come in the same order."""

    def named(self, n):
        return request("GET", f"/api/v1/agents/a{n}")

    def assert_named(self, connection, n):
        self.assertEqual(connection.read().json()["detail"], f"agent a{n} is not known")

    def test_many_in_one_write(self):
        """Fifty requests in one write are answered in order."""
        connection = self.connect().send(b"".join(self.named(n) for n in range(50)))
        for n in range(50):
            self.assert_named(connection, n)
        self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_thousands(self):
        """Thousands of requests, sent while the answers are read, are answered in order too."""
        connection = self.connect()
        data = b"".join(self.named(n) for n in range(5000))
        sender = threading.Thread(target=connection.send, args=(data,))
        sender.start()
        for n in range(5000):
            self.assert_named(connection, n)
        sender.join(5)
        self.assertFalse(sender.is_alive())

    def test_behind_a_post(self):
        """Requests after bodies, with a length and in chunks, and after errors are answered in order."""
        body = task_body("pipelined")
        connection = self.connect().send(
            self.named(1) + request("POST", "/api/v1/tasks", body) + self.named(2)
            + chunked_request("/api/v1/tasks", chunks(body)) + self.named(3) + request("POST", "/api/v1/tasks",
                                                                                       b"no task")
            + request("HEAD", "/health") + self.named(4) + request("GET", "/health", None,
                                                                   "Connection: close") + self.named(5))
        self.assert_named(connection, 1)
        self.assertEqual(connection.read().status, 202)
        self.assert_named(connection, 2)
        self.assertEqual(connection.read().status, 202)
        self.assert_named(connection, 3)
        self.assert_error(connection.read(), 400, 422)
        self.assertEqual(connection.read("HEAD").status, 200)
        self.assert_named(connection, 4)
        self.assertEqual(connection.read().status, 200)
        self.assertTrue(connection.ended())
        self.assertEqual(len(self.tasks_named("pipelined")), 2)

    def test_behind_a_long_poll(self):
        """Requests after a long poll wait for its answer, and none is lost."""
        task = self.api.submit("nobody.offers")
        connection = self.connect().send(
            request("GET", f"/api/v1/tasks/{task}?wait=30") + self.named(1) + request("POST", "/api/v1/tasks",
                                                                                      task_body("behind")))
        connection.server_has_read()
        connection.send(self.named(2))
        self.api.post(f"/api/v1/tasks/{task}/cancel")
        self.assertEqual(connection.read().json()["state"], "cancelled")
        self.assert_named(connection, 1)
        self.assertEqual(connection.read().status, 202)
        self.assert_named(connection, 2)

    def test_much_behind_a_long_poll(self):
        """A megabyte of requests after a long poll is answered too."""
        task = self.api.submit("nobody.offers")
        connection = self.connect().send(request("GET", f"/api/v1/tasks/{task}?wait=30"))
        body = task_body("much", input="x" * 100_000)
        data = b"".join(request("POST", "/api/v1/tasks", body) for _ in range(10)) + self.named(1)
        sender = threading.Thread(target=connection.send, args=(data,))
        sender.start()
        self.api.post(f"/api/v1/tasks/{task}/cancel")
        self.assertEqual(connection.read().json()["state"], "cancelled")
        self.assertEqual([connection.read().status for _ in range(10)], [202] * 10)
        self.assert_named(connection, 1)
        sender.join(5)

    def test_a_client_that_never_reads(self):
        """The server stops reading from a client that reads no answers, and its memory does not grow."""
        self.assert_quick()
        before = self.fleet.coordinator.resident_bytes()
        connection = self.connect(receive_buffer=4096)
        connection.socket.settimeout(1)
        data = b"".join(request("GET", "/api/v1/tasks?limit=1000") for _ in range(1000))
        with self.assertRaises((TimeoutError, BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                connection.socket.sendall(data)
        if not SANITIZED:
            self.assertLess(self.fleet.coordinator.resident_bytes() - before, 64 * MEBIBYTE)
        self.assert_quick()


class Lifetime(HttpCase):
    """The lifetime of a connection, and its end."""

    def test_http_1_1_stays_open(self):
        """A connection of HTTP/1.1 carries one request after the other."""
        connection = self.connect()
        for _ in range(100):
            answer = connection.ask("GET", "/health")
            self.assertEqual(answer.status, 200)
            self.assertNotIn("close", answer.tokens("Connection"))

    def test_close(self):
        """`Connection: close` ends the connection after the answer, which has that header too."""
        for value in ("close", "Close", "x, close", "close, x"):
            connection = self.connect()
            answer = connection.ask("GET", "/health", None, f"Connection: {value}")
            self.assertEqual((answer.status, answer.tokens("Connection")), (200, {"close"}), value)
            self.assertTrue(connection.ended(), value)

    def test_http_1_0(self):
        """HTTP/1.0 closes after each answer, unless `keep-alive` was requested and is granted."""
        connection = self.connect().send(request("GET", "/health", version="1.0"))
        answer = connection.read()
        self.assertEqual((answer.status, answer.framing), (200, "length"))
        self.assertTrue(connection.ended())
        connection = self.connect()
        for _ in range(3):
            connection.send(request("GET", "/health", None, "Connection: Keep-Alive", version="1.0"))
            answer = connection.read()
            self.assertEqual((answer.status, {token.lower() for token in answer.tokens("Connection")}),
                             (200, {"keep-alive"}))

    def test_after_an_error(self):
        """An error leaves the connection open if its request was read completely."""
        connection = self.connect()
        for method, target, body in (("POST", "/api/v1/tasks", b"no task"), ("POST", "/api/v1/batches", b"[]"),
                                     ("POST", "/v1/chat/completions", b"{"), ("GET", "/nothing", None),
                                     ("GET", "/v1/nothing", None), ("GET", "/api/v1/tasks?limit=x", None),
                                     ("POST", "/api/v1/tasks/x/cancel", b"")):
            answer = connection.ask(method, target, body)
            self.assertGreaterEqual(answer.status, 400)
            self.assertNotIn("close", answer.tokens("Connection"), answer)
        self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_after_an_error_about_the_route(self):
        """An unknown path or method with a body of a few bytes leaves the connection open too."""
        connection = self.connect()
        for method, target in (("POST", "/nothing"), ("PUT", "/api/v1/tasks"), ("DELETE", "/api/v1/tasks"),
                               ("POST", "/v1/nothing")):
            answer = connection.ask(method, target, b"{}")
            self.assertIn(answer.status, (404, 405))
            if "close" in answer.tokens("Connection"):
                self.assertTrue(connection.ended())
                connection = self.connect()
        self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_the_answer_to_a_body_that_is_not_wanted(self):
        """A client whose body of megabytes is refused can send all of it, and then read the reason."""
        body = b"x" * (4 * MEBIBYTE)
        form = "Content-Type: multipart/form-data; boundary=b"
        cases = {"no such path": ("POST", "/nothing", (404,), ()),
                 "no such method": ("DELETE", "/api/v1/tasks", (404, 405), ()),
                 "a form": ("POST", "/api/v1/tasks", (415,), (form,)),
                 "an upload in a form": ("PUT", "/api/v1/artifacts", (415,), (form,)),
                 "a foreign page": ("POST", "/api/v1/tasks", (403,), ("Origin: http://evil.example",)),
                 "a coding": ("POST", "/api/v1/tasks", (415,), ("Content-Encoding: br",)),
                 "no task": ("POST", "/api/v1/tasks", (400, 413, 422), ())}
        for name, (method, target, statuses, lines) in cases.items():
            with self.subTest(name):
                connection = self.connect().send(request(method, target, body, *lines))
                self.assert_error(answer := connection.read(), *statuses)
                if "close" in answer.tokens("Connection"):
                    self.assertTrue(connection.ended())

    def test_idle_connections(self):
        """A connection that is idle for five seconds, used before or not, is still open."""
        fresh, used = self.connect(), self.connect()
        self.assertEqual(used.ask("GET", "/health").status, 200)
        for connection in (fresh, used):
            self.assertFalse(connection.ended(2.5), "the server has closed an idle connection")
        for connection in (fresh, used):
            connection.socket.settimeout(10)
            self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_connections_that_say_nothing(self):
        """Clients that connect and disconnect, in any way, do no harm."""
        for leave in (Connection.close, Connection.half_close, Connection.reset):
            for data in (b"", b"G", b"GET /health HTTP/1.1\r\n", request("POST", "/api/v1/tasks", b"x" * 100)[:-50]):
                connection = Connection(self.port).send(data)
                leave(connection)
                connection.close()
        self.assertEqual(self.ask("GET", "/health").status, 200)

    def test_a_half_close_behind_a_request(self):
        """A client that closes its side after a request (`| nc`) soon gets the answer, or the connection is closed."""
        for data in (request("GET", "/health"), request("POST", "/api/v1/tasks", task_body("half-closed"))):
            connection = self.connect(timeout=5).send(data)
            connection.half_close()
            self.assertIn([answer.status for answer in connection.read_all()], ([], [200], [202]))


if __name__ == "__main__":
    unittest.main()

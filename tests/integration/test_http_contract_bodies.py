"""The HTTP contract, bodies: requests in gzip, and files whole, in parts, or only if they have changed."""

import gzip
import hashlib
import random
import unittest
import zlib

from http_contract import MEBIBYTE, MOST_BODY, HttpCase, chunked_request, chunks, request, task_body
from support import SANITIZED


class Gzip(HttpCase):
    """Bodies with `Content-Encoding: gzip`."""

    CODED = "Content-Encoding: gzip"

    def post(self, body, *lines):
        return self.ask("POST", "/api/v1/tasks", body, *(lines or (self.CODED,)))

    def test_inflated(self):
        """A task in gzip is accepted, at any level, with a length or in chunks, and with the old name x-gzip."""
        body = task_body("gzip", input="x" * 100_000)
        connection = self.connect()
        for level in (0, 1, 9):
            packed = gzip.compress(body, level)
            for data in (request("POST", "/api/v1/tasks", packed, self.CODED),
                         request("POST", "/api/v1/tasks", packed, "content-encoding: GZIP"),
                         chunked_request("/api/v1/tasks", chunks(packed[:5], packed[5:]), self.CODED)):
                answer = connection.send(data).read()
                self.assertEqual(answer.status, 202, answer)
                self.assertEqual(self.api.task(answer.json()["id"])["input"], "x" * 100_000)
        self.assertEqual(self.post(body, "Content-Encoding: identity").status, 202)

    def test_cut_at_every_byte(self):
        """It may arrive in two parts, cut anywhere."""
        packed = gzip.compress(task_body("cut-gzip"))
        data = request("POST", "/api/v1/tasks", packed, self.CODED)
        connection = self.connect()
        for cut in range(len(data) - len(packed) + 1, len(data)):
            answer = connection.send(data[:cut]).server_has_read().send(data[cut:]).read()
            self.assertEqual(answer.status, 202, cut)

    def test_several_members(self):
        """Several members one after the other are one body, or an error: never only the first."""
        body = task_body("members", input="y" * 1000)
        answer = self.post(gzip.compress(body[:50]) + gzip.compress(body[50:]))
        if answer.status == 202:
            self.assertEqual(self.api.task(answer.json()["id"])["input"], "y" * 1000)
        else:
            self.assert_error(answer, 400)

    def test_no_gzip(self):
        """Invalid or truncated gzip is 400."""
        packed = gzip.compress(task_body("half"))
        wrong_sum = packed[:-8] + bytes(8)
        connection = self.connect()
        for bad in (task_body("plain"), packed[:-1], packed[:-8], packed[:20], packed[:5], b"", wrong_sum,
                    packed + b"more", zlib.compress(b"{}")):
            with self.subTest(bad=bad[:20], length=len(bad)):
                answer = connection.send(request("POST", "/api/v1/tasks", bad, self.CODED)).read()
                self.assert_error(answer, 400, *(() if bad else (422,)))  # an empty body is not a task either
                if "close" in answer.tokens("Connection"):
                    connection = self.connect()
        self.assertEqual(self.tasks_named("half") + self.tasks_named("plain"), [])
        self.assert_error(self.ask("POST", "/v1/chat/completions", b"plain", self.CODED), 400, model_api=True)

    def test_bombs(self):
        """The bound of a body applies to its inflated size: 413, and memory is not filled."""
        before = self.fleet.coordinator.resident_bytes()
        for size in (MOST_BODY + 1, 1024 * MEBIBYTE):
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            packed = b"".join(packer.compress(bytes(min(MEBIBYTE, size - at)))
                              for at in range(0, size, MEBIBYTE)) + packer.flush()
            connection = self.connect(timeout=20).send_what_it_takes(request("POST", "/api/v1/tasks", packed,
                                                                             self.CODED))
            self.assert_error(connection.read(), 413)
        if not SANITIZED:
            self.assertLess(self.fleet.coordinator.resident_bytes() - before, 256 * MEBIBYTE)
        self.assert_quick()

    def test_other_codings(self):
        """Another coding is 415, and the answer lists the supported ones."""
        for coding in ("br", "zstd", "deflate", "compress", "x", "gzip, br", ""):
            for path, model_api in (("/api/v1/tasks", False), ("/v1/chat/completions", True)):
                if coding:
                    with self.subTest(coding=coding, path=path):
                        answer = self.ask("POST", path, b"12345", f"Content-Encoding: {coding}")
                        self.assert_error(answer, 415, model_api=model_api)
                        self.assertIn("gzip", answer.tokens("Accept-Encoding"))
        self.assertIn(self.post(gzip.compress(task_body("x")), "Content-Encoding: x-gzip").status, (202, 415))

    def test_uploads(self):
        """An upload in gzip is stored inflated, or refused."""
        content = b"some content" * 1000
        answer = self.ask("PUT", "/api/v1/artifacts", gzip.compress(content), self.CODED)
        if answer.status in (200, 201):
            self.assertEqual(answer.json()["id"], "sha256-" + hashlib.sha256(content).hexdigest())
        else:
            self.assert_error(answer, 415)


class Files(HttpCase):
    """Artifacts in parts, and conditional requests."""

    SIZE = 100_000

    @classmethod
    def prepare(cls, fleet):
        cls.content = random.Random(3).randbytes(cls.SIZE)
        cls.path = "/api/v1/artifacts/" + fleet.api.request("PUT", "/api/v1/artifacts", cls.content).body["id"]
        cls.empty = "/api/v1/artifacts/" + fleet.api.request("PUT", "/api/v1/artifacts", b"").body["id"]

    def test_whole(self):
        """A whole file has its length, a strong ETag and Accept-Ranges; HEAD has everything but the bytes."""
        connection = self.connect()
        answer = connection.ask("GET", self.path)
        self.assertEqual((answer.status, answer.body, answer.framing), (200, self.content, "length"))
        self.assertRegex(answer["ETag"], r'\A"[^"]+"\Z')
        self.assertEqual(answer["Accept-Ranges"], "bytes")
        head = connection.ask("HEAD", self.path)
        self.assertEqual((head.status, head["Content-Length"], head["ETag"]), (200, str(self.SIZE), answer["ETag"]))

    def test_parts(self):
        """206 with exactly the requested bytes, and their position."""
        connection = self.connect()
        last = self.SIZE - 1
        for wanted, first, end in (("0-0", 0, 0), ("0-99", 0, 99), ("1-", 1, last), (f"{last}-", last, last),
                                   ("-1", last, last),
                                   ("-100", self.SIZE - 100, last), (f"-{self.SIZE + 5}", 0, last), ("0-", 0, last),
                                   (f"70000-{10**9}", 70_000, last), (f"5-{10**30}", 5, last),
                                   ("65535-65537", 65_535, 65_537)):
            with self.subTest(wanted):
                answer = connection.ask("GET", self.path, None, f"Range: bytes={wanted}")
                self.assertEqual((answer.status, answer["Content-Range"]), (206, f"bytes {first}-{end}/{self.SIZE}"))
                self.assertEqual(answer.body, self.content[first:end + 1])
        self.assertEqual(connection.ask("GET", self.path, None, "Range: BYTES=1-2").status in (200, 206), True)
        head = connection.ask("HEAD", self.path, None, "Range: bytes=0-9")
        self.assertIn((head.status, head["Content-Length"]), ((200, str(self.SIZE)), (206, "10")))

    def test_parts_that_are_not_there(self):
        """A part beyond the end is 416 with the length of the file; an empty file has no part."""
        connection = self.connect()
        for path, size, wanted in ((self.path, self.SIZE, f"{self.SIZE}-"),
                                   (self.path, self.SIZE, f"{self.SIZE + 1}-{10**30}"),
                                   (self.path, self.SIZE, "-0"), (self.empty, 0, "0-"), (self.empty, 0, "0-0")):
            with self.subTest(path=path, wanted=wanted):
                answer = connection.ask("GET", path, None, f"Range: bytes={wanted}")
                self.assert_error(answer, 416)
                self.assertEqual(answer["Content-Range"], f"bytes */{size}")
        self.assertIn(connection.ask("GET", self.empty, None, "Range: bytes=-5").status, (200, 416))

    def test_ranges_that_are_none(self):
        """An invalid range has no effect or is refused; another unit has no effect."""
        connection = self.connect()
        for value in ("bytes=5-1", "bytes=x", "bytes=-", "bytes=", "bytes", "bytes=1-2-3", "bytes=+1-2", "bytes=0x1-2",
                      "bytes=1.5-2", "bytes=--1", ""):
            with self.subTest(value):
                answer = connection.ask("GET", self.path, None, f"Range: {value}")
                if answer.status == 200:
                    self.assertTrue(answer.body == self.content)
                else:
                    self.assert_error(answer, 400, 416)
        answer = connection.ask("GET", self.path, None, "Range: items=0-1")
        self.assertEqual((answer.status, len(answer.body)), (200, self.SIZE))
        self.assertEqual(connection.ask("GET", "/health", None, "Range: bytes=0-1").status, 200)

    def test_several_parts(self):
        """Several parts may come as the whole file; a thousand of them cost no more than it."""
        connection = self.connect()
        for value in ("0-1,5-6", "0-0, -1", "0-," * 1000 + "0-"):
            answer = connection.ask("GET", self.path, None, f"Range: bytes={value}")
            self.assertIn(answer.status, (200, 206))
            if answer.status == 200:
                self.assertEqual(answer.body, self.content)
            self.assertLess(len(answer.body), 2 * self.SIZE)

    def test_only_if_changed(self):
        """304 for a client that already has the file, by its digest; without a body, with the ETag."""
        connection = self.connect()
        tag = connection.ask("GET", self.path)["ETag"]
        for value in (tag, f"W/{tag}", f'"x", {tag}', f'"x",W/"y",{tag}', "*"):
            for method in ("GET", "HEAD"):
                answer = connection.ask(method, self.path, None, f"If-None-Match: {value}")
                self.assertEqual((answer.status, answer.body, answer["ETag"]), (304, b"", tag), value)
        self.assertEqual(connection.ask("GET", self.path, None, f"If-None-Match: {tag}", "Range: bytes=0-1").status,
                         304)
        for value in ('"x"', tag.strip('"')[:-1], f'"{tag[1:-2]}"', ""):
            answer = connection.ask("GET", self.path, None, f"If-None-Match: {value}")
            self.assertEqual((answer.status, answer.body), (200, self.content), value)

    def test_the_rest_of_the_same_file(self):
        """If-Range: the part if the file is the same, otherwise the whole file."""
        connection = self.connect()
        tag = connection.ask("GET", self.path)["ETag"]
        self.assertEqual(connection.ask("GET", self.path, None, "Range: bytes=5-9", f"If-Range: {tag}").body,
                         self.content[5:10])
        for other in ('"x"', f"W/{tag}", "Sat, 29 Oct 1994 19:43:31 GMT"):
            answer = connection.ask("GET", self.path, None, "Range: bytes=5-9", f"If-Range: {other}")
            self.assertEqual((answer.status, len(answer.body)), (200, self.SIZE), other)

    def test_an_empty_file(self):
        """An empty file is 200 with a length of 0."""
        connection = self.connect()
        for method in ("GET", "HEAD"):
            answer = connection.ask(method, self.empty)
            self.assertEqual((answer.status, answer["Content-Length"], answer.body), (200, "0", b""))

    def test_pipelined(self):
        """Files, parts and other answers keep their order on one connection."""
        connection = self.connect()
        connection.send(b"".join(request("GET", self.path, None, f"Range: bytes={n}-{n + 9}") + request("GET",
                                                                                                        "/health")
                                 + request("GET", self.path) for n in range(20)))
        for n in range(20):
            self.assertEqual(connection.read().body, self.content[n:n + 10])
            self.assertEqual(connection.read().status, 200)
            self.assertEqual(connection.read().body, self.content)

    def test_a_large_file(self):
        """A file of 48 MiB goes both ways in chunks, and is returned unchanged."""
        content = random.Random(4).randbytes(48 * MEBIBYTE)
        pieces = [content[at:at + 100_001] for at in range(0, len(content), 100_001)]
        connection = self.connect(timeout=30)
        answer = connection.send(chunked_request("/api/v1/artifacts", chunks(*pieces), method="PUT")).read()
        self.assertEqual((answer.status, answer.json()["bytes"]), (201, len(content)))
        answer = connection.ask("GET", "/api/v1/artifacts/" + answer.json()["id"])
        self.assertTrue(answer.body == content)


if __name__ == "__main__":
    unittest.main()

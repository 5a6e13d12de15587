"""The HTTP contract, costs: what one client can take from the others, and bodies that are not whole."""

import gzip
import hashlib
import pathlib
import random
import sys
import unittest
import zlib

import garbage
from http_contract import MEBIBYTE, MOST_BODY, HttpCase, chunked_request, request, task_body
from support import SANITIZED, wait_until

GARBAGE = pathlib.Path(garbage.__file__)


class Ranges(HttpCase):
    SIZE = 24 * MEBIBYTE
    RANGES = 2600

    def test_many_in_one_request(self):
        """Thousands of ranges in one request cost no more than the file, also for several clients at once."""
        content = random.Random(8).randbytes(self.SIZE)
        path = "/api/v1/artifacts/" + self.stored_artifact(content)
        before = self.fleet.coordinator.resident_bytes()
        wanted = ",".join(["0-"] * self.RANGES)
        clients = [self.connect(timeout=30).send(request("GET", path, None, f"Range: bytes={wanted}"))
                   for _ in range(8)]
        for client in clients:
            answer = client.read()
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.body == content)
        if not SANITIZED:
            self.assertLess(self.fleet.coordinator.resident_bytes() - before, 64 * MEBIBYTE)


class OneByteEach(HttpCase):
    """620 clients that send one byte of their request, and then nothing."""

    CLIENTS = 620

    def assert_others_are_served(self, idle):
        for connection in (idle[0], idle[-1]):
            connection.server_has_read()
        self.assert_quick()
        wait_until(lambda: self.ask("POST", "/api/v1/tasks", task_body("beside")).status == 202, 5,
                   "a task is accepted beside them")
        for n in range(20):
            self.assertEqual(self.ask("POST", "/api/v1/tasks", task_body("beside")).status, 202)
            self.assertIn(self.ask("PUT", "/api/v1/artifacts", b"beside %d" % n).status, (200, 201))
        self.assert_quick()

    def test_of_a_head(self):
        """Others are served at once."""
        self.assert_others_are_served([self.connect().send(b"P") for _ in range(self.CLIENTS)])

    def test_of_a_body(self):
        """There are places for 128 bodies: those that are late lose theirs to others."""
        for data in (request("POST", "/api/v1/tasks", task_body("slow")), request("PUT", "/api/v1/artifacts", b"slow")):
            first = data[:data.index(b"\r\n\r\n") + 5]
            self.assert_others_are_served([self.connect().send(first) for _ in range(self.CLIENTS)])
        self.assertEqual(self.tasks_named("slow"), [])


class Halves(HttpCase):
    """A body that ends early, or is coded in another way than the server knows, is not stored."""

    CONTENT = b"some content" * 10_000
    GZIP = "Content-Encoding: gzip"

    def assert_not_stored(self, *contents):
        for content in contents:
            name = "sha256-" + hashlib.sha256(content).hexdigest()
            self.assertEqual(self.ask("GET", f"/api/v1/artifacts/{name}").status, 404)

    def test_gzip(self):
        """Half a gzip, at every kind of place: 400, and neither the half nor what it inflates to is kept."""
        packed = gzip.compress(self.CONTENT, 1)
        for end in (1, 10, len(packed) // 2, len(packed) - 8, len(packed) - 1):
            half = packed[:end]
            for data in (request("PUT", "/api/v1/artifacts", half, self.GZIP),
                         chunked_request("/api/v1/artifacts", b"%x\r\n%s\r\n0\r\n\r\n" % (end, half), self.GZIP,
                                         method="PUT")):
                self.assert_error(self.connect().send(data).read(), 400)
            self.assert_not_stored(half)
        self.assert_not_stored(self.CONTENT, b"")

    def test_other_codings(self):
        """zstd and others: 415 with the codings that are known, and the coded bytes are not kept."""
        frame = bytes.fromhex("28b52ffd0458410000") + b"whatever"
        for coding in ("zstd", "br", "deflate", "gzip, zstd"):
            answer = self.ask("PUT", "/api/v1/artifacts", frame, f"Content-Encoding: {coding}")
            self.assert_error(answer, 415)
            self.assertIn("gzip", answer.tokens("Accept-Encoding"))
        self.assert_not_stored(frame)

    def test_cut_off(self):
        """A connection that ends in the middle of a body, with a length or in chunks."""
        half = b"half of it"
        for data in (request("PUT", "/api/v1/artifacts", half + b"the rest")[:-8],
                     chunked_request("/api/v1/artifacts", b"%x\r\n%s\r\n" % (len(half), half), method="PUT"),
                     chunked_request("/api/v1/artifacts", b"ff\r\n" + half, method="PUT")):
            for leave in ("half_close", "close"):
                connection = self.connect().watch(self.fleet.coordinator).send(data).server_has_read()
                getattr(connection, leave)()
                if leave == "half_close":
                    self.assert_error(connection.read(), 400)
                connection.server_lets_go(5)
        self.assert_not_stored(half)
        incoming = self.fleet.dir / "data/artifacts/incoming"
        wait_until(lambda: not list(incoming.iterdir()), what="nothing is left of the uploads")


class Bombs(HttpCase):
    """Bodies of little gzip that inflate to just under the largest body of any route."""

    # The largest body of each route.
    PATHS = {"/api/v1/tasks": 9 * MEBIBYTE, "/api/v1/batches": MOST_BODY, "/v1/chat/completions": 9 * MEBIBYTE,
             "/v1/completions": 17 * MEBIBYTE, "/v1/embeddings": 17 * MEBIBYTE}
    # begin, the unit that is repeated, end
    KINDS = {"numbers": (b"[", b"1,", b"1]"),
             "a list of a field": (b'{"tasks":[', b"1,", b"1]}"),
             "letters": (b'{"idempotency_key":"', b"a", b'","model":"m"}'),
             "letters with an escape": (b'{"idempotency_key":"\\n', b"a", b'","model":"m"}'),
             "a long name": (b'{"\\n', b"a", b'":1}'),
             "a large input": (b'{"tasks":[{"capability":"echo","input":"', b"a", b'"}]}'),
             "deep": (b"[", b"[", b"[")}

    @staticmethod
    def packed(begin, unit, end):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        piece = unit * (MEBIBYTE // len(unit))
        count = (MOST_BODY - 4096) // len(piece)
        return b"".join(packer.compress(part) for part in (begin, *[piece] * count, end)) + packer.flush()

    def setUp(self):
        super().setUp()
        self.bodies = {name: self.packed(*kind) for name, kind in self.KINDS.items()}

    def peak(self, senders, path, body):
        """The most memory above the idle coordinator, while so many clients send the body at once."""
        before = self.fleet.coordinator.resident_bytes()
        pathlib.Path(f"/proc/{self.fleet.coordinator.pid}/clear_refs").write_text("5")  # forgets the last peak
        connections = [self.connect(timeout=60).send(request("POST", path, body, "Content-Encoding: gzip"))
                       for _ in range(senders)]
        for connection in connections:
            self.assertIn(connection.read().status, (400, 413, 422, 503))
        status = pathlib.Path(f"/proc/{self.fleet.coordinator.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")) - before

    @unittest.skipIf(SANITIZED, "a sanitizer needs memory of its own")
    def test_of_two_senders(self):
        """Each costs its inflated size, as far as its route reads it, and little more."""
        for path, most in self.PATHS.items():
            for name, body in self.bodies.items():
                with self.subTest(path=path, body=name):
                    self.assertLess(self.peak(2, path, body), 2 * most * 1.3)

    @unittest.skipIf(SANITIZED, "a sanitizer needs memory of its own")
    def test_of_many_senders(self):
        """All bodies together have 256 MiB, and the memory is given back."""
        idle = self.fleet.coordinator.resident_bytes()
        for name, body in self.bodies.items():
            with self.subTest(body=name):
                self.assertLess(self.peak(8, "/api/v1/batches", body), 256 * MEBIBYTE * 1.15)
                wait_until(lambda: self.fleet.coordinator.resident_bytes() - idle < 32 * MEBIBYTE,
                           what="the memory is given back")


class Garbage(HttpCase):
    MEMORY = 384 * MEBIBYTE  # bodies together have 256

    def test_beside_others(self):
        """Two clients that send what no server can use, as fast as they can, keep /health quick and memory bounded."""
        before = self.fleet.coordinator.resident_bytes()
        for kind in garbage.KINDS:
            with self.subTest(kind):
                senders = [self.fleet.start(f"garbage-{kind}", [sys.executable, "-B", GARBAGE, kind, self.port])
                           for _ in range(2)]
                try:
                    self.assert_garbage_arrives()
                    times = self.health_times(200)
                    self.assertLess(times[int(len(times) * 0.95)], 0.1, f"/health took {times[-20:]}")
                    if not SANITIZED:
                        self.assertLess(self.fleet.coordinator.resident_bytes() - before, self.MEMORY)
                finally:
                    for sender in senders:
                        sender.kill()
        self.assert_quick()

    def assert_garbage_arrives(self):
        """The coordinator is busy: it has used a tenth of a second of processor time."""
        began = self.processor_time()
        wait_until(lambda: self.processor_time() > began + 0.1, what="the coordinator is busy")

    def processor_time(self):
        fields = pathlib.Path(f"/proc/{self.fleet.coordinator.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    unittest.main()

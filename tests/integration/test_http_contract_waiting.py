"""The HTTP contract, waiting: clients that disconnect or read slowly, many clients, and the end of the program."""

import json
import random
import resource
import select
import socket
import subprocess
import time
import unittest

from full_disk import FullDisk
from http_contract import (MEBIBYTE, QUICK, STOP, Connection, ContractCase, HttpCase, ModelCase, ScriptedModel, request,
                           task_body)
from support import SANITIZED, TOPICS, wait_until


def open_files(wanted):
    """Raises this process's bound on open files, which its children inherit; skips if that is not permitted."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, most)))
        except (ValueError, OSError) as why:
            raise unittest.SkipTest(f"{wanted} open files are needed, {most} are permitted: {why}") from why


class GoneFromLongPolls(HttpCase):
    """A client that disconnects while it waits is noticed within a second, and its resources are released."""

    LEAVE = {"close": Connection.close, "reset": Connection.reset}

    def polls(self):
        task = self.api.submit("nobody.offers")
        batch = self.api.batch([{"capability": "nobody.offers"}])["id"]
        return [request("GET", f"/api/v1/tasks/{task}?wait=30"), request("GET", f"/api/v1/batches/{batch}?wait=30"),
                request("HEAD", f"/api/v1/tasks/{task}?wait=30")]

    def waiting(self, data):
        connection = self.connect().send(data).watch(self.fleet.coordinator).server_has_read()
        self.assertTrue(connection.server_holds())
        return connection

    def test_closed(self):
        """A connection that is closed or reset."""
        for data in self.polls():
            for name, leave in self.LEAVE.items():
                with self.subTest(data=data, leave=name):
                    connection = self.waiting(data)
                    leave(connection)
                    connection.server_lets_go()

    def test_half_closed(self):
        """One whose client only closes its own side."""
        for data in self.polls():
            with self.subTest(data=data):
                connection = self.waiting(data)
                connection.half_close()
                connection.server_lets_go()

    def test_with_more_requests(self):
        """A client that had sent more requests before it disconnected; those are not carried out late."""
        for data in self.polls():
            for more in (request("GET", "/health"), request("GET", "/health") * 100, request("GET", "/health")[:20]):
                with self.subTest(data=data, more=len(more)):
                    connection = self.waiting(data + more)
                    connection.close()
                    connection.server_lets_go()

    def test_with_much_more(self):
        """The same with more than the server reads ahead, but not more than the kernel buffers before the end."""
        connection = self.waiting(self.polls()[0])
        connection.socket.sendall(request("POST", "/api/v1/tasks", task_body("advance", input="x" * 30_000)) * 4)
        connection.close()
        connection.server_lets_go()
        self.assertEqual(self.tasks_named("advance"), [])


class GoneFromModels(ModelCase):
    """A client that disconnects while a model works for it: the task is cancelled within a second."""

    SLOTS = 2

    def leaves(self, script, stream, leave):
        connection, task = self.chat(script, stream)
        if stream:
            answer = connection.begin_answer("POST")
            self.assertEqual(answer.status, 200)
            if script == "hold":
                while b"one" not in connection.read_chunk():
                    pass
        connection.watch(self.fleet.coordinator)
        began = time.monotonic()
        leave(connection)
        self.assert_cancelled(task, began)
        connection.server_lets_go()

    def in_each_way(self, leave):
        for script in ("hold", "silent"):
            for stream in (False, True):
                with self.subTest(script=script, stream=stream):
                    self.leaves(script, stream, leave)

    def test_closed(self):
        """A connection that is closed, with and without a stream, before and after the first word."""
        self.in_each_way(Connection.close)

    def test_reset(self):
        """A connection that is reset."""
        self.in_each_way(Connection.reset)

    def test_half_closed(self):
        """One whose client only closes its own side."""
        self.in_each_way(Connection.half_close)

    def test_with_more_requests(self):
        """A client that had sent more before it disconnected."""
        def leave(connection):
            connection.send(request("GET", "/health") * 3)
            connection.close()

        self.in_each_way(leave)

    def test_while_it_is_queued(self):
        """A client whose task has not begun yet."""
        self.fill_slots()
        for stream in (False, True):
            connection, task = self.chat("hold", stream, begun=False)
            self.assertEqual(self.api.task(task)["state"], "queued")
            began = time.monotonic()
            connection.close()
            self.assert_cancelled(task, began)

    def fill_slots(self):
        for _ in range(self.SLOTS):
            self.chat("hold", True)


class Streams(ModelCase):
    def test_chunks_and_none(self):
        """A stream comes in chunks; to HTTP/1.0 without them, and ends with the connection."""
        answer = self.connect().send(self.chat_request("quick", True)).read("POST")
        self.assertEqual((answer.status, answer.framing, answer["Content-Type"].split(";")[0]),
                         (200, "chunked", "text/event-stream"))
        self.assertTrue(answer["X-Request-Id"])
        self.assertTrue(answer.body.endswith(b"data: [DONE]\n\n"))
        for lines in ((), ("Connection: keep-alive",)):
            answer = self.connect().send(self.chat_request("quick", True, *lines, version="1.0")).read("POST")
            self.assertEqual((answer.status, answer.framing), (200, "close"))
            self.assertTrue(answer.body.startswith(b"data: "))
            self.assertTrue(answer.body.endswith(b"data: [DONE]\n\n"))

    def test_the_connection_stays_open(self):
        """After a stream the connection continues, first with requests that arrived in the meantime."""
        chat = self.chat_request("quick", True)
        connection = self.connect().send(chat + request("GET", "/health") + chat)
        self.assertIn(b"[DONE]", connection.read("POST").body)
        self.assertEqual(connection.read().status, 200)
        self.assertIn(b"[DONE]", connection.read("POST").body)
        self.assertEqual(connection.ask("GET", "/health").status, 200)

    def test_the_first_word_at_once(self):
        """A word is sent when it is available, not when a buffer is full."""
        connection, _ = self.chat("hold", True)
        connection.begin_answer("POST")
        text = b""
        while b"one" not in text:
            text += connection.read_chunk()
        self.assertNotIn(b"two", text)
        self.model.release()
        while piece := connection.read_chunk():
            text += piece
        self.assertTrue(text.endswith(b"data: [DONE]\n\n"))

    def test_head_of_a_stream(self):
        """HEAD and GET of a model endpoint create no task."""
        for method in ("GET", "HEAD"):
            answer = self.ask(method, "/v1/chat/completions")
            self.assertEqual(answer.status, 405)

    def test_waiting_bodies(self):
        """Two hundred clients that wait for their answer do not prevent others from sending a body."""
        waiting = [self.connect(timeout=30).send(self.chat_request("hold", False)) for _ in range(200)]
        for connection in waiting:
            connection.server_has_read()
        wait_until(lambda: len(self.unfinished()) == len(waiting),
                   what=lambda: f"200 tasks; there are {len(self.unfinished())}")
        for _ in range(10):
            self.assertEqual(self.ask("POST", "/api/v1/tasks", task_body("beside")).status, 202)
        self.assertIn(self.ask("PUT", "/api/v1/artifacts", b"beside").status, (200, 201))
        self.assert_quick()
        self.model.release()
        self.assertEqual({connection.read("POST").status for connection in waiting}, {200})

    def unfinished(self):
        return [task for state in ("queued", "assigned", "running") for task in self.chats(state)]

    def test_three_hundred_streams(self):
        """Three hundred simultaneous streams all complete, and /health stays quick."""
        connections = [self.connect(timeout=30).send(self.chat_request("hold", True)) for _ in range(300)]
        for connection in connections:
            self.assertEqual(connection.begin_answer("POST").status, 200)
        self.assert_quick()
        self.model.release()
        for connection in connections:
            text = b""
            while piece := connection.read_chunk():
                text += piece
            self.assertTrue(text.endswith(b"data: [DONE]\n\n"), text[-200:])


class SlowReaders(ModelCase):
    SIZE = 48 * MEBIBYTE

    @classmethod
    def prepare(cls, fleet):
        super().prepare(fleet)
        cls.content = random.Random(6).randbytes(cls.SIZE)
        cls.path = "/api/v1/artifacts/" + fleet.api.request("PUT", "/api/v1/artifacts", cls.content).body["id"]

    def test_of_files(self):
        """Sixty clients that do not read a large file block no other and use little memory; a slow one gets it all."""
        before = self.fleet.coordinator.resident_bytes()
        idle = [self.connect(receive_buffer=4096, timeout=30).send(request("GET", self.path)) for _ in range(60)]
        for connection in idle:
            connection.server_has_read()
        self.assert_quick()
        self.assertEqual(self.ask("POST", "/api/v1/tasks", task_body("beside")).status, 202)
        self.assertTrue(self.connect(timeout=30).ask("GET", self.path).body == self.content)
        if not SANITIZED:
            self.assertLess(self.fleet.coordinator.resident_bytes() - before, 64 * MEBIBYTE)
        idle[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MEBIBYTE)
        self.assertTrue(idle[0].read().body == self.content)
        for connection in idle[1:]:
            connection.close()

    def test_of_a_stream(self):
        """A listener that falls behind is disconnected, or gets the rest later, and fills no memory."""
        connection = self.connect(receive_buffer=4096, timeout=20)
        connection.send(self.chat_request("hold", True))
        self.assertEqual(connection.begin_answer("POST").status, 200)
        task = wait_until(lambda: next(iter(self.chats("running")), None), what="the task runs")
        before = self.fleet.coordinator.resident_bytes()
        self.flood(task, 24 * MEBIBYTE)
        self.assert_quick()
        if not SANITIZED:
            self.assertLess(self.fleet.coordinator.resident_bytes() - before, 32 * MEBIBYTE)
        self.model.release()
        self.assertIn(self.api.outcome(task["id"])["state"], ("succeeded", "cancelled"))
        began, received = time.monotonic(), 0
        try:  # cut off in the middle, or completed with an end event
            while connection.fill():
                received += len(connection.buffer)
                del connection.buffer[:-100]
                if connection.buffer.endswith(b"0\r\n\r\n"):
                    break
        except ConnectionResetError:
            pass
        self.assertLess(time.monotonic() - began, 15)
        self.assertGreater(received, 100_000)
        self.assert_quick()

    def flood(self, task, size):
        """Words as the agent publishes them, but more than it ever would."""
        session = self.api.agent("pi-1")["session"]
        piece = 60_000
        for at in range(3, size, piece * 50):
            payload = b"".join(json.dumps({"session": session, "id": task["id"], "attempt": 1, "at": at + n * piece,
                                           "channel": "content",
                                           "delta": "x" * piece}).encode() + b"\n" for n in range(50))
            self.publish_lines("streams/pi-1", payload)

    def publish_lines(self, topic, lines):
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.fleet.broker_port), "-V", "5",
                        "-t", f"{TOPICS}/{topic}", "-l"], input=lines, timeout=20, check=True)


class Stops(ModelCase):
    """The end of the program, while clients wait."""

    @classmethod
    def setUpClass(cls):
        open_files(4096)
        super().setUpClass()

    def test_with_hundreds_of_clients(self):
        """SIGTERM ends it within seconds, and each client that waits gets an answer or the end of its connection."""
        task = self.api.submit("nobody.offers")
        polls = [self.connect().send(request("GET", f"/api/v1/tasks/{task}?wait=50")) for _ in range(200)]
        streams = [self.connect().send(self.chat_request("hold", True)) for _ in range(100)]
        chats = [self.connect().send(self.chat_request("hold", False)) for _ in range(20)]
        others = [self.connect() for _ in range(50)] + [self.connect().send(request("POST", "/api/v1/tasks",
                                                                                    b"x" * 50)[:-20])
                                                        for _ in range(50)]
        for connection in streams:
            self.assertEqual(connection.begin_answer("POST").status, 200)
        for connection in (polls[-1], chats[-1], others[-1]):
            connection.server_has_read()
        began = time.monotonic()
        self.assertEqual(self.fleet.coordinator.terminate(30), 0)
        self.assertLess(time.monotonic() - began, 2 * STOP)
        for connection in polls + chats:
            for answer in connection.read_all():
                self.assertIn(answer.status, (200, 503), answer)
        for connection in streams + others:
            while connection.fill():
                pass
        self.fleet.start_coordinator()
        self.api.placeable("pi-1")


class StopsWithAFullDisk(ContractCase):
    COORDINATOR = None

    def test_while_the_store_fails(self):
        """It also ends within seconds while the store fails and clients wait for it."""
        disk = FullDisk(self.fleet)
        disk.start_coordinator()
        port = self.fleet.http_port
        task = self.api.submit("nobody.offers")
        connections = [Connection(port).send(request("GET", f"/api/v1/tasks/{task}?wait=50")) for _ in range(100)]
        for connection in connections:
            self.addCleanup(connection.close)
        disk.fill()
        large = request("POST", "/api/v1/tasks", task_body("full", input="x" * 200_000))
        for _ in range(60):
            connection = Connection(port).send(large)
            self.addCleanup(connection.close)
            connections.append(connection)
        wait_until(lambda: disk.status("/ready") == 503, what="the store fails")
        began = time.monotonic()
        self.fleet.coordinator.terminate(30)
        self.assertLess(time.monotonic() - began, 3 * STOP)  # the last tries of the store take as long
        for connection in connections:
            for answer in connection.read_all():
                self.assertIn(answer.status, (200, 202, 503, 507), answer)


class Thousands(HttpCase):
    WAITERS = 5000
    MOST_EACH = 24 << 10  # bytes of the coordinator's memory

    @classmethod
    def setUpClass(cls):
        open_files(2 * cls.WAITERS)
        super().setUpClass()

    def test_five_thousand_waiters(self):
        """Five thousand long polls wait, cost little, leave /health quick, and all get their outcome."""
        task = self.api.submit("nobody.offers")
        self.assert_quick()
        before = self.fleet.coordinator.resident_bytes()
        data = request("GET", f"/api/v1/tasks/{task}?wait=60")
        waiting = [self.connect(timeout=20).send(data) for _ in range(self.WAITERS)]
        waiting[-1].server_has_read()
        times = self.health_times(200)
        self.assertLess(times[197], QUICK, f"/health took {times[-10:]}")
        poll = select.poll()
        for connection in waiting:
            poll.register(connection.socket, select.POLLIN)
        self.assertEqual(poll.poll(0), [], "a long poll was answered before its time")
        if not SANITIZED:
            self.assertLess(self.fleet.coordinator.resident_bytes() - before, self.WAITERS * self.MOST_EACH)
        self.assertEqual(self.ask("POST", "/api/v1/tasks", task_body("beside")).status, 202)
        self.api.post(f"/api/v1/tasks/{task}/cancel")
        for connection in waiting:
            answer = connection.read()
            self.assertEqual((answer.status, answer.json()["state"]), (200, "cancelled"))
        for connection in waiting:
            connection.close()
        self.assert_quick()

    def test_five_thousand_that_leave(self):
        """Five thousand connections that close at the same time are all released."""
        task = self.api.submit("nobody.offers")
        waiting = [self.connect(timeout=20).send(request("GET", f"/api/v1/tasks/{task}?wait=60"))
                   for _ in range(self.WAITERS)]
        waiting[-1].server_has_read()
        for connection in (waiting[0], waiting[-1]):
            connection.watch(self.fleet.coordinator)
        for connection in waiting:
            connection.close()
        self.assert_quick()
        waiting[0].server_lets_go(5)
        waiting[-1].server_lets_go(5)


if __name__ == "__main__":
    unittest.main()

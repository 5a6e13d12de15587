"""Brokers with bounds below ours: what can never be delivered ends with a clear error, and everything else goes on."""

import selectors
import socket
import threading
import unittest

from support import Fleet, FleetCase, wait_until


def start_broker(fleet, lines):
    folder = fleet.dir / "broker"
    folder.mkdir(exist_ok=True)
    (folder / "more.conf").write_text(lines)
    fleet.start_broker()


class Server:
    """Accepts connections on loopback, and handles each in a thread of its own until close()."""

    def __init__(self, handle):
        self.handle = handle
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = set()
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.add(connection)
            self.threads.append(threading.Thread(target=self.serve, args=(connection,), daemon=True))
            self.threads[-1].start()

    def serve(self, connection):
        try:
            with connection:
                self.handle(connection)
        except OSError:
            pass
        self.open.discard(connection)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            connection.close()
        for thread in self.threads:
            thread.join(5)


class Cutting(Server):
    """Stands between the fleet and its broker, and ends each connection on which a client sends `MARK`."""

    MARK = b"cut the line"

    def __init__(self, broker_port):
        self.broker_port, self.cuts = broker_port, 0
        super().__init__(self.forward)

    def forward(self, client):
        with socket.create_connection(("127.0.0.1", self.broker_port)) as broker, selectors.DefaultSelector() as both:
            both.register(client, selectors.EVENT_READ, broker)
            both.register(broker, selectors.EVENT_READ, client)
            while True:
                for key, _ in both.select(1):
                    data = key.fileobj.recv(65536)
                    if key.fileobj is client and self.MARK in data:
                        self.cuts += 1
                        return
                    if not data:
                        return
                    key.data.sendall(data)


class BoundedCase(FleetCase):
    LINES = ""  # of the broker's configuration

    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.end_fleet)
        start_broker(self.fleet, self.LINES)
        self.fleet.start_coordinator()
        self.api = self.fleet.api
        script = self.fleet.dir / "print.sh"
        script.write_text('head -c "$1" /dev/zero | tr "\\\\0" x\n')
        self.fleet.start_agent("pi-1", echo=2, toml='[[command]]\nname = "print"\nargv = ["/bin/sh", "%s", "{bytes}"]\n'
                               '[command.params]\nbytes = { type = "integer", max = 1000000 }\n' % script)

    def assert_undisturbed(self):
        """Nobody was thrown out by the broker."""
        self.assertNotIn("lost the connection", self.fleet.coordinator.log() + self.fleet.agents["pi-1"].log())
        self.assert_works()


class Heartbeats:
    def test_heartbeats_fit(self):
        """An agent holds no more tasks than its heartbeats can list: otherwise it would count as lost while it works."""
        heartbeats = self.fleet.observe("agents/pi-2/heartbeat", "agents/pi-2/info")
        self.fleet.start_agent("pi-2", toml=self.fleet.sleep_toml(slots=100))
        tasks = [{"capability": "command.sleep", "input": {"seconds": self.SECONDS}, "max_attempts": 1}] * 100
        batch = self.api.batch_ended(self.api.batch(tasks)["id"], 90)
        self.assertEqual(batch["counts"]["succeeded"], 100, batch)
        listed = [len(message.payload["tasks"]) for message in heartbeats.all("agents/pi-2/heartbeat")]
        self.assertGreater(max(listed), 10)
        self.assertLess(max(listed), 50)
        self.assertLess(heartbeats.all("agents/pi-2/info")[-1].payload["max_tasks"], 45)
        self.assertIn("this agent holds at most", self.fleet.agents["pi-2"].log())
        self.assertNotIn("is lost", self.fleet.coordinator.log())


class SmallPackets(Heartbeats, BoundedCase):
    """The agent knows the bound before it takes a task."""

    LINES = "max_packet_size 8192\n"
    SECONDS = 2


class SmallMessages(Heartbeats, BoundedCase):
    """It learns the bound when it holds more tasks already than it may list, and goes on with all of them."""

    LINES = "message_size_limit 8192\n"
    SECONDS = 35

    def test_an_outcome_that_is_too_large(self):
        """Who submitted over MQTT is told where the outcome is."""
        answers = self.fleet.observe("replies/desk/1")
        self.fleet.publish("submit/desk", {"capability": "command.print", "input": {"bytes": 7500}, "name": "n" * 200},
                           properties=[("response-topic", "edgefleet/v1/home/replies/desk/1")])
        wait_until(lambda: answers.all("replies/desk/1"), what="an answer")
        answer = answers.all("replies/desk/1")[0].payload
        self.assertEqual(answer["status"], 413, answer)
        self.assertIn("/api/v1/tasks/", answer["detail"])


class TinyPackets(FleetCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.end_fleet)
        start_broker(self.fleet, "max_packet_size 1600\n")
        self.fleet.start_coordinator()

    def test_a_heartbeat_that_cannot_be_short_enough(self):
        """An agent whose heartbeats never fit says so, and goes on: it stops when it is asked to."""
        toml = "".join('[[command]]\nname = "a-command-with-a-long-name-%d"\nargv = ["/bin/true"]\n' % n for n in range(60))
        agent = self.fleet.start_agent("pi-1", toml=toml, wait=False)
        wait_until(lambda: "a message was not sent" in agent.log(), what="the reason is logged")
        self.assertEqual(agent.terminate(), 0, agent.log())


class Bounds:
    def test_a_task_that_is_too_large(self):
        """It fails at once, with the bound in its error; tasks beside it are done."""
        small = [self.api.submit("echo", n) for n in range(20)]
        large = self.api.submit("echo", "x" * 100_000)
        done = self.api.outcome(large, 20)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "undeliverable"), done)
        self.assertIn(self.REASON, done["error"]["message"])
        for task in small:
            self.assertEqual(self.api.outcome(task)["state"], "succeeded")
        self.assert_undisturbed()

    def test_a_result_that_is_too_large(self):
        """The task fails with the reason in place of its output, and is not done again."""
        done = self.api.outcome(self.api.submit("command.print", {"bytes": 100_000}), 30)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "output_too_large"), done)
        self.assertIn(self.REASON, done["error"]["message"])
        self.assertEqual(len(done["attempts"]), 1)
        self.assert_undisturbed()

    def test_many_that_fit_only_one_by_one(self):
        """Tasks that would share a message are sent in several."""
        batch = self.api.batch([{"capability": "echo", "input": "x" * 12_000} for _ in range(40)])
        self.assertEqual(self.api.batch_ended(batch["id"], 60)["counts"].get("succeeded"), 40)
        self.assert_undisturbed()


class PacketSize(Bounds, BoundedCase):
    """The broker tells its bound when a client connects, and would end the connection of a client that exceeds it."""

    LINES = "max_packet_size 20000\n"
    REASON = "max_packet_size"


class MessageSize(Bounds, BoundedCase):
    """The broker tells nothing, and refuses each message that is too large."""

    LINES = "message_size_limit 20000\n"
    REASON = "reason code 149"


class FewInFlight(BoundedCase):
    LINES = "max_inflight_messages 5\nmax_queued_messages 100000\n"

    def test_a_batch(self):
        """A broker that takes five messages at once gets five at once."""
        batch = self.api.batch([{"capability": "echo", "input": n} for n in range(300)])
        self.assertEqual(self.api.batch_ended(batch["id"], 60)["counts"].get("succeeded"), 300)
        self.assert_undisturbed()


class WithoutRetain(FleetCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.end_fleet)
        start_broker(self.fleet, "retain_available false\n")

    def test_it_is_told(self):
        """A broker without retained messages cannot carry a fleet: coordinator and agent say so, and try again."""
        self.fleet.start_coordinator(ready=False)
        agent = self.fleet.start_agent("pi-1", echo=1, wait=False)
        for process in (self.fleet.coordinator, agent):
            wait_until(lambda p=process: "no retained messages" in p.log(), what="the reason is logged")
        self.fleet.broker.kill()
        start_broker(self.fleet, "")
        self.api = self.fleet.api
        self.api.placeable("pi-1")
        self.assertEqual(self.api.outcome(self.api.submit("echo", "x"))["state"], "succeeded")


class EndsTheConnection(FleetCase):
    """Something on the way ends the connection each time that a certain message passes, and tells nobody why."""

    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.end_fleet)
        start_broker(self.fleet, "")
        self.line = Cutting(self.fleet.broker_port)
        self.addCleanup(self.line.close)
        self.fleet.broker_port = self.line.port
        self.fleet.start_coordinator()
        self.api = self.fleet.api
        script = self.fleet.dir / "print.sh"
        script.write_text('echo "cut the $1"\n')
        self.fleet.start_agent("pi-1", echo=4, toml='[[command]]\nname = "print"\nargv = ["/bin/sh", "%s", "{what}"]\n'
                               '[command.params]\nwhat = { type = "string", pattern = "[a-z]+" }\n' % script)

    def ends(self, task, code):
        done = self.api.outcome(task, 200)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", code), done)
        self.assertIn("each time that it was sent", done["error"]["message"])
        self.assertLessEqual(self.line.cuts, 8)

    def test_a_task(self):
        """It fails after a few tries, and the tasks beside it are done."""
        beside = [self.api.submit("echo", n) for n in range(3)]
        task = self.api.submit("echo", "cut the line", max_attempts=1)
        beside += [self.api.submit("echo", n) for n in range(3)]
        for other in beside:
            self.assertEqual(self.api.outcome(other, 120)["state"], "succeeded")
        self.ends(task, "undeliverable")
        self.assert_works()

    def test_a_result(self):
        """The task fails with the reason in place of the output, after a few tries."""
        self.ends(self.api.submit("command.print", {"what": "line"}), "output_too_large")
        self.assert_works()


class ShorterKeepalive(FleetCase):
    """The part of a broker that asks for a shorter keepalive than ours; Mosquitto's shortest is longer."""

    def setUp(self):
        self.keepalives = []
        self.fleet = Fleet()
        self.addCleanup(self.end_fleet)
        self.broker = Server(self.accept)
        self.addCleanup(self.broker.close)
        self.fleet.broker_port = self.broker.port

    def accept(self, connection):
        packet = connection.recv(4096)
        at = packet.index(b"MQTT") + 6
        self.keepalives.append(int.from_bytes(packet[at:at + 2], "big"))
        connection.sendall(bytes([0x20, 6, 0, 0, 3, 0x13, 0, 3]))  # CONNACK, Server Keep Alive 3
        while connection.recv(4096):
            pass

    def test_it_is_followed(self):
        """The agent connects again with the broker's keepalive."""
        self.fleet.start_agent("pi-1", echo=1, wait=False)
        wait_until(lambda: len(self.keepalives) >= 2, what="a second connection")
        self.assertEqual(self.keepalives[:2], [8, 3])


if __name__ == "__main__":
    unittest.main()

"""Brokers with bounds below ours: what can never be delivered ends with a clear error, and everything else goes on."""

import unittest

from support import Fleet, FleetCase, wait_until


def start_broker(fleet, lines):
    folder = fleet.dir / "broker"
    folder.mkdir(exist_ok=True)
    (folder / "more.conf").write_text(lines)
    fleet.start_broker()


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


if __name__ == "__main__":
    unittest.main()

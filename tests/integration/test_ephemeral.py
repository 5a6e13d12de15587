"""Agents in containers: they join by one token, and are forgotten when they are gone (real programs)."""

import signal
import sqlite3
import unittest

from closed_fleet import ClosedFleet
from support import BIN, wait_until


class Ephemeral(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()

    def token(self, *options):
        done = self.fleet.cli("join-token", "create", "--ephemeral", "--uses", "unlimited", "--ttl", "none", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    def container(self, label, token, *options):
        """With its token at each start, as a container."""
        work = self.fleet.root / f"work-{label}"
        return self.fleet.start(label, [BIN / "edgefleet-agent", "--work", work, "--echo", "1", "--token", token, *options])

    def names(self):
        return sorted(one["name"] for one in self.fleet.admin.good("GET", "/api/v1/enrolled-agents")["enrolled_agents"])

    def online(self):
        return sorted(one["name"] for one in self.fleet.admin.good("GET", "/api/v1/agents")["agents"] if one["placeable"])

    def test_they_come_and_go_and_nothing_is_left(self):
        fleet = self.fleet
        token, = self.token()
        listed = fleet.data / "broker/current/crl.pem"
        for _ in range(3):
            agent = self.container("one", token, "--name", "worker")
            wait_until(lambda: self.online() == ["worker"], what=agent.log)
            done = fleet.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})
            self.assertEqual(fleet.admin.good("GET", f"/api/v1/tasks/{done['id']}?wait=20")["state"], "succeeded")
            before = listed.read_bytes()
            agent.terminate()
            wait_until(lambda: self.names() == [] and fleet.admin.good("GET", "/api/v1/agents")["agents"] == [])
            self.assertEqual(listed.read_bytes(), before)  # only a new key that takes the name over is a reason
        self.assertIn("gone and forgotten", fleet.coordinator.log())
        # What it has is of no use without its token: its disk may have been kept.
        alone = fleet.start("alone", [BIN / "edgefleet-agent", "--work", fleet.root / "work-one", "--echo", "1"])
        self.assertEqual(alone.wait(20), 1)
        self.assertIn("start it with its join token", alone.log())

    def test_one_that_was_forgotten_while_it_ran_ends_and_says_why(self):
        fleet = self.fleet
        token, = self.token()
        agent = self.container("one", token, "--name", "worker")
        wait_until(lambda: self.online() == ["worker"], what=agent.log)
        agent.signal(signal.SIGSTOP)  # as a container without a network
        wait_until(lambda: self.online() == [], timeout=60)
        # Ten minutes are too long for a test: the same entries are removed by hand, as in a restored store.
        fleet.coordinator.kill()
        with sqlite3.connect(fleet.data / "access.db") as database:
            for table in ("agents", "issued", "names"):
                database.execute(f"DELETE FROM {table} WHERE name = 'worker'")
        fleet.start_coordinator()
        agent.signal(signal.SIGCONT)
        self.assertEqual(agent.wait(100), 1)
        self.assertIn("has forgotten this ephemeral agent", agent.log())
        self.assertNotIn("worker", self.names())
        again = self.container("one", token, "--name", "worker")
        wait_until(lambda: self.online() == ["worker"], what=again.log)

    def test_ten_names(self):
        tokens = self.token("--name", "worker-{01..10}")
        self.assertEqual(len(tokens), 10)
        agents = [self.container(f"c{i}", tokens[i]) for i in (0, 9)]
        wait_until(lambda: self.online() == ["worker-01", "worker-10"], what=agents[0].log)


if __name__ == "__main__":
    unittest.main()

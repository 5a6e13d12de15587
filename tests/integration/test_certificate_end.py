"""Sessions of certificates that have ended: an end does not end a session at the broker, the coordinator does."""

import time
import unittest

from closed_fleet import ClosedFleet
from mqtt5 import Refused
from support import BIN, free_port, wait_until

LIFE = 30  # seconds: the shortest


class CertificateEnd(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin("--test-certificate-seconds", str(LIFE))

    def token(self, name):
        return self.fleet.admin.good("POST", "/api/v1/join-tokens", {"name": name})["token"]

    def agent(self, label, *options):
        return self.fleet.start(label, [BIN / "edgefleet-agent", "--work", self.fleet.root / "work-pi-1", "--echo", "1",
                                        *options])

    def state(self):
        agents = {one["name"]: one for one in self.fleet.admin.good("GET", "/api/v1/agents")["agents"]}
        return agents["pi-1"] if "pi-1" in agents else {"placeable": False, "state": None}

    def run_task(self):
        made = self.fleet.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})
        return self.fleet.admin.good("GET", f"/api/v1/tasks/{made['id']}?wait=30", timeout=60)["state"]

    def test_the_session_ends_with_the_certificate_and_a_new_join_begins_another(self):
        fleet = self.fleet
        joined = fleet.run(BIN / "edgefleet-agent", "join", "--work", fleet.root / "work-pi-1", "--token-file", "-",
                           input=self.token("pi-1") + "\n")
        self.assertEqual(joined.returncode, 0, joined.stderr)
        # It works, and cannot renew: nobody is where it looks for the coordinator.
        agent = self.agent("lonely", "--coordinator", f"https://localhost:{free_port()}")
        begun = time.monotonic()
        wait_until(lambda: self.state()["placeable"], timeout=LIFE - 5, what=agent.log)
        self.assertEqual(self.run_task(), "succeeded")
        told = "the certificate of agent pi-1 has ended, and now its session at the broker"
        wait_until(lambda: told in fleet.coordinator.log(), timeout=LIFE + 60, what=fleet.coordinator.log)
        self.assertGreater(time.monotonic() - begun, 5)
        wait_until(lambda: self.state()["state"] == "lost", timeout=30, what=fleet.coordinator.log)
        wait_until(lambda: "lost the connection to the broker" in agent.log(), timeout=30, what=agent.log)
        waiting = fleet.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 2})["id"]
        # Also by hand: neither the broker nor the port for agents lets it in.
        identity = fleet.root / "work-pi-1/identity"
        files = identity / "agent.crt", identity / "agent.key"
        with self.assertRaises((OSError, Refused)):
            fleet.agent_client(files).publish("edgefleet/v1/home/agents/pi-1/heartbeat", b"{}")
        with self.assertRaises(OSError):
            fleet.agents_caller(files).request("GET", "/api/v1/crl")
        self.assertEqual(agent.terminate(30), 0)
        again = fleet.run(BIN / "edgefleet-agent", "join", "--again", "--work", fleet.root / "work-pi-1",
                          "--token-file", "-", input=self.token("pi-1") + "\n")
        self.assertEqual(again.returncode, 0, again.stderr)
        agent = self.agent("again")
        wait_until(lambda: self.state()["placeable"], timeout=60, what=agent.log)
        self.assertEqual(fleet.admin.good("GET", f"/api/v1/tasks/{waiting}?wait=30", timeout=60)["state"], "succeeded")
        self.assertEqual(fleet.coordinator.log().count(told), 1)

    def test_an_agent_that_renews_keeps_its_session(self):
        fleet = self.fleet
        agent = self.agent("pi-1", "--token", self.token("pi-1"))
        wait_until(lambda: self.state()["placeable"], timeout=60, what=agent.log)
        renewed = "the certificate of this agent was renewed"
        wait_until(lambda: agent.log().count(renewed) >= 3, timeout=3 * LIFE + 60, what=agent.log)
        self.assertEqual(self.run_task(), "succeeded")
        self.assertNotIn("lost the connection", agent.log())
        self.assertNotIn("has ended", fleet.coordinator.log())


if __name__ == "__main__":
    unittest.main()

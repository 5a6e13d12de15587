"""A broker that lets through what it must refuse is found and stopped (real broker and coordinator)."""

import os
import signal
import time
import unittest

from closed_fleet import ClosedFleet
from http_contract import slow
from mqtt5 import ALLOWED, FORBIDDEN
from support import wait_until

OTHERS = "edgefleet/v1/home/agents/pi-2/status"


class Canaries(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()

    def audited(self, what):
        return [one for one in self.fleet.admin.good("GET", "/api/v1/audit")["entries"] if one["what"] == what]

    def logged(self, text, count=1):
        wait_until(lambda: self.fleet.coordinator.log().count(text) >= count, timeout=90,
                   what=lambda: self.fleet.coordinator.log()[-3000:])

    def break_file(self, name):
        """As a disk error would do it; then something lets Mosquitto read its files again."""
        live = self.fleet.data / "broker/run/live" / name
        text = live.read_bytes()
        live.unlink()
        os.kill(self.fleet.broker_pid, signal.SIGHUP)
        return lambda: live.write_bytes(text)

    def test_a_good_broker_is_left_alone(self):
        time.sleep(5)  # after the start, and after another generation
        self.fleet.access("phone", "chat")
        time.sleep(5)
        self.assertNotIn("must refuse", self.fleet.coordinator.log())
        self.assertEqual(self.fleet.broker_state()["broker"], "running")
        self.assertFalse((self.fleet.data / "broker/stop").exists())

    def test_a_broker_that_has_opened_itself_is_stopped_and_starts_closed(self):
        pi = self.fleet.agent_client(self.fleet.join("pi-1"))
        self.assertEqual(pi.publish(OTHERS), FORBIDDEN)
        mend = self.break_file("agents.acl")
        wait_until(lambda: pi.publish(OTHERS) in ALLOWED)  # this is what must not last
        self.logged("an agent's certificate may write another agent's topics")
        # A start on the bad files fails, so nothing is open.
        wait_until(lambda: self.fleet.broker_state()["broker"] == "down", what=self.fleet.broker_state)
        self.assertFalse((self.fleet.data / "broker/stop").exists())
        self.assertEqual(len(self.audited("broker.stop")), 1)
        mend()
        wait_until(lambda: self.fleet.broker_state()["broker"] == "running", timeout=30)
        pi = self.fleet.agent_client((self.fleet.root / "pi-1.crt", self.fleet.root / "pi-1.key"))
        self.assertEqual(pi.publish(OTHERS), FORBIDDEN)

    @slow
    def test_if_it_happens_again_soon_a_person_has_to_look(self):
        mend = self.break_file("people.acl")
        self.logged("must refuse")
        mend()
        wait_until(lambda: self.fleet.broker_state()["broker"] == "running", timeout=30)
        self.break_file("crl.pem")
        self.logged("a revoked certificate may connect")
        self.logged("remove " + str(self.fleet.data / "broker/stop"))
        wait_until(lambda: self.fleet.broker_state()["broker"] == "stopped", what=self.fleet.broker_state)
        self.assertIn("must refuse", self.fleet.broker_state()["why"])


if __name__ == "__main__":
    unittest.main()

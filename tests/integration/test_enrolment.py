"""Whose certificate counts at the broker: machines that are replaced, revoked or readmitted (real programs)."""

import contextlib
import shutil
import signal
import sqlite3
import unittest

from closed_fleet import ClosedFleet
from mqtt5 import ALLOWED, Refused
from support import wait_until

ROOT_TOPIC = "edgefleet/v1/home/"


class Enrolment(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()

    def join(self, name, label, secret=None):
        """Certificate and key in files of their own: a second machine joins with the same name."""
        files = self.fleet.join(name, secret)
        kept = tuple(self.fleet.root / f"{label}{file.suffix}" for file in files)
        for file, copy in zip(files, kept):
            shutil.copy(file, copy)
        return kept

    def session(self, name, files):
        client = self.fleet.agent_client(files, timeout=30)
        self.assertIn(client.publish(f"{ROOT_TOPIC}results/{name}", b"{}"), ALLOWED)
        return client

    def is_out(self, files):
        self.assertEqual(self.fleet.agents_caller(files).request("GET", "/api/v1/crl").status, 403)
        with self.assertRaises((OSError, Refused)):
            self.fleet.agent_client(files, timeout=30).ping()

    @contextlib.contextmanager
    def stopped(self):
        self.fleet.coordinator.terminate()
        database = sqlite3.connect(self.fleet.data / "access.db")
        try:
            yield database
            database.commit()
        finally:
            database.close()
        self.fleet.start_coordinator()

    def revoke(self, name, **body):
        self.fleet.admin.good("POST", f"/api/v1/agents/{name}/revoke", body)

    def test_a_machine_that_is_replaced_has_lost_its_session_when_the_new_one_has_its_certificate(self):
        old = self.join("pi-7", "old")
        session = self.session("pi-7", old)
        new = self.join("pi-7", "new", self.fleet.token(name="pi-7"))
        self.assertTrue(session.closed(1))
        self.is_out(old)
        successor = self.session("pi-7", new)
        # The certificate that ends a session is no reason for it to end again.
        self.assertFalse(successor.closed(5))

    def test_an_ephemeral_machine_cannot_come_back_as_its_successor_or_after_it_was_revoked(self):
        secret = self.fleet.token(name="w1", ephemeral=True, uses=0)
        first = self.join("w1", "first", secret)
        session = self.session("w1", first)
        second = self.join("w1", "second", secret)
        self.assertTrue(session.closed(1))
        self.is_out(first)
        successor = self.session("w1", second)
        self.revoke("w1")
        self.assertTrue(successor.closed(1))
        self.is_out(second)
        self.is_out(first)
        # Its token does not help the key that was revoked.
        answer = self.fleet.agents_caller().request("POST", "/api/v1/join", {
            "secret": secret, "request": (self.fleet.root / "w1.csr").read_text(), "name": "w1", "named": True})
        self.assertEqual(answer.status, 403, answer.body)
        self.assertIn("revoked", answer.body["detail"])

    def test_a_forgotten_machine_is_out_when_another_has_its_name(self):
        secret = self.fleet.token(ephemeral=True, uses=0)
        first = self.join("worker", "first", secret)
        agent = self.session("worker", first)
        with self.stopped() as database:  # forgotten as after ten minutes, which are too long for a test
            for table in ("agents", "names"):
                database.execute(f"DELETE FROM {table} WHERE name = 'worker'")
        second = self.join("worker", "second", secret)
        self.assertTrue(agent.closed(1))
        self.is_out(first)
        self.session("worker", second)

    def test_the_end_of_a_session_is_made_up_for_after_a_kill(self):
        old = self.join("pi-7", "old")
        session = self.session("pi-7", old)
        self.fleet.watcher.signal(signal.SIGSTOP)  # so that the broker does not read the list
        answer = self.fleet.admin.request("POST", "/api/v1/agents/pi-7/revoke", {}, timeout=60)
        self.assertEqual(answer.status, 503, answer.body)
        self.fleet.coordinator.kill()
        self.assertTrue(session.alive())
        self.fleet.watcher.signal(signal.SIGCONT)
        self.fleet.start_coordinator()
        wait_until(lambda: not session.alive(), timeout=60, what=self.fleet.coordinator.log)
        self.is_out(old)

    def test_one_that_is_readmitted_is_let_in_by_the_broker_and_the_other_of_its_name_is_not(self):
        fleet = self.fleet
        own = self.join("pi-7", "own")
        with self.stopped() as database:  # older data, as after a restore
            row = database.execute("SELECT serial, name, not_after, key_sha256 FROM agents").fetchone()
            for table in ("agents", "names", "issued"):
                database.execute(f"DELETE FROM {table} WHERE name = 'pi-7'")
        other = self.join("pi-7", "other")
        self.assertEqual(fleet.agents_caller(own).request("GET", "/api/v1/crl").status, 403)
        with self.stopped() as database:  # a second restore merges what all sources have issued
            database.execute("INSERT INTO issued (serial, name, not_after, key_sha256) VALUES (?, ?, ?, ?)", row)
        session = self.session("pi-7", other)
        fleet.admin.good("POST", "/api/v1/agents/pi-7/readmit", {})
        self.assertTrue(session.closed(1))
        self.is_out(other)
        self.session("pi-7", own)
        self.assertEqual(fleet.agents_caller(own).request("GET", "/api/v1/crl").status, 200)
        # A serial alone revokes too, here the present one.
        serial = next(one["serial"] for one in fleet.admin.good("GET", "/api/v1/enrolled-agents")["enrolled_agents"])
        self.revoke("pi-7", serial=serial)
        self.is_out(own)


if __name__ == "__main__":
    unittest.main()

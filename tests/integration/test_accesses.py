"""Accesses of people and programs: what ends with them, what they share, what they cannot do to others (real programs)."""

import json
import signal
import threading
import unittest

from closed_fleet import ClosedFleet
from mqtt5 import Refused
from support import wait_until

SUBMIT = "edgefleet/v1/home/submit/"


class Accesses(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()
        self.admin = self.fleet.admin

    def for_broker(self, caller):
        return caller.good("POST", "/api/v1/access/mqtt", timeout=60)

    def submit_by_mqtt(self, access, capability="nobody.has"):
        client = self.fleet.person_client(access["name"], access["key"])
        task = json.dumps({"capability": capability}).encode()
        reply = SUBMIT.replace("/submit/", "/replies/") + access["name"] + "/1"
        self.assertIn(client.publish(SUBMIT + access["name"], task, response_topic=reply), (0, 16))

    def can_log_in(self, access):
        try:
            self.fleet.person_client(access["name"], access["key"]).close()
        except Refused:
            return False
        return True

    def names(self):
        return [one["name"] for one in self.admin.good("GET", "/api/v1/accesses")["accesses"]]

    def refused(self, answer, status, text):
        self.assertEqual(answer.status, status, answer.body)
        self.assertIn(text, answer.body["detail"])

    # ---- accesses for the broker

    def test_an_access_for_the_broker_is_no_key_over_http_and_ends_with_its_owner(self):
        bob = self.fleet.access("bob", "admin")
        made = self.for_broker(bob)
        thief = self.fleet.caller(made["key"])
        for method, path in (("GET", "/api/v1/accesses"), ("GET", "/api/v1/access"), ("POST", "/api/v1/access/mqtt")):
            self.refused(thief.request(method, path), 403, "for the broker only")
        self.assertEqual(thief.request("GET", "/health").status, 200)
        session = self.fleet.person_client(made["name"], made["key"])
        self.admin.good("POST", "/api/v1/accesses/bob/revoke")
        self.assertEqual(thief.request("GET", "/api/v1/access").status, 401)
        self.assertTrue(session.closed(10))
        self.assertFalse(self.can_log_in(made))
        self.assertEqual(self.names(), ["admin"])

    def test_a_rotation_ends_what_the_old_key_has_made_with_it(self):
        owner = self.fleet.access("owner", "submit")
        first = self.for_broker(owner)
        new = self.fleet.caller(self.admin.good("POST", "/api/v1/accesses/owner/rotate", {"overlap_ms": 3000})["key"])
        second = self.for_broker(new)
        wait_until(lambda: not self.can_log_in(first), what="the first access to end with the old key")
        self.assertTrue(self.can_log_in(second))
        self.admin.good("POST", "/api/v1/accesses/owner/rotate")
        wait_until(lambda: not self.can_log_in(second), what="the second access to end at once")

    def test_a_task_over_mqtt_is_its_owners(self):
        owner = self.fleet.access("owner", "submit", per_minute=2)
        self.submit_by_mqtt(self.for_broker(owner))
        wait_until(lambda: owner.good("GET", "/api/v1/tasks")["tasks"], what=self.fleet.coordinator.log)
        self.assertEqual(owner.good("GET", "/api/v1/access")["unfinished"]["tasks"], 1)
        self.submit_by_mqtt(self.for_broker(owner))
        wait_until(lambda: len(owner.good("GET", "/api/v1/tasks")["tasks"]) == 2, what=self.fleet.coordinator.log)
        # All that it has share its tasks a minute.
        self.refused(owner.request("POST", "/api/v1/tasks", {"capability": "nobody.has"}), 429, "2 tasks a minute")

    def test_a_name_that_looks_like_one_for_the_broker_is_another_access(self):
        self.fleet.access("zigbee", "submit")
        other = self.fleet.access("zigbee-mqtt-main", "submit")
        other.good("POST", "/api/v1/tasks", {"capability": "nobody.has"})
        self.assertEqual(other.good("GET", "/api/v1/access")["unfinished"]["tasks"], 1)
        self.admin.good("POST", "/api/v1/accesses/zigbee/revoke")
        self.assertEqual(other.request("GET", "/api/v1/access").status, 200)

    def test_one_access_has_so_many_for_the_broker_whatever_its_name(self):
        for name in ("short", "l" * 63):
            owner = self.fleet.access(name, "chat")
            answers = [owner.request("POST", "/api/v1/access/mqtt", timeout=60) for _ in range(21)]
            self.assertEqual([one.status for one in answers], [201] * 20 + [429])
            self.refused(answers[-1], 429, "20 such accesses")

    def test_who_waits_for_the_broker_keeps_nobody_else_waiting(self):
        owner = self.fleet.access("talker", "chat")
        self.fleet.watcher.signal(signal.SIGSTOP)
        answers = []
        callers = [threading.Thread(target=lambda: answers.append(owner.request("POST", "/api/v1/access/mqtt",
                                                                                timeout=120).status))
                   for _ in range(16)]
        for caller in callers:
            caller.start()
        wait_until(lambda: len(self.names()) > 2, what="one of them to be made")
        for _ in range(3):
            self.admin.good("GET", "/api/v1/audit")
        self.assertEqual(answers, [])
        self.fleet.watcher.signal(signal.SIGCONT)
        for caller in callers:
            caller.join()
        self.assertEqual(len(answers), 16)

    # ---- limits

    def test_a_retry_is_judged_like_a_submission(self):
        rate = self.fleet.access("rate", "submit", per_minute=2)
        task = rate.good("POST", "/api/v1/tasks", {"capability": "nobody.has"})["id"]
        for status in (202, 429, 429):
            self.assertEqual(rate.request("POST", f"/api/v1/tasks/{task}/cancel").status in (202, 409), True)
            self.assertEqual(rate.request("POST", f"/api/v1/tasks/{task}/retry").status, status)
        desk = self.fleet.access("desk", "operate", capabilities=["image.*"])
        self.refused(desk.request("POST", f"/api/v1/tasks/{task}/retry"), 403, "may not use nobody.has")
        many = desk.good("POST", "/api/v1/tasks/retry?state=cancelled")
        self.assertEqual(many["retried"], 0)
        self.assertEqual(self.admin.request("POST", f"/api/v1/tasks/{task}/retry").status, 202)

    # ---- administrators

    def test_there_is_always_an_administrator_without_an_end(self):
        self.fleet.access("visitor", "admin", expires_after_ms=3_600_000)
        self.for_broker(self.admin)
        self.refused(self.admin.request("POST", "/api/v1/accesses/admin/revoke"), 409, "create another one first")
        # Two that revoke each other at the same time.
        for round in range(5):
            second = self.fleet.access(f"second-{round}", "admin")
            start = threading.Barrier(2)
            statuses = []

            def revoke(caller, name, start=start, statuses=statuses):
                start.wait()
                statuses.append(caller.request("POST", f"/api/v1/accesses/{name}/revoke").status)

            both = [threading.Thread(target=revoke, args=pair)
                    for pair in ((self.admin, f"second-{round}"), (second, "admin"))]
            for one in both:
                one.start()
            for one in both:
                one.join()
            self.assertEqual(statuses.count(202), 1, statuses)
            if self.admin.request("GET", "/api/v1/access").status != 200:
                self.admin = second
                key = second.good("POST", "/api/v1/accesses", {"name": "admin", "role": "admin", "again": True})["key"]
                self.fleet.key_file.write_text(key)
                self.admin = self.fleet.admin
                self.admin.good("POST", f"/api/v1/accesses/second-{round}/revoke")

    # ---- keys in use

    def waiting(self, key, task):
        """A long poll in progress; returns its thread and where its answer comes."""
        came = []

        def ask():
            try:
                came.append(self.fleet.caller(key).request("GET", f"/api/v1/tasks/{task}?wait=60", timeout=90).status)
            except OSError as cut:
                came.append(cut)

        thread = threading.Thread(target=ask)
        thread.start()
        return thread, came

    def test_a_key_that_is_replaced_or_revoked_ends_its_requests(self):
        task = self.admin.good("POST", "/api/v1/tasks", {"capability": "nobody.has"})["id"]
        old = self.fleet.access("desk", "operate").key
        thread, came = self.waiting(old, task)
        new = self.admin.good("POST", "/api/v1/accesses/desk/rotate", {"overlap_ms": 5000})["key"]
        newer_thread, newer_came = self.waiting(new, task)
        thread.join(30)
        self.assertEqual(len(came), 1)
        self.assertNotEqual(came, [200])
        self.assertEqual(newer_came, [])
        self.admin.good("POST", "/api/v1/accesses/desk/revoke")
        self.admin.good("POST", "/api/v1/accesses", {"name": "desk", "role": "operate", "again": True})
        newer_thread.join(30)
        self.assertEqual(len(newer_came), 1)
        self.assertNotEqual(newer_came, [200])

    # ---- names

    def test_the_name_of_an_access_that_has_ended_is_given_again_on_request_only(self):
        paula = self.fleet.access("paula", "submit")
        paula.good("POST", "/api/v1/tasks", {"capability": "nobody.has", "input": "private"})
        self.admin.good("POST", "/api/v1/accesses/paula/revoke")
        self.refused(self.admin.request("POST", "/api/v1/accesses", {"name": "paula", "role": "submit"}), 409, "--again")
        done = self.fleet.cli("access", "create", "paula", "--role", "submit")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("would see its tasks", done.stderr)
        again = self.fleet.cli("access", "create", "paula", "--role", "submit", "--again")
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_nobody_has_the_name_of_one_who_acts_in_the_audit(self):
        for name in ("expiry", "setup", "restore", "others", "join-token", "coordinator", "watch", "http", "present"):
            self.refused(self.admin.request("POST", "/api/v1/accesses", {"name": name, "role": "chat"}), 409, "reserved")

    # ---- setup, once more

    def test_another_account_that_runs_setup_logs_nobody_out(self):
        fleet = self.fleet
        first = self.admin.key
        fleet.coordinator.terminate()
        fleet.key_file.unlink()
        done = fleet.run(*fleet.setup_command(), home="other")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("good for 30 days more", done.stdout)
        fleet.start_coordinator()
        self.assertEqual(fleet.caller(first).request("GET", "/api/v1/accesses").status, 200)
        for home in ("home", "other"):
            self.assertEqual(fleet.cli("access", "list", home=home).returncode, 0)
        # The file that it has written has the key: nothing is rotated.
        fleet.coordinator.terminate()
        done = fleet.run(*fleet.setup_command(), home="third")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("good for", done.stdout)

    def test_setup_makes_no_administrator_of_an_access_that_is_none(self):
        fleet = self.fleet
        second = fleet.access("second", "admin")
        second.good("POST", "/api/v1/accesses/admin/revoke")
        second.good("POST", "/api/v1/accesses", {"name": "admin", "role": "chat", "again": True})
        fleet.coordinator.terminate()
        done = fleet.run(*fleet.setup_command(), home="other")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("has the role chat; name another one with --admin", done.stderr)
        done = fleet.run(*fleet.setup_command("--admin", "third"), home="other")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()

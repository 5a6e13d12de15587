"""edgefleet doctor: what it finds in a fleet that is well, and in fleets that are not (real programs)."""

import json
import os
import signal
import sqlite3
import subprocess
import threading
import unittest
from datetime import datetime, timedelta, timezone

from closed_fleet import ClosedFleet
from support import BIN, FleetCase, open_terminal, wait_until

WELL, PROBLEM = 0, 1


class Doctored(unittest.TestCase):
    def doctor(self, *options, home="home", expected=None):
        """The findings by check, and the worst severity; the exit code fits the severity."""
        done = self.fleet.cli("doctor", "--json", *options, home=home)
        self.assertIn(done.returncode, (WELL, PROBLEM), done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, PROBLEM if answer["severity"] == "problem" else WELL, answer)
        found = {}
        for one in answer["checks"]:
            self.assertEqual("todo" in one, one["severity"] != "ok", one)
            found.setdefault(one["name"], []).append(one)
        if expected:
            self.assertEqual(answer["severity"], expected, answer)
        return found

    def one(self, name, severity, *options, **more):
        findings = self.doctor(*options, **more).get(name, [])
        self.assertIn(severity, [one["severity"] for one in findings], findings)
        return next(one for one in findings if one["severity"] == severity)


class AWellFleet(Doctored):
    @classmethod
    def setUpClass(cls):
        cls.fleet = ClosedFleet()
        cls.addClassCleanup(cls.fleet.end)
        cls.fleet.begin()
        cls.fleet.join("pi-1")
        cls.tried = wait_until(cls.has_been_tried)

    @classmethod
    def has_been_tried(cls):
        broker = cls.fleet.admin.good("GET", "/api/v1/broker")
        return broker if "tried_at" in broker and broker["generation"] == broker["wanted"] else None

    def test_all_is_well(self):
        found = self.doctor(expected="ok")
        self.assertEqual(set(found), {"api", "store", "login", "clock", "broker", "broker files", "broker access", "agents",
                                      "accesses"})
        text = self.fleet.cli("doctor")
        self.assertEqual(text.returncode, WELL)
        self.assertEqual(text.stdout.splitlines()[-1], "Nothing to do.")
        self.assertNotIn("\x1b", text.stdout)
        self.assertIn(f"localhost:{self.fleet.broker_people}", text.stdout)

    def test_on_a_terminal_there_is_colour(self):
        ours, theirs = open_terminal()
        done = subprocess.run([BIN / "edgefleet", "doctor"], stdout=theirs, stderr=subprocess.DEVNULL, timeout=60, cwd="/",
                              env={"XDG_CONFIG_HOME": str(self.fleet.root / "home"), "TERM": "xterm"}, **self.fleet.user)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        self.assertEqual(done.returncode, WELL)
        self.assertIn(b"\x1b[", os.read(ours, 65536))

    def test_the_broker_refuses_all_acts_and_nothing_of_the_trial_stays(self):
        before = {one["name"] for one in self.fleet.admin.good("GET", "/api/v1/accesses")["accesses"]}
        found = self.doctor("--broker", expected="ok")
        self.assertIn("refuses all that it must", found["broker trial"][0]["found"])
        trial = self.fleet.admin.good("POST", "/api/v1/broker/try", {})
        self.assertGreater(trial["tried"], 150)
        self.assertEqual((trial["passes"], trial["unknown"]), ([], []))
        self.assertEqual({one["name"] for one in self.fleet.admin.good("GET", "/api/v1/accesses")["accesses"]}, before)
        passwords = self.fleet.data / "broker/current/passwords"
        self.assertEqual([line for line in passwords.read_text().splitlines() if line.startswith("canary-")], [])
        self.assertEqual([one.name for one in (self.fleet.data / "tls").iterdir() if "taking-over" in one.name], [])
        self.assertEqual({one["name"] for one in self.fleet.admin.good("GET", "/api/v1/agents")["agents"]}, set())
        tries = [one for one in self.fleet.admin.good("GET", "/api/v1/audit")["entries"] if one["what"] == "broker.try"]
        self.assertEqual({one["who"] for one in tries}, {"admin"})

    def test_two_trials_at_once_take_turns(self):
        answers = []

        def ask():
            answers.append(self.fleet.admin.request("POST", "/api/v1/broker/try", {}))
        both = [threading.Thread(target=ask) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        self.assertIn(sorted(one.status for one in answers), ([200, 200], [200, 429]), [one.body for one in answers])
        for one in answers:
            if one.status == 200:
                self.assertEqual(one.body["passes"], [])

    def test_a_login_without_rights_is_told(self):
        watcher = self.fleet.access("watcher", "observe")
        url = f"https://localhost:{self.fleet.people_port}"
        fingerprint = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", self.fleet.ca],
                                     capture_output=True, text=True, check=True).stdout.split("=")[1].strip()
        done = self.fleet.cli("login", f"{url}#{fingerprint}", home="watcher", input=watcher.key + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = self.doctor(home="watcher", expected="warning")
        self.assertIn("observe", found["login"][0]["found"])
        self.assertNotIn("accesses", found)
        trial = self.one("broker trial", "warning", "--broker", home="watcher")
        self.assertIn("role admin", trial["todo"])
        self.assertEqual(self.fleet.caller(watcher.key).request("GET", "/api/v1/broker").status, 403)

    def test_what_ends_soon_is_named(self):
        self.fleet.access("nearly", "chat", expires_after_ms=86_400_000 * 20)
        self.assertNotIn("nearly", json.dumps(self.doctor()["accesses"]))
        # As if a year had passed but for a week.
        ends = datetime.now(timezone.utc) + timedelta(days=3)
        with sqlite3.connect(self.fleet.data / "access.db") as db:
            db.execute("UPDATE accesses SET expires_at = ?, created_at = ? WHERE name = 'nearly'",
                       (int(ends.timestamp() * 1000), int((ends - timedelta(days=90)).timestamp() * 1000)))
            db.execute("UPDATE agents SET not_after = ?", (int(ends.timestamp()),))
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator()
        self.assertIn("nearly", self.one("accesses", "warning")["found"])
        self.assertIn("pi-1", self.one("agents", "warning")["found"])
        self.fleet.admin.good("POST", "/api/v1/accesses/nearly/revoke")
        with sqlite3.connect(self.fleet.data / "access.db") as db:
            db.execute("UPDATE agents SET not_after = ?", (int((ends + timedelta(days=300)).timestamp()),))
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator()
        wait_until(self.has_been_tried)


class WhatIsWrong(Doctored):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()

    def test_a_coordinator_that_does_not_run(self):
        self.fleet.coordinator.terminate()
        found = self.doctor(expected="problem")
        self.assertEqual(set(found), {"api"})
        text = self.fleet.cli("doctor").stdout.splitlines()
        self.assertTrue(text[-1].startswith("Next: start the coordinator"), text)

    def test_a_key_that_was_revoked_and_another_authority(self):
        (self.fleet.root / "home/edgefleet/logins.json").rename(self.fleet.root / "kept")
        url = f"https://localhost:{self.fleet.people_port}"
        found = self.doctor("--url", url, expected="problem")
        self.assertEqual(set(found), {"api"})
        (self.fleet.root / "kept").rename(self.fleet.root / "home/edgefleet/logins.json")
        other = self.fleet.admin.good("POST", "/api/v1/accesses", {"name": "other", "role": "admin"})
        self.assertEqual(self.fleet.caller(other["key"]).request("POST", "/api/v1/accesses/admin/revoke").status, 202)
        self.assertIn(f"edgefleet login {url}", self.one("api", "problem")["todo"])

    def test_a_broker_that_does_not_run_or_is_stopped(self):
        self.fleet.watcher.terminate()
        wait_until(lambda: self.fleet.admin.request("GET", "/ready").status == 503)
        self.assertIn("cannot reach the broker", json.dumps(self.doctor(expected="problem")["broker"]))
        (self.fleet.data / "broker/stop").write_text("a person has stopped it\n")
        self.fleet.start("watch.sh", self.fleet.watcher.command)
        wait_until(lambda: self.fleet.broker_state().get("broker") == "stopped")
        self.assertIn(str(self.fleet.data / "broker/stop"), self.one("broker files", "problem")["todo"])

    def test_a_broker_that_passes_what_it_must_refuse(self):
        self.fleet.watcher.terminate()
        weak = WeakBroker(self.fleet)
        self.addCleanup(weak.end)
        self.fleet.access("another", "chat")  # with new files the coordinator tries at once
        broker = wait_until(lambda: self.tried(passes=True), timeout=90, what=self.fleet.coordinator.log)
        self.assertEqual(broker["passes"], ["an agent's certificate may write another agent's topics"])
        self.assertIn("another agent's topics", self.one("broker access", "problem")["found"])
        found = self.one("broker trial", "problem", "--broker")["found"]
        for text in ("an agent may write edgefleet/v1/home/coordinator/status", "an agent may write edgefleet/v1/home/tasks/none/"
                     "canary-2", "an agent may read edgefleet/v1/home/results/canary-2"):
            self.assertIn(text, found)
        self.assertNotIn("the role", found)  # people's access list is the right one

    def tried(self, passes):
        broker = self.fleet.admin.good("GET", "/api/v1/broker")
        return broker if bool(broker.get("passes")) == passes else None


class WeakBroker:
    """A broker with the fleet's files, in the place of watch.sh, but for the access list of agents."""

    def __init__(self, fleet):
        self.fleet, self.ended = fleet, threading.Event()
        self.run = fleet.data / "broker/run"
        self.current = fleet.data / "broker/current"
        weak = fleet.root / "weak.acl"
        weak.write_text("pattern readwrite #\n")
        text = (self.current / "mosquitto.conf").read_text()
        text = text.replace("live/agents.acl", str(weak)).replace("live/", str(self.current) + "/")
        (fleet.root / "weak.conf").write_text(text)
        self.broker = fleet.start("weak broker", ["mosquitto", "-c", fleet.root / "weak.conf"])
        # A SIGHUP before its loop has begun would end it.
        wait_until(lambda: "New connection" in self.broker.log(), timeout=60, what=self.broker.log)
        self.follower = threading.Thread(target=self.follow)
        self.follower.start()

    def follow(self):
        known = None
        while not self.ended.wait(0.1):
            identity = (self.current / "id").read_text().strip()
            if identity != known:
                self.broker.signal(signal.SIGHUP)
                self.ended.wait(0.5)  # it reads its files at its next turn
                (self.run / "state.new").write_text(f"broker=running\ngeneration={identity}\n")
                (self.run / "state.new").rename(self.run / "state")
                known = identity

    def end(self):
        self.ended.set()
        self.follower.join()
        (self.run / "state").write_text("broker=stopped\n")  # the coordinator has asked for that


class BeforeSetup(FleetCase):
    def test_it_says_that_everybody_may_do_everything(self):
        done = self.fleet.cli("doctor", "--json", "--broker")
        self.assertEqual(done.returncode, WELL, done.stderr)
        found = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
        self.assertEqual(set(found), {"api", "setup", "store", "clock", "broker trial"})
        self.assertEqual(found["setup"]["severity"], "warning")
        self.assertIn("everybody on this machine", found["setup"]["found"])
        self.assertIn("edgefleet-coordinator setup", found["setup"]["todo"])
        self.assertIn("there is no setup", found["broker trial"]["found"])


if __name__ == "__main__":
    unittest.main()

"""A fleet after `setup`: nobody does anything without a credential, machines join, agents are revoked (real programs)."""

import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import threading
import time
import unittest

from closed_broker import NOBODY
from closed_fleet import ClosedFleet
from mqtt5 import FORBIDDEN, Refused
from support import BIN, free_port, wait_until

HOME = "edgefleet/v1/home/"


class Closed(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()

    def start_agent(self, name, joined, *options):
        """A real agent with a certificate; its name at the broker is that of its certificate."""
        fleet = self.fleet
        certificate, key = joined
        agent = fleet.start(name, [
            BIN / "edgefleet-agent", "--name", name, "--echo", "4", "--work", fleet.root / f"work-{name}",
            "--broker", f"mqtts://localhost:{fleet.broker_agents}", "--broker-ca", fleet.ca, "--broker-certificate",
            certificate, "--broker-key", key, "--coordinator", "", *options])
        wait_until(lambda: self.state_of(name) == "online", what=agent.log)
        return agent

    def state_of(self, name):
        answer = self.fleet.admin.request("GET", f"/api/v1/agents/{name}")
        return answer.body.get("state") if answer.status == 200 else answer.status

    def refused(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer.body)
        for word in words:
            self.assertIn(word, json.dumps(answer.body))

    # ---- HTTP

    def test_without_a_key_only_what_is_public_answers(self):
        nobody = self.fleet.caller()
        self.assertEqual(nobody.request("GET", "/health").status, 200)
        self.assertEqual(nobody.request("GET", "/api/v1/ca").body.decode(), self.fleet.ca.read_text())
        for method, path in (("GET", "/api/v1/agents"), ("POST", "/api/v1/tasks"), ("GET", "/api/v1/accesses"),
                             ("POST", "/api/v1/join-tokens"), ("GET", "/v1/models"), ("GET", "/api/v1/access"),
                             ("GET", "/no/such/path"), ("PUT", "/api/v1/artifacts"), ("GET", "/api/v1/audit")):
            with self.subTest(path=path):
                self.refused(nobody.request(method, path), 401, "edgefleet access create")
                self.refused(self.fleet.caller("ef_wrong").request(method, path), 401, "not, or no longer")
                # A key in the address is none.
                key = self.fleet.admin.key
                self.refused(nobody.request(method, f"{path}?key={key}&token={key}"), 401)

    def test_each_role_does_what_it_may(self):
        fleet = self.fleet
        self.start_agent("pi-1", fleet.join("pi-1"))
        task = {"capability": "echo", "input": 1}
        may = {"observe": (200, 403, 403, 403), "chat": (403, 403, 403, 403), "submit": (403, 202, 403, 403),
               "operate": (200, 202, 200, 403), "admin": (200, 202, 200, 200)}
        for role, expected in may.items():
            who = fleet.access(f"a-{role}", role)
            got = (who.request("GET", "/api/v1/agents").status, who.request("POST", "/api/v1/tasks", task).status,
                   who.request("POST", "/api/v1/release").status, who.request("GET", "/api/v1/accesses").status)
            self.assertEqual(got, expected, role)
            self.assertEqual(who.good("GET", "/api/v1/access")["role"], role)

    def test_capabilities_of_an_access(self):
        fleet = self.fleet
        plain, named = fleet.access("plain", "submit"), fleet.access("named", "submit", capabilities=["command.*"])
        chat = fleet.access("talker", "chat")
        for who, capability, words in ((plain, "command.reboot", "command.reboot"), (plain, "llm.pull", "llm.pull"),
                                       (named, "echo", "not among its capabilities"), (named, "llm.pull", "llm.pull")):
            self.refused(who.request("POST", "/api/v1/tasks", {"capability": capability, "input": {}}), 403, words)
            batch = {"tasks": [{"capability": capability, "input": {}}]}
            self.refused(who.request("POST", "/api/v1/batches", batch), 403, words)
        self.refused(chat.request("POST", "/api/v1/tasks", {"capability": "command.x", "input": {}}), 403)
        self.assertEqual(named.request("POST", "/api/v1/tasks", {"capability": "command.x", "input": {}}).status, 202)

    def test_models_and_rates_of_an_access(self):
        fleet = self.fleet
        who = fleet.access("phone", "chat", models=["deepseek*"], per_minute=3)
        for model, status in (("deepseek-r1:1.5b", 202), ("gpt-9", 403), (None, 403)):
            task = {"capability": "llm.chat", "input": {"messages": [], **({"model": model} if model else {})}}
            answer = who.request("POST", "/api/v1/tasks", task)
            self.assertEqual(answer.status, 403 if status == 403 else answer.status, answer.body)
        answer = who.request("POST", "/v1/chat/completions", {"model": "gpt-9", "messages": [{"role": "user", "content": "x"}]})
        self.assertIn(answer.status, (403, 404), answer.body)
        cron = fleet.access("cron", "submit", per_minute=3)
        got = [cron.request("POST", "/api/v1/tasks", {"capability": "echo", "input": 1}).status for _ in range(5)]
        self.assertEqual(got[:3], [202] * 3)
        self.assertIn(429, got[3:])
        unfinished = cron.good("GET", "/api/v1/access")["unfinished"]
        self.assertEqual(unfinished, {"tasks": got.count(202), "bytes": got.count(202), "file_bytes": 0, "tokens": 0})

    def test_what_may_not_be_submitted_leaves_nothing_and_tells_nothing(self):
        """A refused task stores no input; whether somebody has a file is told to nobody else, whatever the task is for."""
        only_echo = self.fleet.access("only-echo", "submit", capabilities=["echo"])
        other = self.fleet.access("other", "submit")
        secret = other.good("PUT", "/api/v1/artifacts", b"somebody else's")["id"]
        nobodys = "sha256-" + "0" * 64

        def stored():
            return sorted(path.name for path in (self.fleet.data / "artifacts").rglob("sha256-*"))

        before = stored()
        large = {"capability": "command.x", "input": "x" * 600_000}
        for path, body in (("/api/v1/tasks", large), ("/api/v1/batches", {"tasks": [large]})):
            answer = only_echo.request("POST", path, body)
            self.assertEqual(answer.status, 403, answer.body)
            self.assertIn("command.x", json.dumps(answer.body))
        self.assertEqual(stored(), before)
        for capability, status in (("command.x", 403), ("echo", 422)):
            answers = [only_echo.request("POST", "/api/v1/tasks", {"capability": capability, "input": {"artifact": id}})
                       for id in (secret, nobodys)]
            self.assertEqual([answer.status for answer in answers], [status, status])
            self.assertEqual(answers[0].body["detail"].replace(secret, nobodys), answers[1].body["detail"])

    def test_no_access_fills_the_queue(self):
        """One alone has half of it, and there is always room for the next one."""
        fleet = self.fleet
        fleet.coordinator.terminate()
        fleet.start_coordinator("--max-tasks", "16")

        def fill(who):
            for accepted in range(20):
                answer = who.request("POST", "/api/v1/tasks", {"capability": "nobody.has", "input": 1})
                if answer.status != 202:
                    self.refused(answer, 429, "one client may have as many as are free, of 16 for all")
                    return accepted
            return 20

        got = [fill(fleet.access(name, "submit")) for name in ("one", "two", "three")]
        self.assertEqual(got, [8, 4, 2])
        self.assertEqual(fleet.access("four", "submit").request("POST", "/api/v1/tasks", {"capability": "x.y"}).status, 202)

    def test_an_agent_offers_what_it_was_enrolled_for(self):
        fleet = self.fleet
        joined = fleet.join("pi-1", fleet.token(capabilities=["image.*"]))
        agent = self.start_agent("pi-1", joined)
        task = fleet.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})
        time.sleep(1)
        self.assertEqual(fleet.admin.good("GET", f"/api/v1/tasks/{task['id']}")["state"], "queued")
        self.assertIn("was not enrolled for", fleet.coordinator.log())
        self.assertTrue(agent.alive())

    def test_a_page_of_another_site_and_a_foreign_name_are_refused(self):
        admin = self.fleet.admin
        self.refused(admin.request("GET", "/api/v1/agents", headers={"Origin": "https://evil.example"}), 403)
        self.refused(admin.request("GET", "/api/v1/agents", headers={"Host": "evil.example"}), 421)
        self.refused(self.fleet.caller().request("GET", "/health", headers={"Sec-Fetch-Site": "cross-site"}), 403)

    def test_keys_rotate_and_end(self):
        fleet = self.fleet
        phone = fleet.access("phone", "observe")
        new = fleet.admin.good("POST", "/api/v1/accesses/phone/rotate", {"overlap_ms": 60_000})["key"]
        for key in (phone.key, new):
            self.assertEqual(fleet.caller(key).request("GET", "/api/v1/agents").status, 200)
        newer = fleet.admin.good("POST", "/api/v1/accesses/phone/rotate")["key"]
        self.assertEqual(fleet.caller(new).request("GET", "/api/v1/agents").status, 401)
        fleet.admin.good("POST", "/api/v1/accesses/phone/revoke")
        self.assertEqual(fleet.caller(newer).request("GET", "/api/v1/agents").status, 401)
        self.refused(fleet.admin.request("POST", "/api/v1/accesses/admin/revoke"), 409, "last one")
        audit = [entry["what"] for entry in fleet.admin.good("GET", "/api/v1/audit")["entries"]]
        self.assertEqual(audit[:4], ["access.revoke", "access.rotate", "access.rotate", "access.create"])

    def test_what_is_in_progress_ends_with_the_access(self):
        fleet = self.fleet
        phone = fleet.access("phone", "submit")
        done = phone.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})  # nobody does it
        outcome = []

        def poll():
            try:
                outcome.append(phone.request("GET", f"/api/v1/tasks/{done['id']}?wait=25").status)
            except (OSError, http.client.HTTPException) as cut:
                outcome.append(cut)

        waiting = threading.Thread(target=poll)
        waiting.start()
        time.sleep(1)
        self.assertEqual(outcome, [])
        fleet.admin.good("POST", "/api/v1/accesses/phone/revoke")
        began = time.monotonic()
        waiting.join()
        self.assertLess(time.monotonic() - began, 2)
        self.assertIsInstance(outcome[0], Exception)

    # ---- joining and the port of agents

    def test_a_machine_joins_and_works_and_its_files_are_its_own(self):
        fleet = self.fleet
        joined = fleet.join("pi-1")
        self.start_agent("pi-1", joined)
        done = fleet.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": "hello"})
        ended = fleet.admin.good("GET", f"/api/v1/tasks/{done['id']}?wait=20")
        self.assertEqual((ended["state"], ended["output"]), ("succeeded", "hello"))
        # The port of agents has files only, and only those of tasks that the agent holds.
        agent = fleet.agents_caller(joined)
        stored = fleet.admin.good("PUT", "/api/v1/artifacts", b"secret of another")
        self.refused(agent.request("GET", f"/api/v1/artifacts/{stored['id']}"), 404)
        self.assertEqual(agent.request("PUT", "/api/v1/artifacts", b"secret of another").status, 201)
        self.assertIn("BEGIN X509 CRL", agent.good("GET", "/api/v1/crl").decode())
        for path in ("/api/v1/tasks", "/api/v1/agents", "/api/v1/accesses"):
            self.refused(agent.request("GET", path), 404, "port of agents")
        self.refused(fleet.agents_caller().request("GET", "/api/v1/crl"), 401, "edgefleet-agent join")
        # A certificate is nothing at the port of people.
        self.assertEqual(fleet.caller().request("GET", "/api/v1/agents").status, 401)

    def test_join_tokens_that_are_used_late_or_wrong(self):
        fleet = self.fleet
        once = fleet.token()
        fleet.join("pi-1", once)
        late = fleet.token(ttl_ms=1000)
        time.sleep(1.2)
        for secret, words in ((once, "has been used"), (late, "has ended"), ("efj_nonsense", "not one of this fleet")):
            with self.assertRaisesRegex(AssertionError, f"403.*{words}"):
                fleet.join("pi-2", secret)
        with self.assertRaisesRegex(AssertionError, "409"):
            fleet.join("pi-1")
        with self.assertRaisesRegex(AssertionError, "409"):
            fleet.join("coordinator")
        self.assertEqual([one["name"] for one in fleet.admin.good("GET", "/api/v1/enrolled-agents")["enrolled_agents"]],
                         ["pi-1"])

    def test_a_machine_without_a_token_is_accepted_by_its_code_only(self):
        fleet = self.fleet
        key, certificate, request = fleet.new_key("pi-9")
        der = ssl.PEM_cert_to_DER_cert(fleet.ca.read_text())
        public = subprocess.run(["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"], check=True,
                                capture_output=True).stdout
        key_hash, nonce = hashlib.sha256(public).hexdigest(), "5" * 64
        digest = lambda *parts: hashlib.sha256("".join(part + "\n" for part in parts).encode()).hexdigest()
        machine = fleet.agents_caller()
        challenge = machine.good("POST", "/api/v1/join/requests", {
            "commitment": digest("edgefleet join 1: commitment", key_hash, nonce), "name": "pi-9", "named": True})
        path = f"/api/v1/join/requests/{challenge['id']}"
        self.assertEqual(machine.request("GET", path).status, 404)
        self.assertEqual(machine.request("POST", path, {"nonce": nonce, "request": request}).status, 202)
        self.assertEqual(machine.request("GET", path).status, 202)
        waiting = fleet.admin.good("GET", "/api/v1/join-requests")["join_requests"]
        self.assertEqual([one["name"] for one in waiting], ["pi-9"])
        self.refused(fleet.admin.request("POST", "/api/v1/join-requests/accept", {"code": "pi-9"}), 422)
        bits = int(digest("edgefleet join 1: code", hashlib.sha256(der).hexdigest(), key_hash, nonce,
                          challenge["nonce"])[:10], 16)
        letters = "abcdefghijkmnpqrstuvwxyz23456789"
        code = "".join(letters[bits >> 5 * i & 31] for i in range(8))
        self.assertEqual(fleet.admin.good("POST", "/api/v1/join-requests/accept", {"code": code}), {"name": "pi-9"})
        certificate.write_text(machine.good("GET", path)["certificate"])
        self.start_agent("pi-9", (certificate, key))

    # ---- MQTT

    def test_at_the_broker_everybody_is_who_they_are(self):
        fleet = self.fleet
        joined = fleet.join("pi-1")
        agent = fleet.agent_client(joined)
        self.assertIn(agent.publish(HOME + "agents/pi-1/status"), (0, 16))
        for topic in ("agents/pi-2/status", "coordinator/status", "tasks/echo/pi-1", "submit/pi-1"):
            self.assertEqual(agent.publish(HOME + topic), FORBIDDEN, topic)
        person = fleet.access("desk", "submit")
        wait_until(lambda: self.can_log_in("desk", person.key))
        client = fleet.person_client("desk", person.key)
        self.assertEqual(client.publish(HOME + "submit/admin"), FORBIDDEN)
        with self.assertRaises(Refused):
            fleet.person_client("desk", "ef_wrong")
        fleet.admin.good("POST", "/api/v1/accesses/desk/revoke")
        self.assertTrue(client.closed(5))
        self.assertFalse(self.can_log_in("desk", person.key))

    def can_log_in(self, name, key):
        try:
            self.fleet.person_client(name, key).close()
        except Refused:
            return False
        return True

    # ---- revocation

    def test_a_revoked_agent_is_out_within_five_seconds_and_its_tasks_go_elsewhere(self):
        fleet = self.fleet
        first, second = fleet.join("pi-1"), fleet.join("pi-2")
        agent = self.start_agent("pi-1", first)
        self.start_agent("pi-2", second)
        began = time.monotonic()
        self.assertEqual(fleet.admin.good("POST", "/api/v1/agents/pi-1/revoke"), {"name": "pi-1"})
        took = time.monotonic() - began
        if not os.environ.get("EDGEFLEET_SLOW"):
            self.assertLess(took, 5)
        self.assertEqual(self.state_of("pi-1"), 404)
        self.refused(fleet.agents_caller(first).request("GET", "/api/v1/crl"), 403, "no longer")
        with self.assertRaises(OSError):
            fleet.agent_client(first).ping()
        time.sleep(3)  # it tries to come back
        self.assertEqual(self.state_of("pi-1"), 404)
        self.assertTrue(agent.alive())
        done = fleet.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})
        ended = fleet.admin.good("GET", f"/api/v1/tasks/{done['id']}?wait=20")
        self.assertEqual((ended["state"], ended["attempts"][-1]["agent"]), ("succeeded", "pi-2"))

    def test_to_forget_an_agent_revokes_it(self):
        fleet = self.fleet
        joined = fleet.join("pi-1")
        agent = self.start_agent("pi-1", joined)
        self.refused(fleet.admin.request("POST", "/api/v1/agents/pi-1/forget"), 409, "online")
        agent.terminate()
        wait_until(lambda: self.state_of("pi-1") == "offline")
        self.assertEqual(fleet.admin.request("POST", "/api/v1/agents/pi-1/forget").status, 202)
        self.refused(fleet.agents_caller(joined).request("GET", "/api/v1/crl"), 403, "no longer")
        self.assertEqual(fleet.admin.good("GET", "/api/v1/enrolled-agents")["enrolled_agents"], [])

    def test_ready_tells_no_details_without_a_key(self):
        self.assertEqual(self.fleet.caller().good("GET", "/ready"), {"ready": True})
        self.assertEqual(self.fleet.admin.good("GET", "/ready"), {"store": True, "broker": True})

    # ---- a second coordinator

    def second(self, *options):
        """A copy of the fleet on other ports, as on another machine."""
        fleet = self.fleet
        copy = fleet.root / "second"
        if not copy.exists():
            copy.mkdir(mode=0o700)
            for name in ("ca", "tls", "access.db", "setup.json"):
                source = fleet.data / name
                shutil.copytree(source, copy / name) if source.is_dir() else shutil.copy(source, copy / name)
            setup = json.loads((copy / "setup.json").read_text())
            setup.update(listen=f"127.0.0.1:{free_port()}", agents_listen=f"127.0.0.1:{free_port()}")
            (copy / "setup.json").write_text(json.dumps(setup))
            if fleet.user:
                for path in (copy, *copy.rglob("*")):
                    os.chown(path, NOBODY, NOBODY)
        return fleet.start("second", [BIN / "edgefleet-coordinator", "--data", copy, *options])

    def test_a_second_coordinator_is_refused_and_one_that_takes_over_does_not_fight(self):
        fleet = self.fleet
        second = self.second()
        self.assertEqual(second.wait(20), 1)
        self.assertIn("another coordinator", second.log())
        self.assertNotIn("listening for one before", fleet.coordinator.log())
        second = self.second("--take-over")
        self.assertEqual(fleet.coordinator.wait(20), 1)
        wait_until(lambda: "epoch" in second.log().split("--take-over")[-1], what=second.log)
        time.sleep(5)
        self.assertTrue(second.alive())
        self.assertLess(fleet.coordinator.log().count("connected to the broker"), 4)
        self.assertLess(second.log().count("connected to the broker"), 4)
        watcher = fleet.agent_client((fleet.data / "tls/watch.crt", fleet.data / "tls/watch.key"))
        watcher.subscribe(HOME + "coordinator/beat")
        time.sleep(2.5)
        self.assertGreaterEqual(len(watcher.taken()), 2)

    # ---- setup

    def test_setup_again_changes_nothing_and_can_be_removed(self):
        fleet = self.fleet
        before = fleet.key_file.read_text(), fleet.ca.read_text()
        refused = fleet.setup()
        self.assertIn("in use", refused.stderr)
        fleet.coordinator.terminate()
        again = fleet.setup()
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual((fleet.key_file.read_text(), fleet.ca.read_text()), before)
        removed = fleet.setup("--remove")
        self.assertEqual(removed.returncode, 0, removed.stderr)
        left = sorted(path.name for path in fleet.data.iterdir())
        self.assertNotIn("ca", left)
        self.assertIn("edgefleet.db", left)


if __name__ == "__main__":
    unittest.main()

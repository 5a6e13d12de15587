"""The table of forbidden acts: each act as each identity, by a raw MQTT 5 client and over HTTP (real programs)."""

import http.client
import json
import os
import threading
import time
import unittest

from closed_broker import NOBODY, Authority
from closed_fleet import ClosedFleet
from mqtt5 import ALLOWED, FORBIDDEN, Refused
from support import BIN, wait_until

HOME = "edgefleet/v1/home/"
ROLES = ("observe", "chat", "submit", "operate", "admin")

# Who may publish there, and who gets what the coordinator publishes there. `a-ROLE` is the access with that role; pi-1
# is an agent.
OPERATORS = {"a-operate", "a-admin"}
WATCHERS = {"a-observe"} | OPERATORS
WRITERS = {
    "agents/pi-1/status": {"pi-1"}, "agents/pi-1/info": {"pi-1"}, "agents/pi-1/heartbeat": {"pi-1"},
    "agents/pi-1/temperature": {"pi-1"}, "results/pi-1": {"pi-1"}, "streams/pi-1": {"pi-1"},
    "agents/pi-2/status": set(), "agents/pi-2/heartbeat": set(), "agents/pi-1/status/more": set(), "results/pi-2": set(),
    "streams/pi-2": set(), "tasks/echo/pi-1": set(), "tasks/echo/pi-2": set(), "control/pi-1": set(), "control/pi-2": set(),
    "coordinator/status": set(), "coordinator/beat": set(), "coordinator/crl": set(), "events/x": set(),
    "submit/a-submit": {"a-submit"}, "submit/a-chat": {"a-chat"}, "submit/a-operate": {"a-operate"},
    "submit/a-admin": {"a-admin"}, "submit/a-observe": set(), "submit/nobody": set(), "submit/pi-1": set(),
    "replies/a-submit/1": set(), "replies/a-chat/1": set(), "operate/a-operate": {"a-operate"}, "operate/a-submit": set(),
}
READERS = {
    "agents/pi-1/status": {"pi-1"} | WATCHERS, "agents/pi-2/status": WATCHERS, "agents/pi-2/heartbeat": WATCHERS,
    "tasks/echo/pi-1": {"pi-1", "a-admin"}, "tasks/echo/pi-2": {"a-admin"}, "control/pi-1": {"pi-1", "a-admin"},
    "control/pi-2": {"a-admin"}, "results/pi-2": {"a-admin"}, "streams/pi-2": {"a-admin"},
    "coordinator/status": {"pi-1"} | WATCHERS, "coordinator/beat": {"a-admin"}, "coordinator/crl": {"pi-1", "a-admin"},
    "coordinator/summary": WATCHERS, "events/x": WATCHERS, "submit/a-submit": {"a-admin"},
    "replies/a-submit/1": {"a-submit", "a-admin"}, "replies/a-chat/1": {"a-chat", "a-admin"},
    "replies/a-operate/1": {"a-operate", "a-admin"},
}

# Which roles may; the others get 403, and who has no good key gets 401.
ALL = set(ROLES)
OBSERVE, SUBMIT, OPERATE, ADMIN = {"observe", "operate", "admin"}, {"submit", "operate", "admin"}, {"operate", "admin"}, {"admin"}
CHAT = {"chat"} | SUBMIT
ECHO = {"capability": "echo", "input": 1}
ACTS = (
    ("GET", "/api/v1/agents", None, OBSERVE), ("GET", "/api/v1/agents/pi-1", None, OBSERVE),
    ("GET", "/api/v1/capabilities", None, OBSERVE), ("GET", "/api/v1/queue", None, OBSERVE),
    ("GET", "/v1/models", None, CHAT), ("POST", "/v1/chat/completions", {"model": "x", "messages": []}, CHAT),
    ("POST", "/v1/embeddings", {"model": "x", "input": "y"}, CHAT),
    ("POST", "/api/v1/tasks", ECHO, SUBMIT), ("POST", "/api/v1/batches", {"tasks": [ECHO]}, SUBMIT),
    ("GET", "/api/v1/tasks", None, SUBMIT), ("PUT", "/api/v1/artifacts", b"x", SUBMIT),
    ("POST", "/api/v1/tasks/retry", {}, OPERATE), ("POST", "/api/v1/agents/none/drain", None, OPERATE),
    ("POST", "/api/v1/agents/none/resume", None, OPERATE), ("POST", "/api/v1/agents/none/reload", None, OPERATE),
    ("POST", "/api/v1/release", None, OPERATE), ("GET", "/api/v1/enrolled-agents", None, OPERATE),
    ("GET", "/api/v1/broker", None, OPERATE), ("POST", "/api/v1/broker/try", None, ADMIN),
    ("POST", "/api/v1/agents/none/revoke", None, ADMIN), ("GET", "/api/v1/accesses", None, ADMIN),
    ("POST", "/api/v1/accesses", {"name": "a b", "role": "admin"}, ADMIN), ("POST", "/api/v1/accesses/none/rotate", None, ADMIN),
    ("POST", "/api/v1/accesses/none/revoke", None, ADMIN), ("GET", "/api/v1/audit", None, ADMIN),
    ("POST", "/api/v1/join-tokens", {"uses": 0}, ADMIN), ("GET", "/api/v1/join-tokens", None, ADMIN),
    ("POST", "/api/v1/join-tokens/none/revoke", None, ADMIN), ("GET", "/api/v1/join-requests", None, ADMIN),
    ("POST", "/api/v1/join-requests/accept", {"code": "x"}, ADMIN), ("POST", "/api/v1/join-requests/refuse", {"code": "x"}, ADMIN),
    ("GET", "/api/v1/access", None, ALL),
)


class AtTheBroker(unittest.TestCase):
    """Without the coordinator, in whose place this test publishes."""

    @classmethod
    def setUpClass(cls):
        fleet = cls.fleet = ClosedFleet()
        cls.addClassCleanup(fleet.end)
        fleet.begin()
        cls.keys = {f"a-{role}": fleet.access(f"a-{role}", role).key for role in ROLES}
        cls.joined = {name: fleet.join(name) for name in ("pi-1", "pi-2", "revoked")}
        fleet.admin.good("POST", "/api/v1/agents/revoked/revoke")
        cls.revoked_key = fleet.access("gone", "admin").key
        cls.short_key = fleet.access("short", "admin", expires_after_ms=6000).key
        wait_until(lambda: cls.can_log_in("short", cls.short_key))
        short = fleet.person_client("short", cls.short_key)
        fleet.admin.good("POST", "/api/v1/accesses/gone/revoke")
        # One that ends leaves the broker, with its session.
        cls.short_ended = short.closed(20)
        wait_until(lambda: not cls.can_log_in("short", cls.short_key))
        fleet.coordinator.terminate()

    @classmethod
    def can_log_in(cls, name, key):
        try:
            cls.fleet.person_client(name, key).close()
        except Refused:
            return False
        return True

    def clients(self):
        found = {name: self.fleet.person_client(name, key) for name, key in self.keys.items()}
        return {**found, "pi-1": self.fleet.agent_client(self.joined["pi-1"])}

    def as_coordinator(self):
        tls = self.fleet.data / "tls"
        return self.fleet.agent_client((tls / "coordinator.crt", tls / "coordinator.key"))

    def test_who_publishes_what(self):
        coordinator = self.as_coordinator()
        coordinator.subscribe(HOME + "#")
        coordinator.taken()  # what the real one has left
        for name, client in self.clients().items():
            for topic, writers in WRITERS.items():
                for retain in (False, True):
                    with self.subTest(who=name, topic=topic, retain=retain):
                        code = client.publish(HOME + topic, name.encode(), retain)
                        if name in writers:
                            self.assertIn(code, ALLOWED)
                        else:
                            self.assertEqual(code, FORBIDDEN)
            for topic in ("$SYS/broker/version", "$share/x/" + HOME + "coordinator/status", "edgefleet/v1/other/submit/" + name,
                          "x", "/" + HOME + "submit/" + name):
                with self.subTest(who=name, topic=topic):
                    self.assertEqual(client.publish(topic), FORBIDDEN)
        got = {}
        for topic, payload, _ in coordinator.taken():
            got.setdefault(topic[len(HOME):], set()).add(payload.decode())
        self.assertEqual(got, {topic: writers for topic, writers in WRITERS.items() if writers})
        for topic in got:
            coordinator.publish(HOME + topic, b"", retain=True)

    def test_who_reads_what(self):
        coordinator = self.as_coordinator()
        clients = self.clients()
        for client in clients.values():
            client.subscribe(HOME + "#", "$share/group/" + HOME + "+/+", *(HOME + topic for topic in READERS))
        for retain in (False, True):
            for topic, readers in READERS.items():
                with self.subTest(topic=topic, retain=retain):
                    self.assertIn(coordinator.publish(HOME + topic, b"secret", retain), ALLOWED)
                    got = {name for name, client in clients.items()
                           if any(one[0] == HOME + topic for one in client.taken())}
                    self.assertEqual(got, readers)
        # A new subscription gets what is retained, and no more than that.
        for name, client in self.clients().items():
            client.subscribe(HOME + "#")
            got = {topic[len(HOME):] for topic, _, _ in client.taken()} & set(READERS)
            self.assertEqual(got, {topic for topic, readers in READERS.items() if name in readers})
        for topic in READERS:
            coordinator.publish(HOME + topic, b"", retain=True)

    def test_a_will_on_a_forbidden_topic_is_dropped(self):
        coordinator = self.as_coordinator()
        coordinator.subscribe(HOME + "#")
        for topic, allowed in (("agents/pi-2/status", False), ("coordinator/status", False), ("agents/pi-1/status", True)):
            with self.subTest(topic=topic):
                client = self.fleet.agent_client(self.joined["pi-1"], will=(HOME + topic, "dead"))
                client.vanish()
                if allowed:
                    wait_until(lambda: any(one[1] == b"dead" for one in coordinator.taken()), timeout=10)
                else:
                    time.sleep(0.5)
                    self.assertEqual([one for one in coordinator.taken() if one[1] == b"dead"], [])

    def test_the_session_of_an_access_ends_with_it(self):
        self.assertTrue(self.short_ended)

    def test_who_does_not_get_in(self):
        fleet = self.fleet
        for name, key in (("gone", self.revoked_key), ("short", self.short_key), ("a-admin", self.keys["a-submit"]),
                          ("a-admin", ""), ("", ""), ("coordinator", self.keys["a-admin"]), ("canary", "x"), (None, None)):
            with self.subTest(user=name), self.assertRaises(Refused):
                fleet.person_client(name, key)
        other = Authority(fleet.root / "other-ca")
        other.issue("pi-1")
        if fleet.user:
            for path in other.folder.iterdir():
                os.chown(path, NOBODY, NOBODY)
        for what, files in (("revoked", self.joined["revoked"]),
                            ("another authority", (other.folder / "pi-1.crt", other.folder / "pi-1.key"))):
            with self.subTest(certificate=what), self.assertRaises(OSError):
                fleet.agent_client(files).ping()

    def test_nobody_takes_the_client_id_of_another(self):
        fleet = self.fleet
        first = fleet.agent_client(self.joined["pi-2"])
        for client in (fleet.agent_client(self.joined["pi-1"], client_id="pi-2"),
                       fleet.person_client("a-submit", self.keys["a-submit"], client_id="pi-2")):
            client.ping()
        first.ping()  # nobody has thrown it out


class OverHttp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        fleet = cls.fleet = ClosedFleet()
        cls.addClassCleanup(fleet.end)
        fleet.begin()
        cls.callers = {role: fleet.access(f"a-{role}", role) for role in ROLES}
        cls.joined = fleet.join("pi-1")
        gone = fleet.access("gone", "admin")
        fleet.admin.good("POST", "/api/v1/accesses/gone/revoke")
        short = fleet.access("short", "admin", expires_after_ms=1000)
        time.sleep(1.1)
        cls.without = {"none": fleet.caller(), "a wrong key": fleet.caller("ef_" + "a" * 10 + "_" + "b" * 52),
                       "revoked": gone, "expired": short, "a long key": fleet.caller("ef_" * 300),
                       "a certificate": type(gone)(fleet.people_port, fleet.ca, certificate=cls.joined)}

    def test_each_act_as_each_identity(self):
        for method, path, body, roles in ACTS:
            for role, caller in self.callers.items():
                with self.subTest(act=f"{method} {path}", role=role):
                    answer = caller.request(method, path, body)
                    if role in roles:
                        self.assertNotIn(answer.status, (401, 403), answer.body)
                    else:
                        self.assertEqual(answer.status, 403, answer.body)
                        self.assertIn(f"has the role {role}", json.dumps(answer.body))
            for who, caller in self.without.items():
                with self.subTest(act=f"{method} {path}", who=who):
                    answer = caller.request(method, path, body)
                    self.assertEqual(answer.status, 401, answer.body)
                    self.assertIn("edgefleet access create", json.dumps(answer.body))
                    self.assertIn("Bearer", answer.headers["WWW-Authenticate"])

    def test_an_agent_does_nothing_of_people_and_people_nothing_of_agents(self):
        agent = self.fleet.agents_caller(self.joined)
        for method, path, body, _ in ACTS:
            if path in ("/api/v1/artifacts",):
                continue
            with self.subTest(act=f"{method} {path}"):
                self.assertEqual(agent.request(method, path, body).status, 404)
        keyed = self.fleet.agents_caller()
        keyed.key = self.callers["admin"].key
        for method, path, body in (("GET", "/api/v1/crl", None), ("POST", "/api/v1/renew", {}), ("PUT", "/api/v1/artifacts", b"x")):
            with self.subTest(act=f"{method} {path}"):
                self.assertEqual(keyed.request(method, path, body).status, 401)

    def test_the_tasks_and_files_of_another_are_unknown(self):
        owner, other = self.callers["submit"], self.fleet.access("other", "submit")
        stored = owner.good("PUT", "/api/v1/artifacts", b"a secret")["id"]
        task = owner.good("POST", "/api/v1/tasks", {**ECHO, "idempotency_key": "mine"})["id"]
        batch = owner.good("POST", "/api/v1/batches", {"tasks": [ECHO]})["id"]
        for method, path in (("GET", f"/api/v1/tasks/{task}"), ("POST", f"/api/v1/tasks/{task}/cancel"),
                             ("POST", f"/api/v1/tasks/{task}/retry"), ("GET", f"/api/v1/batches/{batch}"),
                             ("GET", f"/api/v1/artifacts/{stored}"), ("GET", f"/api/v1/tasks/{task}?wait=1")):
            with self.subTest(act=f"{method} {path}"):
                self.assertEqual(other.request(method, path).status, 404)
        self.assertEqual(other.good("GET", "/api/v1/tasks")["tasks"], [])
        # A key for repetitions is the submitter's own, and a hash opens nothing.
        self.assertNotEqual(other.good("POST", "/api/v1/tasks", {**ECHO, "idempotency_key": "mine"})["id"], task)
        naming = other.request("POST", "/api/v1/tasks", {"capability": "echo", "input": {"artifact": stored}})
        unknown = other.request("POST", "/api/v1/tasks", {"capability": "echo", "input": {"artifact": "sha256-" + "0" * 64}})
        self.assertEqual((naming.status, naming.body["detail"].replace(stored, "")),
                         (unknown.status, unknown.body["detail"].replace("sha256-" + "0" * 64, "")))
        self.assertEqual(other.request("GET", f"/api/v1/artifacts/{stored}").status, 404)
        for named in ({"capability": "echo", "input": {"artifact": stored}},
                      {"capability": "echo", "input": {"artifact": stored, "pad": "x" * 300_000}}):
            self.assertEqual(owner.request("POST", "/api/v1/tasks", named).status, 202)
            self.assertEqual(other.request("POST", "/api/v1/tasks", named).status, unknown.status)
            self.assertEqual(other.request("POST", "/api/v1/batches", {"tasks": [named]}).status, unknown.status)
        # Who has sent the whole file may use it, also after a restart of the coordinator.
        self.assertEqual(other.good("PUT", "/api/v1/artifacts", b"a secret")["id"], stored)
        self.fleet.coordinator.kill()
        self.fleet.start_coordinator()
        self.assertEqual(other.request("GET", f"/api/v1/artifacts/{stored}").status, 200)
        self.assertEqual(other.request("POST", "/api/v1/tasks", {"capability": "echo", "input": {"artifact": stored}}).status, 202)
        for role in ("operate", "admin"):
            self.assertEqual(self.callers[role].request("GET", f"/api/v1/tasks/{task}").status, 200)

    def test_pages_names_and_addresses(self):
        admin, host = self.fleet.admin, f"localhost:{self.fleet.people_port}"
        for headers, status in (({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
                                ({"Origin": f"https://{host}"}, 200), ({"Host": "evil.example"}, 421),
                                ({"Host": f"evil.example:{self.fleet.people_port}"}, 421), ({"Host": "localhost.evil.example"}, 421),
                                ({"Sec-Fetch-Site": "cross-site", "Authorization": ""}, 403),
                                ({"Sec-Fetch-Site": "same-site", "Authorization": ""}, 403),
                                ({"Authorization": f"Basic {admin.key}"}, 401), ({"Authorization": admin.key}, 401),
                                ({"X-Api-Key": admin.key, "Authorization": ""}, 200)):
            with self.subTest(headers=headers):
                self.assertEqual(admin.request("GET", "/api/v1/agents", headers=headers).status, status)
        for query in (f"key={admin.key}", f"access_token={admin.key}", f"api_key={admin.key}"):
            self.assertEqual(self.fleet.caller().request("GET", f"/api/v1/agents?{query}").status, 401)

    def test_an_open_stream_ends_with_its_access(self):
        fleet = self.fleet
        key = fleet.access("listener", "submit").key
        waiting = fleet.caller(key)
        done = waiting.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1, "delay_ms": 60_000})
        ended = []

        def wait():
            try:
                ended.append(waiting.request("GET", f"/api/v1/tasks/{done['id']}?wait=30").status)
            except (OSError, http.client.HTTPException) as cut:
                ended.append(cut)

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.5)
        fleet.admin.good("POST", "/api/v1/accesses/listener/revoke")
        thread.join(5)
        self.assertIsInstance(ended[0], Exception)

    def test_refusals_are_counted_and_audited(self):
        fleet = ClosedFleet()
        self.addCleanup(fleet.end)
        fleet.begin()
        phone, cron = fleet.access("phone", "chat"), fleet.access("cron", "submit")
        for _ in range(3):
            self.assertEqual(phone.request("GET", "/api/v1/accesses").status, 403)
        self.assertEqual(cron.request("POST", "/api/v1/tasks", {"capability": "command.rm", "input": {}}).status, 403)
        fleet.caller("ef_wrong").request("GET", "/api/v1/tasks")
        fleet.agents_caller().request("GET", "/api/v1/crl")
        with self.assertRaises(AssertionError):
            fleet.join("pi-9", "efj_wrong")
        fleet.coordinator.terminate()  # which writes them; otherwise it does once a minute
        fleet.start_coordinator()
        refused = [(one["who"], one["about"]) for one in fleet.admin.good("GET", "/api/v1/audit")["entries"]
                   if one["what"] == "refused"]
        for who, *words in (("phone", "needs admin", "3 times"), ("cron", "command.rm"), ("127.0.0.1", "not, or no longer"),
                            ("127.0.0.1", "certificate of an agent"), ("127.0.0.1", "to join")):
            with self.subTest(who=who, words=words):
                self.assertTrue(any(one[0] == who and all(word in one[1] for word in words) for one in refused), refused)
        self.assertNotIn("ef_wrong", str(refused))
        self.assertIn("refused", fleet.cli("audit").stdout)


if __name__ == "__main__":
    unittest.main()

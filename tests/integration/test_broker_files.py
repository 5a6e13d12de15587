"""A closed broker lets each identity do what its access list says, and nothing else (a real Mosquitto, with TLS)."""

import ssl
import unittest

from closed_broker import AGENTS, PEOPLE, Authority, ClosedBroker
from mqtt5 import ALLOWED, FORBIDDEN, Client, Refused
from support import wait_until

HOME = "edgefleet/v1/home/"
OF_AGENTS = ("status", "info", "heartbeat", "temperature", "parameters")


def written_by(agent):
    return {*(f"{HOME}agents/{agent}/{what}" for what in OF_AGENTS), f"{HOME}results/{agent}", f"{HOME}streams/{agent}"}


def home(*topics):
    return {HOME + topic for topic in topics}


# Every act is tried on each of these.
IN_FLEET = {
    *(topic for agent in ("pi-1", "pi-2", "watch", "coordinator") for topic in written_by(agent)),
    *home(*(f"{what}/{agent}" for what in ("tasks/echo", "control") for agent in ("pi-1", "pi-2", "watch"))),
    *home("agents/pi-1/other", "agents/pi-1/status/below", "agents/none/canary", "results/pi-1/below", "results/echo/pi-1"),
    *home(*(f"coordinator/{what}" for what in ("status", "beat", "summary", "crl", "canary")), "events/task", "unknown"),
    *home(*(f"{what}/{name}" for name in PEOPLE for what in ("submit", "operate", "submit/llm_chat"))),
    *home(*(f"replies/{name}/1" for name in PEOPLE)),
}
OUTSIDE = {"homeassistant/status", "homeassistant/device/pi-1/config", "homeassistant/other", "other", "edgefleet/v1/home",
           "edgefleet/v1/garden/agents/pi-1/status"}
FOR_NOBODY = {"$SYS/broker/version", "$share/group/" + HOME + "agents/pi-1/status", "$CONTROL/dynamic-security/v1"}

OBSERVED = {topic for topic in IN_FLEET if topic.startswith(HOME + "agents/")} | home(
    "coordinator/status", "coordinator/summary", "events/task")
WRITE = {
    "pi-1": written_by("pi-1"),
    "observe": set(),
    "chat": home("submit/chat"),
    "submit": home("submit/submit"),
    "operate": home("submit/operate", "operate/operate"),
    "admin": home("submit/admin"),
    "ha": home("submit/ha", "operate/ha") | {"homeassistant/status"},
    "coordinator": IN_FLEET | {"homeassistant/device/pi-1/config", "edgefleet/v1/home"},
    "watch": set(),
}
READ = {
    "pi-1": home("tasks/echo/pi-1", "control/pi-1", "agents/pi-1/status", "coordinator/status", "coordinator/crl"),
    "observe": OBSERVED,
    "chat": home("replies/chat/1"),
    "submit": home("replies/submit/1"),
    "operate": OBSERVED | home("replies/operate/1"),
    "admin": IN_FLEET | {"edgefleet/v1/home"},  # `#` is also the level above
    "ha": OBSERVED | home("replies/ha/1") | {"homeassistant/status", "homeassistant/device/pi-1/config"},
    "coordinator": IN_FLEET | {"homeassistant/status", "edgefleet/v1/home"},
    "watch": home("coordinator/status", "coordinator/beat"),
}


class Acts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = ClosedBroker(most=40)
        cls.addClassCleanup(cls.broker.end)
        cls.generation = cls.broker.write()
        cls.broker.start()
        cls.broker.becomes(broker="running", generation=cls.generation)
        cls.coordinator = cls.broker.agent("coordinator")
        cls.coordinator.subscribe("#")

    def tearDown(self):
        for client in self.broker.clients[1:]:
            client.close()
        del self.broker.clients[1:]
        self.assertTrue(self.coordinator.alive())
        self.coordinator.taken()

    # ---- topics

    def test_each_identity_writes_its_topics_and_no_other(self):
        for name, allowed in WRITE.items():
            with self.subTest(name):
                client = self.coordinator if name == "coordinator" else self.broker.client(name)
                topics = IN_FLEET | OUTSIDE | FOR_NOBODY
                reasons = {topic: client.publish(topic, name.encode()) for topic in sorted(topics)}
                self.assertEqual({topic for topic, reason in reasons.items() if reason in ALLOWED}, allowed)
                self.assertEqual({reasons[topic] for topic in topics - allowed}, {FORBIDDEN})
                if name != "coordinator":
                    arrived = {topic for topic, payload, _ in self.coordinator.taken() if payload == name.encode()}
                    self.assertEqual(arrived, allowed & READ["coordinator"])

    def test_each_identity_reads_its_topics_and_no_other(self):
        """Whatever it subscribes to, retained or not; a denied subscription delivers nothing."""
        helper = self.broker.person("ha")
        sent = {topic: self.coordinator for topic in WRITE["coordinator"]} | {"homeassistant/status": helper}

        def publish(payload, retain):
            for topic, client in sent.items():
                self.assertIn(client.publish(topic, payload, retain), ALLOWED)

        publish(b"retained", True)
        for name, allowed in READ.items():
            with self.subTest(name):
                client = helper if name == "ha" else self.broker.client(name) if name != "coordinator" else self.coordinator
                client.taken()
                if name != "coordinator":
                    client.subscribe("#", "$SYS/#", HOME + "#", HOME + "agents/+/status", *sorted(IN_FLEET | OUTSIDE))
                    retained = {topic for topic, _, flag in client.taken() if flag}
                    self.assertEqual(retained, allowed)
                publish(b"live", False)
                live = {topic for topic, payload, _ in client.taken() if payload == b"live"}
                self.assertEqual(live, allowed)
        publish(b"", True)

    def test_a_shared_subscription_is_no_way_around(self):
        for name in ("pi-1", "observe", "chat"):
            with self.subTest(name):
                client = self.broker.client(name)
                client.subscribe("$share/g/#", f"$share/g/{HOME}results/+")
                self.coordinator.publish(HOME + "results/pi-2", b"secret")
                self.assertEqual(client.taken(), [])
                client.close()

    def test_a_will_is_sent_to_own_topics_only(self):
        for name, own in (("pi-1", HOME + "agents/pi-1/status"), ("submit", HOME + "submit/submit")):
            for topic in (HOME + "agents/pi-2/status", HOME + "coordinator/status", HOME + "submit/chat", own):
                with self.subTest(f"{name}: {topic}"):
                    self.broker.client(name, will=(topic, b"will")).vanish()
                    if topic == own:
                        self.arrives(own, b"will")
                    else:  # one that is allowed, and later, arrives
                        self.broker.client(name, will=(own, b"later")).vanish()
                        self.assertNotIn(topic, self.arrives(own, b"later"))

    def arrives(self, topic, payload):
        """Waits for this message; returns the topics of those before it."""
        seen = []

        def there():
            seen.extend(self.coordinator.taken())
            return any(one[:2] == (topic, payload) for one in seen)

        wait_until(there, what=lambda: f"{payload} on {topic}; there are {seen}")
        return [one[0] for one in seen if one[1] == b"will"]

    # ---- identities

    def test_a_client_id_is_the_name_whatever_a_client_says(self):
        """So nobody takes over the session of another, on its own listener or on the other one."""
        owners = {name: self.broker.client(name) for name in ("pi-2", "observe", "watch")}
        owners["coordinator"] = self.coordinator
        for attacker in ("pi-1", "chat"):
            for owner, client in owners.items():
                with self.subTest(f"{attacker} as {owner}"):
                    other = self.broker.client(attacker, client_id=owner)
                    self.assertTrue(other.alive())
                    self.assertFalse(client.closed(0.05))
                    self.assertTrue(client.alive())

    def test_a_second_connection_of_a_name_ends_the_first(self):
        for name in ("pi-1", "chat"):
            first = self.broker.client(name, client_id="one")
            second = self.broker.client(name, client_id="two")
            self.assertTrue(first.closed(5), name)
            self.assertTrue(second.alive(), name)

    def test_a_name_and_a_key_of_no_certificate_changes_no_certificate(self):
        client = self.broker.agent("pi-1", user="coordinator", key="x")
        self.assertEqual(client.publish(HOME + "coordinator/status"), FORBIDDEN)
        self.assertIn(client.publish(HOME + "results/pi-1"), ALLOWED)

    def refused_by_tls(self, context, port=None):
        with self.assertRaises(OSError):
            self.broker.keep(Client(port or self.broker.agents_port, context)).ping()

    def test_the_agents_listener_takes_valid_certificates_of_its_authority_only(self):
        own = self.broker.authority
        other = Authority(self.broker.root / "other")
        for name in ("pi-1", "coordinator"):
            other.issue(name)
        self.refused_by_tls(own.context())
        self.refused_by_tls(own.context("revoked"))
        self.refused_by_tls(other.context("pi-1", own))
        self.refused_by_tls(other.context("coordinator", own))
        with self.assertRaises(OSError):  # without TLS
            self.broker.keep(Client(self.broker.agents_port, timeout=5))
        for name in AGENTS:
            if name not in ("revoked", "coordinator"):
                self.assertTrue(self.broker.agent(name).alive(), name)

    def test_the_peoples_listener_takes_a_name_with_its_key_only(self):
        certificate = self.broker.authority.context("coordinator")
        for user, key in ((None, None), ("admin", None), ("admin", ""), ("admin", "key of chat"), ("nobody", "key of chat"),
                          ("coordinator", None), ("", ""), ("admin", "key of admi"), ("pi-1", "x")):
            with self.subTest(f"{user}: {key}"):
                for context in (self.broker.authority.context(), certificate):
                    with self.assertRaises(Refused) as refused:
                        self.broker.keep(Client(self.broker.people_port, context, user=user, key=key))
                    self.assertIn(refused.exception.reason, (134, FORBIDDEN))

    def test_tls_is_1_2_or_1_3_with_forward_secrecy_and_authenticated_ciphers(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.broker.authority.context("pi-1")
            context.minimum_version = context.maximum_version = version
            self.assertTrue(self.broker.agent(context=context).alive())
        for ciphers in ("ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
            for name, port in (("pi-1", self.broker.agents_port), (None, self.broker.people_port)):
                context = self.broker.authority.context(name)
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.set_ciphers(ciphers)
                self.refused_by_tls(context, port)


if __name__ == "__main__":
    unittest.main()

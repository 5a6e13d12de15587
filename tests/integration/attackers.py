"""Clients of a closed broker that try what is forbidden all the time, and count the answers."""

import threading

from mqtt5 import ALLOWED, Refused

OTHERS = "edgefleet/v1/home/agents/pi-2/status"


class Attackers:
    """An agent, a person and a revoked agent that try a forbidden act 50 times a second, connected or not."""

    def __init__(self, broker):
        self.broker = broker
        self.ended = threading.Event()
        self.refused = {}
        self.through = []
        self.threads = [threading.Thread(target=self.attack, args=one) for one in (
            ("pi-1", OTHERS), ("chat", "edgefleet/v1/home/coordinator/status"), ("revoked", OTHERS))]
        for thread in self.threads:
            thread.start()

    def attack(self, name, topic):
        client = None
        while not self.ended.wait(0.02):
            try:
                client = client or self.broker.client(name, timeout=5)
                reason = client.publish(topic, b"attack")
                if reason in ALLOWED or name == "revoked":
                    self.through.append((name, reason, self.broker.state()))
            except Refused as why:
                reason = why.reason
            except OSError as why:
                reason = type(why).__name__
                client = None
            self.refused[name, reason] = self.refused.get((name, reason), 0) + 1

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()

"""Bad input: any message over MQTT or HTTP harms only its sender. After each one, everything works as before."""

import json
import random
import subprocess
import unittest

from rubbish import BRACKETS, HUGE, NOT_JSON, WRONG_SHAPE
from support import TOPICS, UNKNOWN_ID, FleetCase, wait_until


def element(**changes):
    return {"id": UNKNOWN_ID, "attempt": 1, "status": "succeeded", "output": 1, "run_ms": 1, **changes}


class Coordinator(FleetCase):
    """Messages from the broker to the coordinator."""

    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=4)

    def publish_all(self, topic, payloads, retain=False):
        for payload in payloads:
            self.fleet.publish(topic, payload, retain=retain)
        self.settled()

    def settled(self):
        """Waits until everything published before has been read: the coordinator reads in order."""
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")

    TOPICS = ("agents/ghost/status", "agents/ghost/info", "agents/ghost/heartbeat", "agents/ghost/temperature",
              "results/ghost", "coordinator/status", "agents/pi-1/status", "agents/pi-1/info", "agents/pi-1/heartbeat",
              "agents/pi-1/temperature", "results/pi-1", "submit/somebody")

    def test_malformed(self):
        """A payload that is not JSON is dropped on every topic that the coordinator reads."""
        for topic in self.TOPICS:
            self.publish_all(topic, NOT_JSON)
        self.assert_works()
        self.assertEqual(set(self.api.agents()), {"pi-1"})

    def test_wrong_shape(self):
        """JSON of another shape is dropped on every topic."""
        for topic in self.TOPICS:
            self.publish_all(topic, WRONG_SHAPE)
        self.assert_works()
        self.assertEqual(set(self.api.agents()), {"pi-1"})

    def test_too_large(self):
        """A payload over 256 KiB is dropped by the coordinator, and one over its own bound by the broker."""
        for topic in self.TOPICS:
            self.fleet.publish(topic, HUGE)
            self.fleet.publish(topic, b'{"a":"' + b"x" * 300_000 + b'"}', check=False)
        self.settled()
        self.assert_works()

    def test_wrong_types(self):
        """Each field of each message with a wrong type or an absurd value affects only that message."""
        odd = [None, True, -1, 0, 1.5, 2**63, 2**64, -2**63, 1e308, "", "x", "\u0000", "x" * 10_000, [], [[]], {}, {"a": 1}]
        good = {
            "agents/ghost/status": {"state": "online", "session": "s"},
            "agents/ghost/info": {"session": "s", "version": "1", "board": "b", "arch": "a", "os": "o", "cpus": 1,
                                  "memory_bytes": 1, "max_tasks": 1, "labels": {"a": "b"},
                                  "executors": [{"name": "e", "capabilities": ["c.d"], "slots": 1}]},
            "agents/ghost/heartbeat": {"session": "s", "sequence": 1, "epoch": 1, "coordinator": "c", "n": 1, "uptime_ms": 1,
                                       "load": 1.0, "free_memory_bytes": 1, "free_slots": {"e": 1}, "clock_unix_ms": 1,
                                       "tasks": [{"id": UNKNOWN_ID, "attempt": 1, "phase": "running", "executor": "e"}]},
            "agents/ghost/temperature": {"session": "s", "celsius": 1.0, "trend_per_minute": 0, "throttled": [],
                                         "policy": "normal"},
            "results/ghost": {"session": "s", "results": [element()]},
        }
        for topic, message in good.items():
            for field in message:
                if field == "epoch":
                    continue  # an epoch is trusted: that is its purpose
                for value in odd:
                    self.fleet.publish(topic, {**message, field: value}, qos=0)
            self.settled()
        for field in ("id", "attempt", "status", "output", "error", "run_ms", "usage"):
            for value in odd:
                self.fleet.publish("results/ghost", {"session": "s", "results": [element(**{field: value})]}, qos=0)
        self.settled()
        self.assert_works()

    def test_absurd_epoch(self):
        """A heartbeat or a status with the greatest possible epoch does not stop the fleet."""
        for epoch in (2**63, 2**64 - 1):
            self.fleet.publish("agents/ghost/heartbeat", {"session": "s", "sequence": 1, "epoch": epoch, "coordinator": "c",
                                                          "n": 0, "tasks": [], "free_slots": {}})
            self.fleet.publish("coordinator/status", {"state": "lost", "epoch": epoch, "session": "other"}, retain=True)
            self.settled()
        self.api.placeable("pi-1")
        self.assert_works()

    def test_bad_names(self):
        """Messages of agents whose names are not valid are dropped."""
        for name in ("Big", "-x", "x-", "a.b", "a b", "ü", "a" * 64, " ", "x\ty", "../x", "$x"):
            for kind, payload in (("status", {"state": "online", "session": "s"}), ("info", {"session": "s", "executors": []}),
                                  ("heartbeat", {"session": "s", "tasks": [], "free_slots": {}})):
                self.fleet.publish(f"agents/{name}/{kind}", payload, check=False)
            self.fleet.publish(f"results/{name}", {"session": "s", "results": [element()]}, check=False)
        for capability in ("..", "a..b", ".a", "A", "a b", "c" * 200):
            self.fleet.publish("results/pi-1", {"session": "s", "results": [element(capability=capability)]}, check=False)
            self.fleet.publish("submit/me", {"capability": capability, "input": 1}, check=False)
            self.fleet.publish(f"tasks/{capability}/pi-1", {"epoch": 1, "session": "s", "n": 1, "tasks": []}, check=False)
        self.settled()
        self.assertEqual(set(self.api.agents()), {"pi-1"})
        self.assert_works()

    def test_unknown_results(self):
        """Results of unknown tasks are acknowledged as unknown, so that their sender discards them."""
        observer = self.fleet.observe("control/ghost")
        self.fleet.publish("results/ghost", {"session": "s", "results": [element(), element(attempt=2)]})
        answer = observer.wait_for(lambda m: m.topic == "control/ghost" and m.payload["type"] == "acknowledge")
        self.assertEqual([(t["id"], t["attempt"], t.get("unknown")) for t in answer.payload["tasks"]],
                         [(UNKNOWN_ID, 1, True), (UNKNOWN_ID, 2, True)])

    def test_one_bad_result_among_good_ones(self):
        """One bad element of a results message does not affect the others."""
        good = [f"01ARZ3NDEKTSV4RRFFQ69G5FA{c}" for c in "VWXYZ"]
        bad = [{}, None, 7, [], "x", element(id="short"), element(attempt=0), element(status="great"),
               element(status="failed"), element(run_ms=-1)]
        mixed = [part for pair in zip([element(id=i) for i in good] + [None] * 5, bad) for part in pair if part is not None]
        observer = self.fleet.observe("control/ghost")
        self.fleet.publish("results/ghost", {"session": "s", "results": [*mixed, None]})
        answer = observer.wait_for(lambda m: m.topic == "control/ghost")
        self.assertEqual([t["id"] for t in answer.payload["tasks"]], good)
        self.assert_works()

    def test_result_of_somebody_else(self):
        """A result from an agent other than that of the attempt changes nothing."""
        self.fleet.start_agent("pi-2", toml=self.fleet.sleep_toml(1))
        task = self.api.submit("command.sleep", {"seconds": 1.5})
        self.api.state_becomes(task, "running")
        for agent in ("ghost", "pi-1"):
            for attempt in (1, 2):
                for status in ("succeeded", "cancelled", "returned"):
                    self.fleet.publish(f"results/{agent}",
                                       {"session": "s", "results": [element(id=task, attempt=attempt, status=status, output="forged")]})
        self.fleet.publish("results/pi-2", {"session": "s", "results": [element(id=task, attempt=2, output="forged")]})
        self.settled()
        self.assertEqual(self.api.task(task)["state"], "running")
        done = self.api.outcome(task)
        self.assertEqual((done["state"], done["output"]["exit_code"], len(done["attempts"])), ("succeeded", 0, 1))

    def test_late_results(self):
        """A repeated or contradicting result after the outcome changes nothing, and is acknowledged."""
        task = self.api.submit("echo", "true")
        done = self.api.outcome(task)
        observer = self.fleet.observe("control/pi-1", retained=False)
        session = self.api.agent("pi-1")["session"]
        for status, extra in (("succeeded", {}), ("failed", {"error": {"code": "x", "message": "y"}}), ("returned", {})):
            self.fleet.publish("results/pi-1", {"session": session, "results": [
                element(id=task, status=status, output="false", **extra)]})
        wait_until(lambda: len(observer.all("control/pi-1")) >= 3, what="all are acknowledged")
        self.assertEqual({m.payload["type"] for m in observer.all("control/pi-1")}, {"acknowledge"})
        self.assertEqual(self.api.task(task), done)

    def test_ghost_gets_no_work(self):
        """An agent that publishes online but no heartbeat in this reign gets no tasks."""
        self.fleet.publish("agents/ghost/info", {"session": "s", "executors": [
            {"name": "e", "capabilities": ["only.ghost"], "slots": 5}]}, retain=True)
        self.fleet.publish("agents/ghost/status", {"state": "online", "session": "s"}, retain=True)
        self.settled()
        answer = self.api.post("/api/v1/tasks", {"capability": "only.ghost"}).body
        self.assertEqual((answer["state"], answer["eligible_agents"]), ("queued", 0))
        self.assertIn("not yet reporting", answer["waiting"])
        self.assert_works()


class Agent(FleetCase):
    """Messages from the broker to an agent; the test acts as the coordinator."""

    COORDINATOR = None
    REIGN = {"epoch": 7, "session": "played"}

    def setUp(self):
        super().setUp()
        self.fleet.publish("coordinator/status", {"state": "online", **self.REIGN}, retain=True)
        self.observer = self.fleet.observe("agents/#", "results/#")
        self.agent = self.fleet.start_agent("pi-1", echo=2, toml=self.fleet.sleep_toml(1), wait=False)
        self.observer.wait_for(lambda m: m.topic.endswith("heartbeat") and m.payload["epoch"] == 7)
        self.numbers = iter(range(1, 100_000))

    def give(self, given, capability="echo", **changes):
        self.fleet.publish(f"tasks/{capability.replace('.', '_')}/pi-1", {**self.REIGN, "n": next(self.numbers), "tasks": given, **changes})

    def new_task(self, **changes):
        task_id = "".join(["0", *random.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=25)])
        return {"id": task_id, "attempt": 1, "input": {"n": task_id}, "timeout_ms": 60_000, **changes}

    def result(self, task, timeout=None):
        def find(message):
            return message.topic.startswith("results/") and [
                r for r in message.payload["results"] if r["id"] == task["id"] and r["attempt"] == task["attempt"]]
        return find(self.observer.wait_for(find, timeout, f"a result of {task['id']}"))[0]

    def assert_agent_works(self):
        task = self.new_task()
        self.give([task])
        self.assertEqual(self.result(task)["output"], task["input"])
        self.assertTrue(self.agent.alive())

    def test_malformed(self):
        """A payload that is not JSON, or has another shape, is dropped on every topic that an agent reads."""
        for topic in ("tasks/echo/pi-1", "tasks/command_sleep/pi-1", "tasks/unknown/pi-1", "control/pi-1", "coordinator/status"):
            for payload in NOT_JSON + WRONG_SHAPE + [HUGE]:
                self.fleet.publish(topic, payload)
            self.fleet.publish(topic, b"x" * 300_000, check=False)
            self.assert_agent_works()

    def test_wrong_types(self):
        """Each field of a tasks or control message with a wrong type affects only that message or element."""
        odd = [None, True, -1, 1.5, 2**64, "", "x" * 10_000, [], [[]], {}, {"a": 1}, 0]
        for value in odd:
            for field in ("n", "tasks", "session"):
                self.give([self.new_task()], **{field: value})
            for field in ("id", "attempt", "timeout_ms"):
                self.give([self.new_task(**{field: value})])
            for kind in ("acknowledge", "cancel", "recall", "nonsense", value):
                for field in ("id", "attempt", "unknown"):
                    self.fleet.publish("control/pi-1", {**self.REIGN, "type": kind, "tasks": [
                        {"id": UNKNOWN_ID, "attempt": 1, field: value}]}, qos=0)
        self.assert_agent_works()

    def test_one_bad_task_among_good_ones(self):
        """One bad element of a tasks message does not affect the others."""
        good = [self.new_task() for _ in range(5)]
        bad = [{}, None, self.new_task(id="x"), self.new_task(attempt=0), self.new_task(timeout_ms=-1)]
        self.give([part for pair in zip(good, bad) for part in pair])
        for task in good:
            self.assertEqual(self.result(task)["output"], task["input"])

    def test_any_input(self):
        """Any JSON can be an input; a command refuses an unsupported input with an error that is not retryable."""
        for value in (None, 7, "text", [], {"seconds": "x"}, {"seconds": -1}, {"minutes": 1}, {"seconds": 1e300}):
            task = self.new_task(input=value)
            self.give([task], "command.sleep")
            result = self.result(task)
            self.assertEqual((result["status"], result["error"]["code"], result["error"]["retryable"]),
                             ("failed", "bad_input", False), value)
        self.assert_agent_works()

    def test_not_offered(self):
        """A task of a capability that the agent does not offer is given back."""
        task = self.new_task()
        self.give([task], "image.blur")
        result = self.result(task)
        self.assertEqual((result["status"], result["error"]["code"]), ("returned", "not_offered"))

    def test_repeated(self):
        """The same attempt sent three times is run once."""
        task = self.new_task()
        for _ in range(3):
            self.give([task])
        self.assert_agent_works()
        outputs = [r["run_ms"] for m in self.observer.all() if m.topic.startswith("results/")
                   for r in m.payload["results"] if r["id"] == task["id"]]
        self.assertEqual(len(set(outputs)), 1)

    def test_other_reign(self):
        """Orders of another reign are ignored: of an older one, and of another session with the same epoch."""
        for reign in ({"epoch": 6, "session": "older"}, {"epoch": 7, "session": "stranger"}, {"epoch": 6, "session": "played"}):
            task = self.new_task()
            self.give([task], **reign)
            self.fleet.publish("control/pi-1", {**reign, "type": "drain"})
            self.assert_agent_works()
            results = [r for m in self.observer.all() if m.topic.startswith("results/") for r in m.payload["results"]]
            self.assertNotIn(task["id"], [r["id"] for r in results])
        self.assertEqual({m.payload["state"] for m in self.observer.all("agents/pi-1/status")}, {"online"})

    def test_cancel_before_the_task(self):
        """A cancel that arrives before its task prevents the run."""
        task = self.new_task(input={"seconds": 30})
        self.fleet.publish("control/pi-1", {**self.REIGN, "type": "cancel", "tasks": [{"id": task["id"], "attempt": 1}]})
        self.assertEqual(self.result(task)["status"], "cancelled")
        self.give([task], "command.sleep")
        self.assert_agent_works()
        running = [t for m in self.observer.all("agents/pi-1/heartbeat") for t in m.payload["tasks"] if t["phase"] == "running"]
        self.assertNotIn(task["id"], [t["id"] for t in running])

    def test_unknown_is_kept_for_a_person(self):
        """A result that is unknown to the coordinator is no longer sent, and is kept in a folder."""
        task = self.new_task()
        self.give([task])
        self.result(task)
        self.fleet.publish("control/pi-1", {**self.REIGN, "type": "acknowledge", "tasks": [
            {"id": task["id"], "attempt": 1, "unknown": True}]})
        folder = self.fleet.dir / "work-pi-1/unknown-results"
        files = wait_until(lambda: folder.exists() and list(folder.glob("*.json")), what="the result is kept")
        self.assertIn(task["id"], files[0].read_text())

    def test_result_is_repeated(self):
        """A result that is not acknowledged is sent again after a while, and once more when asked by the task."""
        task = self.new_task()
        self.give([task])
        self.result(task)
        wait_until(lambda: self.count(task) >= 2, 30, "it is sent again")

    def count(self, task):
        return sum(r["id"] == task["id"] for m in self.observer.all() if m.topic.startswith("results/")
                   for r in m.payload["results"])


class Deep(FleetCase):
    """Nesting: every program can pass on an input that was accepted."""

    def test_deep_input_beside_others(self):
        """An input of the greatest depth passes through every message; a deeper one is refused, without harm."""
        deep = [1]
        for _ in range(62):
            deep = [deep]
        batch = self.api.batch([{"capability": "echo", "input": 1}, {"capability": "echo", "input": [deep]},
                                {"capability": "echo", "input": 2}])
        self.assert_problem(self.api.post("/api/v1/tasks", {"capability": "echo", "input": [[deep]]}), 400, 422)
        self.fleet.start_agent("pi-1", echo=4)
        self.assertEqual(self.api.batch_ended(batch["id"])["counts"]["succeeded"], 3)


class SubmitOverMqtt(FleetCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=2)
        self.replies = self.fleet.observe("replies/#")

    def submit(self, payload, capability="echo", reply="replies/desk/1", client="desk", correlation="c-1"):
        properties = []
        if reply is not None:
            properties.append(("response-topic", f"{TOPICS}/{reply}"))
        if correlation is not None:
            properties.append(("correlation-data", correlation))
        if isinstance(payload, dict):
            payload = {"capability": capability, **payload}
        self.fleet.publish(f"submit/{client}", payload, properties=properties)

    def answer(self, topic="replies/desk/1"):
        return self.replies.wait_for(lambda m: m.topic == topic, what=f"an answer on {topic}").payload

    def test_request_and_response(self):
        """mosquitto_rr submits a task and gets its outcome, with the correlation data."""
        done = subprocess.run(
            ["mosquitto_rr", "-h", "127.0.0.1", "-p", str(self.fleet.broker_port), "-V", "5", "-q", "1", "-W", "20",
             "-t", f"{TOPICS}/submit/desk", "-e", f"{TOPICS}/replies/desk/rr", "-D", "publish", "correlation-data", "k7",
             "-m", '{"capability":"echo","input":{"hello":"there"}}', "-F", "%D\t%p"], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        correlation, payload = done.stdout.rstrip("\n").split("\t", 1)
        outcome = json.loads(payload)
        self.assertEqual((outcome["state"], outcome["output"]), ("succeeded", {"hello": "there"}))
        self.assertIn("k7", correlation)
        self.assertEqual(self.api.task(outcome["id"])["output"], {"hello": "there"})

    def test_acceptance(self):
        """With "answer":"accepted" the answer is the acceptance, and there is no second one."""
        self.submit({"input": 1, "answer": "accepted"}, capability="nobody.offers")
        answer = self.answer()
        self.assertEqual(answer["state"], "queued")
        self.assertIn("no agent offers", answer["waiting"])
        self.submit({"input": 5, "answer": "accepted"}, reply="replies/desk/2")
        task = self.answer("replies/desk/2")["id"]
        self.assertEqual(self.api.outcome(task)["output"], 5)
        self.submit({"input": 6}, reply="replies/desk/3")
        self.answer("replies/desk/3")
        self.assertEqual(len(self.replies.all("replies/desk/2")), 1)

    def test_errors_are_answered(self):
        """A task that cannot be accepted is answered at once with a problem."""
        for n, (payload, status) in enumerate(((b"nonsense", 422), (b"[]", 422), (BRACKETS, 422), ({"priority": "x"}, 422),
                                               ({"input": "x" * 259_000}, 413), ({"answer": "maybe"}, 422),
                                               ({"input": {"artifact": "sha256-" + "0" * 64}}, None))):
            self.submit(payload, reply=f"replies/desk/e{n}")
            answer = self.answer(f"replies/desk/e{n}")
            self.assertIn("detail", answer)
            self.assertIn(answer["status"], (status,) if status else (404, 422))
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_strange_response_topics(self):
        """A response topic outside the client's own replies is refused: nothing is written there, nothing is run."""
        victim = self.fleet.observe("control/#", "tasks/#", "agents/pi-1/status", "coordinator/status", retained=False)
        before = len(victim.all())
        for reply in ("control/pi-1", "tasks/echo/pi-1", "coordinator/status", "agents/pi-1/status", "replies/other/1",
                      "replies/desk", "submit/desk"):
            self.submit({"input": "must not run", "name": "strange"}, reply=reply)
        for topic in ("elsewhere", "$SYS/x", "edgefleet/v1/other/replies/desk/1"):
            self.fleet.publish("submit/desk", {"capability": "echo", "input": 1, "name": "strange"}, properties=[("response-topic", topic)])
        self.submit({"input": "ok"}, reply="replies/desk/after")
        self.answer("replies/desk/after")
        for task in self.api.good("GET", "/api/v1/tasks")["tasks"]:
            self.assertNotEqual(task.get("name"), "strange")
        self.assertEqual([m.topic for m in victim.all()[before:] if m.topic == "coordinator/status"], [])
        self.assertEqual(self.replies.all("replies/other/1"), [])
        self.assert_works()

    def test_idempotent(self):
        """Two requests with one key are one task, and both get its outcome; another client's key is another one."""
        body = {"input": "same", "idempotency_key": "k"}
        for n in (1, 2):
            self.submit(body, reply=f"replies/desk/i{n}")
        self.submit(body, reply="replies/lamp/i", client="lamp")
        first, second = self.answer("replies/desk/i1"), self.answer("replies/desk/i2")
        self.assertEqual(first["id"], second["id"])
        self.assertNotEqual(self.answer("replies/lamp/i")["id"], first["id"])
        self.submit({"input": "other", "idempotency_key": "k"}, reply="replies/desk/i3")
        self.assertEqual(self.answer("replies/desk/i3")["status"], 409)

    def test_both_wait(self):
        """Two requests with one key that wait at the same time both get the outcome."""
        body = {"input": "same", "idempotency_key": "w", "delay_ms": 1000}
        for n in (1, 2):
            self.submit(body, reply=f"replies/desk/w{n}", correlation=f"c{n}")
        first, second = self.answer("replies/desk/w1"), self.answer("replies/desk/w2")
        self.assertEqual((first["id"], first["output"]), (second["id"], "same"))


if __name__ == "__main__":
    unittest.main()

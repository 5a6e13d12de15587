"""Bad input: whatever comes over MQTT or HTTP harms only its sender. After each, everything works as before."""

import json
import random
import socket
import subprocess
import unittest

from support import TOPICS, UNKNOWN_ID, FleetCase, wait_until

BRACKETS = b"[" * 100_000
DEEP = b'{"a":' * 100_000
NOT_JSON = [
    b"", b" ", b"nonsense", b"{", b"}", b"[", b'{"a":}', b"{'a':1}", b'{"a":1,}', b'{"a":1}{', b"\x00", b"\xff\xfe\x00",
    b'{"session":"\xff\xfe"}', b'{"a":"\xc3"}', b'{"a":"\xed\xa0\x80"}', b'{"a":01}', b'{"a":1e999}', b'{"a":NaN}',
    b'{"a":"\x01"}', b'{"a":"\\ud800"}', BRACKETS, DEEP, BRACKETS + b"]" * 100_000, b'{"a":' + b"[" * 65 + b"]" * 65 + b"}",
]
WRONG_SHAPE = [b"null", b"true", b"0", b'"text"', b"[]", b"[1,2]", b"{}", b"[{}]", b'{"session":null}', b'{"session":{}}']
HUGE = b'{"a":"' + b"x" * 264_000 + b'"}'  # more than the protocol allows, less than the broker does


def element(**changes):
    return {"id": UNKNOWN_ID, "attempt": 1, "status": "succeeded", "output": 1, "run_ms": 1, **changes}


class Coordinator(FleetCase):
    """What the coordinator reads from the broker."""

    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=4)

    def publish_all(self, topic, payloads, retain=False):
        for payload in payloads:
            self.fleet.publish(topic, payload, retain=retain)
        self.settled()

    def settled(self):
        """Everything published before has been read: the coordinator reads in order."""
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")

    TOPICS = ("agents/ghost/status", "agents/ghost/info", "agents/ghost/heartbeat", "agents/ghost/temperature",
              "results/echo/ghost", "coordinator/status", "agents/pi-1/status", "agents/pi-1/info", "agents/pi-1/heartbeat",
              "agents/pi-1/temperature", "results/echo/pi-1", "submit/somebody/echo")

    def test_malformed(self):
        """What is no JSON is dropped on every topic that the coordinator reads."""
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
        """Each field of each message with a wrong type or an absurd value costs that message alone."""
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
            "results/echo/ghost": {"session": "s", "results": [element()]},
        }
        for topic, message in good.items():
            for field in message:
                if field == "epoch":
                    continue  # an epoch is believed: that is what it is for
                for value in odd:
                    self.fleet.publish(topic, {**message, field: value}, qos=0)
            self.settled()
        for field in ("id", "attempt", "status", "output", "error", "run_ms", "usage"):
            for value in odd:
                self.fleet.publish("results/echo/ghost", {"session": "s", "results": [element(**{field: value})]}, qos=0)
        self.settled()
        self.assert_works()

    def test_absurd_epoch(self):
        """A heartbeat or a status with the greatest epoch that there is does not take the fleet down."""
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
            self.fleet.publish(f"results/echo/{name}", {"session": "s", "results": [element()]}, check=False)
        for capability in ("..", "a..b", ".a", "A", "a b", "c" * 200):
            self.fleet.publish(f"results/{capability}/pi-1", {"session": "s", "results": [element()]}, check=False)
            self.fleet.publish(f"submit/me/{capability}", {"input": 1}, check=False)
        self.settled()
        self.assertEqual(set(self.api.agents()), {"pi-1"})
        self.assert_works()

    def test_unknown_results(self):
        """Results of tasks that nobody knows are acknowledged as unknown, so that their sender forgets them."""
        observer = self.fleet.observe("control/ghost")
        self.fleet.publish("results/echo/ghost", {"session": "s", "results": [element(), element(attempt=2)]})
        answer = observer.wait_for(lambda m: m.topic == "control/ghost" and m.payload["type"] == "acknowledge")
        self.assertEqual([(t["id"], t["attempt"], t.get("unknown")) for t in answer.payload["tasks"]],
                         [(UNKNOWN_ID, 1, True), (UNKNOWN_ID, 2, True)])

    def test_one_bad_result_among_good_ones(self):
        """One bad element of a results message does not take the others with it."""
        good = [f"01ARZ3NDEKTSV4RRFFQ69G5FA{c}" for c in "VWXYZ"]
        bad = [{}, None, 7, [], "x", element(id="short"), element(attempt=0), element(status="great"),
               element(status="failed"), element(run_ms=-1)]
        mixed = [part for pair in zip([element(id=i) for i in good] + [None] * 5, bad) for part in pair if part is not None]
        observer = self.fleet.observe("control/ghost")
        self.fleet.publish("results/echo/ghost", {"session": "s", "results": [*mixed, None]})
        answer = observer.wait_for(lambda m: m.topic == "control/ghost")
        self.assertEqual([t["id"] for t in answer.payload["tasks"]], good)
        self.assert_works()

    def test_result_of_somebody_else(self):
        """A result from an agent that was not given the attempt changes nothing."""
        self.fleet.start_agent("pi-2", toml=self.fleet.sleep_toml(1))
        task = self.api.submit("command.sleep", {"seconds": 1.5})
        self.api.state_becomes(task, "running")
        for agent in ("ghost", "pi-1"):
            for attempt in (1, 2):
                for status in ("succeeded", "cancelled", "returned"):
                    self.fleet.publish(f"results/command.sleep/{agent}",
                                       {"session": "s", "results": [element(id=task, attempt=attempt, status=status, output="forged")]})
        self.fleet.publish("results/command.sleep/pi-2", {"session": "s", "results": [element(id=task, attempt=2, output="forged")]})
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
            self.fleet.publish("results/echo/pi-1", {"session": session, "results": [
                element(id=task, status=status, output="false", **extra)]})
        wait_until(lambda: len(observer.all("control/pi-1")) >= 3, what="all are acknowledged")
        self.assertEqual({m.payload["type"] for m in observer.all("control/pi-1")}, {"acknowledge"})
        self.assertEqual(self.api.task(task), done)

    def test_ghost_gets_no_work(self):
        """An agent that says online but never beats in this reign is given nothing."""
        self.fleet.publish("agents/ghost/info", {"session": "s", "executors": [
            {"name": "e", "capabilities": ["only.ghost"], "slots": 5}]}, retain=True)
        self.fleet.publish("agents/ghost/status", {"state": "online", "session": "s"}, retain=True)
        self.settled()
        answer = self.api.post("/api/v1/tasks", {"capability": "only.ghost"}).body
        self.assertEqual((answer["state"], answer["eligible_agents"]), ("queued", 0))
        self.assertIn("not yet reporting", answer["waiting"])
        self.assert_works()


class Agent(FleetCase):
    """What an agent reads from the broker; the test plays the coordinator."""

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
        self.fleet.publish(f"tasks/{capability}/pi-1", {**self.REIGN, "n": next(self.numbers), "tasks": given, **changes})

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
        """What is no JSON, or of another shape, is dropped on every topic that an agent reads."""
        for topic in ("tasks/echo/pi-1", "tasks/command.sleep/pi-1", "tasks/unknown/pi-1", "control/pi-1", "coordinator/status"):
            for payload in NOT_JSON + WRONG_SHAPE + [HUGE]:
                self.fleet.publish(topic, payload)
            self.fleet.publish(topic, b"x" * 300_000, check=False)
            self.assert_agent_works()

    def test_wrong_types(self):
        """Each field of a tasks or control message with a wrong type costs that message or element alone."""
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
        """One bad element of a tasks message does not take the others with it."""
        good = [self.new_task() for _ in range(5)]
        bad = [{}, None, self.new_task(id="x"), self.new_task(attempt=0), self.new_task(timeout_ms=-1)]
        self.give([part for pair in zip(good, bad) for part in pair])
        for task in good:
            self.assertEqual(self.result(task)["output"], task["input"])

    def test_any_input(self):
        """Whatever is JSON can be an input; a command refuses what it does not take, not retryable."""
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
        """Orders of another reign are not obeyed: neither an older one's nor a stranger's of the same epoch."""
        for reign in ({"epoch": 6, "session": "older"}, {"epoch": 7, "session": "stranger"}, {"epoch": 6, "session": "played"}):
            task = self.new_task()
            self.give([task], **reign)
            self.fleet.publish("control/pi-1", {**reign, "type": "drain"})
            self.assert_agent_works()
            results = [r for m in self.observer.all() if m.topic.startswith("results/") for r in m.payload["results"]]
            self.assertNotIn(task["id"], [r["id"] for r in results])
        self.assertEqual({m.payload["state"] for m in self.observer.all("agents/pi-1/status")}, {"online"})

    def test_cancel_before_the_task(self):
        """A cancel that overtakes its task keeps it from being run."""
        task = self.new_task(input={"seconds": 30})
        self.fleet.publish("control/pi-1", {**self.REIGN, "type": "cancel", "tasks": [{"id": task["id"], "attempt": 1}]})
        self.assertEqual(self.result(task)["status"], "cancelled")
        self.give([task], "command.sleep")
        self.assert_agent_works()
        running = [t for m in self.observer.all("agents/pi-1/heartbeat") for t in m.payload["tasks"] if t["phase"] == "running"]
        self.assertNotIn(task["id"], [t["id"] for t in running])

    def test_unknown_is_kept_for_a_person(self):
        """A result that the coordinator does not know is no longer sent, and is kept in a folder."""
        task = self.new_task()
        self.give([task])
        self.result(task)
        self.fleet.publish("control/pi-1", {**self.REIGN, "type": "acknowledge", "tasks": [
            {"id": task["id"], "attempt": 1, "unknown": True}]})
        folder = self.fleet.dir / "work-pi-1/unknown-results"
        files = wait_until(lambda: folder.exists() and list(folder.iterdir()), what="the result is kept")
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


class Http(FleetCase):
    COORDINATOR = ("--max-artifact-mb", "1")

    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=4)

    def test_malformed(self):
        """What is no JSON, or of another shape, is refused by every endpoint that reads a body."""
        for path in ("/api/v1/tasks", "/api/v1/batches"):
            for body in NOT_JSON + WRONG_SHAPE:
                answer = self.api.post(path, body)
                self.assert_problem(answer, 400, 422)
        for path in ("/api/v1/agents/pi-1/resume", f"/api/v1/tasks/{UNKNOWN_ID}/cancel", f"/api/v1/tasks/{UNKNOWN_ID}/retry"):
            for body in NOT_JSON:
                self.assertIn(self.api.post(path, body).status, (202, 400, 404, 422))
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_wrong_types(self):
        """Each field of a task with a wrong type or out of range is refused by name."""
        wrong = {
            "capability": [None, 7, "", "A", "a..b", "x" * 200, [], {}], "name": [7, "x" * 201, [], {}, True],
            "priority": [1001, -1001, 1.5, "1", 2**64], "timeout_ms": [0, -1, 1.5, "1", 2**63, 2592000001],
            "expires_after_ms": [-1, "1", 1e300], "delay_ms": [-1, [], 2592000001], "max_attempts": [0, 101, -1, "3"],
            "where": [7, [], "x", {"a": 1}, {"": "x"}, {"a": "x" * 129}, {str(n): "x" for n in range(17)}],
            "idempotency_key": [7, [], "x" * 201],
        }
        for field, values in wrong.items():
            for value in values:
                answer = self.api.post("/api/v1/tasks", {"capability": "echo", field: value})
                self.assertIn(field, self.assert_problem(answer, 422), value)
        self.assert_problem(self.api.post("/api/v1/tasks", {"input": 1}), 422)
        for tasks in (None, 7, {}, "x", [7], [None], [[]]):
            self.assert_problem(self.api.post("/api/v1/batches", {"tasks": tasks}), 422)
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_queries(self):
        """Wrong query parameters are refused by name; ids and names that are none are not found."""
        for path in ("tasks?state=lost", "tasks?state=", "tasks?capability=A", "tasks?batch=x", "tasks?after=x", "tasks?limit=0",
                     "tasks?limit=-1", "tasks?limit=1001", "tasks?limit=x", "tasks?limit=99999999999999999999",
                     f"tasks/{UNKNOWN_ID}?wait=x", f"tasks/{UNKNOWN_ID}?wait=-1", f"tasks/{UNKNOWN_ID}?wait=nan"):
            self.assert_problem(self.api.get("/api/v1/" + path), 422)
        for path in ("tasks/x", f"tasks/{UNKNOWN_ID}", f"tasks/{UNKNOWN_ID.lower()}", "tasks/" + "7" * 27, "batches/x",
                     f"batches/{UNKNOWN_ID}", "agents/Big", "agents/nobody", "agents/%00", "tasks/%00", "tasks/a%2Fb", "nothing",
                     "artifacts/x", "artifacts/%2e%2e%2f%2e%2e", "artifacts/..", "tasks/%ff%fe", "tasks/'%20or%201=1"):
            self.assert_problem(self.api.get("/api/v1/" + path), 404)
        self.assert_works()

    def test_one_bad_task_in_a_batch(self):
        """One bad task refuses the whole batch, and is named by its number."""
        tasks = [{"capability": "echo", "input": n} for n in range(50)]
        for bad in ({}, None, 7, {"capability": "Bad"}, {"capability": "echo", "priority": "high"},
                    {"capability": "echo", "idempotency_key": "own"}, {"capability": "echo", "input": "x" * 260_000}):
            answer = self.api.post("/api/v1/batches", {"tasks": tasks[:33] + [bad] + tasks[33:]})
            self.assertIn("33", self.assert_problem(answer, 413, 422))
            self.assertEqual([error["index"] for error in answer.body["errors"]], [33])
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_sizes(self):
        """An input over 252 KiB, a batch over 10,000 tasks and a body over 64 MiB are too large; the bounds themselves fit."""
        most = 252 * 1024
        self.assert_problem(self.api.post("/api/v1/tasks", {"capability": "echo", "input": "x" * (most - 1)}), 413)
        task = self.api.outcome(self.api.submit("echo", "x" * (most - 2)))
        self.assertEqual((task["state"], len(task["output"])), ("succeeded", most - 2))
        many = [{"capability": "nobody.offers"}] * 10_000
        self.assert_problem(self.api.post("/api/v1/batches", {"tasks": many + many[:1]}), 413)
        self.assertEqual(len(self.api.batch(many)["tasks"]), 10_000)
        self.assert_problem(self.api.post("/api/v1/batches", {"tasks": []}), 422)
        status = raw_status(self.fleet.http_port, b"POST /api/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                            % (80 << 20), b" " * (1 << 20), 80)
        self.assertIn(status, (413, None))  # None: it hung up on us while we were still sending, which is right too
        self.assert_works()

    def test_memory_is_bounded(self):
        """A body of 400 MiB is not collected in memory, at whatever path and with whatever method it comes."""
        self.assert_works()
        before = self.fleet.coordinator.resident_bytes()
        for request in (b"POST /api/v1/tasks", b"POST /api/v1/nothing", b"PUT /", b"DELETE /api/v1/agents"):
            most = 0

            def look():
                nonlocal most
                most = max(most, self.fleet.coordinator.resident_bytes() - before)

            raw_status(self.fleet.http_port, request + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (400 << 20),
                       b" " * (1 << 20), 400, look)
            with self.subTest(request=request):
                self.assertLess(most, 256 << 20)  # what may come, 64 MiB, is copied as it grows
            self.assertTrue(self.fleet.coordinator.alive())
        self.assert_works()

    def test_foreign_pages(self):
        """A browser's request from a page of another site is refused with 403; the own page may."""
        body = {"capability": "echo"}
        own = f"127.0.0.1:{self.fleet.http_port}"
        for origin, host in (("http://evil.example", own), ("http://evil.example", "evil.example"), ("null", own),
                             (f"http://127.0.0.1:{self.fleet.http_port + 1}", own), ("https://evil.example", "evil.example:80")):
            for method, path in (("POST", "/api/v1/tasks"), ("GET", "/api/v1/tasks"), ("GET", "/health")):
                answer = self.api.request(method, path, body if method == "POST" else None, {"Origin": origin, "Host": host})
                self.assertEqual(answer.status, 403, (origin, host))
                self.assertNotIn("Access-Control-Allow-Origin", answer.headers)
                self.api.close()
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assertEqual(self.api.request("POST", "/api/v1/tasks", body, {"Origin": "http://" + own}).status, 202)
        self.assert_works()

    def test_nothing_is_smuggled(self):
        """The body of a refused request is never taken for the next request."""
        task = b'{"capability":"echo","name":"smuggled"}'
        inner = (b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(task)) + task
        outers = {
            "foreign page": b"POST /api/v1/tasks HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.example\r\n",
            "long path": b"POST /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: h\r\n",
            "unknown path": b"POST /nothing HTTP/1.1\r\nHost: h\r\n",
            "unknown method": b"BREW /api/v1/tasks HTTP/1.1\r\nHost: h\r\n",
            "a GET with a body": b"GET /health HTTP/1.1\r\nHost: h\r\n",
            "a DELETE with a body": b"DELETE /api/v1/tasks HTTP/1.1\r\nHost: h\r\n",
            "an upload from a foreign page": b"PUT /api/v1/artifacts HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.example\r\n",
            "a coding that is not known": b"POST /api/v1/tasks HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n",
        }
        upload = b"PUT /api/v1/artifacts HTTP/1.1\r\nHost: h\r\n"
        smuggled = 0
        too_large = {"a body that is too large": (b"POST /api/v1/tasks HTTP/1.1\r\nHost: h\r\n", 65 << 20),
                     "an upload that is too large": (upload, 3 << 20)}
        for name, (head, padded_to) in [(n, (h, p)) for n, h in outers.items() for p in (0, 4096, 16384)] + [*too_large.items()]:
            with self.subTest(name, padded_to=padded_to):
                # The library reads 4096 bytes at a time: what follows may stand at the border of two reads.
                length = b"Content-Length: %010d\r\n\r\n"
                padding = max(0, padded_to - len(head) - len(length % 0))
                raw(self.fleet.http_port, head + length % (padding + len(inner)) + b"x" * padding + inner, 0.5)
                tasks = self.api.good("GET", "/api/v1/tasks")["tasks"]
                names = [t["name"] for t in tasks if "name" in t]
                before, smuggled = smuggled, len(names)
                self.assertEqual(smuggled, before)

    def test_garbage(self):
        """Requests that are none harm nobody."""
        for garbage in (b"", b"\r\n\r\n", b"\x00" * 1000, b"\xff" * 1000, b"GET\r\n\r\n", b"GET /health\r\n\r\n",
                        b"GET /health HTTP/9.9\r\n\r\n", b"get /health HTTP/1.1\r\n\r\n", b"GET  /health  HTTP/1.1\r\n\r\n",
                        b"GET /health HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
                        b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
                        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /%00%ff%zz% HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"GET /api/v1/tasks?" + b"a=b&" * 1500 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"GET /api/v1/tasks/" + b"a" * 7000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", b"DELETE /api/v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=\r\nContent-Length: 4\r\n\r\n--\r\n",
                        b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9\r\n\r\n--b\r\n\r\nx\r\n",
                        b"GET /api/v1/artifacts/x HTTP/1.1\r\nHost: x\r\nRange: bytes=5-1\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nHost: x\r\nRange: bytes=" + b"0-0," * 2000 + b"\r\n\r\n",
                        b"GET /health HTTP/1.1\r\nOrigin: " + b"[" * 500 + b"\r\nHost: [\r\n\r\n"):
            raw(self.fleet.http_port, garbage, 0.3)
            self.assertTrue(self.fleet.coordinator.alive(), garbage[:80])
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assert_works()

    def test_half_requests_do_not_stop_others(self):
        """A hundred connections that never end their request leave the others alone."""
        open_ones = []
        try:
            for n in range(100):
                connection = socket.create_connection(("127.0.0.1", self.fleet.http_port))
                open_ones.append(connection)
                connection.sendall(b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + (b"Content-Length: 9\r\n\r\n{" if n % 2 else b"X"))
            self.assert_works()
        finally:
            for connection in open_ones:
                connection.close()

    def test_ways_to_send(self):
        """A task comes through as curl sends it by default, in chunks, with other types, and twice on one connection."""
        body = b'{"capability":"echo","input":1}'
        for kind in (b"application/x-www-form-urlencoded", b"text/plain", b"application/json; charset=utf-8"):
            self.assertEqual(self.api.post("/api/v1/tasks", body, headers={"Content-Type": kind.decode()}).status, 202, kind)
        long_body = b'{"capability":"echo","input":"' + b"x" * 20_000 + b'"}'
        self.assertEqual(self.api.post("/api/v1/tasks", long_body, headers={
            "Content-Type": "application/x-www-form-urlencoded"}).status, 202)
        chunked = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n"
        self.assertIn(b"HTTP/1.1 202", raw(self.fleet.http_port, chunked, 1))
        waiting = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.assertIn(b" 202 ", raw(self.fleet.http_port, waiting + body, 2))
        self.assert_works()


def raw(port, data, patience):
    """Sends bytes, and returns what comes back until the other side closes or says nothing more."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.settimeout(patience)
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
    return answer


def raw_status(port, head, piece, count, look=None):
    """Sends a head and then `count` pieces; the status of the answer, or None if the other side hung up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(head)
            for _ in range(count):
                connection.sendall(piece)
                if look:
                    look()
        except OSError:
            pass
        connection.settimeout(3)
        try:
            line = connection.recv(100)
        except OSError:
            return None
        return int(line.split()[1]) if line.startswith(b"HTTP/") else None


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
        self.fleet.publish(f"submit/{client}/{capability}", payload, properties=properties)

    def answer(self, topic="replies/desk/1"):
        return self.replies.wait_for(lambda m: m.topic == topic, what=f"an answer on {topic}").payload

    def test_request_and_response(self):
        """mosquitto_rr hands in a task and gets its outcome, with the correlation data."""
        done = subprocess.run(
            ["mosquitto_rr", "-h", "127.0.0.1", "-p", str(self.fleet.broker_port), "-V", "5", "-q", "1", "-W", "20",
             "-t", f"{TOPICS}/submit/desk/echo", "-e", f"{TOPICS}/replies/desk/rr", "-D", "publish", "correlation-data", "k7",
             "-m", '{"input":{"hello":"there"}}', "-F", "%D\t%p"], capture_output=True, text=True, timeout=30, check=False)
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
        """What cannot be accepted is answered at once, as a problem."""
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
                      "replies/desk", "submit/desk/echo"):
            self.submit({"input": "must not run", "name": "strange"}, reply=reply)
        for topic in ("elsewhere", "$SYS/x", "edgefleet/v1/other/replies/desk/1"):
            self.fleet.publish("submit/desk/echo", {"input": 1, "name": "strange"}, properties=[("response-topic", topic)])
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

"""What changes in the fleet, as server-sent events: docs/events.md."""

import http.client
import json
import os
import socket
import time
import unittest

from closed_fleet import ClosedFleet
from events import Events
from support import FleetCase, wait_until
from test_llm_shapes import END, Scripted, delta


class FollowCase(FleetCase):
    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=60)

    def follow(self, path="/api/v1/events", last_id=None):
        events = Events(self.connect, path, last_id)
        self.addCleanup(events.close)
        self.assertEqual(events.status, 200, events.body)
        return events

    def ended(self, task):
        return lambda events: "succeeded" in events.states(task)


class Following(FollowCase):
    def test_a_task_and_its_agent(self):
        """Each state that was recorded, with the agent and the attempt; an agent that comes and goes; a batch that ends."""
        events = self.follow()
        self.fleet.start_agent("pi-1", echo=2)
        events.wait_for(lambda e: any(a.data["name"] == "pi-1" and a.data["state"] == "online" for a in e.of("agent")))
        task = self.api.submit("echo", {"secret": "never shown"}, name="first")
        events.wait_for(self.ended(task))
        told = [event.data for event in events.of("task") if event.data["id"] == task]
        self.assertNotIn("from", told[0])
        self.assertEqual((told[-1]["state"], told[-1]["agent"], told[-1]["attempt"], told[-1]["capability"], told[-1]["name"]),
                         ("succeeded", "pi-1", 1, "echo", "first"))
        for before, after in zip(told, told[1:]):
            self.assertEqual(after["from"], before["state"])
        self.assertNotIn("never shown", json.dumps([event.data for event in events.all]))
        batch = self.api.batch([{"capability": "echo", "input": n} for n in range(20)])["id"]
        events.wait_for(lambda e: any(b.data == {"id": batch, "state": "ended", "at": b.data["at"]} for b in e.of("batch")))
        self.assertEqual(sum(event.data.get("batch") == batch and event.data["state"] == "succeeded"
                             for event in events.of("task")), 20)
        self.fleet.agents["pi-1"].terminate()
        events.wait_for(lambda e: e.of("agent")[-1].data["state"] == "offline")
        numbers = [int(event.id.split("-")[1]) for event in events.all]
        self.assertEqual(numbers, sorted(set(numbers)), "each event once, in order")

    def test_filters(self):
        self.fleet.start_agent("pi-1", echo=2)
        tasks_only = self.follow("/api/v1/events?types=task&capability=echo")
        agents_only = self.follow("/api/v1/events?types=agent,temperature")
        elsewhere = self.follow("/api/v1/events?agent=pi-2")
        batch = self.api.batch([{"capability": "echo", "input": 1}])["id"]
        of_batch = self.follow("/api/v1/events?batch=" + batch)
        task = self.api.submit("echo", 1)
        tasks_only.wait_for(self.ended(task))
        self.assertEqual({event.type for event in tasks_only.all}, {"task"})
        second = self.api.batch([{"capability": "echo", "input": n} for n in range(3)])["id"]
        of_second = self.follow("/api/v1/events?batch=" + second)
        self.fleet.start_agent("pi-2", echo=1)
        elsewhere.wait_for(lambda e: e.of("agent"))
        self.assertTrue(all("pi-2" in (event.data.get("agent"), event.data.get("name")) for event in elsewhere.all))
        self.assertEqual({event.type for event in agents_only.all} - {"agent", "temperature"}, set())
        self.assertTrue(all(event.data.get("batch", event.data["id"]) == batch for event in of_batch.all))
        self.assertTrue(all(event.data.get("batch", event.data["id"]) == second for event in of_second.all))
        for bad, what in (("types=tusk", "tusk"), ("agent=Pi!", "`agent`"), ("capability=a..b", "`capability`"),
                          ("batch=1", "`batch`"), ("types=", "types")):
            self.assertIn(what, self.assert_problem(self.api.get("/api/v1/events?" + bad), 422))
        self.assert_problem(self.api.get("/api/v1/events", headers={"Last-Event-ID": "yesterday"}), 422)

    def test_one_who_returns_misses_nothing_or_is_told(self):
        self.fleet.start_agent("pi-1", echo=4)
        events = self.follow()
        first = self.api.submit("echo", 1)
        events.wait_for(self.ended(first))
        last = events.last_id
        events.close()
        away = [self.api.submit("echo", n) for n in range(10)]
        for task in away:
            self.api.outcome(task)
        again = self.follow(last_id=last)
        again.wait_for(lambda e: all("succeeded" in e.states(task) for task in away))
        self.assertEqual(again.of("gap"), [])
        self.assertEqual(again.states(first), [], "what it has seen is not sent again")
        for tasks in range(4):  # more than 10,000 events
            self.api.batch_ended(self.api.batch([{"capability": "echo", "input": n} for n in range(2000)])["id"])
        late = self.follow(last_id=last)
        late.wait_for(lambda e: e.of("gap"))
        self.assertIn("read the lists again", late.of("gap")[0].data["detail"])
        task = self.api.submit("echo", 1)
        late.wait_for(self.ended(task))
        self.assertEqual(len(late.of("gap")), 1)
        current = late.last_id
        self.fleet.coordinator.kill()
        wait_until(late.over.is_set, what="the stream ends with the coordinator")
        self.fleet.start_coordinator()
        after = self.follow(last_id=current)
        after.wait_for(lambda e: e.of("gap"))
        self.assertNotEqual(after.last_id.split("-")[0], current.split("-")[0], "another epoch")

    def test_one_that_never_reads_is_cut_off_and_holds_nobody_up(self):
        self.fleet.start_agent("pi-1", echo=8)
        before = len(os.listdir(f"/proc/{self.fleet.coordinator.pid}/fd"))
        for _ in range(50):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", self.api.port))
            connection.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.addCleanup(connection.close)
        files = f"/proc/{self.fleet.coordinator.pid}/fd"
        wait_until(lambda: len(os.listdir(files)) >= before + 50, what="all of them are connected")
        deadline = time.monotonic() + 60
        while len(os.listdir(files)) > before + 25:  # what the kernel keeps for a connection is some megabytes
            self.assertLess(time.monotonic(), deadline, "those that never read are still connected")
            self.api.batch_ended(self.api.batch([{"capability": "echo", "input": n} for n in range(2000)])["id"])
        reader = self.follow()
        task = self.api.submit("echo", 1)
        reader.wait_for(self.ended(task))

    def test_it_ends_with_the_coordinator(self):
        events = self.follow()
        self.fleet.coordinator.terminate()
        wait_until(events.over.is_set, what="the end of the stream")


class OneTask(FollowCase):
    def test_a_task_with_its_end(self):
        self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml(2))
        task = self.api.submit("command.sleep", {"seconds": 0.5})
        events = self.follow(f"/api/v1/tasks/{task}/events")
        wait_until(events.over.is_set, what="the stream ends with the task")
        self.assertEqual(events.states(task)[-1], "succeeded")
        self.assertEqual(len(events.states(task)), len(set(events.states(task))), "no state twice")
        late = self.follow(f"/api/v1/tasks/{task}/events")
        wait_until(late.over.is_set, what="a task that has ended has one event")
        self.assertEqual(late.states(task), ["succeeded"])
        failed = self.api.submit("command.sleep", {"seconds": 100}, timeout_ms=300, max_attempts=1)
        events = self.follow(f"/api/v1/tasks/{failed}/events")
        wait_until(events.over.is_set, what="the stream ends with the task")
        self.assertEqual((events.states(failed)[-1], events.of("task")[-1].data["error"]), ("failed", "timed_out"))
        self.assert_problem(self.api.get("/api/v1/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV/events"), 404)
        self.assert_problem(self.api.get("/api/v1/tasks/7/events"), 404)

    def test_its_output_while_it_runs(self):
        """The pieces of a model's answer, each with its place; a client that comes late gets the rest."""
        backend = Scripted()
        self.addCleanup(backend.close)
        backend.answer = [delta(content="one "), 1, delta(reasoning_content="hm"), delta(content="two "), 1, delta(content="three"), END]
        self.fleet.start_agent("pi-1", toml=f'[[llm]]\nprovider = "openai"\nurl = "{backend.url}"\nrefresh_s = 1\n')
        wait_until(lambda: (self.api.agent("pi-1")["executors"] or [{}])[0].get("models"), what="the back end is looked at")
        task = self.api.submit("llm.chat", {"model": "tiny", "messages": [{"role": "user", "content": "?"}]}, delay_ms=500)
        events = self.follow(f"/api/v1/tasks/{task}/events")
        events.wait_for(lambda e: e.of("output"))
        late = self.follow(f"/api/v1/tasks/{task}/events")
        wait_until(events.over.is_set, what="the stream ends with the task")
        self.assertEqual((events.states(task)[0], events.states(task)[-1]), ("scheduled", "succeeded"))
        said = {channel: "".join(e.data["text"] for e in events.of("output") if e.data["channel"] == channel)
                for channel in ("content", "reasoning")}
        self.assertEqual(said, {"content": "one two three", "reasoning": "hm"})
        wait_until(late.over.is_set, what="the stream ends with the task")
        rest = [e.data for e in late.of("output") if e.data["channel"] == "content"]
        self.assertEqual("one two three"[rest[0]["at"]:], "".join(piece["text"] for piece in rest))
        self.assertTrue(all((e.data["agent"], e.data["attempt"]) == ("pi-1", 1) for e in events.of("output")))


class Roles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = ClosedFleet()
        cls.addClassCleanup(cls.fleet.end)
        cls.fleet.begin()

    def follow(self, caller, path="/api/v1/events"):
        def connect():
            return http.client.HTTPSConnection("localhost", caller.port, timeout=60, context=caller.context)
        events = Events(connect, path, key=caller.key)
        self.addCleanup(events.close)
        return events

    def test_each_role_gets_what_it_may_see(self):
        observer = self.fleet.access("eyes", "observe")
        alice = self.fleet.access("alice", "submit")
        bob = self.fleet.access("bob", "submit")
        self.assertEqual(self.fleet.caller().request("GET", "/api/v1/events").status, 401)
        self.assertEqual(alice.request("GET", "/api/v1/events?types=agent").status, 403)
        all_events, of_alice, of_bob = self.follow(observer), self.follow(alice), self.follow(bob)
        mine = alice.good("POST", "/api/v1/tasks", {"capability": "echo", "input": "private"})["id"]
        his = bob.good("POST", "/api/v1/batches", {"tasks": [{"capability": "echo", "input": 1}]})["tasks"][0]
        all_events.wait_for(lambda e: e.states(mine) and e.states(his))
        of_alice.wait_for(lambda e: e.states(mine))
        of_bob.wait_for(lambda e: e.states(his))
        alice.good("POST", f"/api/v1/tasks/{mine}/cancel", b"")
        of_alice.wait_for(lambda e: "cancelled" in e.states(mine))
        time.sleep(0.3)
        self.assertEqual(of_alice.states(his) + of_bob.states(mine), [])
        self.assertNotIn("private", json.dumps([event.data for event in all_events.all]))
        self.assertEqual(bob.request("GET", f"/api/v1/tasks/{mine}/events").status, 404)
        self.assertEqual(observer.request("GET", f"/api/v1/tasks/{mine}/events").status, 403)
        self.fleet.admin.good("POST", "/api/v1/accesses/alice/revoke", b"")
        wait_until(of_alice.over.is_set, 5, what="the stream ends with the access")

"""The main path: tasks are submitted, placed and run, and their outcome is returned."""

import collections
import json
import os
import random
import unittest

from support import UNKNOWN_ID, FleetCase, processes_with, wait_until


class Submitting(FleetCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=4, toml=self.fleet.sleep_toml(1))

    def test_http(self):
        """A task submitted over HTTP is accepted at once, and a long poll returns its outcome."""
        accepted = self.api.post("/api/v1/tasks", {"capability": "echo", "input": {"text": "grüße"}, "name": "first"})
        self.assertEqual(accepted.status, 202)
        self.assertEqual(accepted.headers["Location"], "/api/v1/tasks/" + accepted.body["id"])
        self.assertEqual(accepted.body["eligible_agents"], 1)
        self.assertEqual(accepted.body["ahead"], 0)
        task = self.api.good("GET", f"/api/v1/tasks/{accepted.body['id']}?wait=20")
        self.assertEqual((task["state"], task["output"], task["name"]), ("succeeded", {"text": "grüße"}, "first"))
        self.assertEqual([(a["n"], a["agent"], a["state"]) for a in task["attempts"]], [(1, "pi-1", "succeeded")])
        for moment in ("assigned_at", "started_at", "ended_at"):
            self.assertRegex(task["attempts"][0][moment], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_long_poll_ends_in_time(self):
        """A long poll without an outcome ends when its time is over, and returns the state of the task."""
        task = self.api.submit("command.sleep", {"seconds": 30})
        answer = self.api.good("GET", f"/api/v1/tasks/{task}?wait=0.3")
        self.assertIn(answer["state"], ("assigned", "running"))
        self.assert_problem(self.api.get(f"/api/v1/tasks/{UNKNOWN_ID}?wait=5"), 404)

    def test_any_json_is_an_input(self):
        """echo returns any JSON unchanged."""
        values = [None, True, 0, -1.5e-7, 2**63, "", "\u0000\U0001f600\"\\", [], {}, [[[{"a": [None]}]]], {"": ""}, "x" * 200_000]
        ids = [self.api.submit("echo", value) for value in values]
        for task_id, value in zip(ids, values):
            task = self.api.outcome(task_id)
            self.assertEqual((task["state"], task["output"]), ("succeeded", value))

    def test_lists(self):
        """Tasks are listed newest first, by state and capability, a page at a time."""
        ids = [self.api.submit("echo", n) for n in range(5)]
        for task_id in ids:
            self.api.outcome(task_id)
        waiting = self.api.submit("nobody.offers")
        newest = [task["id"] for task in self.api.good("GET", "/api/v1/tasks")["tasks"]]
        self.assertEqual(newest, [waiting, *reversed(ids)])
        by_state = self.api.good("GET", "/api/v1/tasks?state=succeeded&capability=echo&limit=2")
        self.assertEqual([task["id"] for task in by_state["tasks"]], [ids[4], ids[3]])
        rest = self.api.good("GET", f"/api/v1/tasks?state=succeeded&after={by_state['next']}&limit=100")
        self.assertEqual([task["id"] for task in rest["tasks"]], [ids[2], ids[1], ids[0]])
        self.assertEqual(self.api.good("GET", "/api/v1/tasks?state=queued")["tasks"][0]["id"], waiting)

    def test_queue(self):
        """The queue shows for each capability how many tasks wait and run, and why they wait."""
        running = self.api.submit("command.sleep", {"seconds": 30})
        self.api.state_becomes(running, "running")
        self.api.submit("command.sleep", {"seconds": 0})
        self.api.submit("nobody.offers")
        view = self.api.good("GET", "/api/v1/queue")
        queues = {line["capability"]: line for line in view["queues"]}
        self.assertEqual((view["queued"], view["running"]), (2, 1))
        self.assertEqual((queues["command.sleep"]["queued"], queues["command.sleep"]["running"]), (1, 1))
        self.assertEqual(queues["command.sleep"]["eligible_agents"], 1)
        self.assertIn("busy", queues["command.sleep"]["waiting"])
        self.assertIn("no agent offers nobody.offers", queues["nobody.offers"]["waiting"])


class CommandLine(FleetCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=4, toml=self.fleet.sleep_toml(1) + '[labels]\nroom = "attic"\n')

    def run_cli(self, *args, code=0, **options):
        done = self.fleet.cli(*args, **options)
        self.assertEqual(done.returncode, code, f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def test_submit_and_look(self):
        """`submit`, `task` and `tasks` submit a task and show it, as a table and as JSON."""
        self.assertEqual(json.loads(self.run_cli("submit", "echo", '{"a":1}', "--wait")), {"a": 1})
        task_id = self.run_cli("submit", "echo", "-", "--name", "from a pipe", stdin='"piped"').strip()
        shown = self.run_cli("task", task_id, "--wait", "20s")
        for part in (task_id, "from a pipe", "succeeded", "pi-1", "piped"):
            self.assertIn(part, shown)
        self.assertEqual(json.loads(self.run_cli("task", task_id, "--json"))["output"], "piped")
        self.assertIn(task_id, self.run_cli("tasks"))
        listed = json.loads(self.run_cli("--json", "tasks", "--state", "succeeded", "--limit", 1))
        self.assertEqual([task["id"] for task in listed["tasks"]], [task_id])
        self.run_cli("submit", "command.sleep", '{"seconds":20}', "--timeout", "200ms", "--max-attempts", 1, "--wait", code=1)
        self.run_cli("submit", "echo", "{", code=2)
        self.run_cli("submit", "echo", "1", "--timeout", "0", code=2)
        self.run_cli("--url", "nonsense://x", "agents", code=2)
        self.assertEqual(self.run_cli("submit", "echo", "-5", "--wait"), "-5\n")
        self.run_cli("task", UNKNOWN_ID, code=3)
        unfinished = self.run_cli("submit", "command.sleep", '{"seconds":30}', "--wait", "300ms", code=4)
        self.assertEqual(unfinished.count("\n"), unfinished.strip().count("\n") + 1 if unfinished else 0)

    def test_where_and_options(self):
        """`submit` passes conditions, priority, attempts and keys on."""
        first = self.run_cli("submit", "echo", "1", "--where", "room=attic", "--where", "agent=pi-1", "--priority", 7,
                             "--max-attempts", 1, "--timeout", "5s", "--idempotency-key", "k").strip()
        again = self.run_cli("submit", "echo", "1", "--where", "room=attic", "--where", "agent=pi-1", "--priority", 7,
                             "--max-attempts", 1, "--timeout", "5s", "--idempotency-key", "k").strip()
        self.assertEqual(first, again)
        task = self.api.outcome(first)
        self.assertEqual((task["where"], task["priority"], task["max_attempts"], task["timeout_ms"]),
                         ({"room": "attic", "agent": "pi-1"}, 7, 1, 5000))

    def test_agents(self):
        """`agents` and `agent` show the agents; `drain` and `resume` take one out of service and back."""
        for args in (("agents",), ("agent", "pi-1")):
            shown = self.run_cli(*args)
            self.assertIn("pi-1", shown)
            self.assertIn("online", shown)
        self.assertEqual(json.loads(self.run_cli("agents", "--json"))["agents"][0]["labels"]["room"], "attic")
        self.assertEqual(self.run_cli("drain", "pi-1"), "pi-1  draining\n")
        self.api.agent_becomes("pi-1", "draining")
        self.assertIn("drain", self.run_cli("agents"))
        self.assertEqual(self.run_cli("resume", "pi-1"), "pi-1  online\n")
        self.api.agent_becomes("pi-1", "online")
        self.run_cli("agent", "nobody", code=3)

    def test_cancel_and_retry(self):
        """`cancel` stops tasks and `retry` runs them again."""
        running = self.run_cli("submit", "command.sleep", '{"seconds":30}').strip()
        queued = self.run_cli("submit", "command.sleep", '{"seconds":0}').strip()
        self.api.state_becomes(running, "running")
        self.run_cli("cancel", queued, running)
        self.assertEqual([self.api.outcome(t)["state"] for t in (queued, running)], ["cancelled"] * 2)
        self.run_cli("retry", queued)
        self.assertEqual(self.api.outcome(queued)["state"], "succeeded")
        self.run_cli("cancel", queued, code=3)

    def test_batch(self):
        """`batch` submits a file of tasks and waits for them."""
        lines = self.fleet.dir / "tasks.jsonl"
        lines.write_text("".join(json.dumps({"capability": "echo", "input": n}) + "\n" for n in range(50)))
        self.run_cli("batch", lines)
        self.assertEqual(len(self.api.good("GET", "/api/v1/tasks?state=succeeded&limit=1000")["tasks"]), 50)
        batch = self.run_cli("batch", "-", "--capability", "echo", "--no-wait", stdin="1\n2\n\n3\n").strip()
        self.assertEqual(self.api.batch_ended(batch)["counts"]["succeeded"], 3)
        self.run_cli("batch", "-", code=1,
                     stdin='{"capability":"command.sleep","input":{"seconds":20},"timeout_ms":200,"max_attempts":1}\n')
        refused = self.fleet.cli("batch", "-", stdin='{"capability":"echo"}\n{"capability":\n')
        self.assertEqual(refused.returncode, 2)
        self.assertIn("2", refused.stderr)

    def test_put_and_get(self):
        """`put` stores a file and `get` returns the same bytes."""
        content = random.Random(1).randbytes(300_000)
        source = self.fleet.dir / "photo.bin"
        source.write_bytes(content)
        artifact = self.run_cli("put", source).rstrip("\n")
        self.assertRegex(artifact, r"^sha256-[0-9a-f]{64}$")
        target = self.fleet.dir / "copy.bin"
        self.run_cli("get", artifact, "-o", target)
        self.assertEqual(target.read_bytes(), content)
        self.run_cli("get", "sha256-" + "0" * 64, code=3)
        self.run_cli("put", self.fleet.dir / "is-not-there", code=2)

    def test_no_coordinator(self):
        """An unreachable coordinator is reported in one sentence, with its own exit code."""
        self.fleet.coordinator.kill()
        done = self.fleet.cli("tasks")
        self.assertEqual(done.returncode, 3)
        self.assertIn(str(self.fleet.http_port), done.stderr)


class Sharing(FleetCase):
    def shares(self, batch_id):
        tasks = self.api.batch_tasks(batch_id)
        return collections.Counter(task["attempts"][-1]["agent"] for task in tasks)

    def assert_even(self, shares, total):
        self.assertEqual(sum(shares.values()), total)
        if os.environ.get("EDGEFLEET_SLOW"):
            return  # a faster agent gets more tasks, and the speed of instrumented programs varies
        for agent in ("pi-1", "pi-2", "pi-3"):
            self.assertAlmostEqual(shares[agent] / total, 1 / 3, delta=0.1, msg=str(shares))

    def test_echo_batch(self):
        """Three agents share a batch of 300 instant tasks evenly, each within ten points of a third."""
        for n in (1, 2, 3):
            self.fleet.start_agent(f"pi-{n}", echo=4)
        for last in (False, False, True):  # an agent that a busy machine delays by some milliseconds gets fewer of them
            batch = self.api.batch([{"capability": "echo", "input": n} for n in range(300)])
            self.assertEqual(len(set(batch["tasks"])), 300)
            ended = self.api.batch_ended(batch["id"])
            self.assertEqual((ended["total"], ended["counts"]["succeeded"]), (300, 300))
            shares = self.shares(batch["id"])
            if last or all(abs(shares[agent] / 300 - 1 / 3) <= 0.1 for agent in shares):
                break
        self.assert_even(shares, 300)
        outputs = [self.api.task(task_id)["output"] for task_id in batch["tasks"][:20]]
        self.assertEqual(outputs, list(range(20)))

    def test_command_batch(self):
        """Three agents share a batch of 60 short commands evenly, and each is run once."""
        for n in (1, 2, 3):
            self.fleet.start_agent(f"pi-{n}", toml=self.fleet.note_toml(2))
        tasks = [{"capability": "command.note", "input": {"label": f"t{n}", "seconds": 0.1}} for n in range(60)]
        batch = self.api.batch(tasks)
        self.assertEqual(self.api.batch_ended(batch["id"])["counts"]["succeeded"], 60)
        self.assert_even(self.shares(batch["id"]), 60)
        counts = collections.Counter(self.fleet.note_lines())
        self.assertEqual(counts, collections.Counter(f"{word} t{n}" for n in range(60) for word in ("begin", "end")))

    def test_a_new_agent_gets_work_at_once(self):
        """An agent that joins while tasks wait gets the next of them within a second."""
        self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml(1))
        batch = self.api.batch([{"capability": "command.sleep", "input": {"seconds": 0.5}} for _ in range(12)])
        process = self.fleet.start_agent("pi-2", toml=self.fleet.sleep_toml(1))  # waits until it is placeable
        wait_until(lambda: self.api.agent("pi-2")["tasks"] > 0, 1, "the new agent has a task")
        self.assertTrue(process.alive())
        self.api.batch_ended(batch["id"])
        self.assertGreaterEqual(self.shares(batch["id"])["pi-2"], 3)

    def test_a_task_that_nobody_could_take_goes_to_the_first_who_can(self):
        """A task waits for a capability that no agent offers, and runs when an agent offers it."""
        task = self.api.submit("echo", "early")
        self.fleet.start_agent("pi-1", echo=1)
        self.assertEqual(self.api.outcome(task)["output"], "early")


class Options(FleetCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(1) + self.fleet.sleep_toml(1))

    def note(self, label, seconds=0, **options):
        return self.api.submit("command.note", {"label": label, "seconds": seconds}, **options)

    def began(self):
        return [line.split()[1] for line in self.fleet.note_lines() if line.startswith("begin")]

    def test_priority(self):
        """With one slot, tasks run by priority, and equal ones in the order in which they came."""
        self.note("first", 0.6)
        self.fleet.noted("begin first")
        ids = [self.note("low", priority=-5), self.note("middle-1"), self.note("middle-2"), self.note("high", priority=5)]
        self.assertEqual(self.api.task(ids[0])["ahead"], 3)
        for task_id in ids:
            self.api.outcome(task_id)
        self.assertEqual(self.began(), ["first", "high", "middle-1", "middle-2", "low"])

    def test_delay(self):
        """A delayed task is scheduled first, and starts no earlier than asked."""
        task = self.note("later", delay_ms=1500)
        view = self.api.task(task)
        self.assertEqual(view["state"], "scheduled")
        self.assertIn("starts in", view["waiting"])
        soon = self.note("now")
        self.api.outcome(soon)
        self.api.outcome(task)
        self.assertEqual(self.began(), ["now", "later"])
        stamps = self.api.task(task)
        self.assertGreaterEqual(seconds_of(stamps["attempts"][0]["assigned_at"]) - seconds_of(stamps["accepted_at"]), 1.4)

    def test_expiry(self):
        """A task that has not started by its expiry is expired and never runs; one that has started continues."""
        running = self.note("long", 1.5, expires_after_ms=700)
        self.fleet.noted("begin long")
        waiting = self.note("never", expires_after_ms=300)
        task = self.api.outcome(waiting)
        self.assertEqual((task["state"], task["error"]["code"], task["attempts"]), ("expired", "expired", []))
        self.assertEqual(self.api.outcome(running)["state"], "succeeded")
        self.assertNotIn("never", self.began())

    def test_max_attempts(self):
        """A retryable failure is retried at most as often as allowed; the history is kept."""
        task = self.api.outcome(self.api.submit("command.sleep", {"seconds": 20}, timeout_ms=200, max_attempts=2))
        self.assertEqual((task["state"], task["error"]["code"]), ("failed", "timed_out"))
        self.assertEqual([(a["state"], a["error"]["code"]) for a in task["attempts"]], [("failed", "timed_out")] * 2)
        once = self.api.outcome(self.api.submit("command.sleep", {"seconds": 20}, timeout_ms=200, max_attempts=1))
        self.assertEqual((once["state"], len(once["attempts"])), ("failed", 1))

    def test_bad_input_is_not_retried(self):
        """An input that the agent refuses fails at once, in one attempt."""
        task = self.api.outcome(self.api.submit("command.note", {"label": "A B", "seconds": 0}))  # only the agent has its pattern
        self.assertEqual((task["state"], len(task["attempts"])), ("failed", 1))
        self.assertFalse(task["error"]["retryable"])
        self.assertIn("label", task["error"]["message"])

    def test_true_exit_code(self):
        """A command that fails reports its exit code."""
        task = self.api.outcome(self.api.submit("command.note", {"label": "x", "seconds": 0}))
        self.assertEqual(task["output"]["exit_code"], 0)

    def test_short_commands_are_quick(self):
        """A command that does nothing takes a small part of a second."""
        times = []
        for _ in range(3):
            task = self.api.outcome(self.api.submit("command.sleep", {"seconds": 0}))
            times.append(task["run_ms"])
        self.assertLess(min(times), 500, times)

    def test_retry_many(self):
        """All failed tasks of a capability are retried in one request; those that cannot be retried are named."""
        self.fleet.start_agent("pi-1", echo=1, toml=self.fleet.sleep_toml(4))
        failed = [self.api.submit("command.sleep", {"seconds": 20}, timeout_ms=200, max_attempts=1) for _ in range(5)]
        expired = self.api.submit("nobody.offers", expires_after_ms=1)
        for task in (*failed, expired):
            self.api.outcome(task)
        for query in ("", "?state=queued", "?state=succeeded", "?state=failed&limit=0"):
            self.assert_problem(self.api.post("/api/v1/tasks/retry" + query), 400, 422)
        first = self.api.post("/api/v1/tasks/retry?state=failed&capability=command.sleep&limit=3")
        self.assertEqual((first.status, first.body["retried"], first.body["refused"]), (202, 3, []))
        rest = self.api.post(f"/api/v1/tasks/retry?state=failed&limit=3&after={first.body['next']}")
        self.assertEqual((rest.body["retried"], rest.body.get("next")), (2, None))
        for task in failed:
            self.assertEqual(len(self.api.outcome(task)["attempts"]), 2)
        self.assertEqual(self.fleet.cli("retry").returncode, 2)
        self.assertEqual(self.fleet.cli("retry", "--state", "failed", failed[0]).returncode, 2)
        answer = self.fleet.cli("retry", "--state", "failed")
        self.assertEqual((answer.returncode, answer.stdout), (0, "5 tasks run again\n"), answer.stderr)
        self.assertNotIn("\x1b", answer.stderr)  # it is no terminal
        answer = self.fleet.cli("--json", "retry", "--state", "expired", "--capability", "nobody.offers")
        self.assertEqual(json.loads(answer.stdout), {"retried": 1, "refused": 0})

    def test_retry(self):
        """A failed task can be retried manually and keeps its history; a succeeded or unfinished one cannot."""
        toml = ('[[command]]\nname = "check"\nargv = ["/bin/cat", "%s"]\n' % (self.fleet.dir / "appears-later"))
        self.fleet.start_agent("pi-2", toml=toml)
        task_id = self.api.submit("command.check", max_attempts=1)
        task = self.api.outcome(task_id)
        self.assertEqual(task["state"], "failed")
        self.assertEqual(task["output"]["exit_code"], 1)
        (self.fleet.dir / "appears-later").write_text("now it is here")
        answer = self.api.post(f"/api/v1/tasks/{task_id}/retry")
        self.assertEqual((answer.status, answer.body["state"]), (202, "queued"))
        task = self.api.outcome(task_id)
        self.assertEqual([a["state"] for a in task["attempts"]], ["failed", "succeeded"])
        self.assertEqual(task["state"], "succeeded")
        self.assertNotIn("error", task)
        self.assert_problem(self.api.post(f"/api/v1/tasks/{task_id}/retry"), 409)
        self.assert_problem(self.api.post(f"/api/v1/tasks/{UNKNOWN_ID}/retry"), 404)
        unfinished = self.api.submit("nobody.offers")
        self.assert_problem(self.api.post(f"/api/v1/tasks/{unfinished}/retry"), 409)


def seconds_of(stamp):
    import datetime
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


class Where(FleetCase):
    def test_labels_and_agent(self):
        """Conditions on labels, on the agent's name and on both select the agent of a task."""
        self.fleet.start_agent("pi-1", echo=2, toml='[labels]\nroom = "attic"\nfloor = "2"\n')
        self.fleet.start_agent("pi-2", echo=2, toml='[labels]\nroom = "cellar"\nfloor = "0"\n')
        for where, wanted in (({"room": "cellar"}, "pi-2"), ({"agent": "pi-1"}, "pi-1"),
                              ({"room": "attic", "floor": "2"}, "pi-1")):
            for _ in range(4):
                task = self.api.outcome(self.api.submit("echo", 1, where=where))
                self.assertEqual(task["attempts"][-1]["agent"], wanted, where)
        for where in ({"room": "attic", "floor": "0"}, {"agent": "pi-9"}, {"colour": "red"}):
            answer = self.api.post("/api/v1/tasks", {"capability": "echo", "where": where})
            self.assertEqual((answer.status, answer.body["state"], answer.body["eligible_agents"]), (202, "queued", 0))
            self.assertIn("2 agents offer echo, none meets", answer.body["waiting"])
            for name, value in where.items():
                self.assertIn(f"{name}={value}", answer.body["waiting"])


class Idempotency(FleetCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=2)

    def test_tasks(self):
        """The same key with the same body is the same task, also after its end; with another body it is a conflict."""
        body = {"capability": "echo", "input": {"a": 1}, "idempotency_key": "order-17", "priority": 3, "delay_ms": 50,
                "expires_after_ms": 60000, "where": {"agent": "pi-1"}, "name": "n", "max_attempts": 2}
        first = self.api.good("POST", "/api/v1/tasks", body)["id"]
        self.assertEqual(self.api.good("POST", "/api/v1/tasks", body)["id"], first)
        self.api.outcome(first)
        again = self.api.good("POST", "/api/v1/tasks", body)
        self.assertEqual((again["id"], again["state"]), (first, "succeeded"))
        for change in ({"input": {"a": 2}}, {"priority": 4}, {"where": {}}, {"capability": "other"}):
            self.assert_problem(self.api.post("/api/v1/tasks", {**body, **change}), 409)
        self.assertEqual(len(self.api.good("GET", "/api/v1/tasks")["tasks"]), 1)

    def test_keys_and_names_with_odd_characters(self):
        """Keys and names may contain any characters, even a NUL, and stay unchanged."""
        ids = set()
        for key in ("a\u0000b", "a\u0000c", "a", "ключ", "batch a", "a\nb", "'; drop table tasks; --"):
            body = {"capability": "echo", "input": 1, "idempotency_key": key, "name": "n\u0000m"}
            first = self.api.good("POST", "/api/v1/tasks", body)["id"]
            self.api.outcome(first)
            self.assertEqual(self.api.good("POST", "/api/v1/tasks", body)["id"], first, repr(key))
            self.assertEqual(self.api.task(first)["name"], "n\u0000m")
            ids.add(first)
        self.assertEqual(len(ids), 7)

    def test_batches(self):
        """A batch's key covers the whole batch."""
        body = {"idempotency_key": "night", "tasks": [{"capability": "echo", "input": n} for n in range(20)]}
        first = self.api.good("POST", "/api/v1/batches", body)
        self.assertEqual(self.api.good("POST", "/api/v1/batches", body), first)
        self.api.batch_ended(first["id"])
        self.assertEqual(self.api.good("POST", "/api/v1/batches", body), first)
        other = {**body, "tasks": body["tasks"][:-1]}
        self.assert_problem(self.api.post("/api/v1/batches", other), 409)
        self.assertEqual(len(self.api.good("GET", "/api/v1/tasks?limit=1000")["tasks"]), 20)

    def test_many_at_once(self):
        """A key that many requests use at the same moment still creates one task."""
        import threading
        ids, apis = [], [self.fleet.new_api() for _ in range(16)]
        body = {"capability": "echo", "input": 1, "idempotency_key": "race"}

        def submit(api):
            ids.append(api.good("POST", "/api/v1/tasks", body)["id"])

        threads = [threading.Thread(target=submit, args=(api,)) for api in apis]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(ids), len(set(ids))), (16, 1))


class Cancelling(FleetCase):
    def setUp(self):
        super().setUp()
        self.agent = self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml(1) + self.fleet.note_toml(1))

    def test_queued(self):
        """A cancelled task that was queued never starts."""
        long = self.api.submit("command.note", {"label": "long", "seconds": 0.5})
        self.fleet.noted("begin long")
        queued = self.api.submit("command.note", {"label": "unwanted", "seconds": 0})
        answer = self.api.post(f"/api/v1/tasks/{queued}/cancel")
        self.assertEqual((answer.status, answer.body["state"]), (202, "cancelled"))
        self.api.outcome(long)
        self.api.outcome(self.api.submit("command.note", {"label": "after", "seconds": 0}))
        task = self.api.task(queued)
        self.assertEqual((task["state"], task["attempts"]), ("cancelled", []))
        self.assertNotIn("begin unwanted", self.fleet.note_lines())

    def test_scheduled(self):
        """A cancelled task that was scheduled for later never starts."""
        later = self.api.submit("command.note", {"label": "later", "seconds": 0}, delay_ms=60000)
        self.assertEqual(self.api.good("POST", f"/api/v1/tasks/{later}/cancel")["state"], "cancelled")
        self.assertEqual(self.api.outcome(later)["state"], "cancelled")

    def test_running(self):
        """A cancelled task that runs is stopped: its process has ended when the outcome is cancelled."""
        marker = f"{random.randint(10_000, 99_999)}.5"
        task_id = self.api.submit("command.sleep", {"seconds": float(marker)}, timeout_ms=90_000)
        wait_until(lambda: processes_with(marker), what="the command runs")
        answer = self.api.post(f"/api/v1/tasks/{task_id}/cancel")
        self.assertEqual((answer.status, answer.body["state"]), (202, "cancelling"))
        task = self.api.outcome(task_id, 10)
        self.assertEqual((task["state"], task["attempts"][0]["state"]), ("cancelled", "cancelled"))
        self.assertNotIn("error", task)
        self.assertEqual(processes_with(marker), [])
        self.assertEqual(self.api.outcome(self.api.submit("command.sleep", {"seconds": 0}))["state"], "succeeded")

    def test_running_group(self):
        """A cancel also stops the children of a command, including those that have left its process group."""
        marker = f"{random.randint(10_000, 99_999)}.25"
        script = self.fleet.dir / "children.sh"
        script.write_text("/bin/sleep $1 & setsid env -i /bin/sleep $1 & wait\n")
        self.fleet.start_agent("pi-2", toml='[[command]]\nname = "children"\nargv = ["/bin/sh", "%s", "%s"]\n' % (script, marker))
        task_id = self.api.submit("command.children")
        wait_until(lambda: len(processes_with(marker)) == 3, what="the command and its children run")
        self.api.good("POST", f"/api/v1/tasks/{task_id}/cancel")
        self.assertEqual(self.api.outcome(task_id, 15)["state"], "cancelled")
        self.assertEqual(processes_with(marker), [])

    def test_ended(self):
        """A task that has ended can no longer be cancelled, and the error says so."""
        done = self.api.submit("command.sleep", {"seconds": 0})
        self.api.outcome(done)
        self.assertIn("succeeded", self.assert_problem(self.api.post(f"/api/v1/tasks/{done}/cancel"), 409))
        self.assert_problem(self.api.post(f"/api/v1/tasks/{UNKNOWN_ID}/cancel"), 404)
        self.assert_problem(self.api.post("/api/v1/tasks/nonsense/cancel"), 404)

    def test_agent_lost_meanwhile(self):
        """A cancel whose agent is lost ends cancelled, and reports that the stop was not confirmed."""
        task_id = self.api.submit("command.sleep", {"seconds": 50})
        self.api.state_becomes(task_id, "running")
        self.agent.signal(19)  # SIGSTOP: it cannot confirm
        self.api.good("POST", f"/api/v1/tasks/{task_id}/cancel")
        self.assertEqual(self.api.task(task_id)["state"], "cancelling")
        self.agent.kill()
        task = self.api.outcome(task_id)
        self.assertEqual((task["state"], task["error"]["code"]), ("cancelled", "stop_unconfirmed"))


class Draining(FleetCase):
    def test_drain_and_resume(self):
        """A drained agent gets no new tasks but completes its running ones; resumed, it gets tasks again."""
        self.fleet.start_agent("pi-1", echo=2, toml=self.fleet.note_toml(1))
        running = self.api.submit("command.note", {"label": "running", "seconds": 0.8})
        self.fleet.noted("begin running")
        self.api.good("POST", "/api/v1/agents/pi-1/drain")
        self.api.agent_becomes("pi-1", "draining")
        answer = self.api.post("/api/v1/tasks", {"capability": "echo"})
        self.assertEqual(answer.body["state"], "queued")
        self.assertEqual(self.api.outcome(running)["state"], "succeeded")
        self.assertEqual(self.api.task(answer.body["id"])["state"], "queued")
        self.api.good("POST", "/api/v1/agents/pi-1/resume")
        self.assertEqual(self.api.outcome(answer.body["id"])["state"], "succeeded")
        self.api.agent_becomes("pi-1", "online")
        self.assert_problem(self.api.post("/api/v1/agents/nobody/drain"), 404)

    def test_drain_outlasts_restarts(self):
        """An agent stays drained when it or the coordinator is restarted."""
        self.fleet.start_agent("pi-1", echo=2)
        self.api.good("POST", "/api/v1/agents/pi-1/drain")
        self.api.agent_becomes("pi-1", "draining")
        self.fleet.agents["pi-1"].terminate()
        self.fleet.restart_agent("pi-1", wait=False)
        self.api.agent_becomes("pi-1", "draining")
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator()
        task = self.api.submit("echo")
        self.api.agent_becomes("pi-1", "draining")
        self.assertTrue(self.api.agent("pi-1")["drained"])
        self.assertEqual(self.api.task(task)["state"], "queued")
        self.api.good("POST", "/api/v1/agents/pi-1/resume")
        self.assertEqual(self.api.outcome(task)["state"], "succeeded")

    def test_resume_while_the_agent_is_away(self):
        """An agent that was resumed while it could not be reached works when it is back."""
        self.fleet.start_agent("pi-1", echo=2)
        self.api.good("POST", "/api/v1/agents/pi-1/drain")
        self.api.agent_becomes("pi-1", "draining")
        self.fleet.broker.kill()
        wait_until(lambda: self.api.get("/ready").status == 503, what="the coordinator misses the broker")
        self.api.good("POST", "/api/v1/agents/pi-1/resume")
        self.fleet.start_broker()
        task = self.api.submit("echo", "after")
        self.assertEqual(self.api.outcome(task)["output"], "after")


class Waiting(FleetCase):
    def waiting(self, task_id):
        return self.api.task(task_id).get("waiting", "")

    def test_nobody_offers_it(self):
        """The answer to a submit reports a capability that no agent offers."""
        answer = self.api.post("/api/v1/tasks", {"capability": "image.blur", "input": {}})
        self.assertEqual((answer.status, answer.body["state"], answer.body["eligible_agents"]), (202, "queued", 0))
        self.assertIn("no agent offers image.blur", answer.body["waiting"])

    def test_busy(self):
        """A task that waits for a slot shows that all are busy, and how many tasks are ahead."""
        self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml(1))
        self.fleet.start_agent("pi-2", toml=self.fleet.sleep_toml(1))
        for _ in range(2):
            self.api.submit("command.sleep", {"seconds": 30})
        answers = [self.api.post("/api/v1/tasks", {"capability": "command.sleep", "input": {"seconds": 0}}).body
                   for _ in range(3)]
        self.assertEqual([answer["ahead"] for answer in answers], [0, 1, 2])
        self.assertEqual(answers[2]["eligible_agents"], 2)
        self.assertIn("2 agents offer command.sleep, all are busy", answers[2]["waiting"])
        self.assertIn("busy", self.waiting(answers[2]["id"]))

    def test_drained(self):
        """A task that waits for drained agents shows that reason."""
        self.fleet.start_agent("pi-1", echo=1)
        self.fleet.start_agent("pi-2", echo=1)
        for name in ("pi-1", "pi-2"):
            self.api.good("POST", f"/api/v1/agents/{name}/drain")
            self.api.agent_becomes(name, "draining")
        answer = self.api.post("/api/v1/tasks", {"capability": "echo"}).body
        self.assertEqual(answer["eligible_agents"], 0)
        self.assertRegex(answer["waiting"], "2 agents offer echo, all are drain")

    def test_offline_and_lost(self):
        """A task that waits for lost agents shows that reason."""
        self.fleet.start_agent("pi-1", echo=1).terminate()
        self.fleet.start_agent("pi-2", echo=1).kill()
        self.api.agent_becomes("pi-1", "offline")
        self.api.agent_becomes("pi-2", "lost")
        answer = self.api.post("/api/v1/tasks", {"capability": "echo"}).body
        self.assertEqual(answer["eligible_agents"], 0)
        self.assertIn("pi-1 (offline), pi-2 (lost)", answer["waiting"])

    def test_no_broker(self):
        """While the broker is unreachable a task is accepted, and shows why it waits."""
        self.fleet.start_agent("pi-1", echo=1)
        self.fleet.broker.kill()
        wait_until(lambda: self.api.get("/ready").status == 503, what="the coordinator misses the broker")
        answer = self.api.post("/api/v1/tasks", {"capability": "echo"})
        self.assertEqual(answer.status, 202)
        self.assertIn("broker", answer.body["waiting"])


if __name__ == "__main__":
    unittest.main()

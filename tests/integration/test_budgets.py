"""What an access may use: tokens a day, tasks a minute, answers that wait. A fleet after `setup`, a scripted back end."""

import concurrent.futures
import json
import signal
import threading
import time
import unittest

from closed_fleet import ClosedFleet
from mqtt5 import PUBLISH, Refused, text
from scripted import ScriptedBackend
from support import BIN, wait_until

HOME = "edgefleet/v1/home/"
CHAT = "/v1/chat/completions"
TOKENS = 5  # of each answer of the scripted back end
INPUT = {"model": "scripted", "messages": [{"role": "user", "content": "Is the attic warm?"}]}
TASK = {"capability": "llm.chat", "input": INPUT}


def stay_in_one_day(seconds):
    """A test of so many seconds does not run over midnight UTC, when all begins anew."""
    rest = 86400 - time.time() % 86400
    if rest < seconds:
        time.sleep(rest + 1)


class BudgetCase(unittest.TestCase):
    options = ()

    def setUp(self):
        stay_in_one_day(300)
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        done = self.fleet.setup()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.fleet.start_broker()
        self.fleet.start_coordinator(*self.options)
        self.go_on = threading.Event()
        self.go_on.set()
        self.backend = ScriptedBackend(lambda body: [self.go_on] * 6 + ["Hello"])  # waits a minute at most
        self.addCleanup(self.backend.close)
        self.addCleanup(self.go_on.set)
        self.start_agent()

    def start_agent(self):
        fleet = self.fleet
        certificate, key = fleet.join("pi-1")
        toml = fleet.root / "pi-1.toml"
        toml.write_text(self.backend.table())
        agent = fleet.start("pi-1", [
            BIN / "edgefleet-agent", "--name", "pi-1", "--config", toml, "--echo", "4", "--work", fleet.root / "work-pi-1",
            "--broker", f"mqtts://localhost:{fleet.broker_agents}", "--broker-ca", fleet.ca, "--broker-certificate",
            certificate, "--broker-key", key, "--coordinator", ""])
        wait_until(lambda: [one["id"] for one in fleet.admin.good("GET", "/v1/models")["data"]] == ["scripted"],
                   timeout=60, what=agent.log)

    def access(self, name, role="submit", **limits):
        return self.fleet.access(name, role, **limits)

    def used(self, who):
        return who.good("GET", "/api/v1/access")["tokens_today"]

    def ended(self, who, task):
        return who.good("GET", f"/api/v1/tasks/{task}?wait=30")

    def submit(self, who, task=None):
        return who.good("POST", "/api/v1/tasks", task or TASK)["id"]

    def over_mqtt(self, name, key, task):
        """Submits it, and returns the answer."""
        client = wait_until(lambda: self.connected(name, key), what=f"{name} is known to the broker")
        client.subscribe(f"{HOME}replies/{name}/#")
        reply = f"{HOME}replies/{name}/1"
        properties = b"\x08" + text(reply)
        client.send(PUBLISH << 4 | 2, text(f"{HOME}submit/{name}") + client.next_id() + bytes([len(properties)]) +
                    properties + json.dumps(task).encode())
        answers = []
        wait_until(lambda: answers.extend(client.taken()) or answers, what="an answer over MQTT")
        client.close()
        return json.loads(answers[0][1])

    def connected(self, name, key):
        try:
            return self.fleet.person_client(name, key)
        except Refused:
            return None

    def refused(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer.body)
        for word in words:
            self.assertIn(word, json.dumps(answer.body))
        return answer


class Tokens(BudgetCase):
    def ask(self, who, **more):
        return who.request("POST", CHAT, {**INPUT, **more})

    def test_all_ways_count_and_all_are_refused_when_it_is_used_up(self):
        desk = self.access("desk", capabilities=["llm.*", "echo"], tokens_per_day=7 * TOKENS - 1)
        again, never_again = self.cancelled(desk), self.cancelled(desk)
        self.assertEqual(self.ask(desk).status, 200)
        self.assertEqual(self.used(desk), TOKENS)
        streamed = self.ask(desk, stream=True)
        self.assertTrue(streamed.body.rstrip().endswith(b"[DONE]"), streamed.body)
        self.assertEqual(self.used(desk), 2 * TOKENS)
        first = self.submit(desk)
        self.assertEqual(self.ended(desk, first)["usage"]["total_tokens"], TOKENS)
        self.assertEqual(self.used(desk), 3 * TOKENS)
        self.assertEqual(self.over_mqtt("desk", desk.key, TASK)["state"], "succeeded")
        self.assertEqual(self.used(desk), 4 * TOKENS)
        long = {"capability": "llm.chat", "input": {**INPUT, "max_tokens": 7 * TOKENS}}
        self.refused(desk.request("POST", "/api/v1/batches", {"tasks": [long, TASK]}), 413, "fewer at a time")
        one = desk.good("POST", "/api/v1/batches", {"tasks": [TASK]})["id"]
        self.assertEqual(desk.good("GET", f"/api/v1/batches/{one}?wait=30")["counts"]["succeeded"], 1)
        self.assertEqual(self.used(desk), 5 * TOKENS)
        key = {**TASK, "idempotency_key": "same"}
        last = self.submit(desk, key)
        self.ended(desk, last)
        self.assertEqual(desk.request("POST", f"/api/v1/tasks/{again}/retry").status, 202)
        self.assertEqual(self.ended(desk, again)["state"], "succeeded")
        self.assertEqual(self.used(desk), 7 * TOKENS)

        message = f"the access desk has used {7 * TOKENS} of its {7 * TOKENS - 1} tokens a day; they begin anew at midnight"
        until = 86400 - time.time() % 86400
        for more in ({}, {"stream": True}):
            answer = self.refused(self.ask(desk, **more), 429, message)
            self.assertEqual((answer.body["error"]["code"], answer.body["error"]["type"]), ("insufficient_quota",) * 2)
            self.assertLess(abs(int(answer.headers["Retry-After"]) - until), 120)
        for method, path, body in (("POST", "/api/v1/tasks", TASK), ("POST", "/api/v1/batches", {"tasks": [TASK]}),
                                   ("POST", f"/api/v1/tasks/{never_again}/retry", None)):
            answer = self.refused(desk.request(method, path, body), 429, message, "The budget is used up")
            self.assertLess(abs(int(answer.headers["Retry-After"]) - until), 120)
            self.assertLess(abs(answer.body["retry_after_ms"] / 1000 - until), 120)
        answer = self.over_mqtt("desk", desk.key, TASK)
        self.assertEqual(answer["status"], 429)
        self.assertIn(message, answer["detail"])
        self.assertLess(abs(answer["retry_after_ms"] / 1000 - until), 120)
        # What was accepted before is answered again, other tasks run, and so do the questions of others.
        self.assertEqual(self.submit(desk, key), last)
        self.assertEqual(self.ended(desk, self.submit(desk, {"capability": "echo", "input": 1}))["state"], "succeeded")
        self.assertEqual(self.ask(self.access("other", "chat")).status, 200)

    def cancelled(self, who):
        """A task that took nothing, because it had not begun."""
        task = self.submit(who, {**TASK, "delay_ms": 3_600_000})
        who.good("POST", f"/api/v1/tasks/{task}/cancel")
        self.assertEqual(self.ended(who, task)["state"], "cancelled")
        return task

    def test_what_runs_is_finished_and_counts_as_reserved(self):
        desk = self.access("desk", "chat", tokens_per_day=TOKENS + 1)
        self.go_on.clear()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = pool.submit(self.ask, desk)
            wait_until(lambda: self.backend.asked, what="the back end is asked")
            answer = self.refused(self.ask(desk), 429, "has used 0 of its 6 tokens a day", "unfinished tasks may need",
                                  "rate_limit_exceeded")
            self.assertEqual(answer.headers["Retry-After"], "1")
            self.go_on.set()
            self.assertEqual(first.result(30).status, 200)
        self.assertEqual(self.ask(desk).status, 200)  # one token was left
        self.assertEqual(self.used(desk), 2 * TOKENS)
        self.refused(self.ask(desk), 429, "insufficient_quota")

    def test_many_at_once_exceed_it_by_what_was_expected_only(self):
        expected = len(json.dumps(INPUT)) // 4 + 40
        desk = self.access("desk", "chat", tokens_per_day=10 * expected)
        self.go_on.clear()
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            asked = [pool.submit(self.ask, desk, max_tokens=20) for _ in range(40)]
            wait_until(lambda: sum(one.done() for one in asked) >= 20, timeout=60, what="some are refused")
            self.go_on.set()
            codes = [one.result(60).status for one in asked]
        self.assertLessEqual(set(codes), {200, 429})
        self.assertGreater(codes.count(200), 1)
        self.assertEqual(self.used(desk), codes.count(200) * TOKENS)

    def test_a_coordinator_that_is_killed_counts_each_answer_once(self):
        desk = self.access("desk", capabilities=["llm.*"])
        self.backend.script = lambda body: [0.05, "Hello"]
        batch = desk.good("POST", "/api/v1/batches", {"tasks": [TASK] * 120})["id"]
        for ended in (15, 50):
            wait_until(lambda most=ended: self.succeeded(desk) >= most, timeout=90, what="some have ended")
            self.fleet.coordinator.signal(signal.SIGKILL)
            self.fleet.coordinator.wait()
            self.fleet.start_coordinator()
            before = self.succeeded(desk)
            self.assertGreaterEqual(before, ended)
            self.assertGreaterEqual(self.used(desk), before * TOKENS)
        wait_until(lambda: desk.good("GET", f"/api/v1/batches/{batch}?wait=20")["counts"]["succeeded"] == 120,
                   timeout=120, what="all have ended")
        self.assertEqual(self.used(desk), 120 * TOKENS)
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator()
        self.assertEqual(self.used(desk), 120 * TOKENS)
        # Also in a backup, which `check` finds whole.
        backup = self.fleet.root / "backup"
        for command in (["backup", "--data", self.fleet.data, "--to", backup, "--tasks-only"],
                        ["check", "--data", self.fleet.data]):
            done = self.fleet.run(BIN / "edgefleet-coordinator", *command)
            self.assertEqual(done.returncode, 0, done.stderr)

    def succeeded(self, who):
        return len(who.good("GET", "/api/v1/tasks?state=succeeded&limit=200")["tasks"])

    def test_the_command_line(self):
        fleet = self.fleet
        phone = self.access("phone", "chat", tokens_per_day=50_000)
        self.assertEqual(self.ask(phone).status, 200)
        made = fleet.cli("access", "create", "tablet", "--role", "chat", "--tokens-per-day", "70")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(self.ask(fleet.caller(made.stdout.strip())).status, 200)
        shown = fleet.cli("access", "list")
        self.assertIn("TOKENS TODAY", shown.stdout)
        self.assertIn(f"{TOKENS} of 70", shown.stdout)
        self.assertIn(f"{TOKENS} of 50000", shown.stdout)
        listed = {one["name"]: one for one in fleet.admin.good("GET", "/api/v1/accesses")["accesses"]}
        self.assertEqual((listed["phone"]["tokens_today"], listed["phone"]["tokens_per_day"]), (TOKENS, 50_000))
        for wrong in (0, -1, "many", 1.5):
            self.refused(fleet.admin.request("POST", "/api/v1/accesses", {"name": "x", "role": "chat",
                                                                          "tokens_per_day": wrong}), 422, "tokens_per_day")


class Rates(BudgetCase):
    def test_tasks_a_minute_hold_for_batches_retries_and_programs_at_the_broker(self):
        echo = {"capability": "echo", "input": 1}
        desk = self.access("desk", per_minute=1)
        mine = desk.good("POST", "/api/v1/access/mqtt")
        wait_until(lambda: self.connected(mine["name"], mine["key"]), what="the broker knows the program")
        other = self.fleet.admin.good("POST", "/api/v1/tasks", {**echo, "delay_ms": 3_600_000})["id"]
        self.fleet.admin.good("POST", f"/api/v1/tasks/{other}/cancel")
        self.refused(desk.request("POST", "/api/v1/batches", {"tasks": [echo] * 2}), 413, "2 at once are too many")
        task = self.submit(desk, {**echo, "delay_ms": 3_600_000})
        desk.good("POST", f"/api/v1/tasks/{task}/cancel")
        for method, path, body in (("POST", "/api/v1/tasks", echo), ("POST", "/api/v1/batches", {"tasks": [echo]}),
                                   ("POST", f"/api/v1/tasks/{task}/retry", None)):
            self.refused(desk.request(method, path, body), 429, "1 tasks a minute")
        self.assertIn("1 tasks a minute", self.over_mqtt(mine["name"], mine["key"], echo)["detail"])
        # An operator's retry counts for the operator.
        self.assertEqual(self.fleet.admin.request("POST", f"/api/v1/tasks/{other}/retry").status, 202)
        self.assertEqual(self.fleet.admin.request("POST", f"/api/v1/tasks/{task}/retry").status, 202)


class Waiting(BudgetCase):
    options = ("--max-waiting-per-access", "3")

    def test_one_access_cannot_hold_all_answers(self):
        desk = self.access("desk", capabilities=["llm.*"])
        self.go_on.clear()
        task = self.submit(desk, {**TASK, "delay_ms": 3_600_000})
        made = desk.good("POST", "/api/v1/batches", {"tasks": [{**TASK, "delay_ms": 3_600_000}]})
        batch = made["id"]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = [pool.submit(self.with_a_place, desk, "GET", f"/api/v1/tasks/{task}?wait=50"),
                       pool.submit(self.with_a_place, desk, "GET", f"/api/v1/batches/{batch}?wait=50")]
            chat = pool.submit(self.with_a_place, desk, "POST", CHAT, {**INPUT, "stream": True})
            refused = wait_until(lambda: self.if_refused(desk, task), what="the bound is reached")
            self.refused(refused, 429, "3 requests of the access desk are waiting", "--max-waiting-per-access")
            self.refused(desk.request("POST", CHAT, INPUT), 429, "3 requests of the access desk", "rate_limit_exceeded")
            for followed in ("/api/v1/events", f"/api/v1/tasks/{task}/events"):
                self.refused(desk.request("GET", followed), 429, "3 requests of the access desk")
            self.assertEqual(desk.request("GET", f"/api/v1/tasks/{task}").status, 200)  # without waiting
            self.assertEqual(self.fleet.admin.request("GET", f"/api/v1/tasks/{task}?wait=0.1").status, 200)
            desk.good("POST", f"/api/v1/tasks/{task}/cancel")
            self.assertEqual(waiting[0].result(60).body["state"], "cancelled")
            self.assertEqual(desk.request("GET", f"/api/v1/batches/{batch}?wait=0.1").status, 200)
            self.go_on.set()
            self.assertEqual(chat.result(60).status, 200)
            desk.good("POST", f"/api/v1/tasks/{made['tasks'][0]}/cancel")
            self.assertEqual(waiting[1].result(60).body["counts"]["cancelled"], 1)

    def with_a_place(self, who, method, path, body=None):
        """The request that asks whether all are taken takes one for a moment itself."""
        return wait_until(lambda: self.unless_busy(who.request(method, path, body, timeout=80)), timeout=90)

    def unless_busy(self, answer):
        return None if answer.status == 429 else answer

    def if_refused(self, who, task):
        answer = who.request("GET", f"/api/v1/tasks/{task}?wait=0.05")
        return answer if answer.status == 429 else None


if __name__ == "__main__":
    unittest.main()

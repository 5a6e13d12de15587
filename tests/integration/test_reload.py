"""An agent reads its configuration again while it works: by a command, by SIGHUP, with good files and bad ones."""

import concurrent.futures
import json
import signal
import time
import unittest

from support import FleetCase, free_port, processes_with, wait_until

GATE_SCRIPT = """#!/bin/sh
# gate.sh NOTES GATE WORD: notes that it has begun, waits for the file GATE, and prints WORD.
echo "begin $3" >>"$1"
until [ -e "$2" ]; do /bin/sleep 0.05; done
printf %s "$3"
"""

PLUGIN = """
import json, os, sys, time
word, gate, notes = sys.argv[1:4]
print(json.dumps({"type": "hello", "protocol": 1, "name": "gate", "version": word, "capabilities": ["gate"], "slots": 1}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if task.get("type") != "task":
        continue
    with open(notes, "a") as file:
        file.write(f"begin {word}\\n")
    while not os.path.exists(gate):
        time.sleep(0.05)
    print(json.dumps({"type": "result", "id": task["id"], "attempt": task["attempt"], "output": word}), flush=True)
"""

# late.py SECONDS WORD: says hello after some seconds, and is deaf to the end of its input and to SIGTERM.
LATE_PLUGIN = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(float(sys.argv[1]))
print(json.dumps({"type": "hello", "protocol": 1, "name": "late", "version": "1", "capabilities": ["late"], "slots": 1}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if task.get("type") == "task":
        print(json.dumps({"type": "result", "id": task["id"], "attempt": task["attempt"], "output": sys.argv[2]}), flush=True)
while True:
    time.sleep(1)
"""


class Reload(FleetCase):
    def setUp(self):
        super().setUp()
        self.gate = self.fleet.dir / "gate"
        self.script = self.fleet.dir / "gate.sh"
        self.script.write_text(GATE_SCRIPT)
        self.plugin = self.fleet.dir / "plugin.py"
        self.plugin.write_text(PLUGIN)
        self.late = self.fleet.dir / "late.py"
        self.late.write_text(LATE_PLUGIN)

    def start(self, toml="", **options):
        """A service: without a terminal, SIGHUP does not mean that one was closed."""
        command = ["setsid", *self.fleet.agent_command("pi-1", toml=toml, **options)]
        self.agent = self.fleet.agents["pi-1"] = self.fleet.start("pi-1", command)
        self.api.placeable("pi-1")

    def write(self, toml):
        (self.fleet.dir / "pi-1.toml").write_text(toml)

    def command(self, word, slots=1, name="gate"):
        return (f'[[command]]\nname = "{name}"\nslots = {slots}\ntimeout_s = 60\n'
                f'argv = ["/bin/sh", "{self.script}", "{self.fleet.notes}", "{self.gate}", "{word}"]\n')

    def gate_plugin(self, word):
        return (f'[[plugin]]\nname = "gate"\n'
                f'argv = ["/usr/bin/python3", "{self.plugin}", "{word}", "{self.gate}", "{self.fleet.notes}"]\n')

    def late_plugin(self, word, seconds=0):
        return f'[[plugin]]\nname = "late"\nargv = ["/usr/bin/python3", "{self.late}", "{seconds}", "{word}"]\n'

    def replace_late_plugin(self, times):
        """So that old versions still end, each for six seconds."""
        for n in range(1, times + 1):
            self.write(self.late_plugin(f"late-{n}"))
            self.agent.signal(signal.SIGHUP)
            wait_until(lambda n=n: processes_with(f"late-{n}"), what=f"version {n} runs")
        self.offered("late")

    def reload(self, toml=None, code=0):
        """Through the command line; its standard output, or standard error if it fails."""
        if toml is not None:
            self.write(toml)
        done = self.fleet.cli("agents", "reload", "pi-1")
        self.assertEqual(done.returncode, code, done)
        return done.stderr if code else done.stdout

    def config(self):
        return self.api.agent("pi-1")["config"]

    def word(self, task):
        ended = self.api.outcome(task)
        self.assertEqual(ended["state"], "succeeded", ended)
        return ended["output"] if isinstance(ended["output"], str) else ended["output"]["stdout"]["text"]

    def assert_ran_once(self, task):
        *before, last = [attempt["state"] for attempt in self.api.task(task)["attempts"]]
        self.assertEqual((set(before) - {"returned"}, last), (set(), "succeeded"))

    def capabilities(self):
        return sorted(c for e in self.api.agent("pi-1")["executors"] if not e.get("problem") for c in e["capabilities"])

    def offered(self, *expected):
        wait_until(lambda: self.capabilities() == sorted(expected), what=lambda: f"{expected}; {self.capabilities()}")

    # ---- executors

    def test_a_command_is_added_changed_and_removed_while_tasks_run(self):
        self.start(echo=1)
        self.assertEqual(self.reload(self.command("old")), "pi-1  added command-gate\n")
        first = self.api.submit("command.gate")
        self.fleet.noted("begin old")
        second = self.api.submit("command.gate")
        self.assertEqual(self.reload(self.command("new")), "pi-1  changed command-gate\n")
        third = self.api.submit("command.gate")
        self.assertIn(self.api.task(first)["state"], ("assigned", "running"))
        self.gate.touch()
        self.assertEqual([self.word(task) for task in (first, second, third)], ["old", "new", "new"])
        self.gate.unlink()

        last = self.api.submit("command.gate")
        self.fleet.noted("begin new", 3)
        waits = self.api.submit("command.gate")
        self.assertEqual(self.reload(""), "pi-1  removed command-gate\n")
        self.offered("echo")
        wait_until(lambda: self.api.task(waits).get("waiting"), what="the reason why it waits")
        self.assertIn(self.api.task(last)["state"], ("assigned", "running"))  # the state follows a second later
        self.gate.touch()
        self.assertEqual(self.word(last), "new")
        self.assertEqual(self.api.task(waits)["state"], "queued")
        self.reload(self.command("again"))
        self.assertEqual(self.word(waits), "again")
        for task in (first, second, third, last, waits):
            self.assert_ran_once(task)
        self.assert_works()

    def test_a_plugin_ends_after_its_last_task_when_its_successor_works(self):
        self.start(self.gate_plugin("old-plugin"), echo=1)
        self.offered("echo", "gate")
        running = self.api.submit("gate")
        self.fleet.noted("begin old-plugin")
        waits = self.api.submit("gate")
        self.assertEqual(self.reload(self.gate_plugin("new-plugin")), "pi-1  changed plugin-gate\n")
        wait_until(lambda: processes_with("new-plugin"), what="the new version runs")
        self.assertTrue(processes_with("old-plugin"))
        self.gate.touch()
        self.assertEqual(self.word(running), "old-plugin")
        self.assertEqual(self.word(waits), "new-plugin")
        wait_until(lambda: not processes_with("old-plugin"), what="the old version has ended")
        self.reload("")
        wait_until(lambda: not processes_with("new-plugin"), what="the removed plug-in has ended")
        self.assert_works()

    def test_a_plugin_that_is_replaced_is_waited_for_until_it_has_said_hello(self):
        self.start(self.late_plugin("soon"))
        self.offered("late")
        self.assertEqual(self.reload(self.late_plugin("later", seconds=5)), "pi-1  changed plugin-late\n")
        wait_until(lambda: not self.capabilities(), what="it is out of service")
        told = self.api.post("/api/v1/tasks", {"capability": "late"})
        self.assertEqual((told.status, told.body["eligible_agents"]), (202, 1), told.body)
        self.assertIn("it starts with its new configuration", self.api.task(told.body["id"])["waiting"])
        self.assertIn("late", [c["name"] for c in self.api.good("GET", "/api/v1/capabilities")["capabilities"]])
        self.assertEqual(self.word(told.body["id"]), "later")
        self.assert_ran_once(told.body["id"])

    def test_a_stop_takes_as_long_as_the_slowest_old_version_and_no_longer(self):
        self.start(self.late_plugin("late-0"))
        self.offered("late")
        self.replace_late_plugin(4)
        began = time.monotonic()
        self.assertEqual(self.agent.terminate(), 0)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(processes_with(str(self.late)), [])

    def test_a_second_signal_ends_at_once_what_is_slow_to_end(self):
        self.start(self.late_plugin("late-0"))
        self.offered("late")
        self.replace_late_plugin(2)
        self.agent.signal(signal.SIGTERM)
        wait_until(lambda: self.api.agent("pi-1")["state"] == "offline", what="the agent waits for its plug-ins only")
        began = time.monotonic()
        self.assertEqual(self.agent.terminate(), 0)
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual(processes_with(str(self.late)), [])

    def test_every_task_succeeds_while_executors_of_all_kinds_are_replaced_without_pause(self):
        self.gate.touch()
        nobody = free_port()

        def version(n):
            return (self.command(f"v{n}", slots=2) + self.gate_plugin(f"p{n}") +
                    f'[[llm]]\nprovider = "ollama"\nurl = "http://127.0.0.1:{nobody}"\nslots = {n + 1}\n')

        self.start(version(0))
        self.offered("command.gate", "gate")
        tasks = [self.api.submit(capability) for _ in range(20) for capability in ("command.gate", "gate")]
        for n in range(1, 8):
            self.write(version(n))
            self.agent.signal(signal.SIGHUP)
            wait_until(lambda n=n: self.config()["reloads"] >= n, what=f"reload {n}")
        words = {self.word(task) for task in tasks}
        self.assertIn("v7", words | {self.word(self.api.submit("command.gate"))})
        self.assertEqual(self.word(self.api.submit("gate")), "p7")
        for task in tasks:
            self.assert_ran_once(task)
        wait_until(lambda: not any(processes_with(f"p{n}") for n in range(7)), what="the old versions have ended")
        self.assertEqual(self.agent.terminate(), 0)

    # ---- files that are bad, and settings that need a restart

    def test_a_bad_file_changes_nothing_and_everybody_learns_why(self):
        self.start(self.command("good"), echo=1)
        self.gate.touch()
        cases = [("\necho = [\n", "line 2"),
                 ("\n[" + "a." * 50_000 + "a]\n", "line 2: a key has at most 32 parts"),
                 ("#" * (1 << 20) + "\n", "has more than 1.0 MiB"),
                 ("[labels]\nroom = 'x'\n[[command]]\nname = 'a'\nargv = ['x']\nslot = 1\n", "line 6: [[command]]: unknown key `slot`"),
                 ("max-held = 100000\n", "line 1: `max-held`"),
                 ("broker = 'nonsense://x'\nfleet = 'A B'\n", "--fleet \"A B\" is not valid"),
                 (self.command("x") + self.command("y"), "another [[command]] has the same name")]
        for n, (toml, reason) in enumerate(cases, 1):
            with self.subTest(reason):
                told = self.reload(toml, code=1)
                self.assertIn("edgefleet: pi-1 keeps its configuration: ", told)
                self.assertIn(reason, told)
                self.assertIn(reason, self.config()["problem"])
                self.assertEqual(self.config()["reloads"], n)
                self.assertIn(reason, self.agent.log())
        (self.fleet.dir / "pi-1.toml").unlink()
        self.assertIn("pi-1.toml", self.reload(code=1))
        self.assertIn("pi-1: its new configuration is not in use: ", self.fleet.cli("agents").stdout)
        self.assertEqual(self.capabilities(), ["command.gate", "echo"])
        self.assertEqual(self.word(self.api.submit("command.gate")), "good")
        self.assertEqual(self.reload(self.command("good")), "pi-1  nothing has changed\n")
        self.assertNotIn("problem", self.config())
        self.assertNotIn("not in use", self.fleet.cli("agents").stdout)

    def test_settings_take_effect_at_once_or_are_named_as_ones_that_need_a_restart(self):
        self.start(echo=2)
        told = self.reload('username = "somebody"\nmax-held = 7\n[labels]\nroom = "attic"\n')
        self.assertEqual(told, "pi-1  new max-held, labels; needs a restart: username\n")
        self.assertIn("username: a change of this needs a restart", self.agent.log())
        self.assertEqual(self.api.agent("pi-1")["labels"]["room"], "attic")
        task = self.api.submit("echo", 7, where={"room": "attic"})
        self.assertEqual(self.api.outcome(task)["output"], 7)
        self.assertIn("needs a restart: username", self.fleet.cli("agent", "pi-1").stdout)
        # The option on the agent's command line has precedence.
        self.assertEqual(self.reload('username = "somebody"\necho = 9\nmax-held = 7\n[labels]\nroom = "attic"\n'),
                         "pi-1  nothing has changed; needs a restart: username\n")
        self.assert_works()

    # ---- the ways to ask for it

    def test_a_service_reads_its_file_on_sighup_and_tells_the_outcome(self):
        self.start(echo=1)
        self.assertEqual(self.config(), {"reloads": 0})
        self.gate.touch()
        self.write(self.command("added"))
        self.agent.signal(signal.SIGHUP)
        wait_until(lambda: self.config().get("changes") == "added command-gate", what="the outcome")
        self.offered("command.gate", "echo")
        self.assertEqual(self.word(self.api.submit("command.gate")), "added")
        self.write("echo = x\n")
        self.agent.signal(signal.SIGHUP)
        wait_until(lambda: "line 1" in self.config().get("problem", ""), what="the problem")
        self.assert_works()

    def test_the_command_says_at_once_what_cannot_be(self):
        self.start(echo=1)
        unknown = self.fleet.cli("agents", "reload", "pi-2")
        self.assertEqual(unknown.returncode, 3, unknown)
        self.assertIn("agent pi-2 is not known; did you mean pi-1?", unknown.stderr)
        document = json.loads(self.fleet.cli("agents", "reload", "pi-1", "--json").stdout)
        self.assertEqual((document["name"], document["config"]), ("pi-1", {"reloads": 1}))
        self.agent.terminate()
        self.api.agent_becomes("pi-1", "offline")
        away = self.fleet.cli("agents", "reload", "pi-1", timeout=10)
        self.assertEqual(away.returncode, 3, away)
        self.assertIn("is offline: it reads its configuration when it starts", away.stderr)
        self.assert_problem(self.api.post("/api/v1/agents/pi-1/reload"), 409)
        self.assert_problem(self.api.post("/api/v1/agents/pi-9/reload"), 404)

    def test_an_agent_that_does_not_answer_is_waited_for_and_no_longer(self):
        self.fleet.publish("agents/ghost/info", {"session": "g", "executors": [], "config": {"reloads": 3}}, retain=True)
        self.fleet.publish("agents/ghost/status", {"session": "g", "state": "online"}, retain=True)
        wait_until(lambda: "config" in self.api.agents().get("ghost", {}), what="the agent is known")
        orders = self.fleet.observe("control/ghost")
        silent = self.fleet.cli("agents", "reload", "ghost")
        self.assertEqual(silent.returncode, 4, silent)
        self.assertRegex(silent.stderr, "ghost has not reported for 15(.0)? s; look later: edgefleet .*agent ghost")
        self.assertEqual([m.payload["type"] for m in orders.all() if m.payload["type"] != "introduce"], ["reload"])

    def test_an_agent_that_is_lost_meanwhile_is_not_waited_for(self):
        self.start(echo=1)
        orders = self.fleet.observe("control/pi-1")
        self.agent.signal(signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            order = pool.submit(self.fleet.cli, "agents", "reload", "pi-1")
            orders.wait_for(lambda m: m.payload["type"] == "reload")
            self.agent.kill()
            lost = order.result()
        self.assertEqual(lost.returncode, 3, lost)
        self.assertIn("pi-1 is lost, and has not reported", lost.stderr)


if __name__ == "__main__":
    unittest.main()

"""Heat, with folders in place of sysfs: the agents' reports, the placement of tasks, and the running tasks."""

import os
import shutil
import time
import unittest

from support import FleetCase, wait_until

ZONE = "class/thermal/thermal_zone0"
FLAGS = "devices/platform/soc/soc:firmware/get_throttled"
COUNT = """[[command]]
name = "count"
argv = ["/bin/sh", "-c", "while :; do echo >>\\"$0\\"; sleep 0.05; done", "{file}"]
slots = 1
timeout_s = 100
[command.params]
file = { type = "string", pattern = "[a-z0-9/._-]+" }
"""


def stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


class Heat(FleetCase):
    def sys(self, name):
        return self.fleet.dir / f"sys-{name}"

    def write(self, name, path, text):
        file = self.sys(name) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "new").write_text(f"{text}\n")
        (file.parent / "new").rename(file)

    def heat(self, name, celsius):
        self.write(name, f"{ZONE}/type", "cpu-thermal")
        self.write(name, f"{ZONE}/temp", int(celsius * 1000))

    def start(self, name, celsius, *args, **options):
        self.heat(name, celsius)
        command = self.fleet.agent_command(name, *args, **options)
        command[command.index("--sys") + 1] = self.sys(name)
        self.fleet.agents[name] = self.fleet.start(name, command)
        self.api.placeable(name)
        return self.fleet.agents[name]

    def shown(self, name, **expected):
        """Waits until the coordinator shows these values for the agent."""
        def there():
            agent = self.api.agents()[name]
            return all(agent.get(key) == value for key, value in expected.items())

        wait_until(there, what=lambda: f"{expected}; there is {self.api.agents()[name]}")

    def test_work_goes_to_cool_ones(self):
        """Tasks that wait on an agent that becomes hot, and all later ones, are done by a cool one."""
        self.start("hot", 45, toml=self.fleet.sleep_toml(1))
        for _ in range(3):  # so short that more of them are sent than can run at once
            self.api.outcome(self.api.submit("command.sleep", {"seconds": 0}))
        batch = self.api.batch([{"capability": "command.sleep", "input": {"seconds": 6}}] +
                               [{"capability": "command.sleep", "input": {"seconds": 0.01}} for _ in range(6)])
        self.api.state_becomes(batch["tasks"][0], "running")
        self.heat("hot", 82)
        self.api.agent_becomes("hot", "overheated")
        self.start("cool", 40, toml=self.fleet.sleep_toml(1))
        later = [self.api.submit("command.sleep", {"seconds": 0.01}) for _ in range(6)]
        for task in (*batch["tasks"][1:], *later):
            done = self.api.outcome(task)
            self.assertEqual((done["state"], done["attempts"][-1]["agent"]), ("succeeded", "cool"))
        first = self.api.outcome(batch["tasks"][0])
        self.assertEqual((first["state"], first["attempts"][-1]["agent"]), ("succeeded", "hot"))

    def test_what_runs_is_slowed(self):
        """A hot agent's processes run on a duty cycle, their timeout grows by the pauses; once cool, they continue."""
        self.start("pi-1", 45, toml=COUNT)
        file = self.fleet.dir / "counts/count"  # beside the work folder, the sandbox allows no new file
        file.parent.mkdir()
        task = self.api.submit("command.count", {"file": str(file)}, timeout_ms=4000, max_attempts=1)
        self.api.state_becomes(task, "running")
        wait_until(file.exists, what="it counts")
        child = self.child_of("pi-1")
        self.heat("pi-1", 82)
        observer = self.fleet.observe("agents/pi-1/heartbeat", retained=False)
        wait_until(lambda: stopped(child), what="it is stopped")
        wait_until(lambda: not stopped(child), what="it continues")
        wait_until(lambda: stopped(child), what="it is stopped again")
        beat = observer.wait_for(lambda m: any(t.get("extended_ms", 0) > 1000 for t in m.payload["tasks"]), 25)
        self.assertEqual(beat.payload["tasks"][0]["phase"], "running")
        self.heat("pi-1", 45)
        done = self.api.outcome(task)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "timed_out"))
        self.assertEqual(len(done["attempts"]), 1)
        self.assertGreater(done["run_ms"], 5500, "its timeout of 4 s did not grow by the time in which it stood still")
        self.shown("pi-1", policy="normal", state="online")

    def child_of(self, name):
        """The command that runs there: the child of its supervisor, which is the agent's."""
        def child(pid):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                    ids = children.read().split()
                if ids:
                    return int(ids[0])
            return None

        supervisor = wait_until(lambda: child(self.fleet.agents[name].pid), what="the agent has a child")
        return wait_until(lambda: child(supervisor), what="the supervisor has a child")

    def test_agents_shows_it(self):
        """`edgefleet agents` shows temperature, trend, policy, the firmware's flags and a sensor's problem."""
        self.write("pi-1", FLAGS, "0")
        self.start("pi-1", 50, echo=4)
        self.shown("pi-1", celsius=50, policy="normal", throttled=[], sensor="thermal_zone0 (cpu-thermal)")
        self.write("pi-1", FLAGS, "80008")
        self.heat("pi-1", 75.5)
        self.shown("pi-1", celsius=75.5, policy="reduced",
                   throttled=["soft temperature limit now", "soft temperature limit since boot"])
        text = self.fleet.cli("agents").stdout
        self.assertRegex(text, r"NAME +STATE +BUSY +TEMP +C/MIN +POLICY")
        self.assertRegex(text, r"pi-1 +online +0/4 +75\.5 C +\+[0-9.]+ +reduced")
        self.assertIn("pi-1: its firmware reports: soft temperature limit now", text)
        shutil.rmtree(self.sys("pi-1") / ZONE)
        problem = "sensor thermal_zone0 (cpu-thermal) has disappeared"
        self.shown("pi-1", sensor_problem=problem, policy="reduced")
        self.assertIn(f"pi-1: {problem}", self.fleet.cli("agents").stdout)
        self.assertIn(problem, self.fleet.cli("agent", "pi-1").stdout)

    def test_a_sensor_that_lies_and_vanishes(self):
        """The agent reports it once and works on; half of its slots close after a minute; all open when it is back."""
        agent = self.start("pi-1", 50, echo=4)
        for text, problem in (("200000", "reads 200.0 C, which is impossible"), ("-40000", "reads -40.0 C, which is impossible"),
                              ("hot", 'reads "hot", which is not a number')):
            self.write("pi-1", f"{ZONE}/temp", text)
            self.shown("pi-1", sensor_problem=f"sensor thermal_zone0 (cpu-thermal) {problem}")
            self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")
            self.heat("pi-1", 50)
            self.shown("pi-1", sensor_problem=None, celsius=50)
        self.assertEqual(agent.log().count("which is impossible"), 2, "told once each")
        shutil.rmtree(self.sys("pi-1") / ZONE)
        began = time.monotonic()
        wait_until(lambda: self.api.agents()["pi-1"]["policy"] == "reduced", 90, "it is careful", 0.5)
        self.assertGreater(time.monotonic() - began, 50, "the last good reading did not hold")
        wait_until(lambda: self.api.agents()["pi-1"]["executors"][0]["free"] == 2, what="half of its slots are open")
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")
        self.heat("pi-1", 50)
        self.shown("pi-1", policy="normal", sensor_problem=None, celsius=50)

    def test_limits_must_grow(self):
        """Limits in the wrong order end the program with an error message."""
        agent = self.fleet.start("odd", self.fleet.agent_command("odd", "--reduce-celsius", 80, "--pause-celsius", 70))
        self.assertNotEqual(agent.wait(), 0)
        self.assertIn("must grow from --normal-celsius through --reduce-celsius to --pause-celsius", agent.log())


if __name__ == "__main__":
    unittest.main()

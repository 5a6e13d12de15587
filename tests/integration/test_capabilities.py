"""What agents tell of themselves: the parameters of their capabilities, their machine, and what is asked of it."""

import datetime
import time
import unittest

from support import ROOT, FleetCase, wait_until

WORDCOUNT = f'[[plugin]]\nname = "wordcount"\nargv = ["{ROOT}/edge-agent/plugins/examples/wordcount.py"]\n'


class Parameters(FleetCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", toml=WORDCOUNT + self.fleet.sleep_toml(2), echo=4)

    def refused(self, path, body):
        return self.assert_problem(self.api.post(path, body), 422)

    def test_they_are_shown_and_checked(self):
        """A command, a plug-in and a built-in executor describe their input; a wrong one is refused at the submit."""
        sleep = self.api.described("command.sleep")
        self.assertEqual((sleep["agents"], sleep["online"], sleep["slots"]), (1, 1, 2))
        self.assertEqual(sleep["parameters"]["properties"]["seconds"], {"type": "number", "minimum": 0, "maximum": 100000})
        self.assertEqual(self.api.described("text.wordcount")["parameters"]["required"], ["text"])
        self.assertIn("description", self.api.described("echo")["parameters"])
        for wrong, what in (({"seconds": "abc"}, "input.seconds"), ({"secons": 1}, "input.seconds` is missing"), (7, "type object"),
                            ({"seconds": -1}, "the minimum is 0"), ({"seconds": 1, "x": 1}, "input.x"), (None, "is missing")):
            detail = self.refused("/api/v1/tasks", {"capability": "command.sleep", "input": wrong})
            self.assertIn("command.sleep", detail)
            self.assertIn(what, detail)
        self.assertIn("text", self.refused("/api/v1/tasks", {"capability": "text.wordcount", "input": {"text": 7}}))
        good = {"capability": "command.sleep", "input": {"seconds": 0}}
        batch = self.api.post("/api/v1/batches", {"tasks": [good, {"capability": "command.sleep", "input": {}}]})
        self.assert_problem(batch, 422)
        self.assertEqual([one["index"] for one in batch.body["errors"]], [1])
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        self.assertEqual(self.api.outcome(self.api.submit("command.sleep", {"seconds": 0}))["state"], "succeeded")
        counted = self.api.outcome(self.api.submit("text.wordcount", {"text": "to be"}))
        self.assertEqual(counted["output"]["words"], 2)
        self.assert_works()

    def test_after_a_restart(self):
        """A coordinator that starts anew asks again; an agent that comes back with another table is believed."""
        self.api.described("command.sleep")
        self.fleet.coordinator.kill()
        self.fleet.start_coordinator()
        self.api.described("command.sleep")
        self.refused("/api/v1/tasks", {"capability": "command.sleep", "input": {"seconds": 200000}})
        self.fleet.agents["pi-1"].kill()
        self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml().replace("100000", "300000"))
        wait_until(lambda: self.api.described("command.sleep")["parameters"]["properties"]["seconds"]["maximum"] == 300000,
                   what="the new table is known")
        self.api.submit("command.sleep", {"seconds": 200000}, delay_ms=100000)
        self.refused("/api/v1/tasks", {"capability": "command.sleep", "input": {"seconds": 400000}})

    def test_over_mqtt(self):
        """The description travels in a message of its own, named by a digest; one that differs from it is ignored."""
        self.api.described("command.sleep")
        info = {"session": "s-1", "cpus": 1, "executors": [
            {"name": "main", "capabilities": ["odd"], "slots": 1, "parameters": {"odd": "0" * 32}}]}
        self.fleet.publish("agents/liar/info", info)
        self.fleet.publish("agents/liar/parameters", {"session": "s-1", "parameters": [
            {"digest": "0" * 32, "schema": {"type": "string"}}]})
        self.fleet.publish("agents/liar/parameters", "rubbish")
        self.assert_works()

        def odd():
            return [one for one in self.api.good("GET", "/api/v1/capabilities")["capabilities"] if one["name"] == "odd"]

        self.assertNotIn("parameters", wait_until(odd, what="the capability is listed")[0])
        self.api.submit("odd", 7, expires_after_ms=1000)


class Machine(FleetCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=4, toml="[labels]\nroom = \"attic\"\n")

    def test_what_it_tells(self):
        """Address, uptime, free memory and disk, GPUs, and how many runs succeeded and failed."""
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")

        def told():
            agent = self.api.good("GET", "/api/v1/agents/pi-1")
            return agent.get("succeeded") == 1 and agent.get("free_disk_bytes", 0) > 0 and agent

        agent = wait_until(told, what="the agent has told its machine")
        self.assertEqual(agent["failed"], 0)
        self.assertGreaterEqual(agent["uptime_ms"], 0)
        self.assertGreater(agent["free_memory_bytes"], 0)
        self.assertIsInstance(agent["gpus"], list)
        self.assertFalse(agent.get("address", "").startswith("127."), agent)
        shown = self.fleet.cli("agent", "pi-1").stdout
        self.assertIn("1 succeeded, 0 failed", shown)
        self.assertIn("of disk", shown)

    def test_conditions(self):
        """Sizes compare; an unknown operator is refused; the reason for waiting names what there is."""
        agent = self.api.good("GET", "/api/v1/agents/pi-1")
        memory = agent["memory_bytes"] // 2**20
        for where in ({"memory_mb": f">={memory}"}, {"memory_mb": f"<={memory}"}, {"cpus": str(agent["cpus"])}, {"cpus": ">0"},
                      {"gpu_memory_mb": ">=0", "room": "attic"}):
            self.assertEqual(self.api.outcome(self.api.submit("echo", 1, where=where))["state"], "succeeded", where)
        for where in ({"memory>": "4GB"}, {"memory_mb": ">=4GB"}, {"cpus": ""}, {"room": ">3"}, {"a b": "c"}):
            detail = self.assert_problem(self.api.post("/api/v1/tasks", {"capability": "echo", "where": where}), 422)
            self.assertIn("where", detail)
        waiting = self.api.good("POST", "/api/v1/tasks", {"capability": "echo", "where": {"memory_mb": f">{memory}"}})
        self.assertIn(f"the largest memory_mb there is: {memory} (pi-1)", waiting["waiting"])
        waiting = self.api.good("POST", "/api/v1/tasks", {"capability": "echo", "where": {"rom": "attic"}})
        self.assertIn("none has a label rom; did you mean room?", waiting["waiting"])
        cli = self.fleet.cli("submit", "echo", "1", "--where", "memory>=4GB")
        self.assertEqual(cli.returncode, 2, cli.stderr)
        self.assertIn("memory_mb", cli.stderr)
        cli = self.fleet.cli("submit", "echo", "1", "--where", f"memory_mb>={memory}", "--wait", "30s")
        self.assertEqual(cli.returncode, 0, cli.stderr)

    def test_since_is_not_the_restart(self):
        """After a restart of the coordinator an agent's state is as old as before."""
        self.fleet.coordinator.kill()
        killed = time.time()
        self.fleet.start_coordinator()

        def known():
            agents = self.api.good("GET", "/api/v1/agents")["agents"]
            return agents[0].get("since") if agents else None

        since = wait_until(known, what="the agent has told the age of its state")
        self.assertLess(datetime.datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp(), killed)


if __name__ == "__main__":
    unittest.main()

"""Presence: what an independent observer sees when agents connect, leave, heat up and lose their broker."""

import itertools
import signal
import time
import unittest

from support import FleetCase, wait_until


def seen(observer, agent):
    """(topic, payload) of this agent's messages, in order, without streams and temperature."""
    wanted = {f"agents/{agent}/info", f"agents/{agent}/heartbeat", f"agents/{agent}/status"}
    return [m for m in observer.all()
            if m.topic in wanted or (m.topic.startswith("results/") and m.topic.endswith("/" + agent))]


class BirthAndDeath(FleetCase):
    def test_birth(self):
        """An agent publishes its info, then its heartbeat, and last its status online; info and status are retained."""
        observer = self.fleet.observe("agents/#")
        self.fleet.start_agent("pi-1", echo=3, toml='[labels]\nroom = "attic"\n')
        online = observer.status("pi-1", "online")
        before = [m.topic.split("/")[-1] for m in observer.all()][:observer.all().index(online) + 1]
        self.assertEqual(before[-1], "status")
        self.assertLess(before.index("info"), before.index("heartbeat"))
        self.assertLess(before.index("heartbeat"), before.index("status"))

        late = self.fleet.observe("agents/#")  # subscribes at the end, and sees the retained messages
        retained = {m.topic: m for m in late.all() if m.retained}
        self.assertEqual(set(retained), {"agents/pi-1/info", "agents/pi-1/status", "agents/pi-1/temperature"})
        info = retained["agents/pi-1/info"].payload
        session = online.payload["session"]
        self.assertEqual({m.payload["session"] for m in observer.all()}, {session})
        self.assertEqual(retained["agents/pi-1/status"].payload, {"state": "online", "session": session})
        self.assertEqual(info["labels"]["room"], "attic")
        self.assertEqual([(e["name"], e["capabilities"], e["slots"]) for e in info["executors"]], [("echo", ["echo"], 3)])
        for field in ("version", "board", "arch", "os", "cpus", "memory_bytes"):
            self.assertIn(field, info)
        self.assertEqual((retained["agents/pi-1/info"].qos, retained["agents/pi-1/status"].qos), (1, 1))

    def test_heartbeat(self):
        """A heartbeat has the agent's full state, and is neither retained nor acknowledged."""
        observer = self.fleet.observe("agents/#", "coordinator/status")
        self.fleet.start_agent("pi-1", echo=2, toml=self.fleet.sleep_toml(2))
        task = self.api.submit("command.sleep", {"seconds": 30})
        beat = observer.wait_for(lambda m: m.topic == "agents/pi-1/heartbeat" and m.payload["tasks"]
                                 and m.payload["tasks"][0]["phase"] == "running")
        self.assertEqual((beat.qos, beat.retained), (0, False))
        payload = beat.payload
        reign = observer.all("coordinator/status")[-1].payload
        self.assertEqual((payload["epoch"], payload["coordinator"], payload["n"]), (reign["epoch"], reign["session"], 1))
        self.assertEqual(payload["free_slots"], {"echo": 2, "command-sleep": 1})
        self.assertEqual([(t["id"], t["attempt"]) for t in payload["tasks"]], [(task, 1)])
        self.assertLess(abs(payload["clock_unix_ms"] / 1000 - time.time()), 60)
        for field in ("sequence", "uptime_ms", "load", "free_memory_bytes"):
            self.assertIn(field, payload)
        numbers = [m.payload["sequence"] for m in observer.all("agents/pi-1/heartbeat")]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_clean_stop(self):
        """On SIGTERM an agent completes its tasks, delivers results, publishes offline last, and sends no will."""
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(1), grace=20)
        observer = self.fleet.observe("agents/#", "results/#", retained=False)
        task = self.api.submit("command.note", {"label": "last", "seconds": 1})
        self.fleet.noted("begin last")
        self.fleet.agents["pi-1"].signal(signal.SIGTERM)
        self.assertEqual(self.fleet.agents["pi-1"].wait(), 0)
        observer.status("pi-1", "offline")
        said = seen(observer, "pi-1")
        states = [m.payload["state"] for m in said if m.topic.endswith("/status")]
        self.assertEqual(states, ["draining", "offline"])
        self.assertEqual(said[-1].payload["state"], "offline")
        results = [m for m in said if m.topic == "results/pi-1"]
        self.assertEqual([r["id"] for m in results for r in m.payload["results"]], [task])
        done = self.api.outcome(task)
        self.assertEqual((done["state"], len(done["attempts"])), ("succeeded", 1))
        self.api.agent_becomes("pi-1", "offline")
        late = self.fleet.observe("agents/pi-1/status")
        self.assertEqual(late.all()[0].payload["state"], "offline")

    def test_stop_of_a_long_task(self):
        """A running task that outlasts the grace of a stop is stopped, and goes to another agent."""
        self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml(1))
        task = self.api.submit("command.sleep", {"seconds": 3})
        self.api.state_becomes(task, "running")
        self.fleet.start_agent("pi-2", toml=self.fleet.sleep_toml(1))
        self.assertEqual(self.fleet.agents["pi-1"].terminate(), 0)
        done = self.api.outcome(task)
        self.assertEqual((done["state"], [a["agent"] for a in done["attempts"]]), ("succeeded", ["pi-1", "pi-2"]))

    def test_kill(self):
        """An agent that is killed is seen as lost within a second, by its will."""
        agent = self.fleet.start_agent("pi-1", echo=1)
        observer = self.fleet.observe("agents/#")
        session = self.api.agent("pi-1")["session"]
        began = time.monotonic()
        agent.kill()
        lost = observer.status("pi-1", "lost", 1)
        self.assertEqual(lost.payload["session"], session)
        self.api.agent_becomes("pi-1", "lost", 1)
        self.assertLess(time.monotonic() - began, 1)
        late = self.fleet.observe("agents/pi-1/status")
        self.assertEqual(late.all()[0].payload["state"], "lost")
        self.fleet.restart_agent("pi-1")
        self.assertEqual(self.api.agents()["pi-1"]["state"], "online")
        self.assertNotEqual(self.api.agent("pi-1")["session"], session)

    def test_drain(self):
        """A drained agent publishes draining, with no free slots; resumed, it publishes online."""
        self.fleet.start_agent("pi-1", echo=2)
        observer = self.fleet.observe("agents/#", "control/#", retained=False)
        self.api.good("POST", "/api/v1/agents/pi-1/drain")
        observer.status("pi-1", "draining")
        observer.wait_for(lambda m: m.topic.endswith("heartbeat") and m.payload["free_slots"] == {"echo": 0})
        self.api.good("POST", "/api/v1/agents/pi-1/resume")
        observer.status("pi-1", "online")
        observer.wait_for(lambda m: m.topic.endswith("heartbeat") and m.payload["free_slots"] == {"echo": 2})
        orders = [m.payload["type"] for m in observer.all("control/pi-1")]
        # Repeated at each heartbeat that does not show it yet.
        self.assertEqual([order for order, _ in itertools.groupby(orders)], ["drain", "resume"])

    def test_coordinator(self):
        """The coordinator publishes online with its epoch, offline on a stop, and its will publishes lost."""
        observer = self.fleet.observe("coordinator/status")
        first = observer.wait_for(lambda m: m.payload["state"] == "online").payload
        self.assertEqual(self.fleet.coordinator.terminate(), 0)
        observer.wait_for(lambda m: m.payload["state"] == "offline")
        self.fleet.start_coordinator()
        second = observer.wait_for(lambda m: m.payload["state"] == "online" and m.payload["epoch"] > first["epoch"])
        self.assertNotEqual(second.payload["session"], first["session"])
        self.fleet.coordinator.kill()
        observer.wait_for(lambda m: m.payload["state"] == "lost", 1)
        late = self.fleet.observe("coordinator/status")
        self.assertEqual((late.all()[0].retained, late.all()[0].payload["state"]), (True, "lost"))

    def test_results_come_before_online(self):
        """An agent that completed work without a broker delivers it first, and publishes online last."""
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(1))
        task = self.api.submit("command.note", {"label": "spooled", "seconds": 1})
        self.fleet.noted("begin spooled")
        self.fleet.broker.kill()
        log = self.fleet.agents["pi-1"].log
        wait_until(lambda: "lost the connection to the broker" in log(), what="the agent misses the broker")
        self.fleet.coordinator.terminate()  # nothing is acknowledged until the observer has subscribed
        self.fleet.noted("end spooled")
        self.fleet.agents["pi-1"].signal(signal.SIGSTOP)
        self.fleet.start_broker()
        observer = self.fleet.observe("agents/#", "results/#")
        self.fleet.agents["pi-1"].signal(signal.SIGCONT)
        observer.status("pi-1", "online")
        kinds = []
        for message in seen(observer, "pi-1"):
            kinds.append("result" if message.topic.startswith("results/") else message.topic.split("/")[-1])
        self.assertIn("result", kinds)
        self.assertLess(kinds.index("result"), kinds.index("status"))
        self.fleet.start_coordinator()
        done = self.api.outcome(task)
        self.assertEqual((done["state"], len(done["attempts"])), ("succeeded", 1))


class Heat(FleetCase):
    def heat(self, name, celsius):
        zone = self.fleet.dir / f"sys-{name}/class/thermal/thermal_zone0"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "temp.new").write_text(f"{int(celsius * 1000)}\n")
        (zone / "temp.new").rename(zone / "temp")
        return self.fleet.dir / f"sys-{name}"

    def start(self, name, celsius, **options):
        command = self.fleet.agent_command(name, **options)
        command[command.index("--sys") + 1] = self.heat(name, celsius)
        self.fleet.agents[name] = self.fleet.start(name, command)
        return self.fleet.agents[name]

    def test_temperature(self):
        """The sensor's temperature is published, retained, and shown by the coordinator."""
        self.start("pi-1", 48.3, echo=4)
        self.api.placeable("pi-1")
        observer = self.fleet.observe("agents/pi-1/temperature")
        first = observer.wait_for(lambda m: m.topic == "agents/pi-1/temperature")
        self.assertTrue(first.retained)
        self.assertEqual((first.payload["celsius"], first.payload["policy"], first.payload["throttled"]), (48.3, "normal", []))
        shown = wait_until(lambda: self.api.agents()["pi-1"].get("celsius"))
        self.assertEqual(shown, 48.3)

    def test_reduced(self):
        """A warm agent halves its slots."""
        observer = self.fleet.observe("agents/#")
        self.start("pi-1", 75.5, echo=4)
        observer.wait_for(lambda m: m.topic.endswith("temperature") and m.payload["policy"] == "reduced")
        self.heat("pi-1", 74)  # still reduced, and not hot enough for fewer slots
        observer.wait_for(lambda m: m.topic.endswith("heartbeat") and m.payload["free_slots"] == {"echo": 2})
        wait_until(lambda: self.api.agents().get("pi-1", {}).get("executors", [{}])[0].get("free") == 2,
                   what="the coordinator counts two slots")
        self.assertEqual(self.api.agents()["pi-1"]["state"], "online")

    def test_hot_and_back(self):
        """A hot agent publishes overheated, returns its waiting tasks to others, and works again when it is cool."""
        self.start("pi-1", 50, toml=self.fleet.sleep_toml(1))
        observer = self.fleet.observe("agents/#", retained=False)
        self.api.placeable("pi-1")
        for _ in range(3):  # so short that more of them are sent than run at once
            self.api.outcome(self.api.submit("command.sleep", {"seconds": 0}))
        batch = self.api.batch([{"capability": "command.sleep", "input": {"seconds": 4}}] +
                               [{"capability": "command.sleep", "input": {"seconds": 0.01 * n}} for n in range(3)])
        self.api.state_becomes(batch["tasks"][0], "running")
        self.heat("pi-1", 85)
        observer.status("pi-1", "overheated")
        self.api.agent_becomes("pi-1", "overheated")
        self.assertFalse(self.api.agents()["pi-1"]["placeable"])
        wait_until(lambda: (self.api.agents()["pi-1"]["policy"], self.api.agents()["pi-1"]["celsius"]) == ("paused", 85), 3,
                   "the coordinator shows the heat")
        answer = self.api.post("/api/v1/tasks", {"capability": "command.sleep", "input": {"seconds": 0}}).body
        self.assertEqual((answer["state"], answer["eligible_agents"]), ("queued", 0))
        self.assertIn("1 agent offers command.sleep, it is paused for heat", answer["waiting"])

        self.start("pi-2", 45, toml=self.fleet.sleep_toml(1))
        for task_id in (*batch["tasks"][1:], answer["id"]):
            done = self.api.outcome(task_id)
            self.assertEqual((done["state"], done["attempts"][-1]["agent"]), ("succeeded", "pi-2"))
            self.assertEqual({a["state"] for a in done["attempts"][:-1]} - {"returned"}, set())
        first = self.api.outcome(batch["tasks"][0])
        self.assertEqual((first["state"], [a["agent"] for a in first["attempts"]]), ("succeeded", ["pi-1"]))

        self.heat("pi-1", 50)
        observer.wait_for(lambda m: m.topic == "agents/pi-1/temperature" and m.payload["policy"] == "normal"
                          and m.payload["celsius"] == 50 and m.payload["trend_per_minute"] <= 0)
        self.api.agent_becomes("pi-1", "online")
        done = self.api.outcome(self.api.submit("command.sleep", {"seconds": 0}, where={"agent": "pi-1"}))
        self.assertEqual(done["state"], "succeeded")

    def test_firmware(self):
        """With heat = firmware an agent only observes: it reports the temperature and accepts tasks all the same."""
        command = self.fleet.agent_command("pi-1", "--heat", "firmware", echo=2)
        command[command.index("--sys") + 1] = self.heat("pi-1", 90)
        self.fleet.start("pi-1", command)
        self.api.placeable("pi-1")
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")
        hot = wait_until(lambda: self.api.agents()["pi-1"].get("celsius") and self.api.agents()["pi-1"])
        self.assertEqual((hot["celsius"], hot["policy"], hot["state"]), (90, "normal", "online"))

    def test_broken_sensor(self):
        """A sensor with nonsensical values is treated as missing, and does no harm."""
        root = self.heat("pi-1", 50)
        for text in ("", "hot\n", "999999999999999999\n", "-300000\n", "nan\n", "inf\n"):
            (root / "class/thermal/thermal_zone0/temp").write_text(text)
            command = self.fleet.agent_command("pi-1", echo=1)
            command[command.index("--sys") + 1] = root
            agent = self.fleet.start("pi-1", command)
            self.api.placeable("pi-1")
            self.assert_works_with(text)
            self.assertNotIn("celsius", self.api.agents()["pi-1"], text)
            agent.terminate()
            self.api.agent_becomes("pi-1", "offline")

    def assert_works_with(self, text):
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded", text)


class OneName(FleetCase):
    def test_two_agents(self):
        """Of two agents with one name, the one that is repeatedly disconnected stops with a reason (takes a minute)."""
        first = self.fleet.start_agent("twin", echo=1)
        second = self.fleet.start("twin", self.second_command())
        wait_until(lambda: not first.alive() or not second.alive(), 100, "one of them stops", pause=0.2)
        gone, left = (first, second) if not first.alive() else (second, first)
        self.assertNotEqual(gone.wait(), 0)
        self.assertIn("another agent is connected as twin", gone.log())
        self.assertIn("--name", gone.log())
        self.assertTrue(left.alive())
        self.api.placeable("twin", timeout=60)
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")

    def second_command(self):
        command = self.fleet.agent_command("twin", echo=1)
        command[command.index("--work") + 1] = self.fleet.dir / "work-2"
        return command


class BrokerLost(FleetCase):
    def test_broker_killed(self):
        """The broker is killed and restarted without its state: tasks run again and none is lost."""
        for n in (1, 2):
            self.fleet.start_agent(f"pi-{n}", echo=2, toml=self.fleet.note_toml(1))
        tasks = [{"capability": "command.note", "input": {"label": f"t{n}", "seconds": 0.3}} for n in range(12)]
        batch = self.api.batch(tasks)
        wait_until(lambda: any(line.startswith("end") for line in self.fleet.note_lines()), what="some are done")
        self.fleet.broker.kill()
        wait_until(lambda: self.api.get("/ready").status == 503, what="the coordinator misses the broker")
        self.assertEqual(self.api.get("/health").status, 200)
        meanwhile = [self.api.submit("echo", n) for n in range(5)]  # accepted without a broker
        self.fleet.start_broker()
        ended = self.api.batch_ended(batch["id"], 30)
        self.assertEqual(ended["counts"]["succeeded"], 12, ended)
        self.assertEqual([self.api.outcome(t)["output"] for t in meanwhile], list(range(5)))
        runs = [line for line in self.fleet.note_lines() if line.startswith("begin")]
        self.assertEqual(sorted(runs), sorted(f"begin t{n}" for n in range(12)), "some were run twice")
        self.assertEqual(self.api.get("/ready").status, 200)
        for n in (1, 2):
            self.api.agent_becomes(f"pi-{n}", "online")
        late = self.fleet.observe("agents/+/status", "coordinator/status")
        self.assertEqual({m.topic: m.payload["state"] for m in late.all() if m.retained},
                         {"agents/pi-1/status": "online", "agents/pi-2/status": "online", "coordinator/status": "online"})

    def test_quick_reconnect(self):
        """After the broker is back, agents run tasks again within five seconds."""
        self.fleet.start_agent("pi-1", echo=2)
        self.fleet.broker.kill()
        wait_until(lambda: self.api.get("/ready").status == 503, what="the coordinator misses the broker")
        task = self.api.submit("echo", 1)
        self.fleet.start_broker()
        self.api.outcome(task, 5)


if __name__ == "__main__":
    unittest.main()

"""Work continues without a network: results are kept on the disk, and delivered later, exactly once."""

import unittest

from support import FleetCase, wait_until
from test_artifacts import find_artifacts


class Offline(FleetCase):
    def setUp(self):
        super().setUp()
        script = self.fleet.dir / "make.sh"
        script.write_text(f'echo "begin $1" >>{self.fleet.notes}\nsleep "$2"\necho "$1" >out/made.txt\n'
                          'for n in 1 2 3; do if test "$3" -gt 0; then head -c "$3" /dev/urandom >out/large-$n; fi; done\n'
                          f'echo "end $1" >>{self.fleet.notes}\n')
        self.toml = ('[[command]]\nname = "make"\nargv = ["/bin/sh", "%s", "{label}", "{seconds}", "{large}"]\n'
                     'timeout_s = 100\n[command.params]\nlabel = { type = "string", pattern = "[a-z0-9-]+" }\n'
                     'seconds = { type = "number", min = 0, max = 100 }\n'
                     'large = { type = "integer", default = 0, max = 10000000 }\n' % script)
        self.fleet.start_agent("pi-1", toml=self.toml, grace=5)  # to end what it does
        self.spool = self.fleet.dir / "work-pi-1" / "spool"

    def spooled(self, kind="results"):
        return sorted(path.name for path in (self.spool / kind).glob("*") if not path.name.endswith(".new"))

    def begin(self, label, seconds, large=0, **options):
        task = self.api.submit("command.make", {"label": label, "seconds": seconds, "large": large}, **options)
        self.fleet.noted("begin " + label)
        return task

    def network_back(self):
        self.fleet.start_broker()
        self.fleet.start_coordinator()

    def assert_done_once(self, task, label):
        done = self.api.outcome(task, 60)
        self.assertEqual((done["state"], len(done["attempts"])), ("succeeded", 1), done)
        self.assertEqual(self.fleet.note_lines().count("begin " + label), 1)
        made = find_artifacts(done["output"])
        self.assertEqual(self.api.get("/api/v1/artifacts/" + made[0]).body, label.encode() + b"\n")
        wait_until(lambda: not self.spooled() and not self.spooled("artifacts"), what="the spool is empty")

    def test_reboot_without_network(self):
        """Without broker and coordinator the agent is killed: its result and file are delivered later, exactly once."""
        task = self.begin("away", 1, max_attempts=1)
        self.fleet.broker.kill()
        self.fleet.coordinator.kill()
        wait_until(lambda: self.spooled() and self.spooled("artifacts"), what="result and artifact are on the disk")
        self.fleet.agents["pi-1"].kill()
        self.network_back()
        self.fleet.restart_agent("pi-1")
        self.assert_done_once(task, "away")

    def test_network_back(self):
        """The same without a reboot: the agent delivers when the network is back, and clears its disk."""
        task = self.begin("away", 1)
        self.fleet.broker.kill()
        self.fleet.coordinator.kill()
        wait_until(lambda: self.spooled() and self.spooled("artifacts"), what="result and artifact are on the disk")
        self.network_back()
        self.assert_done_once(task, "away")

    def test_stopped_without_network(self):
        """An agent that is stopped while it is disconnected keeps its results."""
        task = self.begin("away", 0.5, max_attempts=1)
        self.fleet.coordinator.kill()
        self.fleet.noted("end away")
        self.fleet.broker.kill()
        self.fleet.agents["pi-1"].terminate()
        self.assertTrue(self.spooled())
        self.network_back()
        self.fleet.restart_agent("pi-1")
        self.assert_done_once(task, "away")

    def test_no_space_for_its_files(self):
        """An agent waits if the coordinator has no space for its files: the work is neither lost nor repeated."""
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator("--artifact-quota-mb", "1")
        self.api.placeable("pi-1")
        self.assertEqual(self.api.request("PUT", "/api/v1/artifacts", bytes(1 << 20)).status, 201)
        task = self.begin("full", 0, max_attempts=1)
        wait_until(lambda: self.spooled("artifacts"), what="the artifact is on the agent's disk")
        log = self.fleet.agents["pi-1"].log
        wait_until(lambda: "the artifacts have reached their quota" in log(), what="the agent logs the refusal")
        self.assertEqual(self.api.task(task)["state"], "running")
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator("--artifact-quota-mb", "2")
        self.assert_done_once(task, "full")

    def test_files_that_are_refused(self):
        """If files of one result are refused permanently, the task fails, and nothing of it stays on the disk."""
        self.fleet.coordinator_args = ("--max-artifact-mb", "1")
        task = self.begin("large", 1, large=(1 << 20) + 1, max_attempts=1)
        self.fleet.broker.kill()
        self.fleet.coordinator.kill()
        wait_until(lambda: self.spooled() and len(self.spooled("artifacts")) == 4, what="all is on the agent's disk")
        self.network_back()
        self.assertEqual(self.api.outcome(task, 60)["error"]["code"], "artifact_refused")
        wait_until(lambda: not self.spooled() and not self.spooled("artifacts"), what="the spool is empty")
        self.assertNotIn("in memory only", self.fleet.agents["pi-1"].log())

    def test_nothing_is_written_without_need(self):
        """While everything is delivered, nothing is written: SD cards wear."""
        batch = self.api.batch([{"capability": "command.make", "input": {"label": f"t{n}", "seconds": 0}} for n in range(10)])
        self.assertEqual(self.api.batch_ended(batch["id"])["counts"]["succeeded"], 10)
        self.fleet.agents["pi-1"].terminate()
        self.assertEqual([path for path in self.spool.rglob("*") if path.is_file()], [])

    def test_rubbish_in_the_spool(self):
        """A damaged file is set aside and reported; an incomplete one is removed; the agent works."""
        self.fleet.agents["pi-1"].terminate()
        results = self.spool / "results"
        results.mkdir(parents=True, exist_ok=True)
        for name, text in (("a.json", ""), ("b.json", "{"), ("c.json", "[]"), ("d.json", '{"capability":"x"}'),
                           ("e.json", '{"capability":"x","message":{"results":[{}]}}'), ("f.json.new", "half"),
                           ("g.json", "[" * 100_000)):
            (results / name).write_text(text)
        (self.spool / "artifacts").mkdir(exist_ok=True)
        (self.spool / "artifacts" / "copy.abcdef").write_text("half")
        self.fleet.restart_agent("pi-1")
        self.assertEqual(self.spooled(), [name + ".json.bad" for name in "abcdeg"])
        self.assertEqual(self.spooled("artifacts"), [])
        self.assertIn("a.json cannot be read", self.fleet.agents["pi-1"].log())
        self.assertEqual(self.api.outcome(self.begin("works", 0))["state"], "succeeded")


class Stopping(FleetCase):
    def test_offline_is_said_when_nothing_runs_any_more(self):
        """A task that ignores its stop is ended before `offline` is published, so it never runs twice at a time."""
        script = self.fleet.dir / "stubborn.sh"
        script.write_text(f'trap "" TERM\nfor i in $(seq 100); do echo $$ >>{self.fleet.notes}; sleep 0.05; done\n')
        toml = f'[[command]]\nname = "stubborn"\nargv = ["/bin/sh", "{script}"]\n'
        for name in ("pi-1", "pi-2"):
            self.fleet.start_agent(name, toml=toml)
        task = self.api.submit("command.stubborn")
        wait_until(lambda: len(self.fleet.note_lines()) > 3, what="it runs")
        self.fleet.agents[self.api.task(task)["attempts"][0]["agent"]].terminate()
        self.assertEqual(self.api.outcome(task, 60)["state"], "succeeded")
        lines = self.fleet.note_lines()
        runs = [pid for n, pid in enumerate(lines) if n == 0 or lines[n - 1] != pid]
        self.assertEqual(len(runs), 2, f"two processes wrote at the same time: {runs}")


if __name__ == "__main__":
    unittest.main()

"""Inputs and outputs that are too large for an MQTT message travel as files, and nobody has to know."""

import hashlib
import json
import shutil
import subprocess
import sys
import unittest

from support import SANITIZED, FleetCase, wait_until

MIB = 1 << 20
IN_A_MESSAGE = 252 * 1024  # with its quotes

# large.repeat: {"text","times","files","gate"}: the text, that many times, and files that it leaves; it ends when there
# is a file of the gate's name.
PLUGIN = r"""
import json, os, sys, time

def say(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()

say(type="hello", protocol=1, version="1", capabilities=["large.repeat"], slots=2)
for line in sys.stdin:
    task = json.loads(line)
    if task["type"] != "task":
        continue
    given = task["input"]
    while "gate" in given and not os.path.exists(given["gate"]):
        time.sleep(0.02)
    files = []
    for n in range(given.get("files", 0)):
        os.makedirs(task["scratch"] + "/out", exist_ok=True)
        with open(f"{task['scratch']}/out/{n}", "w") as out:
            out.write(f"file {n}")
        files.append({"file": f"out/{n}"})
    say(type="result", id=task["id"], attempt=task["attempt"],
        output={"text": given["text"] * given.get("times", 1), "files": files})
"""


def text_of(size):
    """A string whose JSON has `size` bytes."""
    return "x" * (size - 2)


class LargeCase(FleetCase):
    def plugin_toml(self):
        script = self.fleet.dir / "large.py"
        script.write_text(PLUGIN)
        return f'[[plugin]]\nname = "large"\nargv = ["{sys.executable}", "-u", "{script}"]\n'

    def capable(self, capability, agent=None):
        def offered():
            queue = self.api.agents().values()
            return any(capability in executor["capabilities"] and not executor.get("problem")
                       for one in queue if agent in (None, one["name"]) for executor in one["executors"])
        wait_until(offered, what=f"{capability} is offered")

    def artifacts(self):
        return sorted(path.name for path in (self.fleet.dir / "data" / "artifacts").rglob("sha256-*"))

    def spool(self, agent="pi-1"):
        return sorted(path.name for path in (self.fleet.dir / f"work-{agent}" / "spool" / "artifacts").glob("*"))


class LargeTasks(LargeCase):
    COORDINATOR = ("--max-task-mb", "2")

    def test_there_and_back(self):
        """An input of a megabyte comes back as an output; the API inlines the output, or links to it."""
        self.fleet.start_agent("pi-1", echo=2)
        value = {"text": text_of(MIB), "b": 1, "a": [1.10, 2]}
        body = json.dumps({"capability": "echo", "input": value})
        task = self.api.outcome(self.api.good("POST", "/api/v1/tasks", body)["id"])
        self.assertEqual((task["state"], task["output"]), ("succeeded", value))
        raw = json.dumps(value)
        expected = {"artifact": "sha256-" + hashlib.sha256(raw.encode()).hexdigest(), "bytes": len(raw)}
        expected["url"] = "/api/v1/artifacts/" + expected["artifact"]
        self.assertEqual((task["input_at"], task["output_at"]), (expected, expected))
        self.assertNotIn("input", task)
        self.assertEqual(self.api.get(task["output_at"]["url"]).body, raw.encode())
        linked = self.api.good("GET", f"/api/v1/tasks/{task['id']}?inline=false")
        self.assertEqual(linked["output_at"], expected)
        self.assertNotIn("output", linked)
        self.assert_problem(self.api.get(f"/api/v1/tasks/{task['id']}?inline=maybe"), 422)
        self.assertEqual(self.artifacts(), [expected["artifact"]])
        wait_until(lambda: self.spool() == [], what="the agent keeps nothing")

    def test_bounds(self):
        """252 KiB are in the message, one byte more is a file, and one byte over the bound is refused with its name."""
        self.fleet.start_agent("pi-1", echo=2)
        for size in (IN_A_MESSAGE, IN_A_MESSAGE + 1, 2 * MIB):
            task = self.api.outcome(self.api.submit("echo", text_of(size)))
            self.assertEqual((task["state"], len(task["output"])), ("succeeded", size - 2))
            self.assertEqual("input_at" in task, size > IN_A_MESSAGE)
            self.assertEqual("output_at" in task, size > IN_A_MESSAGE)
        answer = self.api.post("/api/v1/tasks", {"capability": "echo", "input": text_of(2 * MIB + 1)})
        self.assertIn(str(2 * MIB), self.assert_problem(answer, 413))
        deep = "[" * 65 + '"' + text_of(MIB) + '"' + "]" * 65
        self.assert_problem(self.api.post("/api/v1/tasks", '{"capability":"echo","input":%s}' % deep), 422)
        self.assert_works()

    def test_files_in_a_large_input(self):
        """The files that a large input names must be there, and are laid out for a plug-in like others."""
        script = self.fleet.dir / "read.py"
        script.write_text(PLUGIN.replace('given["text"] * given.get("times", 1)', 'open(given["source"]["file"]).read()'))
        self.fleet.start_agent("pi-1", toml=f'[[plugin]]\nname = "large"\nargv = ["{sys.executable}", "-u", "{script}"]\n')
        self.capable("large.repeat")
        there = self.api.request("PUT", "/api/v1/artifacts", b"what is read").body["id"]
        missing = "sha256-" + "ab" * 32
        value = {"text": text_of(MIB), "source": {"artifact": missing}}
        self.assertIn(missing, self.assert_problem(self.api.post("/api/v1/tasks",
                                                                 {"capability": "large.repeat", "input": value}), 422))
        value["source"]["artifact"] = there
        task = self.api.outcome(self.api.submit("large.repeat", value))
        self.assertEqual((task["state"], task["output"]["text"]), ("succeeded", "what is read"))

    def test_large_outputs(self):
        """An output that grows is a file, together with the files that it names; over the bound it is an error."""
        self.fleet.start_agent("pi-1", toml=self.plugin_toml())
        self.capable("large.repeat")
        task = self.api.outcome(self.api.submit("large.repeat", {"text": "ab", "times": 500_000, "files": 3}))
        self.assertEqual(task["state"], "succeeded", task.get("error"))
        self.assertEqual(task["output"]["text"], "ab" * 500_000)
        self.assertNotIn("input_at", task)
        for n, file in enumerate(task["output"]["files"]):
            self.assertEqual(self.api.get("/api/v1/artifacts/" + file["artifact"]).body, f"file {n}".encode())
        task = self.api.outcome(self.api.submit("large.repeat", {"text": "ab", "times": MIB + 1}))
        self.assertEqual((task["state"], task["error"]["code"]), ("failed", "output_too_large"))
        self.assertIn(str(2 * MIB), task["error"]["message"])
        self.assertEqual(len(task["attempts"]), 1)
        wait_until(lambda: self.spool() == [], what="the agent keeps nothing")

    def test_batch(self):
        """Large and small tasks in one batch; one that is too large refuses all, and leaves nothing."""
        self.fleet.start_agent("pi-1", echo=4)
        tasks = [{"capability": "echo", "input": str(n) * size} for n, size in enumerate((1, 400_000, 10, 700_000))]
        wrong = tasks + [{"capability": "echo", "input": text_of(2 * MIB + 1)}]
        answer = self.api.post("/api/v1/batches", {"tasks": wrong})
        self.assertEqual([error["index"] for error in answer.body["errors"]], [4])
        self.assertEqual(self.artifacts(), [])
        first = self.api.batch(tasks, idempotency_key="once")
        self.assertEqual(self.api.batch_ended(first["id"])["counts"]["succeeded"], 4)
        for task_id, task in zip(first["tasks"], tasks):
            self.assertEqual(self.api.task(task_id)["output"], task["input"])
        self.assertEqual(self.api.batch(tasks, idempotency_key="once"), first)

    def test_idempotency(self):
        """A repeated large task is the same task; with another input it is a conflict."""
        self.fleet.start_agent("pi-1", echo=4)
        one = self.api.submit("echo", text_of(MIB), idempotency_key="k")
        self.assertEqual(self.api.submit("echo", text_of(MIB), idempotency_key="k"), one)
        other = {"capability": "echo", "input": text_of(MIB + 1), "idempotency_key": "k"}
        self.assert_problem(self.api.post("/api/v1/tasks", other), 409)

    def test_an_agent_that_cannot(self):
        """A large task waits for an agent that takes its size, and says so; small ones go on."""
        self.fleet.start_agent("pi-0", "--max-task-mb", "0", echo=2)
        self.fleet.start_agent("pi-1", "--max-task-mb", "1", echo=2)
        task = self.api.submit("echo", text_of(MIB + 100))
        waiting = self.api.task(task)
        self.assertEqual(waiting["state"], "queued")
        self.assertIn("max_task_mb>=2", waiting["waiting"])
        self.assertIn("the largest max_task_mb there is: 1 (pi-1)", waiting["waiting"])
        self.assertEqual(self.api.outcome(self.api.submit("echo", "small"))["state"], "succeeded")
        self.assertEqual(self.api.outcome(self.api.submit("echo", text_of(MIB)))["attempts"][-1]["agent"], "pi-1")
        self.fleet.start_agent("pi-2", echo=2)
        done = self.api.outcome(task)
        self.assertEqual((done["state"], done["attempts"][-1]["agent"]), ("succeeded", "pi-2"))
        answer = self.api.post("/api/v1/tasks", {"capability": "echo", "where": {"max_task_mb": ">=1"}})
        self.assertIn("follows from the size", self.assert_problem(answer, 422))

    def test_over_mqtt(self):
        """Over MQTT, an input has to fit into the message; a large output is answered with its link."""
        self.fleet.start_agent("pi-1", toml=self.plugin_toml())
        self.capable("large.repeat")
        topics = "edgefleet/v1/home"
        done = subprocess.run(
            ["mosquitto_rr", "-h", "127.0.0.1", "-p", str(self.fleet.broker_port), "-V", "5", "-t", f"{topics}/submit/me",
             "-e", f"{topics}/replies/me/1", "-W", "30", "-m",
             '{"capability":"large.repeat","input":{"text":"abc","times":200000}}'],
            capture_output=True, timeout=40, check=True)
        outcome = json.loads(done.stdout)
        self.assertEqual(outcome["state"], "succeeded", outcome)
        self.assertNotIn("output", outcome)
        self.assertEqual(json.loads(self.api.get(outcome["output_at"]["url"]).body)["text"], "abc" * 200_000)

    def test_accepted_is_kept(self):
        """A large task that was accepted survives the coordinator's kill, with its input."""
        task = self.api.submit("echo", text_of(MIB))
        self.fleet.coordinator.kill()
        self.fleet.start_coordinator()
        self.fleet.start_agent("pi-1", echo=1)
        done = self.api.outcome(task)
        self.assertEqual((done["state"], len(done["output"])), ("succeeded", MIB - 2))

    def test_command_line(self):
        """The command line neither refuses a large input nor loses a large output."""
        self.fleet.start_agent("pi-1", echo=1)
        value = json.dumps(text_of(MIB))
        (self.fleet.dir / "input.json").write_text(value)
        done = self.fleet.cli("submit", "echo", "@input.json", "--wait")
        self.assertEqual((done.returncode, done.stdout), (0, value + "\n"), done.stderr)
        (self.fleet.dir / "input.json").write_text(json.dumps(text_of(3 * MIB)))
        done = self.fleet.cli("submit", "echo", "@input.json", "--wait")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("the body is larger than", done.stderr)

    def test_wrong_address(self):
        """An agent that cannot reach the coordinator's HTTP API takes no large task, and others do."""
        self.fleet.start_agent("pi-1", echo=2, coordinator="http://127.0.0.1:1")
        wait_until(lambda: "go to other agents" in self.fleet.agents["pi-1"].log(), what="the agent has noticed")
        task = self.api.submit("echo", text_of(MIB))
        wait_until(lambda: "max_task_mb" in self.api.task(task).get("waiting", ""), what="the reason is told")
        self.fleet.start_agent("pi-2", echo=1)
        self.assertEqual(self.api.outcome(task)["attempts"][-1]["agent"], "pi-2")


class LargeOffline(LargeCase):
    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", toml=self.plugin_toml(), grace=5)
        self.capable("large.repeat")
        self.value = {"text": "ab", "times": 500_000, "files": 1}

    def begin(self):
        """A task that runs, and ends when `self.gate` is there."""
        self.gate = self.fleet.dir / "gate"
        task = self.api.submit("large.repeat", {**self.value, "gate": str(self.gate)}, max_attempts=1)
        self.api.state_becomes(task, "running")
        return task

    def upload_and_remove(self):
        """The task ends and uploads both files; its result stays at the agent, and the coordinator's files are removed."""
        self.fleet.broker.kill()
        self.gate.touch()
        wait_until(lambda: sum(name.endswith(".uploaded") for name in self.spool()) == 2, what="both files are uploaded")
        self.assertEqual(len(self.artifacts()), 2)
        self.fleet.coordinator.kill()
        shutil.rmtree(self.fleet.dir / "data" / "artifacts")

    def assert_delivered(self, task):
        done = self.api.outcome(task, 60)
        self.assertEqual((done["state"], done["output"]["text"]), ("succeeded", "ab" * 500_000), done.get("error"))
        self.assertEqual(self.api.get("/api/v1/artifacts/" + done["output"]["files"][0]["artifact"]).body, b"file 0")
        wait_until(lambda: self.spool() == [], what="the agent keeps nothing")

    def test_uploaded_later(self):
        """Without a coordinator the output waits on the agent's disk, also through its kill, and is delivered."""
        task = self.begin()
        self.fleet.broker.kill()
        self.fleet.coordinator.kill()
        self.gate.touch()
        results = self.fleet.dir / "work-pi-1" / "spool" / "results"
        wait_until(lambda: len(self.spool()) == 2 and len(list(results.glob("*.json"))) == 1, what="all is on the disk")
        self.fleet.agents["pi-1"].kill()
        self.fleet.start_broker()
        self.fleet.start_coordinator()
        self.fleet.restart_agent("pi-1")
        self.assert_delivered(task)

    def test_files_that_were_removed_meanwhile(self):
        """Files that the coordinator has removed before their result came are asked for, and uploaded again."""
        task = self.begin()
        self.upload_and_remove()
        self.fleet.start_broker()
        self.fleet.start_coordinator()
        self.assert_delivered(task)

    def test_an_output_that_nobody_has(self):
        """An output that neither the coordinator nor its agent has is a failure, and not a success without a text."""
        task = self.begin()
        self.upload_and_remove()
        for path in (self.fleet.dir / "work-pi-1" / "spool" / "artifacts").glob("*"):
            path.unlink()
        self.fleet.start_broker()
        self.fleet.start_coordinator()
        done = self.api.outcome(task, 60)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "output_missing"), done)


@unittest.skipIf(SANITIZED, "memory is not measured under a sanitizer")
class Memory(LargeCase):
    COORDINATOR = ("--max-task-mb", "64")

    def cost_of(self, what):
        """The peaks of memory of agent and coordinator while `what` is done, over what they had before, in bytes."""
        processes = (self.agent, self.fleet.coordinator)
        before = [process.resident_bytes() for process in processes]
        for process in processes:
            with open(f"/proc/{process.pid}/clear_refs", "w", encoding="ascii") as control:
                control.write("5")  # the peak begins anew
        what()
        return [self.peak(process) - at_first for process, at_first in zip(processes, before)]

    @staticmethod
    def peak(process):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines["VmHWM"].split()[0]) * 1024

    def test_three_times_the_size(self):
        """Each step of a task of 60 MB costs the coordinator and the agent at most three times its size."""
        self.agent = self.fleet.start_agent("pi-1", "--max-task-mb", "64", echo=1)
        self.api.outcome(self.api.submit("echo", text_of(IN_A_MESSAGE)))
        size = 60_000_000
        body = json.dumps({"capability": "echo", "input": text_of(size)})
        accepted = {}

        def run():
            accepted.update(self.api.good("POST", "/api/v1/tasks", body))
            while self.api.good("GET", f"/api/v1/tasks/{accepted['id']}?inline=false&wait=30")["state"] != "succeeded":
                pass

        steps = {"run": run, "read": lambda: self.assertEqual(len(self.api.task(accepted["id"])["output"]), size - 2)}
        for name, step in steps.items():
            for process, bytes_more in zip(("agent", "coordinator"), self.cost_of(step)):
                print(f"{name}: the {process} needs {bytes_more / size:.2f} times the size", file=sys.stderr)
                self.assertLessEqual(bytes_more / size, 3.1, (name, process))


if __name__ == "__main__":
    unittest.main()

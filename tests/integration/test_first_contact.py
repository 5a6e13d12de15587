"""First contact: an address that is wrong, a name that is taken, a word that is misspelled. Each is told at once, with
what to do."""

import concurrent.futures
import http.server
import json
import os
import re
import shlex
import subprocess
import threading
import unittest

from support import BIN, FleetCase, clean_environment, free_port, wait_until

PICTURE_TOML = """[[command]]
name = "size"
argv = ["/usr/bin/wc", "-c", "{picture}"]
[command.params]
picture = { type = "artifact" }

[[command]]
name = "date"
argv = ["/bin/date"]
"""


class Healthy(http.server.BaseHTTPRequestHandler):
    """What an agent asks to find out whether a coordinator is there."""

    def do_GET(self):
        body = b'{"status":"ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Addresses(FleetCase):
    def executor(self, name):
        return next(e for e in self.api.get("/api/v1/agents/pi-1").body["executors"] if e["name"] == name)

    def picture(self):
        path = self.fleet.dir / "picture"
        path.write_bytes(b"picture")
        return path

    def test_an_agent_that_cannot_reach_the_coordinators_http_does_no_tasks_with_files_and_says_why(self):
        port = free_port()
        agent = self.fleet.start_agent("pi-1", toml=PICTURE_TOML, coordinator=f"http://127.0.0.1:{port}")
        problem = wait_until(lambda: self.executor("command-size").get("problem"), what="the executor is out of service")
        self.assertRegex(problem, rf"cannot reach the coordinator's HTTP API at http://127.0.0.1:{port}: .*refused.*--coordinator")
        self.assertNotIn("problem", self.executor("command-date"))
        picture = self.fleet.cli("put", self.picture()).stdout.strip()
        task = self.api.submit("command.size", {"picture": {"artifact": picture}})
        for shown in (self.fleet.cli("agents"), self.fleet.cli("queue"), self.fleet.cli("task", task)):
            self.assertIn(problem, shown.stdout)
        self.assertEqual(self.api.outcome(self.api.submit("command.date", {}))["state"], "succeeded")
        self.assertEqual(agent.log().count("cannot reach the coordinator's HTTP API"), 1, agent.log())

        with http.server.ThreadingHTTPServer(("127.0.0.1", port), Healthy) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                wait_until(lambda: "problem" not in self.executor("command-size"), timeout=40, what="it is in service")
            finally:
                server.shutdown()

    def test_a_broker_that_is_not_there_is_told_once_and_the_log_begins_and_ends_with_what_the_agent_is(self):
        port = free_port()
        command = self.fleet.agent_command("pi-1", echo=1)
        command[command.index("--broker") + 1] = f"mqtt://127.0.0.1:{port}"
        agent = self.fleet.start("pi-1", command)
        wait_until(lambda: "refused" in agent.log(), what="the agent says what happened")
        attempts = len(re.findall("refused", agent.log()))
        self.assertEqual(attempts, 1)
        self.assertRegex(agent.log().splitlines()[0],
                         rf"edgefleet-agent \S+: agent pi-1 of fleet home, broker mqtt://127.0.0.1:{port}, coordinator http")
        agent.terminate()
        self.assertIn("stopping: no task runs", agent.log())
        self.assertNotIn("running task", agent.log())


    def test_an_address_to_listen_on_that_cannot_work_is_refused_with_what_to_do(self):
        for address, said in (("7001", "write 127.0.0.1:7001"), ("127.0.0.1:99999", "write 127.0.0.1:7001"),
                              ("0.0.0.0:7001", "edgefleet-coordinator setup"), ("192.0.2.1:7001", "edgefleet-coordinator setup"),
                              (f"127.0.0.1:{self.fleet.http_port}", "another program listens there")):
            command = [BIN / "edgefleet-coordinator", "--broker", self.fleet.broker_url, "--data", self.fleet.dir / "other",
                       "--listen", address]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment(), check=False)
            self.assertIn(said, done.stderr.splitlines()[-1])
            self.assertNotEqual(done.returncode, 0)
        self.assertRegex(self.fleet.coordinator.log(), "for this machine only; other machines need `edgefleet-coordinator setup`")


class Names(FleetCase):
    def start_nameless(self, work):
        command = self.fleet.agent_command("x", echo=1)
        del command[command.index("--name"):command.index("--name") + 2]
        command[command.index("--work") + 1] = self.fleet.dir / work
        return self.fleet.start(work, command)

    def names(self):
        return sorted(a["name"] for a in self.api.get("/api/v1/agents").body["agents"] if a["placeable"])

    def test_a_default_name_that_another_one_has_gets_a_suffix_that_stays(self):
        self.start_nameless("first")
        first = wait_until(lambda: self.names() or None, what="the first agent is there")[0]
        second = self.start_nameless("second")
        wait_until(lambda: len(self.names()) == 2, what="the second agent is there")
        other = next(name for name in self.names() if name != first)
        self.assertRegex(other, rf"^{re.escape(first)}-[0-9a-f]{{4}}$")
        self.assertIn(f"this agent is {other}; --name gives it another one", second.log())
        second.terminate()
        again = self.start_nameless("second")
        wait_until(lambda: self.names() == [first, other] and f"as agent {other}" in again.log(), what="it has its name again")
        self.assertNotIn("another agent", again.log())
        self.assertIn(f"this agent is {other}, as in its earlier runs", again.log())


class CommandLine(FleetCase):
    def run_cli(self, *args, code=0, **options):
        done = self.fleet.cli(*args, **options)
        self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
        return done

    def test_a_misspelled_word_gets_the_nearest_one(self):
        self.fleet.start_agent("pi-1", echo=1)
        for args, near, code in (
                (("agnets",), "did you mean agents?", 2), (("help", "agnets"), "did you mean agents?", 2),
                (("submit", "echo", "1", "--prioirty", "3"), "did you mean --priority?", 2),
                (("tasks", "--state", "runing"), "did you mean running?", 2),
                (("agents", "forgt"), "did you mean forget?", 2),
                (("agent", "pi-2"), "did you mean pi-1?", 3), (("drain", "pi-11"), "did you mean pi-1?", 3),
                (("capabilities", "ecko"), "did you mean echo?", 3)):
            self.assertIn(near, self.run_cli(*args, code=code).stderr, args)
        submitted = self.run_cli("submit", "echo2", "1")
        self.assertIn("no connected agent offers echo2; did you mean echo? Offered are: echo", submitted.stderr)

    def test_what_needs_a_setup_says_so_before_it(self):
        self.fleet.start_agent("pi-1", echo=1)
        for args in (("access", "create", "phone", "--role", "chat"), ("access", "list"), ("access", "revoke", "phone"),
                     ("join-token", "create"), ("join-token", "list"), ("agents", "waiting"), ("agents", "accept", "ABCD"),
                     ("agents", "revoke", "pi-1"), ("agents", "unknown"), ("audit",)):
            said = self.run_cli(*args, code=3).stderr
            self.assertIn("`edgefleet-coordinator setup`", said, args)
            self.assertNotIn("did you mean", said, args)
        for path in ("/api/v1/access", "/api/v1/ca"):
            answer = self.api.request("GET", path)
            self.assertEqual(answer.status, 404, path)
            self.assertIn("`edgefleet-coordinator setup`", answer.body["detail"], path)

    def test_help_and_status_and_capabilities(self):
        self.assertEqual(self.run_cli("help", "submit").stdout, self.run_cli("submit", "--help").stdout)
        self.assertEqual(self.run_cli("help").stdout, self.run_cli("--help").stdout)
        for state in ("scheduled", "cancelling", "expired"):
            self.assertIn(state, self.run_cli("help", "tasks").stdout)
        self.assertIn("no agent has announced itself yet; start one: edgefleet-agent", self.run_cli("status").stdout)
        self.fleet.start_agent("pi-1", echo=3)
        self.assertRegex(self.run_cli("capabilities").stdout, r"(?m)^echo +1 +3 +3$")
        echo = json.loads(self.run_cli("capabilities", "--json").stdout)["capabilities"][0]
        self.assertEqual([echo[key] for key in ("name", "agents", "online", "slots", "free")], ["echo", 1, 1, 3, 3])
        status = self.run_cli("status").stdout
        self.assertRegex(status, r"(?m)^coordinator  http://127\.0\.0\.1:\d+  works$")
        self.assertRegex(status, r"(?m)^agents +1 online$")
        self.fleet.broker.kill()
        wait_until(lambda: self.fleet.cli("status").returncode == 3, what="the status has the missing broker")

    def test_an_agent_that_is_gone_is_listed_apart_counts_nowhere_and_can_be_forgotten(self):
        self.fleet.start_agent("pi-10", echo=1)
        self.fleet.start_agent("pi-9", echo=1)
        self.assertIn("agent pi-9 is online", self.run_cli("agents", "forget", "pi-9", code=3).stderr)
        self.run_cli("drain", "pi-10")
        self.fleet.agents["pi-10"].terminate()
        self.api.agent_becomes("pi-10", "offline")
        listed = self.run_cli("agents").stdout
        self.assertRegex(listed, r"(?s)^NAME.*\npi-9 .*\n\nGONE .*\npi-10 +offline")
        self.assertEqual(json.loads(self.run_cli("capabilities", "--json").stdout)["capabilities"][0]["online"], 1)
        self.assertEqual(self.run_cli("agents", "forget", "pi-10").stdout, "pi-10  forgotten\n")
        self.assertNotIn("pi-10", self.run_cli("agents").stdout)
        self.assertEqual([m for m in self.fleet.observe("agents/pi-10/#").all() if m.payload], [])
        self.fleet.coordinator.terminate()
        self.fleet.start_coordinator()  # it is not remembered as drained either
        self.api.placeable("pi-9")
        self.assertEqual([a["name"] for a in self.api.get("/api/v1/agents").body["agents"]], ["pi-9"])
        self.fleet.restart_agent("pi-10")
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1, where={"agent": "pi-10"}))["state"], "succeeded")

    def test_the_answers_to_drain_and_resume_have_the_new_state(self):
        self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml())
        task = self.api.submit("command.sleep", {"seconds": 30})
        self.api.state_becomes(task, "running")
        self.assertEqual(self.run_cli("drain", "pi-1").stdout, "pi-1  draining; 1 task that it has goes on\n")
        self.assertEqual(self.run_cli("resume", "pi-1").stdout, "pi-1  online\n")

    def test_files_are_not_replaced_without_being_asked_and_several_go_to_a_folder(self):
        contents = {"a.txt": "first", "b.txt": "second"}
        for name, content in contents.items():
            (self.fleet.dir / name).write_text(content)
        put = self.run_cli("put", *contents)
        ids = put.stdout.split()
        self.assertIn("kept for 60 min, and as long as a task names it", put.stderr)
        folder = self.fleet.dir / "out"
        folder.mkdir()
        self.run_cli("get", *ids, "-o", folder)
        self.assertEqual([(folder / i).read_text() for i in ids], list(contents.values()))
        self.assertIn("exists; --force replaces it", self.run_cli("get", ids[0], "-o", "b.txt", code=2).stderr)
        self.assertEqual((self.fleet.dir / "b.txt").read_text(), "second")
        self.run_cli("get", ids[0], "-o", "b.txt", "--force")
        self.assertEqual((self.fleet.dir / "b.txt").read_text(), "first")
        self.assertIn("not a folder", self.run_cli("get", *ids, "-o", "none", code=2).stderr)
        self.assertEqual(self.run_cli("get", *ids, "-o", "-").stdout, "firstsecond")

    def test_the_errors_of_a_batch_are_grouped(self):
        self.fleet.start_agent("pi-1", toml='[[command]]\nname = "fail"\nargv = ["/bin/false"]\n')
        wrong = self.fleet.cli("batch", "-", stdin="{\n" * 3 + '{"capability":"echo"}\n' + "{\n")
        self.assertEqual(wrong.returncode, 2)
        self.assertRegex(wrong.stderr, r"(?m)^lines 1-3, 5 \(4 lines\): ")
        task = '{"capability":"command.fail","input":{},"max_attempts":1}\n'
        failed = self.fleet.cli("batch", "-", stdin=task * 5)
        self.assertEqual(failed.returncode, 1)
        self.assertRegex(failed.stderr, r"(?m)^  5 x exit_status: ")

    def test_the_examples_of_every_help_are_valid(self):
        """Each is run by a shell; whatever a fleet without these tasks and models answers, it is not wrong usage."""
        self.fleet.start_agent("pi-1", echo=1)
        for name in ("tasks.jsonl", "inputs.jsonl"):
            (self.fleet.dir / name).write_text('{"capability":"echo"}\n')
        for name in ("picture.json", "a.jpg", "b.jpg"):
            (self.fleet.dir / name).write_text('{"a":1}')
        (self.fleet.dir / "pictures").mkdir()
        commands = re.findall(r"(?m)^  ([a-z]+)  +", self.run_cli("--help").stdout)
        self.assertIn("submit", commands)
        models = [("models", verb) for verb in ("pull", "remove", "load")]
        examples = []
        for words in [(), ("agents", "forget"), ("agents", "reload"), *models, *((name,) for name in commands)]:
            text = self.run_cli(*words, "--help").stdout
            examples += re.findall(r"(?m)^  (\S.*edgefleet .*|edgefleet .*)$", text.partition("Examples:")[2])
        self.assertGreater(len(examples), 30)
        environment = {**clean_environment(), "PATH": f"{BIN}:{os.environ['PATH']}",
                       "EDGEFLEET_URL": f"http://127.0.0.1:{self.fleet.http_port}"}

        def run(example):
            # A command that waits has been understood. The exit code of the last edgefleet of a pipe counts.
            line = "set -o pipefail; " + example
            return example, subprocess.run(
                ["timeout", "--signal=TERM", "4", "bash", "-c", line], cwd=self.fleet.dir, env=environment,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for example, done in pool.map(run, sorted(set(examples))):
                told = [line for line in done.stderr.splitlines() if re.search("[;?] [Ss]ee edgefleet", line)]
                self.assertEqual(told, [], f"{shlex.quote(example)} {done}")


if __name__ == "__main__":
    unittest.main()

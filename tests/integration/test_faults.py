"""Faults: processes are killed, stopped, started twice or wrongly, and accepted tasks are kept all the same."""

import collections
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

from support import BIN, Api, FleetCase, clean_environment, open_terminal, processes_with, wait_until


class AgentKilled(FleetCase):
    def test_young_task_moves(self):
        """The running task of a killed agent starts on another agent within three seconds."""
        for n in (1, 2):
            self.fleet.start_agent(f"pi-{n}", toml=self.fleet.note_toml(1))
        task = self.api.submit("command.note", {"label": "young", "seconds": 3})
        wait_until(lambda: "begin young" in self.fleet.note_lines(), what="the command runs")
        first = self.api.task(task)["attempts"][0]["agent"]
        began = time.monotonic()
        self.fleet.agents[first].kill()
        wait_until(lambda: self.fleet.note_lines().count("begin young") == 2, 10, "the command runs again")
        took = time.monotonic() - began
        self.assertLess(took, 3)
        done = self.api.outcome(task)
        self.assertEqual([(a["agent"] == first, a["state"]) for a in done["attempts"]], [(True, "lost"), (False, "succeeded")])
        self.assertEqual(done["attempts"][0]["error"]["code"], "agent_lost")
        self.assertNotIn("end young", self.fleet.note_lines()[:2], "the killed agent's command went on")
        self.assertEqual(self.fleet.note_lines().count("end young"), 1)

    def test_half_of_a_batch(self):
        """An agent killed during a batch loses only the time of its running tasks."""
        for n in (1, 2, 3):
            self.fleet.start_agent(f"pi-{n}", toml=self.fleet.note_toml(2))
        batch = self.api.batch([{"capability": "command.note", "input": {"label": f"t{n}", "seconds": 0.4}}
                                for n in range(24)])
        wait_until(lambda: sum(line.startswith("end") for line in self.fleet.note_lines()) >= 4, what="some are done")
        self.fleet.agents["pi-2"].kill()
        ended = self.api.batch_ended(batch["id"], 40)
        self.assertEqual(ended["counts"]["succeeded"], 24, ended)
        runs = collections.Counter(line for line in self.fleet.note_lines() if line.startswith("begin"))
        moved = [task for task in self.api.batch_tasks(batch["id"]) if len(task["attempts"]) > 1]
        self.assertLessEqual(len(moved), 4, "more than ran or waited there was moved")
        self.assertLessEqual(sum(runs.values()), 24 + len(moved))

    def test_at_most_once(self):
        """A task with one attempt whose agent is lost is not run again; its outcome is unknown."""
        for n in (1, 2):
            self.fleet.start_agent(f"pi-{n}", toml=self.fleet.note_toml(1))
        task = self.api.submit("command.note", {"label": "once", "seconds": 5}, max_attempts=1)
        wait_until(lambda: "begin once" in self.fleet.note_lines(), what="the command runs")
        self.fleet.agents[self.api.task(task)["attempts"][0]["agent"]].kill()
        done = self.api.outcome(task)
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "outcome_unknown"))
        self.assertEqual(self.fleet.note_lines().count("begin once"), 1)

    def test_restarted_at_once(self):
        """An agent that is killed and started again at once gets its task again, without waiting for the grace."""
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(1))
        task = self.api.submit("command.note", {"label": "again", "seconds": 1})
        wait_until(lambda: "begin again" in self.fleet.note_lines(), what="the command runs")
        self.fleet.agents["pi-1"].kill()
        began = time.monotonic()
        self.fleet.restart_agent("pi-1")
        wait_until(lambda: self.fleet.note_lines().count("begin again") == 2, 3, "the command runs again")
        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual(self.api.outcome(task)["state"], "succeeded")

    def test_children_die_with_it(self):
        """No command outlives an agent that was killed."""
        marker = "64123.75"
        agent = self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml(1))
        self.api.submit("command.sleep", {"seconds": float(marker)})
        wait_until(lambda: processes_with(marker), what="the command runs")
        agent.kill()
        wait_until(lambda: not processes_with(marker), 5, "the command is gone")

    def test_runaways_die_with_it(self):
        """No process that has left a command's process group outlives its agent, killed or stopped."""
        for number in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(number):
                marker = f"64123.{int(number)}"
                toml = ('[[command]]\nname = "away"\n'
                        f'argv = ["/bin/sh", "-c", "setsid env -i /bin/sleep {marker} & /bin/sleep {marker}; :"]\n')
                agent = self.fleet.start_agent("pi-1", toml=toml)
                self.api.submit("command.away", max_attempts=1)
                wait_until(lambda m=marker: len(processes_with(m)) == 2, what="both run")
                agent.signal(number)
                self.assertEqual(agent.wait(), 0 if number == signal.SIGTERM else -signal.SIGKILL)
                wait_until(lambda m=marker: not processes_with(m), 5, "both are gone")

    def test_terminal_closed(self):
        """SIGHUP ends an agent and a coordinator that have a terminal, in order, unless they were started under nohup."""
        for end in open_terminal():
            os.close(end)
        agent = self.fleet.start("pi-1", with_terminal(self.fleet.agent_command("pi-1", echo=1)))
        stays = self.fleet.start("pi-2", ["nohup", *with_terminal(self.fleet.agent_command("pi-2", echo=1))])
        for name in ("pi-1", "pi-2"):
            self.api.placeable(name)
        observer = self.fleet.observe("agents/+/status")
        for process in (stays, agent):
            process.signal(signal.SIGHUP)
        self.assertEqual(agent.wait(), 0)
        observer.wait_for(lambda m: m.topic == "agents/pi-1/status" and m.payload["state"] == "offline")
        self.assertTrue(stays.alive())

    def test_reload(self):
        """A service, which has no terminal, reads its keys again on SIGHUP and continues."""
        agent = self.fleet.start("pi-1", ["setsid", *self.fleet.agent_command("pi-1", echo=1)])
        self.api.placeable("pi-1")
        agent.signal(signal.SIGHUP)
        wait_until(lambda: "looked up again" in agent.log(), what="the agent has handled the signal")
        self.assertEqual(self.api.outcome(self.api.submit("echo", 7))["output"], 7)
        self.assertTrue(agent.alive())

    def test_short_stop(self):
        """An agent that sleeps for five seconds keeps its task: it is run once and not moved."""
        for n in (1, 2):
            self.fleet.start_agent(f"pi-{n}", toml=self.fleet.note_toml(1))
        task = self.api.submit("command.note", {"label": "kept", "seconds": 2})
        wait_until(lambda: "begin kept" in self.fleet.note_lines(), what="the command runs")
        agent = self.fleet.agents[self.api.task(task)["attempts"][0]["agent"]]
        agent.signal(signal.SIGSTOP)
        until = time.monotonic() + 5
        wait_until(lambda: time.monotonic() > until, 10)
        agent.signal(signal.SIGCONT)
        done = self.api.outcome(task)
        self.assertEqual((done["state"], len(done["attempts"])), ("succeeded", 1))
        self.assertEqual(self.fleet.note_lines(), ["begin kept", "end kept"])


def with_terminal(command):
    """The command with a controlling terminal of its own, which it holds open itself."""
    code = ("import fcntl, os, sys, termios\n"
            "os.setsid()\n"
            "terminal, end = os.openpty()\n"
            "os.set_inheritable(terminal, True)\n"
            "fcntl.ioctl(end, termios.TIOCSCTTY, 0)\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n")
    return [sys.executable, "-c", code, *command]


class AgentSilent(FleetCase):
    def test_silence(self):
        """An agent that falls silent is lost within three heartbeats, and its task runs elsewhere."""
        for n in (1, 2):
            self.fleet.start_agent(f"pi-{n}", toml=self.fleet.note_toml(1))
        task = self.api.submit("command.note", {"label": "silent", "seconds": 1})
        wait_until(lambda: "begin silent" in self.fleet.note_lines(), what="the command runs")
        first = self.api.task(task)["attempts"][0]["agent"]
        self.fleet.agents[first].signal(signal.SIGSTOP)
        began = time.monotonic()
        self.api.agent_becomes(first, "lost", 35)
        self.assertLess(time.monotonic() - began, 32)
        done = self.api.outcome(task)
        self.assertEqual([a["state"] for a in done["attempts"]], ["lost", "succeeded"])
        self.fleet.agents[first].signal(signal.SIGCONT)  # it returns with its own result, which changes nothing
        self.api.agent_becomes(first, "online", 30)
        self.assertEqual(self.api.task(task), done)
        self.assertEqual(self.api.outcome(self.api.submit("command.note", {"label": "x", "seconds": 0},
                                                          where={"agent": first}))["state"], "succeeded")


class CoordinatorRestart(FleetCase):
    def fill(self):
        """Running, queued, scheduled and done tasks on two agents."""
        for n in (1, 2):
            self.fleet.start_agent(f"pi-{n}", toml=self.fleet.note_toml(1), echo=1)
        done = self.api.submit("echo", "done before")
        self.api.outcome(done)
        batch = self.api.batch([{"capability": "command.note", "input": {"label": f"t{n}", "seconds": 0.7}}
                                for n in range(10)])
        self.later = self.api.submit("command.note", {"label": "later", "seconds": 0}, delay_ms=4000)
        wait_until(lambda: self.lines("end") >= 2 and self.lines("begin") >= 4, what="some are done, some run")
        return done, batch

    def lines(self, word):
        return sum(line.startswith(word) for line in self.fleet.note_lines())

    def check(self, done, batch):
        ended = self.api.batch_ended(batch["id"], 40)
        self.assertEqual(ended["counts"]["succeeded"], 10, ended)
        self.assertEqual(self.api.outcome(self.later)["state"], "succeeded")
        self.assertEqual(self.api.task(done)["output"], "done before")
        runs = collections.Counter(line for line in self.fleet.note_lines() if line.startswith("begin"))
        self.assertEqual(runs, collections.Counter([*(f"begin t{n}" for n in range(10)), "begin later"]),
                         "some were run twice, or not at all")
        for task in self.api.batch_tasks(batch["id"]):
            self.assertEqual([a["state"] for a in task["attempts"]], ["succeeded"], task)

    def test_killed(self):
        """A coordinator killed with tasks queued and running resumes: each ends with one outcome, none is run twice."""
        done, batch = self.fill()
        self.fleet.coordinator.kill()
        wait_until(lambda: self.lines("end") >= 4, what="agents continued alone")
        self.fleet.start_coordinator()
        self.check(done, batch)

    def test_stopped(self):
        """A coordinator stopped by SIGTERM ends soon and cleanly, and resumes where it was."""
        done, batch = self.fill()
        began = time.monotonic()
        self.assertEqual(self.fleet.coordinator.terminate(), 0)
        self.assertLess(time.monotonic() - began, 5)
        self.fleet.start_coordinator()
        self.check(done, batch)

    def test_killed_again_and_again(self):
        """Three kills in a row while instant tasks are submitted: each accepted task ends with exactly one outcome."""
        self.fleet.start_agent("pi-1", echo=4)
        accepted = {}
        for life in range(3):
            for n in range(40):
                value = f"{life}-{n}"
                accepted[self.api.submit("echo", value, idempotency_key=value)] = value
            self.fleet.coordinator.kill()
            self.fleet.start_coordinator()
        for task_id, value in accepted.items():
            task = self.api.outcome(task_id)
            self.assertEqual((task["state"], task["output"]), ("succeeded", value))
        again = self.api.submit("echo", "0-7", idempotency_key="0-7")
        self.assertEqual(accepted[again], "0-7")

    def test_long_poll_during_a_stop(self):
        """A long poll does not hold up the stop of a coordinator."""
        task = self.api.submit("nobody.offers")
        with socket.create_connection(("127.0.0.1", self.fleet.http_port)) as waiting:
            waiting.sendall(f"GET /api/v1/tasks/{task}?wait=50 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            until = time.monotonic() + 0.3
            wait_until(lambda: time.monotonic() > until)
            began = time.monotonic()
            self.fleet.coordinator.terminate(10)
            self.assertLess(time.monotonic() - began, 6)

    def test_cancel_survives(self):
        """A cancel in progress when the coordinator was killed is carried out by the next one."""
        agent = self.fleet.start_agent("pi-1", toml=self.fleet.sleep_toml(1))
        task = self.api.submit("command.sleep", {"seconds": 60})
        self.api.state_becomes(task, "running")
        agent.signal(signal.SIGSTOP)
        self.assertEqual(self.api.good("POST", f"/api/v1/tasks/{task}/cancel")["state"], "cancelling")
        self.fleet.coordinator.kill()
        agent.signal(signal.SIGCONT)
        self.fleet.start_coordinator()
        self.assertEqual(self.api.outcome(task)["state"], "cancelled")

    def test_expiry_and_delay_survive(self):
        """Remaining times continue after a restart."""
        expires = self.api.submit("nobody.offers", expires_after_ms=2500)
        self.fleet.coordinator.kill()
        self.fleet.start_coordinator()
        self.assertEqual(self.api.task(expires)["state"], "queued")
        self.assertEqual(self.api.outcome(expires, 10)["state"], "expired")


class FullQueue(FleetCase):
    COORDINATOR = ("--max-tasks", "10")

    def test_full(self):
        """A full queue answers 429 with Retry-After, over HTTP and for batches as a whole, and loses nothing."""
        ids = [self.api.submit("echo", n) for n in range(8)]
        for tasks in ([{"capability": "echo"}] * 3,):
            answer = self.api.post("/api/v1/batches", {"tasks": tasks})
            self.assert_problem(answer, 429)
            self.assertRegex(answer.headers["Retry-After"], r"^\d+$")
        ids += [self.api.submit("echo", n) for n in (8, 9)]
        answer = self.api.post("/api/v1/tasks", {"capability": "echo"})
        self.assertIn("10", self.assert_problem(answer, 429))
        self.assertRegex(answer.headers["Retry-After"], r"^\d+$")
        self.assertEqual(len(self.api.good("GET", "/api/v1/tasks")["tasks"]), 10)
        self.fleet.start_agent("pi-1", echo=2)
        self.assertEqual([self.api.outcome(task_id)["output"] for task_id in ids], list(range(10)))
        self.assert_works()

    def test_full_for_a_retry(self):
        """A manual retry is also refused while the queue is full."""
        cancelled = self.api.submit("echo")
        self.api.good("POST", f"/api/v1/tasks/{cancelled}/cancel")
        for n in range(10):
            self.api.submit("echo", n)
        self.assert_problem(self.api.post(f"/api/v1/tasks/{cancelled}/retry"), 429)
        self.assertEqual(self.api.task(cancelled)["state"], "cancelled")


class StartedBadly(FleetCase):
    """Programs that cannot start report the reason in one sentence and exit with a non-zero code."""

    def refused(self, command, *parts, timeout=5, code=None):
        try:
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL, env=clean_environment(), cwd=self.fleet.dir, check=False)
        except subprocess.TimeoutExpired as running:
            self.fail(f"it was accepted, and runs: {(running.stderr or b'').decode(errors='replace')}")
        text = done.stderr
        self.assertNotEqual(done.returncode, 0, text)
        self.assertGreater(done.returncode, 0, f"ended by a signal: {text}")
        if code is not None:
            self.assertEqual(done.returncode, code, text)
        said = [line for line in text.splitlines() if line.startswith("edgefleet")]
        self.assertEqual(len(said), 1, f"not one sentence: {text!r}")
        for part in parts:
            self.assertIn(part, said[0])
        return said[0]

    def coordinator(self, *args, **options):
        return self.fleet.coordinator_command(*args, port=self.fleet.http_port + 1, data=self.fleet.dir / "data-2", **options)

    def test_same_data(self):
        """A second coordinator on the same data directory is refused, and the first one continues."""
        self.refused(self.fleet.coordinator_command(port=self.fleet.http_port + 1), str(self.fleet.dir / "data"))
        self.fleet.start_agent("pi-1", echo=1)
        self.assert_works()

    def test_port_in_use(self):
        """A port of the coordinator's HTTP API that is in use is reported."""
        command = self.fleet.coordinator_command(data=self.fleet.dir / "data-2")
        self.refused(command, f"127.0.0.1:{self.fleet.http_port}", "another program listens there")
        self.fleet.start_agent("pi-1", echo=1)
        self.assert_works()

    def misused(self, command, *parts):
        return self.refused(command, *parts, code=2)

    def test_options(self):
        """Wrong options of each program, which end with exit code 2."""
        coordinator, agent, cli = (BIN / f"edgefleet{end}" for end in ("-coordinator", "-agent", ""))
        self.misused([coordinator, "--no-such-option"], "no-such-option")
        self.misused([agent, "--no-such-option", "3"], "no-such-option")
        self.misused([cli, "tasks", "--no-such-option"], "no-such-option")
        self.misused([cli, "no-such-command"])
        self.misused([coordinator, "--max-tasks", "many"], "max-tasks")
        with self.subTest("a bound below zero"):
            self.misused([coordinator, "--max-tasks", "-1", "--data", self.fleet.dir / "d", "--listen", "127.0.0.1:0"],
                         "max-tasks")
        self.misused([agent, "--echo", "-1"], "echo")
        self.misused([agent, "--echo", "lots"], "echo")
        self.misused([agent, "--heat", "sauna"], "heat")
        self.misused([agent, "--log-level", "loud"], "loud")
        self.misused([agent, "--coordinator", "nonsense://x", "--work", self.fleet.dir / "w"], "nonsense://x")
        self.misused([agent, "--name", "x", "--password-file", self.fleet.dir / "none", "--work", self.fleet.dir / "w"], "none")
        self.misused([cli, "--url", "nonsense://x", "agents"], "nonsense://x")
        self.misused([agent, "--name", "Bad Name", "--work", self.fleet.dir / "w"], "Bad Name")
        self.misused([agent, "--name", "a" * 64, "--work", self.fleet.dir / "w"], "name")
        self.misused([agent, "--name", "x", "--fleet", "no/slash", "--work", self.fleet.dir / "w"], "no/slash")
        self.misused([agent, "--name", "x", "--broker", "http://127.0.0.1:1", "--work", self.fleet.dir / "w"], "mqtt://HOST:PORT")
        for place in ("127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", ":"):
            self.misused([coordinator, "--listen", place, "--data", self.fleet.dir / "d"], "HOST:PORT")
        self.misused([coordinator, "--listen", "0.0.0.0:0", "--data", self.fleet.dir / "d"], "edgefleet-coordinator setup")
        self.misused([coordinator, "--allow-remote", "--data", self.fleet.dir / "d"], "edgefleet-coordinator setup")
        self.misused([coordinator, "--broker", "mqtt://127.0.0.1:0", "--data", self.fleet.dir / "d"], "mqtt://")
        self.misused([coordinator, "--log-level", "loud", "--data", self.fleet.dir / "d"], "loud")
        self.misused([coordinator, "--password-file", self.fleet.dir / "none", "--data", self.fleet.dir / "d"], "none")
        self.refused([coordinator, "--data", "/proc/edgefleet"], "/proc/edgefleet")

    def test_files(self):
        """Unknown keys, wrong types and broken syntax in a TOML file are reported with the line."""
        for text, parts in (
                ("broker = 'mqtt://127.0.0.1:1'\ncolour = 'red'\n", ("line 2", "colour")),
                ("max-tasks = 'many'\n", ("line 1", "max-tasks")),
                ("max-tasks = [1]\n", ("line 1", "max-tasks")),
                ("max-tasks = -5\n", ("line 1", "max-tasks")),
                ("max-tasks = 1.5\n", ("line 1", "max-tasks")),
                ("max-tasks = '5'\n", ("line 1", "max-tasks", "whole number")),
                ("max-tasks = 5.0\n", ("line 1", "max-tasks", "whole number")),
                ("max-tasks = true\n", ("line 1", "max-tasks", "whole number")),
                ("take-over = 1\n", ("line 1", "take-over", "true or false")),
                ("fleet = 7\n", ("line 1", "fleet", "string")),
                ("broker = \n", ("line 1",)),
                ("[command]\n", ("command",)),
                ("\xff\xfe", ())):
            path = self.fleet.dir / "bad.toml"
            path.write_bytes(text.encode("latin-1"))
            with self.subTest(text=text):
                self.misused(self.coordinator("--config", path), "bad.toml", *parts)
        self.refused(self.coordinator("--config", self.fleet.dir / "none.toml"), "none.toml")

    def test_agent_files(self):
        """Wrong commands, plug-ins and labels in an agent's file are reported."""
        for text, parts in (
                ('[[command]]\nname = "x"\n', ("x", "argv")),
                ('[[command]]\nname = "x"\nargv = "ls"\n', ("argv",)),
                ('[[command]]\nname = "x"\nargv = ["ls", "{path}"]\n', ("path",)),
                ('[[command]]\nname = "x"\nargv = ["ls"]\nslot = 1\n', ("line 4", "slot")),
                ('[[command]]\nname = "x"\nargv = ["ls"]\nslots = 0\n', ("slots",)),
                ('[[command]]\nname = "x"\nargv = ["ls"]\nslots = "two"\n', ("line 4", "slots")),
                ('[[command]]\nname = "X Y"\nargv = ["ls"]\n', ("name",)),
                ('[[command]]\nname = "x"\nargv = ["ls", "{p}"]\n[command.params]\np = { type = "string", pattern = "(" }\n',
                 ("p",)),
                ('[[command]]\nname = "x"\nargv = ["ls"]\n[[command]]\nname = "x"\nargv = ["ls"]\n', ("same name",)),
                ('[command]\nname = "x"\nargv = ["ls"]\n', ("[[command]]",)),
                ('command = 3\n', ("command",)),
                ('[[plugin]]\nname = "x"\n', ("argv",)),
                ('[labels]\nroom = 3\n', ("room",)),
                ('[labels]\nagent = "x"\n', ("agent",)),
                ('[labels]\n"" = "x"\n', ("line 2", "label")),
                ("[labels]\n" + "".join(f'l{n} = "x"\n' for n in range(64)), ("line 1", "at most 64")),
                ("echo = '2'\n", ("line 1", "echo", "whole number")),
                ("reduce-celsius = '70'\n", ("line 1", "reduce-celsius", "number")),
                ('[[command]]\nargv = ["ls"]\n', ("line 1", "`name` is missing")),
                ('x = 1\n\n[[plugin]]\nargv = ["ls"]\n'.replace("x = 1", "echo = 1"), ("line 3", "`name` is missing")),
                (self.choosing("[2024-01-01, 2024-02-01]"), ("line 5", "choices")),
                (self.choosing('[["a", "b"]]'), ("line 5", "choices")),
                (self.choosing('["a", {}]'), ("line 5", "choices")),
                (self.choosing("[]"), ("line 5", "choices", "empty")),
                (self.choosing('"a"'), ("line 5", "choices")),
                (self.choosing('["a", 1]'), ("line 1", "choices")),
                ('name = "pi"\n[unknown]\n', ("unknown",))):
            with self.subTest(text=text):
                path = self.fleet.dir / "bad.toml"
                path.write_text(text)
                said = self.misused([BIN / "edgefleet-agent", "--name", "x", "--work", self.fleet.dir / "w", "--config", path],
                                    "bad.toml", *parts)
                self.assertLessEqual(said.count("command '"), 1, said)

    @staticmethod
    def choosing(choices):
        return f'[[command]]\nname = "x"\nargv = ["echo", "{{p}}"]\n[command.params.p]\nchoices = {choices}\n'

    def test_order_of_sources(self):
        """A flag takes precedence over the environment, which takes precedence over the file."""
        path = self.fleet.dir / "c.toml"
        path.write_text('fleet = "Bad File"\n')
        command = [str(BIN / "edgefleet-coordinator"), "--config", str(path), "--data", str(self.fleet.dir / "d")]

        def says(extra, environment):
            done = subprocess.run(command + extra, capture_output=True, text=True, timeout=10, check=False,
                                  env={**clean_environment(), **environment}, cwd=self.fleet.dir)
            return done.stderr

        self.assertIn("Bad File", says([], {}))
        self.assertIn("Bad Env", says([], {"EDGEFLEET_FLEET": "Bad Env", "EDGEFLEET_MAX_TASKS": "100000"}))
        command[0] = str(BIN / "edgefleet-agent")  # the coordinator's bounds are not the agent's
        command[3:] = ["--work", str(self.fleet.dir / "w")]
        self.assertIn("Bad Env", says([], {"EDGEFLEET_FLEET": "Bad Env", "EDGEFLEET_MAX_TASKS": "100000"}))
        command[0] = str(BIN / "edgefleet-coordinator")
        command[3:] = ["--data", str(self.fleet.dir / "d")]
        self.assertIn("Bad Flag", says(["--fleet", "Bad Flag"], {"EDGEFLEET_FLEET": "Bad Env"}))

    def test_help_and_version(self):
        """--help and --version answer on standard output with exit code 0."""
        for program in ("edgefleet", "edgefleet-agent", "edgefleet-coordinator"):
            for option, part in (("--help", "Usage"), ("--version", program)):
                done = subprocess.run([BIN / program, option], capture_output=True, text=True, timeout=10, check=False,
                                      env=clean_environment())
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(part, done.stdout)


class TwoCoordinators(FleetCase):
    RETAINED_ONLINE = {"state": "online", "epoch": 1, "session": "ghost"}

    def setUp(self):
        super().setUp()
        self.fleet.start_agent("pi-1", echo=1)

    def second(self, *options):
        command = self.fleet.coordinator_command(*options, port=self.fleet.http_port + 1, data=self.fleet.dir / "data-2")
        return self.fleet.start("coordinator", command)

    def api_of(self, port):
        api = Api(self.fleet.http_port + port)
        self.addCleanup(api.close)
        return api

    def works(self, port=0):
        api = self.api_of(port)

        def ready():
            try:
                return api.get("/ready").status == 200
            except OSError:
                return False
        wait_until(ready, 20, what="it is ready")
        api.placeable("pi-1")
        self.assertEqual(api.outcome(api.submit("echo", 1))["state"], "succeeded")

    def test_second_is_refused(self):
        """A second coordinator, with data of its own, does not start; the first one and its agents do not notice."""
        observer = self.fleet.observe("coordinator/status")
        online = observer.wait_for(lambda m: m.topic == "coordinator/status").payload
        second = self.second()
        self.assertEqual(second.wait(15), 1)
        self.assertIn("another coordinator", second.log())
        self.assertIn("--take-over", second.log())
        self.assertEqual([m.payload for m in observer.all("coordinator/status")], [online])
        self.assertTrue(self.fleet.coordinator.alive())
        self.works()

    def test_refused_after_the_broker_was_away(self):
        """A second one that is started without a broker is refused when the broker is back."""
        self.fleet.broker.kill()
        second = self.second()
        wait_until(lambda: self.fleet.broker_url in second.log(), what="it misses the broker")
        self.fleet.start_broker()
        wait_until(lambda: not (second.alive() and self.fleet.coordinator.alive()), 30, what="one of them has ended")
        gone, left = (second, 0) if self.fleet.coordinator.alive() else (self.fleet.coordinator, 1)
        self.assertIn("another coordinator", gone.log())
        self.works(left)

    def test_no_task_is_accepted_before_it_is_decided(self):
        """A second coordinator that will be refused has accepted nothing."""
        second = self.second()
        api = self.api_of(1)
        answers = set()

        def refused():
            try:
                answers.add(api.post("/api/v1/tasks", {"capability": "echo", "input": 1}).status)
            except OSError:
                pass
            return not second.alive()
        wait_until(refused, 15, what="it is refused", pause=0.02)
        self.assertLessEqual(answers, {503})

    def test_take_over(self):
        """With --take-over the second one works, and the first one stops with the reason."""
        first = self.fleet.coordinator
        self.second("--take-over")
        self.assertEqual(first.wait(15), 1)
        self.assertIn("has taken over", first.log())
        self.works(1)

    def test_restored_elsewhere(self):
        """Both machines are lost, the broker remembers `online`: a coordinator with a restored store starts."""
        self.fleet.coordinator.kill()
        for command, option, data in (("backup", "--to", "data"), ("restore", "--from", "data-2")):
            subprocess.run([BIN / "edgefleet-coordinator", command, "--data", self.fleet.dir / data, option,
                            self.fleet.dir / "copy"], check=True, timeout=30, capture_output=True, env=clean_environment())
        self.fleet.publish("coordinator/status", self.RETAINED_ONLINE, retain=True)
        began = time.monotonic()
        self.second()
        self.works(1)
        self.assertGreater(time.monotonic() - began, 2.5)  # it listened first

    def test_words_that_are_only_retained(self):
        """A retained beat, and a retained status, refuse nobody."""
        self.fleet.coordinator.kill()
        self.fleet.publish("coordinator/beat", {"store": "x", "epoch": 1, "session": "ghost"}, retain=True)
        self.fleet.publish("coordinator/status", self.RETAINED_ONLINE, retain=True)
        self.fleet.start_coordinator()
        self.works()


class NoBroker(FleetCase):
    COORDINATOR = None

    def setUp(self):
        super().setUp()
        self.fleet.broker.kill()

    def test_retried_for_ever(self):
        """Coordinator and agent retry a missing broker and report it; once it runs, everything works."""
        self.fleet.start_coordinator(ready=False)
        agent = self.fleet.start_agent("pi-1", echo=1, wait=False)
        for process in (self.fleet.coordinator, agent):
            wait_until(lambda p=process: self.fleet.broker_url in p.log(), what="it says which broker it misses")
        self.assertEqual(self.api.get("/health").status, 200)
        ready = self.api.get("/ready")
        self.assertEqual((ready.status, ready.body), (503, {"store": True, "broker": False}))
        task = self.api.submit("echo", "early")
        self.assertIn("broker", self.api.task(task)["waiting"])
        wait_until(lambda: agent.log().count(self.fleet.broker_url) >= 2, what="it is retried, and reported")
        self.assertTrue(agent.alive() and self.fleet.coordinator.alive())
        self.fleet.start_broker()
        self.assertEqual(self.api.outcome(task, 15)["output"], "early")

    def test_stop_without_broker(self):
        """Coordinator and agent end soon on SIGTERM, even without a broker."""
        self.fleet.start_coordinator(ready=False)
        agent = self.fleet.start_agent("pi-1", echo=1, wait=False)
        for process in (agent, self.fleet.coordinator):
            wait_until(lambda p=process: self.fleet.broker_url in p.log(), what="it says which broker it misses")
            began = time.monotonic()
            self.assertEqual(process.terminate(), 0)
            self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    unittest.main()

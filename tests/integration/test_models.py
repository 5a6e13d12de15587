"""Ollama's models on the fleet: pulled, removed and loaded as tasks, and at an agent's start. Uses the stand-in."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import types

import llama
from standin import StandIn
from support import BIN, FleetCase, clean_environment, open_terminal, wait_until

CODER = "deepseek-coder:1.3b"
LIBRARY = f"{CODER}=776M,tinyllama=638M,small=60M,large=400M,huge:900b=900G"
NOBODY = types.SimpleNamespace(url="http://127.0.0.1:1")  # no text is generated: no llama-server is needed


class Terminal:
    """The command line on a terminal."""

    def __init__(self, fleet, *args):
        self.master, slave = open_terminal()
        self.popen = subprocess.Popen(
            [BIN / "edgefleet", "--url", f"http://127.0.0.1:{fleet.http_port}", *args], stdin=subprocess.DEVNULL,
            stdout=slave, stderr=slave, start_new_session=True,
            env={**clean_environment(), "TERM": "xterm"})
        os.close(slave)
        self.text = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            if not piece:
                return
            self.text += piece.decode(errors="replace")

    def wait_for(self, pattern):
        return wait_until(lambda: re.search(pattern, self.text), what=lambda: f"{pattern!r} in {self.text!r}")

    def wait(self):
        code = self.popen.wait(30)
        self.reader.join(5)
        return code

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.reader.join(5)
        os.close(self.master)


class ModelsCase(FleetCase):
    def setUp(self):
        super().setUp()
        self.ollama = StandIn(self.fleet, "ollama", self.backend(), models="edge-tiny=2M", library=LIBRARY)

    def backend(self):
        return NOBODY

    def agent(self, name, args=(), labels=None, wait=True, **options):
        folder = self.fleet.dir / f"models-{name}"
        folder.mkdir(exist_ok=True)
        options = {"url": self.ollama.url, "registry": self.ollama.url, "models_dir": str(folder), "refresh_s": 60, **options}
        toml = "\n".join(["[[llm]]", 'provider = "ollama"', *(f"{k} = {json.dumps(v)}" for k, v in options.items())])
        if labels:
            toml += "\n[labels]\n" + "\n".join(f'{k} = "{v}"' for k, v in labels.items())
        process = self.fleet.start_agent(name, *args, toml=toml + "\n", wait=wait)
        if wait:
            wait_until(lambda: self.executor(name).get("models") or self.executor(name).get("problem"), what="models")
            wait_until(lambda: self.keeper(name), what="the keeper of models")
        return process

    def executor(self, name, which="llm-ollama"):
        agent = self.api.agents().get(name, {"executors": []})
        return next((e for e in agent["executors"] if e["name"] == which), {})

    def keeper(self, name):
        return self.executor(name, "llm-ollama-models")

    def models(self, name):
        return self.executor(name).get("models", [])

    def pull(self, model, agent="pi-1", **more):
        return self.api.submit("llm.pull", {"model": model, **more}, where={"agent": agent})

    def progress(self, task, what="completed_bytes"):
        return wait_until(lambda: self.api.task(task).get("progress", {}).get(what), what="progress is told")

    def failed(self, task, code):
        ended = self.api.outcome(task)
        self.assertEqual((ended["state"], ended["error"]["code"]), ("failed", code), ended)
        self.assertFalse(ended["error"]["retryable"])
        self.assertEqual(len(ended["attempts"]), 1, ended)
        return ended["error"]["message"]

    def terminal(self, *args):
        terminal = Terminal(self.fleet, *args)
        self.addCleanup(terminal.close)
        return terminal


class Pull(ModelsCase):
    def test_a_pull_and_its_progress(self):
        """One command, the agents that match: progress on MQTT and on the terminal, and the model is offered at once."""
        self.agent("pi-1", labels={"room": "attic"})
        self.agent("pi-2", labels={"room": "cellar"})
        seen = self.fleet.observe("streams/+", "agents/+/info")
        self.ollama.set(pull_hold=0.5)
        terminal = self.terminal("models", "pull", CODER, "--where", "room=attic")
        told = seen.wait_for(lambda m: m.topic == "streams/pi-1" and m.payload.get("completed_bytes"), what="progress").payload
        self.assertEqual(told["total_bytes"], 776_000_000)
        self.assertAlmostEqual(told["completed_bytes"], 388_000_000, delta=1_000_000)
        self.assertIn(told["percent"], (49, 50))
        self.assertRegex(told["delta"], "^pulling [0-9a-f]{12}$")
        terminal.wait_for(r"pi-1  \[=+>? *\]  (49|50) %  370\.\d MiB of 740\.1 MiB")
        self.assertNotIn("pi-2", terminal.text)
        self.assertEqual(self.models("pi-1"), ["edge-tiny:latest"])
        self.ollama.set(pull_hold=None)
        self.assertEqual(terminal.wait(), 0, terminal.text)
        # The list is updated before the outcome is sent.
        self.assertEqual(self.models("pi-1"), [CODER, "edge-tiny:latest"])
        self.assertRegex(terminal.text, rf"pi-1  succeeded: {CODER}, 740\.1 MiB, in ")
        seen.wait_for(lambda m: m.topic == "agents/pi-1/info" and any(
            CODER in e.get("models", ()) for e in m.payload["executors"]), what="info has it")
        listed = self.fleet.cli("models")
        self.assertRegex(listed.stdout, rf"(?m)^{CODER} +pi-1 +llm-ollama +ollama")
        self.assertEqual(self.ollama.seen("pulls"), {CODER: 1})

    def test_progress_is_bounded(self):
        """Once a second on MQTT, however often Ollama reports it."""
        self.agent("pi-1")
        seen = self.fleet.observe("streams/pi-1")
        self.ollama.set(pull_bytes_per_s=776_000_000 / 4)
        task = self.api.outcome(self.pull(CODER))
        self.assertEqual(task["state"], "succeeded", task)
        self.assertEqual(task["output"], {"model": CODER, "bytes": 776_000_000, "offered": True})
        told = [m.payload["completed_bytes"] for m in seen.all("streams/pi-1") if "completed_bytes" in m.payload]
        self.assertEqual(told, sorted(told))
        self.assertGreaterEqual(len(told), 3, told)
        self.assertLessEqual(len(told), 2 + task["run_ms"] / 1000, told)

    def test_a_cancel_ends_the_download(self):
        self.agent("pi-1")
        self.ollama.set(pull_hold=0.5)
        task = self.pull(CODER)
        self.progress(task)
        self.assertEqual(self.ollama.seen("open"), 1)
        self.api.good("POST", f"/api/v1/tasks/{task}/cancel")
        self.assertEqual(self.api.outcome(task)["state"], "cancelled")
        wait_until(lambda: self.ollama.seen("open") == 0, what="the request has ended")
        self.assertEqual(self.models("pi-1"), ["edge-tiny:latest"])
        self.ollama.set(pull_hold=None)
        self.assertEqual(self.api.outcome(self.pull(CODER))["state"], "succeeded")

    def test_a_person_who_goes_away(self):
        """Ctrl-C does not stop the task, and the message says how to; without a terminal it prints the outcome."""
        self.agent("pi-1")
        self.ollama.set(pull_hold=0.5)
        terminal = self.terminal("models", "pull", CODER, "--agent", "pi-1")
        terminal.wait_for(r" %  ")
        terminal.popen.send_signal(signal.SIGINT)
        self.assertEqual(terminal.wait(), -signal.SIGINT, terminal.text)
        task = re.search(r"edgefleet .*cancel (\w{26})", terminal.text).group(1)
        self.assertEqual(self.api.task(task)["state"], "running")
        self.ollama.set(pull_hold=None)
        self.assertEqual(self.api.outcome(task)["state"], "succeeded")
        quiet = self.fleet.cli("models", "pull", "tinyllama", "--json")
        self.assertEqual(quiet.returncode, 0, quiet.stderr)
        self.assertEqual(json.loads(quiet.stdout)["output"]["model"], "tinyllama:latest")
        self.assertRegex(quiet.stderr, r"^batch \w{26}\n$")

    def test_whom_the_command_line_asks(self):
        self.agent("pi-1", labels={"room": "attic"})
        self.fleet.start_agent("pi-9", echo=1)
        none = self.fleet.cli("models", "pull", CODER, "--where", "room=cellar")
        self.assertEqual(none.returncode, 2, none.stderr)
        self.assertIn("pi-1 room is attic", none.stderr)
        self.assertIn("pi-9 has no room cellar", none.stderr)
        none = self.fleet.cli("models", "pull", CODER, "--agent", "pi-9")
        self.assertIn("pi-9 offers no llm.pull", none.stderr)
        none = self.fleet.cli("models", "remove", CODER)
        self.assertIn(f"pi-1 does not have {CODER}", none.stderr)
        done = self.fleet.cli("models", "pull", "gpt-9", "--where", "room=attic")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("pi-1  failed: model_not_found", done.stdout)

    def test_what_cannot_be_pulled(self):
        self.agent("pi-1", models=["edge-tiny"])
        self.assertIn("file does not exist", self.failed(self.pull("gpt-9"), "model_not_found"))
        for wrong in ({"model": "../x"}, {"model": "a b"}, {"model": CODER, "force": "yes"}):
            self.failed(self.api.submit("llm.pull", wrong), "bad_input")
        self.api.described("llm.pull")
        for wrong in ({}, {"model": 1}, {"model": CODER, "size": 1}):
            self.assert_problem(self.api.post("/api/v1/tasks", {"capability": "llm.pull", "input": wrong}), 422)
        restricted = self.api.outcome(self.pull("small"))
        self.assertEqual(restricted["state"], "succeeded", restricted)
        self.assertFalse(restricted["output"]["offered"])
        self.assertIn("does not name it", restricted["output"]["why"])
        self.assertEqual(self.models("pi-1"), ["edge-tiny:latest"])

    def test_faults_on_the_way(self):
        """After a broken line, a refusal or invalid data it is retried, and existing layers are not fetched again."""
        self.agent("pi-1")
        for kind, more in (("cut_mid", {}), ("status", {"status": 503}), ("garbage_line", {}), ("end_early", {}),
                           ("error_mid", {"message": "max retries exceeded: EOF"})):
            self.ollama.fault(kind, on="pull", **more)
            task = self.api.outcome(self.pull(CODER), 30)
            self.assertEqual(task["state"], "succeeded", task)
            self.assertEqual(len(task["attempts"]), 2, (kind, task))
            self.assertTrue(task["attempts"][0]["error"]["retryable"])
            self.api.outcome(self.api.submit("llm.remove", {"model": CODER}))

    def test_an_agent_that_is_killed(self):
        """The next attempt continues the download: each layer is fetched once."""
        self.agent("pi-1")
        self.ollama.set(pull_hold=0.5)
        task = self.pull(CODER)
        self.progress(task)
        self.fleet.agents["pi-1"].kill()
        wait_until(lambda: self.ollama.seen("open") == 0, what="the download is aborted")
        self.ollama.set(pull_hold=None)
        self.fleet.restart_agent("pi-1")
        ended = self.api.outcome(task, 40)
        self.assertEqual((ended["state"], len(ended["attempts"])), ("succeeded", 2), ended)
        self.assertEqual(self.models("pi-1"), [CODER, "edge-tiny:latest"])
        self.assertEqual(self.ollama.seen("layers_pulled"), 3)

    def test_an_ollama_that_is_away(self):
        """Tasks for its models wait, and the reason is shown."""
        self.agent("pi-1", refresh_s=1)
        self.ollama.process.signal(signal.SIGKILL)
        wait_until(lambda: "cannot reach" in self.keeper("pi-1").get("problem", ""), what="the reason is told")
        task = self.pull(CODER)
        wait_until(lambda: "out of service" in self.api.task(task).get("waiting", ""), what="it waits")
        self.fleet.start("standin-again", self.ollama.process.command)
        self.assertEqual(self.api.outcome(task)["state"], "succeeded")


class Room(ModelsCase):
    def small_disk(self, mebibytes):
        folder = self.fleet.dir / "small-disk"
        folder.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "edgefleet-test", folder],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("no right to mount: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", folder], check=False)
        return folder

    def test_too_little_memory(self):
        """Refused with figures before anything is fetched; it can be forced."""
        self.agent("pi-1")
        message = self.failed(self.pull("huge:900b"), "insufficient_memory")
        self.assertRegex(message, r"huge:900b is 900\.0 GB in size and needs 900\.5 GB of memory.* this machine has \d+\.\d GB")
        message = self.failed(self.pull("huge:900b", force=True), "insufficient_storage")
        self.assertRegex(message, r"needs 900\.0 GB more on the disk, including 537 MB to be kept free; .* has \d+\.\d GB free")
        self.assertEqual(self.ollama.seen("pulls"), {})

    def test_too_little_disk(self):
        folder = self.small_disk(700)
        self.agent("pi-1", models_dir=str(folder))
        self.assertIn(str(folder), self.failed(self.pull("large"), "insufficient_storage"))
        self.assertEqual(self.ollama.seen("pulls"), {})
        self.assertEqual(self.api.outcome(self.pull("small"))["state"], "succeeded")

    def test_what_is_there_needs_no_room(self):
        """Layers and parts of layers that exist already count."""
        folder = self.small_disk(700)
        self.agent("pi-1", models_dir=str(folder))
        (folder / "blobs").mkdir()
        manifest = self.ollama.api.good("GET", "/v2/library/large/manifests/latest")
        part = folder / "blobs" / (manifest["layers"][0]["digest"].replace(":", "-") + "-partial")
        with open(part, "wb") as file:
            file.truncate(manifest["layers"][0]["size"])  # like Ollama: nothing of it is on the disk yet
        self.failed(self.pull("large"), "insufficient_storage")
        with open(part, "r+b") as file:
            file.write(b"x" * 100_000_000)
        self.failed(self.pull("large"), "insufficient_storage")  # 300 MB to come, 634 MB free, 537 of them to stay so
        part.rename(str(part).removesuffix("-partial"))
        self.assertEqual(self.api.outcome(self.pull("large"))["state"], "succeeded")

    def test_a_registry_that_does_not_answer(self):
        """The check runs when Ollama first reports the size, and ends the download."""
        folder = self.small_disk(700)
        self.agent("pi-1", models_dir=str(folder), registry=NOBODY.url)
        self.ollama.set(pull_hold=0.5)
        self.failed(self.pull("large"), "insufficient_storage")
        self.failed(self.pull("huge:900b"), "insufficient_memory")
        self.assertEqual(self.ollama.seen("pulls"), {"large:latest": 1, "huge:900b": 1})
        wait_until(lambda: self.ollama.seen("open") == 0, what="the downloads have ended")
        self.ollama.set(pull_hold=None)
        self.assertEqual(self.api.outcome(self.pull("small"))["state"], "succeeded")


class AtTheStart(ModelsCase):
    def test_a_model_that_is_to_be_there(self):
        """It is fetched while the agent works, with a notice, and not fetched again at the next start."""
        self.ollama.set(pull_hold=0.5)
        self.agent("pi-1", pull=[CODER, "edge-tiny"])
        wait_until(lambda: f"downloading {CODER}: " in self.keeper("pi-1").get("notice", ""), what="the notice")
        self.assertIn(f"pi-1: llm-ollama-models: downloading {CODER}", self.fleet.cli("agents").stdout)
        self.ollama.set(pull_hold=None)
        wait_until(lambda: CODER in self.models("pi-1"), what="it is there")
        wait_until(lambda: not self.keeper("pi-1").get("notice"), what="the notice has been removed")
        self.assertEqual(self.ollama.seen("pulls"), {CODER: 1})
        self.fleet.agents["pi-1"].terminate()
        self.fleet.restart_agent("pi-1")
        wait_until(lambda: CODER in self.models("pi-1"), what="it is still there")
        self.assertEqual(self.ollama.seen("pulls"), {CODER: 1})

    def test_it_is_tried_again(self):
        self.ollama.fault("error_mid", on="pull", message="dial tcp: lookup registry.ollama.ai: no such host")
        self.agent("pi-1", pull=[CODER])
        wait_until(lambda: "no such host; next attempt in" in self.keeper("pi-1").get("notice", ""), what="the reason is told")
        self.assertEqual(self.keeper("pi-1").get("problem", ""), "")
        wait_until(lambda: CODER in self.models("pi-1"), what="it is there")

    def test_the_same_checks(self):
        self.agent("pi-1", pull=["huge:900b", "small"])
        wait_until(lambda: "small:latest" in self.models("pi-1"), what="the other one is there")
        wait_until(lambda: "huge:900b is not available yet: huge:900b is 900.0 GB" in self.keeper("pi-1").get("notice", ""),
                   what="the reason is told")
        self.assertEqual(self.ollama.seen("pulls"), {"small:latest": 1})

    def test_an_end_in_the_middle(self):
        self.ollama.set(pull_hold=0.5)
        self.agent("pi-1", pull=[CODER])
        wait_until(lambda: self.ollama.seen("pulls"), what="it has begun")
        began = time.monotonic()
        self.assertEqual(self.fleet.agents["pi-1"].terminate(), 0)
        self.assertLess(time.monotonic() - began, 5)
        wait_until(lambda: self.ollama.seen("open") == 0, what="the request has ended")


class Loaded(ModelsCase):
    @classmethod
    def setUpClass(cls):
        llama.need()

    def backend(self):
        return llama.LlamaServer(self.fleet, "llama").wait()

    def test_load_and_remove(self):
        """A loaded model is shown as such and answers without another load; a removed one disappears at once."""
        self.agent("pi-1", num_ctx=512)
        done = self.fleet.cli("models", "load", "edge-tiny", "--keep-alive", "1h")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.executor("pi-1")["loaded_models"], ["edge-tiny:latest"])
        self.assertRegex(self.fleet.cli("models").stdout, r"(?m)^edge-tiny:latest +pi-1 +llm-ollama +ollama +yes$")
        self.assertEqual(self.ollama.seen("last")["keep_alive"], "1h")
        chat = self.api.outcome(self.api.submit("llm.chat", {
            "model": "edge-tiny:latest", "messages": [{"role": "user", "content": "Is the attic warm?"}]}))
        self.assertEqual(chat["state"], "succeeded", chat)
        self.assertEqual(self.ollama.seen("loads"), {"edge-tiny:latest": 1})
        removed = self.api.outcome(self.api.submit("llm.remove", {"model": "edge-tiny"}))
        self.assertEqual(removed["output"], {"model": "edge-tiny:latest", "removed": True}, removed)
        self.assertEqual(self.executor("pi-1")["problem"], "the back end has no model yet")
        self.assertEqual(self.keeper("pi-1").get("problem", ""), "")
        self.failed(self.api.submit("llm.remove", {"model": "edge-tiny"}), "model_not_found")
        self.failed(self.api.submit("llm.load", {"model": "edge-tiny"}), "model_not_found")

"""Commands and plug-ins cannot reach their agent's key, settings, spool and memory, nor the folders of other tasks."""

import ctypes
import json
import os
import pathlib
import shutil
import stat
import struct
import sys
import unittest
import zlib

from closed_broker import NOBODY
from support import BIN, ROOT, FleetCase, wait_until

CREATE_RULESET = 444  # the system call landlock_create_ruleset
ASK_VERSION = 1


def landlock():
    """The version of this kernel's Landlock; 0: it has none."""
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION))


# Runs what it is sent, by a shell; "secret" is the key of the other task.
PLUGIN = """
import json, subprocess, sys
print(json.dumps({"type": "hello", "protocol": 1, "name": "shell", "version": "1", "capabilities": ["shell.run"]}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if task.get("type") != "task":
        continue
    done = subprocess.run(["/bin/sh", "-c", task["input"]["script"]], capture_output=True, text=True, cwd=task["scratch"])
    print(json.dumps({"type": "result", "id": task["id"], "attempt": task["attempt"],
                      "output": {"out": done.stdout, "code": done.returncode}}), flush=True)
"""

# PTRACE_ATTACH; succeeds only if that does.
TRACE = "import ctypes, sys; sys.exit(0 if ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0) == 0 else 1)"


def small_png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x * 8) % 256 for x in range(96)) for _ in range(32))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class AsItsUser(FleetCase):
    """The agent runs as a user that is not root, if the test does: root may do more to other processes."""

    def setUp(self):
        super().setUp()
        self.work = self.fleet.dir / "work-pi-1"
        self.other = self.fleet.dir / "other"
        self.key_file = self.fleet.dir / "provider.key"
        self.key_file.write_text("key of a provider\n")
        self.fleet.dir.chmod(0o755)
        for folder in (self.work, self.other, self.work / "identity"):
            folder.mkdir(mode=0o700)
        (self.work / "identity/agent.key").write_text("key of the agent\n")
        self.key_file.chmod(0o600)
        self.prefix = []
        if os.getuid() == 0:
            if not shutil.which("setpriv"):
                raise unittest.SkipTest("no setpriv")
            for path in (self.work, self.other, self.work / "identity", self.work / "identity/agent.key", self.key_file):
                os.chown(path, NOBODY, NOBODY)
            self.prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

    def start(self, toml, *before, public=False):
        """`public`: everybody may read the configuration, and the agent's user may not change it."""
        command = self.fleet.agent_command("pi-1", toml=toml)
        if not public:
            config = self.fleet.dir / "pi-1.toml"
            config.chmod(0o600)
            if self.prefix:
                os.chown(config, NOBODY, NOBODY)
        agent = self.fleet.start("pi-1", [*before, *self.prefix, *command])
        self.agent = agent
        self.api.placeable("pi-1")
        return agent

    def command(self, name="try", more=""):
        return (f'[[command]]\nname = "{name}"\nargv = ["/bin/sh"]\nslots = 2\n{more}\n[command.params]\n'
                'script = { type = "string", stdin = true }\n')

    def said(self, script, name="try"):
        done = self.api.outcome(self.api.submit(f"command.{name}", {"script": script}, max_attempts=1))
        self.assertEqual(done["state"], "succeeded", done)
        return done["output"]["stdout"]["text"]

    def tried(self, attempts, run=None):
        """The names of those that succeed."""
        script = "exec 2>/dev/null\n"
        for name, attempt in attempts.items():
            script += f"if {attempt} >/dev/null; then echo \"{name}\"; fi\n"
        return (run or self.said)(script).splitlines()

    def llm(self):
        return f'[[llm]]\nprovider = "openai"\nurl = "http://127.0.0.1:9"\nmodels = ["m"]\napi_key_file = "{self.key_file}"\n'


class Sandbox(AsItsUser):
    def setUp(self):
        if landlock() == 0:
            raise unittest.SkipTest("this kernel has no Landlock")
        super().setUp()
        self.plugin = self.fleet.dir / "plugin.py"
        self.plugin.write_text(PLUGIN)

    def hold(self):
        """A running task with a secret; returns its folder and the id of its process."""
        begun = self.other / "pid"
        script = f"echo secret > secret; echo $$ > {begun}.new; mv {begun}.new {begun}; exec sleep 1000"
        task = self.api.submit("command.try", {"script": script}, max_attempts=1)
        wait_until(begun.exists, what="the other task runs")
        return self.work / f"scratch/{task}-1", int(begun.read_text())

    def attempts(self):
        """What each command and plug-in must fail to do."""
        folder, process = self.hold()
        agent = self.agent.pid
        work, config = self.work, self.fleet.dir / "pi-1.toml"
        self.assertTrue((folder / "secret").exists())
        attempts = {
            "the key": f"cat {work}/identity/agent.key",
            "the key by its process": f"cat /proc/self/root{work}/identity/agent.key",
            "the key by the agent": f"cat /proc/{agent}/root{work}/identity/agent.key",
            "replace the key": f"mv /etc/hostname {work}/identity/agent.key",
            "remove the key": f"rm {work}/identity/agent.key",
            "another identity": f"mv {work}/identity {self.other}/identity",
            "the configuration": f"cat {config}",
            "another configuration": f"sh -c 'echo > {config}'",
            "the key of a provider": f"cat {self.key_file}",
            "the spool": f"touch {work}/spool/results/new",
            "the lock": f"cat {work}/lock",
            "another task's file": f"cat {folder}/secret",
            "another task's folder": f"touch {folder}/out/new",
            "the agent's environment": f"cat /proc/{agent}/environ",
            "the agent's memory": f"head -c 0 /proc/{agent}/mem",
            "the agent's files": f"ls /proc/{agent}/fd/",
            "the agent by ptrace": f"python3 -c '{TRACE}' {agent}",
            "the agent's limits": f"prlimit --pid {agent} --nofile=1000:1000",
            "the agent's priority": f"renice -n 19 -p {agent}",
            "the priority of its user's processes": f"renice -n 19 -u {NOBODY if os.getuid() == 0 else os.getuid()}",
            "the agent's scheduling": f"chrt --idle --pid 0 {agent}",
            "the agent's turn at the disk": f"ionice -c 3 -p {agent}",
            "another task's environment": f"cat /proc/{process}/environ",
            "another task by ptrace": f"python3 -c '{TRACE}' {process}",
        }
        if landlock() >= 6:
            attempts |= {"signal the agent": f"kill -CONT {agent}", "signal its supervisor": "kill -CONT $PPID",
                         "signal another task": f"kill -CONT {process}"}
        return attempts

    def test_a_command(self):
        """It reaches nothing of its agent, and works otherwise."""
        self.start(self.command() + self.command("open", "sandbox = false") + self.llm())
        attempts = self.attempts()
        self.assertEqual(self.tried(attempts), [])
        # They are possible otherwise, so that the test above means something. Those at the end are not: the agent is not
        # dumpable, whatever its commands are.
        free = self.tried({name: attempts[name] for name in ("the key", "the configuration", "the key of a provider",
                                                             "another task's file", "another task's environment",
                                                             "the agent's limits", "the agent's priority",
                                                             "the agent's scheduling", "the agent's turn at the disk")},
                          lambda script: self.said(script, "open"))
        self.assertEqual(len(free), 9, free)
        for attempt in ("the agent's memory", "the agent's environment", "the agent by ptrace"):
            self.assertEqual(self.tried({attempt: attempts[attempt]}, lambda script: self.said(script, "open")), [])
        works = {
            "its folder": "sh -c 'echo x > new && mv new out/kept && cat out/kept && mkdir folder && rmdir folder'",
            "its temporary files": "sh -c 'echo x > $(mktemp)'",
            "files of the system": "cat /etc/passwd /proc/self/status /sys/class/net/lo/address",
            "devices": "sh -c 'head -c 8 /dev/urandom > /dev/null'",
            "files of others": f"sh -c 'echo x > {self.other}/new && mv {self.other}/new {self.other}/newer'",
            "python": "python3 -c 'import json, ssl, subprocess; subprocess.run([\"true\"], check=True)'",
            "listing": f"ls / /var/lib {self.fleet.dir}",
            "its own processes": "sh -c 'sleep 100 & kill $!'",
            "its own limits and priority": "sh -c 'ulimit -n 100 && nice -n 5 ionice -c 3 chrt --idle 0 true'",
        }
        self.assertEqual(self.tried(works), list(works))
        done = self.api.outcome(self.api.submit("command.try", {"script": "echo x > out/kept"}))
        self.assertEqual([file["name"] for file in done["output"]["artifacts"]], ["kept"])

    def test_a_plugin(self):
        """It reaches nothing of its agent and of other executors, and works otherwise."""
        self.start(self.command() + self.llm() + f'[[plugin]]\nname = "shell"\nargv = ["/usr/bin/python3", "{self.plugin}"]\n')

        def run(script):
            done = self.api.outcome(self.api.submit("shell.run", {"script": script}, max_attempts=1))
            self.assertEqual((done["state"], done["output"]["code"]), ("succeeded", 0), done)
            return done["output"]["out"]

        wait_until(lambda: any(e["name"] == "plugin-shell" and not e.get("problem")
                               for e in self.api.agent("pi-1")["executors"]), what="the plug-in is in service")
        attempts = self.attempts()
        attempts.pop("signal its supervisor", None)  # here, the parent is the plug-in
        self.assertEqual(self.tried(attempts, run), [])
        self.assertEqual(self.tried({"its folder": "touch out/new", "its home": "sh -c 'touch $HOME/kept'",
                                     "others": f"touch {self.other}/new"}, run), ["its folder", "its home", "others"])
        self.assertTrue((self.work / "scratch/plugin-shell/kept").exists())

    def test_the_image_plugin(self):
        """The image plug-in works in the sandbox."""
        self.start(f'[[plugin]]\nname = "image"\nargv = ["{BIN}/edgefleet-plugin-image"]\n')
        picture = self.api.request("PUT", "/api/v1/artifacts", small_png()).body["id"]
        done = self.api.outcome(self.api.submit("image.blur", {"image": {"artifact": picture}, "radius": 1.5}))
        self.assertEqual(done["state"], "succeeded", done)

    def test_a_configuration_that_everybody_may_read(self):
        """It is not hidden, so that its folder is not on the way: files in it may be replaced while a plug-in runs."""
        if not self.prefix:
            raise unittest.SkipTest("only root can give the agent a configuration of another user")
        self.start(self.command(), public=True)
        config = self.fleet.dir / "pi-1.toml"
        self.assertEqual(self.said(f"cat {config}"), self.command())
        self.assertEqual(self.tried({"change it": f"sh -c 'echo > {config}'", "replace it": f"mv {self.other}/x {config}",
                                     "the key": f"cat {self.work}/identity/agent.key"}), [])

    def test_what_a_new_configuration_names_is_hidden(self):
        """A key file that a reload adds is hidden from the commands that follow."""
        agent = self.start(self.command())
        self.assertEqual(self.said(f"cat {self.key_file}"), "key of a provider\n")
        (self.fleet.dir / "pi-1.toml").write_text(self.command() + self.llm())
        self.assertEqual(self.fleet.cli("agents", "reload", "pi-1").returncode, 0)
        self.assertEqual(self.said(f"cat {self.key_file} || echo refused"), "refused\n")
        self.assertNotIn("no sandbox", agent.log())


# Lets a system call fail as a kernel without Landlock does, and runs a program.
WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
def statement(code, k, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, k)
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
program = (statement(LOAD, 0) + statement(EQUAL, 444, 0, 1) + statement(RETURN, 0x00050000 | 38) +
           statement(RETURN, 0x7FFF0000))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, ctypes.byref(Filter(4, program)), 0, 0) != 0:
    sys.exit("no seccomp")
os.execvp(sys.argv[1], sys.argv[1:])
"""


class WithoutLandlock(AsItsUser):
    def test_an_agent_says_so_and_works(self):
        """On a kernel without Landlock the agent says so once, and its commands run."""
        agent = self.start(self.command(), sys.executable, "-c", WITHOUT_LANDLOCK)
        self.assertEqual(self.said("echo works"), "works\n")
        lines = [line for line in agent.log().splitlines() if "no sandbox" in line]
        self.assertEqual(len(lines), 1, agent.log())
        self.assertIn("this kernel is built without Landlock", lines[0])


class Environment(AsItsUser):
    def test_no_key_is_left_in_it(self):
        """The environment that the system shows has no key, and the agent still uses it."""
        llm = self.llm().replace(f'api_key_file = "{self.key_file}"', 'api_key_env = "PROVIDER_KEY"')
        agent = self.start(self.command() + llm, "env", "PROVIDER_KEY=a-key-in-the-environment")
        if os.getuid() == 0:
            shown = pathlib.Path(f"/proc/{agent.pid}/environ").read_bytes()
            self.assertGreater(len(shown), 20)
            self.assertNotIn(b"a-key-in-the-environment", shown)
            self.assertNotIn(b"PROVIDER_KEY", shown)

        def problem():
            executors = {e["name"]: e for e in self.api.agent("pi-1")["executors"]}
            return executors.get("llm-openai", {}).get("problem", "")

        wait_until(lambda: "cannot reach the back end" in problem(), what=problem)  # it has the key that it needs first
        self.assertEqual(self.said("echo $PROVIDER_KEY"), "\n")


class Trust(AsItsUser):
    def test_a_configuration_that_others_can_change(self):
        """It is refused at the start with the command that ends that, and on a reload nothing changes."""
        config = self.fleet.dir / "pi-1.toml"
        agent = self.start(self.command())
        config.chmod(0o666)
        text = self.fleet.cli("agents", "reload", "pi-1").stderr
        self.assertIn(f"run `chmod go-w {config}`", text)
        self.assertEqual(self.said("echo works"), "works\n")
        agent.terminate()
        config.chmod(0o666)
        command = [*self.prefix, *map(str, agent.command[len(self.prefix):])]
        again = self.fleet.start("again", command)
        self.assertEqual(again.wait(), 2)
        self.assertIn(f"(--config) can be changed by other users (mode 0666): run `chmod go-w {config}`", again.log())

    def test_a_plugin_that_others_can_change(self):
        """It is out of service until that has ended; the agent's other executors work."""
        folder = self.fleet.dir / "plugins"
        folder.mkdir()
        shutil.copy(ROOT / "edge-agent/plugins/examples/wordcount.py", folder)
        for program in ([str(folder / "wordcount.py")], ["/usr/bin/python3", str(folder / "wordcount.py")]):
            with self.subTest(program):
                folder.chmod(0o777)
                self.start(self.command() + f'[[plugin]]\nname = "words"\nargv = {json.dumps(program)}\nrestart_most_s = 1\n')

                def problem():
                    executors = {e["name"]: e for e in self.api.agent("pi-1")["executors"]}
                    return executors.get("plugin-words", {}).get("problem", "")

                wait_until(lambda: f"run `chmod go-w {folder}`" in problem(), what=problem)
                self.assertEqual(self.said("echo works"), "works\n")
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o022)
                done = self.api.outcome(self.api.submit("text.wordcount", {"text": "a b"}))
                self.assertEqual(done["output"]["words"], 2)
                self.agent.terminate()


if __name__ == "__main__":
    sys.exit(unittest.main())

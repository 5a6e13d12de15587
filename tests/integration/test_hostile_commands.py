"""Commands that mean harm to their agent: they have its user, and are limited nevertheless."""

import os
import signal
import stat
import subprocess
import sys
import time
import unittest

from support import BIN, FleetCase, clean_environment, wait_until


def command(name, script, timeout=60):
    """Without a sandbox, as on a kernel that has none: a command in it cannot do what is tried here."""
    return (f'[[command]]\nname = "{name}"\nargv = ["/bin/sh", "-c", """{script}"""]\ntimeout_s = {timeout}\n'
            'sandbox = false\n')


def runs(pid):
    try:
        return open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Supervisors(FleetCase):
    def orphan(self):
        file = self.fleet.dir / "orphan"
        return (f"(env -i setsid sh -c 'echo $$ > {file}.new; mv {file}.new {file}; exec sleep 1000' &) ; "
                f"until test -s {file}; do sleep 0.01; done; ")

    def orphan_pid(self):
        return int((self.fleet.dir / "orphan").read_text())

    def test_a_killed_supervisor(self):
        """The orphan of a command that kills its supervisor ends with the command, and the agent works on."""
        self.fleet.start_agent("pi-1", echo=1, toml=command("kills", self.orphan() + "kill -KILL $PPID; sleep 1000"))
        done = self.api.outcome(self.api.submit("command.kills", {}, max_attempts=1))
        self.assertEqual((done["state"], done["error"]["code"]), ("failed", "killed"))
        wait_until(lambda: not runs(self.orphan_pid()), what="the orphan has ended")
        self.assert_works()

    def test_a_stopped_supervisor(self):
        """The exit of a command that stops its supervisor is seen at once."""
        self.fleet.start_agent("pi-1", echo=1, toml=command("stops", self.orphan() + "kill -STOP $PPID; echo done"))
        began = time.monotonic()
        done = self.api.outcome(self.api.submit("command.stops", {}, max_attempts=1))
        self.assertEqual((done["state"], done["output"]["exit_code"]), ("succeeded", 0))
        self.assertLess(time.monotonic() - began, 5)
        wait_until(lambda: not runs(self.orphan_pid()), what="the orphan has ended")
        self.assert_works()

    def test_an_agent_is_stopped_meanwhile(self):
        """SIGTERM ends an agent whose command has stopped its supervisor and ignores SIGTERM."""
        ready = self.fleet.dir / "ready"
        script = self.orphan() + f"trap '' TERM; kill -STOP $PPID; echo > {ready}; while :; do sleep 1; done"
        agent = self.fleet.start_agent("pi-1", toml=command("stops", script))
        self.api.submit("command.stops", {}, max_attempts=1)
        wait_until(ready.exists, what="the command runs")
        began = time.monotonic()
        os.kill(agent.pid, signal.SIGTERM)
        wait_until(lambda: not runs(agent.pid), 15, "the agent has ended")
        self.assertLess(time.monotonic() - began, 10)
        self.assertFalse(runs(self.orphan_pid()))


class Surroundings(FleetCase):
    def test_umask(self):
        """Commands have the umask that the agent was started with; the agent's own files are private."""
        before = os.umask(0o027)
        try:
            self.fleet.start_agent("pi-1", toml=command("mask", "umask"))
        finally:
            os.umask(before)
        done = self.api.outcome(self.api.submit("command.mask", {}))
        self.assertEqual(done["output"]["stdout"]["text"], "0027\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.fleet.dir / "work-pi-1").st_mode), 0o700)

    def test_memory(self):
        """Another process of the agent's user cannot read its memory."""
        if os.getuid() == 0:
            if not os.access("/usr/bin/setpriv", os.X_OK):
                raise unittest.SkipTest("no setpriv")
            work = self.fleet.dir / "work-pi-1"
            os.chmod(self.fleet.dir, 0o755)
            work.mkdir(mode=0o700)
            os.chown(work, 65534, 65534)
            prefix = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        else:
            prefix = []
        agent = self.fleet.start("pi-1", [*prefix, *self.fleet.agent_command("pi-1", echo=1)])
        self.api.placeable("pi-1")
        self.assertNotEqual(os.stat(f"/proc/{agent.pid}").st_uid, 0, "it is not root")
        # Those of a dumpable process belong to its user.
        self.assertEqual(os.stat(f"/proc/{agent.pid}/environ").st_uid, 0)


class Folders(FleetCase):
    COORDINATOR = None

    def refused(self, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30, check=False,
                              stdin=subprocess.DEVNULL, env=clean_environment(), cwd=self.fleet.dir)
        self.assertNotEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_two_agents_in_one_folder(self):
        """A second agent in a work folder is refused, whatever either of them runs."""
        self.fleet.start_agent("pi-1", echo=1, wait=False)
        work = self.fleet.dir / "work-pi-1"
        wait_until(lambda: (work / "lock").exists(), what="the first agent runs")
        text = self.refused(BIN / "edgefleet-agent", "--name", "pi-2", "--broker", self.fleet.broker_url, "--echo", 1,
                            "--work", work)
        self.assertIn("give each agent its own with --work", text)

    def test_folders_of_others(self):
        """Work and data folders that are links, or that others can change, are refused by name."""
        real = self.fleet.dir / "real"
        real.mkdir(mode=0o700)
        (self.fleet.dir / "link").symlink_to(real)
        open_one = self.fleet.dir / "open"
        open_one.mkdir()
        open_one.chmod(0o777)
        cases = ((self.fleet.dir / "link", "is a symbolic link"), (open_one, "can be changed by other users"))
        for folder, why in cases:
            for program, option in (("edgefleet-agent", "--work"), ("edgefleet-coordinator", "--data")):
                text = self.refused(BIN / program, "--broker", self.fleet.broker_url, option, folder)
                self.assertIn(f"({option}) {why}", text)
        self.assertEqual(list(real.iterdir()) + list(open_one.iterdir()), [])


if __name__ == "__main__":
    sys.exit(unittest.main())

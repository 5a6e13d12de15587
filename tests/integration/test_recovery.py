"""Backup and restore of what a closed fleet is, its recovery key, and another certification authority (real programs)."""

import contextlib
import os
import pathlib
import pty
import re
import shutil
import signal
import sqlite3
import ssl
import subprocess
import unittest

from closed_broker import NOBODY
from closed_fleet import ClosedFleet
from mqtt5 import Refused
from support import BIN, SANITIZED, free_port, wait_until

AGENT = BIN / "edgefleet-agent"
COORDINATOR = BIN / "edgefleet-coordinator"


class RecoveryCase(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.key_file = self.fleet.root / "recovery.key"
        self.backup_folder = self.fleet.root / "backup"

    def begin(self):
        self.good(self.fleet.setup("--recovery-key-file", self.key_file))
        self.fleet.start_broker()
        self.fleet.start_coordinator()

    # ---- the commands

    def good(self, done, *words):
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        for word in words:
            self.assertIn(word, done.stdout)
        return done

    def bad(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout)
        for word in words:
            self.assertIn(word, done.stderr)

    def back_up(self, *options, to=None):
        return self.fleet.run(COORDINATOR, "backup", "--data", self.fleet.data, "--to", to or self.backup_folder, *options)

    def restore(self, *options, key=True, **more):
        given = ["--recovery-key-file", self.key_file] if key else []
        return self.fleet.run(COORDINATOR, "restore", "--data", self.fleet.data, "--from", self.backup_folder, *given,
                              *options, **more)

    def stop(self):
        self.fleet.coordinator.terminate()

    # ---- agents

    def join(self, name):
        token = self.fleet.admin.good("POST", "/api/v1/join-tokens", {})["token"]
        self.good(self.fleet.run(AGENT, "join", "--work", self.work(name), "--name", name, "--token-file", "-", input=token))
        return self.start_agent(name)

    def work(self, name):
        return self.fleet.root / f"work-{name}"

    def certificate(self, name):
        return self.work(name) / "identity/agent.crt", self.work(name) / "identity/agent.key"

    def start_agent(self, name, *options):
        agent = self.fleet.start(name, [AGENT, "--work", self.work(name), "--echo", "2", *options])
        return agent

    def online(self, name):
        wait_until(lambda: self.state_of(name) == "online", what=lambda: f"{name} is online; {self.fleet.coordinator.log()[-800:]}")

    def state_of(self, name):
        answer = self.fleet.admin.request("GET", f"/api/v1/agents/{name}")
        return answer.body.get("state") if answer.status == 200 else answer.status

    def works(self, name):
        self.online(name)
        done = self.fleet.admin.good("POST", "/api/v1/tasks",
                                     {"capability": "echo", "input": name, "where": {"agent": name}})
        ended = self.fleet.admin.good("GET", f"/api/v1/tasks/{done['id']}?wait=20")
        self.assertEqual((ended["state"], ended["output"]), ("succeeded", name))

    def is_out(self, name):
        """Neither the broker nor the coordinator takes its certificate."""
        answer = self.fleet.agents_caller(self.certificate(name)).request("GET", "/api/v1/crl")
        self.assertEqual(answer.status, 403, answer.body)
        with self.assertRaises((OSError, Refused)):
            self.fleet.agent_client(self.certificate(name)).ping()

    def crl(self, name):
        """The list as this agent gets it: its number, and the text of openssl."""
        pem = self.fleet.agents_caller(self.certificate(name)).good("GET", "/api/v1/crl")
        shown = subprocess.run(["openssl", "crl", "-noout", "-text", "-crlnumber"], input=pem, capture_output=True,
                               check=True).stdout.decode()
        return int(re.search(r"crlNumber=0x([0-9A-F]+)", shown).group(1), 16), shown

    def unknown(self):
        return [one["name"] for one in self.fleet.admin.good("GET", "/api/v1/unknown-agents")["unknown_agents"]]


class Restore(RecoveryCase):
    def setUp(self):
        super().setUp()
        self.begin()

    def test_an_old_backup_lets_nobody_back_in(self):
        fleet = self.fleet
        for name in ("pi-1", "pi-2"):
            self.join(name)
            self.online(name)
        phone, desk = fleet.access("phone", "observe"), fleet.access("desk", "observe")
        done = self.good(self.back_up(), "sealed for the recovery key")
        self.good(fleet.run(COORDINATOR, "check", "--data", self.backup_folder), done.stdout.split()[-1], "no problems")
        fleet.admin.good("POST", "/api/v1/agents/pi-1/revoke")
        fleet.admin.good("POST", "/api/v1/accesses/phone/revoke")
        number, _ = self.crl("pi-2")
        self.stop()
        self.bad(self.restore(), "is not empty; pass --force")
        done = self.good(self.restore("--force"), "stay revoked: pi-1", "are needed: phone")
        fleet.start_coordinator()
        self.works("pi-2")
        self.is_out("pi-1")
        self.assertEqual(self.state_of("pi-1"), 404)
        self.assertEqual(phone.request("GET", "/api/v1/agents").status, 401)
        self.assertEqual(desk.request("GET", "/api/v1/agents").status, 200)
        self.assertGreater(self.crl("pi-2")[0], number)
        self.nowhere(done.stdout + done.stderr)

    def test_a_coordinator_leaves_no_core_dump(self):
        limits = pathlib.Path(f"/proc/{self.fleet.coordinator.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+1\s+1\s")

    def nowhere(self, text):
        """The recovery key is in nothing that this fleet has written but its own file."""
        letters = self.key_file.read_text().strip().removeprefix("efr_").replace("-", "")
        groups = self.key_file.read_text().strip()
        for folder, _, names in os.walk(self.fleet.root):  # it goes on if one vanishes
            for path in (pathlib.Path(folder) / name for name in names):
                if path != self.key_file and path.is_file():
                    text += path.read_bytes().decode("latin-1")
        self.assertNotIn(groups, text)
        self.assertNotIn(letters, text)
        sealed = (self.backup_folder / "fleet.sealed").read_bytes()
        for plain in (b"PRIVATE KEY", b"BEGIN CERTIFICATE", b"SQLite format"):
            self.assertNotIn(plain, sealed)
        self.assertNotIn("ca", [path.name for path in self.backup_folder.iterdir()])

    def test_all_is_lost_and_restored_on_another_machine(self):
        """Only the backup and the recovery key are left; the agents go on once they know the address."""
        fleet = self.fleet
        agents = [self.join(name) for name in ("pi-1", "pi-2")]
        self.works("pi-1")
        admin = fleet.admin
        self.good(self.back_up())
        for process in (*agents, fleet.coordinator, fleet.watcher):
            process.terminate()
        shutil.rmtree(fleet.data)
        shutil.rmtree(fleet.root / "home", ignore_errors=True)
        fleet.data = fleet.root / "elsewhere"
        fleet.people_port, fleet.agents_port, fleet.broker_agents, fleet.broker_people = (free_port() for _ in range(4))
        self.good(self.restore(), "restored fleet home")
        self.good(fleet.setup("--host", "new-machine.local"), "elsewhere/broker", "new-machine.local")
        fleet.start_broker()
        fleet.start_coordinator()
        admin = fleet.caller(fleet.key_file.read_text().strip())
        self.assertEqual([one["name"] for one in admin.good("GET", "/api/v1/enrolled-agents")["enrolled_agents"]],
                         ["pi-1", "pi-2"])
        for name in ("pi-1", "pi-2"):
            self.start_agent(name, "--broker", f"mqtts://localhost:{fleet.broker_agents}", "--coordinator",
                             f"https://localhost:{fleet.agents_port}")
            self.works(name)
        # Its recovery key is that of before.
        self.good(self.back_up(to=fleet.root / "second"), "sealed for the recovery key")

    def test_agents_from_after_the_backup_wait_for_a_word(self):
        fleet = self.fleet
        self.good(self.back_up())
        agents = {name: self.join(name) for name in ("pi-1", "pi-2")}
        self.online("pi-1")
        self.stop()
        for name in ("access.db", "setup.json"):  # so that nobody knows them
            (fleet.data / name).unlink()
        shutil.rmtree(fleet.data / "broker/generations")
        self.good(self.restore("--force"))
        fleet.start_coordinator()
        for name, agent in agents.items():
            agent.terminate()
            agents[name] = self.start_agent(name)
        wait_until(lambda: self.unknown() == ["pi-1", "pi-2"], what=self.unknown)
        self.assertEqual(self.state_of("pi-1"), 404)
        listed = self.good(fleet.cli("agents", "unknown", home="home"), "pi-1", "agents readmit NAME")
        self.assertIn("127.0.0.1", listed.stdout)
        self.good(fleet.cli("agents", "readmit", "pi-1"), "pi-1  readmitted")
        # What it has said so far was not heard: its session is ended, and it says it again.
        self.works("pi-1")
        # The other one is not wanted.
        self.good(fleet.cli("agents", "revoke", "pi-2"), "pi-2  revoked")
        self.is_out("pi-2")
        self.assertEqual(self.unknown(), [])
        answer = fleet.admin.request("POST", "/api/v1/agents/pi-2/readmit")
        self.assertEqual(answer.status, 404, answer.body)

    def test_old_data_that_is_put_back_by_hand_is_older_than_the_list_that_the_broker_has_kept(self):
        fleet = self.fleet
        for name in ("pi-1", "pi-2"):
            self.join(name)
            self.online(name)
        phone = fleet.access("phone", "observe")
        reader = fleet.person_client("admin", fleet.admin.key)
        reader.subscribe("edgefleet/v1/home/coordinator/crl")
        self.stop()
        before = fleet.root / "before"
        self.copy(fleet.data, before)
        fleet.start_coordinator()
        fleet.admin.good("POST", "/api/v1/agents/pi-1/revoke")
        fleet.admin.good("POST", "/api/v1/accesses/phone/revoke")
        number, shown = self.crl("pi-2")
        kept = []
        wait_until(lambda: kept.extend(payload.decode() for _, payload, _ in reader.taken()) or any(self.serials(pem) == self.serials(shown) for pem in kept),
                   what=lambda: kept)
        self.stop()
        # The broker runs on, and its folder is the old one too.
        for name in ("access.db", "broker/generations"):
            shutil.rmtree(fleet.data / name) if (fleet.data / name).is_dir() else (fleet.data / name).unlink()
            self.copy(before / name, fleet.data / name)
        current, old = fleet.data / "broker/current", os.readlink(before / "broker/current")
        current.unlink()
        current.symlink_to(old)
        fleet.start_coordinator()
        wait_until(lambda: "was revoked after the time of this data" in fleet.coordinator.log(),
                   what=fleet.coordinator.log)
        wait_until(lambda: self.state_of("pi-1") == 404)
        # Until then the broker may still take the old files, which know of no revocation.
        wait_until(lambda: fleet.broker_state().get("generation", "").split("-")[0] == os.path.basename(os.readlink(current)) !=
                   os.path.basename(old), what=lambda: (fleet.broker_state(), old, os.readlink(current), fleet.coordinator.log()))
        wait_until(lambda: self.refused_by_the_broker("pi-1"), what=fleet.coordinator.log)
        self.is_out("pi-1")
        self.assertEqual(phone.request("GET", "/api/v1/agents").status, 401)
        self.works("pi-2")
        self.assertGreater(self.crl("pi-2")[0], number)

    def refused_by_the_broker(self, name):
        try:
            self.fleet.agent_client(self.certificate(name)).ping()
        except (OSError, Refused):
            return True
        return False

    def serials(self, text):
        if "BEGIN X509 CRL" in text:
            text = subprocess.run(["openssl", "crl", "-noout", "-text"], input=text, capture_output=True, text=True).stdout
        return re.findall(r"Serial Number: (\w+)", text)

    def copy(self, source, target):
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("run"))
        else:
            shutil.copy2(source, target)
        for path in (target, *target.rglob("*")):
            if self.fleet.user:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def test_the_wrong_key_a_mistake_and_a_changed_backup_change_nothing(self):
        self.join("pi-1")
        self.good(self.back_up())
        self.stop()
        before = self.state()
        text = self.key_file.read_text()
        mistake = text[:6] + ("b" if text[6] != "b" else "c") + text[7:]
        other = self.fleet.root / "other.key"
        self.good(self.fleet.setup("--new-recovery-key", "--recovery-key-file", other), "Backups made before need")
        before = self.state()
        for key, words in ((mistake, "typing mistake"), ("efr_x", "not a recovery key"), ("\n", "no secret"),
                           (other.read_text(), "is sealed for the recovery key with the id")):
            done = self.restore("--force", "--recovery-key-file", "-", key=False, input=key)
            self.bad(done, words)
            if key.strip():
                self.assertNotIn(key.strip(), done.stderr)
        self.bad(self.restore("--force", key=False, stdin=subprocess.DEVNULL), "there is no terminal", "--tasks-only")
        sealed = self.backup_folder / "fleet.sealed"
        whole = sealed.read_bytes()
        for content, words in ((whole[:-1], "damaged"), (whole[:40], "cut off"), (b"", "cut off"),
                               (whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], "damaged")):
            sealed.write_bytes(content)
            self.bad(self.restore("--force"), words)
        self.assertEqual(self.fleet.run(COORDINATOR, "check", "--data", self.backup_folder).returncode, 0)
        sealed.write_bytes(b"")
        checked = self.fleet.run(COORDINATOR, "check", "--data", self.backup_folder)
        self.assertEqual((checked.returncode, "cut off" in checked.stdout), (1, True), checked.stdout)
        sealed.write_bytes(whole)
        self.assertEqual(self.state(), before)
        self.good(self.restore("--force", "--recovery-key-file", "-", key=False, input=text.upper()))

    def state(self):
        """What a restore would change."""
        return {path.relative_to(self.fleet.data): path.read_bytes() for path in self.fleet.data.rglob("*")
                if path.is_file() and path.name in ("ca.crt", "ca.key", "access.db", "setup.json", "recovery.pub")}

    def test_only_the_tasks(self):
        fleet = self.fleet
        self.good(self.back_up("--tasks-only"))
        self.assertFalse((self.backup_folder / "fleet.sealed").exists())
        phone = fleet.access("phone", "observe")
        self.stop()
        self.good(self.restore("--force", key=False), "the present ones stay as they are")
        fleet.start_coordinator()
        self.assertEqual(phone.request("GET", "/api/v1/agents").status, 200)
        done = self.back_up(to=fleet.root / "tasks.db")
        self.assertIn("NO certification authority", self.good(done).stderr)


class RecoveryKey(RecoveryCase):
    def test_without_one_the_backup_says_loudly_what_it_lacks(self):
        done = self.good(self.fleet.setup())
        self.assertIn("no recovery key was made", done.stderr)
        self.fleet.start_broker()
        self.fleet.start_coordinator()
        done = self.good(self.back_up(), "without the certification authority and the accesses")
        self.assertIn("WARNING: this backup has NO certification authority and NO accesses", done.stderr)
        self.stop()
        self.good(self.fleet.setup("--recovery-key-file", self.key_file), "The recovery key has the id")
        self.assertEqual(self.key_file.stat().st_mode & 0o777, 0o600)
        text = self.key_file.read_text()
        self.assertNotIn("recovery", self.good(self.fleet.setup("--recovery-key-file", self.key_file)).stdout)
        self.assertEqual(self.key_file.read_text(), text)
        self.good(self.back_up(to=self.fleet.root / "second"), "sealed for the recovery key")
        self.bad(self.fleet.setup("--new-recovery-key", "--recovery-key-file", self.key_file), "older backups need")

    def on_a_terminal(self, *command, typed=""):
        """What the command writes to a terminal, and its exit code."""
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.fleet.root / "home")}
        child, terminal = pty.fork()
        if child == 0:
            try:
                if self.fleet.user:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                os.chdir("/")
                os.execve(str(command[0]), [str(part) for part in command], environment)
            finally:
                os._exit(99)
        shown = b""
        try:
            while True:
                shown += os.read(terminal, 4096)
                if typed and shown.endswith(b": "):
                    os.write(terminal, typed.encode())
                    typed = ""
        except OSError:  # the end
            pass
        os.close(terminal)
        return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_on_a_terminal_it_is_shown_once_and_asked_for_without_echo(self):
        fleet = self.fleet
        setup = [COORDINATOR, "setup", "--data", fleet.data, "--host", "localhost", "--people-listen",
                 f"127.0.0.1:{fleet.people_port}", "--agents-listen", f"127.0.0.1:{fleet.agents_port}"]
        shown, code = self.on_a_terminal(*setup)
        self.assertEqual(code, 0, shown)
        keys = re.findall(r"efr_[a-z2-9-]{39}", shown)
        self.assertEqual(len(keys), 1, shown)
        again, code = self.on_a_terminal(*setup)
        self.assertEqual((code, re.findall(r"efr_", again)), (0, []))
        coordinator = fleet.start("once", [COORDINATOR, "--data", fleet.data])
        wait_until(lambda: "HTTP API on" in coordinator.log(), what=coordinator.log)
        self.good(self.back_up())
        coordinator.terminate()
        restore = [COORDINATOR, "restore", "--data", fleet.data, "--from", self.backup_folder, "--force"]
        shown, code = self.on_a_terminal(*restore, typed=keys[0] + "\n")
        self.assertEqual(code, 0, shown)
        self.assertIn("Recovery key (efr_..., id ", shown)
        self.assertNotIn(keys[0], shown)


class NewAuthority(RecoveryCase):
    def setUp(self):
        super().setUp()
        self.begin()

    def test_all_agents_join_anew_and_accesses_stay(self):
        fleet = self.fleet
        agent = self.join("pi-1")
        self.online("pi-1")
        desk = fleet.access("desk", "observe").key
        before = fleet.ca.read_text()
        self.stop()
        plan = self.good(fleet.setup("--new-ca", "--dry-run"), "1 agent has a certificate", "pi-1", "2 accesses stay")
        self.bad(fleet.run(COORDINATOR, "setup", "--data", fleet.data, "--new-ca", stdin=subprocess.DEVNULL), "pass --yes")
        self.assertEqual(fleet.ca.read_text(), before)
        done = self.good(fleet.setup("--new-ca", "--yes"))
        self.assertIn(plan.stdout.split("would make this, too. ")[1].splitlines()[1], done.stdout)
        self.assertNotEqual(fleet.ca.read_text(), before)
        wait_until(lambda: fleet.broker_state().get("broker") == "running", what=fleet.broker_state)
        fleet.start_coordinator()
        self.assertEqual(fleet.caller(desk).request("GET", "/api/v1/agents").status, 200)
        self.assertEqual(fleet.admin.good("GET", "/api/v1/enrolled-agents")["enrolled_agents"], [])
        # The account that has run setup knows the new authority.
        self.good(fleet.cli("access", "list"), "desk")
        # The old certificate opens nothing, and its agent says why.
        with self.assertRaises((ssl.SSLError, OSError)):
            fleet.agents_caller(self.certificate("pi-1")).request("GET", "/api/v1/crl")
        wait_until(lambda: "authority" in agent.log(), what=agent.log)
        agent.terminate()
        token = fleet.admin.good("POST", "/api/v1/join-tokens", {})["token"]
        self.good(fleet.run(AGENT, "join", "--again", "--work", self.work("pi-1"), "--name", "pi-1", "--token-file", "-",
                            input=token))
        self.start_agent("pi-1")
        self.works("pi-1")

    def test_a_key_of_the_authority_that_is_gone_or_damaged(self):
        fleet = self.fleet
        self.stop()
        for damage in ((lambda path: path.write_text("rubbish")), (lambda path: path.unlink())):
            damage(fleet.data / "ca/ca.key")
            self.bad(fleet.setup(), "--new-ca")
            self.good(fleet.setup("--new-ca", "--yes"))
        fleet.start_coordinator()
        self.join("pi-1")
        self.works("pi-1")

    def test_a_name_that_the_authority_may_not_certify(self):
        self.stop()
        self.bad(self.fleet.setup("--host", "fleet.example.org"), "fleet.example.org is outside", "--new-ca")
        self.good(self.fleet.setup("--host", "fleet.example.org", "--new-ca", "--yes"), "fleet.example.org")


@unittest.skipIf(SANITIZED, "the library that ends the program cannot be loaded before a sanitizer")
class Killed(RecoveryCase):
    """A run that is killed at each of its steps, and the next one."""

    def setUp(self):
        super().setUp()
        self.begin()

    def steps(self, run):
        for number in range(1, 400):
            done = run({"LD_PRELOAD": str(BIN / "libkill_at.so"), "KILL_AT": str(number)})
            if done.returncode != -signal.SIGKILL:
                self.good(done)
                return number - 1
        self.fail("it never ends")

    def keep(self, name):
        shutil.copytree(self.fleet.data, self.fleet.root / name, symlinks=True, ignore=shutil.ignore_patterns("run"))
        self.own(self.fleet.root / name)

    def take(self, name):
        shutil.rmtree(self.fleet.data)
        shutil.copytree(self.fleet.root / name, self.fleet.data, symlinks=True)
        self.own(self.fleet.data)

    def own(self, folder):
        if self.fleet.user:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def run_with(self, environment, *command):
        """As ClosedFleet.run, with an environment."""
        return self.fleet.run("/usr/bin/env", *(f"{name}={value}" for name, value in environment.items()), *command)

    def nobody_is_back(self, phone):
        fleet = self.fleet
        self.good(fleet.setup())
        self.assertEqual(list(fleet.data.glob("restoring*")), [])
        fleet.coordinator = fleet.start("coordinator", [COORDINATOR, "--data", fleet.data])
        wait_until(self.listens, what=fleet.coordinator.log)
        self.assertEqual(fleet.caller(phone).request("GET", "/api/v1/agents").status, 401)
        self.assertEqual(fleet.agents_caller(self.certificate("pi-1")).request("GET", "/api/v1/crl").status, 403)
        self.stop()

    def listens(self):
        try:
            return self.fleet.caller().request("GET", "/health").status == 200
        except OSError:
            return False

    def test_a_restore(self):
        fleet = self.fleet
        self.join("pi-1").terminate()
        phone = fleet.access("phone", "observe").key
        self.good(self.back_up())
        fleet.admin.good("POST", "/api/v1/agents/pi-1/revoke")
        fleet.admin.good("POST", "/api/v1/accesses/phone/revoke")
        self.stop()
        fleet.watcher.terminate()
        shutil.rmtree(fleet.data / "broker/generations")  # only the present database knows who was revoked
        self.keep("before")
        with contextlib.closing(sqlite3.connect(fleet.data / "access.db")) as db:
            self.number = db.execute("SELECT value FROM numbers WHERE name = 'crl'").fetchone()[0]
        refused = rounds = 0

        def run(environment):
            nonlocal refused, rounds
            self.take("before")
            command = [COORDINATOR, "restore", "--data", fleet.data, "--from", self.backup_folder, "--force",
                       "--recovery-key-file", self.key_file]
            done = self.run_with(environment, *command)
            if done.returncode != 0:
                if (fleet.data / "restoring").exists():
                    self.bad(fleet.run(COORDINATOR, "--data", fleet.data), "a restore of", "was interrupted")
                    self.bad(fleet.setup(), "was interrupted")
                    refused += 1
                self.good(fleet.run(*command))
            with contextlib.closing(sqlite3.connect(fleet.data / "access.db")) as db:
                self.assertEqual(db.execute("SELECT name FROM agents").fetchall(), [])
                self.assertEqual(db.execute("SELECT name FROM accesses ORDER BY name").fetchall(), [("admin",)])
                number = db.execute("SELECT value FROM numbers WHERE name = 'crl'").fetchone()[0]
                self.assertGreater(number, self.number)
            rounds += 1
            if rounds % 8 == 1:
                self.nobody_is_back(phone)
            return done

        self.assertGreater(self.steps(run), 25)
        self.assertGreater(refused, 5)

    def test_another_authority(self):
        fleet = self.fleet
        self.join("pi-1").terminate()
        self.stop()
        fleet.watcher.terminate()
        self.keep("before")
        old = fleet.ca.read_text()

        def run(environment):
            self.take("before")
            command = [COORDINATOR, "setup", "--data", fleet.data, "--new-ca", "--yes"]
            done = self.run_with(environment, *command)
            if done.returncode != 0:
                begun = (fleet.data / "ca.new/ca/ca.crt").exists()
                if begun:
                    self.bad(fleet.run(COORDINATOR, "--data", fleet.data), "was interrupted")
                # Without --new-ca: what was begun is completed, what was not is not begun.
                self.good(fleet.setup())
                if begun:
                    self.assertNotEqual(fleet.ca.read_text(), old)
            self.assertFalse((fleet.data / "ca.new").exists())
            self.good(fleet.setup())
            return done

        self.assertGreater(self.steps(run), 10)

    def test_a_recovery_key(self):
        fleet = self.fleet
        self.stop()
        fleet.watcher.terminate()
        (fleet.data / "recovery.pub").unlink()
        self.keep("before")
        key_file = fleet.root / "second.key"

        def run(environment):
            self.take("before")
            key_file.unlink(missing_ok=True)
            command = [COORDINATOR, "setup", "--data", fleet.data, "--recovery-key-file", key_file]
            done = self.run_with(environment, *command)
            if done.returncode != 0:
                self.good(fleet.run(*command))
            coordinator_data = fleet.run(COORDINATOR, "backup", "--data", fleet.data, "--to", self.backup_folder)
            self.good(coordinator_data, "sealed")
            self.good(fleet.run(COORDINATOR, "restore", "--data", fleet.data, "--from", self.backup_folder, "--force",
                                "--recovery-key-file", key_file))
            shutil.rmtree(self.backup_folder)
            return done

        self.assertGreater(self.steps(run), 4)


if __name__ == "__main__":
    unittest.main()

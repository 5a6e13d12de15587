"""A whole life of a fleet leaves its secrets in their own files only (real programs)."""

import base64
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import unittest
import unittest.mock

from closed_fleet import ClosedFleet
from support import BIN, wait_until

HOME = "edgefleet/v1/home/"

# Where a secret may be: its own files, each for its owner only.
OWN_FILES = re.compile(r"(^|/)(admin\.key|logins\.json|mosquitto_sub|ca\.key|canary\.access|server\.key|[a-z0-9-]+\.key)$")


class Watch:
    """Reads the command lines and environments of all processes of the test again and again, as `ps` does."""

    def __init__(self):
        self.seen = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.02):
            for entry in pathlib.Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    command = (entry / "cmdline").read_bytes()
                    if b"edgefleet" not in command and b"mosquitto" not in command:
                        continue
                    self.seen[entry.name, command, (entry / "environ").read_bytes()] = True
                except OSError:
                    continue

    def stop(self):
        self.over.set()
        self.thread.join()
        return [(command, environment) for _, command, environment in self.seen]


class Secrets(unittest.TestCase):
    def test_a_whole_life_of_a_fleet(self):
        fleet = ClosedFleet()
        self.addCleanup(fleet.end)
        watch = Watch()
        said = []  # all that programs print

        def run(*command, secret_output=False, **options):
            done = fleet.run(*command, **options)
            self.assertEqual(done.returncode, 0, done.stderr)
            said.append(done.stderr if secret_output else done.stdout + done.stderr)
            return done

        def cli(*arguments, **options):
            return run(BIN / "edgefleet", *arguments, **options)

        done = fleet.setup()
        self.assertEqual(done.returncode, 0, done.stderr)
        said.append(done.stdout + done.stderr)
        fleet.start_broker()
        fleet.start_coordinator("--log-level", "debug")
        secrets = {"the admin's key": fleet.key_file.read_text().strip()}

        # People: an access, a login on another machine, a rotation, an access at the broker.
        secrets["a key"] = cli("access", "create", "phone", "--role", "submit", secret_output=True).stdout.strip()
        cli("login", f"https://localhost:{fleet.people_port}#" + self.fingerprint(fleet), input=secrets["a key"] + "\n",
            home="phone")
        secrets["a rotated key"] = cli("access", "rotate", "phone", "--overlap", "1h", secret_output=True).stdout.strip()
        line = cli("mqtt").stdout
        options = (fleet.root / line.split()[0].split("=")[1] / "mosquitto_sub").read_text()
        secrets["a key at the broker"] = re.search(r"^-P (\S+)$", options, re.M)[1]
        fleet.caller(secrets["a key"]).good("GET", "/api/v1/access")
        wrong = "ef_" + "a" * 10 + "_" + "b" * 52
        secrets["a wrong key"] = wrong
        self.assertEqual(fleet.caller(wrong).request("GET", "/api/v1/tasks").status, 401)
        self.assertEqual(fleet.caller().request("GET", f"/api/v1/tasks?key={secrets['a key']}").status, 401)

        # Machines: with a token by standard input, by a file, by an argument and by the environment.
        ways = {}
        for name in ("pi-1", "pi-2", "pi-3", "pi-4"):
            token = cli("join-token", "create", "--name", name, secret_output=True).stdout.strip()
            ways[name] = token
            secrets[f"the token of {name}"] = token
            secrets[f"the secret of {name}'s token"] = fleet.secret_of(token)
        joins = {"pi-1": (["--token-file", "-"], {"input": ways["pi-1"]}), "pi-2": (["--token-file", fleet.root / "token"], {}),
                 "pi-3": (["--token", ways["pi-3"]], {}), "pi-4": ([], {})}
        (fleet.root / "token").write_text(ways["pi-2"])
        if fleet.user:
            os.chown(fleet.root / "token", fleet.user["user"], fleet.user["group"])
        for name, (arguments, options) in joins.items():
            with unittest.mock.patch.dict(os.environ, {} if arguments else {"EDGEFLEET_JOIN_TOKEN": ways[name]}):
                run(BIN / "edgefleet-agent", "join", "--work", fleet.root / f"w-{name}", "--name", name, *arguments, **options)
        (fleet.root / "token").unlink()
        agent = fleet.start("pi-1", [BIN / "edgefleet-agent", "--work", fleet.root / "w-pi-1", "--echo", "1", "--log-level",
                                     "debug"])
        wait_until(lambda: "pi-1" in cli("agents").stdout, what=agent.log)
        cli("submit", "echo", '"hello"', "--wait")
        reader = subprocess.run(line.strip() + " -W 2", shell=True, capture_output=True, timeout=60, cwd="/")
        topics = reader.stdout
        self.assertIn(b"coordinator/status", topics)
        cli("agents", "revoke", "pi-2")
        cli("access", "revoke", "phone")
        audit = cli("audit", "--limit", "100", "--json").stdout
        self.assertIn("access.rotate", audit)
        cli("access", "list", "--json")
        cli("join-token", "list", "--json")

        # No core dump of the coordinator, whatever the limit of its parent is.
        limits = pathlib.Path(f"/proc/{fleet.coordinator.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +1 +1 ")
        fleet.coordinator.signal(signal.SIGTERM)
        fleet.coordinator.wait(20)
        agent.terminate()
        time.sleep(0.2)
        for path in (fleet.data / "ca/ca.key", fleet.root / "w-pi-1/identity/agent.key", fleet.data / "tls/coordinator.key"):
            secrets[str(path)] = path.read_text().splitlines()[1]  # of base64
        secrets["the canary's key"] = (fleet.data / "tls/canary.access").read_text().split()[0]

        # ---- nowhere else
        processes = watch.stop()
        self.assertGreater(len(processes), 10)
        for what, secret in secrets.items():
            forms = {secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")[:-2]}
            with self.subTest(secret=what):
                self.assertGreater(len(secret), 20)
                for text in said:
                    self.assertNotIn(secret, text)
                self.assertFalse(any(form in topics for form in forms), "in a topic")
                # A token may come by argument or environment, and is erased before anything else is done.
                if "pi-3" not in what and "pi-4" not in what:
                    self.assertEqual([c for c, e in processes if any(form in c + e for form in forms)], [])
                found = [path for path in fleet.root.rglob("*") if path.is_file() and not path.is_symlink()
                         and any(form in path.read_bytes() for form in forms)]
                if what.startswith("the admin") or what.endswith(".key"):
                    self.assertTrue(found)  # so that this search finds what there is
                for path in found:
                    self.assertRegex(str(path), OWN_FILES)
                    if path.name != "server.key":  # the broker's, whose group may read it
                        self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_a_token_on_the_command_line_or_in_the_environment_is_gone_at_once(self):
        fleet = ClosedFleet()
        self.addCleanup(fleet.end)
        fleet.begin()
        for kind in ("argument", "environment"):
            with self.subTest(kind):
                # It cannot reach anybody, and tries for a while.
                token = fleet.admin.good("POST", "/api/v1/join-tokens", {"uses": 1})["token"]
                fleet.coordinator.signal(signal.SIGSTOP)
                command = [BIN / "edgefleet-agent", "join", "--work", fleet.root / f"w-{kind}",
                           *(["--token", token] if kind == "argument" else [])]
                environment = dict(os.environ)
                if kind == "environment":
                    environment["EDGEFLEET_JOIN_TOKEN"] = token
                with subprocess.Popen([str(part) for part in command], env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, cwd="/", **fleet.user) as joining:
                    self.assertIn(b"joining at", joining.stdout.readline())
                    proc = pathlib.Path(f"/proc/{joining.pid}")
                    seen = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
                    self.assertNotIn(token.encode(), seen)
                    self.assertNotIn(fleet.secret_of(token).encode(), seen)
                    fleet.coordinator.signal(signal.SIGCONT)
                    joining.wait(30)

    @staticmethod
    def fingerprint(fleet):
        import hashlib
        import ssl
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(fleet.ca.read_text())).hexdigest()


if __name__ == "__main__":
    unittest.main()

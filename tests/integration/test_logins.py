"""`edgefleet login` and the commands for accesses, tokens and joining, against a real coordinator after setup."""

import hashlib
import http.server
import json
import os
import pty
import select
import signal
import ssl
import stat
import threading
import unittest

from closed_broker import Authority
from closed_fleet import ClosedFleet
from support import BIN, wait_until


class Rubbish:
    """A TLS server with a CA of its own, which answers everything but its CA with `body`."""

    def __init__(self, folder):
        authority = Authority(folder)
        ca = (authority.folder / "ca.crt").read_bytes()
        self.status, self.body = 200, b""
        rubbish = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = (200, ca) if self.path == "/api/v1/ca" else (rubbish.status, rubbish.body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *arguments: None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca.decode())).hexdigest()
        self.address = f"https://127.0.0.1:{self.server.server_address[1]}#{fingerprint}"

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class LoginCase(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()
        self.url = f"https://localhost:{self.fleet.people_port}"
        der = ssl.PEM_cert_to_DER_cert(self.fleet.ca.read_text())
        self.fingerprint = hashlib.sha256(der).hexdigest()

    def good(self, *arguments, **options):
        done = self.fleet.cli(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def bad(self, code, words, *arguments, **options):
        done = self.fleet.cli(*arguments, **options)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        self.assertIn(words, done.stderr)
        return done


class Logins(LoginCase):
    def test_who_ran_setup_is_logged_in(self):
        self.assertIn("no agent", self.good("agents").stdout)
        folder = self.fleet.root / "home/edgefleet"
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        for path in folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        # A second run finds the login, and leaves the key alone.
        key = json.loads((folder / "logins.json").read_text())["logins"][0]["key"]
        self.fleet.coordinator.terminate()
        self.assertEqual(self.fleet.setup().returncode, 0)
        self.assertEqual(json.loads((folder / "logins.json").read_text())["logins"][0]["key"], key)
        # Where the login was lost, the file has the key; without it there is a new one, and the old one stays for others.
        (folder / "logins.json").unlink()
        self.assertEqual(self.fleet.setup().returncode, 0)
        self.assertEqual(json.loads((folder / "logins.json").read_text())["logins"][0]["key"], key)
        (folder / "logins.json").unlink()
        self.fleet.key_file.unlink()
        self.assertEqual(self.fleet.setup().returncode, 0)
        self.assertNotEqual(json.loads((folder / "logins.json").read_text())["logins"][0]["key"], key)
        self.fleet.start_coordinator()
        self.good("agents")
        self.assertEqual(self.fleet.caller(key).request("GET", "/api/v1/agents").status, 200)

    def test_login_with_the_line_that_access_create_prints(self):
        made = self.good("access", "create", "laptop", "--role", "observe")
        key = made.stdout.strip()
        self.assertTrue(key.startswith("ef_"))
        line = next(line for line in made.stderr.splitlines() if "edgefleet login" in line)
        address = line.split()[-1]
        self.assertEqual(address, f"{self.url}#{self.fingerprint}")
        self.assertIn(f"{self.url}/v1", made.stderr)
        done = self.good("login", address, input=key + "\n", home="laptop")
        self.assertIn("as laptop, role observe", done.stdout)
        self.good("agents", home="laptop")
        self.bad(3, "needs admin", "access", "list", home="laptop")
        self.assertNotIn(key, done.stdout + done.stderr)
        self.good("access", "revoke", "laptop")
        self.bad(3, f"log in with `edgefleet login {self.url}`", "agents", home="laptop")
        self.good("logout", home="laptop")
        self.bad(2, "there is no login", "logout", home="laptop")

    def test_a_wrong_fingerprint_and_no_fingerprint(self):
        key = self.fleet.key_file.read_text()
        wrong = "0" * 64
        done = self.bad(3, "The key was not sent", "login", f"{self.url}#{wrong}", input=key, home="new")
        self.assertIn(self.fingerprint, done.stderr)
        done = self.bad(2, "pass the fingerprint", "login", self.url, input=key, home="new")
        self.assertIn(f"{self.url}#{self.fingerprint}", done.stderr)
        self.bad(3, "not, or no longer", "login", f"{self.url}#{self.fingerprint}",
                 input="ef_" + "a" * 10 + "_" + "b" * 52, home="new")
        # A login that fails leaves the one that is there.
        self.bad(3, "not, or no longer", "login", f"{self.url}#{self.fingerprint}",
                 input="ef_" + "a" * 10 + "_" + "b" * 52)
        self.good("agents")
        self.bad(2, "not the key of an access", "login", f"{self.url}#{self.fingerprint}", input="secret", home="new")
        self.bad(2, "HOST:PORT#FINGERPRINT", "login", "http://localhost:1", input=key, home="new")
        self.assertFalse((self.fleet.root / "new/edgefleet/logins.json").exists() and
                         json.loads((self.fleet.root / "new/edgefleet/logins.json").read_text())["logins"])

    def test_a_server_in_between_gets_no_key(self):
        authority = Authority(self.fleet.root / "other")
        seen = []
        ca = self.fleet.ca.read_bytes()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, self.headers.get("Authorization")))
                self.send_response(200)
                self.send_header("Content-Length", str(len(ca)))
                self.end_headers()
                self.wfile.write(ca)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *arguments: None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        # It has the fleet's CA, which is public, and no certificate of it.
        self.bad(3, "", "login", f"https://127.0.0.1:{server.server_address[1]}#{self.fingerprint}",
                 input=self.fleet.key_file.read_text(), home="new")
        self.assertEqual(seen, [("/api/v1/ca", None)])

    def test_accesses(self):
        self.good("access", "create", "phone", "--role", "chat", "--models", "deepseek*", "--expires", "90d")
        key = json.loads(self.good("access", "create", "cron", "--role", "submit", "--capabilities", "echo,command.*",
                                   "--json").stdout)["key"]
        listed = self.good("access", "list").stdout
        for word in ("phone", "deepseek*", "cron", "echo, command.*", "admin"):
            self.assertIn(word, listed)
        self.bad(3, "is taken", "access", "create", "cron", "--role", "submit")
        self.bad(2, "observe,chat,submit,operate,admin", "access", "create", "x", "--role", "boss")
        self.bad(2, "not valid", "access", "create", "a b", "--role", "chat")
        rotated = self.good("access", "rotate", "cron", "--overlap", "1h")
        self.assertIn("60 min more", rotated.stderr)
        for each in (key, rotated.stdout.strip()):
            self.assertEqual(self.fleet.caller(each).good("GET", "/api/v1/access")["name"], "cron")
        self.assertIn("cron  revoked", self.good("access", "revoke", "cron").stdout)
        self.bad(3, "no access named cron", "access", "revoke", "cron")
        audit = self.good("audit", "--limit", "3").stdout
        self.assertIn("access.revoke", audit)
        self.assertNotIn("setup", audit)

    def test_who_rotates_the_own_key_goes_on_with_the_new_one(self):
        old = self.fleet.key_file.read_text().strip()
        new = self.good("access", "rotate", "admin").stdout.strip()
        self.assertNotEqual(new, old)
        self.good("access", "list")
        self.assertEqual(self.fleet.caller(old).request("GET", "/api/v1/agents").status, 401)
        # One that rotates another's key keeps its own.
        self.good("access", "create", "cron", "--role", "submit")
        self.good("access", "rotate", "cron")
        self.good("access", "list")

    def test_a_person_compares_the_fingerprint_and_types_the_key_unseen(self):
        key = self.fleet.key_file.read_text().strip()
        for word, code in (("no", 3), ("yes", 0)):
            with self.subTest(answer=word):
                said, status = self.at_a_terminal(["login", self.url], {"[y/N]": word, "Key (ef_...):": key})
                self.assertEqual(status, code, said)
                self.assertIn(self.fingerprint[:4], said)
                self.assertNotIn(key, said)

    def at_a_terminal(self, arguments, answers):
        home = self.fleet.root / "typed"
        home.mkdir(exist_ok=True)
        child, terminal = pty.fork()
        if child == 0:
            os.execve(BIN / "edgefleet", ["edgefleet", *arguments], {"XDG_CONFIG_HOME": str(home)})
        said, left = "", dict(answers)
        while True:
            if not select.select([terminal], [], [], 30)[0]:
                os.kill(child, signal.SIGKILL)
            try:
                piece = os.read(terminal, 4096).decode()
            except OSError:  # the other end is closed
                break
            said += piece
            for question in [one for one in left if one in said]:
                os.write(terminal, (left.pop(question) + "\n").encode())
        os.close(terminal)
        return said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_rubbish_of_a_server_is_an_error_and_not_a_crash(self):
        other = Rubbish(self.fleet.root / "other")
        self.addCleanup(other.end)
        other.body = json.dumps({"name": "x", "role": "admin"}).encode()
        self.good("login", other.address, input="ef_x", home="rubbish")
        commands = (["access", "list"], ["access", "create", "a", "--role", "chat"], ["access", "rotate", "a"],
                    ["access", "revoke", "a"], ["join-token", "create"], ["join-token", "list"],
                    ["join-token", "revoke", "a"], ["agents", "waiting"], ["agents", "accept", "a"], ["mqtt"],
                    ["mqtt", "--", "-t", "x"], ["audit"], ["login", other.address])
        bodies = (b"", b"\xff\x00", b"[]", b"{}", b"null", b'{"accesses":7,"join_tokens":"x","entries":{"a":[1]}}',
                  b'{"name":{},"key":[1],"mqtt":[],"token":1,"expires_at":-1,"uses":-5}',
                  json.dumps({"name": "\x1b[2J\n", "key": "a\n-h evil", "token": "\x1b]0;x\x07", "role": "\x1b[2J",
                              "mqtt": {"host": "-h\nx", "port": 1e99, "root": "\x1b"},
                              "accesses": [{"name": "\x1b[2J", "models": [1, None]}]}).encode())
        for other.status in (200, 401, 500):
            for other.body in bodies:
                for command in commands:
                    with self.subTest(status=other.status, body=other.body, command=command):
                        done = self.fleet.cli(*command, input="ef_x", home="rubbish")
                        self.assertIn(done.returncode, (0, 2, 3), done.stderr)
                        self.assertNotIn("unexpected", done.stderr)
                        self.assertNotIn("\x1b", done.stdout + done.stderr)

    def test_tokens_and_joining(self):
        made = self.good("join-token", "create", "--name", "pi-1")
        self.assertIn("edgefleet-agent join --token-file -", made.stderr)
        listed = self.good("join-token", "list").stdout
        self.assertIn("pi-1", listed)
        joined = self.fleet.run(BIN / "edgefleet-agent", "join", "--work", self.fleet.root / "w", "--token-file", "-",
                                input=made.stdout)
        self.assertEqual(joined.returncode, 0, joined.stderr)
        agent = self.fleet.start("pi-1", [BIN / "edgefleet-agent", "--work", self.fleet.root / "w", "--echo", "1"])
        wait_until(lambda: "pi-1" in self.good("agents").stdout, what=agent.log)
        self.assertEqual(self.good("submit", "echo", '"hello"', "--wait").stdout.strip().strip('"'), "hello")
        self.assertIn("no machine waits", self.good("agents", "waiting").stdout)
        self.bad(3, "no machine that waits", "agents", "accept", "abcd-efgh")
        self.assertIn("pi-1  revoked", self.good("agents", "revoke", "pi-1").stdout)
        self.bad(3, "not enrolled", "agents", "revoke", "pi-1")
        unused = json.loads(self.good("join-token", "create", "--json").stdout)
        self.assertIn("revoked", self.good("join-token", "revoke", unused["id"]).stdout)
        self.bad(3, "no join token", "join-token", "revoke", unused["id"])


class Mqtt(LoginCase):
    def test_two_terminals_read_the_broker_at_once(self):
        root = "edgefleet/v1/home/"
        printed = self.good("mqtt")
        line = printed.stdout.strip()
        self.assertIn(f"mosquitto_sub -v -t '{root}#'", line)
        folder = line.split()[0].split("=")[1]
        options = self.fleet.root / folder / "mosquitto_sub"
        self.assertEqual(stat.S_IMODE(options.stat().st_mode), 0o600)
        key = next(text for text in options.read_text().splitlines() if text.startswith("-P ")).split()[1]
        self.assertNotIn(key, printed.stdout + printed.stderr)
        got = []
        readers = [threading.Thread(target=lambda: got.append(
            self.fleet.cli("mqtt", "--", "-t", "coordinator/status", "-C", "1", "-W", "20"))) for _ in range(2)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        for done in got:
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("online", done.stdout)
        names = [one["name"] for one in self.fleet.admin.good("GET", "/api/v1/accesses")["accesses"]]
        self.assertEqual(len([name for name in names if name.startswith("admin-mqtt-")]), 3)
        # Only the one that was printed is still on the disk.
        self.assertEqual(list(options.parent.parent.iterdir()), [options.parent])


if __name__ == "__main__":
    unittest.main()

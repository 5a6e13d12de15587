"""`edgefleet-agent join` and the renewal, against a server that stands where the coordinator would stand."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from closed_broker import Authority
from support import BIN, SANITIZED, Process, clean_environment, free_port, wait_until

AGENT = BIN / "edgefleet-agent"
REQUESTS = "/api/v1/join/requests"


LONG = """[ca]
default_ca=d
[d]
database=long
rand_serial=yes
new_certs_dir=.
default_md=sha256
default_startdate=19700101000000Z
default_enddate=99991231235959Z
unique_subject=no
policy=p
[p]
commonName=supplied
"""


class FleetAuthority(Authority):
    """Its own certificate and the server's begin in 1970 and have no end, as a fleet's do."""

    def __init__(self, folder):
        super().__init__(folder)
        (self.folder / "long").touch()
        (self.folder / "long.cnf").write_text(LONG)
        for name, extensions, signer in (
                ("ca", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
                 ("-selfsign",)),
                ("server", "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1\n",
                 ("-cert", "ca.crt"))):
            (self.folder / "extensions").write_text(extensions)
            self.openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", "request")
            self.openssl("ca", "-config", "long.cnf", "-batch", "-notext", "-keyfile", "ca.key", *signer, "-in", "request",
                         "-extfile", "extensions", "-out", f"{name}.crt")

    def fingerprint(self):
        der = ssl.PEM_cert_to_DER_cert((self.folder / "ca.crt").read_text())
        return hashlib.sha256(der).hexdigest()

    def text(self):
        return (self.folder / "ca.crt").read_text()

    def sign(self, request, name, use="clientAuth", days=365):
        """The certificate (PEM) of a request (PEM)."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            folder = pathlib.Path(scratch)
            (folder / "request").write_text(request)
            (folder / "extensions").write_text(
                f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={use}\n"
                f"subjectAltName=URI:edgefleet:home/agent/{name}\n")
            self.openssl("x509", "-req", "-in", folder / "request", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial",
                         str(int.from_bytes(os.urandom(15), "big")), "-days", days, "-subj", f"/CN={name}", "-extfile",
                         folder / "extensions", "-out", folder / "certificate")
            return (folder / "certificate").read_text()


def public_key(pem, kind):
    return subprocess.run(["openssl", kind, "-pubkey", "-noout"], input=pem, capture_output=True, text=True,
                          check=True).stdout


class Standin:
    """Answers as the coordinator's port for agents does; `change` replaces single answers."""

    def __init__(self, authority, port=0):
        self.authority = authority
        self.seen = []  # method, path, body, name of the client's certificate
        self.change = {}  # (method, path): function of the body that returns (status, text or dict)
        self.used = {}  # secrets, and the key that each was used with
        self.days = 365
        standin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                certificate = self.connection.getpeercert() or {}
                names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
                standin.seen.append((self.command, self.path, body, names[0] if names else None))
                status, content = standin.answer(self.command, self.path, body)
                if isinstance(content, dict):
                    content = json.dumps(content)
                if isinstance(content, str):
                    content = content.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.handle_error = lambda *arguments: None  # clients that leave early are what is tested
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.folder / "ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, method, path, body):
        if (method, path) in self.change:
            return self.change[method, path](body)
        if path == "/api/v1/ca":
            return 200, self.authority.text()
        if path == "/health":
            return 200, {"status": "ok"}
        if path == "/api/v1/join":
            return self.join(json.loads(body))
        if path == "/api/v1/renew":
            return 200, self.joined("pi-1", json.loads(body)["request"])
        return 404, {"title": "Not Found"}

    def join(self, message):
        key = public_key(message["request"], "req")
        if self.used.setdefault(message["secret"], key) != key:
            return 403, {"detail": "this join token has been used"}
        return 201, self.joined(message["name"], message["request"])

    def joined(self, name, request, **other):
        return {"name": name, "fleet": "home", "certificate": self.authority.sign(request, name, days=self.days),
                "ca": self.authority.text(), "broker": f"mqtts://127.0.0.1:{free_port()}",
                "coordinator": f"https://{self.address}", **other}

    def paths(self):
        return [path for _, path, _, _ in self.seen]


class FaultCase(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="edgefleet-test-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.authority = FleetAuthority(self.root / "ca")
        self.standin = self.start_standin(self.authority)
        self.work = self.root / "work"

    def start_standin(self, authority, **options):
        standin = Standin(authority, **options)
        self.addCleanup(standin.end)
        return standin

    def token(self, *addresses, secret="a" * 40, authority=None):
        text = "\n".join((secret, (authority or self.authority).fingerprint(),
                          ",".join(addresses or (self.standin.address,)), ""))
        return "efj_" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def join(self, *options, token=None, name="pi-1", environment=None):
        command = [AGENT, "join", "--work", self.work, "--name", name, *options, *(["--token-file", "-"] if token else [])]
        done = subprocess.run([str(part) for part in command], input=token, capture_output=True, text=True, timeout=60,
                              env=clean_environment() | (environment or {}))
        if token:
            if len(token) > 60:
                self.assertNotIn(token[10:40], done.stdout + done.stderr)
            self.assertNotIn("a" * 40, done.stdout + done.stderr)
        return done

    def good(self, done, *words):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stdout)

    def bad(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertTrue(done.stderr.startswith("edgefleet-agent: "), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def start_agent(self, *options, environment=None):
        log = self.root / "agent.log"
        # `env` sets what Process leaves out, and becomes the agent.
        command = ["/usr/bin/env", *(f"{key}={value}" for key, value in (environment or {}).items()), AGENT, "--work",
                   self.work, "--echo", "1", "--log-level", "debug", *options]
        agent = Process("agent", command, log)
        self.addCleanup(agent.kill)
        return agent

    def identity(self, name):
        return self.work / "identity" / name

    def clock(self, date):
        """The environment of a program whose clock shows this date."""
        file = self.root / "offset"
        file.write_bytes(struct.pack("=q", int(date - time.time())))
        return {} if SANITIZED else {"LD_PRELOAD": str(BIN / "libwall_clock.so"), "WALL_CLOCK_OFFSET": str(file)}


class Answers(FaultCase):
    def test_an_answer_that_is_wrong_is_named_and_not_kept(self):
        """Whatever it is; and the key stays the same, so that the good answer still fits at the end."""
        other = FleetAuthority(self.root / "other")
        stranger = (self.root / "ca/server.crt").read_text()

        def changed(**members):
            def answer(body):
                message = json.loads(body)
                joined = self.standin.joined("pi-1", message["request"])
                for member, value in members.items():
                    joined[member] = value(message["request"]) if callable(value) else value
                    if joined[member] is None:
                        del joined[member]
                return 201, joined
            return answer

        cases = (
            (changed(certificate=stranger), "another key"),
            (changed(certificate=lambda request: other.sign(request, "pi-1")), "coordinator's answer"),
            (changed(certificate=lambda request: other.sign(request, "pi-1"), ca=other.text()), "another CA"),
            (changed(certificate=lambda request: self.authority.sign(request, "pi-1", use="serverAuth")), "coordinator's answer"),
            (changed(certificate=lambda request: self.authority.sign(request, "pi-2")), "not one of pi-1"),
            (changed(certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "the certificate"),
            (changed(certificate=""), "`certificate` is empty"),
            (changed(name="../pi"), "the name of the agent is not valid"),
            (changed(name="pi-2"), "not one of pi-2"),
            (changed(name=7), "`name` is not a string"),
            (changed(fleet="Big Fleet"), "the name of the fleet is not valid"),
            (changed(broker="mqtt://127.0.0.1:1883"), "mqtts://"),
            (changed(broker="mqtts://127.0.0.1:8883\nx"), "coordinator's answer"),
            (changed(coordinator="http://127.0.0.1:7001"), "https://"),
            (changed(coordinator="https://"), "coordinator's answer"),
            (changed(ca=None), "`ca` is missing"),
            (lambda body: (200, b"x" * 1_000_000), "larger than"),
            (lambda body: (200, b""), "not valid JSON"),
            (lambda body: (200, b"\xff\xfe{}"), "not valid JSON"),
            (lambda body: (200, b"[" * 100_000), "not valid JSON"),
            (lambda body: (200, b"[]"), "not a JSON object"),
            (lambda body: (200, b"<html>"), "not valid JSON"),
            (lambda body: (302, b""), "302"),
            (lambda body: (403, {"detail": "this join token has ended"}), "has ended"),
            (lambda body: (404, b"<html>"), "404"),
            (lambda body: (500, {"detail": "the disk is full"}), "the disk is full"),
            (lambda body: (503, {"detail": "the clock is wrong"}), "the clock is wrong"),
        )
        for number, (answer, words) in enumerate(cases):
            with self.subTest(number=number, words=words):
                self.standin.change["POST", "/api/v1/join"] = answer
                self.bad(self.join(token=self.token()), words)
                self.assertFalse(self.identity("joined.json").exists())
        self.standin.change.clear()
        self.good(self.join(token=self.token()), "as agent pi-1")
        keys = {public_key(json.loads(body)["request"], "req") for _, path, body, _ in self.standin.seen
                if path == "/api/v1/join"}
        self.assertEqual(len(keys), 1)

    def test_addresses_are_tried_in_order_and_each_failure_is_said(self):
        between = self.start_standin(FleetAuthority(self.root / "other"))
        closed = f"127.0.0.1:{free_port()}"
        done = self.join(token=self.token(closed, between.address, f"localhost:{self.standin.port}", self.standin.address))
        self.good(done, f"https://{closed}: connection refused", f"{between.address} has another CA",
                  "no certificate of this fleet for this address", "as agent pi-1")
        self.assertEqual(between.paths(), ["/api/v1/ca"])
        self.assertEqual(self.standin.paths(), ["/api/v1/ca", "/api/v1/ca", "/api/v1/join"])

    def test_an_answer_for_another_name_is_told(self):
        self.standin.change["POST", "/api/v1/join"] = lambda body: (
            201, self.standin.joined("pi-1-ab12", json.loads(body)["request"]))
        self.good(self.join(token=self.token()), "calls this machine pi-1-ab12, not pi-1", "as agent pi-1-ab12")

    def test_the_clock_of_the_machine_does_not_matter(self):
        for date in (60, 2_208_988_800, 253_000_000_000):
            with self.subTest(date=date):
                self.good(self.join("--again", token=self.token(secret=f"{date:040}"), environment=self.clock(date)))
                self.good(self.join(environment=self.clock(date)), "already")

    def test_a_token_file_of_any_kind(self):
        file = self.root / "token"
        for content, words in ((b"", "absent or empty"), (b" \n\n", "absent or empty"), (b"\0" * 100_000, "not a join token"),
                               (b"efj_" + b"A" * 10_000, "not a join token")):
            file.write_bytes(content)
            self.bad(self.join("--token-file", file), words)
        self.bad(self.join("--token-file", self.root), "absent or empty")
        self.bad(self.join("--token-file", self.root / "none"), "absent or empty")
        self.bad(self.join("--token-file", "/dev/zero"), "not a join token")
        self.bad(self.join("--token-file", file, "127.0.0.1"), "not both")
        self.bad(self.join("--token-file", file, name="Pi_1"), "no name for an agent")
        self.assertEqual(self.standin.seen, [])
        file.write_text(f"\n  {self.token()} \r\n\n")
        self.good(self.join("--token-file", file), "as agent pi-1")

    def test_interrupted_while_it_waits(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        token = self.token(f"127.0.0.1:{silent.getsockname()[1]}")
        process = subprocess.Popen([AGENT, "join", "--work", self.work, f"--token={token}"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=clean_environment())
        self.assertIn("joining at", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 1)
        self.assertIn("edgefleet-agent: ", errors)

    def test_a_code_that_is_accepted_after_the_coordinator_was_away(self):
        """A coordinator that is busy or restarts does not end the wait of a person; and the key is a new one each time."""
        answers = [lambda body: (503, {"detail": "starting"}), lambda body: (429, {"detail": "busy"}),
                   lambda body: (202, {"state": "waiting"})]
        self.standin.change["POST", REQUESTS] = lambda body: (
            201, {"id": "a" * 32, "nonce": "7" * 64, "ca": self.authority.text()})
        opened = []

        def open_request(body):
            opened.append(json.loads(body)["request"])
            return 202, {"state": "waiting"}

        self.standin.change["POST", f"{REQUESTS}/{'a' * 32}"] = open_request
        self.standin.change["GET", f"{REQUESTS}/{'a' * 32}"] = lambda body: (
            answers.pop(0)(body) if answers else (200, self.standin.joined("pi-1", opened[-1])))
        done = self.join(self.standin.address)
        self.good(done, "edgefleet agents accept ", "starting; trying again", "as agent pi-1")
        self.standin.change["GET", f"{REQUESTS}/{'a' * 32}"] = lambda body: (403, {"detail": "this machine was refused"})
        self.bad(self.join(self.standin.address, "--again"), "was refused")
        self.good(self.join(), "is agent pi-1 of fleet home already")
        self.assertNotEqual(*(public_key(request, "req") for request in opened))


class Again(FaultCase):
    def setUp(self):
        super().setUp()
        self.good(self.join(token=self.token()), "as agent pi-1")

    def test_a_machine_that_has_joined_says_so(self):
        self.good(self.join(), "is agent pi-1 of fleet home already")
        self.good(self.join(token=self.token(secret="b" * 40)), "already")
        self.good(self.join(self.standin.address), "already")
        self.good(self.join(f"127.0.0.1:{free_port()}"), "already")
        self.assertEqual(self.standin.paths().count("/api/v1/join"), 1)

    def test_but_not_if_it_is_to_join_another_fleet(self):
        other = self.start_standin(FleetAuthority(self.root / "other"))
        self.bad(self.join(token=self.token(other.address, authority=other.authority)), "the token is of another fleet")
        self.bad(self.join(other.address), "another fleet is at " + other.address)
        self.assertNotIn("/api/v1/join", other.paths())
        self.good(self.join("--again", token=self.token(other.address, authority=other.authority)), "as agent pi-1")
        self.assertEqual(self.identity("ca.crt").read_text().split(), other.authority.text().split())

    def test_a_join_anew_that_fails_leaves_what_is_there(self):
        before = {path.name: path.read_bytes() for path in (self.work / "identity").iterdir()}
        for token in ("efj_rubbish", self.token(f"127.0.0.1:{free_port()}"), self.token()):
            self.bad(self.join("--again", token=token))
            self.assertEqual({path.name: path.read_bytes() for path in (self.work / "identity").iterdir()}, before)
        self.good(self.join("--again", token=self.token(secret="c" * 40)), "as agent pi-1")
        self.assertNotEqual(self.identity("agent.key").read_bytes(), before["agent.key"])

    def test_options_of_the_agent_that_contradict_its_identity(self):
        for options, words in ((("--name", "pi-2"), "has joined fleet home as agent pi-1"),
                               (("--fleet", "garden"), "has joined fleet home as agent pi-1"),
                               (("--broker", "mqtt://127.0.0.1:1883"), "write mqtts://HOST:PORT")):
            done = subprocess.run([AGENT, "--work", self.work, *options], capture_output=True, text=True, timeout=20,
                                  env=clean_environment())
            self.bad(done, words)


@unittest.skipIf(SANITIZED, "the library that ends the program cannot be loaded before a sanitizer")
class Killed(FaultCase):
    def steps(self, run):
        """Calls run(environment) with a kill at step 1, 2, ... until it ends by itself; returns the number of kills."""
        for number in range(1, 200):
            done = run({"LD_PRELOAD": str(BIN / "libkill_at.so"), "KILL_AT": str(number)})
            if done.returncode != -signal.SIGKILL:
                self.good(done)
                return number - 1
        self.fail("it never ends")

    def test_at_each_step_of_a_join(self):
        def run(environment):
            shutil.rmtree(self.work, ignore_errors=True)
            self.standin.used.clear()
            done = self.join(token=self.token(), environment=environment)
            if done.returncode != 0:
                self.good(self.join(token=self.token()), "pi-1")  # the same token, of one use
                self.good(self.join(), "already")
            return done

        self.assertGreater(self.steps(run), 8)

    def test_at_each_step_of_a_join_anew(self):
        self.good(self.join(token=self.token()), "as agent pi-1")
        first = self.root / "first"
        self.work.rename(first)
        second = self.token(secret="b" * 40)

        def run(environment):
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(first, self.work)
            self.standin.used.pop("efj_" + "b" * 40, None)
            done = self.join("--again", token=second, environment=environment, name="pi-2")
            if done.returncode != 0:
                shutil.rmtree(self.root / "killed", ignore_errors=True)
                shutil.copytree(self.work, self.root / "killed")
                self.good(self.join(), "this machine is agent pi-")  # it always has one of the two
                shutil.rmtree(self.work)
                shutil.copytree(self.root / "killed", self.work)
                again = self.join("--again", token=second, name="pi-2")
                if again.returncode != 0:  # it had done all, but for saying so
                    self.bad(again, "has been used")
                self.good(self.join(), "is agent pi-2 of fleet home already")
            return done

        self.assertGreater(self.steps(run), 12)


class AtTheStart(FaultCase):
    def joined(self, agent):
        wait_until(lambda: "joined fleet home as agent" in agent.log(), what=agent.log)

    def test_a_token_of_the_environment_and_a_coordinator_that_comes_later(self):
        self.standin.change["GET", "/api/v1/ca"] = lambda body: (503, {"detail": "starting"})
        agent = self.start_agent("--name", "pi-1", environment={"EDGEFLEET_JOIN_TOKEN": self.token()})
        wait_until(lambda: "starting; trying again" in agent.log(), what=agent.log)
        self.assertNotIn(b"efj_", pathlib.Path(f"/proc/{agent.pid}/environ").read_bytes())
        self.standin.change.clear()
        self.joined(agent)
        self.assertNotIn("a" * 40, agent.log())
        self.assertEqual(agent.terminate(), 0)
        # The variable stays where it is for the next starts.
        again = self.start_agent(environment={"EDGEFLEET_JOIN_TOKEN": "efj_old"})
        wait_until(lambda: "agent pi-1 of fleet home" in again.log().split("joined fleet home")[-1], what=again.log)

    def test_a_stop_while_it_waits(self):
        agent = self.start_agent("--name", "pi-1", f"--token={self.token(f'127.0.0.1:{free_port()}')}")
        wait_until(lambda: "connection refused; " in agent.log(), what=agent.log)
        self.assertEqual(agent.terminate(), 0)

    def test_a_file_that_is_no_token_ends_the_start(self):
        boot = self.root / "boot"
        boot.write_text("rubbish")
        agent = self.start_agent("--join-file", boot)
        self.assertEqual(agent.wait(), 1)
        self.assertIn(f"{boot}: this is not a join token", agent.log())
        self.assertTrue(boot.exists())

    def test_a_file_that_a_killed_run_left_is_erased(self):
        self.good(self.join(token=self.token()))
        boot, other = self.root / "boot", FleetAuthority(self.root / "other")
        boot.write_text(self.token(authority=other))
        agent = self.start_agent("--join-file", boot)
        wait_until(lambda: "agent pi-1 of fleet home" in agent.log(), what=agent.log)
        self.assertTrue(boot.exists())  # it is another fleet's, and was not used
        agent.terminate()
        boot.write_text(self.token())
        agent = self.start_agent("--join-file", boot)
        wait_until(lambda: not boot.exists(), what=agent.log)


class Renewal(FaultCase):
    def setUp(self):
        super().setUp()
        self.standin.days = 30  # of which a third of a year is more
        self.good(self.join(token=self.token()))
        self.first = self.identity("agent.crt").read_text()
        self.key = self.identity("agent.key").read_bytes()

    def test_a_certificate_that_is_due_is_renewed_with_the_same_key(self):
        """By the coordinator's clock: the machine's own, in 1970 or 2040, does not matter."""
        for date in (time.time(), 3600, 2_208_988_800):
            with self.subTest(date=date):
                before = self.identity("agent.crt").read_text()
                self.standin.days, self.standin.seen[:] = 365, []
                agent = self.start_agent(environment=self.clock(date))
                wait_until(lambda: "was renewed" in agent.log(), what=agent.log)
                wait_until(lambda: self.identity("agent.crt").read_text() != before)
                self.assertEqual(self.identity("agent.key").read_bytes(), self.key)
                renewals = [one for one in self.standin.seen if one[1] == "/api/v1/renew"]
                self.assertEqual([one[3] for one in renewals], ["pi-1"])  # with the certificate that it had
                self.assertEqual(public_key(json.loads(renewals[0][2])["request"], "req"), public_key(before, "x509"))
                agent.terminate()
                agent.log_path.unlink()
                # And one that is fresh is left alone.
                self.standin.seen.clear()
                agent = self.start_agent(environment=self.clock(date))
                wait_until(lambda: self.standin.paths(), what=agent.log)
                agent.terminate()
                self.assertNotIn("/api/v1/renew", self.standin.paths())
                agent.log_path.unlink()
                self.identity("agent.crt").write_text(self.first)

    def test_a_bad_answer_changes_nothing_and_is_told(self):
        for answer, words in ((lambda body: (403, {"detail": "not enrolled"}), "not enrolled"),
                              (lambda body: (200, b"rubbish"), "not valid JSON"),
                              (lambda body: (200, self.standin.joined("pi-2", json.loads(body)["request"])), "not this agent's"),
                              (lambda body: (200, self.standin.joined("pi-1", json.loads(body)["request"])
                                             | {"certificate": (self.root / "ca/server.crt").read_text()}), "another key")):
            with self.subTest(words=words):
                self.standin.change["POST", "/api/v1/renew"] = answer
                agent = self.start_agent()
                wait_until(lambda: "cannot be renewed yet, and it ends soon" in agent.log(), what=agent.log)
                self.assertIn(words, agent.log())
                self.assertEqual(self.identity("agent.crt").read_text(), self.first)
                agent.terminate()
                agent.log_path.unlink()


if __name__ == "__main__":
    unittest.main()

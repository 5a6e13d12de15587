"""`edgefleet-agent join`, against the real coordinator, and against servers that stand between the two."""

import http.server
import json
import os
import pathlib
import signal
import ssl
import subprocess
import threading
import time
import unittest

from closed_broker import NOBODY, Authority
from closed_fleet import ClosedFleet
from support import BIN, wait_until

AGENT = BIN / "edgefleet-agent"


class JoinCase(unittest.TestCase):
    def setUp(self):
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()

    def work(self, name):
        return self.fleet.root / f"work-{name}"

    def token(self, **wanted):
        return self.fleet.admin.good("POST", "/api/v1/join-tokens", wanted)["token"]

    def join(self, name, *options, token=None, **more):
        command = [AGENT, "join", "--work", self.work(name), "--name", name, *options]
        return self.fleet.run(*command, *(["--token-file", "-"] if token else []), input=token, **more)

    def assert_joined(self, done, name):
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertIn(f"as agent {name}", done.stdout)

    def works(self, name):
        agent = self.fleet.start(name, [AGENT, "--work", self.work(name), "--echo", "2"])
        wait_until(lambda: self.state_of(name) == "online", what=agent.log)
        done = self.fleet.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": name})
        ended = self.fleet.admin.good("GET", f"/api/v1/tasks/{done['id']}?wait=20")
        self.assertEqual(ended["state"], "succeeded")
        return agent

    def state_of(self, name):
        answer = self.fleet.admin.request("GET", f"/api/v1/agents/{name}")
        return answer.body.get("state") if answer.status == 200 else answer.status


class Join(JoinCase):
    def test_with_a_token_and_then_it_works_without_any_option(self):
        self.assert_joined(self.join("pi-1", token=self.token()), "pi-1")
        identity = self.work("pi-1") / "identity"
        self.assertEqual(sorted(path.name for path in identity.iterdir()),
                         ["agent.crt", "agent.key", "ca.crt", "joined.json"])
        for path in identity.iterdir():
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        agent = self.works("pi-1")
        self.assertIn("mqtts://", agent.log())
        agent.terminate()
        again = self.join("pi-1", token=self.token())
        self.assertEqual(again.returncode, 0)
        self.assertIn("already", again.stdout)
        other = self.fleet.run(AGENT, "--work", self.work("pi-1"), "--name", "pi-2")
        self.assertNotEqual(other.returncode, 0)
        self.assertIn("has joined fleet home as agent pi-1", other.stderr)

    def test_files_of_tasks_go_over_the_port_of_agents(self):
        self.assert_joined(self.join("pi-1", token=self.token()), "pi-1")
        configuration = self.fleet.root / "pi-1.toml"
        configuration.write_text('[[command]]\nname = "count"\nargv = ["/usr/bin/wc", "-c", "{file}"]\n'
                                 '[command.params.file]\ntype = "artifact"\n')
        agent = self.fleet.start("pi-1", [AGENT, "--work", self.work("pi-1"), "--config", configuration])
        wait_until(lambda: self.state_of("pi-1") == "online", what=agent.log)
        admin = self.fleet.admin
        stored = admin.good("PUT", "/api/v1/artifacts", b"x" * 300_000)
        done = admin.good("POST", "/api/v1/tasks", {"capability": "command.count",
                                                    "input": {"file": {"artifact": stored["id"]}}})
        ended = admin.good("GET", f"/api/v1/tasks/{done['id']}?wait=20")
        self.assertEqual(ended["state"], "succeeded", ended)
        self.assertIn("300000", json.dumps(ended["output"]))

    def test_a_revoked_agent_says_that_it_was_revoked(self):
        self.assert_joined(self.join("pi-1", token=self.token()), "pi-1")
        agent = self.works("pi-1")
        self.fleet.admin.good("POST", "/api/v1/agents/pi-1/revoke")
        wait_until(lambda: "refuses the certificate in" in agent.log() and "it was revoked" in agent.log(), what=agent.log)
        self.assertTrue(agent.alive())

    def test_three_fresh_machines_of_one_host_name(self):
        token = self.token(uses=3)
        names = []
        for number in range(3):
            done = self.fleet.run(AGENT, "join", "--work", self.work(f"m{number}"), "--token-file", "-", input=token)
            self.assertEqual(done.returncode, 0, done.stderr)
            names.append(done.stdout.split("as agent ")[1].split()[0])
        self.assertEqual(len(set(names)), 3, names)

    def test_a_token_is_erased_from_what_ps_shows(self):
        token = self.token()
        # Nobody listens there, so the program goes on trying while it is looked at.
        secret = token[len("efj_"):]
        for arguments, environment in (([f"--token={token}"], {}), (["--token", token], {}),
                                       ([], {"EDGEFLEET_JOIN_TOKEN": token})):
            self.fleet.coordinator.signal(signal.SIGSTOP)
            process = subprocess.Popen([AGENT, "join", "--work", self.work("ps"), "--name", "ps", *arguments], cwd="/",
                                       env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       text=True, **self.fleet.user)
            try:
                self.assertIn("joining at", process.stdout.readline())
                folder = pathlib.Path(f"/proc/{process.pid}")
                for name in ("cmdline", "environ"):
                    self.assertNotIn(secret.encode(), (folder / name).read_bytes(), name)
            finally:
                process.kill()
                out, err = process.communicate()
                self.fleet.coordinator.signal(signal.SIGCONT)
            self.assertNotIn(secret, out + err)

    def test_killed_at_any_moment_the_next_run_ends_well(self):
        token = self.token()
        for delay in (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1):
            process = subprocess.Popen([AGENT, "join", "--work", self.work("pi-1"), "--name", "pi-1", "--token-file", "-"],
                                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                                       text=True, **self.fleet.user)
            process.stdin.write(token + "\n")
            process.stdin.close()
            time.sleep(delay)
            process.kill()
            process.wait()
        done = self.join("pi-1", token=token)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.works("pi-1")

    def test_a_file_on_the_boot_partition_is_taken_and_erased(self):
        boot = self.fleet.root / "edgefleet-join"
        boot.write_text(self.token() + "\n")
        if self.fleet.user:
            os.chown(boot, NOBODY, NOBODY)
        agent = self.fleet.start("boot", [AGENT, "--work", self.work("boot"), "--name", "boot", "--echo", "1",
                                          "--join-file", boot])
        wait_until(lambda: self.state_of("boot") == "online", what=agent.log)
        self.assertFalse(boot.exists())

    def test_without_a_token_a_person_accepts_the_code(self):
        process = subprocess.Popen([AGENT, "join", f"localhost:{self.fleet.agents_port}", "--work", self.work("pi-1"),
                                    "--name", "pi-1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", text=True,
                                   **self.fleet.user)
        code = None
        for line in process.stdout:
            if "agents accept" in line:
                code = line.split()[-1]
                break
        self.assertEqual(self.fleet.admin.request("POST", "/api/v1/join-requests/accept", {"code": "aaaa-aaaa"}).status,
                         404)
        self.fleet.admin.good("POST", "/api/v1/join-requests/accept", {"code": code.upper()})
        out, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("as agent pi-1", out)
        self.works("pi-1")

    def test_a_refused_machine_is_told(self):
        process = subprocess.Popen([AGENT, "join", f"localhost:{self.fleet.agents_port}", "--work", self.work("pi-1")],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", text=True, **self.fleet.user)
        code = next(line.split()[-1] for line in process.stdout if "agents accept" in line)
        self.fleet.admin.good("POST", "/api/v1/join-requests/refuse", {"code": code})
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("refused", err)

    def test_what_is_no_token_and_what_has_ended(self):
        for token, words in (("rubbish", "not a join token"), (self.token()[:-9], "copy the whole of it"),
                             ("ef_" + "a" * 60, "not a join token")):
            done = self.join("pi-1", token=token)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.assertNotIn(token, done.stderr)
        used = self.token()
        self.assert_joined(self.join("pi-1", token=used), "pi-1")
        self.assertIn("has been used", self.join("pi-2", token=used).stderr)
        self.assertIn("is missing", self.join("pi-3").stderr)


class InBetween(JoinCase):
    """A server with a CA of its own stands where the machine looks for the coordinator."""

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.fleet.root / "other")
        self.seen = []
        self.answers = {}
        case = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                case.seen.append((self.command, self.path, body))
                status, content = case.answers.get((self.command, self.path), (404, b"{}"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *arguments: None  # clients that leave early are what is tested
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        folder = self.fleet.root / "other"
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.port = self.server.server_address[1]
        self.ca = (folder / "ca.crt").read_bytes()
        self.answers["GET", "/api/v1/ca"] = 200, self.ca

    def forged(self, token):
        """The token, with the address of the server in between."""
        import base64
        text = base64.urlsafe_b64decode(token[4:] + "=" * (-len(token[4:]) % 4)).decode().split("\n")
        text[2] = f"127.0.0.1:{self.port}"
        return "efj_" + base64.urlsafe_b64encode("\n".join(text).encode()).decode().rstrip("=")

    def test_another_ca_learns_nothing(self):
        done = self.join("pi-1", token=self.forged(self.token()))
        self.assertEqual(done.returncode, 1)
        self.assertIn("another CA", done.stderr)
        self.assertEqual([path for _, path, _ in self.seen], ["/api/v1/ca"])

    def test_the_fleets_ca_from_a_server_without_its_certificate_learns_nothing(self):
        self.answers["GET", "/api/v1/ca"] = 200, self.fleet.ca.read_bytes()
        done = self.join("pi-1", token=self.forged(self.token()))
        self.assertEqual(done.returncode, 1)
        self.assertEqual([path for _, path, _ in self.seen], ["/api/v1/ca"])

    def test_rubbish_is_named_and_never_crashes(self):
        rubbish = (b"", b"{", b"[]", b"\xff\xfe", b"<html>proxy</html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"x" * 3_000_000)
        for content in rubbish:
            for status in (200, 302, 500):
                self.answers["GET", "/api/v1/ca"] = status, content
                done = self.join("pi-1", token=self.forged(self.token()))
                self.assertEqual(done.returncode, 1, (status, content[:40]))
                self.assertTrue(done.stderr.startswith("edgefleet-agent: "), done.stderr)
            self.answers["POST", "/api/v1/join/requests"] = 201, content
            done = self.fleet.run(AGENT, "join", f"127.0.0.1:{self.port}", "--work", self.work("pi-1"))
            self.assertEqual(done.returncode, 1, content[:40])

    def test_in_the_middle_of_a_request_by_code_both_sides_show_another_code(self):
        """It gives the machine its own CA, and forwards nothing: the machine shows a code that the fleet never has."""
        self.answers["POST", "/api/v1/join/requests"] = 201, json.dumps(
            {"id": "a" * 32, "nonce": "7" * 64, "ca": self.ca.decode()}).encode()
        self.answers["POST", "/api/v1/join/requests/" + "a" * 32] = 202, b"{}"
        self.answers["GET", "/api/v1/join/requests/" + "a" * 32] = 202, b"{}"
        process = subprocess.Popen([AGENT, "join", f"127.0.0.1:{self.port}", "--work", self.work("pi-1")],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", text=True, **self.fleet.user)
        try:
            code = next(line.split()[-1] for line in process.stdout if "agents accept" in line)
        finally:
            process.kill()
            process.communicate()
        answer = self.fleet.admin.request("POST", "/api/v1/join-requests/accept", {"code": code})
        self.assertEqual(answer.status, 404)


if __name__ == "__main__":
    unittest.main()

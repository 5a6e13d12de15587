"""deploy/nginx/edgefleet.conf in front of a closed coordinator, with Debian's nginx."""

import hashlib
import http.client
import json
import os
import random
import shutil
import threading
import time
import unittest

from closed_broker import NOBODY, run
from closed_fleet import Caller, ClosedFleet
from scripted import ScriptedBackend
from support import BIN, ROOT, free_port, wait_until

SLOW = "EDGEFLEET_SLOW_TESTS" in os.environ
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")

AROUND = """
daemon off;
pid {root}/nginx.pid;
error_log {root}/nginx.errors;
events {{}}
http {{
    access_log {root}/nginx.access;
    client_body_temp_path {root}/nginx-body;
    proxy_temp_path {root}/nginx-proxy;
    fastcgi_temp_path {root}/nginx-fastcgi;
    uwsgi_temp_path {root}/nginx-uwsgi;
    scgi_temp_path {root}/nginx-scgi;
    include {root}/edgefleet.conf;
}}
"""


class Proxy(unittest.TestCase):
    def setUp(self):
        if NGINX is None:
            raise unittest.SkipTest("no nginx")
        self.fleet = ClosedFleet()
        self.addCleanup(self.fleet.end)
        self.fleet.begin()
        self.root = self.fleet.root
        self.port = free_port()
        self.certificate, self.key = self.self_signed("nginx")
        self.start_nginx(self.fleet.ca)

    def self_signed(self, name):
        certificate, key = self.root / f"{name}.crt", self.root / f"{name}.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:other.example", "-keyout", key,
            "-out", certificate)
        if self.fleet.user:
            for file in (certificate, key):
                os.chown(file, NOBODY, NOBODY)
        return certificate, key

    def start_nginx(self, authority):
        """The file as it is delivered; only places and ports are those of this test."""
        text = (ROOT / "deploy/nginx/edgefleet.conf").read_text()
        for line, here in (("server 127.0.0.1:7001;", f"server 127.0.0.1:{self.fleet.people_port};"),
                           ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} ssl http2;"),
                           ("listen [::]:443 ssl http2;", ""), ("server_name fleet.example.org;", "server_name localhost;"),
                           ("/etc/letsencrypt/live/fleet.example.org/fullchain.pem", str(self.certificate)),
                           ("/etc/letsencrypt/live/fleet.example.org/privkey.pem", str(self.key)),
                           ("/var/lib/edgefleet/ca/ca.crt", str(authority))):
            self.assertEqual(text.count(line), 1, line)
            text = text.replace(line, here)
        (self.root / "edgefleet.conf").write_text(text)
        (self.root / "nginx.conf").write_text(AROUND.format(root=self.root))
        self.nginx = self.fleet.start("nginx", [NGINX, "-e", self.root / "nginx.errors", "-c", self.root / "nginx.conf"])
        wait_until(lambda: self.listens() or not self.nginx.alive(), what=self.nginx.log)
        self.assertTrue(self.nginx.alive(), self.nginx.log())

    def listens(self):
        try:
            return self.caller().request("GET", "/health").status > 0
        except OSError:
            return False

    def caller(self, key=None):
        return Caller(self.port, self.certificate, key)

    @property
    def admin(self):
        return self.caller(self.fleet.admin.key)

    def errors(self):
        return (self.root / "nginx.errors").read_text()

    def start_agent(self, backend):
        fleet = self.fleet
        certificate, key = fleet.join("pi-1")
        config = self.root / "agent.toml"
        config.write_text(backend.table())
        fleet.start("pi-1", [
            BIN / "edgefleet-agent", "--name", "pi-1", "--config", config, "--work", self.root / "work-pi-1",
            "--broker", f"mqtts://localhost:{fleet.broker_agents}", "--broker-ca", fleet.ca, "--broker-certificate",
            certificate, "--broker-key", key, "--coordinator", ""])
        wait_until(lambda: "scripted" in json.dumps(self.admin.good("GET", "/v1/models")), what="the model is offered")

    def first_of_stream(self, path, body):
        """The first piece of a streamed answer, and the connection, which goes on."""
        caller = self.admin
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=caller.context)
        self.addCleanup(connection.close)
        connection.request("POST", path, json.dumps({**body, "stream": True}), {"Authorization": f"Bearer {caller.key}"})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        text = b""
        while b"first" not in text:
            piece = response.read1(65536)
            self.assertTrue(piece, text)
            text += piece
        return response

    # ---- tests

    def test_names_and_keys(self):
        """The coordinator sees the client's name and key, and judges them as it does without a proxy."""
        task = self.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})
        self.assertEqual(self.admin.good("GET", f"/api/v1/tasks/{task['id']}")["state"], "queued")
        self.assertEqual(self.caller().request("GET", "/api/v1/tasks").status, 401)
        self.assertEqual(self.caller("ef_wrong").request("GET", "/api/v1/tasks").status, 401)
        host = {"Host": "other.example"}
        self.assertEqual(self.admin.request("GET", "/api/v1/tasks", headers=host).status, 421)
        # A page of the proxy's own address is one of the coordinator's; one of another site is not.
        own = {"Origin": f"https://localhost:{self.port}"}
        self.assertEqual(self.admin.request("GET", "/api/v1/tasks", headers=own).status, 200)
        foreign = {"Origin": "https://other.example"}
        self.assertEqual(self.admin.request("GET", "/api/v1/tasks", headers=foreign).status, 403)

    def test_streams(self):
        """The first piece of a stream is there before the next one exists."""
        go_on = threading.Event()
        backend = ScriptedBackend(lambda body: ["first ", go_on, "second"])
        self.addCleanup(backend.close)
        self.start_agent(backend)
        messages = {"model": "scripted", "messages": [{"role": "user", "content": "?"}]}
        stream = self.first_of_stream("/v1/chat/completions", messages)
        go_on.set()
        self.assertIn("text/event-stream", stream.getheader("Content-Type"))
        self.assertIn(b"second", stream.read())

    def test_long_polls(self):
        """A request that waits is answered when its task ends, and not cut off before that."""
        task = self.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})["id"]
        waiting = {}

        def wait():
            waiting["answer"] = self.admin.request("GET", f"/api/v1/tasks/{task}?wait=60", timeout=90)

        thread = threading.Thread(target=wait)
        began = time.monotonic()
        thread.start()
        time.sleep(62 if SLOW else 0.5)  # the poll is on its way; in the slow run it lasts for as long as it may
        if not SLOW:
            self.assertTrue(thread.is_alive())
            self.admin.good("POST", f"/api/v1/tasks/{task}/cancel")
        thread.join(20)
        self.assertEqual(waiting["answer"].status, 200)
        self.assertEqual(waiting["answer"].body["state"], "queued" if SLOW else "cancelled")
        self.assertLess(time.monotonic() - began, 80)

    def test_large_bodies(self):
        """64 MiB pass in both directions, nothing is written to nginx's disk, and an early refusal reaches the client."""
        content = random.Random(1).randbytes(64 << 20)
        stored = self.admin.good("PUT", "/api/v1/artifacts", content, timeout=120)
        self.assertEqual(stored["id"], "sha256-" + hashlib.sha256(content).hexdigest())
        back = self.admin.good("GET", f"/api/v1/artifacts/{stored['id']}", timeout=120)
        self.assertEqual(back, content)
        self.assertNotIn("buffered to a temporary file", self.errors())
        self.assertEqual([list((self.root / f"nginx-{name}").rglob("*.*")) for name in ("body", "proxy")], [[], []])
        self.assertEqual(self.caller().request("PUT", "/api/v1/artifacts", content[:32 << 20], timeout=60).status, 401)

    def test_a_coordinator_of_another_authority(self):
        """nginx sends nothing to a server whose certificate is not of the fleet's authority."""
        self.nginx.terminate()
        other, _ = self.self_signed("other")
        self.start_nginx(other)
        self.assertEqual(self.admin.request("GET", "/api/v1/tasks").status, 502)
        self.assertIn("upstream SSL certificate verify error", self.errors())

    def test_a_restart_of_the_coordinator(self):
        """Requests succeed again once the coordinator is back."""
        task = self.admin.good("POST", "/api/v1/tasks", {"capability": "echo", "input": 1})["id"]
        self.fleet.coordinator.kill()
        self.assertEqual(self.admin.request("GET", "/api/v1/tasks").status, 502)
        self.fleet.start_coordinator()
        wait_until(lambda: self.admin.request("GET", f"/api/v1/tasks/{task}").status == 200, what="the task is found")


if __name__ == "__main__":
    unittest.main()

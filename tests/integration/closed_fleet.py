"""A fleet after `edgefleet-coordinator setup`, for tests: its broker by mosquitto/watch.sh, its coordinator, its agents."""

import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile

from closed_broker import NOBODY, run
from mqtt5 import Client
from support import BIN, ROOT, Answer, Api, Process, free_port, wait_until


class Caller:
    """One who calls the API over TLS: with a key, a certificate, or nothing."""

    def __init__(self, port, ca, key=None, certificate=None):
        self.port, self.key = port, key
        self.context = ssl.create_default_context(cafile=ca)
        if certificate:
            self.context.load_cert_chain(*certificate)

    def request(self, method, path, body=None, headers=None, timeout=30):
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        sent = dict(headers or {})
        if self.key:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=self.context)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if "json" in (response.getheader("Content-Type") or "") and content:
            content = json.loads(content)
        return Answer(response.status, content, response.headers)

    def good(self, method, path, body=None, **options):
        answer = self.request(method, path, body, **options)
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body}")
        return answer.body


class KeptApi(Api):
    """The API over one kept connection, with the key of an access."""

    def __init__(self, port, context, key):
        super().__init__(port)
        self.context, self.headers = context, {"Authorization": f"Bearer {key}"}

    def new_connection(self, timeout):
        return http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=self.context)


class ClosedFleet:
    def __init__(self, root=None):
        """`root`: an empty folder; by default a new one."""
        self.root = pathlib.Path(root or tempfile.mkdtemp(prefix="edgefleet-test-"))
        self.user = {}
        if os.geteuid() == 0:  # the broker must not be root; all of them are one user
            self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self.root, NOBODY, NOBODY)
        self.data = self.root / "data"
        self.key_file = self.root / "admin.key"
        self.people_port, self.agents_port, self.broker_agents, self.broker_people = (free_port() for _ in range(4))
        self.watcher = self.coordinator = None
        self.processes = []
        self.clients = []

    # ---- programs

    def run(self, *command, home="home", timeout=60, **options):
        """`home`: a folder of its own for the configuration of the command line: who calls."""
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.root / home)}
        environment.pop("EDGEFLEET_URL", None)
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout, cwd="/",
                              env=environment, **self.user, **options)

    def cli(self, *arguments, **options):
        return self.run(BIN / "edgefleet", *arguments, **options)

    def setup_command(self, *options):
        return (BIN / "edgefleet-coordinator", "setup", "--data", self.data, "--host", "localhost",
                "--host", "127.0.0.1", "--people-listen", f"127.0.0.1:{self.people_port}",
                "--agents-listen", f"127.0.0.1:{self.agents_port}", "--broker-address", "127.0.0.1",
                "--broker-agents-port", self.broker_agents, "--broker-people-port", self.broker_people,
                "--key-file", self.key_file, *options)

    def setup(self, *options):
        return self.run(*self.setup_command(*options))

    def start_broker(self):
        self.watcher = self.start("watch.sh", [ROOT / "mosquitto/watch.sh", self.data / "broker"])
        wait_until(lambda: self.broker_state().get("broker") == "running", what=lambda: self.watcher.log()[-2000:])

    def broker_state(self):
        try:
            lines = (self.data / "broker/run/state").read_text().splitlines()
        except OSError:
            return {}
        return dict(line.split("=", 1) for line in lines)

    def start_coordinator(self, *options):
        self.coordinator = self.start("coordinator", [BIN / "edgefleet-coordinator", "--data", self.data, *options])
        wait_until(lambda: self.coordinator_answers() or not self.coordinator.alive(),
                   what=lambda: self.coordinator.log()[-2000:])
        return self.coordinator

    def coordinator_answers(self):
        try:
            return self.caller().request("GET", "/ready").status == 200
        except OSError:
            return False

    def start(self, name, command, **options):
        process = Process(name, [str(part) for part in command], self.root / f"{name}.log", cwd="/", **self.user,
                          **options)
        self.processes.append(process)
        return process

    @property
    def broker_pid(self):
        return int((self.data / "broker/run/pid").read_text())

    def begin(self, *options):
        """`options`: of the setup."""
        done = self.setup(*options)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        self.start_broker()
        self.start_coordinator()
        return self

    # ---- callers

    @property
    def ca(self):
        return self.data / "ca/ca.crt"

    def caller(self, key=None):
        return Caller(self.people_port, self.ca, key)

    @property
    def admin(self):
        return self.caller(self.key_file.read_text().strip())

    def access(self, name, role, **limits):
        """A new access; returns a caller with its key."""
        return self.caller(self.admin.good("POST", "/api/v1/accesses", {"name": name, "role": role, **limits})["key"])

    def kept_api(self, key):
        return KeptApi(self.people_port, ssl.create_default_context(cafile=self.ca), key)

    def agents_caller(self, certificate=None):
        return Caller(self.agents_port, self.ca, certificate=certificate)

    # ---- joining by hand, as any program could

    def new_key(self, name):
        """A key and a request for a certificate; returns the paths of the key and the certificate to be, and the request."""
        key, request = self.root / f"{name}.key", self.root / f"{name}.csr"
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-subj", f"/CN={name}", "-out", request)
        if self.user:
            os.chown(key, NOBODY, NOBODY)
        return key, self.root / f"{name}.crt", request.read_text()

    def secret_of(self, token):
        import base64
        text = token[len("efj_"):]
        return "efj_" + base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split("\n")[0]

    def token(self, **wanted):
        return self.secret_of(self.admin.good("POST", "/api/v1/join-tokens", wanted)["token"])

    def join(self, name, secret=None, **more):
        """Joins by hand; returns (certificate, key) as files, or raises with the answer."""
        key, certificate, request = self.new_key(name)
        joined = self.agents_caller().good("POST", "/api/v1/join", {
            "secret": secret or self.token(), "request": request, "name": name, "named": True, **more})
        certificate.write_text(joined["certificate"])
        return certificate, key

    # ---- MQTT

    def keep(self, client):
        self.clients.append(client)
        return client

    def agent_client(self, certificate, **options):
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(*certificate)
        return self.keep(Client(self.broker_agents, context, **options))

    def person_client(self, name, key, **options):
        return self.keep(Client(self.broker_people, ssl.create_default_context(cafile=self.ca), user=name, key=key,
                                **options))

    def end(self):
        for client in self.clients:
            client.vanish()
        for process in reversed(self.processes):
            if process.alive():
                process.terminate()
        shutil.rmtree(self.root, ignore_errors=True)

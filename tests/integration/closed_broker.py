"""A closed broker for tests: certificates by openssl, its files by tests/support/broker_files, run by mosquitto/watch.sh."""

import hashlib
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile

from mqtt5 import Client
from support import BIN, ROOT, Process, free_port, wait_until

FILES = ("mosquitto.conf", "agents.acl", "people.acl", "passwords", "ca.crt", "crl.pem", "server.crt", "server.key")
NOBODY = 65534  # a root test runs the broker as this user: Mosquitto must not be root
PEOPLE = ("observe", "chat", "submit", "operate", "admin", "ha")  # names and roles
AGENTS = ("pi-1", "pi-2", "revoked", "coordinator", "watch", "canary")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **options).stdout


class Authority:
    """A certification authority in a folder, with its list of revoked certificates."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        (self.folder / "index").touch()
        (self.folder / "number").write_text("01\n")
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=30\n")
        self.openssl("req", "-x509", *self.new_key("ca"), "-subj", "/CN=test authority", "-days", 30,
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", "ca.crt")  # Python 3.13 wants it
        self.issue("server", "serverAuth")
        self.revoke()

    def openssl(self, *arguments):
        run("openssl", *arguments, cwd=self.folder)

    @staticmethod
    def new_key(name):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"

    def issue(self, name, use="clientAuth", subject=None):
        (self.folder / "extensions").write_text(
            f"basicConstraints=critical,CA:FALSE\nextendedKeyUsage={use}\nsubjectAltName=IP:127.0.0.1\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        self.openssl("req", "-new", *self.new_key(name), "-subj", subject or f"/CN={name}", "-out", "request")
        self.openssl("x509", "-req", "-in", "request", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", 30,
                     "-extfile", "extensions", "-out", f"{name}.crt")

    def revoke(self, *names):
        common = "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.crt"
        for name in names:
            self.openssl("ca", *common, "-revoke", f"{name}.crt")
        self.openssl("ca", *common, "-gencrl", "-out", "crl.pem")

    def context(self, name=None, authority=None):
        context = ssl.create_default_context(cafile=(authority or self).folder / "ca.crt")
        if name:
            context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return context


class ClosedBroker:
    def __init__(self, shell=(), path=None, most=100):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="edgefleet-test-"))
        self.root.chmod(0o711)
        self.folder, self.run = self.root / "broker", self.root / "run"
        for folder in (self.folder, self.run):
            folder.mkdir(mode=0o750)
        self.other_user = {}
        if os.geteuid() == 0:
            self.other_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self.folder, 0, NOBODY)
            os.chown(self.run, NOBODY, NOBODY)
        self.shell, self.path, self.most = list(shell), path, most
        self.agents_port, self.people_port = free_port(), free_port()
        self.authority = Authority(self.root / "ca")
        for name in AGENTS:
            self.authority.issue(name)
        self.authority.revoke("revoked")
        self.people = {name: (name, f"key of {name}") for name in PEOPLE}  # name: role, key
        self.written = None
        self.watcher = None
        self.clients = []

    # ---- files

    def write(self):
        """A new generation; returns its id."""
        identity = run(BIN.parent / "tests/broker_files", self.folder, NOBODY if self.other_user else "-",
                       self.agents_port, self.people_port, self.most, self.authority.folder,
                       *(f"{name}:{role}:{key}" for name, (role, key) in self.people.items())).strip()
        self.written = (self.folder / "current").resolve()
        return identity

    def write_changed(self, change, sums=True):
        """The generation of the last write() again, but change(folder) has damaged it before the link leads to it. `sums`: they fit the damage."""
        number = max(int(entry.name) for entry in (self.folder / "generations").iterdir()) + 1
        folder = self.folder / f"generations/{number:06d}"
        shutil.copytree(self.written, folder)
        change(folder)
        text = (folder / "SHA256SUMS").read_bytes()
        if sums:
            text = b""
            for name in FILES:
                content = (folder / name).read_bytes() if (folder / name).exists() else b""
                text += f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
        (folder / "SHA256SUMS").write_bytes(text)
        identity = f"{number:06d}-{hashlib.sha256(text).hexdigest()[:16]}"
        (folder / "id").write_text(identity + "\n")
        if self.other_user:
            for path in (folder, *folder.iterdir()):
                os.chown(path, 0, NOBODY)
        (self.folder / "next").symlink_to(f"generations/{number:06d}")
        os.replace(self.folder / "next", self.folder / "current")
        return identity

    # ---- the watcher

    def start(self):
        environment = dict(self.other_user, cwd="/")
        command = [*self.shell, ROOT / "mosquitto/watch.sh", self.folder, self.run]
        if self.path:
            command = ["/usr/bin/env", f"PATH={self.path}", *command]
        self.watcher = Process("watch.sh", command, self.root / "watch.log", **environment)
        return self.watcher

    def state(self):
        try:
            lines = (self.run / "state").read_text().splitlines()
        except OSError:
            return {}
        return dict(line.split("=", 1) for line in lines)

    def becomes(self, **expected):
        """Waits until `state` has these values; returns it."""
        wait_until(lambda: expected.items() <= self.state().items(), what=lambda: f"{expected}; it is {self.state()}\n"
                   + self.watcher.log()[-2000:])
        return self.state()

    def pid(self):
        return int((self.run / "pid").read_text())

    def children(self):
        return [int(one) for one in run("pgrep", "-P", self.watcher.pid).split()]

    # ---- clients

    def agent(self, name="pi-1", context=None, **options):
        return self.keep(Client(self.agents_port, context or self.authority.context(name), **options))

    def person(self, name, key=None, user=None, **options):
        return self.keep(Client(self.people_port, self.authority.context(), user=user or name,
                                key=key or self.people[name][1], **options))

    def client(self, name, **options):
        return self.person(name, **options) if name in self.people else self.agent(name, **options)

    def keep(self, client):
        self.clients.append(client)
        return client

    def end(self):
        for client in self.clients:
            client.vanish()
        if self.watcher is not None and self.watcher.alive():
            self.watcher.terminate()
        shutil.rmtree(self.root, ignore_errors=True)

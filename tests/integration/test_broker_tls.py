"""A broker that speaks TLS: the real Mosquitto with certificates of an authority that the test made."""

import os
import pathlib
import subprocess
import unittest

from closed_broker import Authority as RevokingAuthority
from support import Fleet, FleetCase, wait_until
from test_broker import start_broker


class Authority:
    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.ca = folder / f"{name}.ca.pem"
        self.key = folder / f"{name}.ca.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                     f"/CN={name}", "-days", "2", "-keyout", self.key, "-out", self.ca)

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def issue(self, name, address="IP:127.0.0.1"):
        """The files of a certificate and its key."""
        key, request, certificate = (self.folder / f"{self.name}.{name}.{end}" for end in ("key", "csr", "pem"))
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName={address}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial", "-days", "1",
                     "-extfile", extensions, "-out", certificate)
        key.chmod(0o644)  # the broker reads its own as another user
        return certificate, key


def connections(pid, port):
    """How many sockets of this process are, or were, connected with this port."""
    links = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    rows = [line.split() for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(f"socket:[{row[9]}]" in links for row in rows if row[2].endswith(f":{port:04X}"))


class BrokerTls(FleetCase):
    def setUp(self):
        self.fleet = Fleet()
        self.addCleanup(self.end_fleet)
        self.fleet.dir.chmod(0o755)
        self.fleet.broker_scheme = "mqtts"
        self.authority = Authority(self.fleet.dir, "fleet")

    def start(self, address="IP:127.0.0.1", lines="require_certificate true\n"):
        certificate, key = self.authority.issue("broker", address)
        start_broker(self.fleet, f"cafile {self.authority.ca}\ncertfile {certificate}\nkeyfile {key}\n" + lines)

    def options(self, name, authority=None, ca=None):
        certificate, key = (authority or self.authority).issue(name)
        return "--broker-ca", ca or self.authority.ca, "--broker-certificate", certificate, "--broker-key", key

    def assert_told(self, reason, *options):
        """A coordinator with these options says why it has no connection, and no task is lost for it."""
        self.fleet.start_coordinator(*options, ready=False)
        wait_until(lambda: reason in self.fleet.coordinator.log(),
                   what=lambda: f"{reason}\n{self.fleet.coordinator.log()[-2000:]}")

    def test_a_fleet_works(self):
        """Coordinator and agent use certificates of the fleet, also when the broker was away."""
        self.start()
        self.fleet.start_coordinator(*self.options("coordinator"))
        self.fleet.start_agent("pi-1", *self.options("pi-1"), echo=1)
        self.api = self.fleet.api
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")
        self.fleet.broker.kill()
        task = self.api.submit("echo", 2)
        self.start()
        self.assertEqual(self.api.outcome(task, 30)["state"], "succeeded")

    def test_each_first_connect_succeeds(self):
        """A handshake that ends within Paho's first call must not look like a failure, and leaves no socket behind."""
        self.start()
        self.fleet.start_coordinator(*self.options("coordinator"))
        for number in range(12):
            agent = self.fleet.start_agent(f"pi-{number}", *self.options(f"pi-{number}"), echo=1)
            self.assertNotIn("; trying again", agent.log())
            self.assertEqual(connections(agent.pid, self.fleet.broker_port), 1)

    def test_a_broker_of_another_authority(self):
        self.start()
        other = Authority(self.fleet.dir, "other").ca
        self.assert_told(f"certificate is not of the authority in {other}", *self.options("coordinator", ca=other))

    def test_a_broker_of_another_name(self):
        """The name in its certificate is checked, not only who signed it."""
        self.start(address="DNS:other.example")
        self.assert_told("certificate is for other.example, not for 127.0.0.1", *self.options("coordinator"))

    def test_a_client_of_another_authority(self):
        self.start()
        self.assert_told("it is not of the authority that the broker knows",
                         *self.options("coordinator", authority=Authority(self.fleet.dir, "other")))

    def test_a_client_without_a_certificate(self):
        self.start()
        self.assert_told("asks for a certificate, and this program has none", "--broker-ca", self.authority.ca)

    def test_a_client_that_was_revoked(self):
        folder = self.fleet.dir / "revoking"
        authority = RevokingAuthority(folder)
        authority.issue("coordinator")
        authority.revoke("coordinator")
        for key in folder.glob("*.key"):
            key.chmod(0o644)
        folder.chmod(0o755)
        start_broker(self.fleet, "".join(f"{option} {folder / name}\n" for option, name in (
            ("cafile", "ca.crt"), ("certfile", "server.crt"), ("keyfile", "server.key"), ("crlfile", "crl.pem")))
            + "require_certificate true\n")
        self.assert_told("): it was revoked", "--broker-ca", folder / "ca.crt", "--broker-certificate",
                         folder / "coordinator.crt", "--broker-key", folder / "coordinator.key")

    def test_a_port_without_tls(self):
        start_broker(self.fleet, "")
        self.assert_told("speaks no TLS on this port", *self.options("coordinator"))

    def test_options_that_do_not_fit(self):
        """They end the start with the reason."""
        certificate, key = self.authority.issue("pi-1")
        for scheme, arguments, reason in (
                ("mqtts", ("--broker-ca", "/does/not/exist"), "No such file"),
                ("mqtt", ("--broker-ca", self.authority.ca), "mqtts://HOST:PORT"),
                ("mqtts", ("--broker-certificate", certificate), "belong together"),
                ("mqtts", ("--broker-key", key), "belong together")):
            self.fleet.broker_scheme = scheme
            for command in (self.fleet.coordinator_command(*arguments), self.fleet.agent_command("pi-1", *arguments)):
                done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=20, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(reason.lower(), done.stderr.lower())


if __name__ == "__main__":
    unittest.main()

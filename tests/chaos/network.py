"""A network of namespaces behind one bridge, with links that can be cut silently or slowed.

All of it is in the namespaces of the run itself (see isolation.py) and ends with its last process.
"""
import pathlib
import subprocess

BRIDGE = "br0"
HERE = "10.77.0.254"  # this process's own address on the bridge
DELAYED = ["netem", "delay", "150ms", "50ms", "loss", "5%"]
NARROW = ["tbf", "rate", "64kbit", "burst", "4kb", "latency", "2s"]


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.returncode == 0


class Network:
    def __init__(self):
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        # Names of namespaces are files there, which must be visible in this run only.
        run("mount", "-t", "tmpfs", "none", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{HERE}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        self.hosts = {}  # name to address
        self.slow_kinds = []

    def add(self, name):
        """A host with a link to the bridge; returns its address."""
        number = len(self.hosts) + 1
        address = f"10.77.0.{number}"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "link", "set", f"v-{name}", "master", BRIDGE, "up")
        self.hosts[name] = address
        if number == 1:
            self.slow_kinds = [kind for kind in (DELAYED, NARROW) if self.can(name, kind)]
        return address

    def can(self, name, kind):
        """Whether this kernel supports that queueing discipline."""
        if not run("tc", "qdisc", "add", "dev", f"v-{name}", "root", *kind, check=False):
            return False
        run("tc", "qdisc", "del", "dev", f"v-{name}", "root")
        return True

    @staticmethod
    def inside(name, command):
        """The command line that runs a command on that host; the process id stays the same."""
        return ["nsenter", f"--net=/run/netns/{name}", "--", *command]

    @staticmethod
    def cut(name):
        """No packet passes, and neither side notices: both still have a carrier."""
        run("ip", "link", "set", f"v-{name}", "nomaster")

    @staticmethod
    def mend(name):
        run("ip", "link", "set", f"v-{name}", "master", BRIDGE)

    @staticmethod
    def slow(name, kind):
        """Both directions."""
        run("tc", "qdisc", "replace", "dev", f"v-{name}", "root", *kind)
        run("tc", "-n", name, "qdisc", "replace", "dev", "eth0", "root", *kind)

    @staticmethod
    def hurry(name):
        run("tc", "qdisc", "del", "dev", f"v-{name}", "root")
        run("tc", "-n", name, "qdisc", "del", "dev", "eth0", "root")

"""Runs the program anew in network, mount and process namespaces of its own: all that it makes ends with it."""
import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77  # the exit code that says: not possible here
MARK = "EDGEFLEET_CHAOS_INSIDE"
UNSHARE = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]


def not_possible():
    """Why this machine cannot run it; None if it can."""
    if os.geteuid() != 0:
        return "it makes network namespaces, links and mounts, which needs root: run it with sudo"
    for program in ("unshare", "nsenter", "ip", "tc", "mount", "mosquitto_rr"):
        if shutil.which(program) is None:
            return f"there is no {program} (packages util-linux, iproute2, mosquitto-clients)"
    probe = subprocess.run(
        [*UNSHARE, "sh", "-ec",
         "mkdir -p /run/netns; mount -t tmpfs none /run/netns; ip netns add probe;"
         "ip link add br0 type bridge; ip link add v0 type veth peer name v1 netns probe"],
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    if probe.returncode:
        said = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"namespaces, bridges or veth pairs are not permitted here: {said}"
    return None


def enter(name):
    """Returns inside; outside it runs this program inside, and exits with its code."""
    if os.environ.get(MARK):
        return
    why = not_possible()
    if why:
        sys.stderr.write(f"{name}: skipped: {why}\n")
        sys.exit(SKIPPED)
    program = pathlib.Path(sys.argv[0]).resolve()
    command = [*UNSHARE, sys.executable, "-B", str(program), *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, MARK: "1"})

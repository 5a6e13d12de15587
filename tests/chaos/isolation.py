"""Runs the program again in its own network, mount and process namespaces: everything that it creates ends with it."""
import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77  # exit code: not possible on this machine
os.environ["PATH"] += ":/usr/sbin:/sbin"  # Debian's folders for ip, tc and mosquitto
MARK = "EDGEFLEET_CHAOS_INSIDE"
UNSHARE = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
if os.geteuid() != 0:
    UNSHARE.append("--map-root-user")  # root inside, if the system permits user namespaces


def not_possible():
    """Why this machine cannot run it; None if it can."""
    for program in ("unshare", "nsenter", "ip", "tc", "mount", "mosquitto_rr"):
        if shutil.which(program) is None:
            return f"{program} is not installed (packages util-linux, iproute2, mosquitto-clients)"
    probe = subprocess.run(
        [*UNSHARE, "sh", "-ec",
         "mkdir -p /run/netns; mount -t tmpfs none /run/netns; ip netns add probe;"
         "ip link add br0 type bridge; ip link add v0 type veth peer name v1 netns probe"],
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    if probe.returncode:
        said = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
        advice = "" if os.geteuid() == 0 else "; run it as root"
        return f"namespaces, bridges or veth pairs are not permitted here: {said}{advice}"
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

#!/usr/bin/env python3
"""Checks the stand-ins and the OpenAI endpoint with the official clients of OpenAI, Ollama, Groq and Gemini.

Starts a real llama-server, the stand-ins, a broker, a coordinator and an agent, and prints a table. npm installs the
clients in build/clients, from the registry that npm is configured to use. Exit code 77: a requirement is missing.

  run.py [--only openai|ollama|groq|gemini]... [--logs]
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

import llama  # noqa: E402  pylint: disable=wrong-import-position
import standin  # noqa: E402  pylint: disable=wrong-import-position
from support import Fleet, wait_until  # noqa: E402  pylint: disable=wrong-import-position

CLIENTS = {"openai": "openai", "ollama": "ollama", "groq": "groq-sdk", "gemini": "@google/genai"}
FOLDER = ROOT / "build/clients"
OLDEST_NODE = 20  # @google/genai
SKIPPED = 77
CLIENT_S = 180  # for all checks of one client; they take a few seconds


def skip(why):
    print(f"clients: skipped, {why}")
    sys.exit(SKIPPED)


def need_node():
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            skip(f"{program} is not installed: node {OLDEST_NODE} or newer and npm are required")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        skip(f"node is {version}: {OLDEST_NODE} or newer is required")


def installed():
    """The installed versions if they are those of package.json, otherwise None."""
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    for name, version in wanted.items():
        try:
            there = json.loads((FOLDER / "node_modules" / name / "package.json").read_text())["version"]
        except (OSError, ValueError):
            return None
        if there != version:
            return None
    return wanted


def install():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in [HERE / "package.json", *HERE.glob("*.mjs")]:
        shutil.copy(file, FOLDER)
    if installed() is None:
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts",
                               "--loglevel=error"], cwd=FOLDER, capture_output=True, text=True, timeout=600, check=False,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            skip("npm cannot install the clients: " + (done.stderr or done.stdout).strip()[-500:])
    return installed()


class Place:
    """The servers that the clients use."""

    def __init__(self, fleet):
        self.fleet = fleet
        server = llama.LlamaServer(fleet, "llama", slots=4, embeddings=True).wait()
        self.ollama = standin.StandIn(fleet, "ollama", server, models="edge-tiny,other=2M,deepseek-r1:1.5b=1.1G",
                                      library="deepseek-coder:1.3b=776M")
        self.groq = standin.StandIn(fleet, "groq", server)
        self.gemini = standin.StandIn(fleet, "gemini", server)
        fleet.start_broker()
        fleet.start_coordinator()
        key = fleet.dir / "key"
        key.write_text(standin.KEY + "\n")
        toml = (self.table("openai", server.url) + self.table("ollama", self.ollama.url, num_ctx=1000) +
                self.table("groq", self.groq.url + "/openai", api_key_file=str(key),
                           models=["llama-3.3-70b-versatile", "openai/gpt-oss-20b"]) +
                self.table("gemini", self.gemini.url, api_key_file=str(key),
                           models=["gemini-2.5-flash", "gemini-2.0-flash", "gemini-embedding-001"]))
        fleet.start_agent("pi-1", toml=toml)
        wait_until(lambda: sum(bool(one.get("models")) and not one.get("problem")
                               for one in fleet.api.agent("pi-1")["executors"]) == 4, what="all four back ends are in service")

    @staticmethod
    def table(provider, url, **more):
        lines = [f"{name} = {json.dumps(value)}" for name, value in
                 {"provider": provider, "url": url, "slots": 4, "refresh_s": 1, **more}.items()]
        return "\n".join(["[[llm]]", *lines]) + "\n"

    def environment(self):
        return {**os.environ, "OLLAMA_URL": self.ollama.url, "GROQ_URL": self.groq.url, "GEMINI_URL": self.gemini.url,
                "COORDINATOR_URL": f"http://127.0.0.1:{self.fleet.http_port}", "KEY": standin.KEY,
                "NODE_NO_WARNINGS": "1"}


def check(name, place):
    """[(name, passed, ms)] and the complete output."""
    with open(place.fleet.dir / f"client-{name}.log", "w+", encoding="utf-8") as log:
        try:
            code = subprocess.run(["node", "--test-reporter=tap", f"{name}.mjs"], cwd=FOLDER, env=place.environment(),
                                  stdout=log, stderr=log, timeout=CLIENT_S, check=False, stdin=subprocess.DEVNULL).returncode
        except subprocess.TimeoutExpired:
            code = -1
        log.seek(0)
        text = log.read()
    rows = []
    for line in text.splitlines():
        if found := re.match(r"(not )?ok \d+ - (.*)", line):
            rows.append([found[2], not found[1], 0])
        elif rows and (found := re.match(r"  duration_ms: ([\d.]+)", line)):
            rows[-1][2] = float(found[1])
    if not rows or (code != 0 and all(good for _, good, _ in rows)):
        rows.append(["ran to the end", False, 0])
    return rows, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=sorted(CLIENTS))
    parser.add_argument("--logs", action="store_true", help="print the logs of all processes if a check fails")
    args = parser.parse_args()
    need_node()
    versions = install()
    try:
        llama.unpacked()
    except RuntimeError as why:
        skip(str(why))
    fleet = Fleet()
    wrong = 0
    try:
        place = Place(fleet)
        for name in args.only or CLIENTS:
            rows, text = check(name, place)
            client = f"{CLIENTS[name]} {versions[CLIENTS[name]]}"
            for what, good, ms in rows:
                print(f"{client:<22} {'ok    ' if good else 'FAILED'} {ms:7.0f} ms  {what}", flush=True)
            if not all(good for _, good, _ in rows):
                wrong += 1
                print(text)
        if wrong and args.logs:
            fleet.print_logs()
    finally:
        fleet.end()
        fleet.remove()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

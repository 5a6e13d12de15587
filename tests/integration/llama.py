"""A real llama-server with a tiny model. It is Debian's own, unpacked once beside the build."""

import http.client
import json
import os
import pathlib
import subprocess
import unittest

from support import BIN, free_port, wait_until

HERE = pathlib.Path(__file__).resolve().parent.parent / "llm"
MODEL = "edge-tiny"


def unpacked():
    """The folder of llama-server; an exception says why it is unavailable."""
    folder = pathlib.Path(os.environ.get("EDGEFLEET_LLAMA", BIN.parent / "llama"))
    if not (folder / "root/usr/bin/llama-server").exists():
        done = subprocess.run([HERE / "get-llama-server.sh", folder], capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise RuntimeError("llama-server cannot be had here: " + (done.stderr or done.stdout).strip()[-300:])
    return folder


def need():
    """Skips the tests if it is unavailable."""
    try:
        unpacked()
    except RuntimeError as why:
        raise unittest.SkipTest(str(why)) from why


class LlamaServer:
    def __init__(self, fleet, label, port=0, slots=2, key=None, embeddings=False):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        options = ["--api-key", key] if key else []
        if embeddings:
            options += ["--embeddings", "--pooling", "mean"]
        self.process = fleet.start(label, [
            HERE / "run-llama-server.sh", unpacked(), "-m", HERE / "edge-tiny-1m.gguf", "--alias", MODEL, "--host",
            "127.0.0.1", "--port", self.port, "-c", 1024 * slots, "-np", slots, "-t", 1, "--metrics", "--slots", "--no-webui",
            *options])
        self.key = key

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.key}"} if self.key else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def wait(self):
        wait_until(lambda: self.get("/health")[0] == 200, 60, "llama-server is ready")
        return self

    def busy(self):
        """Number of busy slots."""
        status, body = self.get("/slots")
        return sum(slot["is_processing"] for slot in json.loads(body)) if status == 200 else 0

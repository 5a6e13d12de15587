"""The OpenAI endpoint compared with direct requests to the same llama-server."""
import http.client
import json
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LLAMA = ROOT / "tests/llm"
MODEL = "edge-tiny"
SLOTS = 2
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Is the attic warm?"}], "temperature": 0,
        "stream": True, "stream_options": {"include_usage": True}}


def unpacked(folder):
    """The folder with Debian's llama-server, unpacked beside the build; None and a message if it is not available."""
    if not (folder / "root/usr/bin/llama-server").exists():
        done = subprocess.run([LLAMA / "get-llama-server.sh", folder], capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            print("bench: llama-server is not available: " + done.stderr.strip()[-200:], file=sys.stderr)
            return None
    return folder


def server_command(folder, port):
    # One thread, so that two cores have time for all processes, as on a Pi beside a language model.
    return [LLAMA / "run-llama-server.sh", folder, "-m", LLAMA / "edge-tiny-1m.gguf", "--alias", MODEL, "--host",
            "127.0.0.1", "--port", port, "-c", 4096, "-np", SLOTS, "-t", 1, "--no-webui"]


def healthy(port):
    try:
        return get(port, "/health")[0] == 200
    except OSError:
        return False


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


class Stream:
    """One streamed answer, read with little work, because it shares the cores with the measured programs."""

    def __init__(self, port, tokens):
        body = json.dumps({**CHAT, "max_tokens": tokens, "ignore_eos": True}).encode()
        self.began = time.monotonic()
        self.first = 0.0
        self.data = []
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def read(self):
        """Reads to the end; returns (seconds to the first token, time of the end, tokens)."""
        while piece := self.socket.recv(65536):
            self.data.append(piece)
            if not self.first and re.search(rb'"content":"[^"]', piece):  # the role comes before the first token
                self.first = time.monotonic() - self.began
        self.socket.close()
        text = b"".join(self.data)
        if b"data: [DONE]" not in text:
            sys.exit(f"bench: a stream was incomplete: {text[-300:]!r}")
        usage = text.rsplit(b'"completion_tokens":', 1)[1]
        return self.first, time.monotonic(), int(usage.split(b",")[0].split(b"}")[0])


def together(port, streams, tokens):
    """Tokens per second of parallel streams."""
    found = []

    def one():
        found.append(Stream(port, tokens).read())
    began = time.monotonic()
    threads = [threading.Thread(target=one) for _ in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(tokens for _, _, tokens in found) / (max(end for _, end, _ in found) - began)


def first_token_ms(port, count):
    return [Stream(port, 4).read()[0] * 1e3 for _ in range(count)]


def beside_direct(endpoint, direct, rounds):
    """In turns, so that both run under the same conditions."""
    rates, firsts = {endpoint: [], direct: []}, {endpoint: [], direct: []}
    for port in (endpoint, direct):
        together(port, SLOTS, 100)  # warm-up
    for _ in range(rounds):
        for port in (direct, endpoint):
            rates[port].append(together(port, SLOTS, 1500))
            firsts[port] += first_token_ms(port, 20)
    rate = {port: statistics.median(rates[port]) for port in rates}
    first = {port: statistics.median(firsts[port]) for port in firsts}
    return {"tokens_per_s": round(rate[endpoint]), "direct_tokens_per_s": round(rate[direct]),
            "share": round(rate[endpoint] / rate[direct], 3), "first_token_ms": round(first[endpoint], 2),
            "direct_first_token_ms": round(first[direct], 2), "added_ms": round(first[endpoint] - first[direct], 2)}


def held(endpoint, coordinator_private_mb, stream_count, poll_count, may_fail=False):
    """Streams and long polls at the same time: the latency of /health meanwhile, and the memory of each."""
    before = coordinator_private_mb()
    polls = []
    for _ in range(poll_count):
        connection = http.client.HTTPConnection("127.0.0.1", endpoint, timeout=120)
        connection.request("POST", "/api/v1/tasks", json.dumps({"capability": "not.offered"}))
        task = json.loads(connection.getresponse().read())["id"]
        connection.request("GET", f"/api/v1/tasks/{task}?wait=120")
        polls.append((connection, task))
    polled = coordinator_private_mb()
    began = time.monotonic()
    streams = [Stream(endpoint, 20) for _ in range(stream_count)]
    ends, errors = [], []

    def read(stream):
        try:
            ends.append(stream.read()[1])
        except (OSError, SystemExit) as problem:
            errors.append(str(problem))
    threads = [threading.Thread(target=read, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    most, health = 0.0, []
    while any(thread.is_alive() for thread in threads):
        asked = time.monotonic()
        if get(endpoint, "/health")[0] != 200:
            sys.exit("bench: /health does not answer 200")
        health.append((time.monotonic() - asked) * 1e3)
        most = max(most, coordinator_private_mb())
        time.sleep(0.01)  # the interval of the measurement
    if errors and not may_fail:
        sys.exit(f"bench: {len(errors)} streams failed: {errors[0]}")
    for connection, _ in polls:
        connection.close()
    return {"streams": stream_count - len(errors), "polls": poll_count,
            "all_answered_after_s": round(max(ends) - began, 2),
            "health_p50_ms": round(statistics.median(health), 2), "health_max_ms": round(max(health), 2),
            "mb_a_poll": round((polled - before) / max(poll_count, 1), 3),
            "mb_a_stream": round((most - polled) / stream_count, 3)}

"""Sends what no server can use to a port, as fast as it can, until it is ended: python3 garbage.py KIND PORT"""

import contextlib
import gzip
import random
import socket
import sys


def post(body, *lines, method="POST", path="/api/v1/tasks"):
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


NOISE = random.Random(1).randbytes(1 << 20)
LARGE = b'{"capability":"x","input":[' + b"[1,2," * 100_000
KINDS = {  # what one connection sends, again and again
    "noise": NOISE,
    "heads": b"GET /" + b"x" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown": b"GET /nothing/here HTTP/1.1\r\nHost: x\r\n\r\n" * 200,
    "brackets": post(b"[" * 1_000_000),
    "lists": post(LARGE),
    "small": post(b"{}") * 200,
    "no_gzip": post(NOISE[:100_000], "Content-Encoding: gzip"),
    "zeros": post(gzip.compress(bytes(60 << 20)), "Content-Encoding: gzip"),
    "files": post(NOISE, method="PUT", path="/api/v1/artifacts"),
}


def send(data, port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.settimeout(0.05)
        view = memoryview(data)
        while True:
            while view:
                with contextlib.suppress(TimeoutError):
                    view = view[connection.send(view):]
                with contextlib.suppress(TimeoutError):
                    connection.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        while connection.recv(1 << 20):
                            pass
                    connection.settimeout(0.05)
            view = memoryview(data)


if __name__ == "__main__":
    while True:
        with contextlib.suppress(OSError):
            send(KINDS[sys.argv[1]], int(sys.argv[2]))

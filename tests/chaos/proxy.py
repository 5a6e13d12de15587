"""A TCP proxy before the broker, one port for each host, that can drop whole MQTT messages or delay all of them.

A dropped message is like one that the broker acknowledged and lost: its sender receives the acknowledgement, but no
subscriber receives the message. The proxy is a separate process, `proxy.py SEED BROKER PORT NAME:PORT...`, and reads
commands "NAME pass|stall|drop RATE" line by line.
"""
import asyncio
import contextlib
import json
import random
import subprocess
import sys

PUBLISH, PUBACK = 3, 4


class Proxy:
    """The proxy process."""

    def __init__(self, world):
        from world import BROKER_PORT
        ports = [f"{name}:{port}" for name, port in world.proxied.items()]
        self.popen = subprocess.Popen(
            [sys.executable, "-B", __file__, "1", world.broker_address, str(BROKER_PORT), *ports],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(world.folder / "proxy.log", "ab"), text=True)
        if self.popen.stdout.readline() != "ready\n":
            raise RuntimeError("the proxy did not start; see proxy.log")
        self.dropped = {}

    def set_mode(self, name, mode, rate=0.0):
        self.popen.stdin.write(f"{name} {mode} {rate}\n")
        self.popen.stdin.flush()

    def stop(self):
        """Ends the proxy; returns the number of dropped messages by host."""
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        try:
            self.dropped = json.loads(self.popen.stdout.read() or "{}")
        finally:
            self.popen.kill()
            self.popen.wait()
        return self.dropped


def split(buffer):
    """Complete packets from the beginning of the buffer: (packets, rest)."""
    packets, at = [], 0
    while True:
        length, shift, i = 0, 0, at + 1
        while True:
            if i >= len(buffer):
                return packets, buffer[at:]
            byte = buffer[i]
            length |= (byte & 0x7F) << shift
            shift += 7
            i += 1
            if not byte & 0x80:
                break
        if i + length > len(buffer):
            return packets, buffer[at:]
        packets.append((bytes(buffer[at:i + length]), i - at))
        at = i + length


def acknowledgement(packet, head):
    """For a PUBLISH: the PUBACK for its sender, or nothing for QoS 0."""
    if (packet[0] >> 1) & 3 == 0:
        return b""
    topic = int.from_bytes(packet[head:head + 2], "big")
    at = head + 2 + topic
    return bytes([PUBACK << 4, 2]) + packet[at:at + 2]


class Line:
    """The current mode for one host."""

    def __init__(self):
        self.rate = 0.0
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.dropped = 0


async def pump(line, source, sink, back, random_):
    buffer = b""
    while data := await source.read(65536):
        await line.flowing.wait()
        packets, buffer = split(buffer + data)
        for packet, head in packets:
            if packet[0] >> 4 == PUBLISH and line.rate and random_.random() < line.rate:
                line.dropped += 1
                back.write(acknowledgement(packet, head))
            else:
                sink.write(packet)
        await sink.drain()


async def serve(line, broker, port, random_, client_in, client_out):
    try:
        broker_in, broker_out = await asyncio.wait_for(asyncio.open_connection(broker, port), 5)
    except (OSError, asyncio.TimeoutError):
        client_out.close()
        return
    pumps = [asyncio.ensure_future(pump(line, client_in, broker_out, client_out, random_)),
             asyncio.ensure_future(pump(line, broker_in, client_out, broker_out, random_))]
    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    for one in pumps:
        one.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    for out in (client_out, broker_out):
        out.transport.abort()


async def main():
    seed, broker, port, *hosts = sys.argv[1:]
    random_ = random.Random(int(seed))
    lines = {}
    for host in hosts:
        name, own = host.split(":")
        line = lines[name] = Line()
        await asyncio.start_server(
            lambda i, o, line=line: serve(line, broker, int(port), random_, i, o), "0.0.0.0", int(own))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while order := await reader.readline():
        name, mode, rate = order.decode().split()
        line = lines[name]
        line.rate = float(rate) if mode == "drop" else 0.0
        line.flowing.clear() if mode == "stall" else line.flowing.set()
    print(json.dumps({name: line.dropped for name, line in lines.items()}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

#!/usr/bin/env python3
"""A line to a model server that lets so many events of a stream through in a second, and all else as it comes: a tiny
model on a fast machine would have said all before anybody saw a word. Usage: brake.py PORT SERVER-PORT RATE"""
import asyncio
import contextlib
import re
import sys

HOST = "127.0.0.1"


async def pump(reader, writer, gap=0.0):
    """Until the end of what is read; `gap`: seconds behind each event."""
    clock, due = asyncio.get_running_loop().time, 0.0
    while data := await reader.read(4096):
        for part in re.split(rb"(?=data: )", data):
            writer.write(part)
            await writer.drain()
            if part.startswith(b"data: "):
                due = max(due + gap, clock())
                await asyncio.sleep(due - clock())


async def serve(port, server_port, rate):
    async def connected(reader, writer):
        with contextlib.closing(writer), contextlib.suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection(HOST, server_port)
            with contextlib.closing(server_writer):
                both = [asyncio.ensure_future(pump(reader, server_writer)),
                        asyncio.ensure_future(pump(server_reader, writer, 1 / rate))]
                # One side that ends ends the other: a cancelled request frees the server's slot.
                _, open_still = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for one in open_still:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
    server = await asyncio.start_server(connected, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))

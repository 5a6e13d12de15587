#!/usr/bin/env python3
"""A proxy before a model server that passes at most RATE events of a stream per second, and everything else at once: on
a fast machine a tiny model answers too fast to watch. Usage: brake.py PORT SERVER-PORT RATE"""
import asyncio
import contextlib
import re
import sys

HOST = "127.0.0.1"


async def pump(reader, writer, gap=0.0):
    """Copies until the end of the input; `gap`: seconds after each event."""
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
                # The end of one side ends the other: a cancelled request frees the server's slot.
                _, open_still = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for one in open_still:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
    server = await asyncio.start_server(connected, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*map(int, sys.argv[1:])))

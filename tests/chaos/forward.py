"""Forwards TCP connections: forward.py ADDRESS PORT, to the same port of the loopback interface.

Without a setup the coordinator serves its own machine only; this is how the hosts of a test reach it.
"""
import asyncio
import contextlib
import sys

PIECE = 1 << 16


async def copy(reader, writer):
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


async def serve(reader, writer, port):
    to = None
    try:
        back, to = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, to), copy(back, writer))
    except OSError:
        pass  # the coordinator does not run: the connection ends
    finally:
        for end in (writer, to):
            if end is not None:
                end.close()


async def main(address, port):
    server = await asyncio.start_server(lambda r, w: serve(r, w, port), address, port, backlog=512)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

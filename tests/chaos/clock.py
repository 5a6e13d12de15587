"""Wall clocks that jump: a library is preloaded into a program, and its offset is a file (tests/support/wall_clock.cpp)."""
import mmap
import pathlib
import struct

# Jumps are whole multiples of it, and a run is shorter: so a stamp of a clock that jumped tells when it was made.
STEP = 6 * 3600  # seconds
MOST = 120  # steps, forwards and backwards: a month


class WallClock:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.write_bytes(bytes(8))
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 8)
        self.offset = 0  # seconds

    def environment(self, programs):
        """Of a process with this clock; the library lies beside the programs."""
        library = pathlib.Path(programs) / "libwall_clock.so"
        if not library.exists():
            raise RuntimeError(f"there is no {library}: build the target wall_clock")
        return {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(self.path)}

    def jump_to(self, steps):
        self.offset = steps * STEP
        self.page[:] = struct.pack("=q", self.offset)


def without_jumps(ms, true_ms):
    """What the clock would have said: `ms` less the whole steps by which it is off from some moment of the run."""
    step = STEP * 1000
    return ms - round((ms - true_ms) / step) * step

"""Wall clocks that jump: a library is preloaded into a program and reads its offset from a file
(tests/support/wall_clock.cpp)."""
import mmap
import pathlib
import struct

# Jumps are multiples of it, and a run is shorter: so the true time follows from a timestamp of a clock that jumped.
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
        """The environment of a process with this clock; the library is in the folder of the programs."""
        library = pathlib.Path(programs) / "libwall_clock.so"
        if not library.exists():
            raise RuntimeError(f"{library} is missing: build the target wall_clock")
        return {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(self.path)}

    def jump_to(self, steps):
        self.offset = steps * STEP
        self.page[:] = struct.pack("=q", self.offset)


def without_jumps(ms, true_ms):
    """The time without jumps: `ms` minus the whole steps by which it differs from some moment of the run."""
    step = STEP * 1000
    return ms - round((ms - true_ms) / step) * step

"""The wall clock of a program jumps when its file changes, and no other clock does."""
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

from clock import STEP, WallClock, without_jumps
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from support import BIN, clean_environment

# Prints its clocks for each line that it reads.
TELLER = """
import ctypes, sys, time
library = ctypes.CDLL(None)
class Timeval(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("microseconds", ctypes.c_long)]
for _ in sys.stdin:
    of_day = Timeval()
    library.gettimeofday(ctypes.byref(of_day), None)
    library.time.restype = ctypes.c_long
    print(time.time(), time.clock_gettime(5), of_day.seconds, library.time(None), time.monotonic(),
          time.clock_gettime(time.CLOCK_BOOTTIME), time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), flush=True)
"""

# Waits on a condition variable that is never signalled, until its wall clock is SECONDS later.
WAITER = """
import ctypes, errno, sys, time
library = ctypes.CDLL(None)
class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
condition, mutex = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
until = Timespec(int(time.time() + float(sys.argv[1])), 0)
library.pthread_mutex_lock(mutex)
print("waiting", flush=True)
assert library.pthread_cond_timedwait(condition, mutex, ctypes.byref(until)) == errno.ETIMEDOUT
print("over", flush=True)
"""


class Clock(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.clock = WallClock(pathlib.Path(folder.name) / "clock")

    def start(self, *program):
        process = subprocess.Popen([sys.executable, "-c", *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env={**clean_environment(), **self.clock.environment(BIN)})
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def ask(self, process):
        process.stdin.write("\n")
        process.stdin.flush()
        return [float(value) for value in process.stdout.readline().split()]

    def test_jumps(self):
        """All functions that read the wall clock jump at once, forwards and backwards; no other clock does."""
        process = self.start(TELLER)
        for steps in (0, 2, -4, 0):
            self.clock.jump_to(steps)
            before = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
            now = self.ask(process)
            after = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
            for value in now[:4]:
                self.assertAlmostEqual(value - time.time(), steps * STEP, delta=10)
            for least, value, most in zip(before, now[4:6], after):
                self.assertTrue(least <= value <= most, (least, value, most))
            self.assertLess(now[6], 60)

    def test_waits(self):
        """A wait until a date ends when the clock has jumped past it, and not before."""
        process = self.start(WAITER, "3600")
        self.assertEqual(process.stdout.readline(), "waiting\n")
        self.clock.jump_to(-1)
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.3)
        self.clock.jump_to(1)
        self.assertEqual((process.stdout.readline(), process.wait(10)), ("over\n", 0))

    def test_no_file(self):
        """Without the file the program fails; it does not silently run with the right clock."""
        self.clock.path.unlink()
        self.assertEqual(self.start("pass").wait(10), 99)

    def test_without_jumps(self):
        for steps in (-120, -1, 0, 7):
            self.assertEqual(without_jumps(1_000_000 + steps * STEP * 1000, 2_000_000), 1_000_000)


if __name__ == "__main__":
    unittest.main()

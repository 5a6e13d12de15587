"""The command that agents run: it records the real runs, with the clock that all processes of a machine share.

runner.py FOLDER AGENT LIFE KIND SLOTS TASK SECONDS CODE [FILE FILES]

Lines go to FOLDER/AGENT.runs: "start|end|overbooked|outlived RUN TASK LIFE MONOTONIC_NS". Each run holds a lock on one
of SLOTS files of its KIND; the kernel releases the lock when the process ends in any way, before its parent notices.
So a run that finds no free file is one too many, unless an earlier LIFE of the agent holds it: that agent was killed,
and its commands have a moment to end. With a FILE, a run makes FILES files from it in out/.
"""
import fcntl
import os
import sys
import time

MOMENT = 2.0  # seconds


def made(run, task, part, content):
    """The content of one output file of that run; it differs for every run and every input."""
    return f"{run} {task} {part}\n".encode() + content[::-1]


def take_slot(folder, agent, life, kind, slots, note):
    end = time.monotonic() + MOMENT
    while True:
        older = False
        for slot in range(slots):
            fd = os.open(f"{folder}/{agent}.{kind}.slot-{slot}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                older |= os.pread(fd, 16, 0).strip() != life.encode()
                os.close(fd)
                continue
            os.pwrite(fd, life.encode().ljust(16), 0)
            return
        if not older:
            return note("overbooked")
        if time.monotonic() > end:
            return note("outlived")
        time.sleep(0.005)


def main():
    folder, agent, life, kind, slots, task, seconds, code, *file = sys.argv[1:]
    run = f"{agent}-{life}-{os.getpid()}-{time.monotonic_ns()}"
    log = os.open(f"{folder}/{agent}.runs", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(what):
        os.write(log, f"{what} {run} {task} {life} {time.monotonic_ns()}\n".encode())

    note("start")
    take_slot(folder, agent, life, kind, int(slots), note)
    time.sleep(float(seconds))
    if file:
        path, files = file
        with open(path, "rb") as source:
            content = source.read()
        for part in range(int(files)):
            with open(f"out/part-{part}", "wb") as out:
                out.write(made(run, task, part, content))
    note("end")
    print(run)
    sys.exit(int(code))


if __name__ == "__main__":
    main()

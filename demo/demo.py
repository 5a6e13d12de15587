#!/usr/bin/env python3
"""Shows edgefleet at work on this machine: a broker, a coordinator and three agents, pi-1 to pi-3, find the edges in a
batch of pictures. Halfway one agent is killed with -9, and its tasks run again on other agents. With --llm two agents
answer questions instead, and one is killed in the middle of its answer."""
import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import shlex
import sys
import tempfile
import time

import llm
import processes
import screen
from fleet import CAPABILITY, ROOT, Fleet, need_programs
from processes import DemoError, Processes, Signals, Stopped

AGENTS = ["pi-1", "pi-2", "pi-3"]
FILTERS = [{"name": "sharpen", "intensity": 3}, {"name": "edges", "threshold1": 20, "threshold2": 60}]
KINDS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff")
COUNT = 30
MOST = 10_000  # tasks in one batch
SHOW_REASON_AFTER = 3  # seconds without a running task
UPLOAD = 20  # files for one call of `edgefleet put`
ENDED = ("succeeded", "failed", "cancelled", "expired")
EXAMPLES = """examples:
  demo/demo.py                               30 generated pictures; the results are in demo/out
  demo/demo.py --images ~/Photos --count 50  the first 50 photos of a folder, by name
  demo/demo.py --out /tmp/edges              another folder for the results
  demo/demo.py --keep                        leaves it running, and prints how to look at it and how to stop it
  demo/demo.py --llm                         language models: two llama-servers with a tiny model of this repository
`./dev demo` builds first and takes the same options.

exit codes: 0 every picture is done and downloaded, or every answer was streamed as it was recorded; 1 otherwise;
2 wrong usage; 77 llama-server is not available; 130, 143 ended by Ctrl-C, SIGTERM"""


@dataclasses.dataclass
class Picture:
    path: pathlib.Path
    artifact: str = ""
    task: str = ""
    record: dict = dataclasses.field(default_factory=dict)  # the ended task
    result: pathlib.Path | None = None
    problem: str = ""

    @property
    def name(self):
        return screen.shorten(self.path.name)


@dataclasses.dataclass
class Kill:
    agent: str
    ended: int  # tasks of the batch, when last checked before the kill
    at: float  # wall clock


@dataclasses.dataclass
class Move:
    picture: Picture
    agent: str  # the successor
    after: float  # seconds from the kill to the start there


# --- the pictures -----------------------------------------------------------------------------------------------------

def find_pictures(folder, count):
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as problem:
        raise DemoError(f"cannot read the folder {screen.printable(folder)}: {problem.strerror}") from None
    paths = [path for path in files if path.suffix.lower() in KINDS]
    if not paths:
        raise DemoError(f"no pictures in {screen.printable(folder)} (looked for {', '.join(KINDS)})")
    if count is None and len(paths) > MOST:
        raise DemoError(f"{len(paths)} pictures are too many for one batch: pass --count (at most {MOST})")
    return [Picture(path) for path in paths[:count]]


def choose_results(pictures, folder):
    """A readable name for each result: for beach.png beach-edges.jpg, or beach-edges-2.jpg if that is taken."""
    taken = set()
    for picture in pictures:
        name, number = f"{picture.path.stem}-edges.jpg", 1
        while name.lower() in taken:
            number += 1
            name = f"{picture.path.stem}-edges-{number}.jpg"
        taken.add(name.lower())
        picture.result = folder / name


def make_output(folder):
    """Creates the folder; returns the folders that it created, the innermost first."""
    shown = screen.printable(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DemoError(f"the folder {shown} is not empty; pass another one with --out")
        with tempfile.TemporaryFile(dir=folder):
            return made
    except (FileExistsError, NotADirectoryError):
        raise DemoError(f"{shown} is not a folder; pass another one with --out") from None
    except OSError as problem:
        raise DemoError(f"cannot write to {shown}: {problem.strerror}; pass another folder with --out") from None


# --- one run ----------------------------------------------------------------------------------------------------------

class Demo:
    def __init__(self, options, started, progress):
        self.options = options
        self.processes = started
        self.progress = progress
        self.fleet = Fleet(options.bin, started, AGENTS)
        self.pictures = []
        self.batch = ""
        self.kill = None
        self.took = 0.0
        self.last_at_work = 0.0  # when a task was last seen on an agent

    def run(self):
        self.gather()
        self.progress.note("starting a broker, a coordinator and three agents")
        self.fleet.start()
        self.upload()
        self.submit()
        self.watch()
        self.collect()
        self.download()

    def gather(self):
        options = self.options
        self.pictures = find_pictures(options.images, options.count) if options.images else self.make_pictures()
        choose_results(self.pictures, options.out)

    def make_pictures(self):
        folder, count = self.processes.folder / "pictures", self.options.count or COUNT

        def watch():
            made = len(list(folder.glob("*"))) if folder.exists() else 0
            self.progress.show("making pictures", min(made, count), count)
        self.processes.run([sys.executable, str(ROOT / "demo" / "samples.py"), str(folder), str(count)], watch)
        watch()
        self.progress.finish()
        return find_pictures(folder, count)

    def upload(self):
        total = len(self.pictures)
        for first in range(0, total, UPLOAD):
            part = self.pictures[first:first + UPLOAD]
            answers = self.fleet.command("put", "--json", *(picture.path.absolute() for picture in part))
            for picture, line in zip(part, answers.splitlines(), strict=True):
                picture.artifact = json.loads(line)["id"]
            self.progress.show("uploading pictures", first + len(part), total)
        self.progress.finish()

    def submit(self):
        lines = self.processes.folder / "tasks.jsonl"
        lines.write_text("".join(json.dumps(task_of(picture)) + "\n" for picture in self.pictures))
        answer = json.loads(self.fleet.command("batch", "--no-wait", "--json", lines))
        self.batch = answer["id"]
        for picture, task in zip(self.pictures, answer["tasks"], strict=True):
            picture.task = task

    def watch(self):
        """Waits until all tasks have ended; halfway it kills an agent."""
        began = self.last_at_work = time.monotonic()
        total, before = len(self.pictures), {}
        while True:
            counts = self.fleet.get(f"/api/v1/batches/{self.batch}")["counts"]
            ended = sum(counts[state] for state in ENDED)
            self.progress.show("finding edges", ended, total, self.counts_of(counts))
            if ended == total:
                break
            self.processes.check()
            if not self.kill:
                before = self.kill_halfway(ended, counts["queued"], before)
            time.sleep(processes.LOOK)
        self.took = time.monotonic() - began
        self.progress.finish()

    def counts_of(self, counts):
        shown = {"at work": counts["assigned"] + counts["running"], **{state: counts[state] for state in ENDED[1:]}}
        text = "".join(f", {number} {what}" for what, number in shown.items() if number)
        if shown["at work"]:
            self.last_at_work = time.monotonic()
        if time.monotonic() - self.last_at_work > SHOW_REASON_AFTER:
            waiting = [queue["waiting"] for queue in self.fleet.get("/api/v1/queue")["queues"] if queue.get("waiting")]
            text += f", waiting: {waiting[0]}" if waiting else ""
        return text

    def kill_halfway(self, ended, queued, before):
        """Kills an agent that was just given a task, so that it is in the middle of it. Returns the tasks by agent."""
        held = self.fleet.held()
        total = len(self.pictures)
        if ended < total // 2 and total > len(AGENTS):  # a few pictures may all end at the same time
            return held
        new = {name: tasks - before.get(name, set()) if queued else tasks for name, tasks in held.items()}
        victim = max(new, key=lambda name: len(new[name]))
        if new[victim]:
            self.processes.kill(victim)
            self.kill = Kill(victim, ended, time.time())
            self.progress.note(f"{victim} was killed with -9 at {ended} of {total}")
        return held

    def collect(self):
        for picture in self.pictures:
            picture.record = self.fleet.get(f"/api/v1/tasks/{picture.task}")
            if picture.record["state"] != "succeeded":
                picture.problem = picture.record.get("error", {}).get("message") or picture.record["state"]

    def download(self):
        done = [picture for picture in self.pictures if not picture.problem]
        for number, picture in enumerate(done, 1):
            picture.problem = self.fetch(picture)
            self.progress.show("downloading results", number, len(done))
        self.progress.finish()

    def fetch(self, picture):
        """The problem of the download; empty if there is none."""
        stored = picture.record["output"]["image"]
        try:
            self.fleet.command("get", stored["artifact"], "-o", picture.result)
        except DemoError as problem:
            return f"not downloaded: {problem}"
        size = picture.result.stat().st_size
        return "" if size == stored["bytes"] > 0 else f"{size} of {stored['bytes']} bytes were downloaded"

    def report(self):
        return Report(self.pictures, self.kill, self.took)

    @staticmethod
    def looks():
        """Commands of `edgefleet` that show the fleet."""
        return ["agents"]


def task_of(picture):
    return {"capability": CAPABILITY, "name": picture.name,
            "input": {"image": {"artifact": picture.artifact}, "filters": FILTERS, "format": "jpeg"}}


# --- the results ------------------------------------------------------------------------------------------------------

class Report:
    def __init__(self, pictures, kill, took):
        self.pictures = pictures
        self.kill = kill
        self.took = took
        self.bad = [picture for picture in pictures if picture.problem]
        self.lost = [picture for picture in pictures if any(a["state"] == "lost" for a in picture.record["attempts"])]
        self.moves = [move for move in map(self.move_of, pictures) if move]

    def move_of(self, picture):
        attempts = picture.record["attempts"]
        for attempt, successor in zip(attempts, attempts[1:]):
            if self.kill and attempt["state"] == "lost" and attempt["agent"] == self.kill.agent:
                began = datetime.datetime.fromisoformat(successor.get("started_at") or successor["assigned_at"])
                return Move(picture, successor["agent"], max(0.0, began.timestamp() - self.kill.at))
        return None

    def agents(self):
        header = ("agent", "pictures", "attempts", "lost", "taken over", "")
        rows = []
        for name in AGENTS:
            attempts = [a for picture in self.pictures for a in picture.record["attempts"] if a["agent"] == name]
            states = [attempt["state"] for attempt in attempts]
            rows.append((name, states.count("succeeded"), len(attempts), states.count("lost"),
                         sum(move.agent == name for move in self.moves), self.fate(name)))
        return screen.table(header, [*rows, ("all", *(sum(row[i] for row in rows) for i in range(1, 5)), "")])

    def fate(self, name):
        return "killed with -9" if self.kill and self.kill.agent == name else ""

    def lines(self, folder):
        yield from self.agents()
        if self.moves:
            yield ""
            yield from screen.table(("moved task", "picture", "from", "to", "started there"), [
                (move.picture.task, move.picture.name, self.kill.agent, move.agent,
                 f"{move.after:.1f} s after the kill") for move in self.moves])
        if self.bad:
            yield ""
            yield from screen.table(("failed task", "picture", "reason"), [
                (picture.task, picture.name, screen.printable(picture.problem)) for picture in self.bad])
        yield ""
        yield self.summary()
        yield f"{self.took:.1f} s for the batch; the pictures are in {screen.printable(nearby(folder))}"

    def summary(self):
        total = len(self.pictures)
        done = f"{total - len(self.bad)} of {total} pictures done"
        if not self.kill:
            return f"all tasks ended before an agent could be killed; {done}"
        return f"{self.kill.agent} was killed with -9 at {self.kill.ended} of {total}; {self.what_moved()}; {done}"

    def what_moved(self):
        if not self.lost:
            return "it had no task at that moment"
        if len(self.moves) < len(self.lost):
            return f"of its {screen.counted(len(self.lost), 'task')} {len(self.moves)} started elsewhere"
        times = sorted({f"{move.after:.1f}" for move in self.moves}, key=float)
        span = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
        return f"its {screen.counted(len(self.moves), 'task')} started elsewhere after {span} s"


def nearby(folder):
    """The path relative to the current folder, if it is below it."""
    folder, here = folder.absolute(), pathlib.Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


# --- the command ------------------------------------------------------------------------------------------------------

def positive(text):
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {MOST}")
    return number


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="DIR", type=pathlib.Path, help="folder with photos: " + ", ".join(KINDS))
    parser.add_argument("--count", metavar="N", type=positive,
                        help=f"number of pictures (default {COUNT}; with --images, all)")
    parser.add_argument("--llm", action="store_true", help="language models instead of pictures")
    parser.add_argument("--out", metavar="DIR", type=pathlib.Path,
                        help="empty or new folder for the results (default: a new one in demo/out)")
    parser.add_argument("--bin", metavar="DIR", type=pathlib.Path,
                        default=os.environ.get("EDGEFLEET_BIN") or ROOT / "build" / "release" / "bin",
                        help="folder of the programs, or EDGEFLEET_BIN (default build/release/bin)")
    parser.add_argument("--keep", action="store_true", help="leave everything running, and print how to look at it")
    parser.add_argument("--stop", metavar="DIR", type=pathlib.Path, help="stop a demo that was started with --keep")
    parser.add_argument("--check-options", action="store_true", help=argparse.SUPPRESS)  # for ./dev, before it builds
    options = parser.parse_args()
    if options.llm and (options.images or options.count or options.out):
        parser.error("--images, --count and --out cannot be used with --llm")
    run = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    options.out = options.out or ROOT / "demo" / "out" / f"{run}-{os.getpid()}"
    options.bin = pathlib.Path(options.bin).absolute()
    return options


def how_to_look(fleet, looks, folder):
    quoted = lambda path: shlex.quote(str(path))
    return [
        "", f"The fleet is still running, with its logs in {folder}. To look at it:",
        f"  mosquitto_sub -h 127.0.0.1 -p {fleet.broker_port} -v -t 'edgefleet/v1/#'",
        *(f"  EDGEFLEET_URL={fleet.url} {quoted(fleet.programs / 'edgefleet')} {look}" for look in looks),
        "To stop it and remove that folder:",
        f"  python3 {quoted(ROOT / 'demo' / 'demo.py')} --stop {quoted(folder)}",
    ]


def show(options, started, progress):
    """Runs the demo and prints its report; returns the exit code."""
    demo = (llm.LlmDemo if options.llm else Demo)(options, started, progress)
    demo.run()
    report = demo.report()
    for line in ("", *report.lines(options.out)):
        progress.note(line)
    if options.keep:
        processes.keep(started)
        for line in how_to_look(demo.fleet, demo.looks(), started.folder):
            progress.note(line)
    elif not report.bad:
        progress.note("")
        progress.note("Next: ./dev demo --keep leaves the fleet running; README.md, \"A first task\", starts your own.")
    return 1 if report.bad else 0


def run(options, signals, progress):
    """Runs the demo, and cleans up afterwards."""
    need_programs(options.bin, ["mosquitto", *([] if options.images or options.llm else ["vips"])])
    made = [] if options.llm else make_output(options.out)
    started, kept = None, False
    try:
        with signals.held():
            started = Processes(pathlib.Path(tempfile.mkdtemp(prefix="edgefleet-demo-")), signals)
        code = show(options, started, progress)
        kept = options.keep
        return code
    finally:
        with signals.held():
            if started and not kept:
                started.stop()
                processes.remove(started.folder)
            with contextlib.suppress(OSError):
                for folder in made:
                    folder.rmdir()  # only the empty ones


def stop(folder):
    processes.stop_kept(folder)
    print(f"stopped; {screen.printable(folder)} has been removed")
    return 0


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    options, signals, progress = parse_options(), Signals(), screen.Progress()
    if options.check_options:
        return 0
    try:
        return stop(options.stop) if options.stop else run(options, signals, progress)
    except DemoError as problem:
        progress.finish()
        print(f"demo: {problem}", file=sys.stderr)
        return problem.code
    except Stopped as stopped:
        progress.finish()
        print("demo: interrupted; all its processes have ended", file=sys.stderr)
        return 128 + stopped.number
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())

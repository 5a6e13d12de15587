"""Processes that end with the demo, however it ends."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

LOOK = 0.05  # seconds between two looks at a condition
GRACE = 10  # seconds from SIGTERM to SIGKILL


class DemoError(Exception):
    """What the user is told instead of a traceback."""

    code = 1  # that the demo ends with


class Unavailable(DemoError):
    """Something that the demo needs cannot be had here: it is skipped, says the code, rather than failed."""

    code = 77


class Stopped(BaseException):
    """Somebody wants the demo to end: SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Signals:
    """Raises Stopped, once, but not while something is done that would else leave a process or a folder behind."""

    def __init__(self):
        self.holds = 0
        self.came = None
        self.raised = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self.receive)

    def receive(self, number, _frame):
        self.came = number
        self.heed()

    def heed(self):
        if self.came and not self.holds and not self.raised:
            self.raised = True
            raise Stopped(self.came)

    @contextlib.contextmanager
    def held(self):
        self.holds += 1
        try:
            yield
        finally:
            self.holds -= 1
        self.heed()


def birth(pid):
    """When the process began: with its id it names it for good. None once it has ended, reaped or not."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def wait_until(condition, seconds):
    """Whether it came true in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


def send(signal_number, processes):
    for pid, began in processes:
        if birth(pid) == began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)


def end(processes):
    """Ends processes, given as (id, birth); those that do not heed SIGTERM are killed."""
    processes = [(pid, began) for pid, began in processes if began is not None]
    gone = lambda: all(birth(pid) != began for pid, began in processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(number, processes)
        if wait_until(gone, GRACE):
            return


def remove(folder):
    """Removes a folder, into which a child of a killed process may write for another moment."""
    def try_once():
        shutil.rmtree(folder, ignore_errors=True)
        return not os.path.lexists(folder)
    if not wait_until(try_once, GRACE):
        raise DemoError(f"cannot remove {folder}")


def environment(folder):
    """Ours, without what would change how the programs behave, and with temporary files where they are removed."""
    ours = {key: value for key, value in os.environ.items()
            if not key.startswith("EDGEFLEET_") and not key.lower().endswith("_proxy")}
    return {**ours, "TMPDIR": str(folder)}


class Processes:
    """Those of one demo, in layers: what was started last ends first. They stay clear of the terminal's Ctrl-C."""

    def __init__(self, folder, signals):
        self.folder = folder
        self.signals = signals
        self.environment = environment(folder)
        self.layers = []  # of dictionaries from a name to a process

    def start(self, layer):
        """Starts processes side by side; layer: a dictionary from a name to the arguments."""
        self.layers.append({})
        for name, argv in layer.items():
            with self.signals.held(), open(self.log(name), "wb") as log:
                self.layers[-1][name] = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=self.environment,
                    start_new_session=True)

    def run(self, argv, watch=lambda: None, environ=None):
        """Runs a helper to its end, calling `watch` now and then: its output, or a DemoError with its last words."""
        helper = None
        try:
            with self.signals.held():
                helper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, env=environ or self.environment,
                                          start_new_session=True)
            out, err = self.collect(helper, watch)
        finally:
            with self.signals.held():
                if helper and helper.returncode is None:
                    self.abort(helper)
        if helper.returncode:
            last = err.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {helper.returncode}"]
            raise DemoError(last[0])
        return out.decode()

    @staticmethod
    def abort(helper):
        """Ends it with all that it has started. It is reaped last: until then its id names its group for sure."""
        os.killpg(helper.pid, signal.SIGTERM)
        wait_until(lambda: birth(helper.pid) is None, 2)
        os.killpg(helper.pid, signal.SIGKILL)
        helper.wait()

    @staticmethod
    def collect(helper, watch):
        while True:
            try:
                return helper.communicate(timeout=0.2)
            except subprocess.TimeoutExpired:
                watch()

    def log(self, name):
        return self.folder / f"{name}.log"

    def last_words(self, name, lines=8):
        words = self.log(name).read_text(errors="replace").strip().splitlines()[-lines:]
        return "\n".join(f"  {line}" for line in words) or "  (it has written nothing)"

    def find(self, name):
        return next(layer[name] for layer in self.layers if name in layer)

    def kill(self, name):
        """With -9; from then on it is no longer expected to run."""
        with self.signals.held():
            self.find(name).kill()
            self.find(name).wait()
            for layer in self.layers:
                layer.pop(name, None)

    def ended(self):
        """Names of those that ended, and were not killed by us."""
        return [name for layer in self.layers for name, process in layer.items() if process.poll() is not None]

    def check(self):
        """That all are running."""
        for name in self.ended():
            code = self.find(name).returncode
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            raise DemoError(f"{name} ended by itself ({how}); the end of its log:\n{self.last_words(name)}")

    def identities(self):
        return [[(process.pid, birth(process.pid)) for process in layer.values()] for layer in self.layers]

    def stop(self):
        for layer in reversed(self.layers):
            end((process.pid, birth(process.pid)) for process in layer.values() if process.poll() is None)
            for process in layer.values():
                process.wait()
        self.layers.clear()


# A demo that was kept running: its folder says which processes belong to it.

def keep(processes):
    (processes.folder / "processes.json").write_text(json.dumps(processes.identities()))


def stop_kept(folder):
    try:
        layers = json.loads((folder / "processes.json").read_text())
    except (OSError, ValueError):
        raise DemoError(f"{folder} is not the folder of a demo that was kept running") from None
    for layer in reversed(layers):
        end(tuple(one) for one in layer)
    remove(folder)

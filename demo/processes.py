"""The processes of a demo; they end with it in every case."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

LOOK = 0.05  # seconds between two checks of a condition
GRACE = 10  # seconds from SIGTERM to SIGKILL


class DemoError(Exception):
    """An error that is shown to the user without a traceback."""

    code = 1  # the exit code of the demo


class Unavailable(DemoError):
    """A requirement of the demo is not available: the exit code says skipped, not failed."""

    code = 77


class Stopped(BaseException):
    """The demo was asked to end, by SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Signals:
    """Raises Stopped once, but not within `held`, where it would leave a process or a folder behind."""

    def __init__(self):
        self.holds = 0
        self.received = None
        self.raised = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self.receive)

    def receive(self, number, _frame):
        self.received = number
        self.raise_pending()

    def raise_pending(self):
        if self.received and not self.holds and not self.raised:
            self.raised = True
            raise Stopped(self.received)

    @contextlib.contextmanager
    def held(self):
        self.holds += 1
        try:
            yield
        finally:
            self.holds -= 1
        self.raise_pending()


def birth(pid):
    """The start time of the process; together with its id it is unique. None after its end, reaped or not."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def wait_until(condition, seconds):
    """Whether the condition became true in that time."""
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
    """Ends processes, given as (id, birth); those that ignore SIGTERM are killed."""
    processes = [(pid, began) for pid, began in processes if began is not None]
    ended = lambda: all(birth(pid) != began for pid, began in processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(number, processes)
        if wait_until(ended, GRACE):
            return


def remove(folder):
    """Removes a folder; a child of a killed process may still write to it for a moment."""
    def try_once():
        shutil.rmtree(folder, ignore_errors=True)
        return not os.path.lexists(folder)
    if not wait_until(try_once, GRACE):
        raise DemoError(f"cannot remove {folder}")


def environment(folder):
    """Our environment without variables that change the programs, and with temporary files in the folder."""
    ours = {key: value for key, value in os.environ.items()
            if not key.startswith("EDGEFLEET_") and not key.lower().endswith("_proxy")}
    return {**ours, "TMPDIR": str(folder)}


class Processes:
    """The processes of one demo, in layers: the last started end first. Ctrl-C on the terminal does not reach them."""

    def __init__(self, folder, signals):
        self.folder = folder
        self.signals = signals
        self.environment = environment(folder)
        self.layers = []  # dictionaries from a name to a process

    def start(self, layer):
        """Starts processes in parallel; layer: a dictionary from a name to the arguments."""
        self.layers.append({})
        for name, argv in layer.items():
            with self.signals.held(), open(self.log(name), "wb") as log:
                self.layers[-1][name] = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=self.environment,
                    start_new_session=True)

    def run(self, argv, watch=lambda: None, environ=None):
        """Runs a helper to its end and calls `watch` regularly; its output, or a DemoError with its last line."""
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
        """Ends it with its process group. It is reaped last, because until then its id identifies the group."""
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
        return "\n".join(f"  {line}" for line in words) or "  (the log is empty)"

    def find(self, name):
        return next(layer[name] for layer in self.layers if name in layer)

    def kill(self, name):
        """Kills it with -9; afterwards it is not expected to run."""
        with self.signals.held():
            self.find(name).kill()
            self.find(name).wait()
            for layer in self.layers:
                layer.pop(name, None)

    def ended(self):
        """Names of the processes that ended and were not killed here."""
        return [name for layer in self.layers for name, process in layer.items() if process.poll() is not None]

    def check(self):
        """Raises an error if a process has ended by itself."""
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


# A demo that was kept running: its folder lists its processes.

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

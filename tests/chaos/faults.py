"""Faults, chosen by a seed, each with its own duration; one at a time per host, several hosts at the same time."""
import dataclasses
import os
import random
import shutil
import signal
import threading
import time

from clock import MOST
from world import GRACE_S

PAUSE = 1.2  # seconds between two faults, on average
MOMENT = 1.0
CALM_EVERY, CALM = 45, 8  # seconds: regular pauses without new faults, so that recoveries can complete


@dataclasses.dataclass
class Fault:
    kind: str
    target: str
    at: float  # monotonic
    seconds: float  # as planned
    until: float = 0  # monotonic, when it was repaired


# kind: (weight, shortest and longest duration in seconds)
AGENT = {"kill": (4, 0, 6), "stop": (3, 1, 40), "term": (2, 0, 5), "cut": (4, 2, 45), "slow": (2, 5, 20),
         "drain": (1, 1, 10), "jump": (2, 0, 0)}
COORDINATOR = {"kill": (4, 0, 5), "stop": (2, 1, 12), "term": (2, 0, 3), "cut": (2, 2, 25), "slow": (1, 3, 10), "jump": (3, 0, 0)}
BROKER = {"kill": (3, 0, 4), "kill-empty": (3, 0, 4), "stop": (2, 1, 20), "cut": (1, 2, 20), "jump": (1, 0, 0)}
PROXIED = {"drop": (3, 3, 15), "stall": (2, 1, 25)}
DISK = {"disk-full": (1, 2, 15)}
TARGETS = {"agent": 10, "coordinator": 4, "broker": 3, "disk": 2}


class Faults:
    def __init__(self, world, seed, log):
        self.world, self.log = world, log
        self.random = random.Random(f"{seed}-faults")
        self.history = []
        self.busy = set()
        self.threads = []
        self.ending = threading.Event()
        self.ballast = world.data / "ballast"
        self.freed = 0  # monotonic: when it was last deleted
        self.unexpected = []  # programs that ended by themselves

    # ---- choosing

    def kinds(self, role, target):
        table = {"agent": AGENT, "coordinator": COORDINATOR, "broker": BROKER, "disk": DISK}[role]
        if target in self.world.proxied:
            table = {**table, **PROXIED}
        if not self.world.network.slow_kinds:
            table = {kind: rule for kind, rule in table.items() if kind != "slow"}
        return table

    def choose(self):
        """All random numbers are drawn here, in one order, so that a seed always gives the same plan."""
        draw = self.random
        role = draw.choices(list(TARGETS), list(TARGETS.values()))[0]
        target = draw.choice(self.world.agent_names) if role == "agent" else role
        table = self.kinds(role, target)
        kind = draw.choices(list(table), [rule[0] for rule in table.values()])[0]
        _, least, most = table[kind]
        seconds = least + (most - least) * draw.random() ** 2  # mostly short ones
        return Fault(kind, target, 0, seconds), draw.random(), draw.expovariate(1 / PAUSE)

    def run(self, seconds):
        """Makes faults for that time, and repairs all of them."""
        end = time.monotonic() + seconds
        calm = time.monotonic() + CALM_EVERY
        while time.monotonic() < end and not self.ending.is_set():
            fault, detail, pause = self.choose()
            if fault.target not in self.busy:
                self.busy.add(fault.target)
                thread = threading.Thread(target=self.perform, args=(fault, detail), daemon=True)
                self.threads.append(thread)
                thread.start()
            if time.monotonic() > calm:
                pause += CALM
                calm = time.monotonic() + CALM_EVERY
            self.wait(min(pause, max(0, end - time.monotonic())))
        self.ending.set()
        for thread in self.threads:
            thread.join(90)

    def wait(self, seconds):
        """Waits, and restarts programs that ended by themselves."""
        end = time.monotonic() + seconds
        while True:
            self.look_after()
            rest = end - time.monotonic()
            if rest <= 0 or self.ending.wait(min(rest, 0.2)):
                return

    def look_after(self):
        """Records programs that ended by themselves and starts them again, as a service manager does."""
        for name, program in self.world.programs.items():
            with self.world.lock:
                if not program.wanted or program.alive():
                    continue
                code = program.process.popen.returncode
                full = name == "coordinator" and self.disk_full()
                self.log("ended", name=name, life=program.life, code=code, disk_full=full)
                # A coordinator that cannot store its epoch logs an error and ends.
                if not (full and code > 0):
                    self.unexpected.append((name, program.life, code))
                program.start()

    def disk_full(self):
        """Now or a moment ago: a program that noticed it may still be ending."""
        return self.ballast.exists() or time.monotonic() < self.freed + MOMENT

    # ---- performing

    def perform(self, fault, detail):
        fault.at = time.monotonic()
        self.history.append(fault)
        self.log("fault", kind=fault.kind, target=fault.target, seconds=round(fault.seconds, 2))
        try:
            mend = getattr(self, "do_" + fault.kind.replace("-", "_"))(fault, detail)
            self.ending.wait(fault.seconds)
            mend()
            fault.until = time.monotonic()
            self.log("mended", kind=fault.kind, target=fault.target)
        except Exception as error:  # an error of the test itself must fail the run
            self.log("harness", what=repr(error))
            self.unexpected.append((f"fault {fault.kind} on {fault.target}", 0, repr(error)))
        finally:
            self.busy.discard(fault.target)

    def program(self, fault):
        return self.world.programs[fault.target]

    def restart(self, fault):
        with self.world.lock:
            self.program(fault).start()

    def do_kill(self, fault, _detail):
        with self.world.lock:
            self.program(fault).kill()
        return lambda: self.restart(fault)

    def do_kill_empty(self, fault, _detail):
        with self.world.lock:
            self.program(fault).kill()
            for kept in (self.world.folder / "broker").glob("mosquitto.db*"):
                kept.unlink()
        return lambda: self.restart(fault)

    def do_term(self, fault, _detail):
        program = self.program(fault)
        began = time.monotonic()
        with self.world.lock:
            program.wanted = False  # it must not be restarted meanwhile
        code = program.terminate(GRACE_S + 15)
        if code == -signal.SIGTERM and began < program.began + MOMENT:
            code = 0  # it had not yet installed its signal handlers
        self.log("terminated", target=fault.target, code=code, seconds=round(time.monotonic() - began, 2))
        if code is None or (code != 0 and not (fault.target == "coordinator" and self.disk_full())):
            self.unexpected.append((fault.target + " on SIGTERM", program.life, code))
        return lambda: self.restart(fault)

    def do_stop(self, fault, _detail):
        program = self.program(fault)
        with self.world.lock:
            if program.alive():
                program.signal(signal.SIGSTOP)

        def resume():
            with self.world.lock:
                if program.alive():
                    program.signal(signal.SIGCONT)
        return resume

    def do_cut(self, fault, _detail):
        self.world.network.cut(fault.target)
        return lambda: self.world.network.mend(fault.target)

    def do_slow(self, fault, detail):
        kinds = self.world.network.slow_kinds
        self.world.network.slow(fault.target, kinds[int(detail * len(kinds))])
        return lambda: self.world.network.hurry(fault.target)

    def do_drop(self, fault, detail):
        self.world.proxy.set_mode(fault.target, "drop", round(0.05 + 0.4 * detail, 3))
        return lambda: self.world.proxy.set_mode(fault.target, "pass")

    def do_stall(self, fault, _detail):
        self.world.proxy.set_mode(fault.target, "stall")
        return lambda: self.world.proxy.set_mode(fault.target, "pass")

    def do_drain(self, fault, _detail):
        """As by an operator; the request is repeated until it is answered, so that the drain ends with the fault."""
        def request(what):
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with self.world.http(5) as http:
                    answer = http.try_request("POST", f"/api/v1/agents/{fault.target}/{what}")
                if answer is not None and answer.status == 202:
                    return
                time.sleep(0.2)
            raise RuntimeError(f"{what} of {fault.target} was not answered: {answer}")
        request("drain")
        return lambda: request("resume")

    def do_jump(self, fault, detail):
        """Moves the wall clock by up to a month, permanently; sometimes back to the right time."""
        clock = self.program(fault).clock
        clock.jump_to(0 if detail < 0.2 else round((detail - 0.6) / 0.4 * MOST))
        self.log("jumped", target=fault.target, offset=clock.offset)
        return lambda: None

    def do_disk_full(self, _fault, _detail):
        """Fills the disk to the last byte; the coordinator can use what it frees meanwhile."""
        fd = os.open(self.ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = 0
            step = shutil.disk_usage(self.world.data).free
            while step >= 4096:
                try:
                    os.posix_fallocate(fd, size, step)
                    size += step
                except OSError:
                    step //= 2
        finally:
            os.close(fd)

        def free():
            self.freed = time.monotonic()
            self.ballast.unlink()
        return free

"""The checker of chaos finds each kind of violation, and finds none in a good run."""
import copy
import datetime
import pathlib
import tempfile
import unittest

from checker import Checker, Run, named_artifacts, read_runs
from clock import STEP
from ledger import Entry, Ledger, artifact_id, content
from proxy import acknowledgement, split
from runner import made
from sanitizers import Sanitizers

SHIFT = 1_000_000.0  # wall clock minus monotonic clock, in ms
SECOND = 1_000_000_000
NOW = SHIFT + 20_000  # ms, by the wall clock, at the end


def attempt(agent="pi-1", state="succeeded"):
    return {"n": 1, "agent": agent, "state": state}


class Case(unittest.TestCase):
    """One command that succeeded on pi-1: it was sent at 10 s and ran from 11 s to 12 s."""

    def setUp(self):
        body = {"capability": "command.run", "input": {"task": "a", "seconds": 1, "code": 0}, "name": "a"}
        self.entry = Entry("a", body, "http", first_sent=10.0, id="T1", ids={"T1"}, accepted_at=10.1)
        self.ledger = Ledger()
        self.ledger.add(self.entry)
        self.task = {"id": "T1", "name": "a", "capability": "command.run", "state": "succeeded",
                     "output": {"stdout": {"text": "r1\n"}, "artifacts": []}, "attempts": [attempt()], "ended_at": "1970-01-01T00:16:52.100Z"}
        self.run1 = Run("r1", "a", "pi-1", 1, 11 * SECOND, 12 * SECOND)
        self.tasks, self.runs, self.files = [self.task], {"a": [self.run1]}, {}

    def cancelled(self, **error):
        self.entry.cancels.append((11.0, 11.1, 202, "cancelled"))
        self.task.update(state="cancelled", output=None, attempts=[attempt(state="cancelled")], **error)

    def violations(self):
        checker = Checker(self.ledger, {task["id"]: task for task in self.tasks}, self.runs, self.files, SHIFT, NOW)
        return sorted({violation.split(":")[0] for violation in checker.check()})


class Tasks(Case):
    def test_good(self):
        self.assertEqual(self.violations(), [])

    def test_lost(self):
        self.tasks, self.runs = [], {}
        self.assertEqual(self.violations(), ["lost"])

    def test_no_outcome(self):
        self.task["state"] = "running"
        self.assertIn("no outcome", self.violations())

    def test_duplicated(self):
        self.tasks.append({**copy.deepcopy(self.task), "id": "T2"})
        self.assertIn("duplicated", self.violations())

    def test_two_ids_for_one_key(self):
        self.entry.ids.add("T2")
        self.assertEqual(self.violations(), ["duplicated"])

    def test_refused_but_kept(self):
        self.entry.id, self.entry.ids, self.entry.refused = "", set(), [507]
        self.assertEqual(self.violations(), ["refused but kept"])
        self.entry.lost = 1  # one of its submits had no answer: then it may exist
        self.assertEqual(self.violations(), [])

    def test_changed_outcome(self):
        self.entry.outcomes.append((12.0, "http", {"state": "failed", "output": None, "error": "agent_lost"}))
        self.assertEqual(self.violations(), ["changed outcome"])
        self.entry.retries.append((12.5, 12.6, 202))
        self.assertEqual(self.violations(), [])

    def test_at_most_once(self):
        self.runs["a"].append(Run("r2", "a", "pi-2", 1, 13 * SECOND, 14 * SECOND))
        self.task["attempts"].insert(0, attempt("pi-2", "lost"))
        self.assertEqual(self.violations(), [])
        self.entry.body["max_attempts"] = 1
        self.assertEqual(self.violations(), ["at most once"])

    def test_more_runs_than_attempts(self):
        self.runs["a"].append(Run("r2", "a", "pi-1", 1, 13 * SECOND, 14 * SECOND))
        self.assertEqual(self.violations(), ["more runs than attempts"])

    def test_result_of_no_run(self):
        self.task["output"]["stdout"]["text"] = "r9\n"
        self.assertEqual(self.violations(), ["wrong result"])

    def test_result_of_an_unfinished_run(self):
        self.run1.end = 0
        self.assertEqual(self.violations(), ["wrong result"])

    def test_cancelled_in_the_queue(self):
        self.cancelled()
        self.task["attempts"] = []
        self.assertIn("ran after cancel", self.violations())

    def test_ran_on_after_a_confirmed_stop(self):
        self.cancelled()
        self.task["ended_at"] = "1970-01-01T00:16:51.500Z"  # half a second before its end
        self.assertEqual(self.violations(), ["ran after stop"])
        self.task["error"] = {"code": "stop_unconfirmed"}
        self.assertEqual(self.violations(), [])

    def test_cancelled_without_request(self):
        self.cancelled()
        self.entry.cancels.clear()
        self.assertEqual(self.violations(), ["cancelled without request"])

    def test_too_early(self):
        self.entry.body["delay_ms"] = 1500
        self.assertEqual(self.violations(), ["too early"])

    def test_run_without_task_and_unknown_task(self):
        self.runs["x"] = [Run("r3", "x", "pi-1", 1, 1)]
        self.tasks.append({**copy.deepcopy(self.task), "id": "T3", "name": "y"})
        self.assertEqual(self.violations(), ["run without task", "unknown task"])

    def test_partial_batch(self):
        self.ledger.batches["b"] = {"ids": {"B1"}, "tasks": ["a", "z"], "refused": [], "lost": 0}
        self.assertEqual(self.violations(), ["partial batch"])

    def test_slots(self):
        self.run1.trouble = "overbooked"
        self.assertEqual(self.violations(), ["slots"])

    def test_stopped_by_a_clock_that_jumped(self):
        self.cancelled()
        self.entry.cancels[0] = (11.0, 11.1, 202, "cancelled")
        for hours in (-5 * STEP, 3 * STEP):
            self.task["ended_at"] = at(12.1 + hours)
            self.assertEqual(self.violations(), [])
            self.task["ended_at"] = at(11.5 + hours)
            self.assertEqual(self.violations(), ["ran after stop"])

    def test_refused_as_invalid(self):
        self.entry.refused = [422]
        self.assertEqual(self.violations(), ["refused as invalid"])

    def test_unexpected_failure(self):
        self.task.update(state="failed", output=None, error={"code": "internal"}, attempts=[attempt(state="failed")])
        self.assertEqual(self.violations(), ["unexpected failure"])

    def test_run_logs(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "pi-1.runs").write_text("start r1 a 1 5\noverbooked r1 a 1 6\nend r1 a 1 7\nstart r2 a 1 8\n")
            runs = read_runs(pathlib.Path(folder))["a"]
        self.assertEqual(runs, [Run("r1", "a", "pi-1", 1, 5, 7, "overbooked"), Run("r2", "a", "pi-1", 1, 8)])


def at(seconds):
    """A monotonic time in the format of the API."""
    moment = datetime.datetime.fromtimestamp(SHIFT / 1000 + seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Files(Case):
    """The same with an uploaded file and two files that the run made from it."""

    def setUp(self):
        super().setUp()
        source = self.store(content("f"))
        self.ledger.files[source] = ("f", 9.0)
        self.entry.source = "f"
        self.entry.body["input"].update(file={"artifact": source}, files=2)
        self.task["capability"] = self.entry.body["capability"] = "command.file"
        self.name_files("r1")

    def store(self, data):
        self.files[artifact_id(data)] = data
        return artifact_id(data)

    def name_files(self, run):
        made_files = [made(run, "a", part, content("f")) for part in range(2)]
        self.task["output"]["artifacts"] = [{"artifact": self.store(data), "name": f"part-{part}", "bytes": len(data)}
                                            for part, data in enumerate(made_files)]
        self.parts = self.task["output"]["artifacts"]

    def test_good(self):
        self.assertEqual(self.violations(), [])

    def test_lost_files(self):
        for artifact in (self.parts[1]["artifact"], *self.ledger.files):
            kept = self.files[artifact]
            self.files[artifact] = None
            self.assertEqual(self.violations(), ["lost file"])
            self.files[artifact] = kept

    def test_corrupt_file(self):
        self.files[self.parts[0]["artifact"]] = b"something else"
        self.assertEqual(self.violations(), ["corrupt file"])

    def test_files_of_another_run(self):
        self.name_files("r2")
        self.assertEqual(self.violations(), ["wrong files"])

    def test_files_swapped(self):
        for part, other in zip(self.parts, ("part-1", "part-0")):
            part["name"] = other
        self.assertEqual(self.violations(), ["wrong files"])

    def test_files_missing_in_the_result(self):
        self.parts.pop()
        self.assertEqual(self.violations(), ["wrong files"])

    def test_wrong_size(self):
        self.parts[0]["bytes"] += 1
        self.assertEqual(self.violations(), ["wrong files"])

    def test_names_of_artifacts(self):
        self.assertEqual(named_artifacts([self.task, 1, {"artifact": 2}]), {part["artifact"] for part in self.parts})


class Reports(unittest.TestCase):
    RACE = "WARNING: ThreadSanitizer: data race (pid=7)"
    LOG = (f"---- life 1, monotonic 1.0\n=====\n{RACE}\n  Write of size 8\n---- life 2, monotonic 2.0\nno error\n"
           "---- life 3, monotonic 3.0\na.cpp:7:1: runtime error: signed integer overflow\n"
           "---- life 4, monotonic 4.0\n==9==ERROR: AddressSanitizer: heap-use-after-free\n"
           "---- life 5, monotonic 5.0\n==9==ERROR: LeakSanitizer: detected memory leaks\n")

    def test_reports(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "pi-1.log"
            log.write_text(self.LOG)
            reports = Sanitizers.reports(log)
        self.assertEqual(reports[0], f"{self.RACE}\n  Write of size 8")
        self.assertEqual([report.split(" ")[-1] for report in reports[1:]], ["overflow", "heap-use-after-free", "leaks"])


class Proxy(unittest.TestCase):
    PUBLISH = bytes([0x32, 8, 0, 2]) + b"ab" + bytes([0x12, 0x34, 0]) + b"x"  # QoS 1, topic "ab", packet 0x1234

    def test_split(self):
        ping = bytes([0xC0, 0])
        packets, rest = split(ping + self.PUBLISH + self.PUBLISH[:5])
        self.assertEqual([packet for packet, _ in packets], [ping, self.PUBLISH])
        self.assertEqual(rest, self.PUBLISH[:5])

    def test_long_length(self):
        packet = bytes([0x30, 0x80, 0x01]) + bytes(128)
        self.assertEqual(split(packet)[0], [(packet, 3)])
        self.assertEqual(split(packet[:2]), ([], packet[:2]))

    def test_acknowledgement(self):
        self.assertEqual(acknowledgement(self.PUBLISH, 2), bytes([0x40, 2, 0x12, 0x34]))
        self.assertEqual(acknowledgement(bytes([0x30]) + self.PUBLISH[1:], 2), b"")


if __name__ == "__main__":
    unittest.main()

"""The coordinator's store: schema, clock, retention, backups, damage, and a full disk."""

import contextlib
import http.client
import os
import re
import sqlite3
import subprocess
import threading
import unittest

from full_disk import FullDisk
from support import BIN, FleetCase, clean_environment, wait_until

# The exact tables of version 1.
SCHEMA_1 = """
CREATE TABLE specs (
  id BLOB PRIMARY KEY, capability TEXT NOT NULL, input TEXT NOT NULL, name TEXT NOT NULL, priority INTEGER NOT NULL,
  timeout_ns INTEGER NOT NULL, expires_after_ns INTEGER, delay_ns INTEGER NOT NULL, max_attempts INTEGER NOT NULL,
  conditions TEXT NOT NULL, submitter TEXT NOT NULL, idempotency_key TEXT, batch BLOB, accepted_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX specs_by_key ON specs (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE tasks (
  id BLOB PRIMARY KEY, state INTEGER NOT NULL, rank INTEGER NOT NULL, allowed_attempts INTEGER NOT NULL,
  due_in_ns INTEGER, expires_in_ns INTEGER, ended_at INTEGER, attempts TEXT NOT NULL, output TEXT, error TEXT,
  usage TEXT, run_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_failed ON tasks (id) WHERE state = 6;
CREATE TABLE batches (
  id BLOB PRIMARY KEY, submitter TEXT NOT NULL, idempotency_key TEXT, fingerprint TEXT NOT NULL, first BLOB NOT NULL,
  last BLOB NOT NULL, total INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX batches_by_key ON batches (submitter, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE artifact_names (artifact TEXT NOT NULL, task BLOB NOT NULL, PRIMARY KEY (artifact, task)) WITHOUT ROWID;
CREATE TABLE drained (agent TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE reign (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL);
INSERT INTO reign VALUES (1, 41);
INSERT INTO specs VALUES (x'018bcfe5680000000000000000000001', 'echo', '"from before"', '', 0, 60000000000, NULL, 0, 3,
  '{}', 'http', NULL, NULL, 1700000000000);
INSERT INTO tasks VALUES (x'018bcfe5680000000000000000000001', 1, 1700000000000, 3, NULL, NULL, NULL, '[]', NULL, NULL,
  NULL, 0);
PRAGMA user_version = 1;
"""


class StoreCase(FleetCase):
    @property
    def data(self):
        return self.fleet.dir / "data"

    def coordinator(self, *args, timeout=60):
        """Runs edgefleet-coordinator until it ends."""
        return subprocess.run([BIN / "edgefleet-coordinator", *map(str, args)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, env=clean_environment(), check=False)

    def refuses_to_start(self, *words):
        done = subprocess.run([str(part) for part in self.fleet.coordinator_command()], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=20, env=clean_environment(), check=False)
        self.assertNotEqual(done.returncode, 0)
        for word in words:
            self.assertIn(word, done.stderr)

    def stop(self):
        self.assertEqual(self.fleet.coordinator.terminate(), 0)

    def gone(self, task):
        return self.api.get(f"/api/v1/tasks/{task}").status == 404


class Schema(StoreCase):
    COORDINATOR = None

    def test_older_and_newer(self):
        """A store of version 1 is migrated with its tasks, and a copy is kept; a newer one is refused unchanged."""
        self.data.mkdir()
        with contextlib.closing(sqlite3.connect(self.data / "edgefleet.db")) as db:
            db.executescript(SCHEMA_1)
        self.fleet.start_coordinator()
        self.fleet.start_agent("pi-1", echo=1)
        tasks = self.api.good("GET", "/api/v1/tasks")["tasks"]
        self.assertEqual(len(tasks), 1)
        self.assertEqual(self.api.outcome(tasks[0]["id"])["output"], "from before")
        self.stop()
        with contextlib.closing(sqlite3.connect(self.data / "edgefleet.db.schema-1")) as db:
            self.assertEqual(db.execute("SELECT epoch FROM reign").fetchone(), (41,))
        with contextlib.closing(sqlite3.connect(self.data / "edgefleet.db")) as db:
            ours = db.execute("PRAGMA user_version").fetchone()[0]
            self.assertGreater(ours, 1)
            self.assertEqual(db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone(), (42,))
            db.execute(f"PRAGMA user_version = {ours + 1}")
            db.commit()
        before = (self.data / "edgefleet.db").read_bytes()
        self.refuses_to_start("newer", f"schema {ours + 1}", f"up to {ours}")
        self.assertEqual((self.data / "edgefleet.db").read_bytes(), before)


class Clock(StoreCase):
    def rest(self, task):
        """Milliseconds until its start, as the coordinator shows."""
        found = re.search(r"starts in (\d+) ms", self.api.task(task).get("waiting", ""))
        return int(found.group(1)) if found else None

    def test_a_delay_survives_restarts(self):
        """A delay passes across restarts, by the time that coordinators ran."""
        day = 24 * 3600 * 1000
        later = self.api.submit("echo", 1, delay_ms=day)
        soon = self.api.submit("echo", 2, delay_ms=4000)
        wait_until(lambda: self.rest(later) < day - 2000, what="two seconds have passed")
        before = self.rest(later)
        self.stop()
        self.fleet.start_coordinator()
        self.assertLessEqual(self.rest(later), before)
        self.assertLess(self.rest(soon) or 0, 2500)
        self.fleet.start_agent("pi-1", echo=1)
        self.assertEqual(self.api.outcome(soon)["output"], 2)
        # If killed, it loses the time since the last commit: here the outcome was that commit.
        before = self.rest(later)
        self.fleet.coordinator.kill()
        self.fleet.start_coordinator()
        self.assertLess(self.rest(later), before + 2000)


class RetentionByNumber(StoreCase):
    COORDINATOR = ("--keep-ended-tasks", "5")

    def test_the_oldest_go(self):
        """Beyond the maximum the oldest ended tasks are removed, with batch and key; unfinished ones stay."""
        waiting = self.api.submit("nobody-offers-this")
        self.fleet.start_agent("pi-1", echo=1)
        batch = self.api.batch([{"capability": "echo", "input": n} for n in range(3)], idempotency_key="key")
        self.api.batch_ended(batch["id"])
        tasks = [self.api.submit("echo", n) for n in range(20)]
        for task in tasks[-5:]:
            self.api.outcome(task)
        wait_until(lambda: all(self.gone(task) for task in batch["tasks"] + tasks[:15]), what="the oldest are removed")
        self.assertEqual([self.api.task(task)["state"] for task in tasks[15:]], ["succeeded"] * 5)
        self.assertEqual(self.api.task(waiting)["state"], "queued")
        self.assertEqual(self.api.get(f"/api/v1/batches/{batch['id']}").status, 404)
        again = self.api.batch([{"capability": "echo", "input": n} for n in range(3)], idempotency_key="key")
        self.assertNotEqual(again["id"], batch["id"])
        self.assertEqual(self.fleet.cli("task", tasks[0]).returncode, 3)


class RetentionByAge(StoreCase):
    COORDINATOR = ("--keep-ended", "0")

    def test_failed_ones_too(self):
        """Tasks older than the retention are removed, whatever their outcome; an unfinished batch shows how many."""
        self.fleet.start_agent("pi-1", echo=1)
        batch = self.api.batch([{"capability": "echo", "input": 1}, {"capability": "nobody-offers-this"}])
        cancelled = self.api.submit("nobody-offers-this")
        self.api.good("POST", f"/api/v1/tasks/{cancelled}/cancel")
        wait_until(lambda: self.gone(cancelled) and self.gone(batch["tasks"][0]), what="both have been removed")
        view = self.api.good("GET", f"/api/v1/batches/{batch['id']}")
        self.assertEqual((view["total"], view["purged"], view["counts"]["queued"]), (2, 1, 1))


class BackupAndRestore(StoreCase):
    def setUp(self):
        super().setUp()
        self.backup = self.fleet.dir / "backup"

    def test_there_and_back(self):
        """A backup of a working fleet; after its restore only new tasks run until the operator releases the others."""
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(1), echo=1)
        stored = self.api.request("PUT", "/api/v1/artifacts", b"a picture").body["id"]
        done = self.api.outcome(self.api.submit("echo", {"artifact": stored}))
        running = self.api.submit("command.note", {"label": "running", "seconds": 1000})
        once = self.api.submit("command.note", {"label": "once", "seconds": 0}, max_attempts=1)
        queued = self.api.submit("command.note", {"label": "queued", "seconds": 0})
        unwanted = self.api.submit("command.note", {"label": "unwanted", "seconds": 0})
        self.fleet.noted("begin running")
        made = self.coordinator("backup", "--data", self.data, "--to", self.backup)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn("5 tasks (4 unfinished)", made.stdout)
        after = self.api.submit("nobody-offers-this")

        refused = self.coordinator("restore", "--from", self.backup, "--data", self.data, "--force")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("in use", refused.stderr)
        self.fleet.agents["pi-1"].kill()
        self.stop()
        refused = self.coordinator("restore", "--from", self.backup, "--data", self.data)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--force", refused.stderr)
        restored = self.coordinator("restore", "--from", self.backup, "--data", self.data, "--force")
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertIn("replaced-1", restored.stdout)

        self.fleet.start_coordinator()
        self.fleet.restart_agent("pi-1")
        self.assertTrue(self.gone(after))
        self.assertEqual(self.api.task(done["id"])["output"], done["output"])
        self.assertEqual(self.api.get(f"/api/v1/artifacts/{stored}").body, b"a picture")
        self.assertEqual(self.api.good("GET", "/ready")["held"], 4)
        self.assertIn("edgefleet release", self.fleet.coordinator.log())
        self.assertIn("held after a restore", self.fleet.cli("queue").stdout)
        self.assertIn("edgefleet release", self.api.task(queued)["waiting"])
        new = self.api.submit("command.note", {"label": "new", "seconds": 0})
        self.assertEqual(self.api.outcome(new)["state"], "succeeded")
        self.api.good("POST", f"/api/v1/tasks/{unwanted}/cancel")
        self.stop()
        self.fleet.start_coordinator()  # the hold is durable, and does not include new tasks
        self.api.placeable("pi-1")
        self.assertEqual(self.api.good("GET", "/ready")["held"], 3)
        self.assertEqual(self.api.outcome(self.api.submit("echo", 1))["state"], "succeeded")
        self.api.good("POST", f"/api/v1/tasks/{running}/cancel")
        self.assertNotIn("begin queued", self.fleet.note_lines())

        released = self.fleet.cli("release")
        self.assertEqual((released.returncode, released.stdout.strip()), (0, "2 tasks released"))
        for task in (queued, once):
            self.assertEqual(self.api.outcome(task)["state"], "succeeded")
        self.assertEqual(self.api.task(unwanted)["state"], "cancelled")
        self.assertNotIn("held", self.api.good("GET", "/ready"))
        self.assertEqual(self.fleet.note_lines().count("begin queued"), 1)

    def test_at_most_once(self):
        """An at-most-once task that had been assigned is not run again after a restore."""
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(1))
        once = self.api.submit("command.note", {"label": "once", "seconds": 1000}, max_attempts=1)
        self.api.state_becomes(once, "running")
        self.fleet.noted("begin once")
        self.assertEqual(self.coordinator("backup", "--data", self.data, "--to", self.backup).returncode, 0)
        self.fleet.agents["pi-1"].kill()
        self.fleet.coordinator.kill()
        restored = self.coordinator("restore", "--from", self.backup, "--data", self.data, "--force")
        self.assertIn("outcome_unknown", restored.stdout)
        self.fleet.start_coordinator()
        self.fleet.restart_agent("pi-1")
        task = self.api.task(once)
        self.assertEqual((task["state"], task["error"]["code"]), ("failed", "outcome_unknown"))
        self.assertEqual(self.fleet.note_lines(), ["begin once"])

    def test_an_agent_that_worked_on_keeps_its_task(self):
        """A task that its agent still runs while the coordinator is restored stays with it, and runs once."""
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(1))
        task = self.api.submit("command.note", {"label": "long", "seconds": 4})
        self.api.state_becomes(task, "running")
        self.assertEqual(self.coordinator("backup", "--data", self.data, "--to", self.backup).returncode, 0)
        self.fleet.coordinator.kill()
        self.assertEqual(
            self.coordinator("restore", "--from", self.backup, "--data", self.data, "--force").returncode, 0)
        self.fleet.start_coordinator()
        self.assertEqual(self.api.outcome(task)["state"], "succeeded")
        self.assertEqual(self.fleet.note_lines(), ["begin long", "end long"])


class Damage(StoreCase):
    def test_clear_words_and_a_way_back(self):
        """A damaged database is refused unchanged, check reports the damage, restore restores the backup."""
        self.fleet.start_agent("pi-1", echo=1)
        task = self.api.submit("echo", "kept")
        self.api.outcome(task)
        for n in range(50):
            self.api.submit("nobody-offers-this", "x" * 2000)
        backup = self.fleet.dir / "backup"
        self.assertEqual(self.coordinator("backup", "--data", self.data, "--to", backup).returncode, 0)
        healthy = self.coordinator("check", "--data", self.data)
        self.assertEqual(healthy.returncode, 0, healthy.stdout)
        self.assertIn("51 tasks", healthy.stdout)
        self.assertIn("no problems", healthy.stdout)
        self.stop()

        database = self.data / "edgefleet.db"
        with open(database, "r+b") as file:  # a hole, like that of a worn SD card; the header stays
            file.seek(4096)
            file.write(os.urandom(database.stat().st_size - 4096))
        damaged = database.read_bytes()
        self.refuses_to_start("damaged", "edgefleet-coordinator check", "edgefleet-coordinator restore")
        self.assertEqual(database.read_bytes(), damaged)
        found = self.coordinator("check", "--data", self.data)
        self.assertEqual(found.returncode, 1)
        self.assertIn("problem: ", found.stdout)
        self.assertIn("advice: ", found.stdout)
        self.assertIn("restore --from BACKUP", found.stdout)
        self.assertEqual(self.coordinator("backup", "--data", self.data, "--to", self.fleet.dir / "bad").returncode, 1)
        self.assertFalse((self.fleet.dir / "bad").exists())

        restored = self.coordinator("restore", "--from", backup, "--data", self.data, "--force")
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertEqual((self.data / "replaced-1/edgefleet.db").read_bytes(), damaged)
        self.fleet.start_coordinator()
        self.assertEqual(self.api.task(task)["output"], "kept")

    def test_a_second_coordinator_on_the_directory(self):
        """Another coordinator on the same directory is refused, and the first one continues."""
        second = subprocess.run(
            [str(part) for part in self.fleet.coordinator_command(port=0)], capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=20, env=clean_environment(), check=False)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn("another coordinator", second.stderr)
        self.fleet.start_agent("pi-1", echo=1)
        self.assert_works()


class DiskFull(StoreCase):
    COORDINATOR = None

    def setUp(self):
        super().setUp()
        self.disk = FullDisk(self.fleet)
        self.disk.start_coordinator()
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(2), echo=1)
        self.statuses = {}
        self.threads = []

    def ready(self):
        return self.disk.status("/ready") == 200

    def submit_until_refused(self):
        """Each in a thread: the first one that meets the full disk gets its answer when there is space again."""
        bodies = {}

        def submit(n):
            api = self.fleet.new_api()
            with contextlib.suppress(http.client.HTTPException, OSError):
                answer = api.post("/api/v1/tasks", {"capability": "echo", "input": [n, "x" * 20_000]})
                bodies[n] = answer.body
                self.statuses[n] = answer.status

        for n in range(2000):
            thread = threading.Thread(target=submit, args=(n,))
            thread.start()
            self.threads.append(thread)
            thread.join(0.2)
            if 507 in self.statuses.values():
                refused = next(m for m, status in self.statuses.items() if status == 507)
                self.assertIn("disk is full", bodies[refused]["detail"])
                return bodies
        self.fail("the disk was never full")

    def finish_submits(self):
        for thread in self.threads:
            thread.join(40)
            self.assertFalse(thread.is_alive())

    def run_into_it(self):
        running = self.api.submit("command.note", {"label": "running", "seconds": 3})
        self.fleet.noted("begin running")
        self.disk.fill()
        bodies = self.submit_until_refused()
        self.assertEqual(self.api.get("/ready").status, 503)
        self.assertEqual(self.api.get("/health").status, 200)
        self.fleet.noted("end running")
        return running, bodies

    def accepted(self, bodies):
        return {bodies[n]["id"] for n, status in self.statuses.items() if status == 202}

    def test_space_returns(self):
        """New tasks get 507, running tasks are completed and recorded when space returns, and none is lost."""
        running, bodies = self.run_into_it()
        self.disk.free()
        wait_until(self.ready, what="the store works again")
        self.finish_submits()
        self.assertEqual(set(self.statuses.values()), {202, 507})
        self.assertEqual(self.api.outcome(running)["state"], "succeeded")
        accepted = self.accepted(bodies)
        self.assertGreater(len(accepted), 0)
        for task in accepted:
            self.assertEqual(self.api.outcome(task)["state"], "succeeded")
        everything = {task["id"] for task in self.api.good("GET", "/api/v1/tasks?limit=1000")["tasks"]}
        self.assertEqual(everything, accepted | {running}, "something was kept that was refused")
        self.assertEqual(self.fleet.note_lines(), ["begin running", "end running"])

    def test_started_while_full(self):
        """A coordinator that starts on a full disk runs, shows its tasks, refuses new ones and recovers later."""
        waiting = self.api.submit("nobody-offers-this")
        done = self.api.outcome(self.api.submit("echo", 1))
        for end in ("terminate", "kill"):
            self.statuses.clear()
            self.disk.fill()
            getattr(self.fleet.coordinator, end)()
            self.disk.start_coordinator(lambda: self.disk.status("/health") == 200)
            self.assertEqual(self.api.task(done["id"])["output"], 1)
            self.assertEqual(self.api.task(waiting)["state"], "queued")
            self.submit_until_refused()
            self.assertEqual(self.disk.status("/ready"), 503)
            self.assertEqual(self.disk.status("/api/v1/agents"), 200)
            self.disk.free()
            wait_until(self.ready, what="the store works again")
            self.finish_submits()
            self.api.placeable("pi-1")
            self.assertEqual(self.api.outcome(self.api.submit("echo", 2))["output"], 2)

    def test_killed_while_full(self):
        """The same if the coordinator is killed while it could not write."""
        running, bodies = self.run_into_it()
        self.fleet.coordinator.kill()
        self.finish_submits()
        self.disk.free()
        self.disk.start_coordinator()
        self.api.placeable("pi-1")
        self.assertEqual(self.api.outcome(running)["state"], "succeeded")
        for task in self.accepted(bodies):
            self.assertEqual(self.api.outcome(task)["state"], "succeeded")
        self.assertEqual(self.fleet.note_lines(), ["begin running", "end running"])


if __name__ == "__main__":
    unittest.main()

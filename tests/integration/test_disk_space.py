"""The coordinator with little disk space: refused in time, and old tasks removed on a disk that is full."""

import unittest

from full_disk import FullDisk
from support import FleetCase, wait_until

KIBIBYTE = 1 << 10
MEBIBYTE = 1 << 20


class DiskCase(FleetCase):
    COORDINATOR = None
    ARGS = ()

    def setUp(self):
        super().setUp()
        self.disk = FullDisk(self.fleet)
        self.disk.start_coordinator(args=self.ARGS)
        self.fleet.start_agent("pi-1", toml=self.fleet.note_toml(2), echo=4)

    def post(self, value, **more):
        return self.api.post("/api/v1/tasks", {"capability": "echo", "input": value, **more})

    def put(self, content):
        return self.api.request("PUT", "/api/v1/artifacts", content)

    def gone(self, task):
        return self.api.get(f"/api/v1/tasks/{task}").status == 404


class RefusedInTime(DiskCase):
    """By default a tenth of a small file system is kept free: here 2.4 MiB of 24."""

    def test_tasks_and_files(self):
        """New tasks and files get 507 before the disk is full; results are recorded; it ends when there is space."""
        running = self.api.submit("command.note", {"label": "running", "seconds": 3})
        self.fleet.noted("begin running")
        earlier = self.post(1, idempotency_key="key").body["id"]
        self.api.outcome(earlier)
        self.assertEqual(self.put(b"before").status, 201)
        self.assertNotIn("disk_low", self.api.good("GET", "/ready"))
        self.disk.fill(leave=2 * MEBIBYTE)
        refused = wait_until(lambda: (answer := self.post(2)).status == 507 and answer, what="new tasks are refused")
        self.assertIn("--keep-free-mb", refused.body["detail"])
        batch = self.api.post("/api/v1/batches", {"tasks": [{"capability": "echo"}]})
        file = self.put(b"x" * 1000)
        chat = self.api.post("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "?"}]})
        self.assertEqual((batch.status, file.status), (507, 507))
        self.assertGreaterEqual(chat.status, 400)
        self.assertIn("--keep-free-mb", file.body["detail"])
        ready = self.api.get("/ready")
        self.assertEqual((ready.status, ready.body["disk_low"]), (200, True))
        self.assertIn("new tasks and files are refused", ready.body["notice"])
        self.assertEqual(self.api.get("/health").status, 200)
        self.assertEqual(self.post(1, idempotency_key="key").body["id"], earlier)
        self.assertEqual(self.api.outcome(running)["state"], "succeeded")
        self.assertEqual(self.fleet.coordinator.log().count("new tasks and files are refused"), 1)
        self.disk.free()
        wait_until(lambda: self.post(3).status == 202, what="new tasks are accepted")
        self.assertEqual(self.put(b"after").status, 201)
        self.assertNotIn("disk_low", self.api.good("GET", "/ready"))
        self.assertIn("there is disk space again", self.fleet.coordinator.log())


class PurgedWhileFull(DiskCase):
    ARGS = ("--keep-free-mb", "0", "--keep-ended-mb", "1")
    TEXT = "x" * 20 * KIBIBYTE

    def accepted(self, n):
        """The task of a submit that is repeated while it is refused."""
        return wait_until(lambda: (answer := self.post([n, self.TEXT])).status == 202 and answer.body["id"],
                          what="the task is accepted on a full disk")

    def test_while_it_runs(self):
        """On a full disk it works within the space of the tasks that it removes, as long as it is needed."""
        tasks = [self.api.submit("echo", [n, self.TEXT]) for n in range(150)]
        self.api.outcome(tasks[-1])
        self.disk.fill()
        self.assertLess(self.disk.available(), 64 * KIBIBYTE)
        later = [self.accepted(n) for n in range(300)]
        self.assertEqual(self.api.outcome(later[-1])["state"], "succeeded")
        wait_until(lambda: self.gone(tasks[-1]) and self.gone(later[200]), what="old tasks are removed")
        self.assertEqual(self.api.task(later[-1])["output"], [299, self.TEXT])
        wait_until(lambda: self.disk.status("/ready") == 200, what="the store works")

    def test_at_the_start(self):
        """One that starts on a full disk removes what is too much, also if its log was full of new pages."""
        for end in ("terminate", "kill"):
            self.fleet.coordinator.terminate()
            self.disk.start_coordinator(args=("--keep-free-mb", "0"))
            self.api.placeable("pi-1")
            tasks = [self.api.submit("echo", [n, self.TEXT]) for n in range(100)]
            for task in tasks:
                self.api.outcome(task)
            self.disk.fill()
            getattr(self.fleet.coordinator, end)()
            self.disk.fill()
            self.disk.start_coordinator(args=self.ARGS)
            wait_until(lambda: all(self.gone(task) for task in tasks[:70]), what="old tasks are removed")
            self.assertLess(self.disk.available(), 2 * MEBIBYTE)
            self.assertEqual(self.api.task(tasks[-1])["output"], [99, self.TEXT])
            self.api.placeable("pi-1")
            self.assertEqual(self.api.outcome(self.accepted(1))["state"], "succeeded")
            self.disk.free()


if __name__ == "__main__":
    unittest.main()

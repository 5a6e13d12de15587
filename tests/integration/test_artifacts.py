"""Artifacts: stored by their content, kept while they are needed, provided to commands."""

import random
import unittest

from support import FleetCase, free_port


class Artifacts(FleetCase):
    COORDINATOR = ("--max-artifact-mb", "1", "--artifact-quota-mb", "2")

    def put(self, content):
        return self.api.request("PUT", "/api/v1/artifacts", content)

    def test_round_trip(self):
        """An uploaded file is returned unchanged; the same content has the same id and is stored once."""
        content = random.Random(2).randbytes(700_001)
        first = self.put(content)
        self.assertEqual((first.status, first.body["bytes"]), (201, len(content)))
        self.assertEqual(first.headers["Location"], "/api/v1/artifacts/" + first.body["id"])
        again = self.put(content)
        self.assertEqual((again.status, again.body), (200, first.body))
        self.assertEqual(self.put(content).status, 200)  # three times 0.7 MB are less than the quota of 2 MiB only once
        back = self.api.get("/api/v1/artifacts/" + first.body["id"])
        self.assertEqual((back.status, back.body), (200, content))
        empty = self.put(b"")
        self.assertEqual((empty.status, empty.body["bytes"]), (201, 0))
        self.assertEqual(self.api.get("/api/v1/artifacts/" + empty.body["id"]).body, b"")

    def test_outlasts_a_restart(self):
        """An artifact is still there when the coordinator was killed and started again."""
        artifact = self.put(b"kept").body["id"]
        self.fleet.coordinator.kill()
        self.fleet.start_coordinator()
        self.assertEqual(self.api.get("/api/v1/artifacts/" + artifact).body, b"kept")

    def test_missing(self):
        """A task that names a missing artifact is refused, and the error names the artifact."""
        artifact = "sha256-" + "ab" * 32
        for value in ({"artifact": artifact}, {"image": {"artifact": artifact}}, [[{"artifact": artifact}]]):
            answer = self.api.post("/api/v1/tasks", {"capability": "echo", "input": value})
            self.assertIn(artifact, self.assert_problem(answer, 422))
        self.assert_problem(self.api.post("/api/v1/tasks", {"capability": "echo", "input": {"artifact": "../etc/passwd"}}), 422)
        batch = {"tasks": [{"capability": "echo"}, {"capability": "echo", "input": {"artifact": artifact}}]}
        self.assertIn("number 1", self.assert_problem(self.api.post("/api/v1/batches", batch), 422))
        for name in (artifact, "nonsense", "..%2f..%2fetc%2fpasswd", "sha256-"):
            self.assert_problem(self.api.get("/api/v1/artifacts/" + name), 404)
        self.assertEqual(self.api.good("GET", "/api/v1/tasks")["tasks"], [])
        there = self.put(b"x").body["id"]
        self.assertEqual(self.api.post("/api/v1/tasks", {"capability": "echo", "input": {"artifact": there}}).status, 202)

    def test_too_large(self):
        """An upload over the limit is refused with 413, and leaves nothing behind."""
        self.assertEqual(self.put(random.randbytes(1 << 20)).status, 201)
        for bytes_over in (1, 3 << 20):
            self.assert_problem(self.refused_put(random.randbytes((1 << 20) + bytes_over)), 413)
        self.assertEqual(self.stored_bytes(), 1 << 20)
        self.assertEqual(self.api.get("/health").status, 200)

    def test_quota(self):
        """Uploads beyond the quota are refused with 507; an existing file may be uploaded again."""
        contents = [random.randbytes(1 << 20) for _ in range(2)]
        for content in contents:
            self.assertEqual(self.put(content).status, 201)
        self.assert_problem(self.refused_put(b"one byte more"), 507)
        self.assertEqual(self.stored_bytes(), 2 << 20)
        self.assertEqual(self.api.get("/health").status, 200)

    def refused_put(self, content):
        """The answer may arrive before everything was sent: then the connection may break while the answer is read."""
        import http.client
        for _ in range(3):
            try:
                return self.put(content)
            except (http.client.HTTPException, OSError):
                self.api.close()
        self.fail("no answer to an upload that is too large")

    def stored_bytes(self):
        files = [path for path in (self.fleet.dir / "data").rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files if "sha256-" in path.name or "incoming" in path.parts)


class CommandArtifacts(FleetCase):
    def test_a_file_through_a_command(self):
        """A command reads an artifact, and a file that it leaves becomes an artifact of the result."""
        script = self.fleet.dir / "upper.sh"
        script.write_text("tr a-z A-Z <$1 >out/upper.txt\n")
        self.fleet.start_agent("pi-1", toml=(
            '[[command]]\nname = "upper"\nargv = ["/bin/sh", "%s", "{file}"]\n[command.params]\nfile = { type = "artifact" }\n'
            % script))
        source = self.api.request("PUT", "/api/v1/artifacts", b"shout this").body["id"]
        task = self.api.outcome(self.api.submit("command.upper", {"file": {"artifact": source}}))
        self.assertEqual(task["state"], "succeeded", task)
        result = find_artifacts(task["output"])
        self.assertEqual(len(result), 1, task["output"])
        self.assertEqual(self.api.get("/api/v1/artifacts/" + result[0]).body, b"SHOUT THIS")

    def test_no_way_to_the_files(self):
        """A command whose files cannot be stored, because the address of the coordinator is wrong, fails early, and
        the error has the address."""
        toml = '[[command]]\nname = "write"\nargv = ["/bin/sh", "-c", "echo text >out/file"]\n'
        address = f"http://127.0.0.1:{free_port()}"
        self.fleet.start_agent("pi-1", toml=toml, coordinator=address)
        task = self.api.outcome(self.api.submit("command.write", {}, timeout_ms=300_000, max_attempts=1), timeout=60)
        self.assertEqual((task["error"]["code"], task["error"]["retryable"]), ("unavailable", True), task)
        self.assertIn(f"cannot reach the coordinator's HTTP API at {address}", task["error"]["message"])

    def test_bounded_input(self):
        """Files of an input that are larger than the owner allows are not fetched to the end, and fail the task."""
        toml = ('[[command]]\nname = "cat"\nartifact_bytes = 1000\nargv = ["/bin/cat", "{file}"]\n'
                '[command.params]\nfile = { type = "artifact" }\n')
        self.fleet.start_agent("pi-1", toml=toml)
        for size, code in ((1000, None), (1001, "input_too_large"), (3_000_000, "input_too_large")):
            source = self.api.request("PUT", "/api/v1/artifacts", b"x" * size).body["id"]
            task = self.api.outcome(self.api.submit("command.cat", {"file": {"artifact": source}}))
            self.assertEqual(task.get("error", {}).get("code"), code, task)


def find_artifacts(value):
    if isinstance(value, dict):
        own = [value["artifact"]] if isinstance(value.get("artifact"), str) else []
        return own + [found for child in value.values() for found in find_artifacts(child)]
    if isinstance(value, list):
        return [found for child in value for found in find_artifacts(child)]
    return []


if __name__ == "__main__":
    unittest.main()

"""The demo, as a user runs it: every picture is done although an agent is killed, and nothing stays behind."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo" / "demo.py"
PATIENCE = 240  # seconds for one run; a busy machine needs some
JPEG = b"\xff\xd8\xff"


def processes_of(folder):
    """Command lines of those that have the folder in their environment, as all have that the demo starts."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and os.fsencode(folder) in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


class Demo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="edgefleet-test-demo-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.scratch = self.folder / "temporary files"
        self.scratch.mkdir()
        self.out = self.folder / "ergebnis für mich"

    def start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, str(DEMO), "--out", str(self.out), *map(str, arguments)], text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(self.scratch), "PYTHONUTF8": "1"})
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.terminate()
        process.communicate()

    def run_demo(self, *arguments):
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def assert_nothing_left(self):
        self.assertEqual(processes_of(self.scratch), [])
        self.assertEqual(list(self.scratch.iterdir()), [])

    def make_pictures(self, count):
        folder = self.folder / "my photos"
        subprocess.run([sys.executable, str(ROOT / "demo" / "samples.py"), str(folder), str(count)], check=True)
        return folder

    def test_every_picture_is_done_though_an_agent_is_killed_half_way(self):
        code, said = self.run_demo("--count", 12)
        self.assertEqual(code, 0, said)
        finish = re.search(r"^(pi-\d) was killed with -9 at (\d+) of 12; its (\d+) tasks? started elsewhere after "
                           r"[\d.]+(?: to [\d.]+)? s; 12 of 12 pictures done$", said, re.MULTILINE)
        self.assertTrue(finish, said)
        victim, ended, moved = finish[1], int(finish[2]), int(finish[3])
        self.assertGreaterEqual(ended, 6, said)
        self.assertLess(ended, 12, said)
        self.assertGreaterEqual(moved, 1, said)
        moves = re.findall(rf"^[0-9A-Z]{{26}}  \S+ +{victim}  (pi-\d)  ([\d.]+) s after the kill$", said, re.MULTILINE)
        self.assertEqual(len(moves), moved, said)
        self.assertNotIn(victim, [agent for agent, _ in moves], said)
        self.assertRegex(said, rf"(?m)^{victim} .* {moved} +0  killed with -9$")
        self.assertRegex(said, rf"(?m)^all +12 +{12 + moved} +{moved} +{moved}$")
        pictures = sorted(self.out.iterdir())
        self.assertEqual([path.name for path in pictures], [f"sample-{n:03}-edges.jpg" for n in range(1, 13)])
        self.assertTrue(all(path.read_bytes().startswith(JPEG) for path in pictures))
        self.assert_nothing_left()

    def test_a_broken_photo_is_reported_and_the_others_are_done(self):
        photos = self.make_pictures(3)
        (photos / "sample-001.jpg").rename(photos / "Ärger am Meer.JPG")
        (photos / "broken.jpg").write_bytes((photos / "sample-002.jpg").read_bytes()[:3000])
        (photos / "notes.txt").write_text("not a picture, and not meant as one")
        code, said = self.run_demo("--images", photos)
        self.assertEqual(code, 1, said)
        self.assertRegex(said, r"(?m)^[0-9A-Z]{26}  broken\.jpg  the picture cannot be read: ")
        self.assertIn("3 of 4 pictures done", said)
        self.assertEqual({path.name for path in self.out.iterdir()},
                         {"Ärger am Meer-edges.jpg", "sample-002-edges.jpg", "sample-003-edges.jpg"})
        self.assert_nothing_left()

    def test_an_interrupted_demo_leaves_nothing_behind(self):
        process = self.start("--images", self.make_pictures(3))
        for line in process.stdout:
            if "was killed with -9" in line:
                break
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 143, said)
        self.assertFalse(self.out.exists())
        self.assert_nothing_left()

    def test_what_is_kept_running_is_ended_by_its_stop_command(self):
        code, said = self.run_demo("--images", self.make_pictures(2), "--keep")
        folder = pathlib.Path(re.search(r"with its logs in (.*)\. To look at it:", said)[1])
        stop = [sys.executable, str(DEMO), "--stop", str(folder)]
        self.addCleanup(subprocess.run, stop, capture_output=True)
        self.assertEqual(code, 0, said)
        agents = subprocess.run(["sh", "-c", re.search(r"(?m)^ +(EDGEFLEET_URL=.*)$", said)[1]],
                                text=True, capture_output=True, check=True).stdout
        self.assertEqual(len(re.findall(r"(?m)^pi-\d +online", agents)), 2, agents)
        subprocess.run(stop, check=True, stdout=subprocess.DEVNULL)
        self.assert_nothing_left()

    def test_what_is_wrong_is_one_clear_sentence(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for arguments, sentence in (
                (["--bin", empty], f"demo: {empty}/edgefleet is missing: run ./dev build\n"),
                (["--images", empty], f"demo: there are no pictures in {empty} "),
                (["--images", self.folder / "none"], f"demo: cannot read the folder {self.folder}/none: "),
                (["--stop", empty], f"demo: {empty} is not the folder of a demo that was kept running\n")):
            with self.subTest(arguments=arguments):
                code, said = self.run_demo(*arguments)
                self.assertEqual(code, 1, said)
                self.assertTrue(said.startswith(sentence), said)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertFalse(self.out.exists())
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()

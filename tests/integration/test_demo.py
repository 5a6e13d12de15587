"""The demo, as a user runs it: every picture is done and every answer is complete although an agent is killed, and no
process or file remains."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import llama

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


class DemoCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="edgefleet-test-demo-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.scratch = self.folder / "temporary files"
        self.scratch.mkdir()
        self.out = self.folder / "ergebnis für mich"
        self.always = ["--out", str(self.out)]

    def start(self, *arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, str(DEMO), *self.always, *map(str, arguments)], text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(self.scratch), "PYTHONUTF8": "1", **environment})
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.terminate()
        process.communicate()

    def run_demo(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def assert_nothing_left(self):
        self.assertEqual(processes_of(self.scratch), [])
        self.assertEqual(list(self.scratch.iterdir()), [])


class Demo(DemoCase):
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
                (["--images", empty], f"demo: no pictures in {empty} "),
                (["--images", self.folder / "none"], f"demo: cannot read the folder {self.folder}/none: "),
                (["--stop", empty], f"demo: {empty} is not the folder of a demo that was kept running\n")):
            with self.subTest(arguments=arguments):
                code, said = self.run_demo(*arguments)
                self.assertEqual(code, 1, said)
                self.assertTrue(said.startswith(sentence), said)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertFalse(self.out.exists())
        self.assert_nothing_left()


class LlmDemo(DemoCase):
    def setUp(self):
        llama.need()
        super().setUp()
        self.always = ["--llm"]

    def test_an_answer_is_told_to_its_end_though_its_agent_is_killed(self):
        process, said, came = self.start(), "", []
        while part := os.read(process.stdout.fileno(), 65536).decode():
            said += part
            came.append((time.monotonic(), len(said)))
        self.assertEqual(process.wait(PATIENCE), 0, said)
        self.assertRegex(said, r"(?m)^  edge-tiny-1m \(openai\), on pi-1 and pi-2$")
        self.assertRegex(said, r"(?m)^    -- \d+ tokens, \d+ per second, first token after [\d.]+ s$")
        kill = re.search(r"(?m)^    -- (pi-\d), which generates this answer, was killed with -9$", said)
        self.assertTrue(kill, said)
        silence = re.search(r"(?m)^    -- ([\d.]+) s without output; (pi-\d) continues where (pi-\d) stopped$", said)
        self.assertEqual({kill[1], silence[2]}, {"pi-1", "pi-2"}, said)
        self.assertEqual(silence[3], kill[1], said)
        self.assertGreater(float(silence[1]), 1)
        # Word by word: many pieces before the kill, and nothing of it kept back to its end.
        question = said.index("> Tell me a long story")
        pieces = [at for at, length in came if question < length < kill.start()]
        self.assertGreater(len(pieces), 20, said)
        self.assertGreater(pieces[-1] - pieces[0], 0.5)
        self.assertGreater(came[-1][0] - next(at for at, length in came if length > silence.end()), 0.5)
        self.assertRegex(said, rf"(?m)^      1  {kill[1]}   lost       killed with -9$")
        self.assertRegex(said, rf"(?m)^      2  {silence[2]}   succeeded  started [\d.]+ s after the kill$")
        whole = re.findall(r"(?m)^the streamed answer is the result of task \w+, byte for byte: ([\d,]+) char", said)
        told = said[question:].split("\n", 1)[1]
        told = "".join(line for line in told[:told.index("    -- 400 tokens")].splitlines() if "    -- " not in line)
        self.assertEqual(int(whole[1].replace(",", "")), len(told), said)
        self.assert_nothing_left()

    def test_an_interrupted_answer_leaves_nothing_behind(self):
        process = self.start()
        for line in process.stdout:
            if line.startswith("> Tell me a long story"):
                break
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 130, said)
        self.assert_nothing_left()

    def test_without_a_llama_server_it_is_skipped_with_one_clear_sentence(self):
        code, said = self.run_demo(EDGEFLEET_LLAMA="/proc/none")
        self.assertEqual(code, 77, said)
        self.assertRegex(said, r"^demo: llama-server is not available \(get-llama-server\.sh: .*/proc/none.*\)\n$")
        code, said = self.run_demo("--count", 3)
        self.assertEqual(code, 2, said)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()

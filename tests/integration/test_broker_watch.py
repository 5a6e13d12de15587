"""mosquitto/watch.sh runs a closed broker on good files only, stops it when asked to, and leaves nothing behind."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from attackers import OTHERS, Attackers
from closed_broker import Authority, ClosedBroker
from mqtt5 import ALLOWED, FORBIDDEN, Refused
from support import PATIENCE, free_port, processes_with, wait_until

OWN = "edgefleet/v1/home/agents/pi-1/status"


class WatchCase(unittest.TestCase):
    SHELL = ()
    PATH = None

    def setUp(self):
        self.broker = ClosedBroker(self.SHELL, self.PATH)
        self.addCleanup(self.broker.end)

    def running(self):
        generation = self.broker.write()
        self.broker.start()
        self.broker.becomes(broker="running", generation=generation, refused="", why="")
        return generation

    def attackers(self):
        attackers = Attackers(self.broker)
        self.addCleanup(attackers.end)
        return attackers

    def new_generation(self):
        generation = self.broker.write()
        self.broker.becomes(broker="running", generation=generation, refused="", why="")
        return generation


def gone(pid):
    """Without a process, or with one that only its parent's wait() keeps."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def text_of(name, change):
    def apply(folder):
        (folder / name).write_text(change((folder / name).read_text()))
    return apply


def replaced(name, text):
    return text_of(name, lambda _: text)


def removed(name):
    return lambda folder: (folder / name).unlink()


# name: what is wrong, whether the sums fit nevertheless, a word of the reason
BAD = {
    "no access list of agents": (removed("agents.acl"), True, "not whole"),
    "no passwords": (removed("passwords"), True, "not whole"),
    "no sums": (replaced("SHA256SUMS", ""), False, "not whole"),
    "a byte differs": (text_of("people.acl", lambda text: text.replace("read", "Read", 1)), False, "not whole"),
    "half of mosquitto.conf": (text_of("mosquitto.conf", lambda text: text[:len(text) * 2 // 3]), False, "not whole"),
    "a bad line for agents": (text_of("agents.acl", lambda text: text + "patern write #\n"), True, "agents.acl"),
    "a bad line for people": (text_of("people.acl", lambda text: text + "topic wirte #\n"), True, "people.acl"),
    "a bad password line": (text_of("passwords", lambda text: text + "eve:$7$101$x\n"), True, "eve"),
    "a bad line in mosquitto.conf": (text_of("mosquitto.conf", lambda text: text + "no_such_option true\n"), True,
                                     "no_such_option"),
    "an empty list of the revoked": (replaced("crl.pem", ""), True, "crl"),
    "garbage for the list of the revoked": (replaced("crl.pem", "garbage\n" * 50), True, "crl"),
    "an empty authority": (replaced("ca.crt", ""), True, "ca.crt"),
    "no certificate": (replaced("server.crt", ""), True, "server.crt"),
    "a key that is not the certificate's": (None, True, "server.key"),
}


class BadGenerations(WatchCase):
    def test_none_is_taken_and_nobody_gets_through_meanwhile(self):
        good = self.running()
        attackers = self.attackers()
        observer = self.broker.agent("coordinator")
        observer.subscribe("#")
        honest = self.broker.agent("pi-2")
        other_key = (self.broker.authority.folder / "pi-1.key").read_text()
        for name, (change, sums, word) in BAD.items():
            with self.subTest(name):
                bad = self.broker.write_changed(change or replaced("server.key", other_key), sums)
                state = self.broker.becomes(broker="running", generation=good, refused=bad)
                self.assertIn(word, state["why"])
        with self.subTest("it can be read by nobody"):
            bad = self.broker.write_changed(lambda folder: None)
            (self.broker.folder / f"generations/{bad[:6]}/agents.acl").chmod(0)
            if self.broker.other_user:
                self.assertIn("cannot be copied", self.broker.becomes(generation=good, refused=bad)["why"])
        # After all of them, a good one is taken, and the sessions have lasted.
        last = self.new_generation()
        self.assertNotEqual(last, good)
        self.assertIn(honest.publish(OTHERS), ALLOWED)
        attackers.end()
        self.assertEqual(attackers.through, [])
        self.assertEqual([one for one in observer.taken() if one[1] == b"attack"], [])
        for name in ("pi-1", "chat"):
            self.assertGreater(attackers.refused[name, FORBIDDEN], 100)
            self.assertEqual([key for key in attackers.refused if key[0] == name], [(name, FORBIDDEN)])
        self.assertGreater(sum(count for key, count in attackers.refused.items() if key[0] == "revoked"), 100)

    def test_a_link_to_nothing_garbage_and_a_folder_that_vanishes_are_survived(self):
        good = self.running()
        current = self.broker.folder / "current"
        target = os.readlink(current)

        def broken(put):
            current.unlink(missing_ok=True)
            put()
            wait_until(lambda: self.broker.state()["why"], what="the state says what is wrong")
            self.broker.becomes(broker="running", generation=good)

        def link_to(where):
            return lambda: current.symlink_to(where)

        def garbage_id():
            current.mkdir()
            (current / "id").write_bytes(b"../../etc-0\0\xff\n")

        broken(lambda: None)
        wait_until(lambda: "no generation" in self.broker.state()["why"], what="the state says what is missing")
        for put in (link_to("generations/999999"), link_to("current"), lambda: current.write_text("garbage")):
            broken(put)
        broken(garbage_id)
        wait_until(lambda: "id" in self.broker.state()["why"], what="the state says what is wrong")
        shutil.rmtree(current)
        away = self.broker.folder.with_name("away")
        self.broker.folder.rename(away)
        wait_until(lambda: "no generation" in self.broker.state()["why"], what="the folder is missed")
        self.assertIn(self.broker.agent().publish(OWN), ALLOWED)
        away.rename(self.broker.folder)
        current.symlink_to(target)
        self.broker.becomes(broker="running", generation=good, why="")

    def test_without_a_good_generation_no_broker_runs(self):
        self.broker.start()
        self.assertIn("no generation", self.broker.becomes(broker="down", generation="")["why"])
        self.broker.write()
        shutil.rmtree(self.broker.folder / "generations")
        self.assertIn("no generation", self.broker.becomes(broker="down", generation="")["why"])
        self.broker.watcher.terminate()  # it would take the good one before the bad one is there
        self.broker.write()
        bad = self.broker.write_changed(replaced("crl.pem", ""))
        self.broker.start()
        self.assertIn("crl", self.broker.becomes(broker="down", refused=bad)["why"])
        self.new_generation()
        self.assertIn(self.broker.agent().publish(OWN), ALLOWED)

    def test_after_a_restart_of_the_watcher_the_last_good_generation_counts_until_there_is_a_better_one(self):
        good = self.running()
        bad = self.broker.write_changed(replaced("crl.pem", ""))
        self.broker.becomes(refused=bad)
        self.broker.watcher.terminate()
        self.broker.start()
        self.broker.becomes(broker="running", generation=good, refused=bad)
        # A power cut may have torn the copy: then it does not count.
        self.broker.watcher.terminate()
        (self.broker.run / "live/agents.acl").write_text("")
        self.broker.start()
        self.broker.becomes(broker="down", generation="", refused=bad)


class Changes(WatchCase):
    def test_a_reload_takes_people_keys_the_revoked_and_the_servers_certificate_and_sessions_last(self):
        self.running()
        stays = {name: self.broker.client(name) for name in ("pi-1", "chat", "pi-2")}
        dropped = [self.broker.person(name) for name in ("submit", "admin")]
        less = self.broker.person("operate")
        self.assertIn(less.publish("edgefleet/v1/home/operate/operate"), ALLOWED)
        pid = self.broker.pid()
        del self.broker.people["submit"]
        self.broker.people["new"] = ("chat", "key of new")
        self.broker.people["admin"] = ("observe", "another key")
        self.broker.people["operate"] = ("chat", "key of operate")
        self.broker.authority.revoke("pi-2")
        before = (self.broker.authority.folder / "server.crt").read_text()
        self.broker.authority.issue("server", "serverAuth")
        start = time.monotonic()
        self.new_generation()
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(self.broker.pid(), pid)
        for client in dropped:
            self.assertTrue(client.closed(PATIENCE))
        self.assertEqual(less.publish("edgefleet/v1/home/operate/operate"), FORBIDDEN)
        for name, client in stays.items():
            self.assertTrue(client.alive(), name)
        self.assertEqual(self.broker.person("new").publish("edgefleet/v1/home/submit/new"), 16)
        with self.assertRaises(Refused):
            self.broker.person("admin", key="key of admin")
        self.assertEqual(self.broker.person("admin").publish("edgefleet/v1/home/submit/admin"), FORBIDDEN)
        with self.assertRaises(OSError):
            self.broker.agent("pi-2").ping()
        pem = self.broker.agent("watch").socket.getpeercert(binary_form=True)
        self.assertNotEqual(pem, ssl.PEM_cert_to_DER_cert(before))

    def test_a_reload_takes_a_new_authority_and_sessions_last(self):
        self.running()
        old, pid, stays = self.broker.authority, self.broker.pid(), self.broker.agent("pi-2")
        self.broker.authority = Authority(self.broker.root / "new-ca")
        self.broker.authority.issue("pi-1")
        self.new_generation()
        self.assertEqual(self.broker.pid(), pid)
        self.assertTrue(stays.alive())
        self.assertIn(self.broker.agent().publish(OWN), ALLOWED)
        with self.assertRaises(OSError):
            self.broker.agent(context=old.context("pi-1", self.broker.authority)).ping()

    def test_a_new_port_starts_the_broker_again(self):
        self.running()
        pid = self.broker.pid()
        self.broker.agents_port = free_port()
        self.new_generation()
        self.assertNotEqual(self.broker.pid(), pid)
        self.assertIn(self.broker.agent().publish(OWN), ALLOWED)

    def test_a_signal_at_any_time_finds_whole_files(self):
        """For example logrotate's SIGHUP, while generations come."""
        self.running()
        attackers = self.attackers()
        pid = self.broker.pid()
        for _ in range(4):
            generation = self.broker.write()
            end = time.monotonic() + PATIENCE
            while self.broker.state()["generation"] != generation and time.monotonic() < end:
                os.kill(pid, signal.SIGHUP)
                time.sleep(0.01)
            self.broker.becomes(generation=generation)
        attackers.end()
        self.assertEqual(attackers.through, [])
        self.assertEqual(self.broker.pid(), pid)


class Life(WatchCase):
    def stopped(self):
        self.broker.becomes(broker="stopped")
        with self.assertRaises(OSError):
            self.broker.agent()

    def test_a_file_stop_ends_the_broker_until_it_is_gone(self):
        first = self.running()
        client = self.broker.agent()
        stop = self.broker.folder / "stop"
        start = time.monotonic()
        stop.write_text("a canary got through\n")
        self.assertTrue(client.closed(PATIENCE))
        self.assertLess(time.monotonic() - start, 3)
        self.stopped()
        self.assertEqual(self.broker.state()["generation"], first)
        # Generations are tried meanwhile, and do not start it.
        second = self.broker.write()
        self.broker.becomes(broker="stopped", generation=second)
        bad = self.broker.write_changed(replaced("agents.acl", "bad\n"))
        self.broker.becomes(broker="stopped", generation=second, refused=bad)
        self.broker.watcher.terminate()
        self.broker.start()
        self.stopped()
        stop.unlink()
        self.broker.becomes(broker="running", generation=second)
        self.assertEqual(self.broker.agent().publish(OTHERS), FORBIDDEN)
        stop.symlink_to("nowhere")
        self.stopped()

    def test_a_killed_broker_is_started_again_and_stays_closed(self):
        self.running()
        attackers = self.attackers()
        for _ in range(3):
            pid = self.broker.pid()
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: self.pid_or_none() not in (None, pid), what="another broker")
            self.broker.becomes(broker="running")
            wait_until(self.answers, what="the new broker answers")
        wait_until(lambda: attackers.refused.get(("pi-1", FORBIDDEN), 0) > 10, what="the attacker has connected again")
        attackers.end()
        self.assertEqual(attackers.through, [])

    def pid_or_none(self):
        with contextlib.suppress(OSError, ValueError):
            return self.broker.pid()
        return None

    def answers(self):
        try:
            return self.broker.agent("pi-2").publish(OTHERS) in ALLOWED
        except OSError:
            return False

    def test_the_end_of_the_watcher_is_the_end_of_the_broker(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.running()
            os.kill(self.broker.watcher.pid, signal.SIGHUP)  # is for the broker only
            self.assertIn(self.broker.agent().publish(OWN), ALLOWED)
            pid = self.broker.pid()
            self.broker.watcher.signal(number)
            self.broker.watcher.wait()
            self.assertTrue(gone(pid))
            self.assertEqual(self.broker.state()["broker"], "down")
            self.assertFalse((self.broker.run / "trial").exists())
            self.assertEqual(processes_with(str(self.broker.run)), [])

    def test_a_killed_watcher_leaves_a_broker_that_the_next_one_ends(self):
        generation = self.running()
        pid = self.broker.pid()
        self.broker.watcher.kill()
        self.assertIn(self.broker.agent().publish(OWN), ALLOWED)
        self.broker.start()
        wait_until(lambda: self.pid_or_none() not in (None, pid), what="another broker")
        self.broker.becomes(broker="running", generation=generation)
        self.assertTrue(gone(pid))
        wait_until(self.answers, what="the new broker answers")

    def test_a_second_watcher_of_a_folder_ends(self):
        self.running()
        first = self.broker.watcher
        self.broker.start()
        self.assertEqual(self.broker.watcher.wait(), 1)
        self.broker.watcher = first
        self.assertIn(self.broker.agent().publish(OWN), ALLOWED)

    def test_a_port_that_is_taken_is_a_clear_state_and_tried_again(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", self.broker.agents_port))
            other.listen()
            self.broker.write()
            self.broker.start()
            self.assertIn("port", self.broker.becomes(broker="down")["why"])
        self.broker.becomes(broker="running", why="")

    @unittest.skipUnless(os.geteuid() == 0, "only for root")
    def test_it_refuses_to_run_as_root(self):
        self.broker.other_user = {}
        self.broker.start()
        self.assertEqual(self.broker.watcher.wait(), 1)
        self.assertIn("not as root", self.broker.watcher.log())


@unittest.skipUnless(shutil.which("busybox"), "no busybox here")
class Busybox(Life):
    """The same with busybox's shell and commands, as in a small container."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="edgefleet-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.folder.chmod(0o755)
        subprocess.run([shutil.which("busybox"), "--install", "-s", cls.folder], check=True)
        mosquitto = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        (cls.folder / "mosquitto").symlink_to(mosquitto)
        cls.SHELL, cls.PATH = (cls.folder / "sh",), cls.folder


if __name__ == "__main__":
    unittest.main()

"""deploy/backup, while a real server works: what is restored is sound, has every job, and goes on with those that had not
ended."""
import os
import pathlib
import shutil
import sqlite3
import tempfile
import time
import unittest
from unittest import mock

import tools
from tools import DEPLOY, PROGRAMS, Server, run

JOBS = 6


def check(folder):
    done = run([PROGRAMS / "stockpotd", f"--data_folder={folder}", "--check_store"])
    return done.returncode, done.stdout


class Backup(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sweep = cls.enterClassContext(tools.sweep())

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def submit(self, server, *more):
        # Each job makes all of its own evaluations, so that the last have not ended when the backup is made.
        done = server.submit(self.sweep, "--measure-again", *more)
        self.assertEqual(done.returncode, 0, done.stderr)

    def backup(self, *words):
        return run(["python3", DEPLOY / "backup", *words])

    def test_a_running_server(self):
        live, copy, restored = (self.folder / name for name in ("live", "copy", "restored"))
        with Server(live, self.sweep) as server:
            self.submit(server, "--watch")
            for _ in range(JOBS - 1):
                self.submit(server)
            before = server.jobs()
            done = self.backup(live, copy)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("SUCCEEDED", before.values())
            self.assertIn("RUNNING", server.jobs().values(), "the backup was to be made while jobs run")
            # The server goes on undisturbed.
            self.wait(server)
            soups = {name: self.soup(server, name) for name in server.jobs()}
        self.assertEqual(check(live)[0], 0)
        shutil.copytree(copy, restored)
        self.assertEqual((check(restored)[0], check(restored)[1].splitlines()[-1]), (0, "sound"))
        self.assertEqual(self.ended(restored), {name: soups[name] for name in before})

    def test_a_job_that_is_about_to_end(self):
        """Its soup is written, and the store knows that: where it is restored nothing writes it anew."""
        live, copy, fired = (self.folder / name for name in ("live", "copy", "fired"))
        armed = {"STOCKPOT_FAIL_POINT": "report_written", "STOCKPOT_FAIL_POINT_FILE": str(fired)}
        with mock.patch.dict(os.environ, armed), Server(live, self.sweep) as server:
            self.submit(server)
            server.process.wait(timeout=120)
        self.assertTrue(fired.exists())
        self.assertEqual(self.backup(live, copy).returncode, 0)
        self.assertEqual(self.ended(copy), self.ended(live))

    def ended(self, folder):
        """name -> soup, of all jobs once they have ended."""
        with Server(folder, self.sweep) as server:
            self.wait(server)
            return {name: self.soup(server, name) for name in server.jobs()}

    def wait(self, server):
        deadline = time.monotonic() + 240
        while set(server.jobs().values()) != {"SUCCEEDED"}:
            self.assertLess(time.monotonic(), deadline, server.jobs())
            time.sleep(0.2)

    def soup(self, server, name):
        with tempfile.TemporaryDirectory() as folder:
            done = server.client("download", name, "--out", folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            return next(pathlib.Path(folder).rglob("soup.safetensors")).read_bytes()

    def test_what_it_refuses(self):
        (self.folder / "empty").mkdir()
        self.assertIn("no stockpot.db", self.backup(self.folder / "empty", self.folder / "copy").stderr)
        sqlite3.connect(self.folder / "empty/stockpot.db").close()
        (self.folder / "there").mkdir()
        self.assertIn("exists", self.backup(self.folder / "empty", self.folder / "there").stderr)
        self.assertIn("Usage", self.backup().stderr)


if __name__ == "__main__":
    unittest.main()

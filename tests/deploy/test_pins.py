"""deploy/sbom and deploy/check-pins."""
import json
import pathlib
import re
import shutil
import tempfile
import unittest

import jsonschema
import referencing

from tools import DEPLOY, ENVIRONMENT, ROOT, run


class Sbom(unittest.TestCase):
    def test_it_is_cyclonedx(self):
        schemas = next(ENVIRONMENT.glob("venv/lib/python3.*/site-packages/cyclonedx/schema/_res"))

        def load(name):
            return referencing.Resource.from_contents(json.loads((schemas / name).read_text()))
        registry = referencing.Registry(retrieve=lambda uri: load(uri.rsplit("/", 1)[-1]))
        schema = json.loads((schemas / "bom-1.6.SNAPSHOT.schema.json").read_text())
        for flags in ([], ["--gpu"]):
            jsonschema.Draft7Validator(schema, registry=registry).validate(self.make(*flags))

    def make(self, *flags):
        done = run(["python3", DEPLOY / "sbom", *flags])
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_every_pin_of_what_runs_is_in_it(self):
        text = (DEPLOY / "dependencies.txt").read_text()
        for flags, sections in [([], ["base"]), (["--gpu"], ["base", "gpu"])]:
            pins = [pin for name in sections for pin in
                    re.findall(r"(?m)^(\S+)==(\S+) --hash", text.split(f"# [{name}]")[1].split("# [")[0])]
            found = {(part["name"], part["version"]) for part in self.make(*flags)["components"] if "hashes" in part}
            self.assertEqual(found, set(pins))
            self.assertTrue(pins)


class CheckPins(unittest.TestCase):
    """In a copy of what it reads, one thing changed."""

    def check(self, change=None):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for path in [*DEPLOY.glob("*.txt"), DEPLOY / "check-pins", *ROOT.glob("tests/**/requirements.txt")]:
                target = folder / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
            if change:
                path = folder / "deploy/dependencies.txt"
                text = path.read_text()
                path.write_text(re.sub(*change, text, count=1))
                self.assertNotEqual(path.read_text(), text)
            return run(["python3", folder / "deploy/check-pins"])

    def test_all_is_pinned(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_what_is_not_pinned_is_found(self):
        for change, said in [
            ((r"(torch==\S+) --hash=\S+", r"\1"), "torch==2.11.0: neither"),
            ((r"torch==", "torch>="), "neither"),
            ((r"(--hash=sha256:\w+)\w\n", r"\1\n"), "neither"),
            ((r"(versitygw@\S+) h1:\S+", r"\1"), "neither"),
            ((r"(azurite@\S+ \S+) \S+", r"\1"), "neither"),
            ((r"(pyarrow)==\S+( .*\n)", r"\1==1.0\2\1==2.0\2"), "pinned twice"),
        ]:
            with self.subTest(change=change):
                done = self.check(change)
                self.assertEqual(done.returncode, 1)
                self.assertIn(said, done.stdout)


if __name__ == "__main__":
    unittest.main()

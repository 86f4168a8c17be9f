"""The systemd unit, the compose file and the Dockerfile, by the tools that read them."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import yaml

from tools import DEPLOY, PROGRAMS, ROOT, free_port, make_credentials, program, run

MOST_EXPOSED = 15  # tenths, of 100


def seconds(text):
    return sum(int(count) * {"s": 1, "m": 60, "h": 3600}[unit] for count, unit in re.findall(r"(\d+)([smh])", text))


class Systemd(unittest.TestCase):
    UNIT = DEPLOY / "systemd/stockpotd.service"

    def setUp(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("there is no systemd-analyze: Debian's package systemd has it")
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        # Programs that are there, since the unit is looked at without being installed.
        self.unit = self.folder / "stockpotd.service"
        self.unit.write_text(self.UNIT.read_text().replace("/opt/stockpot/bin", str(PROGRAMS)))

    def test_systemd_understands_every_line(self):
        extra = self.folder / "stockpotd.service.d"
        for with_cards in (False, True):
            if with_cards:
                extra.mkdir()
                shutil.copy(DEPLOY / "systemd/gpu.conf", extra)
            done = run(["systemd-analyze", "verify", "--recursive-errors=no", self.unit])
            ours = [line for line in (done.stdout + done.stderr).splitlines() if "stockpot" in line or "gpu.conf" in line]
            self.assertEqual((done.returncode, ours), (0, []))

    def test_it_is_hardened(self):
        done = run(["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", self.unit])
        self.assertEqual(done.returncode, 0, done.stdout.splitlines()[-1:])

    def test_it_waits_for_the_drain(self):
        config = yaml.safe_load((DEPLOY / "systemd/stockpotd.yaml").read_text())
        wait = re.search(r"(?m)^TimeoutStopSec=(.*)$", self.UNIT.read_text()).group(1)
        self.assertGreater(seconds(wait), seconds(config["drain_delay"]) + seconds(config["drain_timeout"]))

    def test_stockpotd_takes_the_example(self):
        (self.folder / "arch").mkdir()
        credentials = make_credentials(self.folder)
        path = self.folder / "stockpotd.yaml"
        path.write_text((DEPLOY / "systemd/stockpotd.yaml").read_text().replace("/data", str(self.folder)).replace(
            "/etc/stockpot/credentials", str(credentials)))
        done = run([PROGRAMS / "stockpotd", f"--config={path}", "--check_config"])
        self.assertEqual(done.returncode, 0, done.stderr)


class Compose(unittest.TestCase):
    FILE = DEPLOY / "compose.yaml"

    def test_the_server_starts_and_its_health_check_succeeds(self):
        check = json.loads(re.search(r"(?m)^HEALTHCHECK .*\\\n *CMD (.*)$", (ROOT / "Dockerfile").read_text()).group(1))
        for name, service in yaml.safe_load(self.FILE.read_text())["services"].items():
            with self.subTest(service=name), tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "arch").mkdir()
                credentials = str(make_credentials(folder) / "server")
                port = free_port()

                def here(text):
                    return text.replace("/etc/stockpot", credentials).replace("/data", folder).replace("8433", str(port)).replace("9464", "0")

                words = [here(flag) for flag in service["command"]]
                server = subprocess.Popen([PROGRAMS / "stockpotd", *words, "--device=cpu", "--workers=1", f"--data_folder={folder}/data"],
                                          stderr=subprocess.DEVNULL)
                try:
                    variables = {key: here(value) for key, value in service["environment"].items()}
                    deadline = time.monotonic() + 60
                    while (done := run([PROGRAMS / check[0], *check[1:]], env=variables)).returncode != 0:
                        self.assertTrue(server.poll() is None and time.monotonic() < deadline, done.stderr)
                finally:
                    server.kill()
                    server.wait()
                del variables["STOCKPOT_CA_FILE"], variables["STOCKPOT_TOKEN_FILE"]
                self.assertNotEqual(run([PROGRAMS / check[0], "--call-timeout=5", *check[1:]], env=variables).returncode, 0)

    def test_services_are_hardened_and_but_for_the_api_on_loopback(self):
        services = yaml.safe_load(self.FILE.read_text())["services"]
        for name, service in services.items():
            with self.subTest(service=name):
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertEqual([port for port in service["ports"] if not port.startswith("127.0.0.1:")], ["8433:8433"])
                self.assertNotIn("--allow_insecure_remote", service["command"])
                drain = next(flag.split("=")[1] for flag in service["command"] if "drain_timeout" in flag)
                self.assertGreater(seconds(service["stop_grace_period"]), seconds(drain))
                self.assertIn(f"AS {service['build']['target']}\n", (ROOT / "Dockerfile").read_text())

    def test_it_is_of_the_compose_specification(self):
        """By compose-go, which is what docker compose reads files with."""
        text = re.sub(r"\$\{\w+:\?[^}]*\}", "/data", self.FILE.read_text())
        for changed, code in [(text, 0), (text.replace("read_only: true", "read_onli: true"), 1)]:
            with tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "compose.yaml").write_text(changed)
                done = run([program("compose-spec"), "compose.yaml"], cwd=folder)
                self.assertEqual(done.returncode, code, done.stderr)


class Credentials(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def names(self, credentials):
        shown = run(["openssl", "x509", "-in", credentials / "server/server.pem", "-noout", "-ext", "subjectAltName"]).stdout
        return {name.strip() for name in shown.splitlines()[1].split(",")}

    def test_certificates_are_of_the_hosts(self):
        made = make_credentials(self.folder, "soup.example.com", "10.1.2.3", "localhost")
        self.assertEqual(self.names(made), {"DNS:soup.example.com", "IP Address:10.1.2.3", "DNS:localhost", "IP Address:127.0.0.1"})
        done = run(["openssl", "verify", "-purpose", "sslserver", "-CAfile", made / "client/ca.pem", made / "server/server.pem"])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_key_that_signs_is_apart_and_nothing_is_open(self):
        made = make_credentials(self.folder)
        self.assertEqual({path.name for path in (made / "server").iterdir()},
                         {"server.pem", "server.key", "access", "ca.pem", "health.token"})
        self.assertEqual({path.name for path in (made / "client").iterdir()}, {"ca.pem", "admin.token"})
        self.assertEqual({path.name for path in (made / "authority").iterdir()}, {"ca.key"})
        self.assertTrue(all(path.stat().st_mode & 0o007 == 0 for path in made.rglob("*")))
        self.assertNotIn((made / "client/admin.token").read_text(), (made / "server/access").read_text())

    def test_again_it_renews_the_certificate_alone(self):
        made = make_credentials(self.folder)
        (made / "server").chmod(0o750)
        before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
        self.assertEqual(run([DEPLOY / "make-credentials", made, "other.example.com"]).returncode, 0)
        changed = {path.name for path in before if path.read_bytes() != before[path]}
        self.assertEqual(changed, {"server.pem", "server.key"})
        self.assertIn("DNS:other.example.com", self.names(made))
        self.assertEqual({path.stat().st_mode & 0o777 for path in (made / "server").iterdir()}, {0o640})

    def test_what_it_refuses(self):
        self.assertEqual([run([DEPLOY / "make-credentials", *words]).returncode for words in ([], ["--help"], [self.folder])], [2, 2, 2])


class Dockerfile(unittest.TestCase):
    def test_hadolint(self):
        done = run([program("hadolint"), "--failure-threshold", "info", ROOT / "Dockerfile"])
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()

"""The real stockpotd with exactly the configuration and Secrets that the chart renders, its paths and ports those of this
machine; asked by the real client as `helm test` renders it, and by a probe as kubelet's."""
import hashlib
import pathlib
import subprocess
import tempfile
import time
import unittest

from chart import NAME, config, here, mount, objects, of_each, pod
from tools import PROGRAMS, free_port, is_healthy, make_client_certificate, make_credentials, run

REFUSED, NOT_REACHED = 2, 4  # exit codes of stockpot
RELOAD_SECONDS = 60  # certificates are looked at every 10 s, the access file every second


def secrets(folder):
    """name -> key -> text, for every Secret that tests/deploy/values names; and a token of the access files."""
    made = make_credentials(folder, "localhost", NAME)
    server = {key: (made / "server" / name).read_text()
              for key, name in [("tls.crt", "server.pem"), ("tls.key", "server.key"), ("ca.crt", "ca.pem")]}
    certificate, key = make_client_certificate(folder, "helm-test.example.com")
    token = (made / "client/admin.token").read_text()
    access = (made / "server/access").read_text() + "ci  viewer  certificate:helm-test.example.com\n"
    access += f"pool  worker  sha256:{hashlib.sha256(b'of-the-pool').hexdigest()}\n"
    remote = {"hugging-face": "", "remote": "", "token": "", "s3": "[default]\naws_access_key_id=a\naws_secret_access_key=b\n"}
    return {"stockpot-certificate": server, "soup-certificate": server, f"{NAME}-tls": server,
            "stockpot-access": {"access": access}, "who": {"who-may.txt": access}, "people": {"people.pem": certificate},
            "clients": {"ca.crt": certificate}, "test-certificate": {"tls.crt": certificate, "tls.key": key},
            "stockpot-test": {"token": token}, "stockpot-worker": {"token": "of-the-pool\n"}, "test": {"viewer": token}, "company": {"ca.pem": server["ca.crt"]},
            "authorities": {"ca.pem": server["ca.crt"]}, "tokens": remote, "hugging-face": remote}


class Rendered:
    """The server of a set of values, its files below `folder`."""

    def __init__(self, values, folder, secrets):
        self.values, self.folder, self.secrets = values, folder, secrets
        for place in ("data/arch", "scratch/soups", "etc/stockpot"):
            pathlib.Path(folder, place).mkdir(parents=True)
        mount(pod(values), secrets, folder)
        self.health, self.worker_port = free_port(), free_port()
        text = here(config(values), folder)
        for port, mine in [(8433, 0), (8434, self.health), (8435, self.worker_port), (9464, 0)]:
            text = text.replace(f"_listen: 0.0.0.0:{port}\n", f"_listen: 0.0.0.0:{mine}\n")
        text = text.replace("listen: 0.0.0.0:8433\n", "listen: 0.0.0.0:0\n")
        path, port_file = pathlib.Path(folder, "etc/stockpot/stockpotd.yaml"), pathlib.Path(folder, "port")
        path.write_text(text)
        self.log = pathlib.Path(folder, "log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen([PROGRAMS / "stockpotd", f"--config={path}", f"--port_file={port_file}"], stderr=log)
        deadline = time.monotonic() + 120
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.log.read_text() + text)
            time.sleep(0.05)
        self.port = port_file.read_text().strip().rpartition(":")[2]

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.process.kill()  # not drained, which waits for load balancers
        self.process.wait()

    def helm_test(self, without=()):
        """Runs the command of the test's pod, but for words that begin with one of `without`."""
        spec = objects(self.values)["Pod", f"{NAME}-test"]["spec"]
        place = tempfile.mkdtemp(dir=self.folder)
        mount(spec, self.secrets, place)
        program, *words = (here(word, place) for word in spec["containers"][0]["command"])
        server = f"--server=localhost:{self.port}"
        words = [server if word.startswith("--server=") else word for word in words if not word.startswith(tuple(without))]
        return run([PROGRAMS / program, "--call-timeout=5", *words])


class RenderedServer(unittest.TestCase):
    def setUp(self):
        self.scratch = self.enterContext(tempfile.TemporaryDirectory())

    def start(self, values):
        folder = tempfile.mkdtemp(dir=self.scratch)
        return Rendered(values, folder, secrets(folder))

    @of_each
    def test_it_starts_and_answers_its_helm_test_and_probes(self, values):
        with self.start(values) as server:
            done = server.helm_test()
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(is_healthy(server.health))
            log = server.log.read_text()
            expected = {"cpu": ("on", "by file"), "everything": ("mutual", "by file"), "gpu": ("mutual", "open"), "mesh": ("off", "open"), "workers": ("on", "by file")}
            tls, access = expected[values]
            self.assertRegex(log, rf'tls="?{tls}"?.*access="?{access}"?')

    def test_a_remote_worker_dials_it_and_is_ready(self):
        spec = objects("workers")["Deployment", f"{NAME}-worker"]["spec"]["template"]["spec"]
        container = spec["containers"][0]
        with self.start("workers") as server:
            folder = server.folder
            mount(spec, server.secrets, folder)
            ready = pathlib.Path(folder, "ready")
            name, *words = (here(word, folder).replace("/tmp/ready", str(ready)) for word in container["command"])
            words = [f"--server=localhost:{server.worker_port}" if word.startswith("--server=") else word for word in words]
            probe = [word.replace("/tmp/ready", str(ready)) for word in container["readinessProbe"]["exec"]["command"]]
            self.assertNotEqual(run(probe).returncode, 0)
            log = pathlib.Path(folder, "worker.log")
            with log.open("w") as output:
                worker = subprocess.Popen([PROGRAMS / name, *words, "--device=cpu"], stderr=output)
            try:
                deadline = time.monotonic() + 60
                while run(probe).returncode != 0:
                    self.assertIsNone(worker.poll(), log.read_text())
                    self.assertLess(time.monotonic(), deadline, log.read_text())
                    time.sleep(0.2)
                self.assertRegex(server.log.read_text(), "worker_connected .*place=remote")
                worker.terminate()
                self.assertEqual(worker.wait(timeout=spec["terminationGracePeriodSeconds"]), 0, log.read_text())
                self.assertNotEqual(run(probe).returncode, 0)
            finally:
                worker.kill()
                worker.wait()

    def test_it_ends_within_its_grace(self):
        with self.start("cpu") as server:
            server.process.terminate()
            time.sleep(1)
            self.assertFalse(is_healthy(server.health), "readiness is to be off while it still serves")
            self.assertEqual(server.helm_test().returncode, 0)
            self.assertEqual(server.process.wait(timeout=pod("cpu")["terminationGracePeriodSeconds"]), 0)

    def test_who_shows_nothing_or_not_enough_is_refused(self):
        for values, without, code in [("cpu", ["--token-file"], REFUSED), ("cpu", ["--ca-file", "--token-file"], NOT_REACHED),
                                      ("everything", ["--token-file", "--certificate-file", "--key-file"], REFUSED),
                                      ("gpu", ["--certificate-file", "--key-file"], NOT_REACHED)]:
            with self.subTest(values=values, without=without), self.start(values) as server:
                done = server.helm_test(without)
                self.assertEqual(done.returncode, code, done.stderr)

    def test_a_token_or_a_certificate_is_enough_where_both_are_taken(self):
        with self.start("everything") as server:
            for without in (["--token-file"], ["--certificate-file", "--key-file"]):
                done = server.helm_test(without)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_renewed_secrets_count_without_a_restart(self):
        with self.start("cpu") as server:
            self.assertEqual(server.helm_test().returncode, 0)
            old, new = server.secrets, secrets(server.folder)
            mount(pod("cpu"), new, server.folder)
            server.secrets = new
            deadline = time.monotonic() + RELOAD_SECONDS
            while (done := server.helm_test()).returncode != 0:
                self.assertLess(time.monotonic(), deadline, done.stderr + server.log.read_text())
                time.sleep(1)
            server.secrets = old  # neither the old authority nor the old token
            self.assertNotEqual(server.helm_test().returncode, 0)
            self.assertIsNone(server.process.poll())


if __name__ == "__main__":
    unittest.main()

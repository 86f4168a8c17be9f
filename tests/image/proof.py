"""Runs a made image as a cluster would, and has it do the quick-start job."""
import os
import pathlib
import subprocess
import time

FLAGS = ["--listen=127.0.0.1:8433", "--metrics_listen=127.0.0.1:9464", "--workers=1", "--allowed_root=/sweep",
         "--allowed_architecture_prefix=/sweep/architecture.pt", "--drain_timeout=30s"]
HEALTH = ["curl", "-s", "--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers",
          "--data-binary", "@-", "http://127.0.0.1:8433/grpc.health.v1.Health/Check"]


def check(condition, what):
    if not condition:
        raise SystemExit(f"image: FAILED: {what}")
    print(f"image: ok: {what}", flush=True)


class Container:
    """One view of the image: its root read-only, /tmp and the data folder writable, the sweep at /sweep; a network
    namespace of its own with loopback alone."""

    def __init__(self, root, configuration, sweep):
        self.root, self.configuration = root, configuration
        self.user, self.group = configuration.user.split(":")
        data = root.parent / "data"
        subprocess.run(["bash", "-euc", f"""
            rm -rf {data}; mkdir -p {data} {root}/sweep
            chown {self.user}:{self.group} {data}; chmod 755 {data}
            mount -o remount,ro {root}
            mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev
            mount -t tmpfs -o mode=1777 tmpfs {root}/tmp
            mount --bind {data} {root}/var/lib/stockpot
            mount --bind -o ro {sweep} {root}/sweep
            ip link set lo up"""], check=True)

    def command(self, words):
        return ["chroot", self.root, "setpriv", f"--reuid={self.user}", f"--regid={self.group}", "--clear-groups",
                "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "env", "-i", "-C",
                self.configuration.folder, "HOME=/var/lib/stockpot",
                *(f"{name}={value}" for name, value in self.configuration.environment.items()), *words]

    def run(self, words, **options):
        return subprocess.run(self.command(words), capture_output=True, text=True, timeout=600, **options)


def said_healthy():
    answer = subprocess.run(HEALTH, input=b"\0\0\0\0\0", capture_output=True).stdout
    return answer == b"\0\0\0\0\x02\x08\x01"  # a message of two bytes: status SERVING


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def prove(root, configuration, sweep):
    os.unshare(os.CLONE_NEWNET) if hasattr(os, "unshare") else unshare_network()
    container = Container(root, configuration, sweep)
    started = time.monotonic()
    with open(root.parent / "stockpotd.log", "w") as log:
        server = subprocess.Popen(container.command([*configuration.entrypoint, *FLAGS]), stderr=log)
    try:
        while not said_healthy():
            check_alive(server, root)
            time.sleep(0.1)
        check(True, f"grpc.health.v1 says SERVING after {time.monotonic() - started:.1f} s")
        status = status_of(server.pid)
        check(status["Uid"].split() == [container.user] * 4, f"it runs as user {container.user}")
        check(all(int(status[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd")), "it has no capabilities")
        check(status["NoNewPrivs"] == "1", "it cannot get new privileges")
        worker = container.run(["stockpot-worker", "--help"])
        check(worker.returncode == 0, f"stockpot-worker finds its libraries {worker.stderr.strip()}".strip())
        check(container.run(["touch", "/opt/stockpot/x"]).returncode != 0, "the root file system is read-only")
        health = container.run(configuration.health_check)
        check(health.returncode == 0, f"the health check {configuration.health_check} succeeds")
        job(container)
        metrics = subprocess.run(["curl", "-s", "http://127.0.0.1:9464/metrics"], capture_output=True, text=True).stdout
        check('stockpot_jobs_ended_total{state="succeeded"} 1' in metrics, "/metrics counts the job")
        server.terminate()
        check(server.wait(timeout=60) == 0, "SIGTERM ends it with 0")
    finally:
        server.kill()


def unshare_network():
    import ctypes
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")


def check_alive(server, root):
    if server.poll() is not None:
        raise SystemExit(f"image: FAILED: it ended with {server.returncode}:\n{(root.parent / 'stockpotd.log').read_text()}")


def job(container):
    """The job of deploy/quickstart."""
    started = time.monotonic()
    done = container.run(["stockpot", "--server", "127.0.0.1:8433", "submit", "--architecture", "/sweep/architecture.pt",
                          "--ingredients", "/sweep/checkpoints/*.safetensors",
                          "--held-out", "/sweep/held_out.safetensors", "--report-set", "test=/sweep/test.safetensors",
                          "shifted=/sweep/shifted.safetensors", "--watch", "--out", "/var/lib/stockpot/soup"])
    if done.returncode != 0:
        print(done.stdout, done.stderr, (container.root.parent / "stockpotd.log").read_text())
    check(done.returncode == 0, f"the quick-start job makes its soup in {time.monotonic() - started:.0f} s")
    soup = container.root / "var/lib/stockpot/soup/soup.safetensors"
    check(soup.stat().st_size > 0, "and hands it back")

"""Dashboard and alerts, against what a running server says at /metrics."""
import json
import pathlib
import random
import re
import shutil
import struct
import tempfile
import time
import unittest

import prometheus_client.parser
import promql_parser
import yaml

from tools import DEPLOY, ROOT, Server, program, run

ALERTS = DEPLOY / "monitoring/alerts.yaml"
DASHBOARD = DEPLOY / "monitoring/dashboard.json"
ADDED_BY_PROMETHEUS = {"instance", "job"}


def scrape():
    """The text of /metrics once a job has come and gone: one of files that are no models, so that it takes no time."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "files/checkpoints").mkdir(parents=True)
        for name in ("architecture.pt", "held_out.safetensors", "checkpoints/a.safetensors"):
            (folder / "files" / name).write_text("no model")
        with Server(folder / "data", folder / "files") as server:
            server.submit(folder / "files", "--watch")
            # A call of a method that there is not.
            run(["curl", "-s", "--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers", "--data", "",
                 f"http://{server.address}/made.up.Service/Method"])
            text = server.scrape()
            deadline = time.monotonic() + 60
            while 'stockpot_jobs_ended_total{state="failed"} 1' not in text and time.monotonic() < deadline:
                time.sleep(0.2)
                text = server.scrape()
            return text


def expressions():
    """(where, PromQL) of both files, Grafana's variables filled in."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")


def selectors(node):
    """Every selector of series below `node`."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "args"):
        below = getattr(node, name, None)
        for child in below if isinstance(below, list) else [below]:
            if child is not None and not isinstance(child, (str, float)):
                yield from selectors(child)


def groupings(node):
    """Labels that aggregations below `node` keep."""
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql_parser.AggregateExpr) and modifier is not None:
        yield from modifier.labels
    for name in ("expr", "lhs", "rhs", "args"):
        below = getattr(node, name, None)
        for child in below if isinstance(below, list) else [below]:
            if child is not None and not isinstance(child, (str, float)):
                yield from groupings(child)


def write_tensors(path, **tensors):
    """Safetensors, of lists of numbers: integers are I64, others F32."""
    header, body = {}, b""
    for name, (shape, numbers) in tensors.items():
        whole = all(isinstance(number, int) for number in numbers)
        data = struct.pack(f"<{len(numbers)}{'q' if whole else 'f'}", *numbers)
        header[name] = {"dtype": "I64" if whole else "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


class Scrape:
    """What a scrape says, by the text parser of Prometheus' own Python client."""

    def __init__(self, server):
        self.samples = [sample for family in prometheus_client.parser.text_string_to_metric_families(server.scrape())
                        for sample in family.samples]

    def __call__(self, name, **labels):
        return sum(sample.value for sample in self.samples
                   if sample.name == name and labels.items() <= sample.labels.items())


class RunningJob(unittest.TestCase):
    """Numbers of a job of a model that takes milliseconds an example, while it runs and after."""

    def test_metrics_follow_the_job_and_end_as_its_report(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            files, examples = folder / "files", 300
            (files / "checkpoints").mkdir(parents=True)
            shutil.copy(ROOT / "tests/support/models/slow.pt", files / "architecture.pt")
            chance = random.Random(3)
            for i in range(3):
                write_tensors(files / f"checkpoints/{i}.safetensors", bias=([3], [0.0] * 3),
                              weight=([3, 4], [chance.gauss(0, 1) for _ in range(12)]))
            write_tensors(files / "held_out.safetensors", x=([examples, 4], [chance.gauss(0, 1) for _ in range(4 * examples)]),
                          labels=([examples], [chance.randrange(3) for _ in range(examples)]))
            with Server(folder / "data", files) as server:
                job = server.submit(files, "--batch-size", "1", "--json")
                self.assertEqual(job.returncode, 0, job.stderr)
                name = json.loads(job.stdout.splitlines()[0])["job"]["name"]
                during = self.wait(server, lambda scrape: 0 < scrape("stockpot_examples_evaluated_total") < examples)
                self.assertEqual(during("stockpot_jobs", state="running"), 1)
                self.assertEqual(during("stockpot_workers", state="busy"), 1)
                self.assertGreater(during("stockpot_device_busy_seconds_total", device="cpu"), 0)
                self.assertGreater(during("stockpot_device_memory_used_bytes", device="cpu"), 0)
                self.assertGreater(during("stockpot_device_memory_size_bytes"), during("stockpot_device_memory_used_bytes"))
                self.assertEqual(during("stockpot_cache_misses_total", cache="checkpoints"), 3)
                self.assertGreater(during("stockpot_checkpoint_cache_mapped_bytes"), 3 * 15 * 4 - 1)
                self.assertGreater(during("stockpot_cache_size_bytes", cache="facts"), 0)
                self.assertGreater(during("process_resident_memory_bytes"), 1 << 20)
                self.assertGreater(during("process_open_fds"), 3)
                self.assertGreater(during("process_max_fds"), during("process_open_fds"))
                self.assertGreater(during("process_threads"), 3)

                after = self.wait(server, lambda scrape: scrape("stockpot_jobs_ended_total") == 1)
                self.assertEqual(after("stockpot_jobs_ended_total", state="succeeded"), 1)
                cost = json.loads(server.client("--json", "get", name).stdout)["report"]["cost"]
                self.assertEqual(after("stockpot_examples_evaluated_total"), int(cost["examples_evaluated"]))
                self.assertEqual(after("stockpot_examples_spared_total"), int(cost.get("examples_spared", 0)))
                self.assertEqual(after("stockpot_evaluations_total"), int(cost["evaluations_run"]))
                self.assertEqual(after("stockpot_evaluations_total", extent="stopped_early"),
                                 int(cost.get("evaluations_stopped_early", 0)))
                self.assertEqual(after("stockpot_cache_misses_total", cache="facts"), after("stockpot_tasks_ended_total"))
                self.assertGreater(after("stockpot_cache_hits_total", cache="checkpoints"), 0)
                self.assertLess(after("stockpot_device_busy_seconds_total"), float(cost["worker_seconds"]))
                self.assertGreater(after("process_cpu_seconds_total"), 0)

    def wait(self, server, holds):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            scrape = Scrape(server)
            if holds(scrape):
                return scrape
            time.sleep(0.02)
        self.fail("it never came to that")


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = scrape()
        cls.labels, cls.values = {}, {}
        for family in prometheus_client.parser.text_string_to_metric_families(cls.text):
            for sample in family.samples:
                cls.labels.setdefault(sample.name, set()).update(sample.labels)
                for label, value in sample.labels.items():
                    cls.values.setdefault((sample.name, label), set()).add(value)

    def known_values(self, metric, label):
        """Those of the scrape, and those that the header lists or, for codes, the server can say."""
        header = "\n".join(file.read_text() for file in (ROOT / "server/control/metrics").glob("*_metrics.h"))
        header += (ROOT / "server/control/metrics/metrics.h").read_text()
        line = re.search(rf"(?m)^//   {re.sub('_bucket$', '', metric)}\{{.*$", header)
        listed = set(re.findall(r"\w+", line.group(0).split("}")[1])) if line else set()
        if label == "grpc_code":
            listed = set(re.findall(r'"(\w+)"', (ROOT / "server/control/rpc/call_interceptor.cc").read_text()))
        return self.values.get((metric, label), set()) | listed

    def test_every_expression_refers_to_what_is_there(self):
        count = 0
        for where, text in expressions():
            with self.subTest(where=where, expression=text):
                tree = promql_parser.parse(text)
                found = list(selectors(tree))
                self.assertTrue(found)
                grouped = set(groupings(tree))
                for selector in found:
                    self.assertIn(selector.name, self.labels)
                    labels = self.labels[selector.name] | ADDED_BY_PROMETHEUS
                    self.assertLessEqual(grouped, labels)
                    for matcher in selector.matchers.matchers:
                        self.assertIn(matcher.name, labels)
                        if matcher.name not in ADDED_BY_PROMETHEUS and matcher.name != "grpc_method":
                            self.assertLessEqual(set(matcher.value.split("|")),
                                                 self.known_values(selector.name, matcher.name))
                        count += 1
        self.assertGreater(count, 20)

    def test_methods_that_are_named_are_of_the_api(self):
        methods = set(re.findall(r"rpc (\w+)\(", (ROOT / "proto/stockpot/v1/soup_service.proto").read_text()))
        named = {method for _, text in expressions() for method in re.findall(r'grpc_method!?="(\w+)"', text)}
        self.assertTrue(named and named <= methods, named - methods)

    def test_every_metric_is_shown_somewhere(self):
        shown = {selector.name for _, text in expressions() for selector in selectors(promql_parser.parse(text))}
        ours = {re.sub("_(bucket|count|sum)$", "", name) for name in self.labels if not name.startswith("exposer_")}
        self.assertEqual(ours - {re.sub("_bucket$", "", name) for name in shown}, set())

    def test_labels_come_from_closed_lists(self):
        allowed = {"state", "place", "kind", "outcome", "decision", "extent", "version", "le", "device", "cache", "scheme", "grpc_type",
                   "grpc_service", "grpc_method", "grpc_code"}
        for name, labels in self.labels.items():
            if not name.startswith("exposer_"):
                self.assertLessEqual(labels, allowed, name)
        methods = re.findall(r"rpc (\w+)\(", (ROOT / "proto/stockpot/v1/soup_service.proto").read_text())
        known = {*methods, "Check", "Watch", "ServerReflectionInfo", "unknown"}
        self.assertLessEqual(self.values["grpc_server_started_total", "grpc_method"], known)
        self.assertIn("unknown", self.values["grpc_server_started_total", "grpc_method"])

    def test_names_and_units_are_as_prometheus_has_them(self):
        # exposer_… are of prometheus-cpp itself, and not as they should be.
        ours = "".join(line + "\n" for line in self.text.splitlines() if "exposer_" not in line)
        done = run([program("promtool"), "check", "metrics"], input=ours)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_promtool_takes_the_alerts(self):
        done = run([program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", ALERTS])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_fire_when_they_should(self):
        done = run([program("promtool"), "test", "rules", pathlib.Path(__file__).with_name("alerts_cases.yaml")])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_dashboard_is_one(self):
        panels = json.loads(DASHBOARD.read_text())["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
        self.assertEqual(len(places), len(panels))


if __name__ == "__main__":
    unittest.main()

"""The Helm chart, rendered by the real helm, checked against Kubernetes' API by kubeconform. test_rendered_server.py starts what it
renders."""
import json
import pathlib
import re
import tempfile
import unittest

import promql_parser
import yaml

from chart import CHART, KUBERNETES, NAME, VALUES, config, objects, of_each, pod, render, validate
from tools import PROGRAMS, Server, make_credentials, program, run

class Chart(unittest.TestCase):
    @of_each
    def test_lint(self, values):
        done = run([program("helm"), "lint", "--strict", CHART, "--values", VALUES[values]])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @of_each
    def test_every_object_is_of_the_api(self, values):
        for version in KUBERNETES:
            done = validate(render(values, "--kube-version", version).stdout, version)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(f"Valid: {len(objects(values))}, Invalid: 0, Errors: 0, Skipped: 0", done.stdout)

    def test_the_validator_finds_faults(self):
        for right, wrong in [("periodSeconds: 2,", "periodSecond: 2,"), ("replicas: 1", "replicas: one"),
                             ("path: /metrics, interval:", "path: /metrics, intervall:"),
                             ("renewBefore: 12h", "renewAfter: 12h"), ("hostnames:", "hostname:"),
                             ("caCertificateRefs:", "caCertificateRef:")]:
            done = validate(render("everything").stdout.replace(right, wrong), KUBERNETES[1])
            self.assertIn("Invalid: 1, Errors: 0", done.stdout, wrong)

    def test_the_validator_knows_a_scaled_object(self):
        done = validate(render("workers").stdout.replace("pollingInterval:", "pollInterval:"), KUBERNETES[1])
        self.assertIn("Invalid: 1, Errors: 0", done.stdout)

    def test_large_numbers_stay_whole(self):
        self.assertIn("max_download_bytes: 500000000000\n", config("gpu") + "\n")

    @of_each
    def test_containers_may_do_nothing_but_run(self, values):
        for (kind, name), item in objects(values).items():
            if kind not in ("StatefulSet", "Deployment", "Pod"):
                continue
            spec = item["spec"] if kind == "Pod" else item["spec"]["template"]["spec"]
            self.assertFalse(spec["automountServiceAccountToken"])
            security = spec["securityContext"]
            self.assertTrue(security["runAsNonRoot"] and security["runAsUser"] == security["fsGroup"] == 10001)
            self.assertEqual(security["seccompProfile"], {"type": "RuntimeDefault"})
            for container in spec["containers"]:
                self.assertEqual(container["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]}})
                self.assertIn("memory", container["resources"]["limits"])

    @of_each
    def test_the_pod_outlives_its_drain(self, values):
        flags = yaml.safe_load(config(values))
        drain = int(flags["drain_delay"][:-1]) + int(flags["drain_timeout"][:-1])
        self.assertGreater(pod(values)["terminationGracePeriodSeconds"], drain)

    @of_each
    def test_probes_and_services_lead_to_ports_that_stockpotd_listens_on(self, values):
        flags = yaml.safe_load(config(values))
        container = pod(values)["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertEqual(flags["listen"], f"0.0.0.0:{ports['grpc']}")
        self.assertEqual(flags["health_listen"], f"0.0.0.0:{ports['health']}")
        self.assertEqual(flags["metrics_listen"], f"0.0.0.0:{ports['metrics']}")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(container[probe]["grpc"]["port"], ports["health"])
        for (kind, _), item in objects(values).items():
            if kind == "NetworkPolicy":  # of health nobody needs to be let in but kubelet, which policies do not stop
                self.assertLessEqual({port["port"] for rule in item["spec"]["ingress"] for port in rule["ports"]},
                                     {"grpc", "metrics", "worker"})
            if kind == "Service":
                self.assertTrue(all(port["targetPort"] in ports for port in item["spec"]["ports"]))
                self.assertLessEqual(item["spec"]["selector"].items(), objects(values)["StatefulSet", NAME]
                                     ["spec"]["template"]["metadata"]["labels"].items())

    def test_cards(self):
        container = pod("gpu")["containers"][0]
        self.assertEqual(container["resources"]["limits"]["nvidia.com/gpu"], 2)
        self.assertEqual(yaml.safe_load(config("gpu"))["workers"], 2)
        self.assertIn("@sha256:", container["image"])
        self.assertTrue(pod("gpu")["tolerations"])
        self.assertNotIn("nvidia.com/gpu", pod("cpu")["containers"][0]["resources"]["limits"])
        self.assertTrue(pod("cpu")["containers"][0]["image"].endswith(":cpu"))

    def test_an_empty_list_of_clients_lets_nobody_in(self):
        rules = objects("everything")["NetworkPolicy", NAME]["spec"]["ingress"]
        self.assertEqual([rule["ports"][0]["port"] for rule in rules], ["grpc"])
        for values in VALUES:
            rules = objects(values)["NetworkPolicy", NAME]["spec"]["ingress"]
            self.assertTrue(all(rule["from"] and rule["ports"] for rule in rules))

    def test_ways_in_speak_as_the_pod_does(self):
        protocols = {values: objects(values)["Service", NAME]["spec"]["ports"][0]["appProtocol"] for values in VALUES}
        self.assertEqual(protocols, {"cpu": "https", "everything": "grpc", "gpu": "https", "mesh": "kubernetes.io/h2c",
                                     "workers": "https"})
        by_nginx = {values: objects(values)["Ingress", NAME]["metadata"]["annotations"]["nginx.ingress.kubernetes.io/backend-protocol"]
                    for values in VALUES if ("Ingress", NAME) in objects(values)}
        self.assertEqual(by_nginx, {"everything": "GRPCS", "mesh": "GRPC"})
        routes = {values: sorted(kind for kind, _ in objects(values) if kind in ("GRPCRoute", "TLSRoute", "BackendTLSPolicy"))
                  for values in VALUES}
        self.assertEqual(routes, {"cpu": [], "everything": ["BackendTLSPolicy", "GRPCRoute"], "gpu": ["TLSRoute"], "mesh": ["GRPCRoute"],
                                  "workers": []})
        for (kind, _), item in [pair for values in VALUES for pair in objects(values).items()]:
            if kind in routes["everything"] + routes["gpu"]:
                for to in [*item["spec"].get("targetRefs", []), *(to for rule in item["spec"].get("rules", []) for to in rule["backendRefs"])]:
                    self.assertEqual((to["name"], to.get("port", 8433) in (8433, 443)), (NAME, True))
        self.assertIn("caCertificateRefs", objects("everything")["BackendTLSPolicy", NAME]["spec"]["validation"])

    def test_the_certificate_has_the_names_that_clients_use(self):
        names = objects("gpu")["Certificate", NAME]["spec"]["dnsNames"]
        self.assertLessEqual({NAME, f"{NAME}.ml.svc", "localhost", "stockpot.example.com"}, set(names))
        made = {values: objects(values)["Certificate", NAME]["spec"]["secretName"] for values in ("gpu", "everything")}
        self.assertEqual(made, {"gpu": f"{NAME}-tls", "everything": "soup-certificate"})

    def test_config_takes_every_flag_that_no_other_value_decides(self):
        decided = {"listen", "worker_listen", "allow_insecure_remote", "health_listen", "metrics_listen", "port_file", "data_folder", "workers",
                   "threads_per_worker", "drain_delay", "drain_timeout", "worker_binary", "tls_client_certificate_optional"}
        shown = run([PROGRAMS / "stockpotd", "--help"]).stdout
        flags = set(re.findall(r"(?m)^  --(\w+)", shown)) - {"version", "config", "check_config", "check_store"}
        of_files = {flag for flag in flags if re.fullmatch("(tls|access|remote|hf|s3|gcs|azure).*_file", flag)}
        schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
        self.assertEqual(flags - decided - of_files, set(schema["config"]["propertyNames"]["enum"]))
        self.assertLessEqual(set(schema["secretFiles"]["properties"]), of_files)

    def test_values_that_cannot_be_meant_are_refused(self):
        for arguments, said in [
            (("--set", "image.repository="), "image.repository is needed"),
            (("--set", "replicas=2"), "replicas"),
            (("--set", "config.listen=0.0.0.0:1"), "listen"),
            (("--set", "config.hf_token_file=/x"), "hf_token_file"),
            (("--set", "config.access_file=/x"), "access_file"),
            (("--set", "config.retain_job_for=1h"), "retain_job_for"),
            (("--set", "tls.secretName="), "/tls/secretName"),
            (("--set", "tls=null"), "allowInsecure"),
            (("--set", "access.secretName="), "/access/secretName"),
            (("--set", "access.secretName=,tls.clientCa.secretName=a,tls.clientCa.optional=true"), "/tls/clientCa/optional"),
            (("--set", "allowInsecure=true,tls.secretName=,tls.clientCa.secretName=a"), "/tls/secretName"),
            (("--set", "tls.certManager.enabled=true"), "issuerRef"),
            (("--set", "gateway.enabled=true"), "gateway"),
            (("--set", "secretFiles.token.secretName=a,secretFiles.token.key=b"), "secretFiles"),
            (("--set", "ingress.enabled=true"), "ingress"),
            (("--set", "persistence.accessMode=ReadWriteMany"), "accessMode"),
            (("--set", "gpus=-1"), "gpus"),
            (("--set", "drain.timeoutSeconds=1m"), "timeoutSeconds"),
            (("--kube-version", "1.29.0"), "kubeVersion"),
        ]:
            with self.subTest(arguments=arguments):
                done = render("cpu", *arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stderr)

    def test_values_of_remote_workers_that_cannot_be_meant_are_refused(self):
        for arguments, said in [
            ("token.secretName=", "/remoteWorkers/token/secretName"),
            ("token.secretName=,remoteWorkers.clientCertificate.secretName=a", "/tls"),
            ("sharedVolume.accessMode=ReadWriteOnce", "must be ReadWriteMany"),
            ("keda.cooldownSeconds=299", "cooldownSeconds must not be less"),
            ("keda.cooldownSeconds=7200", "cooldownSeconds"),
            ("keda.prometheusAddress=", "prometheusAddress"),
            ("keda.maxReplicas=0", "maxReplicas"),
            ("gpus=2", "/remoteWorkers/gpus"),
        ]:
            with self.subTest(arguments=arguments):
                done = render("workers", "--set", f"remoteWorkers.{arguments}")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stderr)

    def test_remote_workers(self):
        rendered = objects("workers")
        deployment, server = rendered["Deployment", f"{NAME}-worker"], rendered["StatefulSet", NAME]
        spec, labels = deployment["spec"]["template"]["spec"], deployment["spec"]["template"]["metadata"]["labels"]
        container = spec["containers"][0]
        self.assertNotIn("replicas", deployment["spec"], "KEDA's to say")
        self.assertEqual(objects("workers", "--set", "remoteWorkers.keda.enabled=false")["Deployment", f"{NAME}-worker"]
                         ["spec"]["replicas"], 1)
        self.assertGreater(spec["terminationGracePeriodSeconds"], 300 + 10)  # what a task that cannot be interrupted takes
        # No Service, policy or StatefulSet of the server takes a worker for it, nor the other way round.
        for (kind, name), item in rendered.items():
            selector = item["spec"].get("selector", item["spec"].get("podSelector")) if "spec" in item else None
            if kind in ("Service", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget", "Deployment"):
                chosen = selector.get("matchLabels", selector).items()
                self.assertEqual(chosen <= labels.items(), name == f"{NAME}-worker", (kind, name))
                self.assertEqual(chosen <= server["spec"]["template"]["metadata"]["labels"].items(), name != f"{NAME}-worker")
        # What they share, and nothing else: no store, no key, no access file.
        mounts = {place["mountPath"]: place for place in container["volumeMounts"]}
        of_server = {place["mountPath"]: place for place in pod("workers")["containers"][0]["volumeMounts"]}
        for folder in ("artifacts", "cache"):
            place = f"/var/lib/stockpot/data/{folder}"
            self.assertEqual(mounts[place], of_server[place])
        self.assertNotIn("/var/lib/stockpot", mounts)
        projected = {item["path"] for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", [])
                     for item in source["secret"]["items"]}
        self.assertEqual(projected, {"ca.crt", "token", "hf_token_file"})
        self.assertEqual(rendered["PersistentVolumeClaim", f"{NAME}-shared"]["spec"]["accessModes"], ["ReadWriteMany"])
        # The port: only workers reach it, by a name of the certificate.
        rules = {rule["ports"][0]["port"]: rule["from"] for rule in rendered["NetworkPolicy", NAME]["spec"]["ingress"]}
        self.assertEqual(rules["worker"], [{"podSelector": deployment["spec"]["selector"]}])
        self.assertEqual(rendered["NetworkPolicy", f"{NAME}-worker"]["spec"]["ingress"], [])
        dialled = next(word for word in container["command"] if word.startswith("--server="))
        host, port = dialled.removeprefix("--server=").split(":")
        self.assertIn(host, rendered["Certificate", NAME]["spec"]["dnsNames"])
        self.assertEqual(host, f"{NAME}-workers.ml.svc")
        self.assertEqual(int(port), rendered["Service", f"{NAME}-workers"]["spec"]["ports"][0]["port"])
        self.assertTrue(yaml.safe_load(config("workers"))["worker_listen"].endswith(port))
        self.assertEqual(yaml.safe_load(config("workers"))["workers"], 0)
        self.assertEqual(container["resources"]["limits"]["nvidia.com/gpu"], 1)
        self.assertTrue(container["image"].endswith(":gpu"))
        self.assertTrue(pod("workers")["containers"][0]["image"].endswith(":cpu"))

    def test_without_remote_workers_there_is_nothing_of_them(self):
        self.assertNotIn("8435", render("cpu").stdout)
        self.assertFalse([name for _, name in objects("cpu") if "worker" in name])

    def test_keda_scales_by_jobs_that_wait_or_run(self):
        spec = objects("workers")["ScaledObject", f"{NAME}-worker"]["spec"]
        self.assertIn(("Deployment", spec["scaleTargetRef"]["name"]), objects("workers"))
        self.assertLess(spec["minReplicaCount"], spec["maxReplicaCount"])
        drain = objects("workers")["Deployment", f"{NAME}-worker"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        self.assertGreater(spec["cooldownPeriod"], drain)
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        self.assertEqual(down["stabilizationWindowSeconds"], spec["cooldownPeriod"])
        query = spec["triggers"][0]["metadata"]["query"]
        product = promql_parser.parse(query)
        self.assertEqual(product.rhs.val, 2.5)
        selector = product.lhs.expr
        self.assertEqual(selector.name, "stockpot_jobs")
        labels = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        monitored = objects("workers")["Service", f"{NAME}-metrics"]
        self.assertEqual(labels, {"namespace": "ml", "service": monitored["metadata"]["name"], "state": "queued|running"})
        with tempfile.TemporaryDirectory() as folder, Server(pathlib.Path(folder, "data"), folder) as server:
            text = server.scrape()
        for state in labels["state"].split("|"):
            self.assertIn(f'{selector.name}{{state="{state}"}}', text)

    def test_stockpotd_refuses_what_the_schema_refuses(self):
        """What was refused above beyond loopback, in flags: the schema must not be stricter or laxer than stockpotd."""
        with tempfile.TemporaryDirectory() as folder:
            credentials = make_credentials(folder)
            access, ca = f"--access_file={credentials}/server/access", f"--tls_client_ca_file={credentials}/client/ca.pem"
            tls = [f"--tls_certificate_file={credentials}/server/server.pem", f"--tls_key_file={credentials}/server/server.key"]
            for flags, code in [([], 2), ([access], 2), (tls, 2), ([*tls, ca, "--tls_client_certificate_optional"], 2),
                                ([ca, "--allow_insecure_remote"], 2), ([*tls, access], 0), ([*tls, ca], 0),
                                (["--allow_insecure_remote"], 0), ([*tls, "--allow_insecure_remote"], 0)]:
                with self.subTest(flags=flags):
                    done = run([PROGRAMS / "stockpotd", "--listen=0.0.0.0:8433", "--check_config", *flags])
                    self.assertEqual(done.returncode, code, done.stderr)

    def test_notes_warn(self):
        def notes(*arguments, values="cpu"):
            done = run([program("helm"), "install", "soup", CHART, "--dry-run=client", "--values", VALUES[values], *arguments])
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout.split("NOTES:")[1]
        self.assertNotIn("NO JOB CAN RUN", notes())
        self.assertIn("NO JOB CAN RUN", notes("--set-json", "config.allowed_root=[]"))
        self.assertNotIn("PLAINTEXT", notes())
        self.assertIn("--ca-file ca.pem --token-file token capabilities", notes())
        self.assertIn("PLAINTEXT", notes(values="mesh"))
        self.assertIn("ANYBODY", notes(values="mesh"))
        self.assertNotIn("NO NETWORK POLICY", notes(values="mesh"))
        self.assertIn("NO NETWORK POLICY", notes("--set", "networkPolicy.enabled=false", values="mesh"))
        self.assertIn("Everybody with a certificate", notes(values="gpu"))
        self.assertNotIn("NOBODY GETS THROUGH", notes(values="gpu"))
        self.assertIn("NOBODY GETS THROUGH", notes("--set", "gateway.passthrough=false", values="gpu"))
        self.assertIn("There is no `helm test`", notes("--set", "helmTest.token.secretName="))

    def test_without_credentials_there_is_no_helm_test(self):
        self.assertIn(("Pod", f"{NAME}-test"), objects("cpu"))
        self.assertNotIn(("Pod", f"{NAME}-test"), objects("cpu", "--set", "helmTest.token.secretName="))

    def test_the_schema_knows_every_default(self):
        properties = json.loads((CHART / "values.schema.json").read_text())["properties"]
        self.assertEqual(set(yaml.safe_load((CHART / "values.yaml").read_text())), set(properties) - {"global"})


if __name__ == "__main__":
    unittest.main()

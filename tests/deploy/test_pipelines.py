"""The definitions of deploy/pipelines against the schemas of those who read them. tests/client/python/test_pipelines.py runs them."""
import json
import re
import unittest

import jsonschema
import yaml

from tools import DEPLOY, ENVIRONMENT, program, run

PIPELINES = DEPLOY / "pipelines"
ARGO = "io.argoproj.workflow.v1alpha1."


def argo_validator():
    """Of a WorkflowTemplate. Fields that Argo does not know are errors, as `argo lint --strict` has it."""
    path = ENVIRONMENT / "argo_schema.json"
    if not path.exists():
        raise unittest.SkipTest("there is no argo_schema.json: deploy/install-dependencies --deploy-checks brings it where Go is")
    schema = json.loads(path.read_text())
    for definition in schema["definitions"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    return jsonschema.Draft7Validator({"definitions": schema["definitions"], "$ref": f"#/definitions/{ARGO}WorkflowTemplate"})


class Pipelines(unittest.TestCase):
    def test_argo_knows_the_workflow_template(self):
        validator = argo_validator()
        template = yaml.safe_load((PIPELINES / "argo_workflow_template.yaml").read_text())
        self.assertEqual([], [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(template)])
        template["spec"]["templates"][0]["container"]["arg"] = []  # the schema does see what is wrong
        self.assertTrue(list(validator.iter_errors(template)))

    def test_argo_references_are_of_parameters_that_there_are(self):
        template = yaml.safe_load((PIPELINES / "argo_workflow_template.yaml").read_text())
        whole = {f"workflow.parameters.{each['name']}" for each in template["spec"]["arguments"]["parameters"]}
        for each in template["spec"]["templates"]:
            known = whole | {f"inputs.parameters.{one['name']}" for one in each["inputs"]["parameters"]}
            known |= {"workflow.uid", "workflow.namespace"}
            self.assertLessEqual(set(re.findall(r"{{([^}]*)}}", json.dumps(each))), known, each["name"])

    def test_the_action_has_what_its_arguments_name(self):
        action = yaml.safe_load((PIPELINES / "action.yml").read_text())
        named = set(re.findall(r"inputs\.([\w-]+)", json.dumps(action["runs"])))
        self.assertEqual(named, set(action["inputs"]))
        self.assertEqual(action["runs"]["using"], "docker")

    def test_hadolint_has_nothing_to_say(self):
        checked = run([program("hadolint"), "--failure-threshold", "warning", PIPELINES / "Dockerfile"])
        self.assertEqual((checked.returncode, checked.stdout), (0, checked.stdout), checked.stdout)

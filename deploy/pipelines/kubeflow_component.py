"""A soup as a component of Kubeflow Pipelines; `python kubeflow_component.py` writes kubeflow_component.yaml.

    soup = kfp.components.load_component_from_file("deploy/pipelines/kubeflow_component.yaml")

    @kfp.dsl.pipeline
    def pipeline(job: str, inputs_sha256: str):
        made = soup(job=job, server="stockpot:8433", request_id=f"{kfp.dsl.PIPELINE_JOB_ID_PLACEHOLDER}-soup", inputs_sha256=inputs_sha256)
        made.set_retry(num_retries=20, backoff_duration="30s", backoff_factor=2)

Kubeflow skips a step whose parameters it has seen: give `inputs_sha256` (`stockpot-step JOB --digest`), which is another when a
checkpoint or a data set is, and the step refuses inputs of another digest; or turn caching off. It retries whatever the exit code
was: a job that failed is then queued again, and what was measured is kept.
"""

import pathlib

from kfp import compiler, dsl

IMAGE = "stockpot-step:0.1.0"


@dsl.container_component
def soup(
    job: str,
    server: str,
    request_id: str,
    inputs_sha256: str,
    soup_uri: dsl.OutputPath(str),
    soup_sha256: dsl.OutputPath(str),
    scores: dsl.OutputPath(str),
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
):
    """Makes a model soup on a Stockpot server.

    Args:
        job: The job as YAML, as `stockpot submit --file` takes it; its paths are the server's.
        server: HOST:PORT of stockpotd.
        request_id: The same for each attempt; dsl.PIPELINE_JOB_ID_PLACEHOLDER and the step's name.
        inputs_sha256: Digest of the job and of what it reads; may be empty.
        soup_uri: Where the soup is.
        soup_sha256: SHA-256 of the soup's file.
        scores: JSON, data set to score.
        metrics: metrics.json.
        report: The report as a page.
    """
    script = """
set -u
mkdir -p /tmp/work "$(dirname "$5")" "$(dirname "$6")" "$(dirname "$7")" "$(dirname "$8")" "$(dirname "$9")"
printf '%s' "$1" >/tmp/work/job.yaml
stockpot-step /tmp/work/job.yaml --server="$2" --request-id="$3" --expect-digest="$4" --outputs=/tmp/work/outputs --html="$9"
code=$?
cd /tmp/work/outputs && cp soup_uri "$5" && cp soup_sha256 "$6" && cp scores "$7" && cp metrics.json "$8" || exit "$((code ? code : 5))"
exit $code
"""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["sh", "-c", script, "soup"],
        args=[job, server, request_id, inputs_sha256, soup_uri, soup_sha256, scores, metrics.path, report.path],
    )


if __name__ == "__main__":
    compiler.Compiler().compile(soup, str(pathlib.Path(__file__).with_suffix(".yaml")))

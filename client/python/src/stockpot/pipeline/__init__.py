"""A soup job as one step of a pipeline: of Argo Workflows, Kubeflow Pipelines, GitHub Actions, or another runner.

    stockpot-step job.yaml --request-id "$WORKFLOW_UID-soup" --outputs /tmp/outputs

submits the job (the same file as `stockpot submit --file` takes), waits for its end, and leaves what later steps need
as files of one value each. Standard output is one line of JSON, logs are on standard error. deploy/pipelines has the
definitions.

- **Retries.** The same request id makes no second job: a step that is started again rejoins its job, and where that
  had failed or was cancelled meanwhile queues it again (nothing is measured twice). So the id has to be the same for
  each attempt, and another for each run: the workflow's uid and the step's name.
- **Exit codes** are those of the `stockpot` program: 0 success, 1 the job failed, 2 bad input, 3 cancelled, 5
  anything else. 75 (of sysexits.h: a temporary failure) in place of 4 says that another attempt may succeed: the
  server cannot be reached or has no room, `--timeout` is over, or the pod was told to end. The job goes on meanwhile.
- **Caches.** Runners that skip a step when its parameters did not change look at paths, not at what the files hold:
  `--digest` prints one SHA-256 over the job and the content of all that it reads, to be a parameter of the step, and
  `--expect-digest` refuses another.

`_job_file` reads job files, `_digest` asks for contents, `_outputs` writes the values, `_step` is the step.
"""

from ._job_file import read_job_file
from ._outputs import Outcome
from ._step import RETRYABLE, add_arguments, run

__all__ = ["RETRYABLE", "Outcome", "add_arguments", "read_job_file", "run"]

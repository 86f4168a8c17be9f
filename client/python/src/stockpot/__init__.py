"""The client of Stockpot, a service that makes model soups.

    import stockpot

    client = stockpot.Client()  # $STOCKPOT_SERVER, else 127.0.0.1:8433
    job = client.submit(architecture="model.pt", ingredients=["sweep/*.safetensors"], held_out="held_out")
    for event in job.watch():
        print(event)
    print(job.result())
    job.download("soup")

`stockpot.v1` has the messages of the API as proto/stockpot/v1 defines them; `stockpot.aio` the client for asyncio;
`stockpot.errors` what can go wrong; `stockpot.export` makes architecture files of models, `stockpot.data` data sets that
the server reads (both need the extra `torch`).
"""

from ._pictures import Picture, Pictures
from .client import Client, Job
from .errors import JobCancelled, JobFailed, StockpotError
from .report import Report, ReportFrames
from .spec import data_set, job_spec

__all__ = [
    *["Client", "Job", "Report", "ReportFrames"],
    *["StockpotError", "JobFailed", "JobCancelled"],
    *["job_spec", "data_set", "Picture", "Pictures"],
]

"""A job's report as one page and as files of figures; needs the extra `report`.

    stockpot.Client().job("my-sweep").report.to_html("report.html")
    python -m stockpot report my-sweep -o report.html
    stockpot get my-sweep --json >job.json; python -m stockpot report job.json -o report.html

The page is one file that asks no network for anything: text, tables, and figures that Vega-Lite draws in the
browser. Its security policy lets no other script run. The same job makes the same bytes. Every number on it is one of
the job's report, or a difference or mean of such numbers where the text says so; a figure is there only where the job
measured its data.

What is where: `_reading` reads the report; `_scores`, `_path`, `_learning`, `_pairs` and `_space` make figures of it,
`_sections` and `_outliers` tables and words, `_assemble` the page. `theme.json` has the colours of both schemes: the
palette of Okabe and Ito (2008), which people with any kind of colour vision can tell apart, darkened or lightened for
contrast; shapes say the same once more.
"""

from ._assemble import render
from ._files import read_job, to_html, write_figures

__all__ = ["read_job", "render", "to_html", "write_figures"]

"""What a page is made of: figures, tables, and text that is safe in HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
_MOST_ROWS = 1_000  # of a table: as many as a job has ingredients


class Markup(str):
    """HTML; any other string is text, and is escaped."""


def text(value: str) -> Markup:
    return value if isinstance(value, Markup) else Markup(html.escape(value).replace(" %", "&nbsp;%"))


def tag(name: str, *content: str, **attributes: str) -> Markup:
    """An element. `class_` is class."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{''.join(text(part) for part in content)}</{name}>")


def join(parts: Iterable[str], separator: str = "") -> Markup:
    return Markup(html.escape(separator).join(text(part) for part in parts))


@dataclass(frozen=True)
class Table:
    """The first column names the row; `words` are other columns of text, the rest are numbers."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset()

    def markup(self) -> Markup:
        def cell(name: str, at: int, content: str, **more: str) -> Markup:
            kind = "" if at == 0 or at in self.words else "number"
            return tag(name, content, **({"class_": kind} if kind else {}), **more)

        head = join(cell("th", i, _breakable(heading), scope="col") for i, heading in enumerate(self.headings))
        body = join(
            tag(
                "tr",
                *(
                    cell("td" if i else "th", i, content, **({} if i else {"scope": "row"}))
                    for i, content in enumerate(row)
                ),
            )
            for row in self.rows[:_MOST_ROWS]
        )
        cut = len(self.rows) - _MOST_ROWS
        note = tag("p", f"{cut:,} more rows are in the report itself.", class_="note") if cut > 0 else ""
        table = tag("table", tag("thead", tag("tr", head)), tag("tbody", body), aria_label=self.caption)
        # The table scrolls by itself on a narrow screen, with the keyboard too; its caption does not.
        scrolling = tag(
            "div", table, class_="wide", role="region", aria_label=f"{self.caption} (scrolls)", tabindex="0"
        )
        return join([tag("p", self.caption, class_="caption"), scrolling, note])


def _breakable(heading: str) -> Markup:
    """Names such as shift_contrast may be broken, so that a column is no wider than its numbers."""
    return Markup(text(heading).replace("_", "_<wbr>"))


def details(summary: str, *content: str) -> Markup:
    return tag("details", tag("summary", summary), *content)


def _finite(value: Any) -> Any:
    """The same with None for what is no number: JSON knows neither NaN nor infinity, and no axis has them."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Figure:
    """A Vega-Lite specification without its data, which is put in by name: rows of numbers and names.

    Strings such as "@accent" in the specification are colours of theme.json. `table` has what is plotted, for those
    who do not see it.
    """

    id: str
    title: str
    lead: str  # what is seen, and how it is to be read
    spec: dict[str, Any]
    data: dict[str, list[Row]]
    table: Table
    description: str = field(default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", _finite(self.data))

    def markup(self) -> Markup:
        plot = tag("div", "", class_="plot")
        save = tag(
            "p",
            "Save as ",
            tag("button", "SVG", type="button", data_save="svg"),
            " ",
            tag("button", "PNG", type="button", data_save="png"),
            class_="save",
        )
        caption = tag("figcaption", tag("h3", self.title), tag("p", self.lead))
        return tag(
            "figure", caption, plot, save, details("The values as a table", self.table.markup()), id=f"figure-{self.id}"
        )

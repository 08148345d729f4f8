"""One page of HTML that needs nothing else: text, tables and figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { border-bottom: 2px solid #888; }
img { max-width: 100%; } figcaption, .quiet { color: #666; font-size: .9rem; }
figure { margin: 1.2rem 0; }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a page of parts, each of them HTML as made by the functions of this module."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Return a paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return a table; the first row's keys are the columns, missing values stay empty."""
    columns = list(rows[0])
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    lines = [
        "<tr>" + "".join(f"<td>{escape(str(row.get(name, '')))}</td>" for name in columns) + "</tr>"
        for row in rows
    ]
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(lines) + "\n</table>"


def picture(figure: Figure, caption: str) -> str:
    """Return a figure, as a picture within the page, and what it shows."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )

"""The report of `tools/bench all`: measured figures → a page in Markdown and plots in SVG. Pure.

* Every number of a plot is in the page's tables as well.
* A section that was not measured is left out, one that failed is named.

>>> ratio(900.0, 70.0)
'13×'
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

_WIDTH: Final = 640
_ROW: Final = 24
_LEFT: Final = 250
Rows = Sequence[tuple[str, float]]


def ratio(figure: float, base: float) -> str:
    """How many times a figure is another, to two digits."""
    times = figure / base if base else 0.0
    return f"{times:,.0f}×" if times >= 10 else f"{times:.2g}×"


def page(report: Mapping[str, Any], pictures: Sequence[str] = ()) -> str:
    """The report in Markdown; `pictures` are names of plots that lie beside it."""
    return "\n".join(_lines(report, pictures)) + "\n"


def plots(report: Mapping[str, Any]) -> dict[str, str]:
    """Name → plot, of what was measured."""
    drawn = {}
    if "writes" in report:
        rows = [(_row_name(row), float(row["rate"])) for row in report["writes"]["rows"]]
        drawn["writes"] = bars("Durable, signed transitions a second", rows)
    if "find" in report:
        size, told = max(report["find"]["sizes"].items(), key=lambda item: int(item[0]))
        single = [(f["name"], float(f["p95"])) for f in told["figures"] if f["clients"] == 1]
        drawn["find"] = bars(f"Milliseconds at {int(size):,} tasks, 95th percentile of one client", single)
    return drawn


def bars(title: str, rows: Rows) -> str:
    """A horizontal bar for each row, on one scale from nothing, its number beside it."""
    high = max((value for _, value in rows), default=0) or 1
    height = 40 + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
        f' font-family="sans-serif" font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="8" y="22" font-weight="bold" fill="#222">{escape(title)}</text>',
    ]
    for place, (name, value) in enumerate(rows):
        y, length = 36 + _ROW * place, round((_WIDTH - _LEFT - 90) * value / high, 1)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end" fill="#222">{escape(name)}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{y + 2}" width="{length}" height="{_ROW - 8}" fill="#2563a8"/>')
        parts.append(f'<text x="{_LEFT + length + 6}" y="{y + 14}" fill="#222">{_number(value)}</text>')
    return "\n".join((*parts, "</svg>")) + "\n"


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(report: Mapping[str, Any], pictures: Sequence[str]) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield "# Measured"
    yield f"\n{report['date']}, commit `{report['commit']}`, by `tools/bench all`. {report['machine']}; {versions}."
    for name, why in report["failed"].items():
        yield f"\n**`{name}` could not be measured:** {why}"
    for name in ("writes", "store", "find", "beside"):
        if name in report:
            yield from _SECTIONS[name](report[name], report)
            if name in pictures:
                yield f"\n![The same as bars]({name}.svg)"


def _writes(told: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[str]:
    base = float(told["rows"][0]["rate"])
    store = report.get("store", {}).get("sizes", {})
    fast = max((float(of["git fast-import, commits a second"]) for of in store.values()), default=0.0)
    yield "\n## Writing\n\nDurable, signed transitions. `git fast-import` neither signs nor syncs each.\n"
    head = ["", "a second", "median ms", "p95 ms", "p99 ms", "by `git commit -S`"]
    rows = [
        [_row_name(row), _number(row["rate"]), *(_number(row[name]) for name in ("median", "p95", "p99")),
         ratio(row["rate"], base)] for row in told["rows"]
    ]  # fmt: skip
    rows += [["`git fast-import`", _number(fast), "", "", "", ratio(fast, base)]] if fast else []
    yield from _table(head, rows)


def _store(told: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Keeping and cloning\n"
    yield from _by_size(told["sizes"], list(next(iter(told["sizes"].values()))))


def _find(told: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## Finding work\n\nMilliseconds in process: median, 95th percentile.\n"
    names: dict[str, list[str]] = {}
    for known in told["sizes"].values():
        for figure in known["figures"]:
            said = f"{_number(figure['median'])}, {_number(figure['p95'])}"
            names.setdefault(_asked(figure), []).append(said)
    yield from _table(["", *_heads(told["sizes"])], [[name, *cells] for name, cells in names.items()])
    yield ""
    rest = [name for name in next(iter(told["sizes"].values())) if name != "figures"]
    yield from _by_size(told["sizes"], rest)


def _asked(figure: Mapping[str, Any]) -> str:
    many = f", {figure['clients']} clients" if figure["clients"] > 1 else ""
    return f"{figure['name']}{many}{', paced' if figure['paced'] else ''}"


def _beside(told: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[str]:
    for size, peers in told["sizes"].items():
        yield f"\n## Beside others, at {int(size):,} tasks\n\nMedian milliseconds over HTTP, and how many times ours.\n"
        own = next(iter(peers.values()))["figures"]
        rows = []
        for name, figure in own.items():
            cells = [_beside_cell(of["figures"].get(name, {}), figure) for of in peers.values()]
            rows.append([name, *cells])
        yield from _table(["", *peers], rows)
    for name, why in told["left out"].items():
        yield f"\n{name} is left out: {why}"


def _beside_cell(figure: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    if "median" not in figure:
        return "–"
    said = _number(figure["median"])
    return said if figure is own or not own.get("median") else f"{said} ({ratio(figure['median'], own['median'])})"


def _by_size(sizes: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    rows = [[name, *(_number(told[name]) if name in told else "–" for told in sizes.values())] for name in names]
    yield from _table(["", *_heads(sizes)], rows)


def _heads(sizes: Mapping[str, Any]) -> list[str]:
    return [f"{int(size):,} tasks" for size in sizes]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _row_name(row: Mapping[str, Any]) -> str:
    tasks = f", {int(row['tasks']):,} tasks" if row["tasks"] else ""
    tasks += f" after {int(row['past']):,} transitions" if row.get("past") else ""
    return f"{row['what']}{tasks}, {row['clients']} client{'s' if row['clients'] != 1 else ''}"


def _number(value: Any) -> str:
    return f"{value:,.0f}" if float(value) >= 100 or float(value).is_integer() else f"{float(value):.2g}"


_SECTIONS: Final = {"writes": _writes, "store": _store, "find": _find, "beside": _beside}

#!/usr/bin/env python3
"""An executor for the package in `planets/`: statistics of a CSV file, as `taskrepo work` runs it.

It reads `input/planets.csv` in the current folder and leaves `submission/` there: a summary, a JSON result, a report
and a log. It needs nothing but Python.

    taskrepo work --once -- data/examples/summarise.py
"""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main() -> None:
    """Do the task laid out in the current folder."""
    result, log = summarise(Path("input/planets.csv").read_bytes())
    for path, text in (
        ("summary.md", f"Statistics of {len(result['columns'])} columns over {result['rows']} rows.\n"),
        ("result.json", json.dumps(result, indent=2) + "\n"),
        ("artifacts/report.md", report(result)),
        ("logs/run.log", log),
    ):
        target = Path("submission") / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def summarise(table: bytes) -> tuple[dict[str, Any], str]:
    """The statistics the package asks for, computed from the CSV file itself, and a log of the computation."""
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    names = [name for name in rows[0] if all(is_number(row[name]) for row in rows)]
    columns = {name: figures([float(row[name]) for row in rows]) for name in names}
    density = {row["planet"]: 1e24 * float(row["mass_1e24_kg"]) / volume(float(row["diameter_km"])) for row in rows}
    ranked = sorted(density, key=density.__getitem__, reverse=True)
    log = [f"{len(rows)} rows; numeric columns: {', '.join(names)}"]
    log += [f"{planet}: {density[planet]:.0f} kg/m3" for planet in ranked]
    by_density = [{"planet": planet, "kg_per_m3": round(density[planet])} for planet in ranked]
    return {"rows": len(rows), "columns": columns, "by_density": by_density}, "\n".join(log) + "\n"


def figures(values: Sequence[float]) -> dict[str, float]:
    """Count, extremes, mean, median and sample standard deviation."""
    return {
        "count": len(values),
        "min": min(values),
        "max": max(values),
        "mean": round(statistics.fmean(values), 4),
        "median": round(statistics.median(values), 4),
        "stdev": round(statistics.stdev(values), 4),
    }


def volume(diameter_km: float) -> float:
    """The volume of a sphere in cubic metres."""
    return math.pi / 6 * (diameter_km * 1000) ** 3


def is_number(text: str) -> bool:
    """Whether a cell is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def report(result: Mapping[str, Any], names_densest: bool = True) -> str:
    """The page for people."""
    lines = ["# The planets in figures", "", "| column | mean | median | stdev |", "|---|---|---|---|"]
    lines += [f"| {n} | {f['mean']} | {f['median']} | {f['stdev']} |" for n, f in result["columns"].items()]
    if names_densest:
        first = result["by_density"][0]
        lines += ["", f"{first['planet']} is the densest planet, with {first['kg_per_m3']} kg/m³ on average."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

"""What was measured: per round, so that only neighbours in time are compared; a figure is a ratio, with its bound."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

PACKAGES = ["boto3", "fastapi", "httptools", "itsdangerous", "pydantic", "starlette", "uvicorn", "uvloop"]


@dataclass(frozen=True, slots=True)
class Series:
    """One thing measured, round by round: CPU time for one call or answer in microseconds, and how many a second."""

    name: str
    microseconds: Sequence[float]
    per_second: Sequence[float]
    p50_ms: Sequence[float] = ()
    p99_ms: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio or an amount, round by round, and the bound that issues 2 and 3 set for its median."""

    name: str
    ratios: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        """The middle of all rounds."""
        return median(self.ratios)

    @property
    def holds(self) -> bool:
        """Whether the median keeps its bound."""
        return self.median <= (self.at_most or float("inf")) and self.median >= (self.at_least or 0)

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"


def report(series: Sequence[Series], figures: Sequence[Figure]) -> None:
    """Print the tables."""
    console = Console(width=100)
    times = Table("measured", "CPU µs", "per second", "p50 ms", "p99 ms", "rounds", title="Medians, on one core")
    for one in series:
        cells = [_cell(values) for values in (one.microseconds, one.per_second, one.p50_ms, one.p99_ms)]
        times.add_row(one.name, *cells, str(len(one.microseconds)))
    ratios = Table("figure", "median", "min", "max", "rounds", "bound", "", title="Ratios")
    for figure in figures:
        spread = f"{figure.median:.2f}", f"{min(figure.ratios):.2f}", f"{max(figure.ratios):.2f}"
        verdict = "" if not figure.bound else "[green]held[/]" if figure.holds else "[red]missed[/]"
        ratios.add_row(figure.name, *spread, str(len(figure.ratios)), figure.bound, verdict)
    console.print(times, ratios)


def write(path: Path, series: Sequence[Series], figures: Sequence[Figure], *, quick: bool) -> None:
    """Write all of it as JSON: medians, spread and rounds, and on what it was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "quick": quick,
        "machine": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "packages": {package: version(package) for package in PACKAGES},
        },
        "figures": {
            figure.name: {
                **_spread(figure.ratios),
                "at_most": figure.at_most,
                "at_least": figure.at_least,
                "holds": figure.holds,
            }
            for figure in figures
        },
        "measured": {
            one.name: {"microseconds": _spread(one.microseconds), "per_second": _spread(one.per_second)}
            for one in series
        },
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _spread(values: Sequence[float]) -> Mapping[str, float]:
    return {
        "median": round(median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "rounds": len(values),
    }


def _cell(values: Sequence[float]) -> str:
    return f"{median(values):,.2f}" if values else ""

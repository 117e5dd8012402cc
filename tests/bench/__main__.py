"""`python -m tests.bench [--quick]`: measure, print the tables, write build/bench.json; 1 when a bound is missed."""

import argparse
import sys

from tests.bench import figures, parts, presign, routes
from tests.bench.load import BenchError
from tests.bench.place import ROOT

QUICK = routes.Plan(rounds=4, seconds=1, batch_rounds=3, batch_seconds=3)
FULL = routes.Plan(rounds=9, seconds=4, batch_rounds=7, batch_seconds=5)


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="take at most 90 seconds")
    quick = parser.parse_args().quick
    try:
        signing, signing_figures = presign.measure(rounds=20 if quick else 100)
        dividing, dividing_figures = parts.measure(rounds=10 if quick else 50, processes=3)
        serving, serving_figures = routes.measure(QUICK if quick else FULL)
    except BenchError as error:
        parser.exit(2, f"{error}\n")
    series, ratios = [*signing, *dividing, *serving], [*signing_figures, *dividing_figures, *serving_figures]
    figures.report(series, ratios)
    figures.write(ROOT / "build" / "bench.json", series, ratios, quick=quick)
    return 0 if all(figure.holds for figure in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())

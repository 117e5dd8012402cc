"""docs/performance.md names the figures and bounds that the benchmark has."""

from tests.bench import parts, presign
from tests.bench.routes import COMPARISONS
from tests.docs.pages import page, rows


def test_the_figures_and_their_bounds_are_those_of_the_benchmark() -> None:
    _, signing = presign.measure(rounds=1)
    _, dividing = parts.measure(rounds=1, processes=1)
    expected = [[figure.name, figure.bound] for figure in (*signing, *dividing)]
    expected += [[each.name, f"at least {each.at_least:g}" if each.at_least else ""] for each in COMPARISONS]
    assert [[row[0], row[2]] for row in rows(page("docs/performance.md"), "## Measure")] == expected

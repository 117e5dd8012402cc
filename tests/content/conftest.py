"""Time is taken without what counts the lines of the code: a tracer makes each of them several times as slow."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture
def untraced() -> Iterator[None]:
    """Let nobody look on while the test runs, as nobody does in production."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)

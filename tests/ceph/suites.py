"""Tests of other modules, run here over Ceph: what they promise of every server is written once."""

import inspect
from collections.abc import Callable
from types import ModuleType

Test = Callable[..., object]


def promises_of(module: ModuleType, *fixtures: str) -> dict[str, Test]:
    """Return the tests of a module that ask for one of these fixtures, under their names."""
    found = {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_") and not inspect.signature(test).parameters.keys().isdisjoint(fixtures)
    }
    if not found:
        raise LookupError(f"{module.__name__} has no test for {fixtures}")
    return found

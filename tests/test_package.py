"""What `import gateway` gives, and how little it asks for."""

import subprocess
import sys

import pytest

import gateway

WITHOUT_SITE_HOOKS = """
import sys
before = set(sys.modules)
import gateway.apps
names = {name.partition('.')[0] for name in set(sys.modules) - before}
print(*sorted(names - set(sys.stdlib_module_names)))
"""


def test_every_public_name_is_there_and_no_other() -> None:
    assert gateway.__all__ == ["Linker", "Settings", "create_app", "load", "static_url"]
    for name in gateway.__all__:
        assert getattr(gateway, name).__name__ == name
    assert set(gateway.__all__) < set(dir(gateway))
    with pytest.raises(AttributeError, match="module 'gateway' has no attribute 'upload'"):
        _ = gateway.upload  # type: ignore[attr-defined]  # that is the point


def test_what_applications_do_offline_needs_itsdangerous_alone() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_SITE_HOOKS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gateway", "itsdangerous"]

"""The shape of the package, read from its syntax trees: who imports whom, who owns what, who knows the time."""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import page, rows

ROOT = Path(__file__).parents[1]

# docs/architecture.md draws the layers, from below: a module imports from its own row and from those before it.
LAYERS: Final[Sequence[Sequence[str]]] = [row[1].split(", ") for row in rows(page("docs/architecture.md"), "## Layers")]
FIRST_IMPURE = 4  # the rows before it know no input, no output, no clock, no environment and no randomness

BOTO: Final = frozenset(
    {
        "gateway.s3.clients",
        "gateway.s3.answers",
        "gateway.s3.object_calls",
        "gateway.s3.multipart_calls",
        "gateway.s3.s3_storage",
        "gateway.s3.credentials",
        "gateway.worker.sqs",
        "gateway.wiring",
        "gateway.cli",
    }
)
OWNERS: Final[Mapping[str, frozenset[str]]] = {
    "anyio": frozenset({"gateway.http"}),
    "boto3": BOTO,
    "botocore": BOTO,
    "mypy_boto3_iam": BOTO,
    "mypy_boto3_s3": BOTO,
    "mypy_boto3_sqs": BOTO,
    "cryptography": frozenset({"gateway.http.jwks"}),
    "fastapi": frozenset({"gateway.http", "gateway.protocols", "gateway.app", "gateway.cli"}),
    "httpx": frozenset({"gateway.client", "gateway.http.jwks", "gateway.worker.webhooks"}),
    "itsdangerous": frozenset({"gateway.grants.seals"}),
    "jwt": frozenset({"gateway.http.jwks", "gateway.http.jwts"}),
    "limits": frozenset({"gateway.quotas"}),
    "magic": frozenset({"gateway.libmagic"}),
    "prometheus_client": frozenset({"gateway.metrics"}),
    "pydantic": frozenset(
        {"gateway.http", "gateway.protocols", "gateway.settings", "gateway.setting_tables", "gateway.setting_values"}
    ),
    "pydantic_core": frozenset({"gateway.http.schemas", "gateway.setting_complaints"}),
    "pydantic_settings": frozenset({"gateway.settings", "gateway.setting_sources"}),
    "redis": frozenset({"gateway.quotas"}),
    "rich": frozenset({"gateway.cli"}),
    "starlette": frozenset({"gateway.http", "gateway.protocols", "gateway.worker.health", "gateway.app"}),
    "structlog": frozenset({"gateway.logs", "gateway.cli"}),
    "typer": frozenset({"gateway.cli"}),
    "typing_extensions": frozenset({"gateway.http", "gateway.protocols"}),
    "uvicorn": frozenset({"gateway.http.serving", "gateway.cli"}),
}

IMPURE = frozenset(
    {
        "asyncio",
        "http",
        "io",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "select",
        "shutil",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "uuid",
    }
)
CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.localtime",
    "time.gmtime",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
}
WHO_KNOWS_THE_TIME = {"gateway.app", "gateway.apps"}
WHO_MAY_MEASURE = {"gateway.http.guard": {"time.perf_counter"}}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES: Final[Mapping[str, ast.Module]] = {
    name_of(path): ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "gateway").rglob("*.py"))
}


def imports(module: str) -> Iterator[str]:
    """Yield what a module imports, wherever it does, as a module of ours or as another's dotted name."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                within = f"{node.module}.{alias.name}"
                yield within if within in MODULES else str(node.module)


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES} - {module}


def is_below(module: str, names: frozenset[str] | set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def layer(module: str) -> int:
    """Return the row of a module; fails unless there is exactly one."""
    name = module.removeprefix("gateway.")
    found = [
        number
        for number, patterns in enumerate(LAYERS)
        if any(fnmatchcase(name, pattern) or f"{name}.*" == pattern for pattern in patterns)
    ]
    assert len(found) == 1, f"{module} stands in {len(found)} rows of the table of layers"
    return found[0]


def is_package(module: str) -> bool:
    return any(other.startswith(f"{module}.") for other in MODULES)


PLACED = [
    module
    for module in MODULES
    if module not in {"gateway", "gateway.__main__"} and not (is_package(module) and not MODULES[module].body)
]


def test_the_whole_package_is_read() -> None:
    assert len(MODULES) > 50
    assert {"gateway", "gateway.app", "gateway.http.routes.uploads", "gateway.cli.serve"} < MODULES.keys()


@pytest.mark.parametrize("module", PLACED)
def test_imports_point_one_way(module: str) -> None:
    upward = {name for name in ours(module) if name != "gateway" and name in PLACED and layer(name) > layer(module)}
    assert upward == set()


def test_no_imports_go_round() -> None:
    sorter = TopologicalSorter({module: ours(module) & set(PLACED) for module in PLACED})
    assert len(list(sorter.static_order())) == len(PLACED)


@pytest.mark.parametrize("module", PLACED)
def test_a_third_party_has_one_owner(module: str) -> None:
    for name in imports(module):
        party = name.partition(".")[0]
        if party == "gateway" or party in sys.stdlib_module_names:
            continue
        assert party in OWNERS, f"{module} imports {party}, which nobody owns"
        assert is_below(module, OWNERS[party]), f"{module} imports {party}"


def test_nobody_owns_what_is_not_used() -> None:
    parties = {name.partition(".")[0] for module in PLACED for name in imports(module)}
    assert OWNERS.keys() <= parties


PURE = [module for module in PLACED if layer(module) < FIRST_IMPURE]


@pytest.mark.parametrize("module", PURE)
def test_everything_up_to_tokens_and_bucket_is_pure(module: str) -> None:
    assert {name for name in imports(module) if is_below(name, IMPURE)} == set()
    called = {dotted(node.func) for node in ast.walk(MODULES[module]) if isinstance(node, ast.Call)}
    assert called & {"open", "print", "input", "exec", "eval"} == set()


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` as it stands in the source, "" for anything that is no such name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def names_in(module: str) -> Mapping[str, str]:
    """Return what each imported name stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found.update({alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


def uses(module: str) -> set[str]:
    """Return the dotted names that a module uses, as if nothing had been imported under another name."""
    known, found = names_in(module), set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, (ast.Name, ast.Attribute)) and (name := dotted(node)):
            first, dot, rest = name.partition(".")
            found.add(known.get(first, first) + dot + rest)
    return found


@pytest.mark.parametrize("module", PLACED)
def test_there_is_one_clock(module: str) -> None:
    if module in WHO_KNOWS_THE_TIME or is_below(module, {"gateway.cli"}):
        return
    assert uses(module) & CLOCKS <= WHO_MAY_MEASURE.get(module, set())


def makes(module: str, name: str) -> bool:
    return any(isinstance(node, ast.Call) and dotted(node.func) == name for node in ast.walk(MODULES[module]))


@pytest.mark.threat(1, 4)
def test_only_a_policy_or_an_opened_token_makes_a_grant() -> None:
    assert {module for module in MODULES if makes(module, "Grant")} == {
        "gateway.grants.policies",
        "gateway.grants.tokens",
    }
    assert not any("gateway.grants.policies.Grant" in uses(module) and makes(module, "replace") for module in MODULES)


@pytest.mark.threat(36)
def test_no_upload_is_granted_uncounted() -> None:
    assert {module for module in MODULES if makes(module, "allow")} == {"gateway.http.calls"}
    judging = {module for module in MODULES if makes(module, "call.judge")}
    assert judging == {"gateway.protocols.git_lfs"}
    assert all(makes(module, "call.spend") for module in judging)


@pytest.mark.threat(2)
def test_one_place_presigns_a_write_and_it_takes_a_grant_or_a_ticket() -> None:
    writers = {
        module
        for module in MODULES
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.Call)
        and dotted(node.func).endswith((".presign", ".sign"))
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in {"PUT", "POST", "DELETE"}
    }
    assert writers == {"gateway.s3.bucket", "gateway.s3.part_uploads"}
    first = {
        node.name: ast.unparse(node.args.args[1])
        for node in ast.walk(MODULES["gateway.s3.bucket"])
        if isinstance(node, ast.FunctionDef) and node.name in {"put_object", "parts", "form"}
    }
    assert first == {"put_object": "grant: Grant", "parts": "ticket: Ticket", "form": "grant: Grant"}
    for signs in ("PartUploads", "presigned_form"):
        assert {module for module in MODULES if makes(module, signs)} == {"gateway.s3.bucket"}


def test_routes_never_import_one_another() -> None:
    routes = {module for module in MODULES if module.startswith("gateway.http.routes.")}
    assert len(routes) >= 5
    assert {route: ours(route) & routes for route in routes} == {route: set() for route in routes}


def test_only_routes_and_the_application_know_the_routes() -> None:
    knowing = {module for module in MODULES if any(name.startswith("gateway.http.routes.") for name in ours(module))}
    assert knowing <= {"gateway.app", "gateway"}


@pytest.mark.parametrize("module", PLACED)
def test_a_module_says_in_its_first_line_what_it_owns(module: str) -> None:
    docstring = ast.get_docstring(MODULES[module])
    assert docstring is not None
    assert 10 <= len(docstring.splitlines()[0]) <= 120


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "tools", "base", "core"}
    assert {module for module in MODULES if drawers & set(module.split("."))} == set()


def test_nothing_is_asserted_with_text_that_a_client_could_choose() -> None:
    """No SQL, no shell, no pickle, no eval, no template engine: nothing that reads text as a program."""
    dangerous = {"pickle", "marshal", "shelve", "yaml", "jinja2", "sqlite3", "xml", "multipart", "tarfile", "zipfile"}
    for module in PLACED:
        # expat alone resolves nothing by itself, and is shown 4 KiB at most, without entities
        asked = {name for name in imports(module) if name != "xml.parsers" or module != "gateway.content.svg"}
        assert {name.partition(".")[0] for name in asked} & dangerous == set(), module
        for node in ast.walk(MODULES[module]):
            if isinstance(node, ast.Call):
                assert dotted(node.func) not in {"eval", "exec", "compile", "os.system", "os.popen"}, module
                assert not any(keyword.arg == "shell" for keyword in node.keywords), module

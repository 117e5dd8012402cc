"""What is said of a setting that cannot be used: its name as it was written, and why; never its value."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic_core import ErrorDetails

from gateway.setting_sources import (
    DEFAULT_FILE,
    DELIMITER,
    PREFIX,
    config_file,
    dotenv,
    environment,
    nested,
    read_table,
)


def complaint(errors: Sequence[ErrorDetails], flags: Mapping[str, object]) -> str:
    """Tell the first error; of all, an unknown name: it often is why another is missing."""
    error = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    return f"{_name(error['loc'], flags)} {_reason(error)}.".lstrip()


def _name(location: tuple[str | int, ...], flags: Mapping[str, object]) -> str:
    """Name a setting as it was written: by its place in the file, or as a variable."""
    if not location:
        return ""  # a check over all settings: its reason names them
    parts = [_shown(part) for part in location]
    variables, file = dotenv() | environment(), config_file()
    tables = {} if location[0] in flags else read_table(file)
    in_file = f"{'.'.join(parts)} in {Path(file or DEFAULT_FILE).name}"
    if _holds(tables, location) and not _holds(nested(variables), location):
        return in_file
    for length in range(len(parts), 0, -1):
        name = PREFIX + DELIMITER.join(parts[:length]).upper()
        if name in variables or (length == 1 and not _holds(tables, location[:1])):
            return name + (f" ({'.'.join(parts[length:])})" if parts[length:] else "")
    return in_file


def _holds(tables: object, location: Iterable[str | int]) -> bool:
    for part in location:
        if not isinstance(tables, Mapping) or part not in tables:
            return False
        tables = tables[part]
    return True


def _shown(part: str | int) -> str:
    """Show a name, and hide what is too long or too odd to be one: it may be a secret in a wrong place."""
    return str(part) if isinstance(part, int) or re.fullmatch(r"[\w-]{0,31}|\[key\]", part, re.ASCII) else "…"


_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not a setting",
    "list_type": "has to be a list (in a variable: as JSON)",
    "dict_type": "has to be a table (in a variable: as JSON)",
    "model_type": "has to be a table (in a variable: as JSON)",
}


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in _REASONS:
        return _REASONS[error["type"]]
    _, should, rest = error["msg"].partition(" should ")
    return f"has to {rest}" if should else "has an unusable value"

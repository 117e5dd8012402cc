"""docs/gateway-js.md tells the options and codes that the modules have."""

import re

from tests.docs.pages import ROOT, page, rows

PAGE = page("docs/gateway-js.md")
STATIC = ROOT / "gateway" / "static"
DOOR = (STATIC / "gateway.js").read_text("utf-8")
SCRIPT = "\n".join([DOOR, *(path.read_text("utf-8") for path in sorted(STATIC.glob("gateway/*.js")))])
NUMBERS = {3: "three", 4: "four", 5: "five", 6: "six", 15: "fifteen"}


def test_what_the_module_exports_is_told() -> None:
    exported = re.findall(r"^export (?:(?:async )?function |\{ )(\w+)", DOOR, re.MULTILINE)
    imported = re.search(r"^import \{ (.*) \} from", PAGE, re.MULTILINE)
    assert imported
    assert sorted(imported[1].split(", ")) == sorted(exported)


def test_the_options_are_those_of_its_types() -> None:
    types = dict(re.findall(r"@typedef \{object\} (\w+)(.*?)(?=@typedef|\*/)", SCRIPT, re.DOTALL))
    written = re.findall(r"@property \{.*\} \[?(\w+)\]?", types["Connection"] + types["UploadOptions"])
    told = [row[0] for row in rows(PAGE, "## upload(file, options)")]
    assert sorted(told) == sorted(written)


def test_the_properties_of_an_entry_are_told() -> None:
    types = dict(re.findall(r"@typedef \{object\} (\w+)(.*?)(?=@typedef|\*/)", SCRIPT, re.DOTALL))
    written = re.findall(r"@property \{.*\} (\w+)", types["Entry"])
    told = [name for row in rows(PAGE, "## After a reload") for name in row[0].split(", ")]
    assert told == written


def test_the_phases_are_told() -> None:
    phases = re.search(r'@property \{("asking".*)\} phase', SCRIPT)
    assert phases
    assert f"`phase` (`{'`, `'.join(re.findall('[a-z]+', phases[1]))}`)" in PAGE


def test_its_own_codes_are_told_and_no_others() -> None:
    own = {
        *re.findall(r'new GatewayError\(\s*"([a-z-]+)"', SCRIPT),
        *re.findall(r"^ \* - `([a-z-]+)`:", SCRIPT, re.MULTILINE),
    }
    section = PAGE.partition("| code | |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == own


def test_its_numbers_are_told() -> None:
    constants = {
        name: int(value) for name, value in re.findall(r"^(?:export )?const ([A-Z_]+) = (\d+);", SCRIPT, re.MULTILINE)
    }
    assert f"A PUT is tried {NUMBERS[constants['PUT_ATTEMPTS']]} times" in PAGE
    assert f"only {NUMBERS[constants['PUT_ATTEMPTS']]} times where the bucket finds it damaged" in PAGE
    assert f"A part is tried {NUMBERS[constants['PART_ATTEMPTS']]} times" in PAGE
    lanes = [NUMBERS[constants[f"{name}_LANES"]] for name in ("FEWEST", "MOST")]
    assert f"{' to '.join(lanes).capitalize()} parts go at a time" in PAGE
    assert f"up to {NUMBERS[constants['ASK_ATTEMPTS']]} times" in PAGE
    assert constants["TICKETS"] == 2
    assert "PROOF_PATIENCE_MS = 600_000" in SCRIPT
    assert "HASH_LIMIT_BYTES = 256 * 2 ** 20" in SCRIPT
    assert "OFFLINE_PROBE_MS = 30_000" in SCRIPT
    assert "STALL_MS = 60_000" in SCRIPT

"""What a terminal shows of what a program wrote: raw output tells only what was sent, not what is still there."""

import re

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(.)", re.DOTALL)


def lines_shown(written: str, columns: int) -> list[str]:
    """Return the lines that are on a terminal of so many columns afterwards, and above what it has scrolled away."""
    rows: list[list[str]] = [[]]
    row = column = 0
    for counts, command, letter in _TOKEN.findall(written):
        if command == "A":
            row = max(0, row - int(counts or 1))
        elif command == "K":
            rows[row] = [] if counts == "2" else rows[row][:column]
        elif letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
        elif letter:
            if column == columns:
                row, column = row + 1, 0
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row] += [" "] * (column + 1 - len(rows[row]))
            rows[row][column] = letter
            column += 1
        rows += [[] for _ in range(row + 1 - len(rows))]
    return ["".join(line) for line in rows]

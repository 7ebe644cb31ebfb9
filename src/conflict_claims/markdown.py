"""Markdown that commands write: tables, and blocks inside pages that people write."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from conflict_claims.errors import ClaimsError


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: bool = False) -> str:
    """A table; cells are written as `str` gives them. With `numbers`, columns from the second on stand to the right."""
    rule = "|---" + ("|---:" if numbers else "|---") * (len(head) - 1) + "|"
    cells = ([str(cell).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join([f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in cells)])


def insert_block(page: Path, text: str, begin: str, end: str) -> None:
    """Replace what stands between two marks of a page.

    Raises:
        ClaimsError: the marks do not occur once each.
    """
    whole = page.read_text(encoding="utf-8")
    if whole.count(begin) != 1 or whole.count(end) != 1:
        raise ClaimsError(f"{page}: expected one block between {begin} and {end}")
    before, rest = whole.split(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")

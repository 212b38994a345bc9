"""XLSX: openpyxl writes the workbook's shell, our rows are streamed in place of its sheet data.

A block of COPY text becomes XML by a handful of replacements over the whole block and a template a row, which few rows have
for themselves: almost no work a cell. Strings are typed strings, so nothing is ever a formula. Past 1,048,575 rows a second sheet begins.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from operator import add
from typing import Any

from exports.cells import Form, Kind, Style
from exports.datasets import Spec
from exports.formats import xlsx_shell
from exports.formats.archive import zip_members
from exports.formats.base import Target
from exports.formats.issues import Issues
from exports.formats.options import Option
from exports.sources import Query, Snapshot, copy_escaped
from taskexport.errors import AppError

SHEET_ROWS = 1_048_575  # below the header
CELL_CHARS = 32_767  # UTF-16 units, as Excel counts
CUT = "… [cut]"
EXACT_DIGITS = 15  # of a number in a spreadsheet; a longer one is written as text

# What XML forbids, or would not give back; line ends and tabs come escaped by COPY and go on as references.
_CONTROL = bytes([*range(1, 9), 11, 12, *range(14, 32)])
_FORBIDDEN = re.compile(b"[\x01-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
# Also where the last underscore comes with the escape of the character behind.
_LOOKS_ESCAPED = re.compile(rb"_(?=x[0-9A-Fa-f]{4}(?:_|\r|" + _FORBIDDEN.pattern + rb"|\\[bfv]))")
_UNESCAPE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_COPY_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = re.compile(rb"\\.")
_AS_XML = {
    rb"\\": b"\\",
    rb"\n": b"&#10;",
    rb"\r": b"&#13;",
    rb"\t": b"&#9;",
    rb"\b": b"_x0008_",
    rb"\v": b"_x000B_",
    rb"\f": b"_x000C_",
}
# A reader keeps white space at an edge only where this is said. Looking for it would take a fifth of the time; this takes 8 % more bytes.
_TEXT = b'<c t="inlineStr"><is><t xml:space="preserve">%b</t></is></c>'
BLOCK_ROWS = 200  # so much is rendered while the database fills the socket's buffer: neither waits for the other
TEMPLATES = 4000  # kept at once, a kilobyte each, and those of one more block
# What needs no look: all but what XML forbids or means something by, what COPY escapes, and what looks like an escape of ours.
_PLAIN = bytes(set(range(32, 256)) - set(b"_\\\xef&<>") | {9, 10})


class XlsxFormat:
    """`{stem}.xlsx`: bold header, frozen, with a filter; numbers, days and times typed; an Issues sheet where cells were cut."""

    name = "xlsx"
    options: dict[str, Option] = {}

    def extension(self, options: dict[str, Any], rows: int) -> str:
        return "xlsx"

    def style(self, spec: Spec) -> Style:
        return Style(zone=spec.timezone, guard=False, form=Form.SHEET)

    def write(self, snapshot: Snapshot, query: Query, spec: Spec, target: Target) -> Iterator[bytes]:
        return zip_members(self._members(snapshot, query, spec, target.rows, target.issues), target.modified_at, large=target.large)

    def _members(self, snapshot: Snapshot, query: Query, spec: Spec, rows: int, issues: Issues) -> Iterator[tuple[str, Iterator[bytes]]]:
        titles = [escaped(title) for title in spec.titles]
        kinds = [column.kind for column in query.columns]
        counts = [min(SHEET_ROWS, rows - start) for start in range(0, rows, SHEET_ROWS)] or [0]
        shell = xlsx_shell.shell("Tasks", titles, kinds, counts)
        writer = _RowWriter(query, shell.styles, issues)
        lines = itertools.chain.from_iterable(snapshot.text_lines(query, self.style(spec)))
        for number, (head, tail) in enumerate(shell.sheets, 1):
            yield f"xl/worksheets/sheet{number}.xml", self._sheet(head, tail, itertools.islice(lines, SHEET_ROWS), writer)
        if next(lines, None) is not None:  # also exhausts the read, which makes its row count final
            raise AppError("There are more rows than the database counted.", code="incomplete")
        if issues.found:
            listed = [(str(issue.row_id), issue.column, issue.reason, issue.text) for issue in issues.found]
            shell = xlsx_shell.shell("Tasks", titles, kinds, counts, issues=[[cut(escaped(text)) for text in row] for row in listed])
            yield f"xl/worksheets/sheet{len(counts) + 1}.xml", iter([shell.issues])
        yield from ((name, iter([content])) for name, content in shell.members)

    def _sheet(self, head: bytes, tail: bytes, lines: Iterator[bytes], writer: _RowWriter) -> Iterator[bytes]:
        yield head
        while block := list(itertools.islice(lines, BLOCK_ROWS)):
            yield writer.xml(block)
        yield tail


class _Templates(dict[bytes, bytes]):
    """A row's template by the marks of its cells, made when it is first wanted; of each column its forms by mark: 0 empty, 1 as its kind
    is written, 2 as text."""

    def __init__(self, forms: list[tuple[bytes, bytes, bytes]]) -> None:
        super().__init__()
        self._forms = forms

    def __missing__(self, key: bytes) -> bytes:
        made = self[key] = b"<row>%b</row>" % b"".join([forms[mark] for forms, mark in zip(self._forms, key, strict=True)])
        return made


class _RowWriter:
    """Turns COPY lines, the row's id behind the columns, into `<row>` elements.

    Each cell has a mark of how it is written, and each row a template by the marks of its cells: few rows differ in these.
    """

    def __init__(self, query: Query, styles: dict[Kind, int], issues: Issues) -> None:
        self._columns = query.columns
        self._issues = issues
        typed = {Kind.INTEGER: b"<c><v>%b</v></c>", Kind.DECIMAL: b"<c><v>%b</v></c>"}
        typed |= {kind: b"<c%s><v>%%b</v></c>" % (b' s="%d"' % number) for kind, number in styles.items()}
        self._templates = _Templates([(b"<c/>%b", typed.get(column.kind, _TEXT), _TEXT) for column in self._columns])
        self._numbers = [number for number, column in enumerate(self._columns) if column.kind in {Kind.INTEGER, Kind.DECIMAL}]
        self._times = [number for number, column in enumerate(self._columns) if column.kind in styles]

    def xml(self, block: list[bytes]) -> bytes:
        """The rows of these lines."""
        if max(map(len, block)) > CELL_CHARS:
            block = [self._cut_line(line) if len(line) > CELL_CHARS else line for line in block]
        data = b"".join(block)
        rare = data.translate(None, _PLAIN)  # one look tells what there is to do
        if b"_" in rare and b"_x" in data:
            data = _LOOKS_ESCAPED.sub(b"_x005F_", data)
        if len(rare.translate(None, _CONTROL)) != len(rare) or (b"\xef" in rare and b"\xef\xbf" in data):
            data = _FORBIDDEN.sub(lambda match: b"_x%04X_" % ord(match[0].decode()), data)
        if b"&" in rare:
            data = data.replace(b"&", b"&amp;")
        if b"<" in rare:
            data = data.replace(b"<", b"&lt;")
        if b">" in rare:
            data = data.replace(b"]]>", b"]]&gt;")
        if b"\\" in rare:
            data = _ESCAPED.sub(lambda match: _AS_XML[match[0]], data)
        data = data.replace(b"\n", b"\t")
        cells = data.split(b"\t")
        cells.pop()  # behind the last line end
        width = len(self._columns)
        marks = bytearray(map(bool, cells))
        del cells[width :: width + 1], marks[width :: width + 1]  # the row's id
        self._mark_odd(cells, marks)
        found = bytes(marks)
        keys = [found[start : start + width] for start in range(0, len(found), width)]
        if len(self._templates) > TEMPLATES:
            self._templates.clear()
        return b"".join(map(self._templates.__getitem__, keys)) % tuple(cells)

    def _mark_odd(self, cells: list[bytes], marks: bytearray) -> None:
        """Adds one to the marks of numbers and times that a spreadsheet would not give back: they are written as text."""
        width = len(self._columns)
        for number in self._numbers:
            mine = cells[number::width]
            if max(map(len, mine)) > EXACT_DIGITS:
                # A sign, a point and leading zeros are no digits: coordinates have fifteen, and stay numbers.
                odd = [len(cell) > EXACT_DIGITS and len(cell.translate(None, b"-.").lstrip(b"0")) > EXACT_DIGITS for cell in mine]
                marks[number::width] = bytes(map(add, marks[number::width], odd))
        for number in self._times:
            mine = cells[number::width]
            # A serial number holds no hyphen; times that a spreadsheet can't hold come as ISO text.
            if b"-" in b"".join(mine):
                marks[number::width] = bytes(map(add, marks[number::width], [b"-" in cell for cell in mine]))

    def _cut_line(self, line: bytes) -> bytes:
        """The line with its cells cut to what a spreadsheet holds, each cut listed as an issue."""
        cells = line[:-1].split(b"\t")
        row_id = int(cells[-1])
        for number, column in enumerate(self._columns):
            if len(cells[number]) > CELL_CHARS:
                text = _COPY_ESCAPE.sub(lambda match: _UNESCAPE[match[1]], cells[number].decode())
                shorter = cut(text)
                if shorter != text:
                    self._issues.add(row_id, column.key, "cell_too_long", text)
                    cells[number] = copy_escaped(shorter).encode()
        return b"\t".join(cells) + b"\n"


def cut(text: str) -> str:
    """The text, or as much of it as a cell holds with a visible mark at its end."""
    if len(text) <= CELL_CHARS // 2:
        return text
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= CELL_CHARS * 2:
        return text
    return units[: (CELL_CHARS - len(CUT)) * 2].decode("utf-16-le", "ignore") + CUT


def escaped(text: str) -> str:
    """The text without what XML forbids, or (CR) would not give back: it becomes `_xHHHH_`, and a text that looks like one is marked."""
    marked = _LOOKS_ESCAPED.sub(b"_x005F_", text.encode())
    kept = _FORBIDDEN.sub(lambda match: b"_x%04X_" % ord(match[0].decode()), marked).decode()
    return kept.replace("\r", "_x000D_")

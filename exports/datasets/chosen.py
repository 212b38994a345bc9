"""Chosen columns: what a person may ask for, checked and frozen as JSON, and what it is in the query.

Frozen, a column is `{"key", "title"}`, `{"title", "constant"}` or `{"title", "compute": {"op", …}}`; what a change export says of
its rows has the op `change`, which nobody can ask for.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Case, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Concat
from django.db.models.lookups import Exact

from exports.cells import Kind
from exports.datasets.declared import KEY_LENGTH, Column, Dataset
from exports.expressions import PARTS, CellText, DatePart, DaysBetween, LocalDay
from taskexport.errors import FieldError, Invalid

MOST_COLUMNS = 200
MOST_PARTS = 50  # of a concatenation
MOST_VALUES = 200  # of a map
TEXT_LENGTH = 1000
TIMES = frozenset({Kind.DATETIME, Kind.DATE})
CHANGE, ROW_ID = "_change", "_id"  # titles of a change export's own columns
# op: the keys beside it; a key with ? may be left out.
COMPUTATIONS: dict[str, tuple[str, ...]] = {
    "concatenate": ("parts",),
    "date_part": ("column", "part"),
    "days_between": ("from", "to"),
    "map": ("column", "values", "default?"),
}


def is_text(value: Any, most: int = TEXT_LENGTH, least: int = 0) -> bool:
    """Whether it is a text of so many characters that every database keeps."""
    return isinstance(value, str) and least <= len(value) <= most and "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def is_shape(value: Any, *keys: str) -> bool:
    """Whether it is an object of just these keys; a key with ? may be missing."""
    wanted = {key.rstrip("?") for key in keys}
    return isinstance(value, dict) and set(value) <= wanted and all(key in value for key in keys if not key.endswith("?"))


# -- Checking ------------------------------------------------------------------------------------------------------
class _Refusals:
    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def add(self, at: str, detail: str) -> None:
        self.errors.append(FieldError(at, "invalid", detail))


def checked(wanted: Any, dataset: Dataset, at: str = "columns") -> tuple[dict[str, Any], ...]:
    """The frozen columns of what was asked for: keys, or objects as above. Raises Invalid with a path for each error."""
    refuse = _Refusals()
    frozen: list[dict[str, Any]] = []
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= MOST_COLUMNS:
        raise Invalid.field(at, f"Write a list of 1 to {MOST_COLUMNS} columns.")
    for number, column in enumerate(wanted):
        found = _checked(column, dataset, f"{at}[{number}]", refuse)
        if found:
            if found["title"] in {other["title"] for other in frozen}:
                refuse.add(f"{at}[{number}].title", f"Another column has the title {found['title']!r} already; give this one another title.")
            frozen.append(found)
    if refuse.errors:
        raise Invalid.all(refuse.errors)
    return tuple(frozen)


def _checked(column: Any, dataset: Dataset, at: str, refuse: _Refusals) -> dict[str, Any] | None:
    column = {"key": column} if isinstance(column, str) else column
    if not any(is_shape(column, *shape) for shape in (("key", "title?"), ("title", "constant"), ("title", "compute"))):
        refuse.add(at, "Write a key, or an object of key and title, of title and constant, or of title and compute.")
        return None
    before = len(refuse.errors)
    declared = _known(column["key"], dataset, f"{at}.key", refuse) if "key" in column else None
    title = column.get("title", declared and declared.title)
    if (declared or "title" in column) and (not is_text(title, KEY_LENGTH, 1) or not title.strip()):
        refuse.add(f"{at}.title", f"Write 1 to {KEY_LENGTH} characters.")
    if "constant" in column and not is_text(column["constant"]):
        refuse.add(f"{at}.constant", f"Write a text of at most {TEXT_LENGTH} characters.")
    if "compute" in column:
        _check_computation(column["compute"], dataset, f"{at}.compute", refuse)
    return {**column, "title": title} if len(refuse.errors) == before else None


def _known(key: Any, dataset: Dataset, at: str, refuse: _Refusals, kinds: frozenset[Kind] | None = None) -> Column | None:
    found = dataset.column(key) if is_text(key) else None
    if found is None:
        attributes = ", attributes.KEY" if dataset.has_attributes else f", {dataset.open_keys}.KEY" if dataset.open_keys else ""
        refuse.add(at, f"{dataset.name} have no such column; they have: {', '.join(dataset.columns)}{attributes}.")
    elif kinds and found.kind not in kinds:
        refuse.add(at, "Name a column of times or days.")
    return found


def _check_computation(compute: Any, dataset: Dataset, at: str, refuse: _Refusals) -> None:
    op = compute.get("op") if isinstance(compute, dict) else None
    if not isinstance(op, str) or op not in COMPUTATIONS or not is_shape(compute, "op", *COMPUTATIONS[op]):
        shapes = "; ".join(f"{name} with {', '.join(keys)}" for name, keys in COMPUTATIONS.items())
        refuse.add(at, f"Write an op with what belongs to it: {shapes}.")
    elif op == "concatenate":
        _check_parts(compute["parts"], dataset, f"{at}.parts", refuse)
    elif op == "days_between":
        for key in ("from", "to"):
            _known(compute[key], dataset, f"{at}.{key}", refuse, TIMES)
    elif op == "date_part":
        source = _known(compute["column"], dataset, f"{at}.column", refuse, TIMES)
        parts = [part for part in PARTS if part != "hour" or source is None or source.kind is Kind.DATETIME]
        if compute["part"] not in parts:
            refuse.add(f"{at}.part", f"Write one of: {', '.join(parts)}.")
    else:
        _known(compute["column"], dataset, f"{at}.column", refuse)
        values = compute["values"]
        if not isinstance(values, dict) or not 1 <= len(values) <= MOST_VALUES or not all(is_text(text) for pair in values.items() for text in pair):
            refuse.add(f"{at}.values", f"Write an object of 1 to {MOST_VALUES} texts by value.")
        if not is_text(compute.get("default", "")):
            refuse.add(f"{at}.default", f"Write a text of at most {TEXT_LENGTH} characters.")


def _check_parts(parts: Any, dataset: Dataset, at: str, refuse: _Refusals) -> None:
    if not isinstance(parts, list) or not 1 <= len(parts) <= MOST_PARTS:
        refuse.add(at, f"Write a list of 1 to {MOST_PARTS} parts.")
        return
    for number, part in enumerate(parts):
        if is_shape(part, "column"):
            _known(part["column"], dataset, f"{at}[{number}].column", refuse)
        elif not is_shape(part, "text") or not is_text(part["text"]):
            refuse.add(f"{at}[{number}]", "Write an object of either column or text.")


def with_change(columns: tuple[dict[str, Any], ...], at: str = "columns") -> tuple[dict[str, Any], ...]:
    """The frozen columns of a change export: what became of the row stands first, then its id unless that is chosen. Raises Invalid."""
    added: list[dict[str, Any]] = [{"title": CHANGE, "compute": {"op": "change"}}]
    if not any(column.get("key") == "id" for column in columns):
        added.append({"key": "id", "title": ROW_ID})
    for number, column in enumerate(columns):
        if column["title"] in {each["title"] for each in added}:
            raise Invalid.field(f"{at}[{number}].title", f"A change export has a column {column['title']} of its own; give this one another title.")
    return (*added, *columns)


# -- In the query --------------------------------------------------------------------------------------------------
def is_missing(column: dict[str, Any], dataset: Dataset) -> bool:
    """Whether a frozen column shows something that the dataset no longer has."""
    compute = column.get("compute", {})
    keys = [column.get("key"), *(compute.get(name) for name in ("column", "from", "to")), *(part.get("column") for part in compute.get("parts", []))]
    return any(key is not None and dataset.column(key) is None for key in keys)


def resolved(column: dict[str, Any], dataset: Dataset, zone: str, date_format: str) -> Column:
    """A frozen column with its expression; empty where it is missing."""
    title = column["title"]
    if is_missing(column, dataset):
        return Column(column.get("key", title), title, Kind.TEXT, Value(None, TextField()))
    if "key" in column:
        declared = dataset.column(column["key"])
        assert declared  # noqa: S101 - it is not missing
        return declared
    if "constant" in column:
        return Column(title, title, Kind.TEXT, Value(column["constant"], TextField()))
    kind, expression = _computed(column["compute"], dataset, zone, date_format)
    return Column(title, title, kind, expression)


def _computed(compute: dict[str, Any], dataset: Dataset, zone: str, date_format: str) -> tuple[Kind, Combinable]:
    def of(key: str) -> Column:
        found = dataset.column(key)
        assert found  # noqa: S101 - it is not missing
        return found

    def text(key: str) -> Combinable:
        return CellText(of(key).expression, of(key).kind, zone, date_format)

    op = compute["op"]
    if op == "change":  # as in a file of all rows; one of changes says otherwise
        return Kind.TEXT, Value("added", TextField())
    if op == "concatenate":
        parts: list[Combinable] = [
            Coalesce(text(part["column"]), Value("", TextField()), output_field=TextField()) if "column" in part else Value(part["text"], TextField())
            for part in compute["parts"]
        ]
        return Kind.TEXT, Concat(*parts, output_field=TextField()) if len(parts) > 1 else parts[0]
    if op == "days_between":
        later, earlier = (LocalDay(of(compute[name]).expression, of(compute[name]).kind, zone) for name in ("to", "from"))
        return Kind.INTEGER, DaysBetween(later, earlier)
    if op == "date_part":
        source = of(compute["column"])
        return Kind.INTEGER, DatePart(source.expression, source.kind, zone, compute["part"])
    value = text(compute["column"])
    whens = [When(Exact(value, Value(key, TextField())), then=Value(found, TextField())) for key, found in compute["values"].items()]
    return Kind.TEXT, Case(*whens, default=Value(compute.get("default"), TextField()), output_field=TextField())

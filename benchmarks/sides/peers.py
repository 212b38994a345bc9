"""How others write the same rows: Django's own way, django-import-export, and four writers of workbooks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.measuring import Measured, of
from exports.cells import Kind
from exports.datasets import Spec
from tasks.models import Task


def _titles() -> list[str]:
    return [title for _, title in rows.COLUMNS]


def _for_workbooks(spec: Spec, decimal: Callable[[Any], Any] | None = None) -> Iterator[list[Any]]:
    """Rows with times in UTC that name no zone, since a workbook knows none; decimals as the writer needs them."""
    kinds = [column.kind for column in spec.kinds()]
    times = [number for number, kind in enumerate(kinds) if kind is Kind.DATETIME]
    decimals = [number for number, kind in enumerate(kinds) if kind is Kind.DECIMAL] if decimal else []
    for row in rows.values(spec):
        cells = list(row)
        for number in times:
            if cells[number] is not None:
                cells[number] = cells[number].replace(tzinfo=None)
        for number in decimals:
            if decimal and cells[number] is not None:
                cells[number] = decimal(cells[number])
        yield cells


def values_list_csv(spec: Spec, path: Path) -> int:
    """What a Django view would do: values_list().iterator() and csv.writer."""
    written = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_titles())
        for row in rows.values(spec):
            writer.writerow(row)
            written += 1
    return written


def django_import_export(spec: Spec, path: Path) -> int:
    """A ModelResource with the same columns, its related rows selected with it."""
    from import_export import fields, resources

    # Declared by name, as a class body would: its metaclass collects them.
    declared = {
        f"column_{n}": fields.Field(attribute=name, column_name=title)
        for n, (name, title) in enumerate(zip(rows.paths(spec), _titles(), strict=True))
    }
    meta = type("Meta", (), {"model": Task, "fields": tuple(declared), "export_order": tuple(declared), "chunk_size": rows.FETCH_ROWS})
    resource = type(resources.ModelResource)("TaskResource", (resources.ModelResource,), {**declared, "Meta": meta})()
    related = sorted({name.partition("__")[0] for name in rows.paths(spec) if "__" in name})
    exported = resource.export(rows.tasks(spec).select_related(*related))
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(exported.csv)
    return len(exported)


def openpyxl(spec: Spec, path: Path) -> int:
    """Its write-only mode."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("tasks")
    sheet.append(_titles())
    written = 0
    for cells in _for_workbooks(spec):
        sheet.append(cells)
        written += 1
    book.save(path)
    return written


def xlsxwriter(spec: Spec, path: Path) -> int:
    """Its constant_memory mode; texts stay texts."""
    import xlsxwriter

    texts = {"strings_to_formulas": False, "strings_to_urls": False, "default_date_format": "yyyy-mm-dd hh:mm:ss"}
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, **texts})
    sheet = book.add_worksheet("tasks")
    sheet.write_row(0, 0, _titles())
    written = 0
    for cells in _for_workbooks(spec):
        written += 1
        sheet.write_row(written, 0, cells)
    book.close()
    return written


def pyexcelerate(spec: Spec, path: Path) -> int:
    """All rows in a list: it has no other mode."""
    from pyexcelerate import Workbook

    book = Workbook()
    data = [_titles(), *_for_workbooks(spec)]
    book.new_sheet("tasks", data=data)
    book.save(str(path))
    return len(data) - 1


def rust_writer(spec: Spec, path: Path) -> int:
    """rustpy-xlsxwriter in its constant-memory mode, fed by a generator of dicts."""
    from rustpy_xlsxwriter import FastExcel

    titles, written = _titles(), 0

    def records() -> Iterator[dict[str, Any]]:
        nonlocal written
        for cells in _for_workbooks(spec, float):
            written += 1
            yield dict(zip(titles, cells, strict=True))

    FastExcel(path, output_format="xlsx").sheet("tasks", records()).save()
    return written


def _side(write: Callable[[Spec, Path], int], count: int, path: Path) -> Measured:
    return of(partial(write, rows.wish(count).spec), path)


SIDES = {
    "values_list+csv": partial(_side, values_list_csv),
    "django-import-export": partial(_side, django_import_export),
    "openpyxl": partial(_side, openpyxl),
    "xlsxwriter": partial(_side, xlsxwriter),
    "pyexcelerate": partial(_side, pyexcelerate),
    "rust-writer": partial(_side, rust_writer),
}

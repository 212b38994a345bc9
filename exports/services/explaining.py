"""Why a task is, or is not, in a job's file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper

from exports import filters, sources
from exports.cells import Form, Kind, Style
from exports.datasets import DATASETS, Column, Dataset, Spec
from exports.models import ExportJob
from exports.states import JobStatus
from taskexport import ids
from taskexport.errors import NotFound
from tasks.models import Task

LONGEST_SHOWN = 200  # characters of a value


@dataclass(frozen=True)
class Reason:
    """One reason: a stable code and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True)
class Explanation:
    """Whether a task, as it is now, is one of the job's rows, and all reasons for or against."""

    task: int
    included: bool
    reasons: list[Reason]


def explain(job: ExportJob, name: str) -> Explanation:
    """The task of this id, or else of this reference, held against the job's frozen spec.

    Raises NotFound, AppError `spec_version`, `column_gone`.
    """
    task = _find(job, name)
    spec = Spec.from_json(job.spec)
    if spec.dataset != "tasks":
        return Explanation(task.pk, False, [Reason("other_dataset", f"The job exports {spec.dataset}; no task is a row of it.")])
    against = [*_outside_the_window(spec, task), *_outside_the_filter(spec, task)]
    only = [] if against else list(_only_some(spec))
    return Explanation(task.pk, not against, [*(against or [_meets_all(spec, task)]), *only, *_since_then(job, task)])


def _only_some(spec: Spec) -> Iterator[Reason]:
    """Why the file need not have all rows that meet the spec."""
    if spec.changes_of is not None:
        yield _CHANGES_ONLY
    if spec.window:
        first, last = spec.window["skip"] + 1, spec.window["skip"] + spec.window["most"]
        yield Reason("page_only", f"It is one of the rows that were found; the file has of these only the {first:,}. to {last:,}., in their order.")


_CHANGES_ONLY = Reason("changes_only", "It is one of the rows that were compared; the file has it only if it had changed since the file before.")


def _meets_all(spec: Spec, task: Task) -> Reason:
    holds = f", and the filter holds: {filters.in_words(spec.filter, DATASETS[spec.dataset])}" if spec.filter else ""
    return Reason("meets_all", f"It was created at {_text(task.created_at)}, within the export's window{holds}.")


def _find(job: ExportJob, name: str) -> Task:
    rows = Task.objects.filter(organization=job.organization_id)
    task = rows.filter(pk=ids.number(name)).first() or rows.filter(external_id=name).first()
    if task is None:
        raise NotFound("There is no such task.")
    return task


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _outside_the_window(spec: Spec, task: Task) -> Iterator[Reason]:
    created = _text(task.created_at)
    if task.created_at < spec.created_from:
        yield Reason("before_window", f"It was created at {created}, before the window's first instant, {_text(spec.created_from)}.")
    if spec.created_before and task.created_at >= spec.created_before:
        yield Reason("after_window", f"It was created at {created}; the window ends before {_text(spec.created_before)}.")


# -- The filter ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Seen:
    """What the database says of one task: which conditions of the filter hold, and what the columns hold that they name."""

    dataset: Dataset
    holds: dict[str, bool]
    values: dict[str, Any]

    def true(self, tree: dict[str, Any]) -> bool:
        """Whether the tree holds."""
        if "all" in tree:
            return all(map(self.true, tree["all"]))
        if "any" in tree:
            return any(map(self.true, tree["any"]))
        return not self.true(tree["not"]) if "not" in tree else self.holds[_id(tree)]

    def state(self, tree: dict[str, Any]) -> str:
        """What the columns hold that the tree names, as the end of a sentence."""
        keys = dict.fromkeys(leaf["column"] for leaf in _leaves(tree))
        return " and ".join(f"its {filters.column_in_words(key, self.dataset)} is {_shown(self.values[key])}" for key in keys)


def _id(leaf: dict[str, Any]) -> str:
    return json.dumps(leaf, sort_keys=True)


def _leaves(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "column" in tree:
        yield tree
    for part in [*tree.get("all", []), *tree.get("any", []), *([tree["not"]] if "not" in tree else [])]:
        yield from _leaves(part)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    text = format(value, "f") if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _see(spec: Spec, task: Task, tree: dict[str, Any]) -> _Seen:
    """Asks the database about this one task, with the very conditions and columns of an export."""
    dataset = DATASETS[spec.dataset]
    leaves = {_id(leaf): leaf for leaf in _leaves(tree)}
    tests = [
        Column(name, name, Kind.BOOLEAN, ExpressionWrapper(filters.condition(leaf, dataset, spec.timezone), BooleanField()))
        for name, leaf in leaves.items()
    ]
    named = [column for key in dict.fromkeys(leaf["column"] for leaf in leaves.values()) if (column := dataset.column(key))]
    style = Style(zone=spec.timezone, guard=False, form=Form.JSON)
    query = sources.compile_row(spec, task.pk, (*tests, *named))
    with sources.snapshot(style) as snapshot:
        lines = [line for block in snapshot.json_lines(query, style, [f"c{number}" for number in range(len(query.columns))]) for line in block]
    if not lines:
        raise NotFound("There is no such task.")  # it was deleted in this very moment
    cells = list(json.loads(lines[0], parse_float=Decimal).values())
    values = zip((column.key for column in named), cells[len(tests) :], strict=True)
    return _Seen(dataset, dict(zip(leaves, cells[: len(tests)], strict=True)), dict(values))


def _outside_the_filter(spec: Spec, task: Task) -> Iterator[Reason]:
    """Each condition that keeps the task out."""
    if spec.filter:
        seen = _see(spec, task, spec.filter)
        if not seen.true(spec.filter):
            yield from (Reason("filter_not_met", detail) for detail in _failing(spec.filter, seen))


def _failing(tree: dict[str, Any], seen: _Seen) -> Iterator[str]:
    """A sentence for each part that makes the tree false: the parts of `all` one by one, those of `any` together."""
    if "all" in tree:
        for part in tree["all"]:
            if not seen.true(part):
                yield from _failing(part, seen)
    elif "any" in tree and len(tree["any"]) > 1:
        parts = "; ".join(filters.in_words(part, seen.dataset) for part in tree["any"])
        yield f"None of these holds, and one should: {parts}; {seen.state(tree)}."
    elif "any" in tree:
        yield from _failing(tree["any"][0], seen)
    elif "not" in tree and "not" in tree["not"]:
        yield from _failing(tree["not"]["not"], seen)
    elif "not" in tree:
        for part in _holding(tree["not"], seen):
            yield f"This holds, and should not: {filters.in_words(part, seen.dataset)}; {seen.state(part)}."
    else:
        yield f"This does not hold: {filters.in_words(tree, seen.dataset)}; {seen.state(tree)}."


def _holding(tree: dict[str, Any], seen: _Seen) -> Iterator[dict[str, Any]]:
    """The smallest parts of which each alone makes the tree true."""
    if "any" in tree:
        for part in tree["any"]:
            if seen.true(part):
                yield from _holding(part, seen)
    elif "all" in tree and len(tree["all"]) == 1:
        yield from _holding(tree["all"][0], seen)
    else:
        yield tree


# -- Since the file was made ---------------------------------------------------------------------------------------
def _since_then(job: ExportJob, task: Task) -> Iterator[Reason]:
    """What makes the file differ from what the task's present state says."""
    file = getattr(job, "file", None)
    if job.status != JobStatus.DONE or file is None:
        yield Reason("no_file", f"The job is {job.status}: there is no file yet, and this says what it would hold as the task is now.")
        return
    read_at = file.receipt["receipt"].get("snapshot_at")  # a file that was not made here need not say
    if read_at is None:
        return
    snapshot_at = datetime.fromisoformat(read_at)
    if task.created_at > snapshot_at:
        yield Reason(
            "created_after_snapshot", f"It was created at {_text(task.created_at)}, after the file's rows were read at {_text(snapshot_at)}."
        )
    elif task.updated_at > snapshot_at:
        changed = f"It was changed or added at {_text(task.updated_at)}, after the file's rows were read at {_text(snapshot_at)}"
        yield Reason("changed_after_snapshot", f"{changed}: it may have been otherwise then.")

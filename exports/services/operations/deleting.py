"""An operation deleted: alone if nothing hangs on it, else by force with all that does. An audit stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from exports.models import Download, ExportFile, ExportJob, JobAttempt, Litter, Operation, Removal, TaskImport, Upload
from exports.services.operations.changing import require_delete
from exports.states import JobStatus
from taskexport.errors import AppError, Conflict, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import User

LISTED_DOWNLOADS = 1000


@dataclass(frozen=True)
class Entity:
    """A row that goes with the operation."""

    entity_type: str
    entity_id: str
    name: str


class Related(AppError):
    """Rows hang on it, and nobody said that they may go: 400, with the list."""

    code = "related_entities"

    def __init__(self, entities: list[Entity]) -> None:
        super().__init__("Other things go with this task; send force=true to delete them too.")
        self.entities = entities


@dataclass(frozen=True)
class _Tree:
    operations: list[Operation]  # the operation itself first
    jobs: list[ExportJob]
    files: list[ExportFile]
    imports: list[TaskImport]
    uploads: list[Upload]

    def entities(self) -> list[Entity]:
        return [
            *(Entity("task", str(one.pk), one.handler) for one in self.operations[1:]),
            *(Entity("export_job", str(one.pk), one.name) for one in self.jobs),
            *(Entity("export_file", str(one.pk), one.name) for one in self.files),
            *(Entity("import", str(one.pk), one.name) for one in self.imports),
            *(Entity("upload", str(one.pk), one.name) for one in self.uploads),
        ]


def related(operation: Operation) -> list[Entity]:
    """What goes with it, if it is deleted now."""
    with transaction.atomic():
        return _tree(operation).entities()


def delete(user: User, operation: Operation, *, force: bool) -> None:
    """Removes it, by force with its job, file, import, upload and child operations; their bytes go to the sweeper.

    Raises Related without force, Conflict while something runs, Forbidden, NotFound.
    """
    require_delete(user, operation)
    if force:
        access.require(user, Action.ADMINISTER, operation.organization)
    with transaction.atomic():
        tree = _tree(operation)
        entities = tree.entities()
        if entities and not force:
            raise Related(entities)
        _require_unchanged(tree)
        if JobStatus.IN_PROGRESS in {*(job.status for job in tree.jobs), *(one.status for one in tree.imports)}:
            raise Conflict("It is running; cancel it, or wait for its end.", code="running")
        Removal.objects.create(organization=operation.organization, operation_id=operation.pk, actor=user, detail=_audit(operation, tree, entities))
        Litter.objects.bulk_create(_litter(tree), batch_size=500)
        Upload.objects.filter(pk__in=[one.pk for one in tree.uploads]).delete()
        TaskImport.objects.filter(pk__in=[one.pk for one in tree.imports]).delete()
        ExportJob.objects.filter(pk__in=[job.pk for job in tree.jobs]).delete()
        Operation.objects.filter(pk__in=[one.pk for one in tree.operations]).delete()


def _require_unchanged(tree: _Tree) -> None:
    """Locks it, after its jobs. Raises NotFound where another has deleted it meanwhile, Conflict where something was started behind it."""
    seen = {(one.pk, one.job_id, one.task_import_id) for one in tree.operations}
    present = Operation.objects.select_for_update().filter(pk__in=[one.pk for one in tree.operations]).order_by("pk")
    now = set(present.values_list("pk", "job_id", "task_import_id"))
    if not now:
        raise NotFound("There is no such task.")
    if now != seen:
        raise Conflict("The task has just changed; read it again.", code="changed_meanwhile")


def _tree(operation: Operation) -> _Tree:
    operations, level = [operation], [operation]
    while level:  # a query a level
        level = list(Operation.objects.filter(parent__in=level).exclude(pk__in=[one.pk for one in operations]).order_by("pk"))
        operations += level
    job_ids = [one.job_id for one in operations if one.job_id]
    import_ids = [one.task_import_id for one in operations if one.task_import_id]
    # Locked, so that no worker takes one of them meanwhile.
    imports = list(TaskImport.objects.select_for_update().filter(pk__in=import_ids).order_by("pk"))
    return _Tree(
        operations,
        list(ExportJob.objects.select_for_update().filter(pk__in=job_ids).order_by("pk")),
        list(ExportFile.objects.filter(job__in=job_ids).order_by("pk")),
        imports,
        # An upload that another import reads as well stays.
        list(Upload.objects.filter(imports__in=imports).exclude(imports__in=TaskImport.objects.exclude(pk__in=import_ids)).distinct().order_by("pk")),
    )


def _audit(operation: Operation, tree: _Tree, entities: list[Entity]) -> dict[str, Any]:
    downloads = Download.objects.filter(file__in=tree.files).order_by("-pk")
    return {
        "handler": operation.handler,
        "user_id": operation.user_id,
        "entities": [asdict(entity) for entity in entities],
        "files": [{"job": str(file.job_id), "name": file.name, "sha256": file.sha256, "rows": file.rows} for file in tree.files],
        "downloads": [{"user_id": one.user_id, "at": one.at.isoformat(), "door": one.door} for one in downloads[:LISTED_DOWNLOADS]],
    }


def _litter(tree: _Tree) -> Iterable[Litter]:
    for attempt in JobAttempt.objects.filter(job__in=tree.jobs).select_related("job"):
        yield Litter(kind=Litter.Kind.FOLDER, name=attempt.key_prefix)
        yield Litter(kind=Litter.Kind.SPOOL, name=attempt.spool_name)
    for file in tree.files:
        yield Litter(kind=Litter.Kind.FILE, name=file.key)
    for upload in tree.uploads:
        yield Litter(kind=Litter.Kind.FILE, name=upload.key)

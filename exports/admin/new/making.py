"""What the page's buttons do with checked choices. A second click on the same page does nothing more."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.urls import reverse

from exports import filters
from exports.admin.new import asked
from exports.admin.new.asked import Asked
from exports.datasets import DATASETS
from exports.models import ExportJob, Trigger
from exports.services import configs, jobs, segments
from taskexport import idempotency
from taskexport.errors import AppError, FieldError, Invalid
from taskexport.staff import hand_over
from tasks.models import User

JOB_URL = "admin:exports_exportjob_change"
SCHEDULE_URL = "admin:exports_exportschedule_add"
SAVE_NAME = "save_name"  # the field that names a new config or segment


def act(request: Any, choices: dict[str, Any]) -> str:
    """Does what the pressed button says; the address to go on to. Raises AppError, and has then done nothing."""
    found = asked.checked(request.user, choices)
    button = next((name for name in BUTTONS if name in request.POST), "_create")
    return BUTTONS[button](request, choices, found)


# -- Jobs ----------------------------------------------------------------------------------------------------------
def _create(request: Any, choices: dict[str, Any], found: Asked) -> str:
    return _made(request, choices, found, and_start=False)


def _start(request: Any, choices: dict[str, Any], found: Asked) -> str:
    return _made(request, choices, found, and_start=True)


def _made(request: Any, choices: dict[str, Any], found: Asked, *, and_start: bool) -> str:
    def create() -> Any:
        make = jobs.create_started if and_start else jobs.create
        return make(request.user, found.organization, found.wish, trigger=Trigger.STAFF).pk

    job_id = once(request.user, ["start" if and_start else "create", nonce_of(request), choices], create)
    said = "It is queued; a worker takes it within seconds." if and_start else "The export is made. Start it when you like."
    messages.success(request, said)
    return reverse(JOB_URL, args=[job_id])


def make_again(user: User, job: ExportJob, nonce: str) -> str:
    """The id of a new job of the same spec; pressing the button of one page twice makes one. Raises AppError."""
    return once(user, ["again", nonce, str(job.pk)], lambda: jobs.again(user, job, trigger=Trigger.STAFF).pk)


# -- Saved for the next time ---------------------------------------------------------------------------------------
def _config(request: Any, choices: dict[str, Any], found: Asked) -> str:
    spec, name = found.wish.spec, request.POST.get(SAVE_NAME, "")
    trees = [tree for tree in (found.config.filter if found.config else None, choices.get("filter")) if tree]
    chosen = [segment for segment in (found.config.segment if found.config else None, found.segment) if segment]
    if len(set(chosen)) > 1:
        raise Invalid.field("segment_id", f"A config keeps one segment, and this one has {chosen[0]} already; leave one of them out.")
    values = {
        "name": name,
        "dataset": spec.dataset,
        "columns": list(spec.columns),
        "filter": {"all": trees} if len(trees) > 1 else trees[0] if trees else None,
        "segment": chosen[0] if chosen else None,
        "timezone": spec.timezone,
        "date_format": spec.date_format,
    }
    create = _naming(lambda: configs.create(request.user, found.organization, values).pk)
    config_id = once(request.user, ["config", nonce_of(request), name, choices], create)
    messages.success(request, f"The config “{name}” is saved, and chosen here.")
    kept = {key: value for key, value in choices.items() if key not in {"columns", "filter", "segment_id"}}
    return hand_over(request, kept | {"type": "custom", "config_id": int(config_id)})


def _segment(request: Any, choices: dict[str, Any], found: Asked) -> str:
    spec, name = found.wish.spec, request.POST.get(SAVE_NAME, "")
    if not choices.get("filter"):
        raise Invalid.field("filter", "There are no conditions to save; add one.")
    tree = filters.checked(choices["filter"], DATASETS[spec.dataset], now=None, zone=spec.timezone)
    definition = segments.of_tree(tree, spec.dataset)
    create = _naming(lambda: segments.create(request.user, found.organization, name, definition).pk)
    segment_id = once(request.user, ["segment", nonce_of(request), name, choices], create)
    messages.success(request, f"The segment “{name}” is saved{'.' if found.segment else ', and chosen here.'}")
    # A second segment has no place here; its conditions stay.
    kept = choices if found.segment else {key: value for key, value in choices.items() if key != "filter"} | {"segment_id": int(segment_id)}
    return hand_over(request, kept)


def _naming(create: Callable[[], Any]) -> Callable[[], Any]:
    """The same, an error of the name at the field that holds it here."""

    def named() -> Any:
        try:
            return create()
        except AppError as error:
            error.fields = [FieldError(SAVE_NAME if field.field == "name" else field.field, field.code, field.detail) for field in error.fields]
            raise

    return named


def _repeat(request: Any, choices: dict[str, Any], found: Asked) -> str:
    return hand_over(request, choices, SCHEDULE_URL)


BUTTONS: dict[str, Callable[[Any, dict[str, Any], Asked], str]] = {
    "_create": _create,
    "_start": _start,
    "_config": _config,
    "_segment": _segment,
    "_repeat": _repeat,
}


# -- Once ----------------------------------------------------------------------------------------------------------
def nonce_of(request: Any) -> str:
    """The number that the form was given when it was shown. Raises Invalid."""
    try:
        return str(uuid.UUID(request.POST.get("nonce", "")))
    except ValueError:
        raise Invalid("The form was sent without its number; send it once more.") from None


def once(user: User, content: list[Any], create: Callable[[], Any]) -> str:
    """The id that `create` gives, or gave when this content came before. Raises what `create` raises, and keeps nothing then."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    answer = idempotency.once(user, f"staff-{digest}", digest, lambda: idempotency.Answer(201, {"id": str(create())}))
    return str(answer.body["id"])

"""A new export, asked for in days."""

from __future__ import annotations

import hashlib
import json
import uuid
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from exports.datasets import CONFIGS
from exports.formats import FORMATS
from exports.models import ExportJob, Trigger
from exports.services import jobs, specs
from taskexport import idempotency
from taskexport.errors import AppError
from taskexport.moments import Moment
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User
from tasks.models.fields import zones

DEFAULT_DAYS = 30
FIRST_DAY, LAST_DAY = date(1901, 1, 1), date(2099, 12, 31)  # where time zones have offsets of whole minutes, and no overflow
ZONES = [("", "the organization's own"), *((name, name) for name in sorted(zones()))]


class _Day(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d", attrs={"min": FIRST_DAY.isoformat(), "max": LAST_DAY.isoformat()})


class NewJobForm(forms.Form):
    """What a person chooses; the fields are named as `specs.make` names them, so that its refusals find their place."""

    organization = forms.ModelChoiceField(Organization.objects.none())
    name = forms.CharField(max_length=specs.NAME_LENGTH)
    type = forms.ChoiceField(choices=[(name, name) for name in CONFIGS], help_text="Which columns the file has.")
    format = forms.ChoiceField(choices=[(name, name.upper()) for name in FORMATS])
    creation_start_date = forms.DateField(label="Created from", widget=_Day())
    creation_end_date = forms.DateField(label="Created until", widget=_Day(), help_text="This day is included.")
    timezone = forms.ChoiceField(label="Time zone", choices=ZONES, required=False, help_text="Of the two days above, and of the times in the file.")
    nonce = forms.UUIDField(widget=forms.HiddenInput())

    def __init__(self, user: User, data: Any = None) -> None:
        today = timezone.localdate()
        initial = {
            "name": f"Export {today.isoformat()}",
            "creation_start_date": today - timedelta(days=DEFAULT_DAYS),
            "creation_end_date": today,
            "nonce": uuid.uuid4(),
        }
        super().__init__(data, initial=initial)
        self.user = user
        mine = access.organizations(user, Action.RUN)
        field: Any = self.fields["organization"]
        field.queryset = mine
        only = list(mine[:2])
        if len(only) == 1:
            field.initial, field.empty_label = only[0].pk, None

    def clean_creation_start_date(self) -> date:
        return self._day("creation_start_date")

    def clean_creation_end_date(self) -> date:
        return self._day("creation_end_date")

    def _day(self, name: str) -> date:
        day: date = self.cleaned_data[name]
        if not FIRST_DAY <= day <= LAST_DAY:
            raise forms.ValidationError(f"Choose a day from {FIRST_DAY} to {LAST_DAY}.")
        return day

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if self.errors:
            return found
        try:
            found["wish"] = specs.make(_values(found))
        except AppError as error:
            refuse(self, error)
        return found

    def content(self, verb: str) -> str:
        """What was asked for, as text: the same for a double click, another for another wish."""
        return json.dumps([verb, *(str(self.data.get(name)) for name in self.fields)])


def refuse(form: forms.Form, error: AppError) -> None:
    """Shows a service's refusal at the fields it names, or above the form."""
    for field in error.fields:
        form.add_error(field.field if field.field in form.fields else None, field.detail)
    if not error.fields:
        form.add_error(None, error.message)


def _values(found: dict[str, Any]) -> dict[str, Any]:
    zone = found["timezone"] or found["organization"].timezone
    return {
        "org_name": found["organization"].name,
        "name": found["name"],
        "type": found["type"],
        "format": found["format"],
        "creation_start_date": _whole_day(found["creation_start_date"], zone),
        "creation_end_date": _whole_day(found["creation_end_date"], zone),
        "timezone": zone,
    }


def _whole_day(day: date, zone: str) -> Moment:
    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(UTC)

    return Moment(midnight(day), midnight(day + timedelta(days=1)) - midnight(day))  # 23 or 25 hours when clocks change


def make(user: User, form: NewJobForm, *, and_start: bool) -> str:
    """The id of the job that the form asks for; sending the same form twice makes one. Raises AppError."""

    def create() -> idempotency.Answer:
        make = jobs.create_started if and_start else jobs.create
        job = make(user, form.cleaned_data["organization"], form.cleaned_data["wish"], trigger=Trigger.STAFF)
        return idempotency.Answer(201, {"id": str(job.pk)})

    return _once(user, form.content("start" if and_start else "create"), create)


def make_again(user: User, job: ExportJob, nonce: str) -> str:
    """The id of a new job of the same spec; pressing the button of one page twice makes one. Raises AppError."""

    def create() -> idempotency.Answer:
        return idempotency.Answer(201, {"id": str(jobs.again(user, job, trigger=Trigger.STAFF).pk)})

    return _once(user, json.dumps(["again", str(job.pk), nonce]), create)


def _once(user: User, content: str, create: Any) -> str:
    digest = hashlib.sha256(content.encode()).hexdigest()
    answer = idempotency.once(user, f"staff-{digest}", digest, create)
    return str(answer.body["id"])

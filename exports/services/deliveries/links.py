"""Where the runs of a schedule go: who is told, and to which destination its files are copied."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from exports.models import Destination, ExportSchedule, MailOn
from exports.services.holding import hold
from taskexport.errors import FieldError, Invalid
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

MOST_RECIPIENTS = 50
FIELDS = ("recipients", "mail_on", "attach_small", "destination")
DEFAULTS: dict[str, Any] = {"recipients": [], "mail_on": MailOn.ENDS.value, "attach_small": False, "destination": None}


def checked(organization: Organization, values: dict[str, Any]) -> dict[str, Any]:
    """These values of a schedule's links, checked: `recipients` (e-mail addresses of people who may read the organization's exports; given
    back as Users), `mail_on`, `attach_small`, `destination` (a Destination's id or None; given back as one). What is left out stays out.

    Raises Invalid with all that is wrong.
    """
    errors: list[FieldError] = []
    found = dict(values)

    def reject(field: str, detail: str, code: str = "invalid") -> None:
        errors.append(FieldError(field, code, detail))

    for key in values.keys() - set(FIELDS):
        reject(str(key), f"There is no such field; the fields are {', '.join(FIELDS)}.", "unknown")
    if "recipients" in values:
        found["recipients"] = _recipients(organization, values["recipients"], reject)
    if "mail_on" in values and values["mail_on"] not in MailOn.values:
        reject("mail_on", f"Write one of: {', '.join(MailOn.values)}.")
    if "attach_small" in values and not isinstance(values["attach_small"], bool):
        reject("attach_small", "Write true or false.")
    wanted = values.get("destination")
    if wanted is not None:
        is_id = type(wanted) is int and 0 < wanted < 2**63
        found["destination"] = Destination.objects.filter(organization=organization, pk=wanted).first() if is_id else None
        if found["destination"] is None:
            reject("destination", "There is no such destination.", "unknown")
    if errors:
        raise Invalid.all(errors)
    return found


def _recipients(organization: Organization, wanted: Any, reject: Any) -> list[User]:
    if not isinstance(wanted, list) or len(wanted) > MOST_RECIPIENTS or not all(isinstance(each, str) for each in wanted):
        reject("recipients", f"Write at most {MOST_RECIPIENTS} e-mail addresses.")
        return []
    emails = list(dict.fromkeys(each.strip().lower() for each in wanted))
    known = {user.email.lower(): user for user in User.objects.filter(email__in=emails, is_service=False)}
    found = []
    for number, email in enumerate(emails):
        user = known.get(email)
        if user is None or not access.can(user, Action.READ, organization):
            reject(f"recipients.{number}", "Nobody with this address may read the organization's exports; make them a member first.", "unknown")
        else:
            found.append(user)
    return found


def apply(schedule: ExportSchedule, settled: dict[str, Any]) -> None:
    """Gives the schedule what `checked` has found; inside the caller's transaction. Raises Conflict, NotFound as `hold` does."""
    hold(settled.get("destination"))
    plain = {name: value for name, value in settled.items() if name != "recipients"}
    if plain:
        ExportSchedule.objects.filter(pk=schedule.pk).update(**plain)
    if "recipients" in settled:
        schedule.recipients.set(settled["recipients"])


def change(user: User, schedule: ExportSchedule, values: dict[str, Any]) -> None:
    """Changes where the schedule's runs go, and nothing else of it. Raises Conflict, Invalid, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, schedule.organization_id)
    settled = checked(schedule.organization, values)
    with transaction.atomic():
        apply(schedule, settled)
        ExportSchedule.objects.filter(pk=schedule.pk).update(version=F("version") + 1, updated_at=Now())


def shown(schedule: ExportSchedule) -> dict[str, Any]:
    """The links of a schedule as `change` takes them; `recipients` should be prefetched for a list."""
    return {
        "recipients": sorted(user.email for user in schedule.recipients.all()),
        "mail_on": schedule.mail_on,
        "attach_small": schedule.attach_small,
        "destination": schedule.destination_id,
    }

"""Destinations as an organization's admins keep them: a prefix of a bucket of its own, and the key that opens it."""

from __future__ import annotations

import re
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from exports.datasets.chosen import is_text
from exports.models import Destination
from exports.services.deliveries import copies, owned, sealing
from taskexport import outbound
from taskexport.errors import Conflict, FieldError, Invalid, TooMany
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

NAME_LENGTH = 200
KEY_LENGTH = 200
MOST = 50  # of an organization
MOST_NAMED = 5  # of what uses a destination
DEFAULTS: dict[str, Any] = {"endpoint": "", "region": "us-east-1", "prefix": ""}
FIELDS = ("name", "endpoint", "region", "bucket", "prefix", "access_key_id")
SECRET = "secret_access_key"  # noqa: S105 - a field's name
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()=+@,-]+(/[A-Za-z0-9!_.*'()=+@,-]+)*", re.ASCII)
_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)


def visible(user: Any, organization: Organization | None = None) -> QuerySet[Destination]:
    """The destinations of the organizations that the user administers, by name."""
    return owned.visible(Destination, user, organization)


def get(user: Any, destination_id: Any) -> Destination:
    """One destination, for its organization's admins. Raises NotFound, Forbidden."""
    return owned.get(Destination, user, destination_id)


def create(user: User, organization: Organization, values: dict[str, Any]) -> Destination:
    """A new destination of `name`, `bucket`, `access_key_id`, `secret_access_key` and, optional, `endpoint`, `region`, `prefix`.

    Raises Invalid, Conflict where the name is taken, TooMany, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, organization)
    checked = _checked(DEFAULTS | values)
    if SECRET not in values:
        raise Invalid.field(SECRET, "Write the key's secret.", "required")
    if organization.destinations.count() >= MOST:
        raise TooMany(f"An organization has at most {MOST} destinations; delete one first.", code="too_many_destinations")
    try:
        with transaction.atomic():
            return Destination.objects.create(organization=organization, created_by=user, **checked)
    except IntegrityError:
        raise Conflict.name_taken("destination") from None


def update(user: User, destination: Destination, values: dict[str, Any], *, version: int | None = None) -> Destination:
    """The destination with these values changed; without a secret the old one stays. `version` insists on the one that was read.

    Whoever sends the key elsewhere must know it: a new endpoint, region, bucket or key id asks for the secret anew. Raises Invalid, Conflict
    where it is stale or the name is taken, Forbidden, NotFound.
    """
    access.require(user, Action.ADMINISTER, destination.organization_id)
    checked = _checked({name: getattr(destination, name) for name in FIELDS} | values, destination.endpoint)
    moved = any(checked[name] != getattr(destination, name) for name in ("endpoint", "region", "bucket", "access_key_id"))
    if moved and SECRET not in values:
        raise Invalid.field(SECRET, "Write the key's secret too: endpoint, region, bucket or key id is another one.", "required")
    if moved or SECRET in values or checked["prefix"] != destination.prefix:
        checked["tested_at"] = None
    rows = Destination.objects.filter(pk=destination.pk, version=destination.version if version is None else version)
    try:
        with transaction.atomic():
            changed = rows.update(**checked, version=F("version") + 1, updated_at=Now())
    except IntegrityError:
        raise Conflict.name_taken("destination") from None
    found = get(user, destination.pk)
    if not changed:
        raise Conflict.stale("destination", found.version)
    return found


def delete(user: User, destination: Destination) -> None:
    """Removes it with its deliveries. May be called twice. Raises Conflict where a schedule uses it, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, destination.organization_id)
    try:
        with transaction.atomic():
            Destination.objects.filter(pk=destination.pk).delete()
    except IntegrityError as error:
        users = sorted(str(each) for each in getattr(error, "restricted_objects", ()))
        more = f" and {len(users) - MOST_NAMED} more" if len(users) > MOST_NAMED else ""
        named = ", ".join(users[:MOST_NAMED]) or "something new"
        raise Conflict(f"Schedules copy to this destination: {named}{more}. Change them first.", code="destination_in_use") from None


def test(user: User, destination: Destination) -> str:
    """Writes a small object there and deletes it: what is wrong, in plain words, or "" if nothing is. Raises TooMany, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, destination.organization_id)
    with owned.testing():
        said = copies.test(destination)
    Destination.objects.filter(pk=destination.pk).update(tested_at=None if said else Now())
    return said


def _checked(values: dict[str, Any], known_endpoint: str = "") -> dict[str, Any]:
    errors: list[FieldError] = []

    def reject(field: str, detail: str, code: str = "invalid") -> None:
        errors.append(FieldError(field, code, detail))

    for key in values.keys() - {*FIELDS, SECRET}:
        reject(str(key), f"There is no such field; the fields are {', '.join((*FIELDS, SECRET))}.", "unknown")
    found = {name: values.get(name) if isinstance(values.get(name), str) else "" for name in FIELDS}
    found["prefix"], found["endpoint"] = str(found["prefix"]).strip("/"), str(found["endpoint"]).rstrip("/")
    if not is_text(found["name"], NAME_LENGTH, 1) or not str(found["name"]).strip():
        reject("name", f"Write 1 to {NAME_LENGTH} characters.")
    if not _REGION.fullmatch(str(found["region"])):
        reject("region", "Write the region's name, such as eu-west-1.")
    if not _BUCKET.fullmatch(str(found["bucket"])) or ".." in str(found["bucket"]):
        reject("bucket", "Write the bucket's name alone: 3 to 63 small letters, digits, dots and hyphens.")
    prefix = str(found["prefix"])
    if prefix and (len(prefix) > 300 or not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        reject("prefix", "Write at most 300 characters such as exports/tasks: letters, digits, !_.*'()=+@,- and single slashes.")
    if found["endpoint"] and found["endpoint"] != known_endpoint:
        try:
            parts = outbound.check_url(str(found["endpoint"]))
            if parts.path or parts.query:
                reject("endpoint", "Write the store's URL without a path; bucket and prefix have fields of their own.")
        except outbound.Refused as error:
            reject("endpoint", str(error))
    if not _KEY.fullmatch(str(found["access_key_id"])):
        reject("access_key_id", f"Write the key's id: 1 to {KEY_LENGTH} characters without spaces.")
    if SECRET in values:
        if not isinstance(values[SECRET], str) or not _KEY.fullmatch(values[SECRET]):
            reject(SECRET, f"Write the key's secret: 1 to {KEY_LENGTH} characters without spaces.")
        else:
            found["sealed_secret"] = sealing.seal(values[SECRET])
    if errors:
        raise Invalid.all(errors)
    return found

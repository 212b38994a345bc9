"""What can go wrong, in words every door can repeat: a stable code, an HTTP status, a sentence for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One rejected input: the field's dotted path, a stable code, and what to write instead."""

    field: str
    code: str
    detail: str


class AppError(Exception):
    """A refusal that its caller may be told as it is; never carries secrets or another tenant's data."""

    status = 400
    code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: list[FieldError] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.fields = fields or []
        self.retry_after_seconds = retry_after_seconds


class Invalid(AppError):
    """The input is wrong: 400."""

    code = "invalid"

    @classmethod
    def field(cls, field: str, detail: str, code: str = "invalid") -> Invalid:
        """One field's error, its detail being the whole message too."""
        return cls(f"{field}: {detail}", fields=[FieldError(field, code, detail)])

    @classmethod
    def all(cls, errors: Sequence[FieldError]) -> Invalid:
        """All of these errors, the message naming each with its field."""
        return cls("; ".join(f"{error.field}: {error.detail}" for error in errors), fields=list(errors))


class Unauthenticated(AppError):
    """Nobody, or nobody we still trust, is asking: 401."""

    status = 401
    code = "not_authenticated"


class Forbidden(AppError):
    """The row is visible, the role too low: 403."""

    status = 403
    code = "forbidden"


class NotFound(AppError):
    """There is no such row for this asker; another tenant's row answers the same: 404."""

    status = 404
    code = "not_found"


class Conflict(AppError):
    """The row's present state does not allow it: 409."""

    status = 409
    code = "conflict"

    @classmethod
    def name_taken(cls, kind: str) -> Conflict:
        """Another row of this kind (a word such as "segment") has the name already."""
        error = FieldError("name", "taken", f"Another {kind} of the organization has this name; choose another.")
        return cls(f"name: {error.detail}", code="name_taken", fields=[error])

    @classmethod
    def stale(cls, kind: str, version: int) -> Conflict:
        """The caller insists on another version of the row than this one, at which it is now."""
        return cls(f"The {kind} is at version {version} now. Read it again.", code="stale_version")


class Gone(AppError):
    """It was here and has expired: 410."""

    status = 410
    code = "gone"


class PreconditionFailed(AppError):
    """`If-Match` names an older version: 412."""

    status = 412
    code = "precondition_failed"


class Unprocessable(AppError):
    """Well formed, but it contradicts something said before: 422."""

    status = 422
    code = "unprocessable"


class TooMany(AppError):
    """Slow down: 429."""

    status = 429
    code = "too_many_requests"


class TooLarge(AppError):
    """More than the service takes: 413."""

    status = 413
    code = "too_large"


class WrongType(AppError):
    """Of another media type than is asked for: 415."""

    status = 415
    code = "unsupported_media_type"


class Unavailable(AppError):
    """The service can't at the moment; try again: 503."""

    status = 503
    code = "unavailable"

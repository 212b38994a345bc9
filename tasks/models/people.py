"""Users, organizations, platforms, members, and what they sign in with."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from tasks.models.fields import validate_zone

AS_SET = "Empty: as everybody."
AS_SET_OR_NONE = "Empty: as everybody; 0: no limit."


class UserManager(BaseUserManager["User"]):
    """Finds and makes users by e-mail, in any case of letters."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, email: str | None) -> User:
        return self.get(email=(email or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in: a person by e-mail and password, or a service account by its access tokens."""

    email = models.EmailField("e-mail", unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_service = models.BooleanField("service account", default=False, help_text="Has no password; signs in by access tokens only.")
    is_staff = models.BooleanField("may enter the admin", default=False)
    is_active = models.BooleanField("active", default=True, help_text="Switch off in place of deleting.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_any_case", violation_error_message="This e-mail is taken.")]

    def __str__(self) -> str:
        return self.name or self.email

    def clean(self) -> None:
        super().clean()
        self.email = self.email.strip().lower()


class Platform(models.Model):
    """A group of organizations whose owners may read them all."""

    name = models.CharField(max_length=200, unique=True)
    owners = models.ManyToManyField(User, related_name="owned_platforms", blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.name


class Organization(models.Model):
    """A tenant: whoever is not of it never learns that its rows exist."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    timezone = models.CharField(max_length=64, default="UTC", validators=[validate_zone])
    platform = models.ForeignKey(Platform, models.PROTECT, null=True, blank=True, related_name="organizations")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # What its exports may; empty: as the settings say.
    max_running = models.PositiveIntegerField("jobs at once", null=True, blank=True, validators=[MinValueValidator(1)], help_text=AS_SET)
    file_days = models.PositiveIntegerField("days files are kept", null=True, blank=True, validators=[MinValueValidator(1)], help_text=AS_SET)
    rows_a_day = models.PositiveBigIntegerField("rows exported in 24 hours", null=True, blank=True, help_text=AS_SET_OR_NONE)
    kept_mb = models.PositiveIntegerField("MB of files kept", null=True, blank=True, help_text=AS_SET_OR_NONE)
    # When a worker last took one of its jobs: the queue's fairness.
    last_claimed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do; `access.ROLE_ACTIONS` has the meaning."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


class Member(models.Model):
    """A person in an organization; field workers have no user, and so no role."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, null=True, blank=True)
    name = models.CharField(max_length=200)
    email = models.EmailField("e-mail", blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="member_once"),
            models.CheckConstraint(condition=Q(role__isnull=True) | Q(user__isnull=False), name="member_role_needs_user"),
        ]
        indexes = [models.Index(fields=["organization", "name"]), models.Index(fields=["organization", "email"])]

    def __str__(self) -> str:
        return self.name


class AccessToken(models.Model):
    """A service account's secret for one organization: `ID:SECRET`, shown once, kept as a hash."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="access_tokens")
    user = models.ForeignKey(User, models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=200)
    secret_sha256 = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="As of up to five minutes ago.")

    def __str__(self) -> str:
        return self.name


class Session(models.Model):
    """One sign-in by password: its only valid refresh token, and the end of all its tokens."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    refresh_jti = models.CharField(max_length=64)
    password_mark = models.CharField(max_length=128)  # changes with the password, and so ends the session
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["expires_at"])]


class IdempotencyKey(models.Model):
    """The first answer to a creating call, kept 24 hours for whoever repeats it with the same key."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"])]

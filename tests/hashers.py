"""Passwords in tests: quick to make, and good at the doors of a real server too."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class OneRound(PBKDF2PasswordHasher):
    """Django's default in one round instead of a million; any process with default settings reads it."""

    iterations = 1

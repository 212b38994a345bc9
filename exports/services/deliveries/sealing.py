"""Secrets of others that we must be able to say again, encrypted at rest: a copy of the database alone opens none of them."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """The key that sealed this secret is not among ours any more."""


def _keys() -> MultiFernet:
    # What was sealed before there was a key of its own is still opened: to name one for the first time loses nothing.
    derived = HKDF(hashes.SHA256(), 32, None, b"taskexport secrets").derive(settings.SECRET_KEY.encode())
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in (*settings.ENCRYPTION_KEYS, derived)])


def seal(secret: str) -> str:
    """The secret under the first key."""
    return _keys().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret again, whichever of the keys it is under. Raises Unreadable."""
    try:
        return _keys().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable from None

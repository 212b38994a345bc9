"""Every setting of the service; the only reader of the environment. The README's table names each variable."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()


def _text(name: str, default: str) -> str:
    # Stripped: a value read from a file (NAME_FILE) comes with the file's last line end.
    return str(env(name, default=default)).strip()


def _number(name: str, default: int, minimum: int = 0) -> int:
    raw = _text(name, str(default))
    if not raw.isdecimal() or int(raw) < minimum:
        raise ImproperlyConfigured(f"{name}={raw!r}: write a whole number from {minimum} upwards, such as {name}={default}")
    return int(raw)


def _flag(name: str, default: bool) -> bool:
    raw = _text(name, "1" if default else "0").lower()
    if raw not in {"1", "0", "true", "false", "yes", "no", "on", "off"}:
        raise ImproperlyConfigured(f"{name}={raw!r}: write 1 or 0")
    return raw in {"1", "true", "yes", "on"}


def _choice(name: str, default: str, choices: list[str]) -> str:
    value = _text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name}={value!r}: write {' or '.join(choices)}")
    return value


def _rate(name: str, default: str) -> str:
    raw = _text(name, default)
    number, _, period = raw.partition("/")
    if not number.isdecimal() or int(number) < 1 or period not in {"s", "sec", "second", "m", "min", "minute", "h", "hour", "d", "day"}:
        raise ImproperlyConfigured(f"{name}={raw!r}: write a number, a slash, and second, minute, hour or day, such as {name}={default}")
    return raw


def _words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in _text(name, default).split(",") if word.strip()]


# -- Which kind of place is this? ----------------------------------------------------------------------------------
ENVIRONMENT = _text("TASKEXPORT_ENV", "production")
if ENVIRONMENT not in {"production", "development"}:
    raise ImproperlyConfigured(f"TASKEXPORT_ENV={ENVIRONMENT!r}: write production or development")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = _flag("DEBUG", False)

# Every file the service writes: database (SQLite), spool, exported files, keys of a development machine.
VAR = Path(_text("VAR", str(BASE_DIR / "var"))).expanduser().resolve()
VAR.mkdir(parents=True, exist_ok=True, mode=0o700)


def _secret_key() -> str:
    key = _text("SECRET_KEY", "")
    if key:
        if PRODUCTION and len(key) < 50:
            raise ImproperlyConfigured("SECRET_KEY is shorter than 50 characters; see below for how to make one.\n" + HOW_TO_SET_THE_KEY)
        return key
    if PRODUCTION:
        raise ImproperlyConfigured("SECRET_KEY is not set.\n" + HOW_TO_SET_THE_KEY)
    # A development machine keeps one key of its own, so that sessions survive a restart.
    path = VAR / "secret-key"
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text().strip()


HOW_TO_SET_THE_KEY = (
    "Make one with:  python3 -c 'import secrets; print(secrets.token_urlsafe(64))'\n"
    "and pass it as the environment variable SECRET_KEY (or name a file that holds it in SECRET_KEY_FILE).\n"
    "On a machine that serves nobody else, TASKEXPORT_ENV=development makes and keeps one by itself."
)
SECRET_KEY = _secret_key()
ALLOWED_HOSTS = _words("ALLOWED_HOSTS", "" if PRODUCTION else "localhost,127.0.0.1,[::1]")
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is not set. Name the hosts the service answers to, such as ALLOWED_HOSTS=exports.example.com")
CSRF_TRUSTED_ORIGINS = _words("CSRF_TRUSTED_ORIGINS")

# -- Django --------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "tasks",
    "exports",
]
MIDDLEWARE = [
    "taskexport.health.Health",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "taskexport.queries.ReadableQuery",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "taskexport.urls"
WSGI_APPLICATION = "taskexport.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_USER_MODEL = "tasks.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SILENCED_SYSTEM_CHECKS = ["models.W040"]  # SQLite leaves out the further columns of an index, and is none the worse for it
APPEND_SLASH = False  # every route answers both ways; a redirect would lose a POST's body
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# -- Database ------------------------------------------------------------------------------------------------------
try:
    _database: dict[str, Any] = env.db_url_config(_text("DATABASE_URL", f"sqlite:///{VAR / 'taskexport.sqlite3'}"))
except (ValueError, environ.ImproperlyConfigured):  # the error quotes the password where it holds a character of URLs
    raise ImproperlyConfigured(
        "DATABASE_URL: write postgres://user:password@host:5432/name or sqlite:////path; in a password / # ? are written %2F %23 %3F"
    ) from None
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # WAL lets exports read while others write; IMMEDIATE makes writers queue up in place of failing half way.
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    _database["TEST"] = {"NAME": str(VAR / "test.sqlite3")}  # a file: worker processes of the tests open it too
elif _database["ENGINE"] == "django.db.backends.postgresql":
    _database.setdefault("CONN_MAX_AGE", 60)
    _database["CONN_HEALTH_CHECKS"] = True
    # Seconds; the driver would wait for minutes, and for a database behind a silent partition for ever, in a worker's slot.
    _patience = {"connect_timeout": 10, "keepalives": 1, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
    # Milliseconds; what was sent and not acknowledged gives up as soon.
    _database["OPTIONS"] = {**_patience, "tcp_user_timeout": 50_000, **_database.get("OPTIONS", {})}
else:
    raise ImproperlyConfigured("DATABASE_URL: taskexport runs on PostgreSQL and SQLite")
DATABASES = {"default": _database}
_throttles: dict[str, Any] = env.cache_url_config(_text("CACHE_URL", "locmemcache://taskexport"))
# One entry for each caller of the last minute. Beyond 300, as Django has it, some would be dropped, and their callers counted from 0 again.
_throttles["max_entries"] = _throttles.get("OPTIONS", {}).get("MAX_ENTRIES", 100_000)
CACHES = {
    # Throttles count here: with several web processes give them a shared one, such as
    # dbcache://throttles, after `manage.py createcachetable`.
    "default": _throttles,
    # Of long lists; apart, so that whoever asks for many of them pushes no throttle out.
    "totals": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "totals"},
    "queue": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "queue"},  # django-q2's own statistics
}

# -- Static files --------------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = Path(_text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR / "uploads"}},
    "staticfiles": {"BACKEND": "taskexport.assets.Assets" if PRODUCTION else "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# -- Security ------------------------------------------------------------------------------------------------------
HTTPS = _flag("HTTPS", PRODUCTION)
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _flag("BEHIND_PROXY", False) else None
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["taskexport.queries.NoFiles"]  # Django's own would keep what anybody sends, of any size, in /tmp
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# -- REST ----------------------------------------------------------------------------------------------------------
ACCESS_TOKEN_SECONDS = 600
REFRESH_TOKEN_SECONDS = 7 * 24 * 3600
SESSION_MAX_SECONDS = 30 * 24 * 3600  # a chain of refreshes ends here, however lively
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["taskexport.api.auth.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["taskexport.api.strict.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["taskexport.api.auth.UserThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "user": _rate("THROTTLE_USER", "600/min"),
        "login": _rate("THROTTLE_LOGIN", "20/min"),
    },
    "EXCEPTION_HANDLER": "taskexport.api.errors.handle_exception",
    "NUM_PROXIES": _number("NUM_PROXIES", 0),  # 0: X-Forwarded-For is never believed
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}


def _jwt_key() -> str:
    key = _text("JWT_SIGNING_KEY", "")
    if PRODUCTION and 0 < len(key) < 50:  # whoever has a token may try keys at leisure
        raise ImproperlyConfigured(
            "JWT_SIGNING_KEY is shorter than 50 characters; make one as SECRET_KEY is made, or leave it out and it is derived from that."
        )
    return key or f"jwt:{SECRET_KEY}"


SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=ACCESS_TOKEN_SECONDS),
    "REFRESH_TOKEN_LIFETIME": timedelta(seconds=REFRESH_TOKEN_SECONDS),
    "ALGORITHM": "HS256",
    "SIGNING_KEY": _jwt_key(),
    "ISSUER": "taskexport",
    "AUDIENCE": "taskexport",
    "LEEWAY": 5,
    "UPDATE_LAST_LOGIN": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "taskexport",
    "DESCRIPTION": "Tasks out, as files: export jobs for many organizations.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},  # no badge from a host that is not ours
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": ["taskexport.api.views.only_slashless_routes"],
    "ENUM_NAME_OVERRIDES": {
        "JobStatusEnum": "exports.states.JobStatus",
        "TaskStatusEnum": "tasks.models.TaskStatus",
        "TaskStateEnum": "exports.api.task_exports.shapes.STATES",
        "TaskExportStatusEnum": "exports.api.task_exports.shapes.LOG_STATES",
    },
}

# -- Queue: a message is only a doorbell (docs/decisions) ----------------------------------------------------------
EXPORT_WORKERS = _number("EXPORT_WORKERS", 2, minimum=1)
Q_CLUSTER = {
    "name": "taskexport",
    "orm": "default",
    "cache": "queue",
    "workers": 1,
    # The broker's lock starts at prefetch, not when work starts: never hold more than the one that runs.
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 3600,
    "retry": 4200,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 100,
    "poll": 0.5,
    "recycle": 20,
    "scheduler": False,
    "log_level": "WARNING",
    "ALT_CLUSTERS": {
        "exports": {"workers": EXPORT_WORKERS},
        # One ticks while the other delivers.
        "control": {"workers": 2, "timeout": 300, "retry": 420, "scheduler": True, "recycle": 500},
    },
}

# -- Mail: none is written where EMAIL_HOST is not set -------------------------------------------------------------
EMAIL_HOST = _text("EMAIL_HOST", "")
EMAIL_PORT = _number("EMAIL_PORT", 587, minimum=1)
EMAIL_HOST_USER = _text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = _text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_SSL = _flag("EMAIL_USE_SSL", False)
EMAIL_USE_TLS = _flag("EMAIL_USE_TLS", not EMAIL_USE_SSL)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = _text("DEFAULT_FROM_EMAIL", f"taskexport <noreply@{ALLOWED_HOSTS[0].lstrip('*.') or 'localhost'}>")
if EMAIL_USE_SSL and EMAIL_USE_TLS:
    raise ImproperlyConfigured("EMAIL_USE_SSL and EMAIL_USE_TLS: set one of them; SSL is for port 465, TLS (STARTTLS) for 587")
# Where people open the service, for links in mails.
SITE_URL = _text("SITE_URL", f"https://{ALLOWED_HOSTS[0].lstrip('*.')}" if PRODUCTION else "http://127.0.0.1:8000").rstrip("/")


# -- Addresses that customers name: their webhooks, their buckets ---------------------------------------------------
def _nets(name: str) -> list[Any]:
    try:
        return [ipaddress.ip_network(word) for word in _words(name)]
    except ValueError:
        raise ImproperlyConfigured(f"{name}: write networks such as 10.1.2.0/24,fd00:1::/64, or nothing") from None


def _ports(name: str, default: str) -> list[int]:
    words = _words(name, default)
    if not all(word.isdecimal() and 0 < int(word) < 65_536 for word in words):
        raise ImproperlyConfigured(f"{name}: write ports such as {default}")
    return [int(word) for word in words]


OUTBOUND_ALLOWED_NETS = _nets("OUTBOUND_ALLOWED_NETS")  # reached although they are not public: any port, and by http too
OUTBOUND_PORTS = _ports("OUTBOUND_PORTS", "443,8443,9000")  # of public addresses
MAIL_ATTACH_BYTES = _number("MAIL_ATTACH_MB", 5) * 1024 * 1024  # of a file that a mail brings along

# -- Exports -------------------------------------------------------------------------------------------------------
FILES_ROOT = VAR / "files"  # never below a static or media URL; directories 0700, files 0600
SPOOL_ROOT = VAR / "spool"
MAX_RUNNING = _number("MAX_RUNNING", 2, minimum=1)  # running jobs of one organization at once
# An organization's own values, where it has some, go before these two; 0: no limit.
ROWS_A_DAY = _number("ROWS_A_DAY", 500_000_000)  # exported in 24 hours
KEPT_MB = _number("KEPT_MB", 200 * 1024)  # of files kept at once
DIRECT_ROWS = _number("DIRECT_ROWS", 100_000, minimum=1)  # the largest export inside a request
TASK_EXPORT_ROWS = 1_000_000  # contract 4's largest XLSX and JSON
LEASE_SECONDS = _number("LEASE_SECONDS", 60, minimum=5)
READY_WAIT_MINUTES = _number("READY_WAIT_MINUTES", 60, minimum=1)  # a job that waits longer for a worker: not ready
FREE_BYTES = _number("FREE_MB", 64, minimum=1) * 1024 * 1024  # below this the disk counts as full before it is
RUN_SECONDS = 3300  # below the queue's own timeout, which would kill the process instead of ending the run
FILE_DAYS = _number("FILE_DAYS", 30, minimum=1)
PRUNE_DAYS = _number("PRUNE_DAYS", 365, minimum=1)  # what ended before is forgotten, with all that hangs on it
LINK_SECONDS = 3600

# Files go to a bucket where one is named, and to FILES_ROOT where none is.
S3_BUCKET = _text("S3_BUCKET", "")
S3_ENDPOINT_URL = _text("S3_ENDPOINT_URL", "").rstrip("/")  # none: Amazon's own
S3_PUBLIC_URL = _text("S3_PUBLIC_URL", "").rstrip("/") or S3_ENDPOINT_URL  # the same store, as browsers reach it
S3_REGION = _text("S3_REGION", "us-east-1")
S3_ACCESS_KEY_ID = _text("S3_ACCESS_KEY_ID", "")  # none: the machine's own role
S3_SECRET_ACCESS_KEY = _text("S3_SECRET_ACCESS_KEY", "")
S3_PREFIX = _text("S3_PREFIX", "").strip("/")  # of every key, where the bucket is shared
S3_ADDRESSING = _choice("S3_ADDRESSING", "path" if S3_ENDPOINT_URL else "auto", ["path", "virtual", "auto"])
# Some stores refuse the checksums that Amazon's takes.
S3_CHECKSUM = _choice("S3_CHECKSUM", "when_required" if S3_ENDPOINT_URL else "when_supported", ["when_required", "when_supported"])
S3_PRESIGN = _flag("S3_PRESIGN", True)  # browsers fetch files from the store itself; else web passes the bytes on
S3_PRESIGN_SECONDS = 120  # a link works for whoever has it, so it is made at the click and short
if bool(S3_ACCESS_KEY_ID) != bool(S3_SECRET_ACCESS_KEY):
    raise ImproperlyConfigured("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY: set both, or none to use the machine's own role")
IMPORT_MAX_BYTES = _number("IMPORT_MB", 512, minimum=1) * 1024 * 1024  # of a file to import
IMPORT_UNPACKED_MAX_BYTES = IMPORT_MAX_BYTES  # of a workbook, which is a zip: its texts are held in memory
DIRECT_RUNNING = _number("DIRECT_RUNNING", 4, minimum=1)  # each keeps a web thread busy
DIRECT_RUNNING_USER = _number("DIRECT_RUNNING_USER", 2, minimum=1)
UPLOAD_MB = _number("UPLOAD_MB", 1024, minimum=1)  # an external runner's zip
UPLOAD_UNPACKED_MB = _number("UPLOAD_UNPACKED_MB", 8192, minimum=1)  # and the CSV in it
EXECUTE_WAIT_SECONDS = 30  # how long a call that runs a scheduled task now waits for its end


def _receipt_key() -> bytes | None:
    raw = _text("RECEIPT_KEY", "")
    if not raw:
        return None  # derived from SECRET_KEY
    try:
        seed = base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != 32:
        raise ImproperlyConfigured("RECEIPT_KEY: write 32 random bytes in base64, as printed by:  openssl rand -base64 32")
    return seed


RECEIPT_KEY = _receipt_key()


def _encryption_keys() -> list[bytes]:
    """The first encrypts, all decrypt, and so does one that is derived from SECRET_KEY, which alone does both where there are none."""
    try:
        keys = [base64.b64decode(word, validate=True) for word in _words("ENCRYPTION_KEY")]
    except (binascii.Error, ValueError):
        keys = [b""]
    if any(len(key) != 32 for key in keys):
        raise ImproperlyConfigured(
            "ENCRYPTION_KEY: write 32 random bytes in base64, as printed by  openssl rand -base64 32 ; a new one before the old"
        )
    return keys


ENCRYPTION_KEYS = _encryption_keys()

# -- Logs: ids and codes only; never bodies, filters, tokens, e-mail addresses -------------------------------------
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "taskexport.logs.json_formatter"},
        "plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json" if PRODUCTION else "plain"}},
    "root": {"handlers": ["stderr"], "level": _text("LOG_LEVEL", "INFO")},
    "loggers": {"django-q": {"handlers": ["stderr"], "propagate": False, "level": "WARNING"}},
}

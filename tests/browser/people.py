"""Who looks: the demo's people, signed in, in windows of their own whose console is listened to."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from tasks import demo_people
from tasks.models import Organization, User
from tests.browser.site import ANSWER_MS, Site

WIDE, NARROW = 1360, 390  # pixels
HEIGHT = 900
HINTS = {"info", "verbose", "debug"}  # such as that a field could be filled in automatically
SAMPLER = "OpenAPI Sampler: "  # Redoc's doubts about an example that it makes up itself
# The browser says it of its own accord, but not of every kind.
LISTEN = "addEventListener('securitypolicyviolation', e => console.error(`CSP ${e.violatedDirective}: ${e.blockedURI} ${e.sample}`))"


@dataclass
class Window:
    """A browser's window of one person; `trouble` is what the console said, and answers of 500 and above."""

    context: BrowserContext
    page: Page
    trouble: list[str] = field(default_factory=list)
    _refused: set[str] = field(default_factory=set)

    def listen(self) -> None:
        """Notes from now on what the console says."""
        self.context.add_init_script(LISTEN)
        self.context.on("console", self._said)
        self.context.on("weberror", lambda error: self.trouble.append(f"{self.page.url}: {error.error}"))
        self.context.on("response", self._answered)

    def _answered(self, response: Response) -> None:
        looked = response.status in {400, 403} and response.url.endswith("/preflight/")  # incomplete, or by a page of before a sign-in
        if response.status >= 400 and (response.request.is_navigation_request() or looked):
            self._refused.add(response.url)  # the page says so to the person
        elif response.status >= 400:
            self.trouble.append(f"{self.page.url}: {response.status} of {response.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in HINTS or message.text.startswith(SAMPLER):
            return
        if not (message.text.startswith("Failed to load resource") and message.location["url"] in self._refused):
            self.trouble.append(f"{self.page.url}: {message.type}: {message.text} ({message.location['url']})")


def acme() -> Organization:
    """The organization in which admin and viewer work."""
    return Organization.objects.get(slug="acme")


def user_of(name: str) -> User:
    """The person of the demo, or its superuser, whom nothing is hidden from."""
    if name == "superuser":
        return User.objects.filter(email="boss@platform.example").first() or User.objects.create_superuser("boss@platform.example", name="Boss")
    return User.objects.get(email=demo_people.PEOPLE[name][0])


def open_window(browser: Browser, site: Site, name: str | None, *, dark: bool = False, width: int = WIDE, **options: Any) -> Window:
    """A window of the person's (None: of somebody who has not signed in), on no page yet."""
    context = browser.new_context(
        base_url=site.url,
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if dark else "light",
        locale="en-GB",
        timezone_id="UTC",
        accept_downloads=True,
        **options,
    )
    context.set_default_timeout(ANSWER_MS)
    if name:
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": _session(name), "url": site.url}])
    window = Window(context, context.new_page())
    window.listen()
    return window


def _session(name: str) -> str:
    # As signing in leaves it, without the second that the password's hash takes.
    user = user_of(name)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)

"""The opt-in headless login: Playwright drives an installed Chromium through steps that a YAML file names.

One attempt. A wrong password or a question for a second factor ends it; neither is tried again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tradekit.base.files import private_folder
from tradekit.base.logs import redact
from tradekit.clock import SystemClock
from tradekit.errors import AuthError, ConfigError, MissingExtra, UpstreamError
from tradekit.tokens.coordinator import Coordinator
from tradekit.tokens.login import Begun, begin, code_from, is_callback, talk
from tradekit.tokens.token import Token

WARNING = """Warning: this types your password into the provider's page by program. That may breach your agreement with
the provider and may lock your account; the password then lies on this machine. Read docs/tokens.md first; --login paste
needs none of it."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REJECTED_WAIT_S = 6 * 3600  # after a rejected password: no second attempt for so long


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to do on a page: `fill` or `check` the first of `on` that is visible, then `click`.

    `secret` is the name of the secret that `fill` types. Selectors are Playwright's.
    """

    on: list[str] = []
    fill: str | None = None  # the NAME of a secret, e.g. schwab-login
    check: bool = False
    click: list[str] = []
    optional: bool = False  # the page may not come


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login: its steps in order, how a rejection and a second factor look, and seconds for all of it."""

    steps: list[Step]
    rejected: list[str] = []
    second_factor: list[str] = []
    deadline_s: float = 90.0
    browser: str | None = None  # path; default: the first of chromium, google-chrome that is installed
    keep_device: bool = False  # keep cookies between logins, in the state folder


def log_in(owner: Coordinator, desk: Path, environ: Mapping[str, str]) -> Token:
    """One headless login. Raises AuthError (rejected, second factor), UpstreamError, ConfigError, MissingExtra."""
    talk(WARNING)
    recipe = read_recipe(owner, desk)
    _not_after_a_rejection(owner)
    secrets = _secrets(recipe, environ)
    begun = begin(owner.provider)
    callback = _drive(owner, recipe, secrets, begun)
    return owner.log_in(code_from(callback, begun, owner.provider), begun.verifier)


def read_recipe(owner: Coordinator, desk: Path) -> Recipe:
    """The steps: providers.NAME.login_steps of the desk, else the ones that come with tradekit. Raises ConfigError."""
    from tradekit.base.yaml_text import Problem, listing, parse, read_text

    provider = owner.provider
    if provider.login_steps:
        path = desk / provider.login_steps
    else:
        path = Path(__file__).parent / "logins" / f"{provider.type}.yaml"
        if not path.exists():
            raise ConfigError(
                f"no login steps for {provider.name}",
                f"write them (docs/tokens.md) and: tradekit config set providers.{provider.name}.login_steps FILE",
            )
    problems: list[Problem] = []
    tree, _ = parse(read_text(path), path, problems)
    if problems:
        raise ConfigError(listing(path, problems), "see docs/tokens.md")
    try:
        return msgspec.convert(tree, Recipe)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}", "see docs/tokens.md") from None


def _secrets(recipe: Recipe, environ: Mapping[str, str]) -> dict[str, str]:
    from tradekit.base.secrets import secret

    return {step.fill: secret(step.fill, environ).value for step in recipe.steps if step.fill}


def _rejection(owner: Coordinator) -> Path:
    return owner.vault.path.with_suffix(".rejected")


def _not_after_a_rejection(owner: Coordinator) -> None:
    """Providers lock accounts: a rejected password is not typed again for hours, whoever asks."""
    path = _rejection(owner)
    try:
        at = float(path.read_text("ascii"))
    except (OSError, ValueError):
        return
    waited = SystemClock().now().timestamp() - at
    if 0 <= waited < REJECTED_WAIT_S:
        raise AuthError(
            f"{owner.provider.name}: the password was rejected {waited / 60:.0f} minutes ago; it is not tried again",
            f"put the right one in its place, rm {path}, then try once; or {owner.vault.login}",
        )


def _drive(owner: Coordinator, recipe: Recipe, secrets: Mapping[str, str], begun: Begun) -> str:
    """The callback URL that the browser was sent to."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        raise MissingExtra("playwright is not installed", "pip install 'tradekit[login]', or --login paste") from None
    callbacks: list[str] = []
    redirect = owner.provider.redirect_uri

    def seen(request: Any) -> None:
        if request.is_navigation_request() and is_callback(request.url, redirect):
            callbacks.append(request.url)

    with sync_playwright() as playwright:
        try:
            with _page(playwright, recipe, owner) as page:
                page.on("request", seen)  # before the first page: nothing needs to listen on the callback
                page.goto(begun.url, wait_until="domcontentloaded")
                _Walk(owner, recipe, secrets, page, callbacks).go()
        except Error as error:
            if not callbacks:
                said = redact(str(error).splitlines()[0])
                raise UpstreamError(f"{owner.provider.name}: the browser: {said}", owner.vault.login) from None
    return callbacks[0]


@contextmanager
def _page(playwright: Any, recipe: Recipe, owner: Coordinator) -> Iterator[Any]:
    from shutil import which

    path = recipe.browser or next((found for name in BROWSERS if (found := which(name))), None)
    if path is None or not Path(path).exists():
        raise ConfigError(
            f"no browser: {recipe.browser or ', '.join(BROWSERS)}", "apt install chromium, or --login paste"
        )
    local = owner.provider.redirect_uri.startswith(("https://127.0.0.1", "https://localhost"))
    options = {"executable_path": path, "headless": True, "args": ["--disable-dev-shm-usage"]}
    if recipe.keep_device:
        folder = owner.vault.path.with_suffix(".browser")
        private_folder(folder)
        context = playwright.chromium.launch_persistent_context(str(folder), ignore_https_errors=local, **options)
        browser = None
    else:
        browser = playwright.chromium.launch(**options)
        context = browser.new_context(ignore_https_errors=local)
    try:
        context.set_default_timeout(recipe.deadline_s * 1000)
        yield context.pages[0] if context.pages else context.new_page()
    finally:
        context.close()
        if browser is not None:
            browser.close()


class _Walk:
    """From page to page until the callback comes; one deadline for all."""

    def __init__(
        self, owner: Coordinator, recipe: Recipe, secrets: Mapping[str, str], page: Any, callbacks: list[str]
    ) -> None:
        self._owner, self._recipe, self._secrets, self._page, self._callbacks = owner, recipe, secrets, page, callbacks
        self._clock = SystemClock()
        self._deadline = self._clock.monotonic() + recipe.deadline_s
        self._done: set[int] = set()

    def go(self) -> None:
        """Do each step when its page comes; optional ones may not. Raises AuthError, UpstreamError."""
        while not self._callbacks:
            self._look_for_ends()
            step = self._next()
            if step is not None:
                self._do(step)
            elif self._clock.monotonic() > self._deadline:
                raise self._lost()
            else:
                self._page.wait_for_timeout(50)

    def _next(self) -> int | None:
        """The first open step whose page is there; a step behind it waits unless those before are optional."""
        for i, step in enumerate(self._recipe.steps):
            if i in self._done:
                continue
            if self._visible(step.on or step.click):
                return i
            if not step.optional:
                return None
        return None

    def _do(self, number: int) -> None:
        step = self._recipe.steps[number]
        self._done |= set(range(number + 1))
        target = self._visible(step.on)
        if target is not None and step.fill:
            target.fill(self._secrets[step.fill])
        elif target is not None and step.check:
            target.check()
        button = self._visible(step.click)
        if button is not None:
            button.click(no_wait_after=True)
        elif step.click:
            raise self._lost()

    def _visible(self, selectors: list[str]) -> Any:
        """The first selector's element that can be seen, None where none can."""
        for selector in selectors:
            found = self._page.locator(selector).first
            if found.is_visible():
                return found
        return None

    def _look_for_ends(self) -> None:
        name = self._owner.provider.name
        if self._visible(self._recipe.rejected) is not None:
            path = _rejection(self._owner)
            private_folder(path.parent)
            path.write_text(str(self._clock.now().timestamp()), "ascii")
            path.chmod(0o600)
            raise AuthError(
                f"{name}: the login or the password was rejected; it is not tried again", self._owner.vault.login
            )
        if self._visible(self._recipe.second_factor) is not None:
            raise AuthError(
                f"{name}: the provider asks for a second factor: a person is needed", self._owner.vault.login
            )

    def _lost(self) -> UpstreamError:
        """No HTML and no picture is kept: both can show what was typed. The title says which page it was."""
        title = redact(self._page.title())[:80]
        return UpstreamError(
            f"{self._owner.provider.name}: the login steps do not fit the page {title!r}",
            f"adapt them (docs/tokens.md), or {self._owner.vault.login}",
        )

"""Who refreshes: one process at a time, under a kernel lock, after looking whether somebody else has done it already.

Lock, re-read, decide, refresh, write, let go. Everybody else adopts the newer generation.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec.structs import replace

from tradekit.base.crashpoint import crash_point
from tradekit.clock import Clock
from tradekit.errors import AuthError, BrokerError, Busy, TradekitError, UsageError
from tradekit.tokens.provider import Failure, Provider, State
from tradekit.tokens.token import Problem, Token, is_older, retired
from tradekit.tokens.vault import Missing, Vault, me

if TYPE_CHECKING:
    from tradekit.tokens.grant import Client  # loads the network: only where something is due

LOCK_WAIT_S = 60.0
TRIES = 3
RETRY_S = 30.0  # after a failed refresh callers with a valid token leave the provider alone for so long
FIRST_PAUSE_S, LONGEST_WAIT_S = 0.5, 15.0
Did = Literal["fresh", "adopted", "refreshed", "kept"]
Report = Callable[[str, str], None]
_log = logging.getLogger("tradekit.tokens")


class Outcome(NamedTuple):
    """The token to use and how it came: nothing due, somebody else's, our own refresh, or (kept) still valid
    although the refresh failed."""

    token: Token
    did: Did


def _log_report(kind: str, message: str) -> None:
    _log.log(logging.INFO if kind == "note" else logging.WARNING, "%s: %s", kind, message)


class Coordinator:
    """The one owner of a provider's tokens for one client id, in any number of processes.

    `open_client` gives who makes the requests (grant.Client) when one is due; `report(kind, sentence)` gets what a
    human must see: `token-refresh`, `token-login`, `token-outside`. `counts`: requests, refreshes, adoptions, failures.
    """

    def __init__(
        self,
        provider: Provider,
        vault: Vault,
        open_client: "Callable[[], Client]",
        clock: Clock,
        report: Report = _log_report,
    ) -> None:
        self.provider, self.vault, self.clock, self.report = provider, vault, clock, report
        self._open_client = open_client
        self.counts: Counter[str] = Counter()

    def now(self, token: Token) -> datetime:
        """The provider's time."""
        return self.clock.now() + timedelta(seconds=token.skew_s)

    def state(self, token: Token) -> State:
        return self.provider.state(token, self.now(token))

    def ensure(
        self, *, refused: int | None = None, force: bool = False, strict: bool = False, margin_s: float = 0.0
    ) -> Outcome:
        """A token that can be used, refreshed only where that is due.

        `refused`: the generation that met a 401; `force`: refresh whatever its age; `margin_s`: at least so long to
        live. Without `strict` a token that is still valid is good enough when its refresh fails. Raises AuthError (4)
        where somebody has to log in, BrokerError (5) where it may pass, Busy, StoreError.
        """
        before = self.vault.read()
        if self._good(before, refused, force, margin_s) and not self.vault.is_foreign(before):
            if strict and self.state(before).login == "needed":
                raise self._ended(before)
            return Outcome(before, "fresh")
        if not strict and not force and refused is None and self._hopeless(before):
            return Outcome(before, "kept")
        try:
            with self.vault.lock(LOCK_WAIT_S, f"refresh {self.provider.name}"):
                return self._locked(before, refused, force, strict, margin_s)
        except Busy:
            if not strict and refused is None and self._usable(before):
                return Outcome(before, "kept")
            raise

    def log_in(self, code: str, verifier: str | None) -> Token:
        """Tokens for a login's code, stored. Raises AuthError or BrokerError."""
        with self.vault.lock(LOCK_WAIT_S, f"log in to {self.provider.name}"):
            self.vault.prepare()
            try:
                self.counts["requests"] += 1
                grant = self._open_client().exchange(code, verifier)
            except Failure as failure:
                raise self._login_failed(failure) from None
            crash_point("token_response_read")
            old = self._stored()
            return self.vault.write(
                Token(
                    provider=self.provider.name,
                    client_id=self.provider.client_id,
                    access_token=grant.access_token,
                    refresh_token=grant.refresh_token,
                    token_type=grant.token_type,
                    scope=grant.scope,
                    id_token=grant.id_token,
                    issued_at=grant.at,
                    expires_in=grant.expires_in,
                    login_at=grant.at,
                    generation=old.generation + 1 if old else 1,
                    via="login",
                    by=me(),
                    skew_s=grant.skew_s,
                    failures=old.failures if old else 0,
                    retired=retired(old, grant.refresh_token),
                )
            )

    def adopt(self, token: Token, via: str) -> Token:
        """Store a token that came from elsewhere as the next generation, unless what is stored came after it.

        Raises UsageError where it has no refresh token and would take the place of a login that works.
        """
        with self.vault.lock(LOCK_WAIT_S, f"import a token for {self.provider.name}"):
            old = self._stored()
            if old is not None and is_older(token, old):
                return old
            if token.refresh_token is None and old is not None and self.state(old).login in ("ok", "soon"):
                raise UsageError(
                    f"{self.provider.name}: the file has no refresh token, and the login that is stored works",
                    f"tradekit token status; to log in anew: tradekit refresh-token {self.provider.name} --login paste",
                )
            return self.vault.write(
                replace(
                    token,
                    generation=old.generation + 1 if old else 1,
                    via=via,
                    by=me(),
                    problem=None,
                    failures=old.failures if old else 0,
                    retired=retired(old, token.refresh_token),
                )
            )

    # inside the lock

    def _locked(self, before: Token, refused: int | None, force: bool, strict: bool, margin_s: float) -> Outcome:
        token = self.vault.recover() or self.vault.read()
        if self.vault.is_foreign(token):
            token = self._outside(token, max(before.generation, token.generation))
        if token.generation > before.generation and self._good(token, refused, False, margin_s):
            self.counts["adoptions"] += 1
            return Outcome(token, "adopted")
        if token.failures > before.failures and token.problem is not None:  # it failed while we waited
            return self._give_up(token, token.problem, refused, strict)
        if not force and self._good(token, refused, False, margin_s):
            return Outcome(token, "fresh")
        try:
            return self._refresh(token, force=force, early=refused is not None)
        except Failure as failure:
            return self._failed(failure, refused, strict)

    def _refresh(self, token: Token, *, force: bool, early: bool) -> Outcome:
        """Up to three tries. Raises Failure when they are spent or waiting cannot help."""
        self._must_be_logged_in(token, force)
        self.vault.prepare()
        client = self._open_client()
        reread = lost = False
        for left in reversed(range(TRIES)):
            try:
                self.counts["requests"] += 1
                grant = client.refresh(token.refresh_token or "")
                break
            except Failure as failure:
                if failure.kind == "login" and not reread and (other := self._changed(token)) is not None:
                    reread, token = True, other
                    if not self.state(token).due:
                        self.counts["adoptions"] += 1
                        return Outcome(token, "adopted")
                    continue
                failure = self._judged(failure, token, lost)
                if failure.kind not in ("transient", "lost") or not left or (failure.kind == "lost" and lost):
                    raise failure from None
                if failure.kind == "lost" and not self.provider.retry_lost:
                    raise failure from None
                lost = lost or failure.kind == "lost"
                self._pause(TRIES - left, failure.wait_s)
        else:
            raise Failure("transient", f"{self.provider.name}: {TRIES} tries came to nothing")
        crash_point("token_response_read")
        if early:
            self._say_early(token)
        issued = grant.at
        if token.issued_at is not None and token.issued_at <= self.clock.now() + timedelta(seconds=grant.skew_s):
            issued = max(issued, token.issued_at)
        done = self.vault.write(
            replace(
                token,
                access_token=grant.access_token,
                refresh_token=grant.refresh_token or token.refresh_token,
                token_type=grant.token_type,
                scope=grant.scope or token.scope,
                id_token=grant.id_token or token.id_token,
                issued_at=issued,
                expires_in=grant.expires_in,
                generation=token.generation + 1,
                via="refresh",
                by=me(),
                skew_s=grant.skew_s,
                problem=None,
                retired=retired(token, grant.refresh_token or token.refresh_token),
            )
        )
        self.counts["refreshes"] += 1
        return Outcome(done, "refreshed")

    def _must_be_logged_in(self, token: Token, force: bool) -> None:
        """No request where it is known that none can help. Raises Failure."""
        name = self.provider.name
        if token.refresh_token is None:
            raise Failure("login", f"{name}: there is no refresh token")
        ends = self.provider.login_ends(token)
        if ends is not None and self.now(token) >= ends:
            raise Failure("login", f"{name}: the login of {token.login_at:%Y-%m-%d %H:%M}Z has ended")
        if token.problem is not None and token.problem.kind in ("login", "lost") and not force:
            raise Failure(token.problem.kind, token.problem.message)

    def _changed(self, token: Token) -> Token | None:
        """invalid_grant: look once more whether the file has another refresh token by now."""
        try:
            again = self.vault.read()
        except AuthError:
            return None
        if again.refresh_token == token.refresh_token:
            return None
        return self._outside(again, token.generation) if self.vault.is_foreign(again) else again

    def _outside(self, token: Token, generation: int) -> Token:
        """Another program has written into our file: what it wrote is taken over, and said."""
        message = (
            f"{self.provider.name}: another program wrote into {self.vault.path.name}; its token is taken over. "
            "Let it read through `tradekit token serve` or `token watch-file` instead"
        )
        self.report("token-outside", message)
        self.counts["outside"] += 1
        return self.vault.write(replace(token, generation=generation + 1, via="outside", by="another program"))

    def _judged(self, failure: Failure, token: Token, lost: bool) -> Failure:
        """The failure with its likely cause in words."""
        if failure.kind == "lost" and not self.provider.one_use:
            return Failure("transient", failure.message)
        if failure.kind != "login":
            return failure
        if lost or (token.problem is not None and token.problem.kind == "lost"):
            return Failure("login", f"{failure.message}, after an answer was lost: the token had been replaced")
        ends, now = self.provider.login_ends(token), self.now(token)
        when = f"{(ends - now).total_seconds() / 86400:.1f} days before its time" if ends else "though it has no end"
        return Failure(
            "login",
            f"{failure.message}: the refresh token is dead {when}. The likely cause: another program logged in or "
            f"refreshed with the client id {masked(token.client_id)}",
        )

    def _say_early(self, token: Token) -> None:
        state = self.state(token)
        if state.access == "valid" and not state.due:
            left = state.access_left_s / 60
            self.report(
                "token-outside",
                f"{self.provider.name}: the access token was refused {left:.0f} minutes before its end. The likely "
                f"cause: another program refreshed or logged in with the client id {masked(token.client_id)}",
            )

    def _failed(self, failure: Failure, refused: int | None, strict: bool) -> Outcome:
        """Write the failure down, once, so that those who wait do not repeat it."""
        self.counts["failures"] += 1
        token = self.vault.read()
        problem = Problem(kind=failure.kind, message=failure.message, at=self.clock.now())
        known = token.problem is not None and token.problem.kind == problem.kind != "transient"
        if not known:
            self.report("token-login" if failure.kind in ("login", "lost") else "token-refresh", failure.message)
        token = self.vault.write(replace(token, problem=problem, failures=token.failures + 1), keep=False)
        return self._give_up(token, problem, refused, strict)

    def _give_up(self, token: Token, problem: Problem, refused: int | None, strict: bool) -> Outcome:
        if not strict and refused is None and self._usable(token):
            _log.info("%s; the token is valid for another %.0f s", problem.message, self.state(token).access_left_s)
            return Outcome(token, "kept")
        raise self.error(problem)

    def _ended(self, token: Token) -> TradekitError:
        """The access token lives on for some minutes, the login does not: somebody should hear of it now."""
        try:
            self._must_be_logged_in(token, force=False)
        except Failure as failure:
            return self.error(Problem(kind=failure.kind, message=failure.message, at=self.clock.now()))
        return self.error(token.problem or Problem(kind="login", message="a login is needed", at=self.clock.now()))

    def error(self, problem: Problem) -> TradekitError:
        """What a problem is to the caller."""
        name = self.provider.name
        match problem.kind:
            case "login":
                return AuthError(problem.message, self.vault.login)
            case "lost":
                return AuthError(
                    f"{problem.message}; the refresh token may be used up",
                    f"tradekit refresh-token {name} --force tries it once more; else {self.vault.login}",
                )
            case "config":
                return AuthError(
                    problem.message,
                    f"check providers.{name}.client_id and the secret {self.provider.secret_name}; tradekit doctor",
                )
        return BrokerError(problem.message, f"it may pass: tradekit refresh-token {name}")

    def _login_failed(self, failure: Failure) -> TradekitError:
        if failure.kind == "transient":
            return BrokerError(failure.message, f"log in again: {self.vault.login}")
        if failure.kind == "config":
            return self.error(Problem(kind="config", message=failure.message, at=self.clock.now()))
        return AuthError(f"{failure.message}: the code is used up or too old", self.vault.login)

    # looking

    def _good(self, token: Token, refused: int | None, force: bool, margin_s: float) -> bool:
        """Nothing to do for this token, as far as it says itself."""
        if force or (refused is not None and token.generation <= refused):
            return False
        state = self.state(token)
        return state.access == "valid" and not state.due and state.access_left_s >= margin_s

    def _hopeless(self, token: Token) -> bool:
        """Still valid, and a refresh has just failed or cannot help: no call to an API waits for another try."""
        if token.problem is None or not self._usable(token):
            return False
        age = (self.clock.now() - token.problem.at).total_seconds()
        return token.problem.kind != "transient" or 0 <= age < RETRY_S

    def _usable(self, token: Token) -> bool:
        return self.state(token).access == "valid"

    def _stored(self) -> Token | None:
        """The stored token, None where there is none or nobody can read it (a login puts it right)."""
        from tradekit.tokens.vault import Damaged

        try:
            self.vault.recover()
            return self.vault.read()
        except (Missing, Damaged):
            return None

    def _pause(self, tries: int, asked_s: float | None) -> None:
        import random

        pause = FIRST_PAUSE_S * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
        self.clock.sleep(min(max(pause, asked_s or 0.0), LONGEST_WAIT_S))


class Bearer:
    """`token(refresh)` for base.net: the access token, after a 401 one coordinated refresh. For one thread."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._generation: int | None = None

    def __call__(self, refresh: bool = False) -> str:
        """Raises what Coordinator.ensure raises."""
        found = self._coordinator.ensure(refused=self._generation if refresh else None)
        self._generation = found.token.generation
        return found.token.access_token


def masked(client_id: str) -> str:
    """A client id as messages show it."""
    return f"...{client_id[-4:]}" if len(client_id) > 8 else client_id

"""A token file for a program that only reads files: kept fresh, and watched for writes that are not ours."""

import logging
from pathlib import Path

import msgspec

from tradekit.base.files import write_bytes
from tradekit.base.secrets import private_file
from tradekit.errors import AuthError, TradekitError
from tradekit.tokens.coordinator import Coordinator
from tradekit.tokens.formats import Layout, layout_of, parse, render
from tradekit.tokens.token import is_older
from tradekit.tokens.vault import remember

_log = logging.getLogger("tradekit.tokens")


class Watched:
    """`look` brings the file in step with the vault; `margin_s` is the least that its token has to live."""

    def __init__(self, owner: Coordinator, path: Path, layout: Layout | None, margin_s: float) -> None:
        self._owner, self._path, self._margin_s = owner, path, margin_s
        text = private_file(path)
        self.layout: Layout = layout or self._guess(text)
        self._ours = self._first(text)

    def look(self, *, patient: bool = False) -> bool:
        """One look; True where the file was written. `patient`: what fails is logged and tried again next time.

        Raises what Coordinator.ensure raises.
        """
        try:
            self._take_over()
            token = self._owner.ensure(margin_s=self._margin_s).token
        except TradekitError as error:
            if not patient:
                raise
            _log.warning("%s", error.message)
            return False
        data = render(token, self.layout, self._owner.provider.access_s)
        if data == self._ours and self._path.exists():
            return False
        write_bytes(self._path, data)
        self._ours = data
        return True

    def _guess(self, text: str | None) -> Layout:
        if text:
            return layout_of(text.encode())
        return {"schwab": "schwab-py", "tradestation": "expiry"}.get(self._owner.provider.type, "plain")  # type: ignore[return-value]  # a Layout each

    def _first(self, text: str | None) -> bytes | None:
        """What is there already counts as ours where it is a copy of the vault, or where the vault is the newer one."""
        if not text:
            return None
        vault = self._owner.vault.find()
        if vault is None:
            return None
        try:
            found = parse(text.encode(), vault.provider, vault.client_id)
        except ValueError:
            return text.encode() + b"\n"
        newer = found.issued_at and (not vault.issued_at or found.issued_at > vault.issued_at)
        return None if newer and found.refresh_token != vault.refresh_token else text.encode() + b"\n"

    def _take_over(self) -> None:
        """Somebody else wrote into the file: a token newer than ours becomes the next generation, with a warning."""
        text = private_file(self._path)
        if text is None or (self._ours is not None and text.encode() == self._ours.strip()):
            return
        owner = self._owner
        try:
            found = parse(text.encode(), owner.provider.name, owner.provider.client_id)
        except ValueError as error:
            _log.warning("%s was changed by another program: %s; it is written again", self._path, error)
            self._ours = None
            return
        remember(found)
        try:
            known = owner.vault.find()
        except AuthError:
            known = None
        ours = known is not None and found.access_token == known.access_token
        late = known is not None and is_older(found, known)
        if ours or late or (known and known.issued_at and found.issued_at and found.issued_at <= known.issued_at):
            self._ours = None
            return
        if found.refresh_token is None and known is not None and owner.state(known).login in ("ok", "soon"):
            _log.warning("%s has no refresh token now, and our login works: it is written again", self._path)
            self._ours = None
            return
        owner.report(
            "token-outside",
            f"{owner.provider.name}: another program refreshed or logged in and wrote {self._path}; its token is taken "
            "over. Keep it from refreshing by itself: two refreshers kill each other's tokens",
        )
        owner.counts["outside"] += 1
        if found.login_at is None and known is not None:
            found = msgspec.structs.replace(found, login_at=known.login_at)
        owner.adopt(found, "outside")
        self._ours = None

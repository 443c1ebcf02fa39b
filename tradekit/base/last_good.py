"""desk.yaml and universe.yaml as they last made sense: an exit does not wait for somebody to mend a typing error.

Copies lie beside the files, hidden. Only commands that close positions fall back on them, and they say so.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tradekit.base.files import write_text
from tradekit.base.settings_file import Loaded, load_settings, load_universe, settings_from
from tradekit.base.universe_file import universe_from
from tradekit.base.yaml_text import read_text
from tradekit.config import Settings, Symbol
from tradekit.errors import ConfigError

FILES = ("desk.yaml", "universe.yaml")


class Read(NamedTuple):
    """What a desk goes by; `trouble` says what is wrong with its files where it goes by their copies."""

    settings: Loaded
    universe: dict[str, Symbol]
    trouble: ConfigError | None = None


Check = Callable[[Settings], object]


def read_files(
    desk: Path,
    *,
    forgiving: bool = False,
    environ: Mapping[str, str] = os.environ,
    check: Check = lambda settings: None,
) -> Read:
    """Settings and universe of a desk's folder; `forgiving`: those of before where they make no sense now.

    `check` raises ConfigError where settings do not fit this desk. Raises ConfigError, also where there is nothing
    from before.
    """
    try:
        found = Read(load_settings(desk, environ), load_universe(desk))
        check(found.settings.settings)
        return found
    except ConfigError as error:
        if not forgiving:
            raise
        try:
            found = _understood(desk, {name: read_text(copy_of(desk, name)) for name in FILES}, environ)
            check(found.settings.settings)
            return found._replace(trouble=error)
        except ConfigError:
            raise error from None


def _understood(desk: Path, text: Mapping[str, str], environ: Mapping[str, str]) -> Read:
    settings = settings_from(text["desk.yaml"], desk / "desk.yaml", environ)
    return Read(settings, universe_from(text["universe.yaml"], desk / "universe.yaml"))


def keep(desk: Path, *, environ: Mapping[str, str] = os.environ, check: Check = lambda settings: None) -> None:
    """Remember the files: they were read and made sense. A folder that cannot be written is no error.

    What is new is read once more before: somebody may have saved an error since.
    """
    with suppress(OSError, ConfigError):
        text = {name: read_text(desk / name) if (desk / name).exists() else "" for name in FILES}
        new = [
            name for name in FILES if not copy_of(desk, name).exists() or read_text(copy_of(desk, name)) != text[name]
        ]
        if new:
            check(_understood(desk, text, environ).settings.settings)
        for name in new:
            write_text(copy_of(desk, name), text[name])


def copy_of(desk: Path, name: str) -> Path:
    """`.desk.last-good.yaml` of `desk.yaml`."""
    return desk / f".{name.removesuffix('.yaml')}.last-good.yaml"

"""desk.yaml and universe.yaml as they last made sense: an exit does not wait for somebody to mend a typing error.

Copies lie beside the files, hidden. Only commands that close positions fall back on them, and they say so.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tradekit.base.files import write_text
from tradekit.base.settings_file import Loaded, load_settings, load_universe, settings_from
from tradekit.base.universe_file import universe_from
from tradekit.base.yaml_text import read_text
from tradekit.config import Symbol
from tradekit.errors import ConfigError

FILES = ("desk.yaml", "universe.yaml")


class Read(NamedTuple):
    """What a desk goes by; `trouble` says what is wrong with its files where it goes by their copies."""

    settings: Loaded
    universe: dict[str, Symbol]
    trouble: ConfigError | None = None


def read_files(desk: Path, *, forgiving: bool = False, environ: Mapping[str, str] = os.environ) -> Read:
    """Settings and universe of a desk's folder; `forgiving`: those of before where they make no sense now.

    Raises ConfigError, also where there is nothing from before.
    """
    try:
        return Read(load_settings(desk, environ), load_universe(desk))
    except ConfigError as error:
        if not forgiving:
            raise
        try:
            text = {name: read_text(copy_of(desk, name)) for name in FILES}
            settings = settings_from(text["desk.yaml"], desk / "desk.yaml", environ)
            return Read(settings, universe_from(text["universe.yaml"], desk / "universe.yaml"), error)
        except ConfigError:
            raise error from None


def keep(desk: Path) -> None:
    """Remember the files as they are: they were read and made sense. A folder that cannot be written is no error."""
    for name in FILES:
        with suppress(OSError, ConfigError):
            path, copy = desk / name, copy_of(desk, name)
            text = read_text(path) if path.exists() else ""
            if not copy.exists() or read_text(copy) != text:
                write_text(copy, text)


def copy_of(desk: Path, name: str) -> Path:
    """`.desk.last-good.yaml` of `desk.yaml`."""
    return desk / f".{name.removesuffix('.yaml')}.last-good.yaml"

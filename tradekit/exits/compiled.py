"""The exit rules as machine code, for work too big for plain Python: the very same functions, through numba.

Compiling takes seconds, so the result is kept in a folder of the user's. numba looks only at the file of the
outermost function to see whether a copy is stale; here the copies lie under a digest of every source they come from,
and those of older sources go when a new one is made.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from hashlib import blake2s
from pathlib import Path
from typing import Any, TypeVar, cast

from tradekit.base.cache import hold_version
from tradekit.exits import RULES, base, one_bar, plan, target, trailing_stop, walk

F = TypeVar("F", bound=Callable[..., Any])

PARTS: tuple[Callable[..., Any], ...] = (  # what the loops call, innermost first
    base.floor_to, plan.stop_of, plan.target_of, plan.levels_of, plan.begin, target.exit_target,
    trailing_stop.trailing_level, *(rule.price for rule in RULES.values()), one_bar.at_open, one_bar.verdict,
    one_bar.advance, walk.walk,
)  # fmt: skip
KEPT = 4  # versions of the source: this one, and a few to go back to
_registered = False


def can_compile() -> bool:
    """Is numba installed (the extra `fast`)? Nothing is loaded to find out."""
    return importlib.util.find_spec("numba") is not None


def compiled(function: F, folder: Path, parts: tuple[Callable[..., Any], ...] = ()) -> F:
    """The same function as machine code; releases the GIL. Its float results are those of plain Python, bit for bit.

    `folder` is private to the user and holds what was compiled before; `parts` are functions that it calls beside
    the exit rules. Raises ImportError without numba.
    """
    import numba

    global _registered
    if not _registered:
        for part in PARTS:
            numba.extending.register_jitable(part)
        _registered = True
    for part in parts:
        numba.extending.register_jitable(part)
    config: Any = numba.config
    version = digest((function, *parts, *PARTS), numba.__version__)
    config.CACHE_DIR = str(hold_version(folder, version, keep=KEPT))
    return cast(F, numba.njit(cache=True, nogil=True)(function))


def digest(functions: tuple[Callable[..., Any], ...], version: str) -> str:
    """Changes with any source file of the functions, the Python and the numba that compile them."""
    files = sorted({inspect.getsourcefile(function) or "" for function in functions})
    found = blake2s(f"{sys.version} {version}".encode(), digest_size=8)
    for name in files:
        found.update(Path(name).read_bytes())
    return found.hexdigest()

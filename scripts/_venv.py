"""For scripts that need what is installed: go on in .venv, whichever Python they were started with."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"


def enter() -> None:
    """Start again with .venv's Python unless this is it; then tradekit and tests can be imported. Exits 2 without."""
    if Path(sys.prefix).resolve() != PYTHON.parents[1].resolve():
        if not PYTHON.exists():
            print(f"{Path(sys.argv[0]).name}: there is no .venv yet; fix: scripts/setup", file=sys.stderr)
            sys.exit(2)
        os.execv(PYTHON, [str(PYTHON), str(Path(sys.argv[0]).resolve()), *sys.argv[1:]])
    sys.path.insert(0, str(ROOT))

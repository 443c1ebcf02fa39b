"""Imports point down, and heavy modules stay off the paths of reads."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tradekit"
NOUNS = {"__init__", "model", "errors", "clock", "calendar", "money", "metrics", "ids"}
JUDGEMENT = {"scan", "strategies", "decide", "risk", "exits", "schedule"}
BASE = {"base", "config"}
WORLD = {"store", "brokers", "market", "tokens", "llm", "notify"}
PICTURES = {"reports", "analysis"}  # rows in, records out
TOP = {"commands", "cli", "__main__", "web", "bot"}
BELOW = NOUNS | {"config"}
MAY_IMPORT = {
    **dict.fromkeys(NOUNS | {"config"}, BELOW),
    **{name: BELOW | JUDGEMENT | {"base"} for name in JUDGEMENT},
    "base": BELOW | {"base"},
    **{name: BELOW | JUDGEMENT | BASE | {name} for name in WORLD},
    **dict.fromkeys(PICTURES, BELOW | JUDGEMENT | PICTURES),
    "desk": BELOW | JUDGEMENT | BASE | WORLD | PICTURES | {"desk"},
    **{
        name: BELOW | JUDGEMENT | BASE | WORLD | PICTURES | {"desk", "research", "sim"}
        for name in ("research", "sim")
    },
}  # fmt: skip
HEAVY = {
    "pandas",
    "numpy",
    "httpx",
    "keyring",
    "sqlite_utils",
    "rich",
    "yaml",
    "exchange_calendars",
    "pyarrow",
    "numba",
    "telegram",
    "PIL",
}
NUMPY_MAY_BE_LOADED_BY = {"market", "scan", "strategies"}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST, *, top_level: bool) -> Iterator[tuple[str, int]]:
    """(module, line) of what is imported; blocks under TYPE_CHECKING do not count."""
    todo = list(ast.iter_child_nodes(tree))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if top_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "tradekit" else [node.module]
            )
            yield from ((name, node.lineno) for name in names)
        todo += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    tree, own = ast.parse(path.read_text("utf-8")), part(path)
    if own in TOP:
        return
    for module, line in imports(tree, top_level=False):
        head, _, rest = module.partition(".")
        if head == "tradekit" and rest and rest.split(".")[0] not in ("__version__",):
            assert rest.split(".")[0] in MAY_IMPORT[own], f"{path.name}:{line}: {own} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_heavy_at_module_level(path):
    own = part(path)
    allowed = {"numpy"} if own in NUMPY_MAY_BE_LOADED_BY else set()
    for module, line in imports(ast.parse(path.read_text("utf-8")), top_level=True):
        head = module.partition(".")[0]
        assert head not in HEAVY - allowed, f"{path.name}:{line}: {module} at module level"


def test_only_open_names_a_concrete_broker():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if part(path) == "desk"
        for module, _ in imports(ast.parse(path.read_text("utf-8")), top_level=False)
        if module.startswith("tradekit.brokers.") and module != "tradekit.brokers.base"
    }
    assert found <= {"desk/open.py"}


def test_httpx_has_one_importer():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        for module, _ in imports(ast.parse(path.read_text("utf-8")), top_level=False)
        if module.partition(".")[0] == "httpx"
    }
    assert found <= {"base/net.py"}


def test_every_package_is_a_package():
    folders = {path.parent for path in FILES}
    assert not [str(f.relative_to(PACKAGE)) for f in folders if not (f / "__init__.py").is_file()]

"""tradekit version"""

import typer


def version(ctx: typer.Context) -> None:
    """The version of tradekit and of what it stands on."""
    import platform
    import sqlite3
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    from tradekit import __version__
    from tradekit.commands._output import show
    from tradekit.store.schema import VERSION

    row = {
        "tradekit": __version__,
        "schema": VERSION,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    for package in ("typer", "msgspec", "pandas", "exchange_calendars"):
        try:
            row[package] = installed(package)
        except PackageNotFoundError:
            row[package] = "missing"
    show(row, ctx.obj.format)

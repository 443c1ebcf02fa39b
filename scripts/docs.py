"""The pages that are made from the code: docs/commands.md and docs/schema.md."""

import sys
from pathlib import Path
from typing import Any

from tradekit.cli import GLOBAL_HELP, SECTIONS, Entry, command

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100


def commands_page() -> str:
    """Every command's --help, in the order of the command table."""
    parts = ["# Commands", "", "Made from `--help` by `scripts/docs`; change the commands, not this page.", ""]
    parts += ["```", GLOBAL_HELP.rstrip(), "```"]
    for title, section in SECTIONS.items():
        parts += ["", f"## {title}"]
        for name, entry in section.items():
            subs: dict[str, Entry] = (
                {f"{name} {sub}": each for sub, each in entry.items()} if isinstance(entry, dict) else {name: entry}
            )
            for full, each in subs.items():
                parts += ["", f"### {full}", "", "```", help_of(full, each), "```"]
    return "\n".join(parts) + "\n"


def help_of(name: str, entry: Entry) -> str:
    """What `tradekit NAME --help` prints, at a fixed width."""
    program: Any = command(name, entry)
    context = program.context_class(
        program, info_name=f"tradekit {name}", terminal_width=WIDTH, max_content_width=WIDTH
    )
    return "\n".join(line.rstrip() for line in program.get_help(context).rstrip().splitlines())


def schema_page() -> str:
    """The tables of desk.db."""
    from tradekit.store.schema import markdown

    return markdown()


PAGES = {"docs/commands.md": commands_page, "docs/schema.md": schema_page}


def main(words: list[str]) -> int:
    """Write or check the pages; 1 when --check found a stale one."""
    stale = []
    for name, make in PAGES.items():
        path, text = ROOT / name, make()
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in words:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {name}")
    if "--check" in words and stale:
        print(f"stale: {', '.join(stale)}; fix: scripts/docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

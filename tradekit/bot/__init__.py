"""The Telegram bot: a thin frontend that runs the desk's own commands for the people on the desk's list.

`chat` reads what was written, `commands` says what each word runs, `memory` keeps what must survive a kill, `line` is
the only one that speaks to Telegram, `serve` ties them together.
"""

"""The Telegram bot: a thin frontend that runs the desk's own commands for the people on the desk's list.

`chat` reads what was written, `vocabulary` says which words there are, `looks` and `acts` what they run, `memory` keeps
what must survive a kill, `line` is the only one that speaks to Telegram, `clerk` answers, `serve` keeps it going.
"""

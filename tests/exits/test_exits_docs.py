"""docs/exits.md says what the code does: names, priority, plan keys, the table of worked bars."""

import re
from pathlib import Path

from tradekit.exits import NO_STATE, PRIORITY, Bar, Held, judge
from tradekit.exits.base import NO_PLAN
from tradekit.model import ExitPlan

TEXT = (Path(__file__).parents[2] / "docs" / "exits.md").read_text()


def rows(heading):
    """The cells of the first table's rows under a heading."""
    table = TEXT.split(heading, 1)[1].split("\n|", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_rules_stand_in_order_of_priority():
    assert tuple(row[0].strip("`") for row in rows("## The rules, in order of priority")) == PRIORITY


def test_every_key_of_a_plan_is_explained():
    named = {key for row in rows("## The plan") for key in re.findall(r"`(\w+)`", row[0])}
    assert named == set(ExitPlan.__struct_fields__)


def test_the_worked_bars_come_out_as_printed():
    plan = NO_PLAN._replace(stop=99.10, target=102.60, arm=True, trail=0.015, floor=101.30, close_above=110.0)
    examples = rows("### Examples")
    assert len(examples) == 11
    for armed, open_, high, low, close, printed, _ in examples:
        held = Held(100.0, 103.05 if armed == "yes" else 100.0, armed == "yes", 0.0)
        found = judge(held, Bar(60.0, 120.0, *map(float, (open_, high, low, close))), plan, NO_STATE)
        assert printed.startswith(f"{found.rule} at {found.price:.2f}" if found else "nothing")

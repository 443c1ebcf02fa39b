"""docs/risk.md names every rule, in the gate's order, and every setting of the gate."""

import re
from pathlib import Path

from tradekit.config import RiskSettings
from tradekit.risk import checks

TEXT = (Path(__file__).parents[2] / "docs" / "risk.md").read_text(encoding="utf-8")


def test_the_table_lists_every_rule_in_the_order_of_the_gate():
    table = TEXT.split("\n| rule |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.M) == [rule.name for rule in checks(RiskSettings())]


def test_every_setting_is_named():
    missing = [name for name in RiskSettings.__struct_fields__ if f"`{name}`" not in TEXT and f".{name}`" not in TEXT]
    assert missing == []

"""The list of kinds is what the code writes, and docs/runbook.md says what to do about each alert."""

import ast
from pathlib import Path

from tradekit.notify.kinds import ALERTS, OTHERS

ROOT = Path(__file__).resolve().parents[2]


def written(*functions):
    """The constant kinds that the package hands to these functions."""
    found = set()
    for path in (ROOT / "tradekit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            name = getattr(node.func, "id", None)
            if name in functions and isinstance(node.args[1], ast.Constant):
                found.add(node.args[1].value)
    return found


def test_every_alert_of_the_code_has_its_advice():
    found = written("alert", "alert_once", "said_so")
    assert sorted(found - set(ALERTS)) == []
    by_hand = (ROOT / "tradekit" / "desk" / "by_hand.py").read_text("utf-8")  # it has its own way past a full disk
    found |= {name for name in ("exit-by-hand", "order-not-written") if f'"{name}"' in by_hand}
    assert sorted(set(ALERTS) - found - {"test"}) == []


def test_every_switch_is_a_kind_that_is_written():
    assert sorted(set(OTHERS) - written("event") - {"order.adopted", "halt.cleared"}) == []


def test_the_runbook_says_what_to_do_about_each_alert():
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    wanted = [f"| `{name}` | {a.meaning} | {a.action} |" for name, a in sorted(ALERTS.items())]
    assert [row for row in wanted if row not in text] == []

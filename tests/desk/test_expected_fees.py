"""The gate counts with the fees that the order will cost: the venue's rate and the regulators' dated table."""

from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from tests.desk.test_orders import PLAN
from tests.desk.world import NO_COSTS, World, decide
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.open import fees_of

JUNE = datetime(2026, 6, 1, 14, 35, tzinfo=UTC)


def world(path, costs="", desk=""):
    made = World(path, NO_COSTS.replace(", fees: []", costs))
    text = (made.path / "desk.yaml").read_text()
    (made.path / "desk.yaml").write_text(text.replace("desk: {", f"desk: {{{desk}"))
    made.add("AAA", [100] * 390)
    return made


@pytest.mark.parametrize(("costs", "desk", "june", "bought", "sold"), [
    ("", "", False, "0", "0.02"),              # TAF: 100 x 0.000195 = 0.0195, a cent up
    ("", "", True, "0", "0.23"),               # and the SEC's 20.60 a million of 10,000: 0.206
    (", taker: 0.001", "", False, "10", "10.02"),
    (", fees: []", "", True, "0", "0"),
    ("", "currency: EUR, ", True, "0", "0"),
    ("", "calendar: 24/7, timezone: UTC, ", True, "0", "0"),
    (", fees: [{kind: cat, since: 2026-01-01, rate: 0.0001, per: share, side: both}]", "", False, "0.01", "0.01"),
])  # fmt: skip
def test_the_fees_of_a_hundred_shares_at_a_hundred(tmp_path, costs, desk, june, bought, sold):
    with world(tmp_path / "d", costs, desk).desk("09:35") as made:
        if june:
            made.clock.set(JUNE)
        assert fees_of(made, "buy", D(100), D(100)) == D(bought)
        assert fees_of(made, "sell", D(100), D(100)) == D(sold)


@pytest.mark.parametrize(("costs", "refused"), [("", ["room-to-profit"]), (", fees: []", [])])
def test_a_small_order_whose_target_does_not_pay_for_its_fees(tmp_path, costs, refused):
    """One share at 100.31: selling it costs a cent, 0.01 %, as the spread does: three times both is over 0.05 %."""
    made = world(tmp_path / "d", costs)
    with (made.path / "desk.yaml").open("a") as file:
        file.write("sizing: {mode: notional, notional: 150}\n")
    with made.desk("09:35") as desk:
        decide(desk, "AAA", 100.0, **PLAN | {"target": 0.0005})
        found = enter(desk, EnterOptions())
        assert [veto.rule for veto in found.vetoes] == refused
        assert [order.qty for order in found.orders] == ([] if refused else [D(1)])
        if refused:
            assert found.vetoes[0].limits["fees"] == pytest.approx(0.01 / 100.31)

"""What no rule may ever let through, tried with made-up nonsense; and the gate that exits pass."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.risk.book import D, bent, book, held, proposal, quote
from tradekit.config import RiskSettings
from tradekit.risk import checks, exit_gate, judge, refusal

RULES = checks(RiskSettings())
NUMBERS = ("qty", "limit_price", "reference")
NONSENSE = st.sampled_from(
    [None, D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D(0), D(-1), D("1e9"), D("1e30"), float("nan"), "100"]
)
BOOK_NONSENSE = st.sampled_from([None, float("nan"), float("inf"), -1])


@given(field=st.sampled_from(NUMBERS), value=NONSENSE)
@settings(max_examples=60, deadline=None)
def test_no_proposal_with_a_nonsense_number_passes(field: str, value: Any) -> None:
    assert refusal(judge(bent(proposal(), **{field: value}), book(), RULES)) is not None


@given(field=st.sampled_from(("stop_price", "target_price", "score", "max_hold_s")), value=NONSENSE)
@settings(max_examples=60, deadline=None)
def test_a_level_is_absent_or_sound(field: str, value: Any) -> None:
    if value is None or (field, str(value)) in (("score", "0"), ("max_hold_s", "1E+9"), ("max_hold_s", "1E+30")):
        return  # an absent level has rules of its own; a score of 0 or a very long hold is no nonsense
    assert refusal(judge(bent(proposal(), **{field: value}), book(), RULES)) is not None


@given(
    field=st.sampled_from(("equity", "buying_power", "day_pnl", "drawdown", "fee_rate", "loss_streak")),
    value=BOOK_NONSENSE,
)
@settings(max_examples=40, deadline=None)
def test_no_entry_passes_on_a_book_with_a_hole(field: str, value: Any) -> None:
    if field == "day_pnl" and value == -1:
        return
    assert refusal(judge(proposal(), bent(book(), **{field: value}), RULES)) is not None


@pytest.mark.parametrize("field", ["quotes", "bar_end", "bar_seconds", "turnover", "recent_volume"])
def test_unknown_market_data_refuses_an_entry(field):
    assert refusal(judge(proposal(), book(**{field: {}}), RULES)) is not None


@given(
    orders=st.lists(
        st.tuples(
            st.integers(1, 250),
            st.decimals(D(5), D(400), places=2),
            st.sampled_from([f"S{i}" for i in range(12)]),
            st.sampled_from(["0.004", "0.009", "0.03"]),
        ),
        max_size=25,
    ),
    equity=st.decimals(D(5000), D(200000), places=2),
)
@settings(max_examples=40, deadline=None)
def test_no_sequence_of_approved_entries_exceeds_a_limit(orders: list[Any], equity: Decimal) -> None:
    rules = checks(RiskSettings(max_per_scan=100))
    holdings: list[Any] = []
    spent = D(0)
    for qty, price, symbol, stop in orders:
        tape = quote()
        entry = proposal(
            symbol=symbol, qty=D(qty), limit_price=price, reference=price,
            stop_price=price * (1 - D(stop)), target_price=None, sector=None,
        )  # fmt: skip
        state = book(
            equity=equity, buying_power=equity - spent, holdings=tuple(holdings),
            quotes={symbol: bent(tape, symbol=symbol, bid=price * D("0.9998"), ask=price * D("1.0002"))},
            bar_end={symbol: tape.at}, bar_seconds={symbol: 60}, turnover={symbol: 1e9}, recent_volume={symbol: 1e6},
        )  # fmt: skip
        if refusal(judge(entry, state, rules)) is None:
            spent += qty * price
            holdings.append(held(symbol, qty=D(qty), notional=qty * price, working=True, sector=None))
            assert qty * price <= equity * D("0.10")
            assert qty * price * D(stop) <= equity * D("0.005") * D("1.000000001")
    assert spent <= equity * D("0.60")
    assert len(holdings) == len({view.symbol for view in holdings}) <= 6


@pytest.mark.parametrize(("qty", "sellable", "price", "session", "rule"), [
    (D(10), D(10), None, True, None),                 # a market order for all of it
    (D(10), D(10), D("0.01"), True, None),
    (D(11), D(10), D(5), True, "owned"),
    (D(1), D(0), D(5), True, "owned"),
    (D(1), D(-5), D(5), True, "owned"),
    (D(0), D(10), D(5), True, "finite-inputs"),
    (D("NaN"), D(10), D(5), True, "finite-inputs"),
    (D(1), D("NaN"), D(5), True, "owned"),
    (D(1), D(10), D("NaN"), True, "finite-inputs"),
    (D(1), D(10), D(-5), True, "finite-inputs"),
    (D(1), D(10), D(5), False, "market-open"),
])  # fmt: skip
def test_exits_pass_only_owned_shares_sound_numbers_and_a_session(qty, sellable, price, session, rule):
    verdict = exit_gate(qty, sellable, price, in_session=session)
    assert (None if verdict.approved else verdict.rule) == rule

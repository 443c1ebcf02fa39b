"""The last row of a panel as candidate records: who got how far, and why no further."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import NamedTuple

import numpy as np

from tradekit.ids import candidate_id
from tradekit.model import Candidate
from tradekit.money import dec
from tradekit.scan.because import WHY_NOT, because
from tradekit.scan.rank import rank
from tradekit.strategies.base import Array, Mask, Panel, Signals

NO_DATA = ("no-data", "no-history")
NO_SIGNAL, STAGE_2 = "no-signal", "stage-2"


class Head(NamedTuple):
    """What all candidates of one scan have in common."""

    scan_id: str
    session: date
    at: datetime
    strategy: str


def passing(panel: Panel, signals: Signals) -> list[str]:
    """Symbols whose last row passed both stages."""
    return [panel.symbols[i] for i in np.flatnonzero(_passed(signals))]


def candidates(panel: Panel, signals: Signals, head: Head, vetoes: Mapping[str, str]) -> list[Candidate]:
    """One record a symbol, best first. Stage-1 rejects have no score; `vetoes` names those that passed and may not."""
    reasons = _reasons(signals, _passed(signals))
    seen = ~np.isnan(signals.score[-1])
    wide = {name: known(a[-1]) for name, a in signals.features.items()}
    narrow = {name: wide[name] for name in ("change", "surge") if name in wide}
    scores, stops, targets = known(signals.score[-1]), signals.stop, signals.target
    prices = signals.features.get("price", panel.today.price)[-1].tolist()
    id_end = candidate_id("", head.at, head.strategy)
    found = []
    for i, symbol in enumerate(panel.symbols):
        features = {name: column[i] for name, column in (wide if seen[i] else narrow).items()}
        reason = reasons[i] or vetoes.get(symbol)
        found.append(
            Candidate(
                id=symbol + id_end,
                scan_id=head.scan_id,
                session=head.session,
                at=head.at,
                strategy=head.strategy,
                symbol=symbol,
                cap=panel.caps[i] if panel.caps else None,
                price=money(prices[i]),
                score=scores[i],
                passed=reason is None,
                reject_reason=reason,
                because=_sentence(signals.because, reason, features, bool(seen[i])),
                features=features,
                stop_price=None if stops is None else money(stops[-1, i]),
                target_price=None if targets is None else money(targets[-1, i]),
            )
        )
    return sorted(found, key=rank)


def counts(found: Sequence[Candidate]) -> dict[str, int]:
    """How many symbols each stage kept and lost; what goes in comes out or is lost, by reason.

    universe = no_data + stage1_rejected + stage1; stage1 = stage2_rejected + stage2; stage2 = vetoed + passed.
    """
    by_reason: dict[str, int] = {}
    seen = 0
    for candidate in found:
        seen += candidate.score is not None
        if candidate.reject_reason:
            by_reason[candidate.reject_reason] = by_reason.get(candidate.reject_reason, 0) + 1
    no_data = sum(by_reason.get(reason, 0) for reason in NO_DATA)
    passed = sum(candidate.passed for candidate in found)
    stage2 = seen - by_reason.get(STAGE_2, 0)
    return {
        "universe": len(found),
        "no_data": no_data,
        "stage1_rejected": len(found) - no_data - seen,
        "stage1": seen,
        "stage2_rejected": seen - stage2,
        "stage2": stage2,
        "vetoed": stage2 - passed,
        "passed": passed,
    } | {f"reject.{reason}": n for reason, n in sorted(by_reason.items())}


def _passed(signals: Signals) -> Mask:
    number: Mask = ~np.isnan(signals.score[-1])
    return number if signals.passed is None else np.logical_and(number, signals.passed[-1])


def _reasons(signals: Signals, passed: Mask) -> list[str | None]:
    """Each symbol's first reason, None for those that passed."""
    seen = ~np.isnan(signals.score[-1])
    found: list[str | None] = [STAGE_2 if there else NO_SIGNAL for there in seen.tolist()]
    for name, mask in reversed(signals.reject.items()):
        for i in np.flatnonzero(mask[-1]):
            found[i] = name
    for i in np.flatnonzero(passed):
        found[i] = None
    return found


def _sentence(template: str, reason: str | None, features: Mapping[str, float | None], seen: bool) -> str:
    if not seen:
        why = WHY_NOT.get(reason or "", reason or "")
        return because(why, features) if "{" in why else why
    said = because(template, features)
    return f"{said}; {WHY_NOT.get(reason, reason)}" if reason else said


def known(row: Array) -> list[float | None]:
    """Without float noise: ten decimals below 1, four above; None for NaN and infinity."""
    found: list[float | None] = np.where(np.abs(row) < 1, np.round(row, 10), np.round(row, 4)).tolist()
    for i in np.flatnonzero(~np.isfinite(row)):
        found[i] = None
    return found


def money(x: float) -> Decimal | None:
    """A price as Decimal; None for NaN and infinity."""
    return dec(float(x)) if isfinite(x) else None

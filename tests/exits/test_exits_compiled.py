"""The same source, compiled: numba gives the prices that plain Python gives, bit for bit."""

import math
import random

import pytest

from tradekit.exits import RULES, Bar, Held, State
from tradekit.exits.base import Plan, floor_to
from tradekit.exits.target import exit_target
from tradekit.exits.trailing_stop import trailing_level

numba = pytest.importorskip("numba")


def test_every_rule_compiles_and_agrees():
    for shared in (floor_to, exit_target, trailing_level):
        numba.extending.register_jitable(shared)
    dice = random.Random(3)
    for name, rule in RULES.items():
        compiled = numba.njit(rule.price)
        for _ in range(200):
            high = dice.uniform(95, 110)
            bar = Bar(60.0, 120.0, dice.uniform(95, high), high, 94.0, dice.uniform(94, high))
            held = Held(100.0, max(100.0, dice.uniform(95, 110)), dice.random() < 0.5, 0.0)
            floor = dice.choice([101.3, math.nan])
            plan = Plan(99.1, 102.6, dice.random() < 0.5, 0.015, floor, 108.0, 100.0, 110.0, 0.01)
            state = State(*[dice.random() < 0.5 for _ in range(4)])
            plain, fast = rule.price(held, bar, plan, state), compiled(held, bar, plan, state)
            assert plain == fast or (math.isnan(plain) and math.isnan(fast)), name

"""YAML that would hang or kill the process is refused in a moment, with its line; large honest files are read."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradekit.base import yaml_text
from tradekit.base.settings_file import load_settings, settings_from, universe_from
from tradekit.base.yaml_text import DEEPEST, LARGEST, compose, parse, yaml_value
from tradekit.errors import ConfigError


def bomb(width: int, levels: int) -> str:
    """Each list is `width` aliases of the one before: width ** levels values."""
    lines = ["desk: &a0 [x]"]
    lines += [f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels + 1)]
    return "\n".join(lines) + "\n"


BAD = {
    "a bomb": (bomb(9, 9), "desk.yaml:7: over 1,000,000 values"),
    "brackets": ("desk: " + "[" * 200_000, f"desk.yaml:1: nested deeper than {DEEPEST} levels"),
    "braces": ("desk: " + "{a: " * 100_000, f"desk.yaml:1: nested deeper than {DEEPEST} levels"),
    "dashes": ("- " * 100_000 + "x", f"desk.yaml:1: nested deeper than {DEEPEST} levels"),
    "lines": ("".join(f"{' ' * i}a:\n" for i in range(400)), f"nested deeper than {DEEPEST} levels"),
    "size": ("# " + "x" * LARGEST, "it has more than 4 MB"),
    "itself": ("desk: &a [b, *a]", "desk.yaml:1: *a stands inside itself"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_hostile_file_is_refused_in_a_moment(name, line, new_desk):
    text, said = BAD[name]
    desk = new_desk()
    (desk / "desk.yaml").write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_settings(desk, {})
    assert said in caught.value.message
    assert time.process_time() - began < 5  # the bomb took 130 s, the brackets ended the process
    done = line("-C", desk, "config", "show")
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("name", ["a bomb", "brackets", "size", "itself"])
def test_every_yaml_file_is_read_by_the_same_rules(name, line, new_desk):
    text, said = BAD[name]
    said = said.rpartition(": ")[2]
    desk = new_desk()
    (desk / "universe.yaml").write_text(text)
    done = line("-C", desk, "scan")
    assert (done.returncode, said in done.stderr, "universe.yaml" in done.stderr) == (2, True, True), done.stderr
    (desk / "universe.yaml").write_text("large: []\n")
    if name == "brackets":  # a variable is YAML too
        done = line("-C", desk, "config", "show", env={"TRADEKIT_SET__DESK__NAME": "[" * 50_000})
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_universe_cannot_multiply_its_symbols():
    text = f"a: &x [{', '.join(f'S{i}' for i in range(1000))}]\n" + "".join(f"b{i}: *x\n" for i in range(2000))
    with pytest.raises(ConfigError, match="over 1,000,000 values"):
        universe_from(text, yaml_text.Path("universe.yaml"))


@pytest.mark.parametrize(("text", "said"), [
    ("large: [" + "[" * 300 + "]" * 300 + "]", "a list or a mapping is no symbol"),
    ("? [large]\n: [AAPL]", "a cap class must be a word"),
    ("large: [{symbol: AAPL, [sector]: tech}]", "AAPL: a key must be a word"),
])  # fmt: skip
def test_what_is_no_word_in_a_universe_is_told(text, said):
    with pytest.raises(ConfigError, match=said):
        universe_from(text, yaml_text.Path("universe.yaml"))


def test_large_and_deep_is_not_yet_too_much():
    rows = "".join(f"  - {{symbol: S{i}, sector: technology, kind: etf}}\n" for i in range(6000))
    assert len(universe_from("large:\n" + rows, yaml_text.Path("universe.yaml"))) == 6000
    deep = "[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1)
    for _ in range(DEEPEST - 1):
        deep = yaml_value(deep)[0] if isinstance(deep, str) else deep[0]
    assert deep == 1


def test_an_alias_may_be_used():
    text = "exits: {plans: {momentum: &plan {stop: 0.01}, scalp: *plan}}"
    plans = settings_from(text, yaml_text.Path("desk.yaml"), {}).settings.exits.plans
    assert plans["scalp"] == plans["momentum"] and plans["scalp"].stop == 0.01


trees = st.recursive(st.integers(0, 9), lambda below: st.lists(below, min_size=1, max_size=3), max_leaves=30)


def depth(tree: object) -> int:
    return 1 + max(map(depth, tree)) if isinstance(tree, list) else 0


@settings(max_examples=60, deadline=None)
@given(trees, st.integers(1, 6))
def test_the_limit_of_depth_is_exact(tree, limit):
    """Counted by the events (after an `*`) and by the walk over the nodes alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_text, "DEEPEST", limit)
        for text in (f"k: {tree}", f"k: {tree}  # *"):
            try:
                parse(text, yaml_text.Path("x.yaml"), [])
                passed = True
            except ConfigError as error:
                passed = "nested deeper" not in error.message
            assert passed == (depth(tree) + 1 <= limit)
    assert compose("", yaml_text.Path("x.yaml")) is None

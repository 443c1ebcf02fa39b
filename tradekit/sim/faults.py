"""The fault script of a simulated venue: which call gets which fault, keyed by method, path and n-th call."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

import msgspec

from tradekit.errors import UsageError

Stage = Literal["before", "accept", "after"]
SUBMIT = ("POST", "/v1/orders")
READ = ("GET", "/v1/*")
LISTS = ("GET", "/v1/*s")
CANCEL = ("DELETE", "/v1/orders/*")
ANY = ("*", "/v1/*")


class Kind(NamedTuple):
    """One fault: when it strikes, the calls it is meant for, the parameters it knows (with their defaults)."""

    stage: Stage
    calls: tuple[str, str]
    takes: Mapping[str, Any]
    what: str


KINDS: dict[str, Kind] = {
    # before the venue has done anything
    "wait": Kind("before", ANY, {"seconds": 1.0}, "waits before it accepts; a client that has left changes nothing"),
    "drop-before": Kind("before", ANY, {}, "closes the connection, nothing done"),
    "error-before": Kind("before", ANY, {"status": 503, "body": "json"}, "answers an error, nothing done"),
    "unauthorized": Kind("before", ANY, {}, "401"),
    "rate-limit": Kind("before", ANY, {"retry_after": None}, "429, with Retry-After where retry_after is given"),
    "reject": Kind("before", SUBMIT, {"status": 422, "code": "refused", "message": "refused by script"}, "4xx"),
    "held": Kind("before", SUBMIT, {}, "403: the quantity is held by other orders"),
    "duplicate-id": Kind("before", SUBMIT, {}, "422: the client id must be unique"),
    "unknown-order": Kind("before", CANCEL, {}, "404: no such order, nothing cancelled"),
    # the venue does what it should not
    "accept-twice": Kind("accept", SUBMIT, {}, "two orders for one submit; not where client ids are unique"),
    "lookup-lag": Kind("accept", SUBMIT, {"seconds": 10.0, "listing": True}, "accepted, but not found for so long"),
    "partial-then-cancel": Kind("accept", SUBMIT, {"qty": None, "price": None}, "fills a part, cancels the rest"),
    "fill-now": Kind("accept", SUBMIT, {"qty": None, "price": None}, "fills at once, inside the answer"),
    "late-reject": Kind("accept", SUBMIT, {"seconds": 1.0, "message": "rejected late"}, "accepted, then rejected"),
    "fill-after-cancel": Kind("accept", CANCEL, {"seconds": 0.0, "qty": None, "price": None},
                              "the cancel is confirmed, then the order fills"),
    "ignore-cancel": Kind("accept", CANCEL, {}, "says yes to the cancel and forgets it"),
    # the venue did its part, the answer goes wrong
    "drop-after": Kind("after", ANY, {}, "done, then closes the connection"),
    "error-after": Kind("after", ANY, {"status": 500, "body": "json"}, "done, then answers an error"),
    "truncate": Kind("after", ANY, {"at": 0, "of": "body"}, "cuts the answer at this byte (of: body or response)"),
    "slow": Kind("after", ANY, {"seconds": 1.0}, "sends the body in pieces over so many seconds"),
    "wait-after": Kind("after", ANY, {"seconds": 1.0}, "done, then waits before it answers"),
    "body": Kind("after", ANY, {"form": "html"}, "another body: html, malformed, huge, empty, list, deep or nan"),
    "stale": Kind("after", READ, {"age_s": 10.0}, "answers as of so many seconds ago"),
    "empty": Kind("after", LISTS, {}, "a well-formed empty list"),
    "forget": Kind("after", LISTS, {"age_s": 3600.0}, "leaves out rows older than this"),
    "duplicate-rows": Kind("after", LISTS, {}, "every row twice: duplicate acks, duplicate fills"),
    "reverse-rows": Kind("after", LISTS, {}, "rows in the wrong order"),
    "short-count": Kind("after", LISTS, {}, "drops the last row, keeps the count"),
    "unknown-status": Kind("after", ("*", "/v1/orders*"), {"value": "pending_recall"}, "a status nobody knows"),
    "extra-field": Kind("after", ANY, {"name": "x_new_field"}, "a field nobody knows"),
    "no-order-id": Kind("after", SUBMIT, {}, "the answer has no order id"),
    "wrong-order-id": Kind("after", SUBMIT, {"value": "P999999"}, "the answer names another order id"),
    "wrong-order": Kind("after", ("*", "/v1/orders*"), {"symbol": "XXXX"}, "the answer is about another symbol"),
    "wrong-account": Kind("after", ANY, {"value": "somebody-else"}, "the answer is about another account"),
}  # fmt: skip
BODIES = ("json", "html", "empty")
FORMS = ("html", "malformed", "huge", "empty", "list", "deep", "nan")


class Rule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of the script.

    It strikes from the `nth` call (counted from 1, of those that match) on, `times` times; 0 is for ever. `where`
    compares fields of the submitted order (symbol, side, type, client_order_id ...).
    """

    kind: str
    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    where: dict[str, str] = {}
    seconds: float | None = None
    status: int | None = None
    body: str | None = None
    form: str | None = None
    retry_after: float | str | None = None
    code: str | None = None
    message: str | None = None
    qty: str | None = None
    price: str | None = None
    listing: bool | None = None
    at: int | None = None
    of: Literal["body", "response"] | None = None
    age_s: float | None = None
    value: str | None = None
    name: str | None = None
    symbol: str | None = None
    seen: int = 0  # matching calls so far

    @property
    def stage(self) -> Stage:
        return KINDS[self.kind].stage

    def get(self, name: str) -> Any:
        """A parameter, or its default."""
        value = getattr(self, name)
        return KINDS[self.kind].takes[name] if value is None else value

    def checked(self, client_ids: str) -> "Rule":
        """The rule with its default calls. UsageError for an unknown kind or a parameter that it does not know."""
        kind = KINDS.get(self.kind)
        if kind is None:
            raise UsageError(f"no fault {self.kind!r}", f"one of {', '.join(KINDS)}")
        common = {"kind", "method", "path", "nth", "times", "where", "seen"}
        for field in self.__struct_fields__:
            if field not in common and getattr(self, field) is not None and field not in kind.takes:
                raise UsageError(f"fault {self.kind}: it has no {field}", f"it knows {', '.join(kind.takes) or 'none'}")
        if self.body not in (None, *BODIES) or self.form not in (None, *FORMS):
            raise UsageError(f"fault {self.kind}: no body {self.body or self.form!r}", f"{BODIES}, {FORMS}")
        if self.kind == "accept-twice" and client_ids == "unique":
            raise UsageError("fault accept-twice: this venue keeps client ids unique", "--profile open-only or none")
        if self.nth < 1 or self.times < 0:
            raise UsageError(f"fault {self.kind}: nth counts from 1, times from 0", "")
        self.method, self.path = self.method or kind.calls[0], self.path or kind.calls[1]
        return self

    def strikes(self, method: str, path: str, order: Mapping[str, Any]) -> bool:
        """Does this call get the fault? A call that matches is counted."""
        if self.method not in ("*", method) or not fnmatchcase(path, self.path):
            return False
        if any(str(order.get(name)) != wanted for name, wanted in self.where.items()):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)


class Faults:
    """The rules in force, in the order in which they were given."""

    def __init__(self, rules: Iterable[Rule] = (), client_ids: str = "unique") -> None:
        self._client_ids = client_ids
        self.rules: list[Rule] = []
        self.add(*rules)

    def add(self, *rules: Rule | Mapping[str, Any]) -> None:
        """More rules, as records or mappings. UsageError for one that makes no sense; then none is added."""
        read = [rule if isinstance(rule, Rule) else read_rule(rule) for rule in rules]
        self.rules += [rule.checked(self._client_ids) for rule in read]

    def clear(self) -> None:
        self.rules = []

    def of(self, method: str, path: str, order: Mapping[str, Any]) -> list[Rule]:
        """The faults that this call gets."""
        return [rule for rule in self.rules if rule.strikes(method, path, order)]

    @property
    def looks_back(self) -> bool:
        """Is there a rule that needs to know how things were?"""
        return any(rule.kind == "stale" for rule in self.rules)


def read_rule(row: Any) -> Rule:
    """A rule from decoded JSON. Raises UsageError."""
    try:
        return msgspec.convert(row, Rule)
    except msgspec.ValidationError as error:
        raise UsageError(f"fault script: {error}", "docs/sim.md") from None


def read_script(text: str | bytes) -> list[Rule]:
    """The rules of a JSON file: one array. Raises UsageError."""
    try:
        rows = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"fault script: {error}", "one JSON array of rules: docs/sim.md") from None
    if not isinstance(rows, list):
        raise UsageError("fault script: not an array", "one JSON array of rules: docs/sim.md")
    return [read_rule(row) for row in rows]

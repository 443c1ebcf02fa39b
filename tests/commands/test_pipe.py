"""Of a piped record only the id counts."""

from io import StringIO

import pytest

from tradekit.commands._pipe import ids_from
from tradekit.errors import UsageError


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ()),
        (" \n\n", ()),
        ("[]", ()),
        ('{"id": "a"}\n{"id": "b", "score": 3}\n', ("a", "b")),
        ('[{"id": "a"}, {"id": "b"}]', ("a", "b")),
        ('{\n  "id": "a"\n}\n{\n  "id": "b"\n}\n', ("a", "b")),  # as jq writes them
        ('{"id": "a"}\n{"id": "a"}\n', ("a",)),
        ('\ufeff{"id": "a"}\r\n', ("a",)),
    ],
)
def test_records_in_every_shape(text, ids):
    assert ids_from("-", "candidates", StringIO(text)) == ids


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hello", 1),
        ('{"id": "a"}\nhello\n', 2),
        ('{"id": "a"}\n\n{"name": "b"}', 3),
        ('{"id": 7}', 1),
        ("null", 1),
        ('{"id": "a"', 1),
        ("[" * 100000, 1),
    ],
)
def test_garbage_names_its_line(text, line):
    with pytest.raises(UsageError, match=f"stdin line {line} "):
        ids_from("-", "candidates", StringIO(text))


def test_only_a_dash_reads():
    assert ids_from(None, "candidates", StringIO("x")) is None
    with pytest.raises(UsageError):
        ids_from("AAPL", "candidates", StringIO("x"))

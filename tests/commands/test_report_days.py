"""Which day a report is about when nobody says it."""


def test_a_new_desk_can_be_asked_on_a_weekend(new_desk, run):
    """Its only run is of a Saturday: the last session is Friday's."""
    clock, desk = {"TRADEKIT_CLOCK": "2026-02-14T12:00:00Z"}, new_desk()
    assert run("config", "set", "risk.max_positions", "3", "-C", desk, env=clock).returncode == 0
    done = run("report", "daily", "-C", desk, env=clock)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Friday 2026-02-13")

"""Decide, refresh, adopt, give up: one process against a provider that misbehaves."""

import json
from datetime import timedelta

import pytest

from tests.tokens.conftest import log_in
from tradekit.errors import AuthError, BrokerError
from tradekit.tokens.coordinator import Bearer


@pytest.fixture
def bot(provide, own):
    """Somebody has logged in to Schwab."""
    found = own(provide("schwab"))
    log_in(found.owner, found.idp)
    return found


@pytest.fixture
def rotating(provide, own):
    """Somebody has logged in to a provider whose refresh tokens work once."""
    found = own(provide("tradestation", one_use=True))
    log_in(found.owner, found.idp)
    return found


@pytest.mark.parametrize(("minutes", "did"), [(0, "fresh"), (24.9, "fresh"), (25, "refreshed"), (31, "refreshed")])
def test_an_access_token_is_refreshed_at_25_of_30_minutes(bot, clock, minutes, did):
    clock.sleep(minutes * 60)
    assert bot.owner.ensure().did == did


def test_a_share_of_the_lifetime_for_others(rotating, clock):
    clock.sleep(16.5 * 60)  # of 20 minutes: 25/30 are 16 min 40 s, less 5 s
    assert rotating.owner.ensure().did == "fresh"
    clock.sleep(5)
    assert rotating.owner.ensure().did == "refreshed"


def test_a_refresh_keeps_the_login_time_and_counts_the_generation(bot, clock):
    before = bot.owner.vault.read()
    clock.sleep(1600)
    after = bot.owner.ensure().token
    assert (before.generation, after.generation) == (1, 2)
    assert after.login_at == before.login_at
    assert after.issued_at == before.issued_at + timedelta(seconds=1600)
    assert after.refresh_token == before.refresh_token  # Schwab gives the same one back


def test_a_rotating_refresh_token_is_stored(rotating, clock):
    before = rotating.owner.vault.read()
    clock.sleep(1200)
    after = rotating.owner.ensure().token
    assert after.refresh_token != before.refresh_token
    clock.sleep(1200)
    assert rotating.owner.ensure().did == "refreshed"
    assert rotating.idp.counts["reuses"] == 0


def test_an_answer_without_a_refresh_token_keeps_the_old_one(bot, clock):
    clock.sleep(1600)
    bot.idp.script({"kind": "bare"})
    assert bot.owner.ensure().token.refresh_token == bot.owner.vault.read().refresh_token
    clock.sleep(1600)
    assert bot.owner.ensure().did == "refreshed"


@pytest.mark.parametrize("kind", ["busy", "error", "html", "drop"])
def test_what_may_pass_is_tried_three_times(bot, clock, kind):
    clock.sleep(1600)
    bot.idp.script({"kind": kind, "seconds": 2}, {"kind": kind, "seconds": 2})
    assert bot.owner.ensure(strict=True).did == "refreshed"
    assert bot.owner.counts["requests"] == 4  # the login's one, and three


def test_then_an_alert_and_5_and_the_old_token_stays(bot, clock):
    clock.sleep(1600)
    before = bot.owner.vault.read()
    bot.idp.script(*[{"kind": "error"}] * 3)
    with pytest.raises(BrokerError, match="answered 500"):
        bot.owner.ensure(strict=True)
    assert [kind for kind, _ in bot.alerts] == ["token-refresh"]
    after = bot.owner.vault.read()
    assert (after.access_token, after.generation) == (before.access_token, before.generation)
    assert after.problem.kind == "transient"


def test_a_token_that_is_still_valid_is_used_when_its_refresh_fails(bot, clock):
    clock.sleep(1600)  # due, and valid for 200 s
    bot.idp.script(*[{"kind": "error"}] * 3)
    assert bot.owner.ensure().did == "kept"
    requests = bot.idp.counts["token_requests"]
    assert bot.owner.ensure().did == "kept"  # the provider is left alone for a while
    assert bot.idp.counts["token_requests"] == requests
    clock.sleep(300)
    assert bot.owner.ensure().did == "refreshed"


def test_a_lost_answer_is_asked_for_again_where_the_old_token_may_be_used(bot, clock):
    clock.sleep(1600)
    bot.idp.script({"kind": "lost"})
    assert bot.owner.ensure(strict=True).did == "refreshed"


def test_a_lost_answer_of_a_one_use_token_wants_a_login(rotating, clock):
    clock.sleep(1300)
    rotating.idp.script({"kind": "lost"})
    with pytest.raises(AuthError, match="may be used up") as raised:
        rotating.owner.ensure(strict=True)
    assert "--login" in raised.value.hint
    assert rotating.idp.counts["reuses"] == 0  # presenting it again would have revoked the login
    with pytest.raises(AuthError):
        rotating.owner.ensure(strict=True)
    assert rotating.idp.counts["token_requests"] == 2  # and nothing is sent again by itself
    with pytest.raises(AuthError, match="had been replaced"):
        rotating.owner.ensure(force=True)


def test_a_lost_answer_inside_the_overlap_is_asked_for_once_more(provide, own, clock):
    bot = own(provide("tradestation", one_use=True, overlap_s=30), retry_lost=True)
    log_in(bot.owner, bot.idp)
    clock.sleep(1300)
    bot.idp.script({"kind": "lost"})
    assert bot.owner.ensure(strict=True).did == "refreshed"
    clock.sleep(1300)
    bot.idp.script({"kind": "lost"}, {"kind": "lost"})  # once, not twice
    with pytest.raises(AuthError):
        bot.owner.ensure(strict=True)


def test_half_an_answer_counts_as_lost(rotating, clock):
    clock.sleep(1300)
    rotating.idp.script({"kind": "garbled"})
    with pytest.raises(AuthError, match="may be used up"):
        rotating.owner.ensure(strict=True)


def test_another_login_kills_ours_and_the_cause_is_named(bot, clock):
    clock.sleep(1600)
    bot.idp.log_in("sim-client-id")
    with pytest.raises(AuthError, match="another program logged in or refreshed") as raised:
        bot.owner.ensure(strict=True)
    assert raised.value.hint == "tradekit refresh-token schwab --login paste"
    assert [kind for kind, _ in bot.alerts] == ["token-login"]
    requests = bot.idp.counts["token_requests"]
    for _ in range(3):
        with pytest.raises(AuthError):
            bot.owner.ensure(strict=True)
    assert bot.idp.counts["token_requests"] == requests  # a dead token is not sent again
    assert len(bot.alerts) == 1
    log_in(bot.owner, bot.idp)
    assert bot.owner.ensure().did == "fresh"


def test_invalid_grant_looks_again_before_it_gives_up(bot, clock, monkeypatch):
    """Another tradekit on a file system without locks stored a newer login while our request was under way."""
    clock.sleep(1600)
    family = bot.idp.log_in("sim-client-id")
    new = bot.idp.tokens_of(family)
    inner = bot.owner._open_client()

    class Late:
        def refresh(self, token):
            if token != new["refresh_token"]:
                stored = bot.owner.vault.read()
                from msgspec.structs import replace

                bot.owner.vault.write(
                    replace(stored, access_token=new["access_token"], refresh_token=new["refresh_token"],
                            issued_at=clock.now(), generation=stored.generation + 1)
                )  # fmt: skip
            return inner.refresh(token)

    bot.owner._open_client = Late
    found = bot.owner.ensure(strict=True)
    assert (found.did, found.token.access_token) == ("adopted", new["access_token"])
    assert not bot.alerts


def test_a_wrong_client_secret_is_said_as_such(bot, clock, monkeypatch):
    clock.sleep(1600)
    monkeypatch.setenv("TRADEKIT_SECRET_SCHWAB_CLIENT_SECRET", "not-it")
    with pytest.raises(AuthError, match="invalid_client") as raised:
        bot.owner.ensure(strict=True)
    assert "schwab-client-secret" in raised.value.hint
    monkeypatch.setenv("TRADEKIT_SECRET_SCHWAB_CLIENT_SECRET", "sim-client-secret")
    assert bot.owner.ensure(strict=True).did == "refreshed"  # nothing stands in the way once it is right


@pytest.mark.parametrize(("after", "login"), [
    (timedelta(days=5, hours=23), "ok"),
    (timedelta(days=6), "soon"),
    (timedelta(days=7) - timedelta(seconds=1), "soon"),
    (timedelta(days=7), "needed"),
    (timedelta(days=7, seconds=1), "needed"),
])  # fmt: skip
def test_the_login_at_six_and_seven_days(bot, clock, after, login):
    clock.sleep(after.total_seconds())
    assert bot.owner.state(bot.owner.vault.read()).login == login
    if login == "needed":
        requests = bot.idp.counts["token_requests"]
        with pytest.raises(AuthError, match="has ended"):
            bot.owner.ensure(strict=True)
        assert bot.idp.counts["token_requests"] == requests
    else:
        assert bot.owner.ensure(strict=True).did == "refreshed"


def edit(vault, **fields):
    tree = json.loads(vault.path.read_text())
    tree.update(fields)
    vault.path.write_text(json.dumps({key: value for key, value in tree.items() if value is not None}))


@pytest.mark.parametrize("issued_at", [None, "2026-02-13T16:00:00Z", "yesterday"], ids=["missing", "future", "no time"])
def test_without_a_time_to_believe_a_token_counts_as_expired_and_one_refresh_mends_it(bot, clock, issued_at):
    clock.sleep(60)
    edit(bot.owner.vault, issued_at=issued_at)
    state = bot.owner.state(bot.owner.vault.read())
    assert (state.access, state.due) == ("expired", True)
    assert bot.owner.ensure().did == "refreshed"
    assert bot.owner.ensure().did == "fresh"
    assert bot.idp.counts["refreshes"] == 1


def test_a_jwt_says_otherwise(bot, clock):
    from base64 import urlsafe_b64encode

    claims = json.dumps({"iat": int(clock.now().timestamp()), "exp": int(clock.now().timestamp()) + 1200}).encode()
    jwt = f"eyJh.{urlsafe_b64encode(claims).decode().rstrip('=')}.sig"
    edit(bot.owner.vault, issued_at=None, access_token=jwt)
    state = bot.owner.state(bot.owner.vault.read())
    assert (state.access, state.access_left_s, state.due) == ("valid", 1200.0, False)


@pytest.mark.parametrize("skew", [-3600, 90, 86400])
def test_the_clock_skew_comes_from_the_servers_date(bot, clock, skew):
    clock.sleep(1600)
    bot.idp.script({"kind": "skewed", "seconds": skew})
    token = bot.owner.ensure().token
    assert token.skew_s == skew
    state = bot.owner.state(token)
    assert (state.access, state.due) == ("valid", False)
    assert bot.owner.ensure().did == "fresh"
    clock.sleep(1490)
    assert bot.owner.ensure().did == "fresh"
    clock.sleep(6)
    assert bot.owner.ensure().did == "refreshed"


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=-2)])
def test_a_clock_that_is_set_right_costs_one_refresh(bot, clock, jump):
    clock._at += jump  # the host's clock was wrong when this token was stored
    bot.idp.date_skew_s = -jump.total_seconds()
    bot.owner.ensure(force=True)
    clock._at -= jump
    bot.idp.date_skew_s = 0.0
    before = bot.idp.counts["refreshes"]
    assert bot.owner.ensure().did == "refreshed"
    assert bot.owner.ensure().did == "fresh"
    assert bot.idp.counts["refreshes"] == before + 1


def test_a_401_refreshes_once_and_others_adopt(bot, clock, own):
    token = Bearer(bot.owner)
    first = token()
    other = Bearer(own_again(bot, own))
    assert other() == first
    bot.idp.drop_access()
    second = token(True)
    assert second != first
    assert other(True) == second  # adopted
    assert bot.idp.counts["refreshes"] == 1
    assert any("refused 30 minutes before its end" in text for _, text in bot.alerts)


def own_again(bot, own):
    from types import SimpleNamespace

    server = SimpleNamespace(
        provider=bot.idp, authorize_url=bot.owner.provider.authorize_url, token_url=bot.owner.provider.token_url
    )
    return own(server).owner


def test_two_client_ids_do_not_wait_for_each_other(bot, provide, own, clock):
    from tradekit.tokens.vault import Vault

    other = Vault(bot.owner.vault.folder, "schwab", "another-client", kind="schwab")
    assert other.path != bot.owner.vault.path
    with other.lock(0, "a long refresh"):
        clock.sleep(1600)
        assert bot.owner.ensure().did == "refreshed"


def test_a_third_provider_from_desk_yaml_alone(provide, own, clock):
    bot = own(
        provide("tradestation", one_use=True, access_s=600),
        name="acme",
        client_auth="basic",
        pkce=True,
        login_s=86400.0,
    )
    log_in(bot.owner, bot.idp)
    assert bot.owner.vault.path.name.startswith("acme-")
    clock.sleep(501)
    assert bot.owner.ensure().did == "refreshed"
    clock.sleep(86400 * 6 / 7)
    assert bot.owner.state(bot.owner.vault.read()).login == "soon"

"""Fifty real processes meet an expired token; the winner is killed; readers look on."""

import os
import signal

import pytest

from tests.tokens.conftest import desk_yaml, log_in
from tests.tokens.race import race
from tests.tokens.test_vault import make_token
from tradekit.clock import SystemClock


@pytest.mark.parametrize("repeat", range(5))
def test_fifty_processes_cause_one_refresh(repeat, tmp_path):
    found = race(racers=50, folder=tmp_path)
    assert (found.requests, found.refreshes, found.reuses) == (1, 1, 0)
    assert (found.served, found.failed, found.torn) == (50, 0, 0)
    assert found.alive


@pytest.mark.parametrize(("crash", "requests"), [
    ("token_response_read", 2),  # the answer died with its reader: asked for again inside the overlap
    ("token_tmp_written", 1),  # the temporary file is whole: the next one finishes the rename
    ("token_renamed", 1),
])  # fmt: skip
def test_the_winner_is_killed_and_the_next_takes_over(crash, requests, tmp_path):
    found = race(racers=50, crash=crash, overlap_s=30, folder=tmp_path)
    assert (found.killed, found.served, found.failed, found.torn) == (1, 49, 0, 0)
    assert found.requests == requests
    assert found.seconds < 30


def test_an_answer_that_died_with_its_reader_wants_a_login_where_tokens_work_once(tmp_path):
    found = race(racers=20, crash="token_response_read", folder=tmp_path)
    assert (found.killed, found.served, found.failed) == (1, 0, 19)
    assert found.requests == 2  # one finds out, the others take its word


def test_the_naive_client_does_break(tmp_path):
    """The checker bites: without the lock the login is lost."""
    found = race("naive", racers=10, folder=tmp_path)
    assert found.requests == 10
    assert found.reuses > 0
    assert not found.alive


@pytest.mark.parametrize("point", ["token_response_read", "token_tmp_written", "token_renamed"])
def test_a_killed_command_leaves_the_old_token_or_the_new_one_whole(point, new_desk, provide, run, own):
    server = provide("schwab", at=SystemClock())
    desk = new_desk()
    desk_yaml(desk, server)
    bot = own(server, at=SystemClock())
    log_in(bot.owner, bot.idp)
    old = bot.owner.vault.read()
    done = run("-C", desk, "refresh-token", "schwab", "--force", env={"TRADEKIT_CRASHPOINT": point})
    assert done.returncode == -signal.SIGKILL
    now = bot.owner.vault.read()
    assert now.generation == (2 if point == "token_renamed" else 1)
    assert (now.access_token == old.access_token) == (point != "token_renamed")
    again = run("-C", desk, "refresh-token", "schwab", "--force")
    assert again.returncode == 0, again.stderr
    assert bot.owner.vault.read().generation == (3 if point == "token_renamed" else 2)


def test_readers_never_see_a_torn_file(state, tmp_path):
    """A writer as fast as the disk allows, and readers beside it."""
    from tradekit.tokens.vault import Vault

    vault = Vault(state, "schwab", "sim-client-id")
    vault.write(make_token(generation=1))
    writer = os.fork()
    if writer == 0:
        try:
            for n in range(2, 120):
                vault.write(make_token(generation=n, access_token=f"a-{n}-" + "x" * (n * 40)))
        finally:
            os._exit(0)
    seen, reads = 0, 0
    while os.waitpid(writer, os.WNOHANG) == (0, 0):
        token = vault.read()
        assert token.generation >= seen
        assert token.generation == 1 or token.access_token.endswith("x" * (token.generation * 40))
        seen, reads = token.generation, reads + 1
    assert reads > 50

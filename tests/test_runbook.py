"""docs/runbook.md and the files for operators: commands that run, files that say what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "scripts" / "deploy"


def test_every_command_of_the_runbook_runs(tmp_path):
    env = {**os.environ, "RUNBOOK_HOME": str(tmp_path), "TRADEKIT": f"{sys.executable} -m tradekit"}
    done = subprocess.run(
        [ROOT / "scripts" / "runbook-check"], capture_output=True, text=True, timeout=120, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "desk" / "desk.db.before-restore").exists()
    assert (tmp_path / "move" / "bars.db").exists()
    assert list((tmp_path / "units").glob("*.service")) and list((tmp_path / "timers").glob("*.timer"))


def test_commands_in_the_text_exist():
    from tradekit.cli import COMMANDS

    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    for words in re.findall(r"`tradekit (?:-C \S+ )?([a-z-]+)(?: ([a-z-]+))?", text):
        entry = COMMANDS.get(words[0])
        assert entry is not None, words
        assert not isinstance(entry, dict) or words[1] in entry, words


def test_the_container_is_not_root_and_cannot_write_its_own_root():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["desk"]
    assert (compose["read_only"], compose["user"], compose["cap_drop"]) == (True, "10001:10001", ["ALL"])
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert "\nUSER tradekit\n" in dockerfile and "HEALTHCHECK" in dockerfile and 'CMD ["supervise"]' in dockerfile


def test_the_health_check_goes_by_the_supervisors_last_word(new_desk, tmp_path):
    import json

    from tradekit.clock import SystemClock, iso
    from tradekit.store import open_store

    desk, program = new_desk(), tmp_path / "bin" / "tradekit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tradekit "$@"\n')
    program.chmod(0o755)

    def healthy(state):
        store = open_store(desk / "desk.db")
        now = iso(SystemClock().now())
        row = {"state": state, "pid": 1, "since": now, "at": now, "next": None, "every_s": 30}
        store.meta.set("supervisor", json.dumps(row))
        store.close()
        env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        return subprocess.run([DEPLOY / "healthy", desk], env=env, timeout=60, check=False).returncode

    assert (healthy("awake"), healthy("asleep"), healthy("stopped")) == (0, 0, 1)

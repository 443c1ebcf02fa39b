"""docs/runbook.md and the files for operators: commands that run, files that say what they promise."""

import json
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


INSTRUCTIONS = {
    "FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"
}  # fmt: skip


def instructions():
    """(stage, instruction, words) of the Dockerfile, continued lines joined."""
    stage, found = -1, []
    for line in re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text()).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        found.append((stage, word, rest.strip()))
    return found


def test_the_dockerfile_is_one_that_can_be_built():
    """By a reader of its lines; scripts/runbook-check --image builds it with buildah and runs it."""
    found = instructions()
    assert {word for _, word, _ in found} <= INSTRUCTIONS
    stages = {rest.partition(" AS ")[2] for _, word, rest in found if word == "FROM"}
    for _, word, rest in found:
        if word == "FROM":
            assert re.fullmatch(r"[a-z]+:\d[\w.-]+( AS \w+)?", rest), rest  # a version, not latest
        elif word == "COPY" and rest.startswith("--from="):
            assert rest.split()[0].removeprefix("--from=") in stages
        elif word == "COPY":
            assert (ROOT / rest.split()[0]).exists(), rest
        elif word in ("ENTRYPOINT", "CMD", "VOLUME"):
            assert json.loads(rest), rest  # the form without a shell: signals arrive
        elif word == "RUN" and "pip install" in rest:
            assert "--no-cache-dir" in rest
    last = [(word, rest) for stage, word, rest in found if stage == found[-1][0]]
    order = [word for word, _ in last]
    assert order.index("USER") > max(n for n, word in enumerate(order) if word in ("RUN", "COPY"))
    assert json.loads(dict(last)["HEALTHCHECK"].partition("CMD ")[2]) == ["healthy"]
    assert dict(last)["STOPSIGNAL"] == "SIGTERM"


def test_the_image_is_not_made_of_the_checkouts_own_leftovers():
    assert {".*", "tests", "**/__pycache__"} <= set((ROOT / ".dockerignore").read_text().split())
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["desk"]
    assert (DEPLOY / compose["build"]["context"]).resolve() == ROOT
    assert (ROOT / compose["build"]["dockerfile"]).exists()
    volumes = json.loads(next(rest for _, word, rest in instructions() if word == "VOLUME"))
    mounted = [volume.partition(":")[2] for volume in compose["volumes"]]
    assert mounted == volumes  # all that is written outside of /tmp


def test_the_health_check_goes_by_the_supervisors_last_word(new_desk, tmp_path):
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

"""The table of a task's life, and its picture in the docs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardwise.errors import InternalError
from shardwise.run import transitions
from shardwise.run.transitions import Cause, State


def test_what_has_no_row_is_an_internal_error() -> None:
    for state in State:
        for cause in Cause:
            if cause in transitions.TABLE[state]:
                assert transitions.step(state, cause, 1) in State
            else:
                with pytest.raises(InternalError, match=f"task 1 is {state}"):
                    transitions.step(state, cause, 1)


def test_every_state_can_be_reached_and_only_done_failed_and_split_are_ends() -> None:
    reached, new = set(), {transitions.BEGIN}
    while new:
        reached |= new
        new = {after for state in new for after in transitions.TABLE[state].values()} - reached
    assert reached == set(State) == set(transitions.TABLE)
    assert {state for state, row in transitions.TABLE.items() if not row} == {State.DONE, State.FAILED, State.SPLIT}


def test_the_diagram_in_the_docs_is_the_table() -> None:
    command = [sys.executable, "-m", "shardwise.run.transitions"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == transitions.mermaid()
    docs = Path(__file__).parents[2] / "docs" / "design.md"
    if docs.exists():
        _, marker, rest = docs.read_text(encoding="utf-8").partition("<!-- states -->")
        assert marker, f"{docs} has no block between <!-- states --> and <!-- /states -->"
        block = rest.partition("<!-- /states -->")[0].strip()
        assert block == f"```mermaid\n{printed.strip()}\n```", "paste the output of python -m shardwise.run.transitions"

"""The machines file, and the machine that is chosen."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardwise.errors import UsageError
from shardwise.plan.fits import fit_laws
from shardwise.plan.machines import Machine, Need, cheapest, load_machines, offers
from shardwise.plan.outlook import Outlook

EXAMPLE = Path(__file__).parents[2] / "examples" / "machines.toml"

machines = st.builds(
    Machine,
    name=st.sampled_from(["a", "b", "c"]),
    cores=st.integers(1, 64),
    memory=st.integers(1, 64).map(lambda gb: gb << 30),
    price=st.floats(0, 10),
    speed=st.floats(0.2, 4),
    network=st.none() | st.floats(1e6, 1e10),
    most=st.integers(1, 12),
)


def outlook(parallel: float, serial: float, pairs: float, scale: float = 7.0, size: int | None = None) -> Outlook:
    counts = [1, 2, 4, 8]
    seconds = [parallel / n + serial + pairs * (n - 1) for n in counts]
    fit = fit_laws(counts, seconds).usl
    assert fit is not None
    return Outlook(fit, None, scale, start=1.5, serial=4.0, size=size, here=4, most=10_000)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(machines, min_size=1, max_size=4),
    st.tuples(st.floats(10, 1e4), st.floats(0, 100), st.floats(0, 1)),
    st.none() | st.floats(1, 5e4),
    st.integers(0, 4),
)
def test_the_cheapest_is_what_looking_at_all_finds(
    types: list[Machine], parts: tuple[float, float, float], deadline: float | None, worker_gb: int
) -> None:
    parallel, serial, pairs = parts
    need = Need(1 << 30, worker_gb << 30)
    seen = outlook(parallel, serial, pairs, size=10**11)
    found = [offer for machine in types for offer in offers(machine, seen, need)]
    best = cheapest(found, deadline)

    costs = []
    for machine in types:
        for nodes in range(1, machine.most + 1):
            each = machine.cores
            while each and (1 << 30) + each * (worker_gb << 30) > machine.memory:
                each -= 1
            if not each or machine.memory < (1 << 30):
                continue
            n = each * nodes
            work = 7 * (parallel / n + serial + pairs * (n - 1)) / machine.speed
            if machine.network is not None:
                work = max(work, 1e11 / (nodes * machine.network))
            seconds = 5.5 / machine.speed + work
            if deadline is None or seconds <= deadline * (1 - 1e-6):
                costs.append(machine.price * nodes * seconds / 3600)
            elif seconds <= deadline * (1 + 1e-6):
                return  # as good as equal: rounding decides
    if best is None:
        assert not costs
    else:
        assert best.cost == pytest.approx(min(costs), rel=1e-6, abs=1e-12)
        assert best.memory <= best.machine.memory
        assert best.seconds.value <= (deadline or math.inf)


def test_fewer_workers_than_cores_where_memory_is_short() -> None:
    small = Machine("small", 8, 4 << 30, 1.0)
    (first, *_) = offers(small, outlook(100, 0, 0), Need(1 << 30, 1 << 30))
    assert (first.workers, first.memory) == (3, 4 << 30)
    assert offers(small, outlook(100, 0, 0), Need(1 << 30, 4 << 30)) == []
    assert offers(small, outlook(100, 0, 0), Need(8 << 30, 0)) == []


def test_of_equal_costs_the_fastest() -> None:
    free = Machine("free", 4, 64 << 30, 0.0, most=5)
    best = cheapest(offers(free, outlook(100, 1, 0), Need(0, 1)))
    assert best is not None and best.nodes == 5


def test_the_example_can_be_read() -> None:
    found = load_machines(str(EXAMPLE))
    small, large = found.types
    assert found.currency == "USD"
    assert small == Machine("small", 4, 16_000_000_000, 0.17)
    assert large == Machine("large", 16, 64_000_000_000, 0.68, 1.1, 1_250_000_000.0, 8)


GOOD = '[machines.a]\ncores = 2\nmemory = "4GB"\nprice = 1.0\n'


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("", "lists no machines", "[machines.small]"),
        ("[machines]", "lists no machines", "[machines.small]"),
        (GOOD + "[machines.a\n", "is no TOML: .*line 5", "[machines.small]"),
        ('[machines.a]\ncores = 2\nmemory = "4GB"\n', r"line 1, \[machines.a\]: price is missing", "price = "),
        (GOOD + "corse = 3\n", r"line 5, \[machines.a\]: 'corse' means nothing", "did you mean cores?"),
        (GOOD + '[machines."b c"]\n' + GOOD[13:].replace("2", "0"), r"line 6, \[machines.b c\]: cores is 0", "from 1"),
        (GOOD.replace('"4GB"', '"4 apples"'), r"line 3, \[machines.a\]: memory is '4 apples'", "16GB"),
        (GOOD.replace('"4GB"', "true"), r"line 3, \[machines.a\]: memory is True", "16GB"),
        (GOOD.replace("1.0", "-1"), r"line 4, \[machines.a\]: price is -1", "0 or more"),
        (GOOD.replace("1.0", "nan"), r"line 4, \[machines.a\]: price is nan", "0 or more"),
        (GOOD + "speed = 0\n", r"line 5, \[machines.a\]: speed is 0", "above 0"),
        (GOOD + 'network = "fast"\n', r"line 5, \[machines.a\]: network is 'fast'", "16GB"),
        (GOOD + "most = 2.5\n", r"line 5, \[machines.a\]: most is 2.5", "whole number"),
        ("currency = 3\n" + GOOD, "line 1: currency is 3", "USD"),
        ("machine = 3\n" + GOOD, "line 1: 'machine' means nothing here", "did you mean machines?"),
        ("[machines]\na = 3\n", "line 2.*'a' is no table", "[machines.small]"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_table(tmp_path: Path, text: str, message: str, fix: str) -> None:
    path = tmp_path / "machines.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        load_machines(str(path))
    assert str(path) in raised.value.message
    assert fix in raised.value.fix


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_machines(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b'currency = "\xa3"')
    with pytest.raises(UsageError, match="not UTF-8 text: byte 12"):
        load_machines(str(tmp_path / "latin.toml"))


def test_reading_is_never_faster_than_the_network() -> None:
    seen = outlook(100, 0, 0, size=10**12)
    assert seen.seconds(8, network=1e9).value == pytest.approx(1000 + 5.5)
    assert seen.seconds(8).value == pytest.approx(7 * 100 / 8 + 5.5)
    assert np.isfinite(seen.seconds(8, network=1e9).value)

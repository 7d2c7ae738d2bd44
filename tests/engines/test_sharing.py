"""Programs travel to each host once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shardwise.engines import mail
from shardwise.engines.sharing import Programs


def programs() -> Programs:
    made = Programs()
    made.add("p", b"program", ("/path",))
    return made


def kinds(letters: list[tuple[str, bytes]]) -> list[tuple[str, str]]:
    return [(agent, mail.read(message)[0]) for agent, message in letters]


def test_one_agent_of_a_host_is_sent_it_and_the_others_are_told_where_it_is() -> None:
    made = programs()
    assert kinds(made.needed("a", "host", "p", found=True)) == [("a", "program")]
    assert made.needed("b", "host", "p", found=True) == []
    assert kinds(made.needed("c", "other host", "p", found=True)) == [("c", "program")]
    assert kinds(made.kept("a", "host", "p", "/file")) == [("b", "look")]
    assert kinds(made.needed("d", "host", "p", found=True)) == [("d", "look")]


def test_who_does_not_find_it_is_sent_it() -> None:
    made = programs()
    made.needed("a", "host", "p", found=True)
    made.kept("a", "host", "p", "/file")
    assert kinds(made.needed("b", "host", "p", found=False)) == [("b", "program")]


@given(st.lists(st.tuples(st.sampled_from(["need", "keep", "die"]), st.integers(0, 4)), max_size=30))
def test_whoever_dies_all_others_get_it(steps: list[tuple[str, int]]) -> None:
    made, alive, asked, have, sent = programs(), set(range(5)), set(), set(), set()

    def deliver(letters: list[tuple[str, bytes]]) -> None:
        for agent, message in letters:
            sent.add(int(agent))
            if mail.read(message)[0] == "look":
                have.add(int(agent))

    for what, agent in steps:
        if agent not in alive:
            continue
        if what == "need" and agent not in asked:
            asked.add(agent)
            deliver(made.needed(str(agent), "host", "p", found=True))
        elif what == "keep" and agent in sent - have:
            have.add(agent)
            deliver(made.kept(str(agent), "host", "p", "/file"))
        elif what == "die":
            alive.discard(agent)
            deliver(made.gone(str(agent)))
    while todo := (sent - have) & alive:
        have |= todo
        for agent in todo:
            deliver(made.kept(str(agent), "host", "p", "/file"))
    assert asked & alive <= have

"""The vectorised search for records agrees with a state machine that looks at one byte after another."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shardwise.data.text.records import UNQUOTED, BatchCutter, QuoteRules, RecordScanner, whole_lines

DOUBLED = QuoteRules(b",", b'"', b'"')
ESCAPED = QuoteRules(b",", b'"', b"\\")
BLANK_DELIMITED = QuoteRules(b" ", b'"', b'"')
TEXT = st.lists(st.sampled_from([b"a", b",", b'"', b'"', b"\n", b" ", b"\r", b"\\"]), max_size=60).map(b"".join)


def record_ends(text: bytes, rules: QuoteRules) -> list[int]:
    """Newlines outside quotes, by DuckDB's states: S field start, B one blank after it, P plain, Q quoted, U closed."""
    state, ends = "S", []
    blank = b" " not in rules.delimiters
    doubled = rules.escape == rules.quote
    for position, octet in enumerate(text[i : i + 1] for i in range(len(text))):
        if state == "Q":
            state = "U" if octet == rules.quote else "E" if octet == rules.escape else "Q"
        elif state == "E":
            state = "Q"
        elif octet == b"\n":
            ends.append(position)
            state = "S"
        elif octet == b"\r" or octet in [bytes([d]) for d in rules.delimiters]:
            state = "S"
        elif rules.quote and octet == rules.quote:
            state = "Q" if state in "SB" or (state == "U" and doubled) else "P"
        elif octet == b" " and blank and state in "SU":
            state = "B" if state == "S" else "U"
        else:
            state = "P"
    return ends


@settings(deadline=None, max_examples=1500)
@given(text=TEXT, rules=st.sampled_from([DOUBLED, ESCAPED, BLANK_DELIMITED, UNQUOTED]), size=st.integers(1, 70))
@example(text=b'"a" "b\n"\n', rules=DOUBLED, size=70)
@example(text=b'"\\\\"\n', rules=ESCAPED, size=70)
@example(text=b'"\\\n"\n', rules=ESCAPED, size=3)
@example(text=b'x"\n"\n"\n', rules=DOUBLED, size=2)
def test_record_ends(text: bytes, rules: QuoteRules, size: int) -> None:
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    scanner, found, base = RecordScanner(rules, b"\n"), [], 0
    for block in whole_lines(chunks, b"\n"):
        found += [base + end for end in scanner.ends(block).tolist()]
        base += len(block)
    assert base == len(text)
    assert found == record_ends(text, rules)


@settings(deadline=None, max_examples=500)
@given(text=TEXT, start=st.integers(0, 5), step=st.integers(1, 30), size=st.integers(1, 70))
def test_batches_are_the_records_that_start_in_them(text: bytes, start: int, step: int, size: int) -> None:
    starts = [start] + [start + end + 1 for end in record_ends(text, DOUBLED)]
    total = start + len(text)
    batches = -(-total // step)
    cutter = BatchCutter(DOUBLED, b"\n", step=step, position=start)
    for block in whole_lines([text[i : i + size] for i in range(0, len(text), size)], b"\n"):
        cutter.feed(block)
    cuts = cutter.finish(batches).tolist()
    expected = [min((s for s in starts if s >= k * step), default=total) for k in range(batches)] + [total]
    assert cuts == expected

"""The workers that are there: which is idle, which has which attempt, which is about to die, what memory is claimed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from shardwise.errors import InternalError
from shardwise.run.policies import elsewhere


@dataclass(slots=True)
class Slot:
    """A worker. A condemned one was told to die and gets no more work."""

    number: int
    host: str
    attempt: int | None = None
    ahead: int | None = None  # the attempt that begins here when that one has ended by itself
    condemned: bool = False
    shares: int = 0  # of its host's memory that it holds: those of its attempt, or of one that is dying


class Slots:
    """All slots of a run. A number, once lost, never comes back, in whatever order the news arrives.

    Parameters
    ----------
    shares : int
        That the memory of a host is divided into; as many as there are slots on it where these are more.
    """

    def __init__(self, shares: int = 1) -> None:
        self.most = 0  # that were there at the same time
        self.idle: list[int] = []  # heap of numbers
        self.unfollowed: dict[int, None] = {}  # busy ones that have nothing ahead: who has been busy longest first
        self._there: dict[int, Slot] = {}
        self._gone: set[int] = set()
        self._shares = shares
        self.most_shares = max(shares, 1)  # that the memory of any host has
        self._on_host: Counter[str] = Counter()
        self._most_on_host: dict[str, int] = {}
        self._claimed: Counter[str] = Counter()  # shares, by host

    def __len__(self) -> int:
        return len(self._there)

    def __getitem__(self, number: int) -> Slot:
        return self._there[number]

    def add(self, number: int, host: str) -> None:
        """Note a new slot; one that is known or was lost already is no news."""
        if number not in self._there and number not in self._gone:
            self._there[number] = Slot(number, host)
            self.most = max(self.most, len(self._there))
            self._on_host[host] += 1
            self._most_on_host[host] = max(self._most_on_host.get(host, 0), self._on_host[host])
            self.most_shares = max(self.most_shares, self._most_on_host[host])
            heappush(self.idle, number)

    def known_lost(self, number: int) -> bool:
        """Say whether ``lose`` was told already."""
        return number in self._gone

    def lose(self, number: int) -> Slot | None:
        """Note that a slot is gone; gives it as it was, or None if it had never come."""
        self._gone.add(number)
        slot = self._there.pop(number, None)
        if slot is not None:
            self._on_host[slot.host] -= 1
            self._claimed[slot.host] -= slot.shares
            self.unfollowed.pop(number, None)
            if slot.attempt is None and not slot.condemned:
                self.idle.remove(number)
                heapify(self.idle)
        return slot

    def shares_of(self, host: str) -> int:
        """How many shares the memory of a host has."""
        return max(self._shares, self._most_on_host.get(host, 0))

    @property
    def idle_hosts(self) -> set[str]:
        """Hosts of idle slots."""
        return {self._there[number].host for number in self.idle}

    def take(self, failed_on: Slot | None, shares: int = 1, host: str | None = None) -> Slot | None:
        """Give an idle slot away: the lowest, of ``host`` where that is given, or one that is elsewhere than where the
        task failed before.

        None where no host of an idle slot has as many shares left; a host that is free of attempts always has.
        """
        if failed_on is None and host is None and self.idle and self._has_left(self._there[self.idle[0]].host, shares):
            number: int | None = heappop(self.idle)  # nearly always
        else:
            number = self._sought(failed_on, shares, host)
        if number is None:
            return None
        slot = self._there[number]
        slot.shares = min(shares, self.shares_of(slot.host))
        self._claimed[slot.host] += slot.shares
        self.unfollowed[number] = None
        return slot

    def send_ahead(self, number: int, attempt: int) -> None:
        """Note what follows the attempt on a slot."""
        self._there[number].ahead = attempt
        del self.unfollowed[number]

    def take_back(self, number: int) -> None:
        """Note that nothing follows the attempt on a slot."""
        slot = self._there[number]
        slot.ahead = None
        if not slot.condemned:
            self.unfollowed[number] = None

    def release(self, number: int) -> Slot:
        """Take the attempt off a slot, which is at the one that was sent ahead then, or idle; one that is condemned
        holds memory until it is lost."""
        slot = self._there[number]
        slot.attempt, slot.ahead = slot.ahead, None
        self.unfollowed.pop(number, None)
        if slot.attempt is not None:
            self._claimed[slot.host] -= slot.shares - 1
            slot.shares = 1
            self.unfollowed[number] = None
        elif not slot.condemned:
            self._claimed[slot.host] -= slot.shares
            slot.shares = 0
            heappush(self.idle, number)
        return slot

    def condemn(self, number: int) -> bool:
        """Note that a slot will die, and give it no more work. False: that was known."""
        slot = self._there[number]
        known, slot.condemned = slot.condemned, True
        self.unfollowed.pop(number, None)
        if not known and slot.attempt is None:
            self.idle.remove(number)
            heapify(self.idle)
        return not known

    def _sought(self, failed_on: Slot | None, shares: int, host: str | None) -> int | None:
        passed: list[int] = []
        places = self._in_order(shares, passed)
        if failed_on is not None:
            number = elsewhere(places, failed_on.number, failed_on.host)
        else:
            number = next((number for number, at in places if host in (None, at)), None)
        for other in passed:
            if other != number:
                heappush(self.idle, other)
        return number

    def _in_order(self, shares: int, passed: list[int]) -> Iterator[tuple[int, str]]:
        """Idle slots where memory is left, and their hosts: the lowest first. Taken off the queue into ``passed``."""
        while self.idle:
            passed.append(number := heappop(self.idle))
            host = self._there[number].host
            if self._has_left(host, shares):
                yield number, host

    def _has_left(self, host: str, shares: int) -> bool:
        whole = self.shares_of(host)
        return self._claimed[host] + min(shares, whole) <= whole

    def validate(self, attempts: dict[int, int], ahead: dict[int, int]) -> None:
        """Raise InternalError unless exactly ``attempts`` ({attempt: slot}) are on slots, and the rest is idle; and
        exactly those ``ahead`` follow them."""
        if {slot.ahead: number for number, slot in self._there.items() if slot.ahead is not None} != ahead:
            raise InternalError(f"slots {self._there} do not agree with attempts {ahead}, which were sent ahead")
        if {slot.attempt: number for number, slot in self._there.items() if slot.attempt is not None} != attempts:
            raise InternalError(f"slots {self._there} do not agree with attempts {attempts}")
        idle = [number for number, slot in self._there.items() if slot.attempt is None and not slot.condemned]
        if sorted(idle) != sorted(self.idle):
            raise InternalError(f"slots {sorted(idle)} are idle, but {sorted(self.idle)} are in the queue")
        if self._gone & self._there.keys():
            raise InternalError(f"slots {self._gone & self._there.keys()} are there and gone")
        busy = [slot.number for slot in self._there.values() if slot.attempt is not None and not slot.condemned]
        if sorted(self.unfollowed) != sorted(number for number in busy if self._there[number].ahead is None):
            raise InternalError(f"slots {list(self.unfollowed)} are said to have nothing ahead, of {self._there}")
        if any(slot.ahead is not None for number, slot in self._there.items() if number not in busy):
            raise InternalError(f"an attempt was sent ahead to a slot that is idle or condemned: {self._there}")
        claimed: Counter[str] = Counter()
        for slot in self._there.values():
            claimed[slot.host] += slot.shares
            if slot.number in idle and slot.shares:
                raise InternalError(f"slot {slot.number} is idle and holds {slot.shares} shares of memory")
        if +claimed != +self._claimed or any(claimed[host] > self.shares_of(host) for host in claimed):
            raise InternalError(f"slots hold {claimed} shares of memory, but {self._claimed} were given")

"""How long the parts of a cluster wait for each other before they give each other up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waits:
    """All in seconds.

    Parameters
    ----------
    poll : float
        An agent that has no news says so after this time, so that the driver knows that it lives.
    silence : float
        A driver gives up an agent that says nothing for so long: the link may be cut, though neither end was told.
    orphan : float
        An agent that no driver has asked for news for so long ends itself, and its worker.
    head : float
        A scheduler, head or master that does not answer for so long is gone.
    close : float
        Agents are given this long to say that their workers have ended, and the cluster to take its slots back.
    """

    poll: float = 5.0
    silence: float = 15.0
    orphan: float = 20.0
    head: float = 10.0
    close: float = 15.0

"""The other process of a probe: ``python -m shardwise.storage.probe_writer``; its starter speaks to it in pickles."""

from __future__ import annotations

import pickle
import sys
import threading
from typing import cast

from shardwise.storage.opening import open_store
from shardwise.storage.probe import THREADS, compete
from shardwise.storage.remote import FsspecStore


def main() -> None:
    """Take part in rounds until the pipe ends."""
    asked, answered = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what libraries print is not ours to say

    def say(what: object) -> None:
        pickle.dump(what, answered)
        answered.flush()

    url, options = pickle.load(asked)
    store = cast(FsspecStore, open_store(url, options))
    while True:
        try:
            name, size = pickle.load(asked)
        except EOFError:
            return

        def wait_for_the_word() -> None:
            say("ready")
            pickle.load(asked)

        say(compete(store, name, size, THREADS, threading.Barrier(THREADS + 1, action=wait_for_the_word)))


if __name__ == "__main__":
    main()

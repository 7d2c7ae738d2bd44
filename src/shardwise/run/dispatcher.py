"""Calls of functions on the slots of an engine, in the order in which they come, for as long as somebody wants.

The scheduler carries out a graph that is known before it starts, and commits; here nothing is known and nothing is
kept. What they share are the policies: who pays for a death, and how many slots may be lost for nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections import deque

from shardwise import records
from shardwise.compute.programs.call import CallProgram
from shardwise.compute.task import EPHEMERAL, Outcome, Output, TaskSpec
from shardwise.engines.protocol import Engine, Finished, SlotDown, SlotUp, Want
from shardwise.errors import EngineError, ShardwiseError, WorkerError
from shardwise.run.at_exit import finish_at_exit
from shardwise.run.calls import Call, CallLost, ExecutorBroken, Place, caused, ending, settle
from shardwise.run.messages import SlotLost
from shardwise.run.policies import blame, patience

IDLE_SECONDS = 60.0
"""An engine that has nothing to tell is asked again after this time."""

_FIXES = {
    "crash": "mend what kills it, or allow more tries (retries)",
    "memory": "give the call less to hold, or allow more (memory)",
    "timeout": "give the call less to do, or allow more time (timeout)",
}


class Dispatcher:
    """Gives calls to slots. `submit`, `finish`, `abort` and `join` may be called from any thread.

    Parameters
    ----------
    engine : Engine
        Not open yet. A thread of the dispatcher opens it, and closes it in the end.
    want : Want
        What to ask it for.
    retries : int
        How often a call whose worker died is tried again.
    timeout : float, optional
        Seconds that a call may take.
    """

    def __init__(self, engine: Engine, want: Want, retries: int, timeout: float | None) -> None:
        self.broken: EngineError | None = None
        self._engine = engine
        self._want = want
        self._retries = retries
        self._timeout = timeout
        self._near = getattr(engine, "reach", "network") != "network"
        self._waiting: deque[Call] = deque()
        self._places: dict[int, Place] = {}
        self._lost = self._most = 0  # slots lost for nothing since the last outcome; slots at the same time
        self._attempts = 0
        self._idle = 0  # slots for which nothing waits
        self._program = ""
        self._directory = ""
        self._finishing = self._aborting = self._closed = False
        self._lock = threading.RLock()  # an executor may be collected, and finish this, wherever memory is taken
        self._thread = threading.Thread(target=self._run, name="shardwise-dispatch")
        self._started = False

    # --- any thread ------------------------------------------------------------------------------------------------

    def submit(self, *calls: Call) -> None:
        """Take calls.

        Raises
        ------
        RuntimeError
            No more are taken.
        """
        with self._lock:
            if self.broken is not None:
                raise caused(ExecutorBroken, self.broken)
            if self._finishing:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if calls and not self._started:
                finish_at_exit(self)
                self._started = True
                self._thread.start()
            for call in calls[: self._idle]:  # a worker waits for it: it has begun
                call.future.set_running_or_notify_cancel()
            self._idle -= min(self._idle, len(calls))
            self._waiting.extend(calls)
        self._engine.wake()

    def finish(self, cancel: bool = False) -> None:
        """Take no more calls; end when all are done. ``cancel``: those that wait are cancelled."""
        with self._lock:
            self._finishing = True
            dropped = [call for call in self._waiting if cancel and not call.future.running()]  # not what died once
            self._waiting = deque(call for call in self._waiting if not cancel or call.future.running())
        for call in dropped:
            call.future.cancel()
            call.future.set_running_or_notify_cancel()
        self._engine.wake()

    def abort(self) -> None:
        """Cancel what waits, and kill what is under way."""
        self._aborting = True
        self.finish(cancel=True)

    def join(self) -> None:
        """Wait for the end, if it ever began."""
        if self._started and threading.current_thread() is not self._thread:
            self._thread.join()

    # --- the dispatcher's thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._open()
            while not self._is_done():
                self._dispatch()
                if self._is_done():  # what waited had been cancelled
                    break
                for event in self._engine.wait(self._patience()):
                    self._hear(event)
                self._kill_overdue()
        except ShardwiseError as error:
            self._break(error)
        except BaseException as error:  # nobody else would tell who waits
            self._break(EngineError(f"{type(error).__name__}: {error}", "make another executor"), error)
        finally:
            self._close()

    def _open(self) -> None:
        import cloudpickle

        if self._near:
            self._directory = tempfile.mkdtemp(prefix="shardwise-")
        self._engine.open(self._want)
        self._program = self._engine.put(cloudpickle.dumps(CallProgram()))

    def _is_done(self) -> bool:
        with self._lock:
            idle = not any(place.call for place in self._places.values())
            return self._aborting or (self._finishing and not self._waiting and idle)

    def _patience(self) -> float:
        due = [place.overdue for place in self._places.values() if place.overdue is not None and not place.killed]
        return max(0.0, min([IDLE_SECONDS, *(at - time.monotonic() for at in due)]))

    def _dispatch(self) -> None:
        """Give waiting calls to idle slots."""
        for slot, place in self._places.items():
            if place.call is None and not self._give(slot, place):
                break
        with self._lock:
            self._idle = 0 if self._waiting else sum(place.call is None for place in self._places.values())

    def _give(self, slot: int, place: Place) -> bool:
        """Give a slot the next call that nobody has cancelled; whether there was one."""
        while True:
            with self._lock:
                if not self._waiting:
                    return False
                call = place.call = self._waiting.popleft()
            if call.deaths or call.future.running() or call.future.set_running_or_notify_cancel():
                self._send(slot, place, call)
                return True
            place.call = None

    def _send(self, slot: int, place: Place, call: Call) -> None:
        self._attempts += 1
        place.attempt = self._attempts
        place.overdue = None if self._timeout is None else time.monotonic() + self._timeout
        message = place.order(call, self._near)
        given = Output("call", 0, len(message), "", message)
        where = f"{self._directory}/{place.attempt}"
        number, want = place.attempt, self._want
        task = (EPHEMERAL, "call", number, number, self._program, 0, 1, where, (given,), self._directory)
        spec = TaskSpec(*task, threads=want.threads, memory=want.memory, measured=False)
        self._engine.send(slot, records.to_json(spec).encode(), want.memory)

    def _hear(self, event: object) -> None:
        match event:
            case SlotUp(slot, host):
                self._places[slot] = Place(host)
                self._most = max(self._most, len(self._places))
            case Finished(slot, outcome) if slot in self._places:
                self._lost = 0
                ended = records.from_json(Outcome, outcome)
                call = self._places[slot].free()
                if call is not None:
                    self._end(call, ended)
            case SlotDown(slot) if slot in self._places:
                place = self._places.pop(slot)
                self._mourn(event, place, place.free())

    def _end(self, call: Call, outcome: Outcome) -> None:
        if outcome.logs:
            with contextlib.suppress(Exception):  # it may be closed, or not take these letters
                print(*outcome.logs, sep="\n", flush=True)
        directory = f"{self._directory}/{outcome.attempt}"
        try:
            settle(call, *ending(outcome, directory))
        except BaseException as error:  # what came back cannot be unpickled here
            settle(call, None, error)
        if any(output.data is None for output in outcome.outputs):
            shutil.rmtree(directory, ignore_errors=True)

    def _mourn(self, down: SlotDown, place: Place, call: Call | None) -> None:
        """A worker is gone."""
        overdue = self._timeout if place.killed else None
        failure = blame(SlotLost(time.monotonic(), down.slot, down.kind, down.reason), overdue)
        if call is not None and failure.kind != "engine":
            call.deaths += 1
        if call is None:
            pass
        elif failure.kind == "timeout" or call.deaths > self._retries:
            times = f"{call.deaths} times in a row, " if call.deaths > 1 else ""
            lost = WorkerError(times + failure.message, _FIXES.get(failure.kind, failure.fix))
            settle(call, None, caused(CallLost, lost))
        else:
            with self._lock:
                self._waiting.appendleft(call)
        if call is None or failure.kind == "engine":
            self._lost += 1
            if self._lost > patience(self._most):
                raise EngineError(f"{self._lost} slots were lost in a row; the last time, {failure.message}")

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for slot, place in self._places.items():
            if place.overdue is not None and now >= place.overdue and not place.killed:
                place.killed = True
                self._engine.kill(slot)

    def _break(self, error: ShardwiseError, cause: BaseException | None = None) -> None:
        broken = error if isinstance(error, EngineError) else EngineError(error.message, error.fix)
        broken.__cause__ = cause
        with self._lock:
            self.broken = broken

    def _close(self) -> None:
        """Give the engine back; nobody waits for ever."""
        with contextlib.suppress(Exception):
            self._engine.close()
        with self._lock:
            self._finishing = True
            left = [place.call for place in self._places.values() if place.call is not None]
            left += self._waiting
            self._waiting.clear()
        for place in self._places.values():
            place.free()
        self._places.clear()
        shutil.rmtree(self._directory or os.devnull, ignore_errors=True)
        gone = self.broken or EngineError("the executor was told to stop at once", "submit to another one")
        for call in left:
            if call.future.running() or call.future.set_running_or_notify_cancel():
                settle(call, None, caused(ExecutorBroken, gone))

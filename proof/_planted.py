"""The bugs that ``mutations.py`` plants: what each one is, where, and which tests are asked to find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """A piece of source that occurs once in a file of the package, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


SCHEDULER = ("tests/run/test_scheduler.py", "tests/run/test_scheduler_failures.py")
SIMULATION = ("tests/simulation/test_scheduler_simulation.py",)
DIRECTORY = ("tests/run/test_directory.py", "tests/run/test_journal.py", "tests/run/test_commit_order.py")
OUTPUT = ("tests/run/test_output.py",)
DRIVER = ("tests/run/test_driver_loop.py",)
STORES = ("tests/storage/test_local_store.py", "tests/run/test_commit_order.py")
CONFORMANCE = "tests/conformance/test_engines.py::"
LOCAL = ("tests/engines/test_local.py",)
STOPPED = ("tests/engines/test_stopped.py",)
WORKER = ("tests/compute/test_worker.py",)

BUGS = (
    # --- scheduler -------------------------------------------------------------------------------------------------
    Bug(
        "a retry is lost",
        "run/scheduler.py",
        "        heappush(self._rests, (self._now + seconds, node.task.id))\n",
        "",
        SCHEDULER,
    ),
    Bug(
        "a success counts as committed before the journal has it",
        "run/scheduler.py",
        "            self._commands.append(Commit(running.task, attempt))\n",
        "            self._commands.append(Commit(running.task, attempt))\n"
        "            self._tasks.move(self._tasks[running.task], Cause.COMMITTED)\n",
        SCHEDULER,
    ),
    Bug(
        "an attempt is committed twice",
        "run/scheduler.py",
        "            self._commands.append(Commit(running.task, attempt))\n",
        "            self._commands += [Commit(running.task, attempt)] * 2\n",
        SCHEDULER,
    ),
    Bug(
        "a task whose slot was lost is not tried again",
        "run/scheduler.py",
        "            self._come_to_nothing(running.task, running.attempt, failure, slot)\n        elif",
        "            pass\n        elif",
        SIMULATION,
    ),
    Bug(
        "a slot is released twice",
        "run/slots.py",
        "            heappush(self.idle, number)\n        return slot\n",
        "            heappush(self.idle, number)\n            heappush(self.idle, number)\n        return slot\n",
        SIMULATION,
    ),
    Bug(
        "a slot that is about to die gets work",
        "run/slots.py",
        "            slot.shares = 0\n            heappush(self.idle, number)\n",
        "            slot.shares = 0\n        heappush(self.idle, number)\n",
        SCHEDULER,
    ),
    Bug(
        "a lost slot stays in the queue",
        "run/slots.py",
        "                self.idle.remove(number)\n                heapify(self.idle)\n        return slot\n",
        "                pass\n        return slot\n",
        SIMULATION,
    ),
    Bug(
        "the budget of failures is one too small",
        "run/scheduler.py",
        "count > allowed",
        "count >= allowed",
        SCHEDULER,
    ),
    Bug(
        "an interrupted run starts more tasks",
        "run/scheduler.py",
        "            if not self._draining:\n                self._start_ready()\n",
        "            self._start_ready()\n",
        SCHEDULER,
    ),
    Bug(
        "attempts that take too long are not killed",
        "run/scheduler.py",
        '                self._condemn(late.slot, f"task {late.task} took more than {self._budgets.seconds:g} s")\n',
        "                pass\n",
        SCHEDULER,
    ),
    Bug(
        "a task starts when one of its needs is committed",
        "run/tasks.py",
        "if not fed.missing and fed.state is State.WAITING:",
        "if fed.state is State.WAITING:",
        SCHEDULER,
    ),
    # --- driver ----------------------------------------------------------------------------------------------------
    Bug(
        "the driver acknowledges without committing",
        "run/round.py",
        "            lasting = driver.ledger.commit(commits)\n",
        "            lasting = commits\n",
        DRIVER,
    ),
    Bug(
        "a commit that failed is acknowledged",
        "run/round.py",
        "            return [messages.CommitFailed(now, attempt, failure) for attempt in group]\n",
        "            lasting = commits\n",
        DRIVER,
    ),
    Bug(
        "the driver forgets the attempts of a group but one",
        "run/round.py",
        "        group, self.gathering = self.gathering, []\n",
        "        group, self.gathering = self.gathering[:1], []\n",
        DRIVER,
    ),
    Bug(
        "a second graph uses the numbers of attempts of the first",
        "run/driver.py",
        "self._last_attempt = max([first, *round_.attempts])",
        "self._last_attempt = first - 1",
        DRIVER,
    ),
    Bug(
        "the first Ctrl-C is not told to the scheduler",
        "run/round.py",
        "            events.append(messages.Drain(now))\n",
        "",
        DRIVER,
    ),
    Bug(
        "a slot that was lost is not told to the scheduler",
        "run/round.py",
        "                return [messages.SlotLost(now, slot, kind, reason, used, narrowing)]\n",
        "                return []\n",
        DRIVER,
    ),
    # --- run directory ---------------------------------------------------------------------------------------------
    Bug(
        "a segment is put though its number is taken",
        "run/journal.py",
        "            won = self._store.put_if_absent(name, data)\n",
        "            won = self._store.put(name, data) is None\n",
        DIRECTORY,
    ),
    Bug(
        "a driver does not look whether another has taken over",
        "run/directory.py",
        "        self._journal.check_not_taken()  # or else its sweep would look like vanished files\n",
        "",
        DIRECTORY,
    ),
    Bug(
        "a torn segment is taken for a commit",
        "run/journal.py",
        """    if first != f'{{"digest":"{digest(body)}"}}'.encode():\n        return None\n""",
        "",
        DIRECTORY,
    ),
    Bug(
        "files are published before the journal names them",
        "run/directory.py",
        "            self._write(self._lines(new))\n            self._publish(moves)\n",
        "            self._publish(moves)\n            self._write(self._lines(new))\n",
        DIRECTORY,
    ),
    Bug(
        "digests are not looked at when a run goes on",
        "run/recovery.py",
        "            return move.is_intact(self._snapshot.size)\n",
        "            return True\n",
        DIRECTORY,
    ),
    Bug(
        "renames that a dead driver missed are not made up for",
        "run/recovery.py",
        "    carry_out(check.waiting(problems))\n",
        "",
        DIRECTORY,
    ),
    Bug(
        "a file that is not what the attempt wrote is committed",
        "run/directory.py",
        "            check_written(move)\n",
        "            pass\n",
        DIRECTORY,
    ),
    Bug(
        "the lock of a dead driver is respected for ever",
        "run/lock.py",
        "if not _lock(descriptor, fcntl.LOCK_EX) or",
        "if os.fstat(descriptor).st_size or",
        DIRECTORY,
    ),
    Bug(
        "nobody looks at the lock",
        "run/lock.py",
        "if not _lock(descriptor, fcntl.LOCK_EX) or not",
        "if not",
        DIRECTORY,
    ),
    Bug(
        "all drivers of a run count their attempts alike",
        "run/directory.py",
        "epoch = self._journal.next + 1",
        "epoch = 1",
        DIRECTORY,
    ),
    Bug(
        "commits of a stage may overlap",
        "run/commits.py",
        "return all(last <= other_first or other_last <= first for other_first, other_last in neighbours)",
        "return True",
        DIRECTORY,
    ),
    Bug(
        "attempts of dead drivers are not swept",
        "run/recovery.py",
        '        if label.startswith(HELLO) or (_LABEL.fullmatch(label) and int(label.partition("-")[0]) < epoch):\n',
        "        if False:\n",
        DIRECTORY,
    ),
    Bug(
        "an output directory is complete though a part is missing",
        "run/output.py",
        "    if missing:\n",
        "    if False:\n",
        OUTPUT,
    ),
    Bug(
        "old data goes before anything new is committed",
        "run/output.py",
        '    store.put(MARKER, json.dumps({"run": run_id, "emptied": not data, "planned": planned}).encode())\n',
        '    store.put(MARKER, json.dumps({"run": run_id, "emptied": False}).encode())\n    empty_replaced(store)\n',
        OUTPUT,
    ),
    Bug(
        "resuming leaves out the batch after a commit",
        "plan/shards.py",
        "        at = max(at, last)\n",
        "        at = max(at, last + 1)\n",
        ("tests/plan/test_shards.py",),
    ),
    Bug(
        "resuming does the first committed batch again",
        "plan/shards.py",
        "            out.append((at, min(first, end)))\n",
        "            out.append((at, min(first + 1, end)))\n",
        ("tests/plan/test_shards.py",),
    ),
    # --- storage ---------------------------------------------------------------------------------------------------
    Bug(
        "a segment is not flushed to disk",
        "storage/local.py",
        "        disk.sync_file(descriptor)\n",
        "        pass\n",
        STORES,
    ),
    Bug(
        "an attempt's file is not flushed to disk",
        "storage/local.py",
        "                    disk.sync_file(self.fileno())\n",
        "                    pass\n",
        STORES,
    ),
    Bug(
        "names in directories are not flushed to disk",
        "storage/disk.py",
        "    try:\n        os.fsync(descriptor)\n",
        "    try:\n        pass\n",
        STORES,
    ),
    Bug(
        "a name is given to half a file",
        "storage/local.py",
        "            try:\n                disk.rename(temporary, path)\n",
        "            try:\n                path.write_bytes(data)\n                disk.unlink(temporary)\n",
        STORES,
    ),
    # --- engine and worker -----------------------------------------------------------------------------------------
    Bug(
        "the kernel is not asked to end workers with their driver",
        "compute/worker.py",
        "        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)\n",
        "        ctypes.CDLL(None)\n",
        (CONFORMANCE + "test_workers_die_with_their_driver",),
    ),
    Bug(
        "nothing in a busy worker watches",
        "compute/worker.py",
        '        threading.Thread(target=self._watch, name="shardwise-watch", daemon=True).start()\n',
        "",
        WORKER,
    ),
    Bug(
        "a forked child answers too",
        "compute/worker.py",
        "if os.getpid() != self._pid:",
        "if False:",
        (CONFORMANCE + "test_a_forked_child_that_returns_does_not_answer_too",),
    ),
    Bug(
        "inputs are not compared with their digests",
        "compute/attempt.py",
        "if digest(data) != output.digest:",
        "if False:",
        ("tests/compute/test_execute.py",),
    ),
    Bug(
        "what a worker said before it died is not heard",
        "engines/local.py",
        "                self._hear(slot, worker, worker.receive_all())\n",
        "",
        LOCAL,
    ),
    Bug(
        "a dead worker is not replaced",
        "engines/local.py",
        '                    "run `python -m shardwise.compute.worker` by hand to see why, or use --engine inline",\n'
        "                )\n        self._start()\n",
        '                    "run `python -m shardwise.compute.worker` by hand to see why, or use --engine inline",\n'
        "                )\n",
        (CONFORMANCE + "test_an_idle_worker_killed_from_outside_is_replaced",),
    ),
    Bug(
        "half a message is taken for a whole one",
        "compute/wire.py",
        "            if len(self._bytes) < end:\n                break\n",
        "",
        WORKER,
    ),
    Bug(
        "processes that a function started outlive its worker",
        "engines/process.py",
        "                os.killpg(self._process.pid, signal.SIGKILL)\n",
        "                pass\n",
        (CONFORMANCE + "test_processes_that_a_function_started_die_with_its_worker",),
    ),
    Bug(
        "a stopped worker keeps its task for ever",
        "engines/local.py",
        "        self._give_up_stopped()\n",
        "        self._stopped.look(time.monotonic(), ())\n",
        STOPPED,
    ),
    Bug(
        "a silent worker is taken for a stopped one",
        "engines/stopped.py",
        '    return state in (b"T", b"t")\n',
        '    return state in (b"T", b"t", b"S")\n',
        STOPPED,
    ),
)

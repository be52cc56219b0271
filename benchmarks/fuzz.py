"""Mutates every format that the program reads, and sorts what comes of it.

    python benchmarks/fuzz.py FOLDER [--cases 100] [--seed 1] [--formats tar,zip] [--keep]

A case is one mutated file of a small example, which lies below FOLDER, read by the library's own
functions in a child with limits of memory and time. The child is forked from a process that has
loaded torch, and goes on with the next case until one ends it: a case takes milliseconds. Outcomes:

    same         what was read is what the sound file gives
    one line     an expected error
    traceback    any other exception
    crash        a signal ended the child
    hang         its time was over
    memory       it asked for over 2 GiB
    other value  something else was read, without a word

Every case is a line of FOLDER/cases-SEED.jsonl; a run that was stopped goes on behind the last. To
see one again: --formats F --again NUMBER, with its traceback. --keep writes results/fuzz.json.
"""

import argparse
import functools
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import fuzz_example
import fuzz_mutations
from fuzz_readers import FORMATS, Format, files_of
from pydantic import JsonValue
from record import keep

from alexrep import guarded
from alexrep.errors import AlexrepError
from alexrep.stages.cli.shell import explain

OUTCOMES = ("same", "one line", "traceback", "crash", "hang", "memory", "other value")
BAD = ("traceback", "crash", "hang", "memory")
MEMORY = 2 << 30
"""Address space that a case may take beyond its parent's, in bytes."""
CPU_S = 20
"""Processor seconds that a case may take: what a sound file takes, a hundred times."""
WALL_S = 120
"""Seconds that it may take on a busy machine."""
BATCH = 40
"""Cases of a format in turn, one after another in a child."""

Case = dict[str, Any]


def main() -> None:
    """Run the cases that are not yet done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=100, help="cases of each format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--again", type=int, help="run one case and show its traceback")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    names = options.formats.split(",")
    work = prepare(options.folder)
    if options.again is not None:
        again = run_cases(work, names[0], options.seed, [options.again], is_told=True)
        print(*map(json.dumps, again))
        return
    cases = done_before(options.folder / f"cases-{options.seed}.jsonl")
    known = {(case["format"], case["number"]) for case in cases}
    with (options.folder / f"cases-{options.seed}.jsonl").open("a", encoding="utf-8") as out:
        for start, name in itertools.product(range(0, options.cases, BATCH), names):
            numbers = range(start, min(start + BATCH, options.cases))
            todo = [number for number in numbers if (name, number) not in known]
            for case in run_cases(work, name, options.seed, todo):
                cases.append(case)
                out.write(json.dumps(case) + "\n")
                out.flush()
    print(table(cases))
    if options.keep:
        keep("fuzz", {"seed": options.seed, "cases": len(cases), "outcomes": counts(cases)})
    sys.exit(any(case["outcome"] in BAD for case in cases))


def prepare(folder: Path) -> Path:
    """Make the example, once, and return a new copy of it to mutate."""
    example, work = folder / "example", folder / "work"
    if not example.exists():
        part = folder / "example.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        # In a child: the commands start threads, and with threads no case could be forked.
        child = os.fork()
        if not child:
            leave_with(lambda: fuzz_example.make(part.resolve()))
        if os.waitpid(child, 0)[1]:
            raise RuntimeError(f"{part}: the example could not be made")
        part.rename(example)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(example, work)
    # What is imported on first use, here: not once in each child. It starts no thread.
    for name in ("jpeg", "zip", "checkpoint", "export", "result", "log"):
        FORMATS[name].read(work)
    shutil.rmtree(work / "out", ignore_errors=True)
    return work


def leave_with(act: Callable[[], None]) -> None:
    """Act, and end this process without returning: 0, or 1 and a traceback."""
    code = 1
    try:
        act()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def done_before(path: Path) -> list[Case]:
    """Return the cases of a run that was stopped; a line that was cut short is removed."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def run_cases(
    work: Path, name: str, seed: int, numbers: Iterable[int], *, is_told: bool = False
) -> Iterator[Case]:
    """Run cases of a format in a child, and in another one behind a case that ended it."""
    left = deque(numbers)
    while left:
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            os.close(receive)
            leave_with(functools.partial(_answer, send, work, name, seed, left, is_told))
        os.close(send)
        with os.fdopen(receive, encoding="utf-8") as stream:
            for line in stream:
                left.popleft()
                yield json.loads(line)
        status = os.waitpid(child, 0)[1]
        shutil.rmtree(work / "out", ignore_errors=True)
        if os.WIFSIGNALED(status):
            path, number = _file(work, name, seed, left[0])[0], os.WTERMSIG(status)
            shutil.copyfile(work.with_name("example") / path.relative_to(work), path)
            is_late = number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL)
            ended = "hang" if is_late else "crash", signal.Signals(number).name
            yield _case(name, left.popleft(), path, ended, WALL_S)
        elif status:
            raise RuntimeError(f"{name} {left[0]}: the child failed")


def _answer(
    pipe: int, work: Path, name: str, seed: int, numbers: Iterable[int], is_told: bool
) -> None:
    """Run cases in the child, and write a line of JSON of each."""
    guarded.in_process = forked  # a new Python would take half a second
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends C code, too
    expected = _read(FORMATS[name], work, is_told=True)
    for number in numbers:
        path, chance = _file(work, name, seed, number)
        sound, start = path.read_bytes(), time.perf_counter()
        path.write_bytes(fuzz_mutations.mutate(sound, chance))
        ended = _read(FORMATS[name], work, is_told)
        path.write_bytes(sound)
        if ended[0] == "read":
            ended = ("same" if ended == expected else "other value"), ""
        case = _case(name, number, path, ended, time.perf_counter() - start)
        os.write(pipe, json.dumps(case).encode() + b"\n")


def _file(work: Path, name: str, seed: int, number: int) -> tuple[Path, random.Random]:
    """Return the file that a case mutates, and the generator that it is mutated by."""
    chance = random.Random(f"{seed} {name} {number}")
    return chance.choice(files_of(FORMATS[name], work)), chance


def _case(name: str, number: int, path: Path, ended: tuple[str, str], seconds: float) -> Case:
    row = {"format": name, "number": number, "file": path.name, "outcome": ended[0]}
    return {**row, "what": ended[1], "seconds": round(seconds, 3)}


def _read(form: Format, work: Path, is_told: bool) -> tuple[str, str]:
    """Read under limits; return "read" and its digest, or a bad end and its text."""
    spent, free = int(time.process_time()) + 1, resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_S, free))
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + MEMORY, free))
    signal.alarm(WALL_S)
    try:
        ended = "read", form.read(work)
    except (AlexrepError, OSError, UnicodeEncodeError) as error:
        line = explain(error)
        ended = ("one line", line) if line else ("traceback", _where(error))
        if is_told:
            traceback.print_exc()
    except BaseException as error:
        is_memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        ended = "memory" if is_memory else "traceback", _where(error)
        if is_told:
            traceback.print_exc()
    signal.alarm(0)
    shutil.rmtree(work / "out", ignore_errors=True)
    return ended[0], ended[1][:300]


def forked(
    seconds: int, function: str, arguments: tuple[str, ...], content: bytes
) -> tuple[int, bytes]:
    """Call a function in a fork of this process, whose memory is limited already."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        signal.alarm(WALL_S)
        code = guarded.NO_MEMORY
        try:
            code, answer = guarded.attempt(function, arguments, content)
            with os.fdopen(send, "wb") as stream:
                stream.write(answer)
        finally:
            os._exit(code)
    os.close(send)
    with os.fdopen(receive, "rb") as stream:
        answer = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), answer


def _where(error: BaseException) -> str:
    """Return the kind of an exception and the last line of alexrep that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/alexrep/" in f.filename or "/stages/" in f.filename]
    last = (ours or list(frames))[-1]
    return f"{type(error).__name__}: {str(error)[:120]} ({Path(last.filename).name}:{last.lineno})"


def address_space() -> int:
    """Return the address space of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def counts(cases: list[Case]) -> dict[str, JsonValue]:
    """Count the outcomes of each format, those that came."""
    total = Counter((case["format"], case["outcome"]) for case in cases)
    return {
        name: {outcome: total[name, outcome] for outcome in OUTCOMES if total[name, outcome]}
        for name in FORMATS
        if any(case["format"] == name for case in cases)
    }


def table(cases: list[Case]) -> str:
    """Return the outcomes of each format, and the bad ones by their kinds, in Markdown."""
    lines = [f"| format | {' | '.join(OUTCOMES)} |", "| --- " * (len(OUTCOMES) + 1) + "|"]
    for name, row in counts(cases).items():
        cells = (str(row.get(outcome, "")) for outcome in OUTCOMES)  # type: ignore[union-attr]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    seen: dict[tuple[str, str, str], list[int]] = {}
    for case in cases:
        if case["outcome"] in BAD:
            key = case["format"], case["outcome"], case["what"]
            seen.setdefault(key, []).append(case["number"])
    texts = (f"{': '.join(key)} {numbers[:5]}" for key, numbers in seen.items())
    return "\n".join([*lines, "", *texts])


if __name__ == "__main__":
    main()

"""A copy of packed data on a node's own disk: made once, checked, and shared by all trainings.

Where many processes read shards over a network, its disk limits them. The copy is named by the
digest of the shards' manifest, so that other data never takes its place.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from alexrep import files, locks, manifest
from alexrep.errors import ConfigError, DataError, Interrupted, mismatch
from alexrep.feed.dataset import FILES
from alexrep.seal import path_of as seal_of
from alexrep.signals import spoken

DONE = "copied.json"
"""Written last: digests and sizes of the files, and when they were changed."""
BLOCK = 16 * 2**20
"""Bytes that are read at a time."""
SPARE = 64 * 2**20
"""Bytes that are left free beside the copy."""
PACKED = Path("shards", manifest.NAME)


@dataclass(frozen=True)
class Order:
    """What is to be copied where."""

    data: Path
    """The data folder."""
    folder: Path
    """A folder on the node's own disk; the copy becomes a folder in it."""
    keeps: bool
    """Whether the copy stays there at the end."""

    @property
    def place(self) -> Path:
        """The data folder that the copy becomes."""
        return self.folder / f"alexrep-{manifest.digest(self.data / PACKED)[:16]}"


def expand(folder: Path) -> Path:
    """Replace variables of the environment, which another machine has set, in a path.

    Raises:
        ConfigError: If one is not set.
    """
    text = os.path.expandvars(folder)
    if "$" in text:
        wanted, advice = "variables that are set", "set it, or name a folder"
        raise ConfigError(mismatch("--copy-to", wanted, text, advice))
    return Path(text)


@contextlib.contextmanager
def made(
    order: Order, say: Callable[[str], None], signalled: Callable[[], str | None]
) -> Iterator[Path]:
    """Yield the copy, made or found whole; at the end the last one that uses it removes it.

    Processes on one machine wait for the first of them to copy.

    Args:
        order: What is to be copied.
        say: Is told what is copied, a line at a time.
        signalled: Returns the name of the signal that has come, or None.

    Raises:
        DataError: If there is too little room, or a file is not the one of its manifest.
        Interrupted: After a signal; what was copied whole is kept.
    """
    files.make_folder(order.folder)
    place = order.place
    with contextlib.ExitStack() as use:
        with locks.in_turn(order.folder):
            files.make_folder(place)
            files.sweep_ours(place)
            if _is_whole(place, digests := _digests(order.data)):
                say(f"{place}: found whole")
            else:
                _copy(order, digests, say, signalled)
            use.enter_context(locks.held(place, part=f"{os.uname().nodename}-{os.getpid()}"))
        yield place
    if not order.keeps:
        with locks.in_turn(order.folder):
            if not locks.is_held(place):
                shutil.rmtree(place)


def _is_whole(place: Path, digests: Mapping[str, str]) -> bool:
    """Tell whether all files are there as they were copied."""
    with contextlib.suppress(OSError, ValueError):
        return bool(json.loads((place / DONE).read_bytes()) == _stamps(place, digests))
    return False


def _stamps(place: Path, digests: Mapping[str, str]) -> dict[str, list[str | int]]:
    facts = {name: (place / name).stat() for name in digests}
    return {
        name: [digest, facts[name].st_size, facts[name].st_mtime_ns]
        for name, digest in digests.items()
    }


def _copy(
    order: Order,
    digests: Mapping[str, str],
    say: Callable[[str], None],
    signalled: Callable[[], str | None],
) -> None:
    """Copy all files but those that are there, and write down that all are."""
    left = {name: digest for name, digest in digests.items() if not _has(order.place, name, digest)}
    num_bytes = sum((order.data / name).stat().st_size for name in left)
    _require_room(order.place, num_bytes)
    say(f"copies {len(left):,} files, {num_bytes / 1e9:,.2f} GB, to {order.place}")
    for name, digest in left.items():
        _copy_file(order.data / name, order.place / name, digest, signalled)
    files.write_json(order.place / DONE, _stamps(order.place, digests))
    say(f"{order.place}: copied and checked")


def _digests(data: Path) -> Mapping[str, str]:
    """Return the SHA-256 of each file to copy by its path in the data folder; "": any."""
    digests = dict[str, str]()
    for stage, record_path in _records(data).items():
        outputs = manifest.read(record_path, stage).outputs
        below = record_path.parent.relative_to(data)
        # No training reads test.
        wanted = [name for name in outputs if not name.startswith("test-")]
        digests |= {str(below / name): outputs[name] for name in wanted}
    records = [str(path.relative_to(data)) for path in _records(data).values()]
    # A seal goes before its manifest, and both after what they vouch for.
    others = [str(seal_of(Path(name))) for name in records] + records
    return digests | {name: "" for name in others if (data / name).is_file()}


def _records(data: Path) -> Mapping[str, Path]:
    """Return the manifests of the shards and of those statistics that there are."""
    own = {stage: data / f"{stage}.{manifest.NAME}" for stage in FILES}
    found = {stage: path for stage, path in own.items() if path.is_file()}
    return {"pack": data / PACKED, **found}


def _has(place: Path, name: str, digest: str) -> bool:
    """Tell whether a file was copied by a start that was stopped; small ones are copied anew."""
    path = place / name
    return bool(digest) and path.is_file() and files.sha256_file(path) == digest


def _require_room(place: Path, num_bytes: int) -> None:
    """Refuse a disk that the copy would fill."""
    free = shutil.disk_usage(place).free
    if free < num_bytes + SPARE:
        wanted, found = f"room for {num_bytes / 1e9:,.2f} GB", f"{free / 1e9:,.2f} GB"
        advice = "make room, or name a folder on another disk with --copy-to"
        raise DataError(mismatch(place, wanted, found, advice))


def _copy_file(
    source: Path, target: Path, digest: str, signalled: Callable[[], str | None]
) -> None:
    """Copy a file, whole or not at all, if it has its digest."""
    own = hashlib.sha256()
    with files.whole(target) as part:
        with files.named(source), source.open("rb") as stream, part.open("wb") as out:
            while block := stream.read(BLOCK):
                own.update(block)
                out.write(block)
                if name := signalled():
                    stopped = f"copying: stopped by {spoken(name)}; start again to go on"
                    raise Interrupted(stopped)
        if digest and own.hexdigest() != digest:
            wanted, advice = f"SHA-256 {digest[:12]}", "run alexrep verify, and pack again"
            raise DataError(mismatch(source, wanted, own.hexdigest()[:12], advice))

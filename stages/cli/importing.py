"""What the two names of import do once they know what becomes a run."""

from pathlib import Path

from alexrep import locks, manifest
from alexrep.runs.folder import RunFolder
from alexrep.weights import imported
from alexrep.weights.imported import Imported

from . import options


def write(source: Imported, run: Path) -> None:
    """Write the run unless it is there, and say what came of it."""
    folder = RunFolder(run)
    record = manifest.foresee(source.plan, folder.manifest, folder.plan)
    if not options.is_finished(record, run):
        with locks.held(run):
            record = manifest.begin(source.plan, folder.manifest, folder.plan)
            record = record or imported.write(source, folder)
    for remark in source.remarks:
        options.note(remark)
    options.say_counts(record, run)

"""Parts of the work, for several jobs on one data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from alexrep.errors import ConfigError, mismatch

Unit = TypeVar("Unit")

ARRAY = "SLURM_ARRAY_TASK"
"""Prefix of the variables that Slurm sets in an array of jobs."""


@dataclass(frozen=True)
class Part:
    """Every num-th of the units, from number `index` on, counted from 0."""

    index: int = 0
    num: int = 1

    @classmethod
    def of(cls, text: str) -> "Part":
        """Read a part from i/N, i from 0 to N - 1.

        Raises:
            ConfigError: If the text is no part.
        """
        index, _, num = text.partition("/")
        if not (index.isdigit() and num.isdigit() and int(index) < int(num)):
            raise ConfigError(
                mismatch("--part", "i/N with i from 0 to N - 1", repr(text), "as 0/8")
            )
        return cls(int(index), int(num))

    def pick(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units of this part; large and small synsets are dealt out in turn."""
        return list(units[self.index :: self.num])

    @classmethod
    def of_array(cls, environment: Mapping[str, str]) -> "Part":
        """Read a part from the variables that Slurm sets in an array of jobs.

        A job of no array has the whole.

        Raises:
            ConfigError: If the array's numbers are no even sequence: which of them there
                are is not said, so that nobody can tell which units are whose.
        """
        names = [f"{ARRAY}_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]
        if not all(environment.get(name, "").isdigit() for name in names):
            return WHOLE
        task, first, last, num = (int(environment[name]) for name in names)
        step = max(1, int(environment.get(f"{ARRAY}_STEP") or 1))
        if (task - first) % step or (last - first) // step + 1 != num:
            task_said = f"task {task} of {num} from {first} to {last}"
            advice = "give each task its share with --part i/N"
            raise ConfigError(mismatch(ARRAY, f"an array in steps of {step}", task_said, advice))
        return cls((task - first) // step, num)

    @property
    def name(self) -> str:
        """The name to lock by; empty for the whole."""
        return "" if self.num == 1 else f"{self.index}-of-{self.num}"


WHOLE = Part()

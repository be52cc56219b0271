"""Splits the units of a data set into parts, one for each job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from alexrep.errors import ConfigError, mismatch

Unit = TypeVar("Unit")

ARRAY = "SLURM_ARRAY_TASK"
"""Prefix of the variables that Slurm sets in an array of jobs."""


@dataclass(frozen=True)
class Part:
    """Every num-th unit, starting at unit `index`, counted from 0."""

    index: int = 0
    num: int = 1

    @classmethod
    def of(cls, text: str) -> "Part":
        """Parse a part given as i/N, i from 0 to N - 1.

        Raises:
            ConfigError: If the text is not of that form.
        """
        index, _, num = text.partition("/")
        if not (index.isdigit() and num.isdigit() and int(index) < int(num)):
            raise ConfigError(
                mismatch("--part", "i/N with i from 0 to N - 1", repr(text), "as 0/8")
            )
        return cls(int(index), int(num))

    def pick(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units of this part; the stride spreads large and small synsets evenly."""
        return list(units[self.index :: self.num])

    @classmethod
    def of_array(cls, environment: Mapping[str, str]) -> "Part":
        """Return the part given by the variables that Slurm sets in a job array.

        Outside of an array, return the whole.

        Raises:
            ConfigError: If the array's task ids are not evenly spaced: Slurm does not say which
                of them exist, so their units cannot be told apart.
        """
        names = [f"{ARRAY}_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]
        if not all(environment.get(name, "").isdigit() for name in names):
            return WHOLE
        task, first, last, num = (int(environment[name]) for name in names)
        step = max(1, int(environment.get(f"{ARRAY}_STEP") or 1))
        if (task - first) % step or (last - first) // step + 1 != num:
            found = f"task {task} of {num} from {first} to {last}"
            advice = "give each task its share with --part i/N"
            raise ConfigError(mismatch(ARRAY, f"an array in steps of {step}", found, advice))
        return cls((task - first) // step, num)

    @property
    def name(self) -> str:
        """Name of the part's lock; empty for the whole."""
        return "" if self.num == 1 else f"{self.index}-of-{self.num}"


WHOLE = Part()

"""Parts of the work, for several jobs on one data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from alexrep.errors import ConfigError, mismatch

Unit = TypeVar("Unit")


@dataclass(frozen=True)
class Part:
    """A share of the units: every num-th from number index on, from 0."""

    index: int = 0
    num: int = 1

    @classmethod
    def of(cls, text: str) -> "Part":
        """Read a part from i/N, i from 0 to N - 1.

        Raises:
            ConfigError: If it is none.
        """
        index, _, num = text.partition("/")
        if not (index.isdigit() and num.isdigit() and int(index) < int(num)):
            raise ConfigError(
                mismatch("--part", "i/N with i from 0 to N - 1", repr(text), "as 0/8")
            )
        return cls(int(index), int(num))

    def share(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units of this part; large and small synsets are dealt out in turn."""
        return list(units[self.index :: self.num])

    @classmethod
    def of_array(cls, environment: Mapping[str, str]) -> "Part":
        """Read a part from the variables that Slurm sets in an array of jobs.

        A job of no array has the whole.
        """
        names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "COUNT", "STEP")]
        if not all(environment.get(name, "").isdigit() for name in names[:3]):
            return WHOLE
        task, first, num = (int(environment[name]) for name in names[:3])
        step = int(environment.get(names[3]) or 1)
        return cls((task - first) // step, num)

    @property
    def name(self) -> str:
        """A name to lock by; empty for the whole."""
        return "" if self.num == 1 else f"{self.index}-of-{self.num}"


WHOLE = Part()

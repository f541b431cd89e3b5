"""Methods of a runtime that functions of ours stand in for, until they are taken away and nothing is left of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

Method = Callable[..., Any]
_ABSENT = object()


@dataclass
class _Placed:
    """A function of ours, and what the runtime itself had under its name before: mostly nothing, the class has it."""

    ours: Method
    before: object


class Override:
    """Stands in for methods of one runtime. `make` gives for each name what makes our function of the original.

    Where another plug-in has put its own function over ours, ours stays below it and hands through while it is off:
    what stands above calls it, and must go on working. It is taken away once it comes to the top again.
    """

    def __init__(self, runtime: Any, make: Mapping[str, Callable[[Method], Method]]) -> None:
        self._runtime, self._make = runtime, make
        self._placed: dict[str, _Placed] = {}
        self.active = False

    @property
    def is_clean(self) -> bool:
        """Whether nothing of ours is in the runtime."""
        return not self._placed

    @property
    def is_covered(self) -> bool:
        """Whether another plug-in's functions stand over ours."""
        return any(vars(self._runtime).get(name) is not placed.ours for name, placed in self._placed.items())

    def place(self) -> None:
        """Stand in for all of them. Placing again does nothing."""
        own = vars(self._runtime)
        for name, make in self._make.items():
            placed, current = self._placed.get(name), own.get(name, _ABSENT)
            if placed is not None and (current is placed.ours or current is not placed.before):
                continue  # in place, or below somebody else's
            original = getattr(self._runtime, name)
            ours = self._switched(original, make(original))
            self._placed[name] = _Placed(ours, current)
            own[name] = ours
        self.active = True

    def remove(self) -> None:
        """Take away what can be; calls that are under way end as they began. Removing again does nothing."""
        self.active = False
        own = vars(self._runtime)
        for name, placed in list(self._placed.items()):
            current = own.get(name, _ABSENT)
            if current is placed.ours:
                if placed.before is _ABSENT:
                    del own[name]
                else:
                    own[name] = placed.before
            if current is placed.ours or current is placed.before:
                del self._placed[name]

    def _switched(self, original: Method, ours: Method) -> Method:
        """Ours while it is on, else the original."""

        @wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            return (ours if self.active else original)(*args, **kwargs)

        return method

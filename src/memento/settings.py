"""The settings of a matrix, as an experiment sees them: a dict that says what it has where a name is wrong.

Knows: names. May not know: configs, matrices, keys.
"""

from __future__ import annotations

from typing import Any, NoReturn


class Settings(dict[str, Any]):
    """The settings of a matrix by their names.

    Examples
    --------
    >>> Settings(n_fold=5)["n_folds"]
    Traceback (most recent call last):
    KeyError: "there is no setting 'n_folds'; there are: n_fold. Did you mean config.settings['n_fold']?"
    """

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(self._instead(name))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what copying and pickling look for
            raise AttributeError(name)
        if name in self:
            raise AttributeError(
                f"settings are items: write config.settings[{name!r}], or config.{name} where no parameter is called so"
            )
        raise AttributeError(self._instead(name))

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Pickle and copy it as the dict that it was."""
        return dict, ({**self},)

    def _instead(self, name: object) -> str:
        """Say which there are, and which was perhaps meant."""
        told = f"there is no setting {name!r}; there are: {', '.join(map(str, self)) or 'none'}"
        if not isinstance(name, str):
            return told
        from memento.suggest import nearest

        near = nearest(name, self)
        return f"{told}. Did you mean config.settings[{near[0]!r}]?" if near else told

# ruff: noqa: E501 - a table of steps, each on a line of its own
"""However many steps lie between an experiment and a constant, an edit of the constant is seen, and a comment is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memento.keys.code_versions import code_version, value_code
from tests.keys.projects import Projects, edited

# Each makes ``{new}`` of ``{old}``; both are called with one argument.
STEPS = {
    "call": "def {new}(x): return {old}(x)",
    "alias": "{new} = {old}",
    "lambda": "{new} = lambda x: {old}(x)",
    "container": "T_{new} = {{'a': [(1, {old})]}}\ndef {new}(x): return T_{new}['a'][0][1](x)",
    "module-level getter": "T_{new} = {{'a': {old}}}\nG_{new} = T_{new}.get\ndef {new}(x): return G_{new}('a')(x)",
    "partial": "{new} = functools.partial({old})",
    "partial of a partial": "{new} = functools.partial(functools.partial(lambda f, x: f(x), {old}))",
    "method": "class C_{new}:\n    def go(self, x): return {old}(x)\n{new} = C_{new}().go",
    "callable": "class C_{new}:\n    def __call__(self, x): return {old}(x)\n{new} = C_{new}()",
    "attribute": "class C_{new}:\n    def __init__(self, f): self.f = f\n    def __call__(self, x): return self.f(x)\n{new} = C_{new}({old})",
    "slot": "class C_{new}:\n    __slots__ = ('f',)\n    def __init__(self, f): self.f = f\n    def __call__(self, x): return self.f(x)\n{new} = C_{new}({old})",
    "closure": "def make_{new}(f):\n    def inner(x): return f(x)\n    return inner\n{new} = make_{new}({old})",
    "decorator": "def d_{new}(f):\n    @functools.wraps(f)\n    def inner(x): return f({old}(x))\n    return inner\n@d_{new}\ndef {new}(x): return x",
    "decorated": "def d_{new}(f):\n    def inner(x): return f(x)\n    return inner\n@d_{new}\ndef {new}(x): return {old}(x)",
    "object that decorates": "class D_{new}:\n    def __init__(self, f): self.f = f\n    def __call__(self, x): return self.f(x)\n@D_{new}\ndef {new}(x): return {old}(x)",
    "base class": "class B_{new}:\n    def go(self, x): return {old}(x)\nclass C_{new}(B_{new}): pass\n{new} = C_{new}().go",
    "metaclass": "class M_{new}(type):\n    def go(cls, x): return {old}(x)\nclass C_{new}(metaclass=M_{new}): pass\n{new} = C_{new}.go",
    "class attribute": "class C_{new}:\n    f = staticmethod({old})\ndef {new}(x): return C_{new}.f(x)",
    "class method": "class C_{new}:\n    @classmethod\n    def go(cls, x): return {old}(x)\n{new} = C_{new}.go",
    "property": "class C_{new}:\n    @property\n    def p(self): return {old}\ndef {new}(x): return C_{new}().p(x)",
    "default": "def {new}(x, f={old}): return f(x)",
    "keyword default": "def {new}(x, *, f=[{old}]): return f[0](x)",
    "function's attribute": "def {new}(x): return {new}.f(x)\n{new}.f = {old}",
    "cached": "@functools.lru_cache\ndef {new}(x): return {old}(x)",
    "registry": "R_{new} = {{}}\ndef r_{new}(f):\n    R_{new}[f.__name__] = f\n    return f\n@r_{new}\ndef g_{new}(x): return {old}(x)\ndef {new}(x): return R_{new}['g_{new}'](x)",
    "hook of subclasses": "class B_{new}:\n    kids = []\n    def __init_subclass__(cls): B_{new}.kids.append(cls)\nclass C_{new}(B_{new}):\n    def go(self, x): return {old}(x)\ndef {new}(x): return B_{new}.kids[0]().go(x)",
    "dispatch": "@functools.singledispatch\ndef {new}(x): return x\n@{new}.register\ndef _(x: int): return {old}(x)",
    "record": "@dataclasses.dataclass\nclass C_{new}:\n    f: object = {old}\ndef {new}(x): return C_{new}().f(x)",
    "inner function": "def {new}(x):\n    def inner(y): return [{old}(z) for z in (y,)][0]\n    return inner(x)",
    "inner class": "def {new}(x):\n    class C:\n        def go(self): return {old}(x)\n    return C().go()",
    "generator": "def g_{new}(x): yield {old}(x)\ndef {new}(x): return next(g_{new}(x))",
    "written text": "def {new}(x): return eval('{old}(x)', globals(), {{'x': x}})",
    "module": "",  # what follows stands in another file
    "module in a variable": "",
    "function's own import": "",
    "imported name": "",
}
_START = "import dataclasses, functools\n"
_ACROSS = {
    "module": "import {module}\ndef {new}(x): return {module}.{old}(x)",
    "module in a variable": "import {module} as mod\ndef {new}(x):\n    m = mod\n    return m.{old}(x)",
    "function's own import": "def {new}(x):\n    from {module} import {old} as f\n    return f(x)",
    "imported name": "from {module} import {old} as {new}",
}
LEAVES = {
    "constant": "LEAF = @@\ndef n0(x): return x + LEAF",
    "list": "leaf = [0, @@]\ndef n0(x): return x + leaf[1]",
    "nested": "leaf = {'a': (0, [@@])}\ndef n0(x): return x + leaf['a'][1][0]",
    "attribute": "class Leaf: value = @@\ndef n0(x): return x + Leaf.value",
    "instance": "class Leaf: pass\nleaf = Leaf()\nleaf.value = @@\ndef n0(x): return x + leaf.value",
    "code": "def n0(x): return x + @@",
}


def program(leaf: str, steps: list[str]) -> dict[str, str]:
    """Return the files of a program in which `train` reaches a leaf through steps."""
    files, module, text = {}, 0, f"{_START}{LEAVES[leaf]}\n"
    for i, step in enumerate(steps):
        names = {"old": f"n{i}", "new": f"n{i + 1}", "module": f"lab_m{module}"}
        if step in _ACROSS:
            files[f"lab_m{module}.py"] = text
            text = f"{_START}{_ACROSS[step].format(**names)}\n"
            module += 1
        else:
            text += f"{STEPS[step].format(**names)}\n"
    files["lab_exp.py"] = (
        f"{text}value = n{len(steps)}\ndef train(context, config): return n{len(steps)}(1)\n"
    )
    return files


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projects]:
    found = Projects(tmp_path_factory.mktemp("paths"))
    yield found
    found.forget()


def observed(projects: Projects, files: dict[str, str]) -> tuple[Any, bytes, bytes]:
    """Return what the experiment computes, its version, and that of the last step as a value."""
    with projects.loaded(projects.write(files)) as module:
        version, brought = code_version(module.train), value_code(module.value)
        assert brought is not None
        assert not any(name.startswith("unknown") for name in version.names)
        return module.train(None, None), version.digest, brought.digest


def check(projects: Projects, leaf: str, steps: list[str]) -> None:
    files = program(leaf, steps)
    one, again, other = (observed(projects, edited(files, "@@", value)) for value in ("7", "7", "8"))
    assert (one[0], other[0]) == (8, 9)  # the program does reach its leaf
    assert one == again
    assert one[1] != other[1]
    assert one[2] != other[2]
    commented = {
        name: text.replace("\ndef ", "\n\n# why\ndef ") for name, text in edited(files, "@@", "7").items()
    }
    assert observed(projects, commented) == one


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("leaf", ["constant", "list"])
def test_an_edit_is_seen_through_one_step(projects: Projects, leaf: str, step: str) -> None:
    check(projects, leaf, [step])


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(LEAVES)), st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=6))
def test_an_edit_is_seen_through_any_steps(projects: Projects, leaf: str, steps: list[str]) -> None:
    check(projects, leaf, steps)


def test_the_folder_of_a_project_may_have_any_name(tmp_path: Path) -> None:
    folder = Projects(tmp_path / "a folder, 'quoted' \n#")
    check(folder, "list", ["module", "closure", "function's own import"])

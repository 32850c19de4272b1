# ruff: noqa: E501 - a table of programs, each on a line of its own
"""Ways in which an experiment reaches a leaf of its project, ``@@``: a table of little programs.

Each is the text of `lab_exp.py`, with ``train`` as the experiment, and of the modules beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

_HELPER = "def f(x):\n    return x + @@\n"
_CLASS = "class M:\n    def f(self, x):\n        return x + @@\n"
_WRAPS = "import functools\ndef d(h):\n    @functools.wraps(h)\n    def w(*a): return h(*a)\n    return w\n"
_BARE = "def d(h):\n    def w(*a): return h(*a)\n    return w\n"
_REGISTRY = "REG = {}\ndef reg(h):\n    REG[h.__name__] = h\n    return h\n@reg\n"

# name -> (what stands above the experiment, what it returns, lab_helpers.py)
THROUGH_A_MODULE = {
    "a global call": ("from lab_helpers import f", "f(1)", _HELPER),
    "a module's attribute": ("import lab_helpers", "lab_helpers.f(1)", _HELPER),
    "an alias of a module": ("import lab_helpers as lh", "lh.f(1)", _HELPER),
    "an alias": ("from lab_helpers import f as g", "g(1)", _HELPER),
    "an alias of an alias": ("from lab_helpers import f\ng = f\nh = g", "h(1)", _HELPER),
    "a star import": ("from lab_helpers import *", "f(1)", _HELPER),
    "a table in the script": ("from lab_helpers import f\nT = {'f': f}", "T['f'](1)", _HELPER),
    "a table in the module": ("import lab_helpers", "lab_helpers.T['f'](1)", _HELPER + "T = {'f': f}\n"),
    "a list in the module": ("from lab_helpers import L", "L[0](1)", _HELPER + "L = [f]\n"),
    "a method": ("from lab_helpers import M", "M().f(1)", _CLASS),
    "an inherited method": ("from lab_helpers import M", "M().f(1)", _CLASS.replace("M:", "B:") + "class M(B): pass\n"),
    "a base class": ("import lab_helpers\nclass N(lab_helpers.M): pass", "N().f(1)", _CLASS),
    "super": ("from lab_helpers import M\nclass N(M):\n    def f(self, x): return super().f(x)", "N().f(1)", _CLASS),
    "a mixin": ("from lab_helpers import M\nclass N(dict, M): pass", "N().f(1)", _CLASS),
    "getattr with a written name": ("import lab_helpers", "getattr(lab_helpers, 'f')(1)", _HELPER),
    "getattr with a computed name": ("import lab_helpers", "getattr(lab_helpers, 'F'.lower())(1)", _HELPER),
    "a module in a variable": ("import lab_helpers", "(lambda m: m.f(1))(lab_helpers)", _HELPER),
    "a module in a container": ("import lab_helpers\nT = [lab_helpers]", "T[0].f(1)", _HELPER),
    "a module as a default": ("import lab_helpers\ndef g(m=lab_helpers): return m.f(1)", "g()", _HELPER),
    "vars of a module": ("import lab_helpers", "vars(lab_helpers)['f'](1)", _HELPER),
    "the dict of a module": ("import lab_helpers", "lab_helpers.__dict__['f'](1)", _HELPER),
    "sys.modules": ("import sys, lab_helpers", "sys.modules['lab_helpers'].f(1)", _HELPER),
    "a partial": ("from functools import partial\nfrom lab_helpers import f\ng = partial(f)", "g(1)", _HELPER),
    "a partial of a partial": (
        "from functools import partial\nfrom lab_helpers import f\ng = partial(partial(f, 1))", "g()", _HELPER,
    ),
    "a partial in the module": ("from lab_helpers import g", "g(1)", "import functools\n" + _HELPER + "g = functools.partial(f)\n"),
    "lru_cache": ("from lab_helpers import f", "f(1)", "import functools\n@functools.lru_cache\n" + _HELPER),
    "a decorator with wraps": ("from lab_helpers import f", "f(1)", _WRAPS + "@d\n" + _HELPER),
    "a decorator without wraps": ("from lab_helpers import f", "f(1)", _BARE + "@d\n" + _HELPER),
    "two decorators": ("from lab_helpers import f", "f(1)", _BARE + "@d\n@d\n" + _HELPER),
    "a decorated method": ("from lab_helpers import M", "M().f(1)", _BARE + "class M:\n    @d\n    def f(self, x):\n        return x + @@\n"),
    "the decorator itself": (
        "from lab_helpers import d\n@d\ndef f(x): return x", "f(1)",
        "def d(h):\n    def w(*a): return h(*a) + @@\n    return w\n",
    ),
    "a decorator that returns its function": (
        "from lab_helpers import d\n@d\ndef f(x): return x", "f.n", "def d(h):\n    h.n = @@\n    return h\n",
    ),
    "a decorator of the standard library": (
        "from lab_helpers import f", "f(1).__enter__()",
        "import contextlib\n@contextlib.contextmanager\ndef f(x):\n    yield x + @@\n",
    ),
    "a lambda": ("from lab_helpers import f", "f(1)", "f = lambda x: x + @@\n"),
    "__import__": ("", "__import__('lab_helpers').f(1)", _HELPER),
    "an import in a function": ("def g(x):\n    from lab_helpers import f\n    return f(x)", "g(1)", _HELPER),
    "an import of a module in a function": ("def g(x):\n    import lab_helpers as h\n    return h.f(x)", "g(1)", _HELPER),
    "an import in a method": ("class N:\n    def g(self):\n        import lab_helpers as h\n        return h.f(1)", "N().g()", _HELPER),
    "importlib": ("import importlib", "importlib.import_module('lab_helpers').f(1)", _HELPER),
    "import_module": ("from importlib import import_module", "import_module('lab_helpers').f(1)", _HELPER),
    "a constant of a module": ("import lab_helpers", "lab_helpers.C", "C = @@\n"),
    "an imported constant": ("from lab_helpers import C", "C", "C = @@\n"),
    "a constant in dicts": ("from lab_helpers import C", "C['a']['b']", "C = {'a': {'b': @@}}\n"),
    "a constant of a helper": ("from lab_helpers import f", "f(1)", "C = @@\ndef f(x): return x + C\n"),
    "a class's attribute": ("from lab_helpers import M", "M.c", "class M:\n    c = @@\n"),
    "an instance's attribute": ("from lab_helpers import m", "m.c", "class M:\n    def __init__(self, c): self.c = c\nm = M(@@)\n"),
    "an instance's slot": ("from lab_helpers import m", "m.c", "class M:\n    __slots__ = ('c',)\n    def __init__(self, c): self.c = c\nm = M(@@)\n"),
    "an instance's method": ("from lab_helpers import m", "m.f(1)", _CLASS + "m = M()\n"),
    "an instance in an instance": ("from lab_helpers import m", "m.m.f(1)", _CLASS + "class O: pass\nm = O()\nm.m = M()\n"),
    "a bound method": ("from lab_helpers import f", "f(1)", _CLASS + "f = M().f\n"),
    "a bound method of a dict": ("from lab_helpers import get", "get('f')(1)", _HELPER + "get = {'f': f}.get\n"),
    "a dataclass's default": ("from lab_helpers import M", "M().c", "import dataclasses\n@dataclasses.dataclass\nclass M:\n    c: int = @@\n"),
    "a dataclass's factory": (
        "from lab_helpers import M", "M().c",
        "import dataclasses\ndef make(): return [@@]\n@dataclasses.dataclass\nclass M:\n    c: list = dataclasses.field(default_factory=make)\n",
    ),
    "an enum's value": ("from lab_helpers import M", "M.A.value", "import enum\nclass M(enum.Enum):\n    A = @@\n"),
    "an enum's member": ("from lab_helpers import A", "A.value", "import enum\nclass M(enum.Enum):\n    A = @@\nA = M.A\n"),
    "an enum from a function": ("from lab_helpers import M", "M.A.value", "import enum\nM = enum.Enum('M', {'A': @@})\n"),
    "a named tuple's default": ("from lab_helpers import M", "M().c", "import collections\nM = collections.namedtuple('M', 'c', defaults=[@@])\n"),
    "a typed named tuple's default": ("from lab_helpers import M", "M().c", "import typing\nclass M(typing.NamedTuple):\n    c: int = @@\n"),
    "a class from type()": ("from lab_helpers import M", "M.c", "M = type('M', (), {'c': @@})\n"),
    "a nested helper": ("from lab_helpers import f", "f(1)", _HELPER.replace("f(", "g(") + "def f(x):\n    return g(x)\n"),
    "an inner function": ("from lab_helpers import f", "f(1)", "def f(x):\n    def g(): return x + @@\n    return g()\n"),
    "a factory": ("from lab_helpers import make\nf = make()", "f(1)", "def make():\n    def f(x): return x + @@\n    return f\n"),
    "a factory's argument": ("from lab_helpers import f", "f(1)", "def make(n):\n    def f(x): return x + n\n    return f\nf = make(@@)\n"),
    "a default": ("from lab_helpers import f", "f(1)", "def f(x, c=@@):\n    return x + c\n"),
    "a default from a global": ("from lab_helpers import f", "f(1)", "C = @@\ndef f(x, c=C):\n    return x + c\n"),
    "a keyword default from a global": ("from lab_helpers import f", "f(1)", "C = [@@]\ndef f(x, *, c=C):\n    return x + c[0]\n"),
    "a function as a default": ("from lab_helpers import f", "f(1)", "def g(x): return x + @@\ndef f(x, h=g):\n    return h(x)\n"),
    "a function's attribute": ("from lab_helpers import f", "f.c", "def f(x): return x\nf.c = @@\n"),
    "a static method": ("from lab_helpers import M", "M.f(1)", "class M:\n    @staticmethod\n    def f(x): return x + @@\n"),
    "a class method": ("from lab_helpers import M", "M.f(1)", "class M:\n    @classmethod\n    def f(cls, x): return x + @@\n"),
    "a property": ("from lab_helpers import M", "M().f", "class M:\n    @property\n    def f(self): return @@\n"),
    "a cached property": ("from lab_helpers import M", "M().f", "import functools\nclass M:\n    @functools.cached_property\n    def f(self): return @@\n"),
    "a partial method": (
        "from lab_helpers import M", "M().f()",
        "import functools\nclass M:\n    def g(self, x): return x\n    f = functools.partialmethod(g, @@)\n",
    ),
    "a descriptor": (
        "from lab_helpers import M", "M().f",
        "class D:\n    def __get__(self, obj, cls): return @@\nclass M:\n    f = D()\n",
    ),
    "an operator": ("from lab_helpers import M", "M() + 1", "class M:\n    def __add__(self, x): return x + @@\n"),
    "a metaclass": ("from lab_helpers import M", "M.f", "class T(type):\n    @property\n    def f(cls): return @@\nclass M(metaclass=T): pass\n"),
    "a keyword of a class": (
        "from lab_helpers import M", "M.n",
        "N = @@\nclass B:\n    def __init_subclass__(cls, n): cls.n = n\nclass M(B, n=N): pass\n",
    ),
    "a generator": ("from lab_helpers import f", "sum(f(1))", "def f(x):\n    yield x + @@\n"),
    "a registry": ("import lab_helpers", "lab_helpers.REG['f'](1)", _REGISTRY + _HELPER),
    "a function that looks into a registry": ("from lab_helpers import get", "get('f')(1)", _REGISTRY + _HELPER + "def get(n): return REG[n]\n"),
    "a registry that is an object": (
        "from lab_helpers import R", "R.d['f'](1)",
        "class Registry:\n    def __init__(s): s.d = {}\n    def add(s, f):\n        s.d[f.__name__] = f\n        return f\nR = Registry()\n@R.add\n"
        + _HELPER,
    ),
    "singledispatch": (
        "from lab_helpers import f", "f(1)",
        "import functools\n@functools.singledispatch\ndef f(x): return x\n@f.register\ndef _(x: int): return x + @@\n",
    ),
    "singledispatch of a lambda": (
        "from lab_helpers import f", "f(1)",
        "import functools\n@functools.singledispatch\ndef f(x): return x\nf.register(int, lambda x: x + @@)\n",
    ),
    "a single-dispatch method": (
        "from lab_helpers import M", "M().f(1)",
        "import functools\nclass M:\n    @functools.singledispatchmethod\n    def f(self, x): return x\n    @f.register\n    def _(self, x: int): return x + @@\n",
    ),
    "a hook of subclasses": (
        "from lab_helpers import build", "build('A').f(1)",
        "class B:\n    kids = {}\n    def __init_subclass__(cls): B.kids[cls.__name__] = cls\nclass A(B):\n    def f(self, x): return x + @@\ndef build(n): return B.kids[n]()\n",
    ),
    "__subclasses__": (
        "from lab_helpers import build", "build().f(1)",
        "class B: pass\nclass A(B):\n    def f(self, x): return x + @@\ndef build(): return B.__subclasses__()[0]()\n",
    ),
    "eval of a written text": ("import lab_helpers", "eval('lab_helpers.f(1)')", _HELPER),
    "a written name among the globals": ("from lab_helpers import f", "globals()['f'](1)", _HELPER),
    "a module's __getattr__": ("import lab_helpers", "lab_helpers.thing", "def __getattr__(name): return @@\n"),
    "a constant text": ("from lab_helpers import C", "C", "C = 'sql @@'\n"),
    "a callable object": ("from lab_helpers import f", "f(1)", "class F:\n    def __call__(self, x): return x + @@\nf = F()\n"),
    "a decorating object": (
        "from lab_helpers import f", "f(1)", "class D:\n    def __init__(s, f): s.f = f\n    def __call__(s, x): return s.f(x)\n@D\n" + _HELPER,
    ),
    "a class in a table": ("import lab_helpers\nT = {'m': lab_helpers.M}", "T['m']().f(1)", _CLASS),
    "a table of lists of partials": (
        "import functools\nfrom lab_helpers import f\nT = {'f': [functools.partial(f, 1)]}", "T['f'][0]()", _HELPER,
    ),
    "an async function": ("from lab_helpers import f", "f(1)", "async def f(x): return x + @@\n"),
    "a comprehension": ("from lab_helpers import f", "[f(i) for i in range(3)]", _HELPER),
    "a walrus": ("from lab_helpers import f", "(y := f(1)) + y", _HELPER),
    "a global statement": ("C = 0\ndef g():\n    global C\n    C = lab_helpers.f(1)\nimport lab_helpers", "g()", _HELPER),
    "a long sum": ("from lab_helpers import f", "f(1)", "def f(x): return x" + " + 1" * 400 + " + @@\n"),
    "a class beside one of its name": (
        "from lab_helpers import M", "M.c", "class M:\n    c = 0\nclass M:\n    c = @@\n",
    ),
    "a mapping proxy": (
        "import types\nfrom lab_helpers import f\nT = types.MappingProxyType({'f': f})", "T['f'](1)", _HELPER,
    ),
    "a weak reference beside it": (
        "import weakref\nfrom lab_helpers import M\nm = M()\nT = {'m': m, 'w': weakref.ref(m)}", "T['m'].f(1)", _CLASS,
    ),
    "a module loaded by hand": ("from lab_loader import load\nm = load('lab_helpers.py', 'by_hand')", "m.f(1)", _HELPER),
    "a class of a module loaded by hand": ("from lab_loader import load\nm = load('lab_helpers.py', 'by_hand')", "m.M().f(1)", _CLASS),
    "the globals of a file that was run": (
        "import runpy, pathlib\nT = runpy.run_path(str(pathlib.Path(__file__).parent / 'lab_helpers.py'))", "T['f'](1)", _HELPER,
    ),
    "a function that exec made": ("T = {}\nexec('def f(x): return x + @@', T)", "T['f'](1)", ""),
    "a class of `types.new_class`": (
        "from lab_helpers import M", "M.c", "import types\nM = types.new_class('M', (), {}, lambda space: space.update(c=@@))\n",
    ),
    "a class of `make_dataclass`": (
        "from lab_helpers import M", "M().c",
        "import dataclasses\nM = dataclasses.make_dataclass('M', [('c', int, dataclasses.field(default=@@))])\n",
    ),
    "a default that was set later": ("from lab_helpers import f", "f(1)", "def f(x, c=0):\n    return x + c\nf.__defaults__ = (@@,)\n"),
    "a hook of attrs": (
        "from lab_helpers import f\nimport attrs\n@attrs.define\nclass M:\n    c = attrs.field(default=1, on_setattr=lambda *a: f(1))", "M().c", _HELPER,
    ),
    "a module of another class": (
        "import lab_helpers", "lab_helpers.f(1)",
        "import sys, types\nclass M(types.ModuleType):\n    def f(self, x): return x + @@\nsys.modules[__name__].__class__ = M\n",
    ),
    "an object in a module's place": (
        "import lab_helpers", "lab_helpers.f(1)", _CLASS + "import sys\nsys.modules[__name__] = M()\n",
    ),
    "a handler of logs": (
        "from lab_helpers import h", "h.f(1)", "import logging\nclass H(logging.Handler):\n    def f(self, x): return x + @@\nh = H()\n",
    ),
    "a weak set of what registered itself": ("import weakref\nfrom lab_helpers import f\nT = weakref.WeakSet([f])", "[*T][0](1)", _HELPER),
    "a weak table": ("import weakref\nfrom lab_helpers import M\nm = M()\nT = weakref.WeakValueDictionary(m=m)", "T['m'].f(1)", _CLASS),
    "a weak reference": ("import weakref\nfrom lab_helpers import f\nr = weakref.ref(f)", "r()(1)", _HELPER),
    "a function that NumPy vectorizes": ("import numpy\nfrom lab_helpers import f\nv = numpy.vectorize(f)", "v(1)", _HELPER),
    "a ufunc made of a function": ("import numpy\nfrom lab_helpers import f\nv = numpy.frompyfunc(f, 1, 1)", "v(1)", _HELPER),
    "a function put into a library": ("import colorsys\nfrom lab_helpers import f\ncolorsys.f = f", "colorsys.f(1)", _HELPER),
    "a method put into a library's class": (
        "import string\nfrom lab_helpers import f\nstring.Template.f = f", "string.Template('').f()", _HELPER,
    ),
    "a method put into an imported class": (
        "from string import Template\nfrom lab_helpers import f\nTemplate.f = f", "Template('').f()", _HELPER,
    ),
    "a converter of attrs": (
        "from lab_helpers import f\nimport attrs\n@attrs.define\nclass M:\n    c = attrs.field(default=1, converter=f)", "M().c", _HELPER,
    ),
    "a validator of attrs": (
        "from lab_helpers import f\nimport attrs\n@attrs.define\nclass M:\n    c = attrs.field(default=1, validator=lambda *a: f(1))", "M().c", _HELPER,
    ),
    "a validator of pydantic": (
        ("from typing import Annotated\nfrom lab_helpers import f\nimport pydantic\n"
        "class M(pydantic.BaseModel):\n    c: Annotated[int, pydantic.AfterValidator(f)] = 1"), "M(c=1).c", _HELPER,
    ),
    "a validator within a type of pydantic": (
        ("from typing import Annotated\nfrom lab_helpers import f\nimport pydantic\nT = Annotated[int, pydantic.AfterValidator(f)]\n"
        "class M(pydantic.BaseModel):\n    c: list[T] = []"), "M(c=[1]).c", _HELPER,
    ),
    "a bound of pydantic": (
        "from lab_helpers import C\nimport pydantic\nclass M(pydantic.BaseModel):\n    c: int = pydantic.Field(5, ge=C)", "M(c=1)", "C = @@\n",
    ),
    "metadata of a field": (
        "import dataclasses\nfrom lab_helpers import C\n@dataclasses.dataclass\nclass M:\n    c: int = dataclasses.field(default=1, metadata={'c': C})",
        "M", "C = @@\n",
    ),
    "a lock beside it": ("import threading\nfrom lab_helpers import C\nT = {'l': threading.Lock(), 'c': C}", "T['c']", "C = @@\n"),
}  # fmt: skip

# Data of every kind that is read as a global; 1 becomes 2.
DATA = {
    "int": "@@", "float": "@@ / 3", "text": "'a@@'", "bytes": "b'@@'", "complex": "@@j", "tuple": "(0, @@)", "list": "[@@]",
    "nested": "{'a': [(1, {@@})]}", "set": "{0, @@}", "frozen set": "frozenset({0, @@})", "long tuple": "tuple([@@] + [0] * 2000)",
    "long list": "[0] * 5000 + [@@]", "range": "range(@@)", "slice": "slice(@@)", "bytearray": "bytearray([@@])",
    "Path": "__import__('pathlib').Path('data/v@@.csv')", "regex": "__import__('re').compile('a{@@}')",
    "date": "__import__('datetime').date(2020, 1, @@)", "timedelta": "__import__('datetime').timedelta(@@)",
    "Decimal": "__import__('decimal').Decimal('@@')", "Fraction": "__import__('fractions').Fraction(@@, 3)",
    "UUID": "__import__('uuid').UUID(int=@@)", "namespace": "__import__('types').SimpleNamespace(lr=@@)",
    "deque": "__import__('collections').deque([@@])", "Counter": "__import__('collections').Counter(a=@@)",
    "ordered dict": "__import__('collections').OrderedDict(a=@@)", "chain map": "__import__('collections').ChainMap({'a': @@})",
    "arguments": "__import__('argparse').Namespace(lr=@@)", "array": "__import__('array').array('i', [@@])",
    "operator": "__import__('operator').itemgetter(@@)", "NumPy array": "__import__('numpy').array([@@])",
    "NumPy scalar": "__import__('numpy').float64(@@)", "table of arrays": "{'a': __import__('numpy').array([@@])}",
    "object array": "__import__('numpy').array([None, @@], dtype=object)", "dtype": "__import__('numpy').dtype(('i4', @@))",
    "large array": "__import__('numpy').arange(300_000) + @@", "frame": "__import__('pandas').DataFrame({'a': [@@]})",
    "series": "__import__('pandas').Series([@@])", "timestamp": "__import__('pandas').Timestamp(2020, 1, @@)",
    "structure": "__import__('struct').Struct('@@i')", "context variable": "__import__('contextvars').ContextVar('v', default=@@)",
    "seeded generator": "__import__('numpy').random.default_rng(@@)",
}  # fmt: skip

# Code of libraries behind a name of the project: what becomes what.
LIBRARY = {
    "an imported function": ("from math import @@ as fn", "fn(1)", "sin", "cos"),
    "a function of the same name": ("from @@ import sin", "sin(1)", "math", "cmath"),
    "a module of the same alias": ("import @@ as m", "m.sin(1)", "math", "cmath"),
    "a class in a global": ("import collections\nC = collections.@@", "C()", "Counter", "OrderedDict"),
    "a list of classes": ("import collections\nC = [collections.@@]", "C[0]()", "Counter", "OrderedDict"),
    "a partial of a class": ("import functools\nC = functools.partial(dict, a=@@)", "C()", "1", "2"),
    "a base class": ("import collections\nB = collections.@@\nclass M(B): pass", "M()", "Counter", "OrderedDict"),
    "an imported base class": ("from collections import @@ as B\nclass M(B): pass", "M()", "Counter", "OrderedDict"),
    "a dtype": ("import numpy as np\nT = np.float@@", "T(1)", "32", "64"),
    "two aliases": ("from math import sin as @@, cos as @@x", "a(1) - ax(1)", "a", "b"),
    "an operator": ("import operator\nop = operator.@@", "op(1, 2)", "add", "sub"),
}  # fmt: skip

# Which of two things has which name: their set is the same.
EXCHANGED = {
    "two aliases": "from lab_helpers import one as @1, two as @2\n",
    "two closures": "def make(n):\n    def f(): return n\n    return f\n@1 = make(1)\n@2 = make(2)\n",
    "two lambdas": "@1 = lambda: 1\n@2 = lambda: 2\n",
    "two partials": "import functools\n@1 = functools.partial(int, '1')\n@2 = functools.partial(int, '2')\n",
    "two modules": "import lab_helpers as @1, lab_others as @2\n",
    "two classes of a factory": "def make(n):\n    class C:\n        k = n\n    return C\n@1 = make(1)\n@2 = make(2)\n",
}

# Edits that mean nothing: old, new.
MEANINGLESS = {
    "a comment": ("return x", "return x  # why"),
    "a docstring": ("def h(x):\n", "def h(x):\n    'Say.'\n"),
    "another docstring": ("'''Model.'''", "'''A model.\n    Of two lines.'''"),
    "formatting": ("return x", "return (  x  )"),
    "lines": ("def h(x)", "\n\n\ndef h(x)"),
    "quotes": ("'a'", '"a"'),
    "a line that is joined": ("'ab'", "('a'\n    'b')"),
    "a number's spelling": ("1000", "1_000"),
    "a trailing comma": ("(1, 2)", "(1, 2,)"),
    "an unused function": ("def unused(): return 1", "def unused(): return 2"),
    "an unused constant": ("UNUSED = 1", "UNUSED = 2"),
    "an unused import": ("import json", "import json, math"),
    "the order of definitions": ("def one(): return 1\ndef two(): return 2", "def two(): return 2\ndef one(): return 1"),
    "the quotes of an f-string": ("f'{K}'", 'f"{K}"'),
    "a blank line at the end": ("LAST = 1\n", "LAST = 1\n\n\n# end\n"),
}  # fmt: skip
MEANT = """import json
UNUSED = 1
K = 1
def unused(): return 1
def one(): return 1
def two(): return 2
class M:
    '''Model.'''
    def f(self):
        '''Model.'''
        return 'ab', 1000, (1, 2)
def only():
    '''Model.'''
def h(x):
    return x
def train(context, config):
    return h('a'), M().f(), one(), two(), f'{K}', only(), json.dumps(1)
LAST = 1
"""


def programs() -> Iterator[tuple[str, dict[str, str], str, str]]:
    """Yield every program with its name, and what becomes what in it."""
    for name, (above, result, helpers) in THROUGH_A_MODULE.items():
        yield (
            name,
            {
                "lab_exp.py": _experiment(above, result),
                "lab_helpers.py": helpers,
                "lab_loader.py": _LOADER,
            },
            "@@",
            "1,2",
        )
    for name, value in DATA.items():
        above = f"value = {value}\ncopy = [value]\n"
        yield f"a global {name}", {"lab_exp.py": _experiment(above, "value")}, "@@", "1,2"
        held = f"class C: pass\nvalue = C()\nvalue.held = {value}\n"
        yield f"{name} in an object", {"lab_exp.py": _experiment(held, "value")}, "@@", "1,2"
        body = f"K = {value}\nclass C:\n    held = K\n"
        yield f"{name} in a class", {"lab_exp.py": _experiment(body, "C.held")}, "@@", "1,2"
    for name, (above, result, old, new) in LIBRARY.items():
        yield f"{name} of a library", {"lab_exp.py": _experiment(above, result)}, "@@", f"{old},{new}"


_LOADER = """import importlib.util, pathlib
def load(file, name):
    spec = importlib.util.spec_from_file_location(name, pathlib.Path(__file__).parent / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""


def _experiment(above: str, result: str) -> str:
    return f"{above}\ndef train(context, config):\n    return {result}\n"

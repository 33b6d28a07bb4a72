"""One definition per key: what a run's step and foreign data call alike has to be the same thing."""

import ast
import inspect
from collections import Counter

from xbarlab.analysis import own_data_quantities, quantities


def test_no_key_is_defined_twice() -> None:
    keys: Counter[str] = Counter()
    for module in (quantities, own_data_quantities):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
                keys.update(key.value for key in node.value.keys if isinstance(key, ast.Constant))
    assert len(keys) > 100
    assert [key for key, count in keys.items() if count > 1] == []

"""What `import arithmos` gives: these names and no others, without loading anything heavy."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

import arithmos
from arithmos.targets.target import BUILT_IN

NAMES = ["Recipe", "approximate", "calibrate", "export", "load", "quantize", "run", "save", "trace", "verify"]


def test_the_public_names() -> None:
    assert arithmos.__all__ == NAMES
    assert dir(arithmos) == sorted([*NAMES, "__version__"])


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_what_it_says(name: str) -> None:
    if name == "trace":
        pytest.importorskip("torch", reason='pip install "arithmos[torch]"')
    found = getattr(arithmos, name)
    assert callable(found)
    assert found.__name__ == name
    assert found.__doc__


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'arithmos' has no attribute 'approximates'$"):
        arithmos.approximates  # noqa: B018


def test_the_import_is_light() -> None:
    code = "import sys, arithmos; print(sorted({m.partition('.')[0] for m in sys.modules} & set(sys.argv[1:])))"
    heavy = [
        "torch",
        "numpy",
        "onnx",
        "onnxruntime",
        "matplotlib",
        "jinja2",
        "pyarrow",
        "PIL",
        "sklearn",
        "click",
        "rich",
    ]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", [name for name in arithmos._HOMES if name not in ("trace",)])
def test_no_name_but_trace_needs_torch(name: str) -> None:
    code = f"import sys, arithmos; arithmos.{name}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_version_is_the_packages() -> None:
    assert version("arithmos") == arithmos.__version__


def test_the_entry_points_are_the_built_in_targets() -> None:
    registered = {e.name: e.value for e in entry_points(group="arithmos.targets")}
    assert registered.items() <= BUILT_IN.items()
    assert set(BUILT_IN) - set(registered) == {"interpreter"}

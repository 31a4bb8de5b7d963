"""Optional libraries: imported where they are needed, named with the command that installs them where they are not."""

from __future__ import annotations

import importlib
from types import ModuleType

from arithmos.errors import MissingTool


def require(module: str, extra: str) -> ModuleType:
    """The imported module, which `pip install "arithmos[extra]"` provides.

    Raises MissingTool with that command if the module is not installed or cannot be loaded.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            why, command = f"{package} is not installed", "pip install"
        else:
            why, command = f"{package} is installed but cannot be imported: {error}", "pip install --force-reinstall"
        raise MissingTool(f"this needs {package}", why=why, fix=f'{command} "arithmos[{extra}]"') from error

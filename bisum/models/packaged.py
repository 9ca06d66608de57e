"""Models and tokenizers that Python packages carry, named as Hydra names packaged configurations."""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from bisum.errors import UserError

SCHEME = "pkg://"


def located(name: str, key: str = "model.checkpoint") -> str:
    """Return where a model is: `pkg://PACKAGE` is the package's own directory, `~` the home; a hub name stays itself.

    No code of the package is run: the name may come from a configuration of someone else.

    Raises:
        UserError: there is no such package or home; `key` names what asked for it.
    """
    if not name.startswith(SCHEME):
        with suppress(RuntimeError):  # there is no such user
            if name:
                return str(Path(name).expanduser())
        raise UserError(f"{key}: there is no directory '{name}'")
    package = name.removeprefix(SCHEME)
    first, *parts = package.split(".")
    if all(part.isidentifier() for part in (first, *parts)) and first != "__main__":  # the program, of no package
        spec = find_spec(first)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (directory := Path(folder, *parts)).is_dir():
                return str(directory)
    raise UserError(f"{key}: '{name}': no folder of an installed Python package is '{package}'")

"""Models and tokenizers that Python packages carry, named as Hydra names packaged configurations."""

from importlib.util import find_spec
from pathlib import Path

from bisum.errors import UserError

SCHEME = "pkg://"


def located(name: str) -> str:
    """Return where a model is: `pkg://PACKAGE` is the package's own directory, `~` the home; a hub name stays itself.

    Raises:
        UserError: there is no such package.
    """
    if not name.startswith(SCHEME):
        return str(Path(name).expanduser())
    package = name.removeprefix(SCHEME)
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"'{name}': no Python package '{package}' is installed")
    return spec.submodule_search_locations[0]

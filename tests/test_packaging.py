"""The wheel contains everything that bisum needs, and works without the checkout."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from bisum import compose
from bisum.version import __version__

ROOT = Path(__file__).parents[1]
STARTER = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="building the wheel needs a checkout")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the unzipped wheel, outside the checkout."""
    for module in ("build", "hatchling"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"building the wheel needs {module}: pip install {module}")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    assert built.name == f"bisum-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unzipped")
    return folder / "unzipped"


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_wheel_contains_every_file_of_the_package_and_of_conf(wheel):
    package = {name: data for name, data in files(ROOT / "bisum").items() if not re.fullmatch(r"assets/.*\.py", name)}
    expected = {**package, **{f"conf/{name}": data for name, data in files(ROOT / "conf").items()}}
    assert files(wheel / "bisum") == expected
    for needed in (
        "conf/train.yaml",
        "assets/sample/train.parquet",
        "assets/sample/README.md",
        "assets/tiny/tokenizer.json",
        *(f"assets/starter/{name}" for name in STARTER),
    ):
        assert needed in expected


def test_starter_is_small(wheel):
    sizes = [len(data) for data in files(wheel / "bisum/assets/starter").values()]
    assert sum(sizes) <= 12_000_000  # bytes


def test_wheel_contains_nothing_else_except_its_command_and_license(wheel):
    information = wheel / f"bisum-{__version__}.dist-info"
    assert {path.name for path in wheel.iterdir()} == {"bisum", information.name}
    assert "bisum = bisum.cli.main:main" in (information / "entry_points.txt").read_text(encoding="utf-8")
    assert (information / "licenses/LICENSE").is_file()
    metadata = (information / "METADATA").read_text(encoding="utf-8")
    assert re.search(r"^Requires-Python: .*>=3\.11", metadata, re.MULTILINE)
    assert "# bisum" in metadata


def test_conf_exists_once():
    assert (ROOT / "conf").is_dir()
    assert not (ROOT / "bisum/conf").exists()


def test_bisum_works_from_the_wheel_outside_the_checkout(wheel, tmp_path):
    def bisum(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(wheel)}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert bisum("-c", "import bisum; print(bisum.__file__)").strip() == str(wheel / "bisum/__init__.py")
    assert yaml.safe_load(bisum("-m", "bisum", "--cfg", "job", "--resolve")) == compose().provenance.resolved
    assert bisum("-m", "bisum", "summarize", "--", "A library that reads files.").endswith("\n")
    out = bisum("-m", "bisum", "baseline", "corpus.max_eval_rows=40", "evaluation.bootstrap_samples=100")
    assert "lead-3 on validation, 40 rows" in out
    assert len(list((tmp_path / "outputs").glob("*/*/run.json"))) == 1

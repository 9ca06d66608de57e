"""Short training runs on the sample, and a user's folder."""

import sys

import pytest
from training_runs import read, small, trained

__all__ = ["read", "small", "trained"]


@pytest.fixture
def write_folder(tmp_path, monkeypatch):
    """Function that writes a user's files, by path; modules among them are imported again."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.suffix == ".py":
                module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                monkeypatch.delitem(sys.modules, module, raising=False)
        return tmp_path

    return write

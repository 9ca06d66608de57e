"""A data set in a local folder reads files of this folder only, whatever its card says."""

import json

import pytest

from bisum.corpus.hub import Hub
from bisum.errors import UserError

ROWS = [{"id": str(n), "document": f"Document {n}.", "summary": f"Summary {n}", "language": "en"} for n in range(8)]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    (tmp_path / "secret.jsonl").write_text(json.dumps(ROWS[0]), encoding="utf-8")
    return folder


def write_card(folder, names):
    files = json.dumps([{"split": "train", "path": names}])
    text = f"---\nconfigs:\n- config_name: default\n  data_files: {files}\n---\n# A data set\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    ["http://127.0.0.1:9/rows.jsonl?sig=abcdef", "/etc/hosts", "../secret.jsonl", "hf://datasets/a/b/rows.jsonl"],
)
def test_card_that_names_files_elsewhere_is_refused(name, folder, tmp_path):
    for names in (name, ["rows.jsonl", name]):
        write_card(folder, names)
        with pytest.raises(UserError, match=r"^corpus.repo: .*README.md names '.*', outside its folder; remove that"):
            Hub(repo=str(folder)).load(["en"])


def test_other_kind_of_card_is_also_checked(folder):
    text = "configs:\n- config_name: default\n  data_files: [{split: train, path: ../secret.jsonl}]\n"
    (folder / ".huggingface.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"^corpus.repo: .*\.huggingface\.yaml names '\.\./secret\.jsonl', outside its"):
        Hub(repo=str(folder)).load(["en"])


def test_card_can_name_files_of_its_folder(folder):
    write_card(folder, "rows.jsonl")
    splits = Hub(repo=str(folder), validation=None, test=None, validation_share=0.3, test_share=0.3).load(["en"])
    assert sorted(row for rows in splits.values() for row in rows["id"].to_pylist()) == [str(n) for n in range(8)]

"""A stored conversion gives the same summaries without torch, and is replaced when anything about it is wrong."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from batch import sample_texts
from family_rows import DOCUMENTS, LANGUAGES

import bisum.evaluation.conversions
from bisum import Summarizer
from bisum.errors import UserError
from bisum.runs import shared_folder

FAMILIES = [
    *("t5", "flan_t5", "mt5", "umt5", "byt5"),
    *("bart", "kobart", "barthez", "bart_chinese", "pegasus"),
    *("mbart50", "nllb", "m2m100"),
]
LIMITS = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu", "languages=[en,es,de]"]


@pytest.fixture
def summarizer_of(tmp_path):
    """A function that returns a summarizer of a checkpoint, with a cache folder of the test's own."""
    return lambda run, *overrides: Summarizer(run, [*LIMITS, f"cache_dir={tmp_path}/cache", *overrides])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stored_conversion_gives_the_same_summaries(summarizer_of, checkpoints, family):
    documents, languages = sample_texts(30)
    documents = [*DOCUMENTS, "A </s> b <s> c [SEP] <pad> <n> d\ne", *documents]
    languages = [*LANGUAGES, "en", *languages]
    first, second = (summarizer_of(checkpoints(family)) for _ in range(2))
    assert first.model.loaded is not None
    assert second.model.loaded is None
    summaries = first(documents, languages)
    assert second(documents, languages) == summaries
    assert len(set(summaries)) > len(summaries) / 2
    plain = summarizer_of(checkpoints(family), "generation.engine=transformers")
    assert plain(documents, languages) == summaries
    for changed in (["generation.min_tokens=4", 'model.prefix="Say: "'], ["model.max_summary_tokens=6"]):
        plain = summarizer_of(checkpoints(family), "generation.engine=transformers", *changed)
        stored = summarizer_of(checkpoints(family), *changed)
        assert stored.model.loaded is None
        assert stored(documents[:12], languages[:12]) == plain(documents[:12], languages[:12])


@pytest.mark.parametrize("family", ["t5", "bart_chinese", "mbart50", "byt5"])
def test_windows_of_long_documents_are_the_same(summarizer_of, checkpoints, family):
    documents = [" ".join(sample_texts(12)[0]), DOCUMENTS[4], "A text."]
    plain, first, second = (
        summarizer_of(checkpoints(family), "model.long_documents=chunk", f"generation.engine={engine}")
        for engine in ("transformers", "auto", "auto")
    )
    assert second.model.loaded is None
    assert second(documents, ["en", "es", "en"]) == first(documents, ["en", "es", "en"])
    assert second(documents, ["en", "es", "en"]) == plain(documents, ["en", "es", "en"])


def test_int8_weights_are_stored_apart(summarizer_of, checkpoints):
    for quantization in ("none", "int8"):
        options = ["generation.engine=ctranslate2", f"generation.quantization={quantization}"]
        first, second = (summarizer_of(checkpoints("t5"), *options) for _ in range(2))
        assert (first.model.loaded is None, second.model.loaded is None) == (False, True)
        assert second(DOCUMENTS, "en") == first(DOCUMENTS, "en")


def test_what_is_not_generated_with_ctranslate2_is_not_stored(summarizer_of, checkpoints, tmp_path):
    for family, override in (("t5", "generation.num_beams=2"), ("t5", "hardware.precision=bf16"), ("longt5", "seed=1")):
        for _ in range(2):
            assert summarizer_of(checkpoints(family), override).model.loaded is not None
    assert not list(tmp_path.glob("cache/*"))


def test_limits_are_checked_as_when_the_model_is_loaded(summarizer_of, checkpoints):
    messages = []
    for _ in range(2):
        with pytest.raises(UserError, match=r"exceeds the model's \d+ positions") as error:
            summarizer_of(checkpoints("bart"), "model.max_document_tokens=100000")
        messages.append(str(error.value))
        summarizer_of(checkpoints("bart"))
    assert messages[0] == messages[1]


def test_the_loaded_model_is_available_on_request(summarizer_of, checkpoints):
    first, second = (summarizer_of(checkpoints("t5")) for _ in range(2))
    assert second.model.loaded is None
    assert second.loaded.parameters == first.loaded.parameters == second.model.parameters


def test_a_changed_checkpoint_is_converted_again(summarizer_of, checkpoints, tmp_path):
    shutil.copytree(checkpoints("t5"), tmp_path / "model")
    before = summarizer_of(tmp_path / "model")(DOCUMENTS, "en")
    for name in ("model.safetensors", "config.json"):
        assert summarizer_of(tmp_path / "model").model.loaded is None
        file = tmp_path / "model" / name
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        content = file.read_bytes()
        file.write_bytes(content)
        os.utime(file, ns=times)  # as a copy that preserves times leaves it
        changed = summarizer_of(tmp_path / "model")
        assert changed.model.loaded is not None
        assert changed(DOCUMENTS, "en") == before


def damage(entry, how):
    weights = entry / "model" / "model.bin"
    if how == "a bit":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif how == "truncated":
        os.truncate(weights, 100)
    elif how == "missing":
        weights.unlink()
    elif how == "record":
        (entry / "record.json").write_text("[1, 2")
    elif how == "foreign class":
        record = json.loads((entry / "record.json").read_text())
        record["values"]["reader"]["tokenizer"] = ["subprocess", "Popen"]
        (entry / "record.json").write_text(json.dumps(record))
    elif how == "foreign values":
        record = json.loads((entry / "record.json").read_text())
        (entry / "record.json").write_text(json.dumps({**record, "values": {"reader": 3}}))
    else:
        shutil.rmtree(entry)
        entry.write_text("a file")


@pytest.mark.parametrize(
    "how", ["a bit", "truncated", "missing", "record", "foreign class", "foreign values", "a file"]
)
def test_a_damaged_conversion_is_reported_and_replaced(summarizer_of, checkpoints, tmp_path, caplog, how):
    summaries = summarizer_of(checkpoints("t5"))(DOCUMENTS, "en")
    (entry,) = tmp_path.glob("cache/*")
    damage(entry, how)
    again = summarizer_of(checkpoints("t5"))
    assert again.model.loaded is not None
    assert f"{entry} is damaged" in caplog.text
    assert again(DOCUMENTS, "en") == summaries
    assert summarizer_of(checkpoints("t5")).model.loaded is None
    assert list(tmp_path.glob("cache/*")) == [entry]


def test_a_folder_that_cannot_be_written_is_reported(checkpoints, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    summarizer = Summarizer(checkpoints("t5"), [*LIMITS, f"cache_dir={tmp_path}/file/cache"])
    assert "cache_dir: the converted model cannot be stored" in caplog.text
    assert all(summarizer(DOCUMENTS, "en"))


def test_the_folder_keeps_the_conversions_used_last(summarizer_of, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(bisum.evaluation.conversions, "MOST", 2)
    monkeypatch.setattr(shared_folder, "GRACE_SECONDS", 0)
    for family in ("t5", "bart", "t5", "pegasus"):
        summarizer_of(checkpoints(family))
        time.sleep(0.01)
    assert len(list(tmp_path.glob("cache/*"))) == 2
    assert summarizer_of(checkpoints("t5")).model.loaded is None
    assert summarizer_of(checkpoints("bart")).model.loaded is not None


def test_what_a_killed_process_left_is_deleted(summarizer_of, checkpoints, tmp_path):
    (left := tmp_path / "cache" / ".ctranslate2-0123").mkdir(parents=True)
    (new := tmp_path / "cache" / ".ctranslate2-4567").mkdir()
    os.utime(left, (0, 0))
    summarizer_of(checkpoints("t5"))
    assert not left.exists()
    assert new.exists()  # another process may be about to lock it


def test_processes_at_once_share_one_conversion(checkpoints, tmp_path):
    code = (
        "import sys; from bisum import Summarizer; "
        "print(Summarizer(sys.argv[1], [*sys.argv[3:], f'cache_dir={sys.argv[2]}'])('A text.', 'en'))"
    )
    command = [sys.executable, "-c", code, str(checkpoints("t5")), str(tmp_path / "cache"), *LIMITS]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate(timeout=300)[0] for process in started}
    assert len(outputs) == 1
    assert len(list(tmp_path.glob("cache/*"))) == 1
    assert not list(tmp_path.glob("cache/.*"))


def test_the_command_line_needs_no_torch_after_the_first_time(run_bisum, tmp_path):
    heavy = ["torch", "pandas", "pyarrow", "datasets", "accelerate", "sklearn", "matplotlib"]
    script = (
        "import sys; from bisum.cli.main import main\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    command = [
        sys.executable,
        "-c",
        script,
        "summarize",
        f"cache_dir={tmp_path}",
        "hardware=cpu",
        "--",
        "A mail reader.",
    ]
    first, second = (subprocess.run(command, capture_output=True, text=True, timeout=300) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert second.stdout == first.stdout != ""
    assert "torch" in first.stderr
    assert second.stderr == "[]\n"

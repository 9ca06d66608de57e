"""`bisum summarize` is a Unix filter: in order, without delay, and only summaries on standard output."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

import bisum

ARGUMENTS = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "hardware=cpu", "tracker=none"]
ROOT = str(Path(bisum.__file__).parents[1])


@pytest.fixture(scope="module")
def trained(checkpoints, tmp_path_factory):
    """A run, and its predictions of the test split."""
    run = tmp_path_factory.mktemp("trained") / "run"
    rows = ["corpus.max_train_rows=32", "corpus.max_eval_rows=8", "evaluation.bootstrap_samples=100"]
    arguments = [
        *ARGUMENTS,
        *rows,
        f"model.checkpoint={checkpoints('mt5')}",
        "trainer.epochs=1",
        "trainer.learning_rate=1e-4",
    ]
    bisum.train(bisum.compose(arguments), run)
    lines = (run / "predictions/test-epoch-1.jsonl").read_text("utf-8").splitlines()
    scored = [json.loads(line) for line in lines]
    assert len({row["prediction"] for row in scored}) > 4
    return run, scored


def one_line(text):
    return " ".join(text.split())


@pytest.fixture
def start(trained, tmp_path):
    """Start `bisum summarize RUN ARGUMENTS` in `tmp_path`, with pipes as its streams."""
    processes = []

    def started(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "bisum", "summarize", str(trained[0]), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ROOT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.timeout(120)
def test_summary_is_written_before_the_next_line_is_read_and_ctrl_c_ends_it(start, trained):
    process = start()
    for row in trained[1][:3]:
        process.stdin.write(one_line(row["document"]).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline().decode() == f"{row['prediction']}\n"
    process.send_signal(signal.SIGINT)  # standard input is open, and a thread waits for its next line
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"bisum: interrupted\n")


@pytest.mark.timeout(120)
def test_closed_pipe_ends_the_command(start, trained):
    process = start()
    process.stdin.write(b"A library that reads files.\n" * 200)
    process.stdin.flush()
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""


@pytest.mark.timeout(120)
def test_output_lines_match_input_lines(start, trained, tmp_path):
    rows = trained[1]
    lines = [one_line(rows[0]["document"]), "", one_line(rows[1]["document"]), " ", one_line(rows[2]["document"])]
    process = start("log=info")
    out, err = process.communicate("\n".join(lines).encode(), timeout=100)
    expected = [rows[0]["prediction"], "", rows[1]["prediction"], "", rows[2]["prediction"]]
    assert (process.returncode, out.decode().split("\n"), err) == (0, [*expected, ""], b"")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def summarize(call_bisum, trained):
    """Run `bisum summarize RUN ARGUMENTS` in this process, whose standard input is empty."""
    return lambda *arguments: call_bisum("summarize", str(trained[0]), *arguments)


def test_texts_files_and_empty_input_are_summarized(summarize, trained, tmp_path):
    texts = [row["document"] for row in trained[1]]
    done = summarize("--", texts[0], "", "\u00ad", texts[1])  # a soft hyphen is invisible
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{trained[1][0]['prediction']}\n\n\n{trained[1][1]['prediction']}\n"

    (tmp_path / "a.txt").write_text(f"{texts[2]}\n", "utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": texts[3], "summary": "not shown in a pipe"}), "utf-8")
    done = summarize("a.txt", "b.jsonl", "unit=file")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{trained[1][2]['prediction']}\n{trained[1][3]['prediction']}\n"

    (tmp_path / "empty.txt").touch()
    done = summarize("empty.txt")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = summarize("-")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_table_is_summarized_row_by_row(summarize, trained, tmp_path):
    rows = trained[1][:2]
    with (tmp_path / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["Body", "Lang", "id"], [rows[0]["document"], "es", "1_0"], ["", "en", "b"]])
        writer.writerow([rows[1]["document"], "en", "c"])
    done = summarize("reviews.csv")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{rows[0]['prediction']}\n\n{rows[1]['prediction']}\n"
    done = summarize("reviews.csv", "format=jsonl")
    known = {"id": "1_0", "language": "es", "document": rows[0]["document"]}
    assert json.loads(done.out.splitlines()[0]) == known | {"summary": rows[0]["prediction"]}


def test_json_lines_contain_all_known_values(summarize, trained, tmp_path):
    rows = trained[1]
    given = [
        {"id": 7, "document": rows[0]["document"], "language": "es", "summary": "¿Qué?", "stars": 5},
        {"text": rows[1]["document"]},
        {"document": ""},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, given)), "utf-8")
    done = summarize("a.jsonl", "format=jsonl")
    assert (done.code, done.err) == (0, "")
    assert "¿Qué?" in done.out  # without escapes
    found = [json.loads(line) for line in done.out.splitlines()]
    summary = {"summary": rows[0]["prediction"]}
    known = {"id": 7, "language": "es", "stars": 5, "document": rows[0]["document"], "reference": "¿Qué?"}
    assert found[0] == known | summary
    assert found[1] == {
        "id": "a.jsonl:2", "language": None, "document": rows[1]["document"], "summary": rows[1]["prediction"]
    }  # fmt: skip
    assert found[2] == {"id": "a.jsonl:3", "language": None, "document": "", "summary": ""}


def test_no_key_of_the_input_is_lost(summarize, trained, tmp_path):
    """The input has another model's summary next to the reference, as in this command's output."""
    row = trained[1][0]
    given = {"document": row["document"], "reference": "¿Qué?", "summary": "another's", "input_summary": "a third's"}
    (tmp_path / "a.jsonl").write_text(json.dumps(given), "utf-8")
    done = summarize("a.jsonl", "format=jsonl")
    assert (done.code, done.err) == (0, "")
    expected = given | {"summary": row["prediction"], "input_input_summary": "another's"}
    assert json.loads(done.out) == {"id": "a.jsonl:1", "language": None, **expected}


def test_failure_is_reported_in_one_line(summarize, write, tmp_path):
    """A user's family allocates more memory than available."""
    family = "import torch\nfrom bisum.models.families import T5\n\n\nclass Greedy(T5):\n"
    family += "    def generate(self, *_):\n        return torch.empty(10**16)\n"
    write(tmp_path / "greedy.py", family)
    own = ["allow_targets=[greedy]", "+model.family={_target_: greedy.Greedy}"]
    arguments = [*own, "--", "A library that reads files."]
    done = summarize(*arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("bisum: RuntimeError: ")
    assert "memory" in done.err
    assert "; try a smaller evaluation.batch_size (log=debug" in done.err
    assert done.err.count("\n") == 1
    done = summarize("log=debug", *arguments)
    assert done.code == 1
    assert "Traceback (most recent call last)" in done.err


def test_rows_have_their_own_language(call_bisum, checkpoints):
    arguments = [*ARGUMENTS, "corpus.max_eval_rows=4", "corpus.max_train_rows=4", "split=test", "language=en"]
    done = call_bisum("summarize", str(checkpoints("mbart50")), *arguments)
    assert (done.code, done.err) == (0, "bisum: language: ignored; each row of the corpus has its own\n")
    assert call_bisum("summarize", str(checkpoints("mbart50")), *arguments[:-1]).out == done.out
    assert "(es)" in done.out
    done = call_bisum("summarize", str(checkpoints("mt5")), *arguments)
    assert (done.code, done.err) == (0, "")


def test_rows_come_from_the_corpus_of_the_run(summarize, trained):
    rows = trained[1]
    done = summarize("split=test", "format=jsonl")
    assert (done.code, done.err) == (0, "")
    found = [json.loads(line) for line in done.out.splitlines()]
    scored = [{name: value for name, value in row.items() if name != "category"} for row in rows]
    assert [{"prediction": row.pop("summary"), **row} for row in found] == scored

    done = summarize("split=test", "rows=[5,0]", f"ids=[{rows[2]['id']}]")
    assert (done.code, done.err) == (0, "")
    lines = [
        line
        for row in (rows[5], rows[0], rows[2])
        for line in (
            f"{row['id']} ({row['language']})",
            f"document   {one_line(row['document'])}",
            f"reference  {one_line(row['reference'])}",
            f"summary    {row['prediction']}",
            "",
        )
    ]
    assert done.out.splitlines() == lines


def test_long_file_is_summarized_in_windows(summarize, trained, tmp_path):
    documents = [row["document"] for row in trained[1]]
    (tmp_path / "long.txt").write_text("\n".join(documents), "utf-8")
    arguments = ["long.txt", "unit=file", "language=en", "model.max_document_tokens=48"]
    cut, whole = summarize(*arguments), summarize(*arguments, "model.long_documents=chunk")
    assert (cut.code, cut.err, whole.code, whole.err) == (0, "", 0, "")
    summarizer = bisum.Summarizer(trained[0], [*arguments[2:], "model.long_documents=chunk"])
    assert whole.out == f"{one_line(summarizer(chr(10).join(documents)))}\n"
    assert whole.out != cut.out


def test_windows_whose_summaries_are_no_shorter_are_reported_in_one_line(summarize, trained):
    text = " ".join(row["document"] for row in trained[1])
    long = ["model.max_document_tokens=16", "model.max_summary_tokens=40", "generation.min_tokens=32"]
    done = summarize("model.long_documents=chunk", *long, "--", text, text)
    assert done.code == 0
    assert done.err.startswith("bisum: model.long_documents: the summaries of a document's windows are as long")
    assert (done.err.count("\n"), done.out.count("\n")) == (1, 2)


def test_bad_line_is_reported_after_earlier_summaries(summarize, trained, tmp_path):
    row = trained[1][0]
    good = json.dumps({"text": row["document"]})
    (tmp_path / "a.jsonl").write_text(f"{good}\n{good}\n{{\n{good}\n", "utf-8")
    done = summarize("a.jsonl")
    assert done.code == 2
    assert done.out == f"{row['prediction']}\n" * 2
    assert done.err.startswith("bisum: a.jsonl, line 3: invalid JSON")
    assert done.err.count("\n") == 1


def test_missing_file_and_row_are_reported_in_one_line(summarize, one_line, trained):
    assert one_line(summarize("files=[nowhere.txt]")) == "bisum: files: file nowhere.txt does not exist"
    assert "test has no row 8 (valid: 0 to 7)" in one_line(summarize("split=test", "rows=[8]"))


def test_without_a_run_the_starter_summarizes(call_bisum, tmp_path):
    texts = ["A library that reads files.", "Una biblioteca que lee ficheros."]
    expected = "".join(f"{one_line(summary)}\n" for summary in bisum.Summarizer(overrides=ARGUMENTS)(texts))
    (tmp_path / "a.txt").write_text("\n".join(texts), "utf-8")
    done = call_bisum("summarize", "a.txt", *ARGUMENTS)
    assert (done.code, done.out, done.err) == (0, expected, "")
    assert call_bisum("summarize", *ARGUMENTS, "--", *texts).out == expected
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.timeout(120)
def test_bare_command_at_a_terminal_reports_its_input_and_model(tmp_path):
    terminal = pexpect.spawn(
        sys.executable, ["-m", "bisum", "summarize"], cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": ROOT},
        dimensions=(40, 80), encoding="utf-8", timeout=60,
    )  # fmt: skip
    terminal.expect("> reading documents from the terminal, one per line; press Ctrl-D to end")
    terminal.expect(r"pkg://bisum\.assets\.starter, 5\.4 M parameters; on cpu")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.parametrize("more", [[], ["model.long_documents=chunk"]])
def test_a_text_that_the_tokenizer_cannot_read_is_reported(call_bisum, more):
    """An emoji in a text that is otherwise known is not."""
    known, mixed = "Un programa de música 😀 muy completo.", "日本語の GTK"
    done = call_bisum("summarize", *ARGUMENTS, *more, "--", known, mixed)
    assert (done.code, done.out.count("\n")) == (0, 2)
    assert done.err == (
        f"bisum: the tokenizer lacks 57% of the characters of '{mixed}', so its summary can be wrong or empty; use a "
        "model for its language, such as one fine-tuned from mt5_small (further texts are not reported)\n"
    )
    assert not call_bisum("summarize", *ARGUMENTS, *more, "--", known).err


@pytest.mark.timeout(120)
def test_progress_is_reported_at_a_terminal(trained, tmp_path):
    row = trained[1][0]
    command = [sys.executable, "-m", "bisum", "summarize", str(trained[0])]
    terminal = pexpect.spawn(
        command[0], command[1:], cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": ROOT},
        dimensions=(40, 80), encoding="utf-8", timeout=60,
    )  # fmt: skip
    terminal.expect("> reading documents from the terminal, one per line; press Ctrl-D to end")
    terminal.expect("epoch-1, .* M parameters; on cpu")
    terminal.setecho(False)
    document = " ".join(["word"] * 100)
    terminal.sendline(json.dumps({"text": document, "language": "en", "summary": "A reference."}))
    terminal.expect(r"stdin:1 \(en\)\r\n")
    terminal.expect(r"document   (word )+word\r\n {11}(word )+word\r\n {11}(word )+wor…\r\n")
    terminal.expect(r"reference  A reference\.\r\nsummary    \S")
    terminal.sendline(json.dumps({"text": row["document"]}))
    terminal.expect_exact(f"{row['prediction']}\r\n")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0

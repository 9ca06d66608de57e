"""Mistakes on the command line and in YAML files are refused in one line, before anything is loaded or written."""

import shlex

import pytest

pytestmark = pytest.mark.timeout(60)  # an accepted bad line would train

BAD_LINES = [
    # Unknown names, with the nearest.
    ("trainer.epochz=1", "trainer.epochz: no such key, did you mean 'epochs'?", "(valid: epochs, max_steps,"),
    ("trianer.epochs=1", "trianer: no such key, did you mean 'trainer'?"),
    ("+sead=1", "sead: no such key, did you mean 'seed'? (valid: seed, languages, corpus,"),
    ("model=tiny ++model.architecture.d_modle=1", "model.architecture.d_modle: no such key, did you mean 'd_model'?"),
    ("filter.long_titles.min_word=1", "filter.long_titles.min_word", "did you mean 'min_words'? (valid: min_words)"),
    ("corpus.path=x", "corpus.path: no such key", "(valid: max_train_rows, max_eval_rows, language_temperature,"),
    ("corpus.path=x", "corpus.path: ", "; it belongs to corpus=files or corpus=marc"),
    (
        "corpus.columns.id=x",
        "corpus.columns: ",
        "it belongs to corpus=files, corpus=hub, corpus=wikilingua or corpus=xlsum",
    ),
    ("trainer.arguments.x=1", "trainer.arguments: ", "it belongs to trainer=seq2seq_trainer"),
    ("modle=tiny", "modle: no such key, did you mean 'model'?"),
    ("trainer=accelerat", "trainer=accelerat: no such option, did you mean 'accelerate'?", "seq2seq_trainer)"),
    ("filter=[book]", "filter=book: no such option, did you mean 'books'?", "long_titles)"),
    ("hardware=cuda", "hardware=cuda: no such option", "(valid: auto, cpu, gpu, tpu)"),
    ("experiment=cours_trainer", "experiment=cours_trainer: no such option, did you mean 'course_trainer'?"),
    (
        "trian",
        "unknown command 'trian', did you mean 'train'?",
        "(valid: train, baseline, explore, evaluate, summarize, compare, push)",
    ),
    ("baseline extra", "unexpected argument 'extra'"),
    ("--nope", "unknown option '--nope'"),
    ("--cfg jobb", "--cfg", "jobb", "'job'"),
    ("--config-dir nowhere", "--config-dir: no such folder: 'nowhere'"),
    ("--config-name nowhere", "nowhere"),
    ("--cfg job --config-path nowhere", "--config-path"),
    ("--cfg job --package trainr", "--package: no key 'trainr'"),
    ("split=test", "split: no such key"),
    # Values of the wrong type.
    ("trainer.epochs=many", "trainer.epochs: expected a whole number >= 1, not 'many'"),
    ("trainer.epochs=1.5", "trainer.epochs: expected a whole number >= 1, not 1.5"),
    ("trainer.epochs=true", "trainer.epochs: expected a whole number >= 1, not true"),
    ("trainer.epochs=null", "trainer.epochs: expected a whole number >= 1, not null"),
    ("trainer.epochs=", "trainer.epochs: expected a whole number >= 1, not ''"),
    ("trainer.epochs.x=1", "trainer.epochs: expected a whole number >= 1, not {'x': 1}"),
    ("""'seed="1"'""", "seed: expected a whole number >= 0 and < 4,294,967,296, not '1'"),
    ("trainer.learning_rate=fast", "trainer.learning_rate: expected a number > 0, not 'fast'"),
    ("trainer.gradient_checkpointing=yes", "trainer.gradient_checkpointing: expected true or false, not 'yes'"),
    ("trainer.best_metric=1", "trainer.best_metric: '1' must be auto or begin with eval/"),
    (
        "languages=en",
        "languages: expected a list of text (at least 1 item), not 'en'; write a list, such as languages=[es]",
    ),
    ("languages={en:1}", "languages: expected a list"),
    ("languages=[]", "languages", "a list", "at least 1"),
    ("languages=[en,int(1)]", "languages[1]: expected text, not 1; quote it"),
    ("model.family=mt5", "model.family: expected a mapping with _target_, not 'mt5'"),
    ("model.long_documents=window", "model.long_documents: expected one of truncate, chunk, not 'window'"),
    ("model.long_documents=chunk", "model.long_documents: chunk applies to evaluate and summarize; training cuts"),
    ("-m model.long_documents=truncate,chunk", "model.long_documents: chunk applies to evaluate and summarize"),
    ("cache_dir=null", "cache_dir: expected text, not null"),
    # Values out of range, and unknown choices.
    ("trainer.epochs=0", "trainer.epochs: expected a whole number >= 1, not 0"),
    ("seed=-1", "seed: expected a whole number >= 0 and < 4,294,967,296, not -1"),
    ("trainer.learning_rate=nan", "trainer.learning_rate: expected a finite number > 0, not nan"),
    ("corpus.language_temperature=0.5", "corpus.language_temperature: expected a number >= 1, not 0.5"),
    ("corpus.language_temperature=nan", "corpus.language_temperature: expected a finite number >= 1, not nan"),
    ("corpus.language_temperature=hot", "corpus.language_temperature: expected a number >= 1, not 'hot'"),
    ("trainer.label_smoothing=1", "trainer.label_smoothing: expected a number >= 0 and < 1, not 1"),
    ("generation.num_beams=0", "generation.num_beams: expected a whole number >= 1, not 0"),
    ("trainer.optimizer=sgd", "trainer.optimizer: expected one of adamw, adafactor, not 'sgd'"),
    ("hardware.precision=fp32", "hardware.precision: expected one of auto, float32, bf16, fp16, not 'fp32'"),
    ("baseline split=dev", "split: expected one of train, validation, test, not 'dev'"),
    (
        "trainer.best_metric=eval/rogue1",
        "trainer.best_metric: no metric 'eval/rogue1', did you mean 'rouge1'? (valid: ",
    ),
    # Missing values.
    ("corpus=marc", "corpus.path: needs a value"),
    ("seed=???", "seed: needs a value"),
    ("~trainer.epochs", "trainer.epochs: is missing"),
    ("~model", "model=null: this group is required"),
    ("trainer=null", "trainer", "(valid: accelerate, seq2seq_trainer)"),
    ("filter=null", "filter"),
    ("filter=[null]", "filter"),
    ("model=[tiny,t5_small]", "model", "[tiny,t5_small]"),
    ("filter.books.categories=[toy]", "filter.books: ", "filter=[...,books]"),
    # Arguments that conflict or cannot be read.
    ("model=tiny model.architecture.num_heads=3", "model.architecture", "128", "3"),
    ("model.architecture.num_heads=2", "model.architecture: missing _target_", "choose a model that has one"),
    ("filter=[length] filter.length.min_summary_words=9 filter.length.max_summary_words=5", "filter.length", "9", "5"),
    ("'filter.long_titles= [a]'", "filter.long_titles: expected a mapping, not a list"),
    ("filter.long_titles=[a]", "filter.long_titles: expected a mapping, not a list"),
    ("'languages={a: b}'", "languages: expected a list, not a mapping"),
    ("seed=1,2", "seed: several values", "add -m"),
    ("seed=[1", "'seed=[1': cannot be read"),
    ("corpus.path=reseñas.csv", "'corpus.path=reseñas.csv': cannot be read", "letters such as 'ñ'"),
    ("-m 'seed=range(1,3,0)'", "'seed=range(1,3,0)': range() arg 3 must not be zero"),
    ("-m 'seed=range(1,nan)'", "'seed=range(1,nan)': "),
    ("-m 'seed=range(1,2,1e-320)'", "'seed=range(1,2,1e-320)': a sweep over "),
    ("-m 'seed=interval(1,2)'", "seed: an interval needs a search; add hparams_search=optuna, or list values"),
    ("'languages=[\"${nope}\"]'", "languages[0]: Interpolation key 'nope' not found"),
    ("--cfg hydra -p hydra.sweep.subdir", "--package hydra.sweep.subdir: ", "hydra.job.num"),
    ("--cfg hydra -p hydra.job.id", "--package hydra.job.id: "),
    ("'hydra.searchpath=[1]'", "hydra.searchpath"),
    (
        "'hydra.job.env_set={a:1}'",
        "hydra.job.env_set: not supported, because environment variables can start",
    ),
    ("--info config seed=1,2", "seed: several values"),
    ("--info defaults model=[1]", "model=[1]: not an option"),
    ("seed=" + "[" * 400 + "]" * 400, "nested too deeply"),
    ("=3", "'=3': no key before the equals sign"),
    ("seed=" + "9" * 5000, "seed=999", "Exceeds the limit"),
    ("languages.x=1", "languages.x: languages is a list; give the whole list, as in languages=[a,b]"),
    ("tracker.tags.x=1", "tracker.tags.x: tracker.tags is a list"),
    ("hydra.run.dir=", "hydra.run.dir: expected text that is not empty, not ''"),
    (
        "-m seed=1,2 hydra.sweep.subdir=same",
        "hydra.sweep.subdir: 'same' is the same for several jobs; each job needs its own directory",
    ),
    ("-m seed=1,2 'hydra.sweep.subdir=${nope}'", "hydra.sweep.subdir: Interpolation key 'nope' not found"),
    ("resume=nowhere ~trainer.epochs", "nowhere"),
    ("seed=${nothing}", "seed", "nothing"),
    ("seed=${oc.env:BISUM_NOT_SET}", "seed", "BISUM_NOT_SET"),
    ("corpus=marc corpus.path=~/x=y", "'corpus.path=~/x=y': cannot be read"),
    ("trainer=seq2seq_trainer +trainer.arguments.torch_empty_cache_stps=5", "did you mean 'torch_empty_cache_steps'?"),
    (
        "trainer=seq2seq_trainer +trainer.arguments.learning_rate=1",
        "trainer.arguments.learning_rate: set trainer.learning_rate instead",
    ),
    # Hydra's own arguments.
    ("hydra.run.dirr=x", "hydra.run.dirr: no such key"),
    ("hydra/launcher=nope", "hydra/launcher", "nope"),
    ("hydra.mode=MULTIRUN", "hydra.mode", "-m"),
    ("hydra.run.dir=${nothing}", "hydra.run.dir", "nothing"),
    ("hydra.run.dir=???", "hydra.run.dir"),
    ("+hydra.callbacks.x.path=${oc.env:BISUM_NOT_SET}", "hydra.callbacks.x.path", "BISUM_NOT_SET"),
    # Runs that cannot be continued.
    ("resume=nowhere", "'nowhere': no such directory"),
    ("resume=[a", "resume=[a"),
    ("resume=a=b", "resume=a=b"),
    ("resume=a,b", "resume=a,b"),
    ("baseline resume=nowhere", "works only with a single `bisum train`"),
    ("-m resume=nowhere", "works only with a single `bisum train`"),
    # Models without weights, and arguments that name no model.
    ("evaluate model=tiny", "model: has random weights; choose a trained model, such as model=starter, or name"),
    ("summarize model=tiny -- text", "model: has random weights", "run="),
    ("-m evaluate model=starter,tiny", "model: has random weights"),
    ("log=quiet evaluat run", "unknown command 'evaluat', did you mean 'evaluate'?"),
    ("evaluate gpt2 -", "run: no such directory: '-'"),
    ("evaluate run=a,b", "run: several values; add -m for one job per value"),
    ("evaluate model=mt5_small run=null model.checkpoint=null", "model"),
    ("evaluate ./nowhere", "run: no such directory: './nowhere'"),
    ("evaluate run=/no/where", "run: no such directory: '/no/where'"),
    ("evaluate ~nobody/x", "run: no such directory: '~nobody/x'"),
    ("evaluate outputs/to/nowhere", "run: no such directory: 'outputs/to/nowhere'"),
    ("evaluate 'a model'", "run: no such directory: 'a model'"),
    ("evaluate ''", "run: no such directory: ''"),
    (f"evaluate {'long' * 70}", "run: no such directory"),
    ("evaluate run=[5]", "run: expected text or null, not [5]"),
    ("evaluate run=???", "run: needs a value"),
    ("evaluate run=${nothing}", "run", "nothing"),
    ("evaluate gpt2 run=gpt2", "both set run; drop one"),
    ("evaluate gpt2 split=dev", "split: expected one of train, validation, test, not 'dev'"),
    ("evaluate gpt2 -- x", "accepts no texts after '--'; use bisum summarize"),
    ("evaluate gpt2 ./nowhere", "run: no such directory: './nowhere'"),
    ("evaluate gpt2 resume=nowhere", "works only with a single `bisum train`"),
    ("run=gpt2", "run: no such key"),
    ("summarize gpt2 notes.txt", "'notes.txt': no such file; put texts after --"),
    ("summarize gpt2 rows=[-1]", "rows[0]: expected a whole number >= 0, not -1"),
    ("summarize gpt2 ids=[int(1_0)]", "ids[0]: expected text, not 10; quote it"),
    ("summarize gpt2 rows=[]", "rows: the list is empty; list some rows"),
    ("summarize gpt2 ids=[]", "ids: the list is empty; list some ids"),
    ("summarize gpt2 split=test ids=[] rows=[1]", "ids: the list is empty; list some ids"),
    ("summarize gpt2 rows=[en-1]", "rows[0]: expected a whole number >= 0, not 'en-1'; an id goes in ids=[...]"),
    ("summarize gpt2 rows=3", "rows: expected", "not 3; write a list, such as rows=[3]"),
    ("summarize gpt2 rows=nope", "rows: expected", "not 'nope'; write a list, such as rows=[3]"),
    ("summarize gpt2 ids=nope", "ids: expected", "not 'nope'; write a list, such as ids=[en-3]"),
    ("summarize gpt2 nope.csv", "'nope.csv': no such file"),
    (
        "explore reviews.csv",
        "'reviews.csv' is not a setting; to read rows from a file: bisum explore corpus=files corpus.path=reviews.csv",
    ),
    ("train a/b.jsonl.gz seed=1", "bisum train corpus=files corpus.path=a/b.jsonl.gz"),
    ("reviews.parquet", "bisum train corpus=files corpus.path=reviews.parquet"),
    ("baseline 'my reviews.csv'", "bisum baseline corpus=files", "my reviews.csv"),
    ("baseline https://x.org/a.csv", "bisum baseline corpus=files corpus.path=https://x.org/a.csv"),
    ("evaluate gpt2 reviews.csv", "bisum evaluate gpt2 corpus=files corpus.test=reviews.csv"),
    ("summarize gpt2 format=xml", "format: expected one of text, jsonl, not 'xml'"),
    ("summarize gpt2 -m seed=1,2", "-m: not supported by bisum summarize"),
    ("summarize gpt2 hydra.run.dir=x", "'hydra.run.dir=x': bisum summarize has no run directory"),
    ("summarize gpt2 experiment=mbart_against_mt5", "-m: not supported by bisum summarize"),
    # Sweeps with the mistake in a later job.
    ("-m trainer.epochs=1,x", "trainer.epochs: expected a whole number >= 1, not 'x'"),
    ("-m languages=[en],[]", "languages: expected"),
    ("-m trainer=accelerate,seq2seq trainer.epochs=1,2", "trainer=seq2seq: no such option, did you mean 'seq2seq_"),
    ("-m seed=1,2 filter=[long_titles],[lenght]", "filter=lenght: no such option, did you mean 'length'?"),
    ("-m trainer.epochs=glob(*)", "trainer.epochs"),
    ("-m seed=1,2 trainer.epochz=1", "trainer.epochz: no such key"),
    ("experiment=mbart_against_mt5 seed=1 --cfg job", "run it with -m: bisum -m experiment=mbart_against_mt5 seed=1"),
    # Values far out of range, and sweeps with too many jobs.
    ("generation.num_beams=1000000000", "generation.num_beams: expected a whole number >= 1 and <= 64, not 1000000000"),
    ("evaluation.bootstrap_samples=1000000000000", ">= 100 and <= 1,000,000, not"),
    ("model=tiny model.architecture.num_layers=1000000000", "model.architecture.num_layers: ", "<= 1000"),
    ("model=tiny model.architecture.d_model=65536 model.architecture.num_layers=99", "parameters; the limit is 20,00"),
    ("-m seed=range(0,1000000000)", "a sweep over 1,000,000,000 values; the limit is 10,000"),
    ("-m 'seed=shuffle(range(0,1000000000))'", "a sweep over 1,000,000,000 values"),
    ("-m seed=range(0,101) trainer.epochs=range(1,101) evaluation.lead=1,2", "a sweep of 20,200 jobs exceeds the"),
    ("-m seed=range(0,5,-1)", "matches no values"),
    ("-m seed=1,2 hydra.sweep.subdir=../${seed}", "hydra.sweep.subdir: '../1' is not inside the sweep's directory"),
    ("-m seed=1,2 hydra.sweeper.max_batch_size=0", "hydra.sweeper.max_batch_size: expected a whole number >= 1"),
    (".".join("a" * 3000) + "=1", "a key of 3,000 parts; the limit is 50"),
    ("seed=" + "9" * 5000, "Exceeds the limit"),
    ("seed='" + "${" * 500 + "x" + "}" * 500 + "'", "seed: nested too deeply"),
    # Empty text, and two runs.
    ("resume=", "resume: expected a run directory, not ''"),
    ("evaluate run=", "run: "),
    ("cache_dir=", "cache_dir: expected text that is not empty, not ''"),
    ("model.checkpoint=", "model.checkpoint: expected text that is not empty or null, not ''"),
    ("corpus=marc corpus.path=", "corpus.path: expected text that is not empty, not ''"),
    ("corpus=files 'corpus.path=[\"\"]'", "corpus.path[0]: expected text that is not empty, not ''"),
    ("tracker.project=", "tracker.project: expected text that is not empty, not ''"),
    ("evaluate run=a run=b", "run: 'run=a' conflicts with 'run=b'; drop one"),
    ("resume=a resume=b", "resume: 'resume=a' conflicts with 'resume=b'"),
    ("experiment=mbart_against_mt5 seed=1", "run it with -m: bisum -m experiment=mbart_against_mt5 seed=1"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), [(arguments, message) for arguments, *message in BAD_LINES], ids=lambda value: str(value)
)
def test_bad_command_line_is_refused_in_one_line_and_leaves_nothing_behind(
    call_bisum, one_line, tmp_path, arguments, message
):
    line = one_line(call_bisum(*shlex.split(arguments)))
    assert all(part in line for part in message), line
    assert list(tmp_path.iterdir()) == []
    for jargon in ("Error", "Sweep(", "DictConfig", "++", "Traceback"):
        assert jargon not in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trainer.epochz=1",), "trainer.epochz: no such key, did you mean 'epochs'?"),
        (("baseline", "model=tinny"), "model=tinny: no such option, did you mean 'tiny'?"),
        (("-m", "trainer.epochs=1,x"), "trainer.epochs: expected a whole number >= 1, not 'x'"),
    ],
)
def test_program_refuses_in_one_line(run_bisum, one_line, tmp_path, arguments, message):
    assert message in one_line(run_bisum(*arguments, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("hydra.run.dir=file/run",), ("-m", "hydra.sweep.dir=file", "seed=1,2")])
def test_run_directory_that_cannot_be_created_is_reported_in_one_line(call_bisum, one_line, tmp_path, arguments, write):
    write(tmp_path / "file", "")
    assert "file" in one_line(call_bisum("baseline", *arguments))


def test_all_mistakes_of_a_command_line_are_reported_together(call_bisum):
    done = call_bisum("model=tiny", "trainer.epochs=0", "seed=x", "model.architecture.d_modle=1", "evaluation.lead=0")
    assert done.code == 2
    lines = done.err.splitlines()
    assert all(line.startswith("bisum: ") for line in lines)
    keys = {line.removeprefix("bisum: ").partition(":")[0] for line in lines}
    assert keys == {"trainer.epochs", "seed", "model.architecture.d_modle", "evaluation.lead"}


BAD_FILES = [
    ("trainer:\n  epochz: 1\n", "trainer.epochz: no such key, did you mean 'epochs'?"),
    ("trianer:\n  epochs: 1\n", "trianer: no such key, did you mean 'trainer'?"),
    ("filter:\n  long_titles:\n    min_word: 1\n", "filter.long_titles.min_word: no such key"),
    ("filter:\n  books:\n    categories: [a]\n", "filter.books: "),
    ("trainer:\n  epochs: '3'\n", "trainer.epochs: expected a whole number >= 1, not '3'"),
    ("trainer:\n  epochs: 0\n", "trainer.epochs: expected a whole number >= 1, not 0"),
    ("trainer:\n  optimizer: sgd\n", "trainer.optimizer: expected one of adamw, adafactor, not 'sgd'"),
    ("trainer:\n", "trainer"),
    ("trainer: seq2seq_trainer\n", "trainer"),
    ("filter: [books]\n", "bad"),
    ("languages: en\n", "languages: expected a list"),
    ("languages: [en, true]\n", "languages[1]: expected text, not true; quote it in the YAML file"),
    ("tracker: {name: 2024_11}\n", "tracker.name: expected text or null, not 202411; quote it in the YAML file"),
    ("trainer: {best_metric: 1:30}\n", "trainer.best_metric: expected text, not 90; quote it in the YAML file"),
    ("allow_targets: [os]\n", "allow_targets: no such key"),
    ("defaults:\n  - override /trainer: accelerat\n", "trainer=accelerat: no such option, did you mean 'accelerate'?"),
    ("defaults:\n  - override /trainr: accelerate\n", "trainr: no such group, did you mean 'trainer'?"),
    ("defaults:\n  - /trainer: seq2seq_trainer\n", "override"),
    ("defaults: accelerate\n", "bad"),
    ("seed: ${nothing.there}\n", "seed", "nothing.there"),
    ("seed: ${nothing\n", "nothing"),
    ("seed: [1\n", "bad.yaml, line", "not valid YAML"),
    ("trainer:\n\tepochs: 1\n", "bad.yaml, line 3", "not valid YAML"),
    ("seed: 1\nseed: 2\n", "bad.yaml, line 3", "duplicate key 'seed'"),
    ("- a\n- b\n", "bad"),
    ("hydra:\n  run:\n    dirr: x\n", "hydra.run.dirr: no such key"),
]


@pytest.mark.parametrize(
    ("text", "message"), [(text, message) for text, *message in BAD_FILES], ids=lambda value: repr(value)
)
def test_mistake_in_an_experiment_file_is_reported_in_one_line(call_bisum, one_line, tmp_path, text, message, write):
    write(tmp_path / "mine/experiment/bad.yaml", f"# @package _global_\n{text}")
    line = one_line(call_bisum("--config-dir", "mine", "experiment=bad"))
    assert all(part in line for part in message), line
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_file_without_package_line_is_refused_with_the_line_to_add(call_bisum, tmp_path, one_line, write):
    write(tmp_path / "mine/experiment/bad.yaml", "trainer:\n  epochs: 1\n")
    assert "# @package _global_" in one_line(call_bisum("--config-dir", "mine", "experiment=bad"))
    write(tmp_path / "mine/filter/bad.yaml", "_target_: bisum.corpus.filters.LongTitles\nmin_words: 1\n")
    assert "# @package filter.NAME" in one_line(call_bisum("--config-dir", "mine", "filter=[bad]"))


def test_file_that_is_not_utf8_is_named(call_bisum, tmp_path, one_line, write):
    write(tmp_path / "mine/experiment/bad.yaml", "")
    (tmp_path / "mine/experiment/bad.yaml").write_bytes("# @package _global_\n# año\n".encode("latin-1"))
    assert "bad.yaml" in one_line(call_bisum("--config-dir", "mine", "experiment=bad"))


def test_user_primary_configuration_is_refused_by_name(call_bisum, tmp_path, one_line, write):
    write(tmp_path / "mine/other.yaml", "defaults:\n  - train\n")
    assert "other" in one_line(call_bisum("--config-dir", "mine", "--config-name", "other"))


def test_user_group_is_not_suggested_for_itself(call_bisum, tmp_path, one_line, write):
    write(tmp_path / "mine/extra/a.yaml", "x: 1\n")
    assert "did you mean 'extra'" not in one_line(call_bisum("--config-dir", "mine", "extra=a"))


def test_mistakes_in_several_nodes_of_a_file_are_reported_together(call_bisum, tmp_path, write):
    write(
        tmp_path / "mine/experiment/bad.yaml",
        "# @package _global_\nseed: -1\ntrainer: {epochs: 0, optimiser: adamw}\nmodel: {architecture: {d_ff: x}}\n",
    )
    lines = call_bisum("--config-dir", "mine", "experiment=bad", "model=tiny").err.splitlines()
    keys = {line.removeprefix("bisum: ").partition(":")[0] for line in lines}
    assert keys == {"seed", "trainer.epochs", "trainer.optimiser", "model.architecture.d_ff"}


def test_all_jobs_of_a_sweep_from_a_file_are_checked(call_bisum, tmp_path, one_line, write):
    write(
        tmp_path / "mine/experiment/sweep.yaml",
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      trainer.epochs: 1,0\n",
    )
    line = one_line(call_bisum("-m", "--config-dir", "mine", "experiment=sweep"))
    assert "trainer.epochs: expected a whole number >= 1, not 0" in line
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("TORCHINDUCTOR_CACHE_DIR", "/proc/missing", "No such file or directory"),
        ("TORCHINDUCTOR_CACHE_DIR", __file__, "File exists"),
        ("TORCH_LOGS", "nonsense", "Invalid log settings"),
    ],
)
def test_variable_that_a_library_refuses_at_its_import_is_named(variable, value, reason, run_bisum, tmp_path):
    done = run_bisum("debug=fast", cwd=tmp_path, env={variable: value})
    assert done.code == 2
    assert done.err.startswith(f"bisum: {variable}: a library cannot be imported: ")
    assert reason in done.err
    assert done.err.count("\n") == 1

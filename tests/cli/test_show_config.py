"""`--cfg job` with -m: the first job in full, the others as differences from it."""

import yaml


def test_sweep_is_shown_as_a_stream_of_documents(call_bisum):
    done = call_bisum("-m", "--cfg", "job", "model=tiny,starter", "seed=1,2", "log=quiet")
    assert (done.code, done.err) == (0, "")
    first, *others = yaml.safe_load_all(done.out)
    assert first["seed"] == 1
    assert first["model"]["architecture"]["d_model"] == 128
    starter = {"model": {"checkpoint": "pkg://bisum.assets.starter", "architecture": None}}
    assert others == [{"seed": 2}, starter, {"seed": 2, **starter}]
    heads = [line for line in done.out.splitlines() if line.startswith("# job")]
    assert heads == [
        "# job 0 of 4: model=tiny seed=1",
        "# job 1 of 4, where it differs from job 0: model=tiny seed=2",
        "# job 2 of 4, where it differs from job 0: model=starter seed=1",
        "# job 3 of 4, where it differs from job 0: model=starter seed=2",
    ]


def test_keys_missing_in_a_job_are_listed(call_bisum):
    done = call_bisum("-m", "--cfg", "job", "filter=[long_titles],[]", "--package", "filter")
    assert list(yaml.safe_load_all(done.out))[1] == {}
    assert "# without long_titles\n" in done.out


def test_package_is_shown_for_each_job(call_bisum):
    done = call_bisum("-m", "--cfg", "hydra", "-p", "hydra.job", "seed=1,2", "--resolve")
    assert [document["num"] for document in yaml.safe_load_all(done.out)] == [0, 1]
    done = call_bisum("-m", "--cfg", "job", "-p", "seed", "seed=1,2")
    assert list(yaml.safe_load_all(done.out)) == [1, 2]
    assert call_bisum("-m", "--cfg", "job", "-p", "sead", "seed=1,2").code == 2


def test_experiment_that_is_a_sweep_is_shown(call_bisum):
    done = call_bisum("-m", "experiment=mbart_against_mt5", "--cfg", "job")
    assert [part["trainer"]["learning_rate"] for part in yaml.safe_load_all(done.out) if "trainer" in part][:2] == [
        3e-5,
        1e-4,
    ]

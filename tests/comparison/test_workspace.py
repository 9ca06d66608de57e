"""The saved workspace, parsed by W&B's own library, and the requests to a host."""

import json
import os
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from stand_in_host import Server

import bisum
from bisum.comparison.workspace import Saved, save_workspace, upload_workspace, workspace
from bisum.errors import UserError

ws = pytest.importorskip("wandb_workspaces.workspaces", reason="not installed: pip install 'bisum[workspaces]'")
panels = pytest.importorskip("wandb_workspaces.reports.v2.interface")
internal = pytest.importorskip("wandb_workspaces.workspaces.internal")
expr = pytest.importorskip("wandb_workspaces.expr")

SECRET = "5ec4e7" * 7
VIEWER = {"id": "x", "entity": "me", "username": "me", "email": "", "flags": "{}"}


def built(**changes):
    given = {
        "entity": "lab", "project": "titles", "name": "rates", "groups": ["rates"],
        "swept": ["trainer.learning_rate", "seed"], "languages": ["en", "es"], "scores": ["rouge1", "rougeL", "chrf"],
        "best_metric": "eval/rougeL", "baseline": "lead-3",
    }  # fmt: skip
    return workspace(**(given | changes))


def parsed(view):
    """The workspace as the library parses it from a specification's JSON."""
    text = view.model_dump_json(by_alias=True, exclude_none=True)
    return ws.Workspace._from_model(internal.View.model_validate_json(text))


def upload(saved, folder):
    """Run the upload command; its output goes to files because W&B's service would keep a pipe open."""
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        code = subprocess.run(saved.upload, shell=True, stdout=out, stderr=err, timeout=60).returncode
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(saved.upload, code, out.read(), err.read())


@pytest.fixture
def host(monkeypatch):
    """Start a host that accepts the key and records uploaded views; returns the views and its address."""
    views = []

    class Host(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
            data = {"viewer": VIEWER}
            if "upsertView" in request.get("query", ""):
                views.append(request["variables"])
                data = {"upsertView": {"view": {"id": "v1", "name": request["variables"]["name"]}, "inserted": True}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": data}).encode())

        do_GET = do_POST  # noqa: N815

        def log_message(self, *arguments):
            pass

    server = Server(Host)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("PYTHONPATH", str(Path(bisum.__file__).parents[1]))
    yield views, server.address
    server.shutdown()
    server.server_close()


def test_every_score_is_plotted_with_its_baseline():
    sections = {section.name: section.panels for section in parsed(built()).sections}
    assert list(sections) == ["systems", "scores, all", "scores, en", "scores, es", "predictions"]
    for language in ("", "en", "es"):
        plots = sections[f"scores, {language or 'all'}"]
        assert [plot.x.name for plot in plots] == ["epoch"] * 3
        names = [[metric.name for metric in plot.y] for plot in plots]
        between = f"{language}/" if language else ""
        assert names == [
            [f"eval/{between}{score}", f"baseline/{between}{score}"] for score in ("rouge1", "rougeL", "chrf")
        ]
        assert plots[0].title == f"rouge1, {language or 'all'} (and lead-3)"
    plots = built(scores=["unicode/rougeL"], languages=["ar"]).spec.section.panel_bank_config.sections[2].panels
    assert plots[0].config.metrics == ["eval/unicode/ar/rougeL", "baseline/unicode/ar/rougeL"]


def test_systems_and_swept_settings_are_compared_by_best_evaluation():
    bars, swept = parsed(built()).sections[0].panels
    assert (bars.groupby.name, bars.groupby_aggfunc, bars.groupby_rangefunc) == ("system", "mean", "minmax")
    assert [metric.name for metric in bars.metrics] == ["best/eval/rougeL"]
    axes = [column.metric for column in swept.columns]
    assert axes == [
        panels.Config("trainer.learning_rate"), panels.Config("seed"), panels.SummaryMetric("best/eval/rougeL"),
    ]  # fmt: skip
    accessors = [column.accessor for column in swept._to_model().config.columns]
    assert accessors == ["config:trainer.value.learning_rate", "config:seed.value", "summary:best/eval/rougeL"]
    assert len(parsed(built(swept=[])).sections[0].panels) == 1


def test_table_is_the_logged_one():
    (table,) = built().spec.section.panel_bank_config.sections[-1].panels
    assert "predictions/validation" in json.dumps(table.config)


@pytest.mark.parametrize("groups", [["rates"], ["a", "b"], ["lr=1e-3,seed<2", 'it\'s "x" \\ é']])
def test_runs_are_filtered_by_group_and_grouped_by_system(groups):
    view = built(groups=groups)
    (runs,) = view.spec.section.run_sets
    (chosen,) = runs.filters["filters"]
    assert (chosen["key"], chosen["op"], chosen["value"]) == ({"section": "run", "name": "group"}, "IN", groups)
    (grouping,) = parsed(view).runset_settings.groupby
    assert (type(grouping), grouping.name) == (expr.Config, "system")
    assert built(groups=[]).spec.section.run_sets[0].filters["filters"] == []


def test_file_matches_the_librarys_request(tmp_path):
    view = built()
    saved = save_workspace(view, tmp_path / "workspace.json", mode="offline")
    assert saved == Saved(path=tmp_path / "workspace.json", url=None, why="offline, as requested")
    read = internal.View.model_validate_json(saved.path.read_text("utf-8"))
    sent = {"by_alias": True, "exclude_none": True}
    assert read.spec.model_dump_json(**sent) == view.spec.model_dump_json(**sent)
    assert (read.entity, read.project, read.display_name) == ("lab", "titles", "rates")


def test_workspace_is_uploaded_to_a_responding_host(host, tmp_path):
    views, address = host
    view = built()
    saved = save_workspace(view, tmp_path / "workspace.json")
    (sent,) = views
    assert (sent["entityName"], sent["projectName"], sent["displayName"]) == ("lab", "titles", "rates")
    assert sent["type"] == "project-view"
    assert json.loads(sent["spec"]) == json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))
    assert saved.why == ""
    assert saved.url == f"{address}/lab/titles?nw={sent['name'].removeprefix('nw-').removesuffix('-v')}"
    assert [path.name for path in tmp_path.iterdir()] == ["workspace.json"]


def test_command_line_uploads_the_file_later(host, tmp_path, monkeypatch):
    views, address = host
    monkeypatch.chdir(tmp_path)
    saved = save_workspace(built(entity=None), tmp_path / "a workspace.json", mode="offline")
    assert views == []
    assert shlex.split(saved.upload)[1:] == ["-m", "bisum.comparison.workspace", "a workspace.json"]
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert save_workspace(built(entity=None), saved.path) == saved
    done = upload(saved, tmp_path)
    assert done.returncode == 0, done.stderr
    (sent,) = views
    assert sent["entityName"] == "me"  # the key's own
    assert done.stdout == f"{address}/me/titles?nw={sent['name'].removeprefix('nw-').removesuffix('-v')}\n"
    assert SECRET not in done.stdout + done.stderr
    assert upload(saved, tmp_path).returncode == 0
    assert len({view["name"] for view in views}) == 2


def test_file_is_kept_without_a_key_or_host(host, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    saved = save_workspace(built(), tmp_path / "workspace.json")
    assert (saved.url, saved.why) == (None, "no API key (wandb login)")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    saved = save_workspace(built(), tmp_path / "workspace.json")
    assert saved.url is None
    assert saved.why == "127.0.0.1 did not confirm the API key"
    assert saved.path.exists()
    done = upload(saved, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"bisum: '{saved.path}': {saved.why}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file or directory"), ("{", "is not a workspace"), ("{}", "is not a workspace")],
)
def test_invalid_workspace_file_is_rejected_in_one_line(content, message, tmp_path):
    if content is not None:
        (tmp_path / "x.json").write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "bisum.comparison.workspace", str(tmp_path / "x.json")]
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"bisum: '{tmp_path / 'x.json'}' {message}")


def test_missing_extra_is_reported(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "wandb_workspaces"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    message = r"^format=wandb: wandb-workspaces is not installed; pip install 'bisum\[workspaces\]'$"
    with pytest.raises(UserError, match=message):
        built()
    with pytest.raises(UserError, match=message):
        upload_workspace(tmp_path / "x.json")


def test_torch_is_not_imported():
    code = (
        "import sys, bisum.comparison.workspace as w; assert 'torch' not in sys.modules and 'wandb' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)

"""The recorded commit, read by git without running programs that a repository configures."""

import subprocess

import pytest

from bisum.records import environment
from bisum.records.environment import commit


def git(*arguments, cwd):
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "someone")
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", cwd=tmp_path)
    (tmp_path / "a.txt").write_text("a\n", encoding="utf-8")
    git("add", "--all", cwd=tmp_path)
    git("commit", "--quiet", "--message", "one", cwd=tmp_path)
    return tmp_path


def test_commit_has_a_plus_if_a_tracked_file_is_modified(repository):
    head = git("rev-parse", "HEAD", cwd=repository)
    assert commit() == head
    (repository / "new.txt").write_text("untracked", encoding="utf-8")
    assert commit() == head
    (repository / "a.txt").write_text("another\n", encoding="utf-8")
    assert commit() == f"{head}+"


def test_commit_is_none_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert commit() is None


@pytest.mark.parametrize("place", ["repository", "variables"])
def test_git_runs_no_program_configured_by_a_repository_or_a_variable(place, repository, monkeypatch):
    head = git("rev-parse", "HEAD", cwd=repository)
    ran = repository / "ran"
    settings = {
        "core.fsmonitor": f"touch {ran}; false",
        "filter.evil.clean": f"touch {ran}; cat",
        "filter.evil.process": f"touch {ran}",
        "filter.evil.required": "true",
        "core.pager": f"touch {ran}; cat",
        "diff.external": f"touch {ran}",
    }
    (repository / ".gitattributes").write_text("*.txt filter=evil\n", encoding="utf-8")
    if place == "repository":
        for name, value in settings.items():
            git("config", name, value, cwd=repository)
        hook = repository / ".git/hooks/post-index-change"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="utf-8")
        hook.chmod(0o755)
    else:
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
        for number, (name, value) in enumerate(settings.items()):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    (repository / "a.txt").write_text("changed\n", encoding="utf-8")
    assert commit() == f"{head}+"
    assert not ran.exists()


@pytest.mark.parametrize("path", [".", "", "bin", "./bin"])
def test_git_in_the_current_folder_is_not_used(path, repository, monkeypatch):
    (repository / "bin").mkdir()
    for folder in (repository, repository / "bin"):
        (folder / "git").write_text("#!/bin/sh\ntouch ran\n", encoding="utf-8")
        (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    assert environment._find_git() in ("/usr/bin/git", "/bin/git")
    monkeypatch.setenv("PATH", path)
    assert environment._find_git() is None


def test_git_fetches_nothing(repository):
    """A partial clone fetches missing objects with a configured program."""
    ran = repository / "ran"
    tree = git("rev-parse", "HEAD^{tree}", cwd=repository)
    settings = {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(repository),
        "remote.origin.uploadpack": f"touch {ran}; git-upload-pack",
        "protocol.file.allow": "always",
    }
    for name, value in settings.items():
        git("config", name, value, cwd=repository)
    (repository / ".git/objects" / tree[:2] / tree[2:]).unlink()
    commit()
    assert not ran.exists()

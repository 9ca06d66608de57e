"""What the stand-in for the hub answers to each request."""

import base64
import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

import yaml
from hub_protocol import Answer, Refused, Request
from hub_repository import Commit, Repository, is_large, sha256


class Answers:
    """The state of a hub, and a method for each endpoint."""

    address: str
    storage: str

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self.tokens = dict(tokens)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        """Large files, by their SHA-256."""

    def answer(self, request: Request) -> Answer:
        endpoint, parts = request.route()
        try:
            if not endpoint:
                raise Refused(501, f"the stand-in does not know {request.method} {request.target}")
            if endpoint in ("upload", "download"):
                return getattr(self, endpoint)(request, **parts)
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token and token not in self.tokens:
                raise Refused(401, "Invalid credentials in Authorization header")
            user = self.tokens.get(token)
            if "kind" not in parts:
                return getattr(self, endpoint)(request, user)
            kind, name = parts.pop("kind") or "", parts.pop("name") or ""
            name = f"datasets/{name}" if kind.startswith("datasets") else name
            write = endpoint in ("preupload", "lfs", "verify", "commit", "tag", "branch") or bool(
                parts.pop("write", "")
            )
            repository = self._repository(name, user, write, content=endpoint in ("auth_check", "resolve"))
            revision = parts.pop("revision", None) or "main"
            if endpoint == "tag" and request.method == "DELETE":
                return self.delete_tag(repository, revision)
            commit = repository.find(revision)
            if commit is None:
                raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            return getattr(self, endpoint)(request, name, repository, commit, **parts)
        except Refused as refused:
            return refused.answer

    def _repository(self, name: str, user: str | None, write: bool, content: bool) -> Repository:
        """Return a repository that the user may read or write."""
        repository = self.repositories.get(name)
        owns = user == name.removeprefix("datasets/").split("/")[0]
        if repository is None or (repository.private and not owns):
            raise Refused(404 if user else 401, "Repository not found", "RepoNotFound")
        if content and repository.gated and not owns:
            message = f"Access to {name} is restricted. You must have access to it and be authenticated to access it."
            raise Refused(403 if user else 401, message, "GatedRepo")
        if write and not owns:
            raise Refused(403 if user else 401, "You don't have the required permissions to perform this action")
        return repository

    def whoami(self, request, user):
        if user is None:
            raise Refused(401, "Invalid username or password.")
        return Answer(content={"type": "user", "name": user, "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    def validate(self, request, user):
        card = re.match(r"---\n(.*?)\n---", request.json["content"], re.DOTALL)
        if card is None:
            return Answer(content={"errors": [], "warnings": [{"message": "empty or missing yaml metadata"}]})
        try:
            yaml.safe_load(card[1])
        except yaml.YAMLError as error:
            return Answer(400, {"errors": [{"message": str(error)}], "warnings": []})
        return Answer(content={"errors": [], "warnings": []})

    def create(self, request, user):
        wanted = request.json
        owner = wanted.get("organization") or user
        if user is None or owner != user:
            raise Refused(403 if user else 401, f"You don't have the rights to create a model under '{owner}'")
        kind = "datasets/" if wanted.get("type") == "dataset" else ""
        name = f"{kind}{owner}/{wanted['name']}"
        answer = {"url": f"{self.address}/{name}", "name": name.removeprefix("datasets/")}
        if name in self.repositories:
            return Answer(409, {**answer, "error": "You already created this model repo"})
        self.repositories[name] = Repository(private=wanted.get("visibility") == "private")
        return Answer(content=answer)

    def auth_check(self, request, name, repository, commit):
        return Answer(content={})

    def info(self, request, name, repository, commit):
        blobs = [{"rfilename": path, **_as_sibling(commit.entry(path))} for path in commit.files]
        files = blobs if "blobs" in request.query else [{"rfilename": path} for path in commit.files]
        gated = "manual" if repository.gated else False
        known = {"id": name.removeprefix("datasets/"), "sha": commit.oid, "private": repository.private}
        return Answer(content=known | {"gated": gated, "tags": [], "downloads": 0, "likes": 0, "siblings": files})

    def tree(self, request, name, repository, commit, folder):
        entries = commit.entries()
        if folder is not None and entries.get(folder, {}).get("type") != "directory":
            raise _no_entry(commit, folder)
        below = [entry for path, entry in entries.items() if folder is None or path.startswith(f"{folder}/")]
        if request.query.get("recursive", ["false"])[0].lower() == "false":
            below = [entry for entry in below if entry["path"].rpartition("/")[0] == (folder or "")]
        return Answer(content=below)

    def paths_info(self, request, name, repository, commit):
        is_json = request.body.startswith(b"{")
        paths = (request.json if is_json else parse_qs(request.body.decode()))["paths"]
        entries = commit.entries()
        return Answer(content=[entries[path] for path in paths if path in entries])

    def history(self, request, name, repository, commit):
        made = {"authors": [], "message": "", "date": "2026-01-01T00:00:00.000Z"}
        past = repository.commits[repository.commits.index(commit) :: -1]
        return Answer(content=[{"id": commit.oid, "title": commit.message, **made} for commit in past])

    def refs(self, request, name, repository, commit):
        def listed(kind: str, refs: dict[str, Commit]) -> list[dict[str, str]]:
            return [{"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": refs[ref].oid} for ref in refs]

        known = {"branches": listed("heads", repository.branches), "tags": listed("tags", repository.tags)}
        return Answer(content=known | {"converts": [], "pullRequests": []})

    def tag(self, request, name, repository, commit):
        tag = request.json["tag"]
        if tag in repository.tags:
            raise Refused(409, f"Tag reference exists already: {tag}")
        repository.tags[tag] = commit
        return Answer()

    def delete_tag(self, repository, tag):
        if repository.tags.pop(tag, None) is None:
            raise Refused(404, f"Invalid rev id: {tag}", "RevisionNotFound")
        return Answer()

    def branch(self, request, name, repository, commit, branch):
        if request.method == "DELETE":
            del repository.branches[branch]
        elif branch in repository.branches:
            raise Refused(409, f"Reference already exists: {branch}")
        else:
            start = request.json.get("startingPoint")
            repository.branches[branch] = (start and repository.find(start)) or commit
        return Answer()

    def preupload(self, request, name, repository, commit):
        modes = []
        for file in request.json["files"]:
            path, start = file["path"], base64.b64decode(file["sample"])
            large = is_large(path, file["size"], start)
            old = commit.entry(path) if path in commit.files else {}
            oid = old.get("lfs", old).get("oid")
            modes.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid})
        return Answer(content={"files": modes, "commitOid": commit.oid})

    def lfs(self, request, name, repository, commit):
        objects = []
        for wanted in request.json["objects"]:
            actions = {
                "upload": {"href": f"{self.storage}/storage/{wanted['oid']}", "header": {}},
                "verify": {"href": f"{self.address}/{name}.git/info/lfs/verify"},
            }
            objects.append({**wanted, **({} if wanted["oid"] in self.objects else {"actions": actions})})
        return Answer(content={"transfer": "basic", "objects": objects})

    def upload(self, request, oid):
        if sha256(request.body) != oid:
            return Answer(400, b"XAmzContentSHA256Mismatch")
        self.objects[oid] = request.body
        return Answer(headers={"ETag": f'"{oid}"'})

    def verify(self, request, name, repository, commit):
        uploaded = self.objects.get(request.json["oid"])
        if uploaded is None or len(uploaded) != request.json["size"]:
            raise Refused(404, "The object is missing or has another size")
        return Answer(content={})

    def commit(self, request, name, repository, commit):
        header, *operations = [json.loads(line) for line in request.body.splitlines()]
        branch = unquote(request.path.rpartition("/")[2])
        if header["value"].get("parentCommit", commit.oid) != commit.oid:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(commit.files)
        for operation in operations:
            value = operation["value"]
            path = value["path"]
            if operation["key"] == "file":
                files[path] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    raise Refused(400, "Your push was rejected because an LFS pointer pointed to a missing file")
                files[path] = self.objects[value["oid"]]
            elif operation["key"] == "deletedFolder":
                files = {kept: files[kept] for kept in files if not kept.startswith(f"{path.rstrip('/')}/")}
            elif files.pop(path, None) is None:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        made = repository.commit(header["value"]["summary"], files, branch)
        url = f"{self.address}/{name}/commit/{made.oid}"
        return Answer(content={"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})

    def resolve(self, request, name, repository, commit, path):
        if path not in commit.files:
            raise _no_entry(commit, path)
        entry, content = commit.entry(path), commit.files[path]
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{entry["oid"]}"'}
        if "lfs" not in entry:
            return _part(content, request, headers)
        oid = entry["lfs"]["oid"]
        linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{oid}"'}
        return Answer(302, headers={**headers, **linked, "Location": f"{self.storage}/storage/{oid}"})

    def download(self, request, oid):
        content = self.objects.get(oid)
        return Answer(404) if content is None else _part(content, request, {"ETag": f'"{oid}"'})


def _as_sibling(entry: dict) -> dict:
    return {"size": entry["size"], "blobId": entry["oid"], **({"lfs": entry["lfs"]} if "lfs" in entry else {})}


def _no_entry(commit: Commit, path: str) -> Refused:
    return Refused(404, f"{path} does not exist", "EntryNotFound", **{"X-Repo-Commit": commit.oid})


def _part(content: bytes, request: Request, headers: dict[str, str]) -> Answer:
    """Return a file, or the requested range of it."""
    size = len(content)
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if wanted is None:
        return Answer(200, content, {**headers, "Accept-Ranges": "bytes"})
    first, last = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
    if first > last:
        return Answer(416, headers={"Content-Range": f"bytes */{size}"})
    return Answer(206, content[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{size}"})

"""A repository of the stand-in for the hub, in memory: commits, branches, tags, and the hub's metadata of its files."""

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatch

LARGE = ("*.safetensors", "*.bin", "*.model", "*.parquet", "*.arrow", "*.pt", "*.npz", "*.zip")
"""Files in large file storage (LFS) whatever their size, as `.gitattributes` lists them in a new repository."""
REGULAR_BYTES = 10 * 2**20
"""The size from which any file is in large file storage."""


def is_large(path: str, size: int, start: bytes) -> bool:
    """Return whether the hub keeps a file in large file storage: by its name, its size, or its binary start."""
    return size > REGULAR_BYTES or b"\0" in start[:512] or any(fnmatch(path, pattern) for pattern in LARGE)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Commit:
    oid: str
    message: str
    files: dict[str, bytes]

    def entry(self, path: str) -> dict:
        """Return the hub's metadata of a file; the object id of a large one is that of its Git LFS pointer."""
        content = self.files[path]
        entry = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
        if is_large(path, len(content), content):
            oid = sha256(content)
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()
            lfs = {"oid": oid, "sha256": oid, "size": len(content), "pointerSize": len(pointer)}
            entry |= {"oid": git_oid(pointer), "lfs": lfs}
        return entry

    def entries(self) -> dict[str, dict]:
        """Return the hub's metadata of each file and each folder."""
        found = {path: self.entry(path) for path in self.files}
        for path in self.files:
            while path := path.rpartition("/")[0]:
                found[path] = {"type": "directory", "path": path, "size": 0, "oid": git_oid(path.encode())}
        return dict(sorted(found.items()))


class Repository:
    """A repository; its first commit has `.gitattributes` only, as on the hub."""

    def __init__(self, *, private: bool = False, gated: bool = False) -> None:
        self.private = private
        self.gated = gated
        self.commits: list[Commit] = []
        """All commits, in order of time."""
        self.branches: dict[str, Commit] = {}
        self.tags: dict[str, Commit] = {}
        attributes = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE)
        self.commit("initial commit", {".gitattributes": attributes.encode()})

    @property
    def head(self) -> Commit:
        return self.branches["main"]

    @property
    def files(self) -> dict[str, bytes]:
        """The files at the head of the main branch."""
        return self.head.files

    def find(self, revision: str) -> Commit | None:
        """Return the commit of a branch, a tag or an object id."""
        by_oid = {commit.oid: commit for commit in self.commits}
        return (self.branches | self.tags | by_oid).get(revision)

    def commit(self, message: str, files: dict[str, bytes], branch: str = "main") -> Commit:
        """Add a commit after which the branch has these files."""
        seed = f"{len(self.commits)} {message} {[*map(git_oid, files.values())]}"
        self.branches[branch] = Commit(hashlib.sha1(seed.encode()).hexdigest(), message, files)
        self.commits.append(self.branches[branch])
        return self.branches[branch]

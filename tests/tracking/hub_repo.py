"""A Hub on loopback that takes pushes and is read: repositories, commits, large files, branches and tags, over the protocol
of the real client."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import huggingface_hub.constants
import pytest
from huggingface_hub import hf_api
from huggingface_hub.utils import _http

TOKEN = "hf_" + "x" * 34
JSON = {"Content-Type": "application/json"}


@dataclass
class Repo:
    """What a repository holds."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[tuple[str, str]] = field(default_factory=list)
    """(id, message), oldest first."""
    tags: dict[str, str] = field(default_factory=dict)
    at: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Tag or commit -> the files it stands for."""
    branches: dict[str, str] = field(default_factory=dict)
    """Name -> commit; `main` is the last commit, where it is not told otherwise."""
    gated: bool = False

    def commit_of(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit stands for."""
        known = {"main": self.commits[-1][0] if self.commits else "0" * 40} | self.tags | self.branches
        return known.get(revision) or (revision if revision in self.at else None)


@dataclass
class FakeHub:
    """The state behind the server, and what it shall answer instead."""

    endpoint: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answer: tuple[int, str] | None = None
    """Status and message of every answer, where set."""
    fail_uploads: bool = False
    large: int = 1 << 20
    """Files of so many bytes are kept as large ones, whose sha256 the Hub tells."""

    def put(
        self,
        name: str,
        files: dict[str, bytes],
        *,
        branch: str = "main",
        private: bool = False,
        gated: bool = False,
        replace: bool = False,
    ) -> str:
        """A commit in which `files` are added or replaced, or, with `replace`, are all there is; its id."""
        repo = self.repos.setdefault(name, Repo(private))
        repo.private, repo.gated = private, gated
        before = {} if replace else repo.at.get(repo.branches.get(branch, ""), {})
        commit = hashlib.sha1(f"{name}{branch}{len(repo.commits)}".encode()).hexdigest()
        repo.commits.append((commit, "put"))
        repo.at[commit] = {**before, **files}
        repo.branches[branch] = commit
        return commit


@contextmanager
def serve_hub() -> Iterator[FakeHub]:
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            hub.asked.append(f"{self.command} {path}")
            if hub.answer is not None:
                self._send(hub.answer[0], {"error": hub.answer[1]}, {"X-Error-Message": hub.answer[1]})
            elif path.startswith("/blob/"):
                if hub.fail_uploads:
                    self._send(400, {"error": "the bucket is full"})
                else:
                    hub.blobs[path.rpartition("/")[2]] = body
                    self._send(200, {})
            elif self._reads_unnamed() and not self._may_read(path):
                self._refuse(401, "RepoNotFound", "Repository not found")  # as the real one hides what is private
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}" and not self._may_read(path):
                self._send(401, {"error": "Invalid credentials"}, {"X-Error-Message": "Invalid credentials"})
            else:
                self._api(path, body)

        do_GET = do_POST = do_PUT = do_HEAD = _handle

        def _reads_unnamed(self) -> bool:
            return self.command in ("GET", "HEAD") and self.headers.get("Authorization") is None

        def _may_read(self, path: str) -> bool:
            """Whether a request without any token is one for a repository that all may read."""
            repo = hub.repos.get(_repo(path)[0])
            return self._reads_unnamed() and repo is not None and not repo.private

        def _api(self, path: str, body: bytes) -> None:
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                there = name in hub.repos
                hub.repos.setdefault(name, Repo(asked.get("visibility") == "private"))
                self._send(409 if there else 200, {"url": f"{hub.endpoint}/{name}", "name": name, "id": name})
                return
            if path == "/api/validate-yaml":
                self._send(200, {"errors": [], "warnings": []})
                return
            name, rest = _repo(path)
            repo = hub.repos.get(name)
            if repo is None:
                self._refuse(404, "RepoNotFound", "Repository not found")
            elif repo.gated and rest[:1] in (["resolve"], ["tree"]):
                self._refuse(403, "GatedRepo", f"Access to {name} is restricted.")
            elif rest[:1] in (["resolve"], ["tree"], ["revision"]) and repo.commit_of(rest[1]) is None:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
            elif rest[:1] == ["tree"]:
                files = repo.at[repo.commit_of(rest[1]) or ""]
                self._bytes(200, json.dumps([self._entry(*file) for file in sorted(files.items())]).encode(), JSON)
            elif rest[:1] == ["refs"]:
                tags = [{"name": t, "ref": f"refs/tags/{t}", "targetCommit": c} for t, c in repo.tags.items()]
                self._send(200, {"branches": [], "converts": [], "tags": tags})
            elif rest[:1] == ["preupload"]:
                files = [
                    {
                        "path": f["path"],
                        "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular",
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for f in json.loads(body)["files"]
                ]
                self._send(200, {"files": files})
            elif rest[-1:] == ["batch"]:
                self._batch(json.loads(body))
            elif rest[:1] == ["commit"]:
                self._commit(repo, [json.loads(line) for line in body.splitlines() if line.strip()])
            elif rest[:1] == ["tag"]:
                tag = json.loads(body)["tag"]
                repo.tags[tag] = rest[1]
                repo.at[tag] = repo.at[rest[1]]
                self._send(200, {})
            elif rest[:1] == ["resolve"]:
                self._resolve(repo, str(repo.commit_of(rest[1])), "/".join(rest[2:]))
            elif rest[:1] == ["revision"]:
                sha = str(repo.commit_of(rest[1]))
                siblings = [{"rfilename": file} for file in repo.at.get(sha, repo.files)]
                self._send(200, {"id": name, "sha": sha, "siblings": siblings, "tags": [], "private": repo.private})
            elif not rest:
                sha = repo.commit_of("main")
                self._send(200, {"id": name, "sha": sha, "siblings": [], "tags": [], "private": repo.private})
            else:
                self._send(404, {"error": f"no such call: {path}"})

        def _entry(self, path: str, data: bytes) -> dict[str, Any]:
            entry = {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}
            if len(data) < hub.large:
                return entry
            return entry | {"lfs": {"oid": _sha256(data), "size": len(data), "pointerSize": 134}}

        def _resolve(self, repo: Repo, commit: str, path: str) -> None:
            data = repo.at[commit].get(path)
            if data is None:
                self._refuse(404, "EntryNotFound", "Entry not found")
                return
            etag = f'"{_oid(data) if len(data) < hub.large else _sha256(data)}"'
            headers = {"ETag": etag, "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._bytes(206 if start else 200, data[start:], headers)

        def _refuse(self, status: int, code: str, message: str) -> None:
            self._send(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

        def _batch(self, asked: dict[str, Any]) -> None:
            objects = [
                {
                    "oid": o["oid"],
                    "size": o["size"],
                    "actions": {"upload": {"href": f"{hub.endpoint}/blob/{o['oid']}", "header": {}}},
                }
                for o in asked["objects"]
            ]
            self._send(200, {"transfer": "basic", "objects": objects})

        def _commit(self, repo: Repo, lines: list[dict[str, Any]]) -> None:
            message = ""
            for line in lines:
                value = line["value"]
                if line["key"] == "header":
                    message = value["summary"]
                elif line["key"] == "file":
                    repo.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    repo.files[value["path"]] = hub.blobs[value["oid"]]
            commit = hashlib.sha1(f"{message}{len(repo.commits)}".encode()).hexdigest()
            repo.commits.append((commit, message))
            repo.at[commit] = dict(repo.files)
            self._send(
                200,
                {
                    "success": True,
                    "commitOid": commit,
                    "commitUrl": f"{hub.endpoint}/x/y/commit/{commit}",
                    "hookOutput": "",
                },
            )

        def _send(self, status: int, data: dict[str, Any], headers: dict[str, str] | None = None) -> None:
            self._bytes(status, json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})})

        def _bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _repo(path: str) -> tuple[str, list[str]]:
    """(name of the repository, `datasets/` before that of a data set; what is asked of it) of an address."""
    path = path.removeprefix("/api/").strip("/")
    kind = "datasets/" if path.startswith("datasets/") else ""
    words = [unquote(word) for word in path.removeprefix("datasets/").removeprefix("models/").split("/")]
    return kind + "/".join(words[:2]).removesuffix(".git"), words[2:]


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Point the client at `endpoint`, with a cache below `folder`.

    It reads its environment once, at import: what stands there is changed for the test.
    """
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)  # the client's pauses between its own retries
    assert hf_api.HfApi().endpoint == endpoint

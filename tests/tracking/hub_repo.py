"""A Hub on loopback that takes pushes: repositories, commits, large files and tags, over the protocol of the real client."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_" + "x" * 34


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
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._send(401, {"error": "Invalid credentials"}, {"X-Error-Message": "Invalid credentials"})
            else:
                self._api(path, body)

        do_GET = do_POST = do_PUT = do_HEAD = _handle

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
            words = path.removeprefix("/api/models").strip("/").split("/")
            name, rest = "/".join(words[:2]).removesuffix(".git"), words[2:]
            repo = hub.repos[name]
            if rest[:1] == ["refs"]:
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
                data = repo.at[rest[1]]["/".join(rest[2:])]
                headers = {
                    "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
                    "X-Repo-Commit": repo.tags.get(rest[1], rest[1]),
                }
                self._bytes(200, data, headers)
            elif rest[:1] == ["revision"]:
                siblings = [{"rfilename": file} for file in repo.files]
                sha = repo.commits[-1][0] if repo.commits else "0" * 40
                self._send(200, {"id": name, "sha": sha, "siblings": siblings, "tags": [], "private": repo.private})
            elif not rest:
                self._send(200, {"id": name, "sha": "0" * 40, "siblings": [], "tags": [], "private": repo.private})
            else:
                self._send(404, {"error": f"no such call: {path}"})

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

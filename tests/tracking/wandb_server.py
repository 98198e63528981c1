"""A small server on loopback that speaks as much of W&B's API as a run, its artifacts and `wandb sync` ask for.

It answers what W&B's own helper process wants to hear and remembers what it was told: enough to see that runs, artifacts and
their lineage arrive, once. It is no W&B: whether the real one shows them as meant is not known from here.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
_LINKED = "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE"
"""What newer servers can do: a link is answered with what it made."""


@dataclass
class Received:
    """What has arrived so far."""

    url: str = ""
    runs: dict[str, Json] = field(default_factory=dict)
    """Run id -> `groupName`, `jobType`, `displayName`, `tags`, `config`, and `history`: {line: moment}."""
    artifacts: dict[str, Json] = field(default_factory=dict)
    """Artifact id -> `name`, `type`, `digest`, `aliases`, `run`, `committed`."""
    used: list[tuple[str, str]] = field(default_factory=list)
    """(run id, artifact's name)."""
    linked: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    """(project, collection, aliases)."""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Names of the queries, in their order."""
    refuse: int | None = None
    """Status that answers everything, if any."""

    def made(self, run: str) -> dict[str, str]:
        """Name -> type of the committed artifacts that were first told by this run, without W&B's own."""
        mine = [each for each in self.artifacts.values() if each["run"] == run and each["committed"]]
        return {each["name"]: each["type"] for each in mine if each["type"] != "run_table"}


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received = Received(f"http://127.0.0.1:{self.server_port}")
        self.one_at_a_time = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """W&B's helper hangs up as it ends."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self.server.received.files[self.path.removeprefix("/storage/")] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        body, received = self._body(), self.server.received
        if received.refuse:
            self._answer({"errors": [{"message": "no such key"}]}, received.refuse)
        elif self.path == "/graphql":
            asked = json.loads(body)
            found = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
            answer = getattr(self, f"on_{found[1]}", None) if found else None
            if answer is None:
                self._answer({"errors": [{"message": f"this server knows no {found and found[1]}"}]}, 400)
            else:
                with self.server.one_at_a_time:
                    received.asked.append(answer.__name__.removeprefix("on_"))
                    told = answer(asked.get("variables") or {})
                self._answer({"data": told})
        elif self.path.endswith("/file_stream"):
            told = (json.loads(body).get("files") or {}).get("wandb-history.jsonl")
            if told:
                lines = received.runs[self.path.split("/")[-2]]["history"]
                lines |= {told["offset"] + n: json.loads(line) for n, line in enumerate(told["content"])}
            self._answer({})
        else:
            self._answer({})

    def on_ServerFeaturesQuery(self, asked: Json) -> Json:
        return {"serverInfo": {"features": [{"name": _LINKED, "isEnabled": True}]}}

    def on_Viewer(self, asked: Json) -> Json:
        return {"viewer": {"id": "u", "entity": "team", "username": "u", "flags": "{}", "teams": {"edges": []}}}

    def on_RunResumeStatus(self, asked: Json) -> Json:
        run = self.server.received.runs.get(asked["name"])
        if run is None:
            return {"model": {"bucket": None}}
        last = max((moment["_step"] for moment in run["history"].values()), default=-1)
        bucket = _bucket(asked, run) | {
            "historyLineCount": len(run["history"]),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps([json.dumps({"_step": last, "_runtime": 1})]),
            "eventsTail": "[]",
            "summaryMetrics": "{}",
            "wandbConfig": '{"t": 1}',
            "tags": [],
        }
        return {"model": {"id": "p", "name": asked["project"], "bucket": bucket}}

    def on_UpsertBucket(self, asked: Json) -> Json:
        run = self.server.received.runs.setdefault(asked["name"], {"history": {}})
        run |= {key: value for key, value in asked.items() if value is not None and key != "config"}
        run["config"] = run.get("config", {}) | json.loads(asked.get("config") or "{}")
        return {"upsertBucket": {"bucket": _bucket(asked, run), "inserted": True}}

    def on_CreateRunFiles(self, asked: Json) -> Json:
        files = [{"name": name, "uploadUrl": self._storage(f"{asked['run']}/{name}")} for name in asked["files"]]
        return {"createRunFiles": {"runID": asked["run"], "uploadHeaders": [], "files": files}}

    def on_MarkRunFilesUploaded(self, asked: Json) -> Json:
        return {"markRunFilesUploaded": {"success": True}}

    def on_ArtifactType(self, asked: Json) -> Json:
        return {"project": {"artifact": None}}

    def on_CreateArtifact(self, asked: Json) -> Json:
        told, artifacts = asked["input"], self.server.received.artifacts
        name, digest = told["artifactCollectionName"], told["digest"]
        same = [id_ for id_, known in artifacts.items() if (known["name"], known["digest"]) == (name, digest)]
        id_ = same[0] if same else f"a{len(artifacts)}"
        if not same:
            artifacts[id_] = {"name": name, "type": told["artifactTypeName"], "digest": digest, "aliases": set()}
            artifacts[id_] |= {"run": told["runName"], "committed": False}
        artifacts[id_]["aliases"] |= {each["alias"] for each in told["aliases"]}
        state = "COMMITTED" if artifacts[id_]["committed"] else "PENDING"
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": id_, "state": state, "artifactSequence": sequence}}}

    def on_CreateArtifactManifest(self, asked: Json) -> Json:
        place = self._storage(f"{asked['artifactID']}/{asked['name']}") if asked["includeUpload"] else None
        return {"createArtifactManifest": {"artifactManifest": _manifest(asked["artifactID"], place)}}

    def on_UpdateArtifactManifest(self, asked: Json) -> Json:
        place = self._storage(f"{asked['artifactManifestID']}/manifest")
        return {"updateArtifactManifest": {"artifactManifest": _manifest(asked["artifactManifestID"], place)}}

    def on_CreateArtifactFiles(self, asked: Json) -> Json:
        nodes = [
            {
                "id": "f",
                "name": each["name"],
                "displayName": each["name"],
                "uploadUrl": self._storage(f"{each['artifactID']}/{each['name']}"),
                "uploadHeaders": [],
                "storagePath": each["name"],
                "uploadMultipartUrls": None,
                "artifact": {"id": each["artifactID"]},
            }
            for each in asked["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def on_CommitArtifact(self, asked: Json) -> Json:
        artifact = self.server.received.artifacts[asked["artifactID"]]
        artifact["committed"] = True
        return {"commitArtifact": {"artifact": {"id": asked["artifactID"], "digest": artifact["digest"]}}}

    def on_UseArtifact(self, asked: Json) -> Json:
        told, received = asked["input"], self.server.received
        received.used.append((told["runName"], received.artifacts[told["artifactID"]]["name"]))
        return {"useArtifact": {"artifact": {"id": told["artifactID"]}}}

    def on_ArtifactByID(self, asked: Json) -> Json:
        return {"artifact": self._artifact(asked["id"])}

    def on_FetchOrgInfoFromEntity(self, asked: Json) -> Json:
        return {"entity": {"organization": {"name": "org", "orgEntity": {"name": "org-entity"}}, "user": None}}

    def on_LinkArtifact(self, asked: Json) -> Json:
        told = asked["input"]
        place, name = told["projectName"], told["artifactPortfolioName"]
        self.server.received.linked.append((place, name, tuple(each["alias"] for each in told["aliases"])))
        membership = {
            "__typename": "ArtifactCollectionMembership",
            "id": "l",
            "versionIndex": 0,
            "createdAt": _TIME,
            "aliases": [],
            "artifactCollection": {"__typename": "ArtifactPortfolio", "name": name, "project": _project(place)},
            "artifact": self._artifact(told["artifactID"]),
        }
        return {"result": {"versionIndex": 0, "artifactMembership": membership}}

    def _artifact(self, id_: str) -> Json:
        known = self.server.received.artifacts[id_]
        return {
            "__typename": "Artifact",
            "id": id_,
            "artifactSequence": {"__typename": "ArtifactSequence", "name": known["name"], "project": _project("p")},
            "versionIndex": 0,
            "artifactType": {"name": known["type"]},
            "description": None,
            "metadata": "{}",
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": 1,
            "digest": known["digest"],
            "commitHash": "c",
            "fileCount": 1,
            "createdAt": _TIME,
            "updatedAt": None,
            "aliases": [],
        }

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def _answer(self, value: Json, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _storage(self, name: str) -> str:
        return f"{self.server.received.url}/storage/{name}"


def _bucket(asked: Json, run: Json) -> Json:
    project = {"id": "p", "name": asked.get("project"), "entity": {"id": "e", "name": asked.get("entity") or "team"}}
    return {
        "id": f"b-{asked['name']}",
        "name": asked["name"],
        "displayName": run.get("displayName", asked["name"]),
        "description": None,
        "config": "{}",
        "sweepName": None,
        "historyLineCount": 0,
        "project": project,
    }


_TIME = "2026-01-01T00:00:00Z"


def _project(name: str) -> Json:
    return {"id": "p", "internalId": "p", "name": name, "entity": {"name": "team"}}


def _manifest(id_: str, place: str | None) -> Json:
    file = {
        "id": "f",
        "name": "m",
        "displayName": "m",
        "uploadUrl": place,
        "uploadHeaders": [],
        "artifact": {"id": id_},
    }
    return {"id": f"m-{id_}", "file": file}


@contextmanager
def wandb_server() -> Iterator[Received]:
    """The server, while the block runs; set WANDB_BASE_URL to its `url`."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.received
        server.shutdown()
        thread.join()

"""Run the Dockerfile's own instructions in a chroot, where there is no Docker engine: a check, not a way to ship.

    debootstrap --variant=minbase --include=python3-venv,ca-certificates bookworm /tmp/base
    .venv/bin/python tools/chroot_build.py --base /tmp/base --out /tmp/images --target control -- skillsengine validate

`--base` stands in for the base image, so it has to bring the Python that the locks are for (bookworm has 3.11). What comes
after `--` runs in the finished image as its user, with its environment and its entry point as process 1 of a process
namespace of its own. A stage that stands in `--out` already is not built again: remove its folder to do so.

Root only. Not the same as Docker: no layers, no cgroups, and the host's network and certificates.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from dockerfile import Instruction, Stage, expand, read_stages

PROJECT = Path(__file__).resolve().parent.parent
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED = (
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
)
"""What RUN gets of this machine's environment, as `docker build --build-arg` would pass it; the images do not keep it."""


class Builder:
    """Builds stages as folders in `out`, each only once."""

    def __init__(self, base: Path, out: Path, binds: Sequence[str]) -> None:
        self.base, self.out, self.binds = base, out, [f"{path}:{path}" for path in binds]
        self.stages = read_stages(PROJECT / "Dockerfile")

    def build(self, name: str) -> Path:
        root = self.out / name
        if (root / ".image.json").exists():
            return root
        stage = self.stages[name]
        parent = self.build(stage.parent) if stage.parent in self.stages else self.base
        print(f"== {name} (from {stage.parent})", flush=True)
        shutil.rmtree(root, ignore_errors=True)
        self.out.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", str(parent), str(root)], check=True)
        inherited = root / ".image.json"
        image = json.loads(inherited.read_text()) if inherited.exists() else {"env": {"PATH": PATHS}, "dir": "/"}
        inherited.unlink(missing_ok=True)
        for instruction in stage.instructions:
            self._carry_out(instruction, stage, root, image)
        inherited.write_text(json.dumps(image))
        return root

    def _carry_out(self, step: Instruction, stage: Stage, root: Path, image: dict) -> None:
        print(f"{stage.name}:{step.line} {step.keyword} {step.text}", flush=True)
        if step.keyword == "ENV":
            pairs = (word.partition("=") for word in step.words)
            image["env"] |= {key: expand(value, image["env"]) for key, _, value in pairs}
        elif step.keyword == "WORKDIR":
            image["dir"] = step.text
            (root / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif step.keyword == "COPY":
            self._copy(step, root, image["dir"])
        elif step.keyword == "RUN":
            binds = [*self.binds]
            for mount in step.options.get("mount", ()):
                told = dict(pair.split("=", 1) for pair in mount.split(","))
                binds.append(f"{self.build(told['from'])}{told['source']}:{told['target']}")
            env = image["env"] | {name: os.environ[name] for name in PASSED if name in os.environ}
            enter(root, ["/bin/sh", "-c", step.text], env, image["dir"], binds=binds)
        elif step.keyword in ("ENTRYPOINT", "CMD"):
            image[step.keyword] = step.words
        elif step.keyword == "USER":
            image["user"] = step.text
        elif step.keyword not in ("VOLUME", "EXPOSE", "HEALTHCHECK"):
            sys.exit(
                f"chroot_build: Dockerfile:{step.line}: {step.keyword} is not known here; add it to tools/chroot_build.py"
            )

    def _copy(self, step: Instruction, root: Path, folder: str) -> None:
        *sources, target = step.words
        above = self.build(step.options["from"][0]) if "from" in step.options else PROJECT
        there = root / str(Path(folder, target)).lstrip("/")
        for source in sources:
            path = above / source.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, there, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                aim = there / path.name if target.endswith("/") else there
                aim.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, aim)
                aim.chmod(int(step.options.get("chmod", ["644"])[0], 8))


def enter(
    root: Path,
    command: Sequence[str],
    env: Mapping[str, str],
    folder: str,
    *,
    user: str = "0",
    binds: Sequence[str] = (),
) -> None:
    """Run a command in the folder `root` as its root folder; ends this program if the command fails."""
    shell = [
        f"mount -t proc proc {root}/proc",
        f"mount --rbind /dev {root}/dev",
        f"cp /etc/resolv.conf /etc/hosts {root}/etc/",
    ]
    for bind in binds:
        source, _, target = bind.partition(":")
        shell += [f"mkdir -p {root}{target}", f"mount --bind {source} {root}{target}"]
    inner = f"cd {shlex.quote(folder)} && exec {shlex.join(command)}"
    shell.append(f"exec chroot --userspec={user}:{user} {root} /bin/sh -c {shlex.quote(inner)}")
    # Mounts and processes of the chroot end with it.
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    done = subprocess.run(
        [*namespaces, "/bin/sh", "-ec", "\n".join(shell)], env={**env, "DEBIAN_FRONTEND": "noninteractive"}
    )
    if done.returncode:
        sys.exit(f"chroot_build: `{shlex.join(command)}` ended with {done.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the Dockerfile's instructions in a chroot.")
    parser.add_argument("--base", type=Path, help="folder made by debootstrap; stands in for the base image")
    parser.add_argument("--out", type=Path, required=True, help="where the stages' folders go")
    parser.add_argument("--target", required=True, help="stage to build")
    parser.add_argument(
        "--bind", action="append", default=[], metavar="PATH", help="a path of this machine to show inside"
    )
    parser.add_argument("command", nargs="*", help="what to run in the image")
    words = parser.parse_args()
    builder = Builder(words.base.resolve(), words.out.resolve(), words.bind)
    root = builder.build(words.target)
    image = json.loads((root / ".image.json").read_text())
    command = [*image["ENTRYPOINT"], *(words.command or image["CMD"])]
    env = image["env"] | {"HOME": "/var/lib/skillsengine"}
    enter(root, command, env, image["dir"], user=image["user"])


if __name__ == "__main__":
    main()

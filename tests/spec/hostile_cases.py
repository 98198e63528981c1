"""What people, editors, copies and attackers leave in `experiments/`: title -> what it makes of the folder.

Each makes one spec beside a good neighbour. What is only wrong stands in `error_table.txt`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.spec.support import GOOD

Make = Callable[[Path], Path]
"""From the folder `experiments/` to the spec in it."""

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567"
DATED = "name: job\nstart_date: 2026-01-01\ndata: {source: 'ads/{partition}.jsonl', period: day}\n"
CRON = GOOD + "start_date: 2026-01-01\nschedule: "


def text(body: str | bytes, name: str = "job.yaml") -> Make:
    """A spec that holds `body`."""

    def make(experiments: Path) -> Path:
        path = experiments / name
        path.write_bytes(body if isinstance(body, bytes) else body.encode())
        return path

    return make


def _bomb() -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    return GOOD + "\n".join([*rows, *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9))])


def _doubling() -> str:
    return GOOD + "\n".join([*(f"a{i}: ${{a{i + 1}}}${{a{i + 1}}}" for i in range(30)), "a30: lol"])


def _flow(count: int) -> str:
    return "[" + ", ".join(f"'${{x{i}}}'" for i in range(count)) + "]"


TEXTS: dict[str, str | bytes] = {
    "nothing at all": b"",
    "a scalar at the top": "just a text\n",
    "a second document that is empty": GOOD + "---\n",
    "NUL": GOOD + "owner: a\0b\n",
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16 without a mark": GOOD.encode("utf-16-le"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "over 1 MB": GOOD + "#" * 1_000_000,
    "3,000 levels of lists": GOOD + "tags: " + "[" * 3000 + "]" * 3000,
    "3,000 levels of lines": GOOD + "tags:\n" + "".join(" " * i + "a:\n" for i in range(1, 1400)),
    "300,000 levels that never end": GOOD + "tags: " + "[" * 300_000,
    "aliases that multiply": _bomb(),
    "an alias of what it stands in": GOOD + "tags: &a [*a]\n",
    "a long text behind many aliases": GOOD + f"description: &a '{'x' * 500_000}'\ntags: [{'*a, ' * 300}]\n",
    "references that double thirty levels deep": _doubling(),
    "a reference to itself": GOOD + "owner: ${owner}\n",
    "9,000 references to nothing": GOOD + f"tags: {_flow(9000)}\n",
    "a row of 900,000 backslashes": GOOD + "description: '" + "\\" * 900_000 + " ${name}'\n",
    "a line that a slow search stumbles over": GOOD + "# " + "key-" * 200_000 + "\nzzz: 1\n",
    "400,000 blank lines, then 9,000 copies of a key": GOOD + "\n" * 400_000 + "owner: a\n" * 9000,
    "9,000 tags": GOOD + f"tags: [{'!x a, ' * 9000}]\n",
    "a key of 900,000 characters": GOOD + f"? '{'k' * 900_000}'\n: 1\n",
    "3,000 bases that are not there": GOOD + f"extends: [{', '.join(f'b{i}.yaml' for i in range(3000))}]\n",
    "a number of 900,000 digits": GOOD + f"train: {{seed: {'9' * 900_000}}}\n",
    "a key twice, at the top": GOOD + "name: job\n",
    "a tag that includes a file": GOOD + "owner: !include /etc/passwd\n",
    "a tag on the whole spec": "!!python/object:os.system\n" + GOOD,
    "a tag of YAML's own": GOOD + "train: !!map {epochs: 1}\n",
    "an unfinished merge": GOOD + "<<<<<<< HEAD\ntrain: {epochs: 1}\n=======\ntrain: {epochs: 2}\n>>>>>>> topic\n",
    "an unfinished merge inside a text": GOOD + 'description: "a\n<<<<<<< HEAD\nb\n>>>>>>> topic\n"\n',
    "the keys no and on": GOOD + "no: 1\non: 2\n",
    "keys that are called as pydantic's marks": GOOD
    + "'[key]': 1\ntrain: {'[key]': 1, int: 2}\nresources: {stages: {'[key]': {'[key]': 1}}}\n",
    ".nan": GOOD + "train: {learning_rate: .nan}\n",
    "-.inf": GOOD + "train:\n  max_grad_norm: -.inf\n",
    "??? for a number": GOOD + "lora: {r: '???'}\n",
    "??? without quotes in a list": GOOD + "tags: [???]\n",
    "??? behind a reference": GOOD + "owner: ???\ndescription: by ${owner}\n",
    "a negative rank": GOOD + "lora: {r: -4}\n",
    "quantization: nf3": GOOD + "base: {quantization: nf3}\n",
    "a name with a slash": GOOD.replace("name: job", "name: a/b"),
    "a name of two dots": GOOD.replace("name: job", "name: .."),
    "a name with a line break": GOOD.replace("name: job", 'name: "job\\nevil"'),
    "a name with a line break at its end": GOOD.replace("name: job", 'name: "job\\n"'),
    "an emoji for a name": GOOD.replace("name: job", "name: 🦙"),
    "a name of 300 characters": GOOD.replace("name: job", f"name: {'j' * 300}"),
    "a name for a shell": GOOD.replace("name: job", "name: $(rm -rf /); reboot"),
    "a name for a browser": GOOD.replace("name: job", "name: <script>alert(1)</script>"),
    "a registered name for a shell": GOOD + "register: {model: 'a;reboot'}\n",
    "the environment's secret": GOOD + "description: ${oc.env:AWS_SECRET_ACCESS_KEY}\n",
    "a token of the Hub": GOOD + f"description: read with {TOKEN}\n",
    "a token in a comment": f"# export HF_TOKEN={TOKEN}\n" + GOOD,
    "a key of W&B": GOOD + f"owner: {HEX}\n",
    "a key of W&B in a comment": GOOD + f"tracking: {{entity: me}} # wandb login {HEX}\n",
    "a password in an address": GOOD.replace("data/ads.jsonl", "s3://me:sesame-street@bucket/ads.jsonl"),
    "a token written with escapes": GOOD + 'owner: "hf\\x5fAbCdEfGhIjKlMnOpQrStUvWxYz0123"\n',
    "a token put together": GOOD + "tags: [hf_AbCdEfGhIjKl, MnOpQrStUvWxYz01]\nowner: ${tags.0}${tags.1}\n",
    "a private key": GOOD + "description: |\n  -----BEGIN RSA PRIVATE KEY-----\n  MIIEow\n",
    "a private key in the place of a key": GOOD + "-----BEGIN PRIVATE KEY-----date: 2026-01-01\n",
    "a private key and nothing else": "-----BEGIN PRIVATE KEY-----date: 2026-01-01\n",
    "a source over http": GOOD.replace("data/ads.jsonl", "http://169.254.169.254/latest/meta-data"),
    "a source over file": GOOD.replace("data/ads.jsonl", "file:///etc/passwd"),
    "a source over a scheme of somebody's": GOOD.replace("data/ads.jsonl", "ssh+git://host/ads.jsonl"),
    "a repository that is a path": GOOD + "register: {hub: ../../etc/cron.d/x}\n",
    "an absolute output": GOOD + "output_dir: /etc/cron.d\n",
    "a cron every second": CRON + '"* * * * * *"\n',
    "a cron that never comes": CRON + "0 0 30 2 *\n",
    "a cron drawn at random": CRON + "R R * * *\n",
    "a cron of 500,000 characters": CRON + "'" + "1," * 250_000 + "1 * * * *'\n",
    "700,000 days that a backfill could reach": DATED.replace("2026", "0001"),
    "a window of a million partitions": DATED.replace("day}", "day, window: 1000000}"),
    "9,000 modules, the last one twice": GOOD
    + f"lora: {{target_modules: [{', '.join(f'm{i}' for i in range(9000))}, m8999]}}\n",
}

READ: dict[str, tuple[str | bytes, str]] = {
    "no is a text": (GOOD + "owner: no\n", "owner"),
    "12:30:00 is a text": (GOOD + "description: 12:30:00\n", "description"),
    "010 is ten": (GOOD + "lora: {r: 010}\n", "lora.r"),
    "1_000 is a text": (GOOD + "owner: 1_000\n", "owner"),
    "??? is a text": (GOOD + "owner: ???\n", "owner"),
    "the key on": (GOOD + "notify: {connection: mail, on: [verdict]}\n", "notify.on"),
    "a directive of YAML 1.1": ("%YAML 1.1\n---\n" + GOOD + "paused: true\nowner: off\n", "owner"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), "name"),
    "a template in prose": (GOOD + "description: the {{ ds }} of {{ conn.x.password }}\n", "description"),
    "HTML in prose": (GOOD + "description: <script>alert(1)</script>\n", "description"),
    "quotes that would end a text of Python": (GOOD + "description: |\n  ''' + \"\"\" + \\\n", "description"),
    "a commit in a source": (GOOD.replace("data/ads.jsonl", f"hf://org/ads@{HEX}"), "data.source"),
    "a commit of a base": (GOOD + f"base:\n  model: org/base\n  revision:\n    {HEX}\n", "base.revision"),
    "a path that leads out; the plan refuses it": (GOOD.replace("data/ads.jsonl", "../../etc/passwd"), "data.source"),
    "every minute": (CRON + '"* * * * *"\n', "schedule"),
}
"""(what is read, not refused; the field to show)."""

FILE_NAMES = {
    "a line break in a file's name": "x\nraise SystemExit('pwned')\n#.yaml",
    "a file's name in Latin-1": os.fsdecode(b"caf\xe9.yaml"),
    "a file's name as long as can be": "j" * 250 + ".yaml",
    "a file's name of emoji": "🦙.yaml",
    "a file's name for a shell": "$(reboot);.yaml",
    "a file's name with another's ending": "job.yaml.yaml",
    "a file's name that looks like the evaluations": "job.evaluations.yaml",
    "a file's name in capitals": "JOB.yaml",
    "a file's ending in capitals": "job.YAML",
    "a file called .yml": "job.yml",
}


def _link(target: str) -> Make:
    def make(experiments: Path) -> Path:
        (experiments.parent / "secret.yaml").write_text(GOOD + "root:x:0:0\n")
        path = experiments / "job.yaml"
        path.symlink_to(target)
        return path

    return make


def _pipe(experiments: Path) -> Path:
    path = experiments / "job.yaml"
    os.mkfifo(path)
    return path


def _base(make: Callable[[Path], object]) -> Make:
    """A spec that extends what `make` makes of `_base/odd.yaml`."""

    def made(experiments: Path) -> Path:
        (experiments / "_base").mkdir()
        make(experiments / "_base" / "odd.yaml")
        return text("extends: _base/odd.yaml\n" + GOOD)(experiments)

    return made


FILES: dict[str, Make] = {
    "a link out of experiments": _link("../secret.yaml"),
    "a link to a file of the system": _link("/etc/passwd"),
    "a link to a device": _link("/dev/zero"),
    "a link to nothing": _link("nothing.yaml"),
    "a link to itself": _link("job.yaml"),
    "a pipe": _pipe,
    "half a copy": text(GOOD + "train: {epochs: 3, learning_"),
    "half a character at the end": text((GOOD + "owner: é").encode()[:-1]),
    "a base that is a pipe": _base(os.mkfifo),
    "a base that is a link to itself": _base(lambda path: path.symlink_to(path.name)),
    "a base that is a link out": _base(lambda path: path.symlink_to("/etc/passwd")),
    "a base with a token": _base(lambda path: path.write_text(f"owner: {TOKEN}\n")),
    **{title: text(GOOD, name) for title, name in FILE_NAMES.items()},
}

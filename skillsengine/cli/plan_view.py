"""What `plan` prints: the steps of one spec and what they take, or one line for each of many specs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import out, print_table, seconds_text
from skillsengine.cli.memory_view import memory_lines
from skillsengine.pipeline.forecast import Figure, Forecast
from skillsengine.pipeline.outlook import Outlook
from skillsengine.pipeline.upcoming import UpcomingDag


def show_outlook(found: Outlook) -> None:
    """Print the steps with what is cached and why the others are not, then what the run takes and when the next one is."""
    plan, unknown = found.plan, found.plan.unknown
    table = Table(title=f"{plan.experiment.name} · partition {plan.partition}", title_justify="left", box=None)
    for column in ("step", "digest", "state", "why"):
        table.add_column(column, style="dim" if column == "digest" else None, overflow="fold")
    for step, why in found.steps:
        reason = Text("" if why is None else str(why))
        if step.id in unknown:
            table.add_row(Text(step.id), "unknown", "[yellow]unknown[/]", reason)
        else:
            state = "[green]cached[/]" if why is None else "[yellow]to run[/]"
            table.add_row(Text(step.id), step.digest[:12], state, reason)
    print_table(table)
    _state(found)
    _print_facts(list(_facts(found)))
    for note in found.notes:
        out.print(f"note: {note}", markup=False)
    for warning in found.warnings:
        out.print(Text.assemble(("warning: ", "yellow"), warning))


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """`name  text` a line; in a terminal long texts go on below their beginning."""
    width = max(len(name) for name, _ in facts)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, told in facts:
        table.add_row(name, Text(told))
        if not out.is_terminal:
            out.print(f"{name:<{width}}  {told}", markup=False)  # a table would fill all lines up to the longest
    if out.is_terminal:
        print_table(table)


def show_all(found: Sequence[Outlook]) -> None:
    """Print a line for each spec: its partition, how much is to run, and why."""
    table = Table(box=None)
    for column in ("experiment", "partition", "to run", "why"):
        table.add_column(column, overflow="fold")
    for one in found:
        causes = list(dict.fromkeys(cause for _, why in one.steps if why for cause in why.changes[:1]))
        roots = [cause for cause in causes if not cause.endswith(" changed")] or causes
        more = f" and {len(roots) - 2} more" if len(roots) > 2 else ""
        table.add_row(
            Text(one.plan.experiment.name), one.plan.partition, _to_run(one), Text("; ".join(roots[:2]) + more)
        )
    print_table(table)
    warned: dict[str, list[str]] = {}
    for one in found:
        for warning in one.warnings:
            warned.setdefault(warning, []).append(one.plan.experiment.name)
    for warning, names in warned.items():
        out.print(Text.assemble(("warning: ", "yellow"), (_some(names), "bold"), f": {warning}"))


def _to_run(found: Outlook) -> Text:
    count, whole, unknown = len(found.to_run), len(found.steps), len(found.plan.unknown)
    if not count and not unknown:
        return Text("nothing", style="green")
    return Text(f"{count} of {whole}" + (f", {unknown} unknown" if unknown else ""), style="yellow")


def _state(found: Outlook) -> None:
    to_run, whole, unknown = len(found.to_run), len(found.steps), len(found.plan.unknown)
    if unknown:
        out.print(f"{to_run} of {whole} steps to run, {unknown} unknown until their data is read (--read)")
    else:
        out.print(f"{to_run} of {whole} steps to run" if to_run else "nothing to do: every step is cached")


def _facts(found: Outlook) -> Iterator[tuple[str, str]]:
    known = found.forecast
    trains = any(step.id not in found.cached for step in found.plan.of("finetune"))
    if known.train_rows is not None:
        yield "rows", _rows(known)
    if known.steps is not None:
        yield "steps", f"{_number(known.steps)} optimizer steps ({_each_training(found)})"
    if known.tokens is not None:
        of_all = " of all trials" if found.plan.experiment.sweep else ""
        yield "tokens", f"{_number(known.tokens)} to train on in all epochs{of_all} ({known.tokens.basis})"
    if trains and known.trainable_parameters is not None:
        yield (
            "adapter",
            f"{known.trainable_parameters:,} parameters to train beside {_large(known.base_parameters or 0)} frozen ones",
        )
    if trains:
        yield from memory_lines(found)
        yield from _time(found)
    for dag in found.dags:
        yield "DAG", str(dag)
    yield "tasks", _tasks(found.dags[0])


def _each_training(found: Outlook) -> str:
    """`3 epochs, 16 rows a step`; of a sweep only what its trials share."""
    specs = [step.spec.train for step in found.plan.of("finetune")]
    told = [f"{len(specs)} trials"] if found.plan.experiment.sweep else []
    if len({train.epochs for train in specs}) == 1:
        told.append(f"{specs[0].epochs:g} epochs")
    if len({train.effective_batch_size for train in specs}) == 1:
        told.append(f"{specs[0].effective_batch_size} rows a step")
    return ", ".join(told)


def _rows(known: Forecast) -> str:
    told = f"{_number(known.train_rows)} to train on"
    if known.validation_rows is not None and known.validation_rows.value:
        told += f", {_number(known.validation_rows)} to validate"
    return told + (f" ({known.train_rows.basis})" if known.train_rows else "")


def _time(found: Outlook) -> Iterator[tuple[str, str]]:
    known = found.forecast
    if known.seconds:
        longest = sorted(known.seconds, key=lambda name: -known.seconds[name].value)[:3]
        parts = ": " + ", ".join(f"{name} {seconds_text(known.seconds[name].value)}" for name in longest)
        if len(known.seconds) == 1:
            parts = f" for {longest[0]}"
        training = next((name for name in longest if name.startswith("finetune")), longest[0])
        basis = known.seconds[training].basis
        yield "time", f"about {seconds_text(known.total_seconds)}{parts} ({basis})"
    if not known.untimed:
        return
    told = f"unknown for {_some(known.untimed)}"
    if any(name.startswith("finetune") for name in known.untimed):
        lengths = "`skillsengine run SPEC --until profile` measures the texts" if known.tokens is None else ""
        speed = "`skillsengine run SPEC --limit 8` measures the speed" if known.speed is None else ""
        told += f": {' and '.join(filter(None, (lengths, speed)))}"
    yield ("" if known.seconds else "time"), told


def _tasks(dag: UpcomingDag) -> str:
    """`queue gpu, pool default_pool; finetune: queue huge`."""
    places = Counter((task.queue, task.pool) for task in dag.tasks)
    (queue, pool), _ = places.most_common(1)[0]
    others = [
        f"{task.name}: "
        + ", ".join([f"queue {task.queue}"] * (task.queue != queue) + [f"pool {task.pool}"] * (task.pool != pool))
        for task in dag.tasks
        if (task.queue, task.pool) != (queue, pool)
    ]
    return "; ".join([f"queue {queue}, pool {pool}", *others])


def _number(figure: Figure | None) -> str:
    """`1,203`; what is not exact is rounded to three digits: `about 12,300`."""
    if figure is None:
        return "unknown"
    if figure.exact:
        return f"{figure.value:,.0f}"
    return f"about {float(f'{figure.value:.3g}'):,.0f}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _large(count: int) -> str:
    """`134.5 million`, `13.0 billion`."""
    return (
        f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.1f} million" if count >= 1e6 else f"{count:,}"
    )

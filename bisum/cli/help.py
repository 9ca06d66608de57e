"""The text of `--help`: an overview, or help on a command, group, option or key."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from itertools import chain

from bisum.cli.arguments import CommandLine
from bisum.cli.commands import COMMANDS
from bisum.cli.options import OPTIONS, Option
from bisum.cli.reference import LAUNCHER, LAUNCHERS, composed_keys, launcher_file, launcher_keys, opening
from bisum.config.checking import LIST_GROUPS
from bisum.config.composition import Composer
from bisum.config.plain import PLAIN_SCHEMAS
from bisum.config.reference import Key, keys_of
from bisum.config.schema import SCHEMAS
from bisum.errors import UserError, nearest
from bisum.interfaces.defaults import conf_directory, defaults_of, options_with

EXAMPLES = {
    "bisum": "fine-tune the starter, bisum's own small model, on the embedded sample",
    'bisum summarize -- "A text."': "summarize a text with the starter; name a run or model to use that instead",
    "bisum baseline split=test evaluation.lead=1": "score the first sentence of each document",
    "bisum trainer=seq2seq_trainer trainer.epochs=5 seed=1": "change the backend, the epochs and the seed",
    "bisum corpus=files corpus.path=reviews.csv model=mt5_small": "fine-tune mT5 on your own file",
    "bisum push outputs/RUN hub.folder=model": "write a run's model and its card; hub.repo_id=... uploads them",
    "bisum compare outputs": "rank your runs and test whether they differ significantly",
    "bisum -m trainer.learning_rate=1e-3,3e-3 seed=1,2,3": "sweep: train with each combination",
    "bisum hparams_search=optuna search.trials=20": "search: let Optuna choose the settings of each training run",
}

TEXTS = "texts for bisum summarize, taken literally"


def help_for(line: CommandLine, composer: Composer) -> str:
    """Return help on the topics or the command of a command line, or the overview if it has neither."""
    arguments = [argument for argument in line.arguments if not argument.startswith("~")]
    chosen = [name for argument in arguments if (name := argument.partition("=")[0].lstrip("+")) in composer.groups]
    if topics := [*line.topics, *chosen]:
        return "\n\n".join(topic_help(topic, composer, arguments) for topic in dict.fromkeys(topics))
    if line.named is not None:
        return command_help(line.named, composer, arguments)
    return overview(composer)


def overview(composer: Composer) -> str:
    """Return the overview: commands, groups with their options, keys, examples and options."""
    keys = [key for key in composed_keys(composer, []) if "." not in key.name and key.name not in composer.groups]
    launchers = (LAUNCHER, LAUNCHERS)
    lines = [
        "bisum: fine-tune and compare bilingual abstractive summarizers",
        "",
        "bisum [COMMAND] [RUN or FILE ...] [group=option ...] [key=value ...] [options]",
        "",
        "Commands (default: train; details: bisum COMMAND --help)",
        *_format_columns((name, command.summary) for name, command in COMMANDS.items()),
        "",
        "Groups and their options (details: bisum --help GROUP)",
        *_format_columns((name, ", ".join(options)) for name, options in [*composer.groups.items(), launchers]),
        "",
        "Other keys (details: bisum --help KEY)",
        *_format_columns((key.name, key.line) for key in keys),
        "",
        "Examples",
        *(line for command, about in EXAMPLES.items() for line in (f"  {command}", f"      {about}")),
        "",
        "Options",
        *_format_columns([*((_format_option(option), option.about) for option in OPTIONS), ("-- TEXT ...", TEXTS)]),
        "",
        *_wrap(
            "Classes from your own packages need allow_targets=[PACKAGE]. Exit codes: 0 success, 1 failure, 2 bad "
            "input, 129, 130 or 143 interrupted, 141 output pipe closed."
        ),
    ]
    return "\n".join(lines)


def command_help(name: str, composer: Composer, overrides: Sequence[str]) -> str:
    """Return help on a command: its purpose, the keys that `train` lacks, its groups and an example."""
    _, example = opening(conf_directory() / f"{name}.yaml")
    common = SCHEMAS["train"].__annotations__
    own = [key for key in composed_keys(composer, overrides) if key.name.partition(".")[0] not in common]
    command = COMMANDS[name]
    lines = [*_wrap(f"bisum {name}: {command.summary}"), "", *_wrap(f"bisum {name} {command.synopsis}"), ""]
    if own:
        lines += ["Keys of this command", *_format_keys(own), ""]
    lines += [
        "Groups (details: bisum --help GROUP)",
        *_format_columns((g, ", ".join(o)) for g, o in composer.groups.items()),
    ]
    lines += ["", "Examples", f"  {example}", ""]
    lines += ["Keys shared by all commands: bisum --help; details of one: bisum --help KEY"]
    return "\n".join(lines)


def plain_command_help(name: str) -> str:
    """Return help on a command that composes nothing: its purpose, settings and an example."""
    _, example = opening(conf_directory() / f"{name}.yaml")
    command = COMMANDS[name]
    lines = [*_wrap(f"bisum {name}: {command.summary}"), "", *_wrap(f"bisum {name} {command.synopsis}"), ""]
    lines += ["Settings", *_format_keys(keys_of(PLAIN_SCHEMAS[name], defaults_of(name))), ""]
    lines += ["Examples", f"  {example}"]
    return "\n".join(lines)


def topic_help(topic: str, composer: Composer, overrides: Sequence[str]) -> str:
    """Return help on a group, an option (`model=tiny` or `tiny`) or a key, with its options and keys.

    Raises:
        UserError: the group, option or key does not exist.
    """
    if topic == LAUNCHER or topic.startswith("hydra.launcher"):
        return launcher_help()
    if topic.partition(".")[0] == "search" and "hparams_search=optuna" not in overrides:
        overrides = [*overrides, "hparams_search=optuna"]
    keys = composed_keys(composer, overrides)
    below = [key for key in keys if key.name == topic or key.name.startswith(f"{topic}.")]
    options = composer.groups.get(topic, [])
    if not below and not options and (groups := [name for name, found in composer.groups.items() if topic in found]):
        arguments = [f"{name}=[{topic}]" if name in LIST_GROUPS else f"{name}={topic}" for name in groups]
        return "\n\n".join(
            topic_help(group, composer, [argument]) for group, argument in zip(groups, arguments, strict=True)
        )
    if not below and not options and (owner := _owner(topic, composer)):
        return topic_help(topic, composer, [*overrides, owner])
    if not below and not options:
        known = [*composer.groups, *(key.name for key in keys), *chain.from_iterable(composer.groups.values())]
        top = [*composer.groups, *dict.fromkeys(key.name.partition(".")[0] for key in keys)]
        raise UserError(
            f"no such command, group, option or key '{topic}'{nearest(topic, known)} "
            f"(valid: {', '.join(dict.fromkeys(top))})"
        )
    head = next((key.line for key in below if key.name == topic), "")
    lines = _wrap(f"{topic}: {head}") if head else [topic]
    chosen = _chosen_options(topic, options, overrides)
    if chosen:
        lines = []
        for option in chosen:
            about, command = opening(composer.file(topic, option))
            lines += [*_wrap(f"{topic}={option}: {about}"), f"  {command}"]
        if not below:  # an experiment has no keys of its own
            usual = {key.name: key.value for key in composed_keys(composer, [])}
            below = [key for key in keys if not key.is_node and usual.get(key.name, ...) != key.value]
    elif options:
        lines += [
            "",
            "Options",
            *_format_columns((option, opening(composer.file(topic, option))[0]) for option in options),
        ]
        commands = [command for option in options if (command := opening(composer.file(topic, option))[1])]
        lines += ["", "Examples", *(f"  {command}" for command in commands)]
    described = [key for key in below if key.name != topic or not key.is_node]
    if [key.name for key in described] == [topic] and not options:
        lines += ["", *_format_value(described[0])]
    elif described:
        lines += ["", "Keys and their current values", *_format_keys(described)]
    return "\n".join(lines)


def launcher_help() -> str:
    """Return help on the launchers of a sweep's jobs."""
    about = [(option, *opening(launcher_file(option))) for option in LAUNCHERS]
    rows = [(option, line) for option, line, _ in about]
    lines = [f"{LAUNCHER}: Runs the jobs of a sweep.", "", "Options", *_format_columns(rows)]
    lines += ["", "Examples", *(f"  {command}" for _, _, command in about)]
    return "\n".join([*lines, "", "Keys of slurm", *_format_keys(launcher_keys())])


def _chosen_options(group: str, options: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the chosen options of a group."""
    values = [argument.partition("=")[2] for argument in overrides if argument.lstrip("+").partition("=")[0] == group]
    return [option for value in values[-1:] for option in value.strip("[]").split(",") if option in options]


def _owner(topic: str, composer: Composer) -> str | None:
    """Return the choice of an option that has a key which the default option of its group lacks."""
    group, *key = topic.split(".")
    if key and group in LIST_GROUPS:
        return f"{group}=[{key[0]}]" if key[0] in composer.groups[group] else None
    return next((f"{group}={option}" for option in options_with(group, key[0])), None) if key else None


def _format_option(option: Option) -> str:
    """Return an option as typed by a user, with its value."""
    name = option.short if option.short in ("-m", "-sc") else option.name
    return " ".join(filter(None, [name, option.value]))


def _format_keys(keys: Iterable[Key]) -> list[str]:
    """Return lines for each key: its value and type, then its effect."""
    lines = []
    for key in keys:
        if not key.is_node:
            lines += [*_format_value(key), *_wrap(key.line, "      ")]
    return lines


def _format_value(key: Key) -> list[str]:
    expected = f"  ({key.expected})" if key.expected else ""
    return _wrap(f"{key.name}={key.shown}{expected}", "  ", "      ")


def _format_columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0) + 2
    return [line for name, text in rows for line in _wrap(text, f"  {name:<{width}}", " " * (width + 2))]


def _wrap(text: str, first: str = "", rest: str | None = None) -> list[str]:
    width = max(40, min(shutil.get_terminal_size().columns, 120))
    rest = first if rest is None else rest
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    ) or ([first.rstrip()] if first.strip() else [])

"""The text of `--help`, for all of bisum or for a command, group, option or key."""

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
from bisum.interfaces.defaults import conf_directory, defaults_of

EXAMPLES = {
    "bisum": "fine-tune the starter, bisum's own small model, on the embedded sample",
    'bisum summarize -- "A text."': "summarize a text with the starter, or with a model or run that you name",
    "bisum baseline split=test evaluation.lead=1": "score the first sentence of each document",
    "bisum trainer=seq2seq_trainer trainer.epochs=5 seed=1": "use the other backend, more epochs and another seed",
    "bisum corpus=marc corpus.path=DIR filter=[books,long_titles] model=mt5_small": "fine-tune mT5 on your own corpus",
    "bisum compare outputs": "rank your runs, and test whether they really differ",
    "bisum -m trainer.learning_rate=1e-3,3e-3 seed=1,2,3": "sweep: train with every combination",
    "bisum hparams_search=optuna search.trials=20": "search: let Optuna choose the settings of each training",
}


TEXTS = "texts for bisum summarize, as they are"


def help_on(line: CommandLine, composer: Composer) -> str:
    """Return help on the arguments of a command line, or the overview if there are none."""
    arguments = [argument for argument in line.arguments if not argument.startswith("~")]
    chosen = [name for argument in arguments if (name := argument.partition("=")[0].lstrip("+")) in composer.groups]
    if topics := [*line.topics, *chosen]:
        return "\n\n".join(of_topic(topic, composer, arguments) for topic in dict.fromkeys(topics))
    if line.named is not None:
        return of_command(line.named, composer, arguments)
    return overview(composer)


def overview(composer: Composer) -> str:
    """Return the overview: commands, groups with their options, keys, and command lines to copy."""
    keys = [key for key in composed_keys(composer, []) if "." not in key.name and key.name not in composer.groups]
    lines = [
        "bisum: fine-tune and compare bilingual abstractive summarizers",
        "",
        "bisum [COMMAND] [RUN or FILE ...] [group=option ...] [key=value ...] [options]",
        "",
        "Commands (train, if none is given; bisum COMMAND --help has details)",
        *_columns((name, command.summary) for name, command in COMMANDS.items()),
        "",
        "Groups and their options (bisum --help GROUP has details)",
        *_columns((name, ", ".join(options)) for name, options in composer.groups.items()),
        "",
        "Keys beside the groups' own (bisum --help KEY has details)",
        *_columns((key.name, key.line) for key in keys),
        "",
        "Worth copying",
        *(line for command, about in EXAMPLES.items() for line in (f"  {command}", f"      {about}")),
        "",
        "Options",
        *_columns([*((_spelled(option), option.about) for option in OPTIONS), ("-- TEXT ...", TEXTS)]),
        "",
        *_wrapped(
            "A class of your own needs allow_targets=[PACKAGE]. Exit codes: 0 done, 1 failed, 2 bad input, 129, 130 or "
            "143 interrupted, 141 nobody reads the output."
        ),
    ]
    return "\n".join(lines)


def of_command(name: str, composer: Composer, overrides: Sequence[str]) -> str:
    """Return help on a command: what it does, the keys that `train` lacks, and a command line to copy."""
    _, example = opening(conf_directory() / f"{name}.yaml")
    common = SCHEMAS["train"].__annotations__
    own = [key for key in composed_keys(composer, overrides) if key.name.partition(".")[0] not in common]
    command = COMMANDS[name]
    lines = [*_wrapped(f"bisum {name}: {command.summary}"), "", *_wrapped(f"bisum {name} {command.synopsis}"), ""]
    if own:
        lines += ["Its own keys", *_described(own), ""]
    lines += [
        "Groups (bisum --help GROUP has details)",
        *_columns((g, ", ".join(o)) for g, o in composer.groups.items()),
    ]
    lines += ["", "Worth copying", f"  {example}", ""]
    lines += ["bisum --help lists the keys that all commands share; bisum --help KEY explains one."]
    return "\n".join(lines)


def of_plain_command(name: str) -> str:
    """Return help on a command that composes nothing: what it does, its settings, and a command line to copy."""
    _, example = opening(conf_directory() / f"{name}.yaml")
    command = COMMANDS[name]
    lines = [*_wrapped(f"bisum {name}: {command.summary}"), "", *_wrapped(f"bisum {name} {command.synopsis}"), ""]
    lines += ["Its settings", *_described(keys_of(PLAIN_SCHEMAS[name], defaults_of(name))), ""]
    lines += ["Worth copying", f"  {example}"]
    return "\n".join(lines)


def of_topic(topic: str, composer: Composer, overrides: Sequence[str]) -> str:
    """Return help on a group, an option (`model=tiny` or `tiny`) or a key, with its options and keys.

    Raises:
        UserError: the group, option or key does not exist.
    """
    if topic == LAUNCHER or topic.startswith("hydra.launcher"):
        return of_launcher()
    if topic.partition(".")[0] == "search" and "hparams_search=optuna" not in overrides:
        overrides = [*overrides, "hparams_search=optuna"]
    keys = composed_keys(composer, overrides)
    below = [key for key in keys if key.name == topic or key.name.startswith(f"{topic}.")]
    options = composer.groups.get(topic, [])
    if not below and not options and (homes := [name for name, found in composer.groups.items() if topic in found]):
        arguments = [f"{name}=[{topic}]" if name in LIST_GROUPS else f"{name}={topic}" for name in homes]
        return "\n\n".join(
            of_topic(home, composer, [argument]) for home, argument in zip(homes, arguments, strict=True)
        )
    if not below and not options:
        known = [*composer.groups, *(key.name for key in keys), *chain.from_iterable(composer.groups.values())]
        top = [*composer.groups, *dict.fromkeys(key.name.partition(".")[0] for key in keys)]
        raise UserError(
            f"no command, group, option or key '{topic}'{nearest(topic, known)} "
            f"(valid: {', '.join(dict.fromkeys(top))})"
        )
    head = next((key.line for key in below if key.name == topic), "")
    lines = _wrapped(f"{topic}: {head}") if head else [topic]
    chosen = _chosen(topic, options, overrides)
    if chosen:
        lines = []
        for option in chosen:
            about, command = opening(composer.file(topic, option))
            lines += [*_wrapped(f"{topic}={option}: {about}"), f"  {command}"]
        if not below:  # of an experiment, which has no keys of its own
            usual = {key.name: key.value for key in composed_keys(composer, [])}
            below = [key for key in keys if not key.is_node and usual.get(key.name, ...) != key.value]
    elif options:
        lines += ["", "Options", *_columns((option, opening(composer.file(topic, option))[0]) for option in options)]
        commands = [command for option in options if (command := opening(composer.file(topic, option))[1])]
        lines += ["", "Worth copying", *(f"  {command}" for command in commands)]
    described = [key for key in below if key.name != topic or not key.is_node]
    if described:
        lines += ["", "Keys, as they are now", *_described(described)]
    return "\n".join(lines)


def of_launcher() -> str:
    """Return help on what runs the jobs of a sweep."""
    about = [(option, *opening(launcher_file(option))) for option in LAUNCHERS]
    rows = [(option, line) for option, line, _ in about]
    lines = [f"{LAUNCHER}: What runs the jobs of a sweep.", "", "Options", *_columns(rows)]
    lines += ["", "Worth copying", *(f"  {command}" for _, _, command in about)]
    return "\n".join([*lines, "", "Keys of slurm", *_described(launcher_keys())])


def _chosen(group: str, options: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return the options of a group that the arguments choose."""
    values = [argument.partition("=")[2] for argument in overrides if argument.lstrip("+").partition("=")[0] == group]
    return [option for value in values[-1:] for option in value.strip("[]").split(",") if option in options]


def _spelled(option: Option) -> str:
    """Return an option as a user types it, with its value."""
    name = option.short if option.short in ("-m", "-sc") else option.name
    return " ".join(filter(None, [name, option.value]))


def _described(keys: Iterable[Key]) -> list[str]:
    """Return two or more lines for each key: its value and type, and what it changes."""
    lines = []
    for key in keys:
        if not key.is_node:
            expected = f"  ({key.expected})" if key.expected else ""
            lines += _wrapped(f"{key.name}={key.shown}{expected}", "  ", "      ")
            lines += _wrapped(key.line, "      ")
    return lines


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0) + 2
    return [line for name, text in rows for line in _wrapped(text, f"  {name:<{width}}", " " * (width + 2))]


def _wrapped(text: str, first: str = "", rest: str | None = None) -> list[str]:
    width = max(40, min(shutil.get_terminal_size().columns, 120))
    rest = first if rest is None else rest
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    ) or ([first.rstrip()] if first.strip() else [])

"""The protocol of each shell: completion script, command line and candidates."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bisum.errors import one_line
from bisum.printing import clean

SCRIPTS = {
    "bash": """\
_bisum() {
    local IFS=$'\\n' line="${COMP_LINE:0:COMP_POINT}"
    COMPREPLY=()
    [[ $line == *bisum\\ * ]] || return
    COMPREPLY=($(COMP_LINE="$line" COMP_BREAKS="$COMP_WORDBREAKS" PROGRAM -sc query=bash 2>/dev/null))
}
complete -o nospace -o bashdefault -o default -F _bisum NAMES
""",
    "zsh": """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
_bisum() {
    local line word open=() closed=()
    [[ "$words" == *bisum\\ * ]] || { _default; return }
    for line in "${(@f)$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" PROGRAM -sc query=zsh 2>/dev/null)}"; do
        word=${line%%$'\t'*}
        case $word in
            "") ;;
            *[=./,]|*\\[[^]]#) open+=("${word//:/\\:}:${line#*$'\t'}") ;;
            *) closed+=("${word//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    _describe -V bisum closed -- open -S ''
}
compdef _bisum NAMES
""",
    "fish": """\
function __bisum
    COMP_LINE=(commandline -cp) PROGRAM -sc query=fish 2>/dev/null
end
for name in NAMES
    complete -c $name -n 'string match -q "*bisum*" (commandline -p)' -f -a '(__bisum)'
end
""",
}
"""Scripts that the shells evaluate; PROGRAM lists the candidates, NAMES are the programs to complete."""


@dataclass(frozen=True)
class Candidate:
    """A completion of the word at the cursor."""

    word: str
    about: str = ""


def script_for(shell: str) -> str:
    """Return the script that makes `shell` complete this program under the name it was called by."""
    script = Path(sys.argv[0])
    if script.name == "bisum":
        program, names = [str(script.resolve())], ["bisum"]
    else:
        program, names = [sys.executable, "-m", "bisum"], ["bisum", "python", "python3"]
    return SCRIPTS[shell].replace("PROGRAM", shlex.join(program)).replace("NAMES", " ".join(names))


def split_line(line: str) -> tuple[list[str], str, str]:
    """Return the words between the program's name and the cursor, the word at the cursor, and an open quote, if any."""
    for quote in ("", "'", '"'):
        try:
            words = shlex.split(line + quote)
        except ValueError:
            continue
        break
    else:
        words = line.split()
    if not line or (line[-1].isspace() and not quote):
        words.append("")
    program = next((index for index, word in enumerate(words) if Path(word).name == "bisum"), 0)
    return words[program + 1 : -1], words[-1], quote


def candidates_for(shell: str, found: Iterable[Candidate], current: str, quote: str) -> Iterator[str]:
    """Yield the candidates in the format of a shell's script."""
    matching = [candidate for candidate in found if candidate.word.startswith(current)]
    for word, about in ((candidate.word, one_line(candidate.about)) for candidate in matching):
        if word != clean(word).replace("\n", "").encode(errors="ignore").decode():
            continue  # a file name that does not fit on one line
        if shell == "bash":
            is_open = word.endswith(("=", ".", "/", ",")) or ("[" in word and not word.endswith("]"))
            yield _after_last_break(word, current, quote) + ("" if is_open else " ")
        else:
            yield f"{word}\t{about}"


def _after_last_break(word: str, current: str, quote: str) -> str:
    """Return the part that bash replaces: its words begin after the last character of COMP_WORDBREAKS."""
    if quote:
        return word
    breaks = [index + 1 for index, char in enumerate(current) if char in os.environ.get("COMP_BREAKS", "=:")]
    rest = word[breaks[-1] if breaks else 0 :]
    return re.sub(r"([\s'\"\\$&;|<>()`!*?])", r"\\\1", rest)

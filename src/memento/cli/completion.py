"""`memento completion SHELL`: the script that a shell reads, and what it then asks: how the last word could go on.

Knows: the scripts of shells, how their questions are printed. May not know: what is answered, stores.

The script calls `memento completion SHELL -- ...` again: bash with the line up to the cursor, the others with words.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

from memento.cli.exit_codes import UsageError

BASH = r"""
_memento() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(MEMENTO_WORDBREAKS="$COMP_WORDBREAKS" "$1" completion bash -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _memento memento
"""
ZSH = r"""
#compdef memento
_memento() {
    local word
    local -a plain open told_plain told_open
    while IFS= read -r word; do
        if [[ ${word%%$'\t'*} == *= ]]; then
            open+=("${word%%$'\t'*}") told_open+=("${word//$'\t'/  -- }")
        else
            plain+=("${word%%$'\t'*}") told_plain+=("${word//$'\t'/  -- }")
        fi
    done < <("${(Q)words[1]}" completion zsh -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)
    if (( ${#plain} + ${#open} == 0 )); then
        _files
        return
    fi
    (( ${#plain} )) && compadd -l -d told_plain -a plain
    (( ${#open} )) && compadd -l -S '' -d told_open -a open
}
compdef _memento memento
"""
FISH = r"""
function __memento_words
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    test -z "$current"; and set current ""
    set -l found ($words[1] completion fish -- $words "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete --command memento --no-files --keep-order --arguments "(__memento_words)"
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
TO_DO = {
    "bash": 'add this line to ~/.bashrc:  eval "$(memento completion bash)"',
    "zsh": 'add this line to ~/.zshrc, after compinit:  eval "$(memento completion zsh)"',
    "fish": "call once:  memento completion fish > ~/.config/fish/completions/memento.fish",
}


def print_completion(shell: str, given: Sequence[str], group: Any) -> None:
    """Print a shell's script, or what it asks for."""
    if shell not in SCRIPTS:
        raise UsageError(f"there is no completion for {shell!r}: {', '.join(SCRIPTS)}.")
    if given:
        print_words(shell, given, group)
        return
    print(SCRIPTS[shell].strip())
    if sys.stdout.isatty():
        print(f"# {TO_DO[shell]}")


def print_words(shell: str, given: Sequence[str], group: Any) -> None:
    """Print how the last word could go on; nothing where that is not known."""
    from memento.cli.missing_word import complete
    from memento.cli.stored_words import stored_words

    try:
        found = complete(shell, given, group, stored_words)
    except Exception:  # in the middle of a line nobody wants to read of errors
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    sys.stdout.write("".join(f"{line}\n" for line in found))

"""The few errors that a user meets: what is wrong, with which value, and what to do."""

from collections.abc import Sequence


class VortexError(Exception):
    """A mistake or a condition that a user can mend; shown as text, never as a traceback."""


class ManifestError(VortexError):
    """One or more mistakes in a manifest or in the files that it names.

    Parameters
    ----------
    problems
        One sentence a mistake: where, which value, what to do.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__(f"{head} found:\n" + "\n".join(f"  - {p}" for p in self.problems))


class StudyError(VortexError):
    """A study that is absent, damaged, of another version, or held by another writer."""


class UnknownNameError(VortexError):
    """A gene, section, encoder, ... that is not there.

    Parameters
    ----------
    kind
        What was looked for: "gene", "section".
    name
        The name that was asked for.
    known
        The names that exist; the nearest are suggested.
    """

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        from difflib import get_close_matches

        self.kind, self.name = kind, name
        folded = {k.casefold(): k for k in known}
        near = [folded[m] for m in get_close_matches(name.casefold(), list(folded), n=3)]
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        elif known:
            shown = ", ".join(known[:8])
            hint = f"There are {len(known)}: {shown}{', ...' if len(known) > 8 else ''}."
        else:
            hint = "There are none."
        super().__init__(f"No {kind} is named {name!r}. {hint}")


class Cancelled(VortexError):  # noqa: N818 - it is no error of anybody's
    """Raised from a progress report when the job was cancelled."""

    def __init__(self) -> None:
        super().__init__("Cancelled. What was finished is kept; start again to go on from there.")

"""Messages about the memory, the disk space and the time that a run takes."""

from __future__ import annotations

from bisum.display.screen import Screen


def narrate_memory(
    screen: Screen, needed: dict[str, int], available: int | None, device: str | None, advice: str
) -> None:
    """Show the memory that training needs, by what it is for, or warn with advice if less is available.

    `device` is the name of a GPU whose memory it is; None: the machine's.
    """
    total = sum(needed.values())
    parts = ", ".join(f"{name} {in_gib(size)}" for name, size in needed.items() if in_gib(size) != "0.0 GiB")
    place = "" if device is None else f" on {device}"
    line = f"memory: training needs about {in_gib(total)}{place} ({parts})"
    if available is None:
        screen.print(line)
    elif total <= available:
        screen.print(f"{line}; {in_gib(available)} is available")
    else:
        screen.warn(f"{line}, but only {in_gib(available)} is available; {advice}")


def narrate_download(
    screen: Screen, model: str, parameters: int, memory: tuple[int, int | None], available: int | None, shape: str
) -> None:
    """Show the memory that training a model needs beside what the process uses, before its weights are downloaded.

    `memory` is what it needs in any case, and with the largest batches that the limits allow, of a `shape`; None if
    that is unknown.
    """
    fixed, most = memory
    up_to = f", and up to {in_gib(most)} in all with batches of {shape}" if most is not None else ""
    has = "" if available is None else f"; {in_gib(available)} is available"
    needs = f"{in_gib(fixed)} of memory for weights, gradients and the optimizer{up_to}"
    line = f"{model} is not downloaded yet: its {parameters / 1e6:,.0f} M parameters need about {needs}{has}"
    if available is not None and max(fixed, most or 0) > available:
        screen.warn(line)
    else:
        screen.note(line)


def narrate_disk(screen: Screen, what: str, needed: int, free: int, place: str) -> None:
    """Warn if a disk has less space than something will need; `what` ends in the verb."""
    if needed > free:
        screen.warn(f"disk: {what} about {with_unit(needed)}, but only {with_unit(free)} is free in '{place}'")


def narrate_used(screen: Screen, estimated: int | None, used: int) -> None:
    """Show the memory that a run used, beside its estimate."""
    before = "" if estimated is None else f"estimated {in_gib(estimated)}, "
    screen.lines(f"memory         {before}used {in_gib(used)}", kind="detail")


def in_gib(size: float) -> str:
    """Return a size in bytes as text, such as 1.5 GiB or 1,286 GiB."""
    gib = size / 2**30
    return f"{gib:,.{0 if gib >= 100 else 1}f} GiB"


def with_unit(size: float) -> str:
    """Return a number of bytes with a readable decimal unit."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:  # three digits of more would be 1e+03
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"

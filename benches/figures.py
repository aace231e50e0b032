"""The figures as they are kept, compared and shown."""

import datetime
import json
import os

import stores

KEPT = stores.ROOT / "benches/figures.json"


def version():
    """Of the checkout, and whether it is a release: the changelog says so before the tag does."""
    cargo = (stores.ROOT / "Cargo.toml").read_text()
    number = next(line.split('"')[1] for line in cargo.splitlines() if line.startswith("version = "))
    released = f"\n## [{number}]" in (stores.ROOT / "CHANGELOG.md").read_text()
    return number if released else f"{number} (unreleased)"


def load():
    """How many processes want a processor, over the last minute."""
    return round(os.getloadavg()[0], 1)


def kept():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def save(name, rounds, load_before, figures):
    """Keeps the figures of `run` or `ways`, each row on a line of its own: a difference can be read."""
    part = {"version": version(), "date": datetime.date.today().isoformat(), "machine": stores.machine()}
    parts = kept() | {name: part | {"load": load_before, "rounds": rounds, "figures": figures}}
    blocks = []
    for name, part in parts.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in part.items() if key != "figures"]
        rows = [f"   {json.dumps(key)}: {json.dumps(row)}" for key, row in part["figures"].items()]
        lines.append('  "figures": {\n' + ",\n".join(rows) + "\n  }")
        blocks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    KEPT.write_text("{\n" + ",\n".join(blocks) + "\n}\n")
    print(f"\nKept as the figures of {part['version']}.")


def against(name):
    """The kept figures, and what is to be said about comparing with them."""
    part = kept().get(name)
    if not part:
        return {}, "There are no kept figures to compare with."
    said = f"In brackets: {part['version']}, of {part['date']} at a load of {part['load']}, and the change since then."
    if part["machine"] != stores.machine():
        was, now = (", ".join(map(str, machine.values())) for machine in (part["machine"], stores.machine()))
        said += f"\nThe machines differ (then {was}; now {now}): times do not compare; memory, calls, round trips and sizes do."
    return part["figures"], said


def time_of(milliseconds):
    if milliseconds < 99.5:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 995 else f"{milliseconds / 1000:.2f} s"


def memory_of(mib):
    return f"{mib:.1f} MiB"


def size_of(bytes):
    return f"{bytes / 1e6:.2f} MB"


# Key: heading, how it is shown, and whether a change is shown as a part of it.
COLUMNS = {
    "wall": ("wall, median", time_of, True),
    "least": ("wall, least", time_of, True),
    "cpu": ("CPU", time_of, True),
    "peak": ("peak memory", memory_of, True),
    "calls": ("calls", str, False),
    "trips": ("round trips", lambda trips: f"{trips:.1f}", False),
    "size": ("size", size_of, True),
}


def cell(key, row, old):
    """A figure, and what it was."""
    _, show, relative = COLUMNS[key]
    if key not in row:
        return "–"
    if key not in old:
        return show(row[key])
    change = (row[key] / old[key] - 1) * 100 if relative and old[key] else row[key] - old[key]
    change = f"{change:+.0f} %" if relative else f"{change:+g}"[:5]
    return f"{show(row[key])} ({show(old[key])}, {'same' if float(change.split()[0]) == 0 else change})"


def head(load_before, rounds, said):
    """What stands above the table."""
    machine = ", ".join(map(str, stores.machine().values()))
    print(f"{version()} on {machine}; load {load_before} before and {load()} after; {rounds} rounds.\n{said}\n")


def table(figures, old, heading="store", columns=tuple(COLUMNS)):
    """One table; in a terminal its columns stand under each other."""
    lines = [["what", heading, *(COLUMNS[key][0] for key in columns)]]
    for name, row in figures.items():
        what, _, where = name.partition(" | ")
        lines.append([what, where or "–", *(cell(key, row, old.get(name, {})) for key in columns)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |")

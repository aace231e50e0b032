"""The tables of README.md, made of the kept figures."""

from figures import memory_of, size_of, time_of

STORES = ["local", "AWS", "Google", "Azure"]
LOGINS = ["AWS", "Google", "Google, as a service account", "Azure"]


def print_table(*lines):
    for number, line in enumerate(lines):
        print("| " + " | ".join(line) + " |")
        if number == 0:
            print("|" + "---|" * len(line))
    print()


def show(parts):
    if "run" in parts:
        show_run(parts["run"])
    if "ways" in parts:
        show_ways(parts["ways"])


def origin(part, what):
    machine = part["machine"]
    return (
        f"{what} (version {part['version']}, {part['date']}, {machine['cores']} cores of {machine['cpu']}, load {part['load']} "
        f"before; median of {part['rounds']} rounds"
    )


def show_run(part):
    figures = part["figures"]

    def cell(what, store):
        row = figures[f"{what} | {store}"]
        return f"{time_of(row['wall'])}, {memory_of(row['peak'])}"

    def counts(what, store):
        row = figures[f"{what} | {store}"]
        return f"{row['calls']:,} in {row['trips']:.1f}"

    modes = [name.split(" | ")[0] for name in figures if name.endswith(" | Azure") and "token" not in name]
    print(f"{origin(part, 'Measured with `benches/run`')}, fewer of what takes long):\n")
    print_table(
        ["wall time, peak memory", "`local`", "AWS", "Google", "Azure (with TLS and a login)"],
        *([mode, *(cell(mode, store) for store in STORES)] for mode in modes),
    )
    rows = []
    for count in ("1,000", "10,000", "100,000"):
        names = [f"push of {count} new variables", f"pull of {count} variables", f"sync of {count} variables, all changed"]
        rows.append([f"{count} variables", *(cell(name, "local") for name in names)])
    print_table(["document with the `local` store", "push, all new", "pull", "sync, every variable changed on one side"], *rows)
    parsed, printed = (next(row for name, row in figures.items() if name.startswith(start)) for start in ("parse", "print"))
    static, packed = (size_of(figures[f"binary, {kind}"]["size"]) for kind in ("static", "packed"))
    print(f"The binary has {static}, and {packed} packed. A `.env` of {parsed['size'] / 1e6:.0f} MB is read in")
    print(f"{time_of(parsed['wall'])} and printed in {time_of(printed['wall'])}, with {memory_of(parsed['peak'])} at the most.\n")
    print("Calls, and round trips of the whole run:\n")
    print_table(["calls in round trips", *STORES[1:]], *([mode, *(counts(mode, store) for store in STORES[1:])] for mode in modes))
    jobs = {job: f"pull with the token of a {job} job" for job in ("GitHub", "GitLab")}
    print_table(["pull with its login", *jobs], *([store, *(counts(what, store) for what in jobs.values())] for store in LOGINS))


def show_ways(part):
    figures = part["figures"]
    print(f"{origin(part, 'Measured with `benches/ways`')}):\n")
    print_table(
        ["", "container action", "binary"],
        *([what, *(size_of(row[way]) if row[way] > 1e5 else time_of(row[way]) for way in ("container", "binary"))] for what, row in figures.items()),
    )

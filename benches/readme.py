"""The figures of README.md, between its marks, made of the kept ones."""

import textwrap

import stores
from figures import memory_of, size_of, time_of

STORES = ["local", "AWS", "Google", "Azure"]


def write(parts):
    file = stores.ROOT / "README.md"
    text = file.read_text()
    for mark, name, lines_of in (("figures", "run", lines_of_run), ("ways", "ways", lines_of_ways)):
        if name in parts:
            head, rest = text.split(f"<!-- {mark} -->\n", 1)
            tail = rest.split(f"<!-- /{mark} -->", 1)[1]
            text = f"{head}<!-- {mark} -->\n" + "\n".join(lines_of(parts[name])) + f"\n<!-- /{mark} -->{tail}"
    file.write_text(text)
    print("The figures of README.md are the kept ones.")


def table_of(*lines):
    head, *rest = ("| " + " | ".join(line) + " |" for line in lines)
    return [head, "|" + "---|" * len(lines[0]), *rest, ""]


def sentence(text):
    return [*textwrap.wrap(text, 124, break_long_words=False, break_on_hyphens=False), ""]


def origin(part, how):
    machine = part["machine"]
    return (
        f"Measured with {how} for {part['version']} on {part['date']}: {machine['cores']} cores of {machine['cpu']} with a load of "
        f"{part['load']} before it began, servers on the same machine, median of {part['rounds']} runs"
    )


def lines_of_run(part):
    figures = part["figures"]

    def costs(what, store):
        row = figures[f"{what} | {store}"]
        return f"{time_of(row['wall'])}, {memory_of(row['peak'])}"

    def counts(what, store):
        row = figures[f"{what} | {store}"]
        return f"{row['calls']:,} in {row['trips']:.1f}"

    modes = [name.split(" | ")[0] for name in figures if name.endswith(" | Azure") and "token" not in name]
    lines = sentence(f"{origin(part, '`benches/run`')}, fewer of what takes long. Wall time and peak memory:")
    lines += table_of(
        ["", "`local`", "AWS", "Google", "Azure (with TLS and a login)"],
        *([mode, *(costs(mode, store) for store in STORES)] for mode in modes),
    )
    rows = []
    for count in ("1,000", "10,000", "100,000"):
        names = [f"push of {count} new variables", f"pull of {count} variables", f"sync of {count} variables, all changed"]
        rows.append([f"{count} variables", *(costs(name, "local") for name in names)])
    lines += table_of(["document with the `local` store", "push", "pull", "sync, every variable changed on one side"], *rows)
    parsed, printed = (next(row for name, row in figures.items() if name.startswith(start)) for start in ("parse", "print"))
    static, packed = (size_of(figures[f"binary, {kind}"]["size"]) for kind in ("static", "packed"))
    lines += sentence(
        f"The binary has {static}, and {packed} packed. A `.env` of {parsed['size'] / 1e6:.0f} MB is read in {time_of(parsed['wall'])} and "
        f"printed in {time_of(printed['wall'])}, with {memory_of(parsed['peak'])} for both."
    )
    lines += sentence(
        "Calls, and round trips of the whole run, the connections (TCP and TLS 1.3) included, measured with 60 ms each by "
        "`benches/round-trips` under the clouds' own names:"
    )
    clouds = STORES[1:]
    lines += table_of(["calls in round trips", *clouds], *([mode, *(counts(mode, store) for store in clouds)] for mode in modes))
    jobs = {"GitHub, by OIDC": "GitHub", "GitLab, by an ID token": "GitLab"}
    lines += table_of(
        ["pull with its login", *jobs],
        *(
            [store.name, *(counts(f"pull with the token of a {job} job", store.name) for job in jobs.values())]
            for store in stores.LOGINS["GitHub"]
        ),
    )
    return lines[:-1]


def lines_of_ways(part):
    figures = part["figures"]
    ways = ("container action", "binary")
    names = list(dict.fromkeys(name.split(" | ")[0] for name in figures))

    def cell(name, way):
        row = figures[f"{name} | {way}"]
        return f"{time_of(row['wall'])} (least {time_of(row['least'])})" + (f", {size_of(row['size'])}" if "size" in row else "")

    lines = table_of(["", *ways], *([name, *(cell(name, way) for way in ways)] for name in names))
    return lines + sentence(f"{origin(part, '`benches/ways`')}.")[:-1]

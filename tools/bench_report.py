#!/usr/bin/env python3
# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
"""bench_report.py [--best] [--some] RESULTS DIRECTORY [DOCUMENT]

Reads what cohort-bench printed, prints one table of it with the targets, and draws
DIRECTORY/performance-ratios.svg and DIRECTORY/performance-scale.svg. With DOCUMENT, the table there
between the lines <!-- table --> and <!-- /table --> is replaced. --some: these are results of some
sections; the table keeps its other lines, those of this run are marked as later ones, and nothing
is drawn, since a drawing is of one run. Where the rounds are there
(--rounds), a ratio is the median of the rounds' ratios: what disturbs a machine for a while meets
both. --best takes the best round of each contestant instead of the median one: where other work on
the machine disturbs most of them."""
import math
import statistics
import sys
from collections import namedtuple

# Targets are "AGAINST OP LIMIT": Cohort's figure divided by the other's is at most or at least the
# limit. AGAINST is a peer of the same metric, the best of several ("a|b"), METRIC:PEER of another
# metric, or "=": the figure itself. "-" instead of a ratio: the difference.
Row = namedtuple("Row", "title metric floor targets")
QUEUES = "boost-message_queue|raw-pipe|raw-mutex+cond"


def rows():
    yield Row(
        "start and join a function, parent of 10 MB",
        "start.fn.10MB",
        "raw-vfork",
        ["raw-fork <= 0.5", "python-forkserver <= 0.04"],
    )
    yield Row(
        "the same, parent of 2 GiB and 50 threads",
        "start.fn.2GiB",
        "raw-vfork",
        ["start.fn.10MB.beside:cohort <= 1.2"],
    )
    yield Row(
        "run a program, parent of 10 MB",
        "start.program.10MB",
        "raw-vfork+exec",
        ["raw-posix_spawn <= 1.1"],
    )
    yield Row(
        "the same, parent of 2 GiB and 50 threads",
        "start.program.2GiB",
        "",
        ["raw-posix_spawn <= 1.1"],
    )
    yield Row("commands, 2 at a time", "commands.true.j2", "", ["raw-posix_spawn >= 0.95"])
    for size in ("1KiB", "10MiB"):
        yield Row(f"run a program and collect {size}", f"run.collect.{size}", "",
                  ["raw-posix_spawn <= 1.1"])
    yield Row("pipe, 1 B there and back, free", "pingpong.1B.free", "raw-spin", ["raw-spin <= 2"])
    yield Row("the same, on two CPUs", "pingpong.1B.split", "raw-spin", ["raw-spin <= 2"])
    yield Row("the same, on one CPU", "pingpong.1B.same", "raw-futex", ["raw-futex <= 1.5"])
    yield Row("pipe, 64 KiB there and back", "pingpong.64KiB.free", "raw-spin", ["raw-spin <= 1.3"])
    yield Row("pipe, 1 MiB one way", "oneway.1MiB.free", "raw-spin", ["raw-spin >= 0.8"])
    yield Row("receive 64 KiB without a copy", "receive.block.64KiB", "", [])
    for size in ("1MiB", "16MiB"):
        yield Row(
            "receive %s without a copy" % size,
            "receive.block." + size,
            "",
            ["receive.block.64KiB:cohort <= 1.5"],
        )
    for size in ("1MiB", "16MiB"):
        yield Row(
            "a block of %s through a queue" % size,
            "handover.block." + size,
            "",
            ["handover.block.64KiB:cohort <= 1.5"],
        )
    for crowd in ("1to1", "4to1", "1to4", "4to4"):
        yield Row(
            "queue, 64 B, %s" % crowd.replace("to", " to "),
            "queue.64B." + crowd,
            "raw-mpmc-spin",
            [
                QUEUES + " >= 4",
                "zmq-push-pull >= 3",
                "raw-mpmc-spin >= " + ("0.6" if crowd == "1to1" else "0.5"),
                "python-Queue >= 100",
            ],
        )
    for crowd in ("1to1", "4to1", "1to4", "4to4"):
        yield Row(
            "queue, 1 KiB, %s" % crowd.replace("to", " to "),
            "queue.1KiB." + crowd,
            "raw-mpmc-spin",
            [QUEUES + " >= 2.5", "raw-mpmc-spin >= 0.6"],
        )
    for crowd in ("1to1", "4to1", "1to4", "4to4"):
        yield Row(
            "queue, batches of 32 x 64 B, %s" % crowd.replace("to", " to "),
            "batch.64B." + crowd,
            "raw-mpmc-spin",
            ["raw-mpmc-spin >= 0.8"],
        )
    yield Row("lock, alone", "lock.uncontended", "raw-mutex", ["raw-mutex <= 1.5"])
    yield Row("lock, contended by 2", "lock.contended.2", "", ["raw-robust >= 0.9"])
    yield Row("lock, contended by 8", "lock.contended.8", "", ["raw-robust >= 0.9"])
    for n in ("1", "100", "10000"):
        yield Row(
            "one of %s events, wait set" % n, "waitset." + n, "raw-epoll", ["raw-epoll <= 2"]
        )
    yield Row("one of 100 events, flat call", "wait.100", "", [])
    yield Row("one of 10000 events, flat call", "wait.10000", "", ["wait.100:cohort <= 200"])
    yield Row("idle waits: CPU in 10 s", "wait.idle.cpu", "", ["= <= 2"])
    yield Row("hand a descriptor over", "gift.send", "", ["raw-scm_rights <= 1.5"])
    yield Row("barrier of 2", "barrier.2", "raw-spin", ["raw-spin <= 2"])
    yield Row(
        "the same, 10 ms after both were on one CPU",
        "barrier.2.parted",
        "",
        ["barrier.2:cohort <= 2"],
    )
    for parties in (4, 8, 64):
        yield Row(
            "barrier of %d" % parties, "barrier.%d" % parties, "raw-futex", ["raw-pthread <= 1.1"]
        )
    yield Row(
        "map of x*x, one by one",
        "pool.map.x*x.chunk1",
        "raw-fetch_add",
        ["openmp-dynamic,1 <= 1.5", "python-Pool <= 0.01"],
    )
    yield Row(
        "map of x*x, default chunks",
        "pool.map.x*x.default",
        "raw-fetch_add",
        ["= <= 2", "python-Pool <= 0.01"],
    )
    yield Row(
        "map of x*x, as a range task", "pool.map.x*x.range", "", ["openmp-static <= 1.2"]
    )
    yield Row("apply, pool awake", "pool.apply.hot", "raw-spin-worker", ["= <= 2"])
    yield Row(
        "apply, pool asleep", "pool.apply.idle", "raw-futex-worker", ["raw-futex-worker <= 1.1"]
    )
    for task in ("1us", "10us", "100us", "1ms", "10ms"):
        yield Row(
            "efficiency, tasks of " + task.replace("us", " us").replace("ms", " ms"),
            "pool.eff." + task,
            "raw-fetch_add",
            ["openmp-dynamic,1 - -0.03"],
        )
    yield Row(
        "the same, tasks of 1 us in ranges",
        "pool.eff.1us.range",
        "",
        ["openmp-dynamic,1 - -0.01"],
    )
    for size in ("1KiB", "64KiB"):
        yield Row(
            "map over an arena array of %s elements" % size,
            "pool.array." + size,
            "",
            ["pool.array.8B:cohort <= 1.5"],
        )
    yield Row(
        "map of 4 KiB to 4 KiB, each with a size of its own",
        "pool.data.4KiB.bytes",
        "",
        ["pool.data.4KiB.fixed:cohort <= 1.3"],
    )
    yield Row(
        "map of 100,000 items with a deadline",
        "pool.times.job",
        "",
        ["pool.times.none:cohort <= 1.02"],
    )
    yield Row("the same, and one for each item", "pool.times.items", "", [])
    yield Row(
        "map of tasks that may wait and run again, and need not",
        "pool.retry.none.delay",
        "",
        ["pool.retry.none:cohort <= 1.1"],
    )
    yield Row(
        "the same, where each fails once and waits for 1 ms",
        "pool.retry.once.delay",
        "",
        ["pool.retry.once:cohort <= 3"],
    )
    yield Row("a short job, 100 tasks of 10 us", "share.alone", "", [])
    yield Row(
        "the same, beside a long one of 1 ms tasks",
        "share.beside",
        "",
        ["share.alone:cohort <= 10", "python-Pool <= 0.05"],
    )
    yield Row(
        "imap of x*x, one by one",
        "imap.x*x",
        "",
        ["cohort-map <= 10", "python-imap <= 0.05"],
    )
    for task in ("1us", "10us"):
        yield Row(
            "efficiency of an imap, tasks of " + task.replace("us", " us"),
            "imap.eff." + task,
            "",
            ["cohort-map >= 0.9"],
        )
    for size in ("64B", "4KiB"):
        yield Row("allocate and free %s" % size, "alloc.%s.1" % size, "", ["malloc <= 2"])
        yield Row(
            "the same, 2 processes at once",
            "alloc.%s.2" % size,
            "",
            ["alloc.%s.1:cohort <= 0.588" % size],
        )
    yield Row("64 idle workers: CPU in 10 s", "pool.idle64.cpu", "", ["= <= 10"])
    yield Row("64 idle workers: private memory each", "pool.idle64.private", "", ["= <= 300"])
    yield Row("parallel_gzip, 2 processes", "commands.gzip", "", ["pigz >= 2"])
    yield Row("its compression", "commands.gzip.ratio", "", ["pigz >= 0.99"])


Figure = namedtuple("Figure", "value unit rounds")


def read(path, take_best):
    """{metric: {peer: Figure}}"""
    figures, rounds = {}, {}
    for line in open(path):
        words = line.split()
        if line.startswith("# rounds: ") and not take_best:
            rounds[words[2], words[3]] = [float(word) for word in words[4:]]
        elif len(words) == 7 and words[4].startswith("min=") and not line.startswith("#"):
            extreme = words[5] if words[3] in MORE else words[4]
            value = extreme.split("=")[1] if take_best else words[2]
            figures.setdefault(words[0], {})[words[1]] = Figure(
                float(value), words[3], rounds.get((words[0], words[1]), [])
            )
    return figures


def compare(mine, other, how=lambda a, b: a / b):
    if mine.rounds and len(mine.rounds) == len(other.rounds):
        return statistics.median(map(how, mine.rounds, other.rounds))
    return how(mine.value, other.value)


MORE = {"/s", "GB/s", "MB/s", "frac", "x"}  # units of which more is better


def show(value, unit):
    for limit, mark in ((1e6, " M"), (1e4, " k")):
        if unit == "/s" and value >= limit:
            return "%.3g%s/s" % (value / {" M": 1e6, " k": 1e3}[mark], mark)
    text = "%.3g" % value if value < 1000 else "%.0f" % value
    return text + {"/s": "/s", "frac": "", "x": " x"}.get(unit, " " + unit)


def best(peers, names):
    there = [(peers[name].value, name) for name in names if name in peers]
    return (max(there) if peers[there[0][1]].unit in MORE else min(there))[1] if there else None


def judge(target, row, figures):
    """(text, is it met?); None when what it is compared with is not there, or is no floor: a peer
    that spins needs a CPU for itself, and is slow without."""
    against, op, limit = target.split()
    peers = figures[row.metric]
    mine = peers["cohort"]
    limit = float(limit)
    if against == "=":
        return "at most %s" % show(limit, mine.unit), mine.value <= limit
    if ":" in against:
        metric, peer = against.split(":")
        other, name = figures.get(metric, {}).get(peer), metric if peer == "cohort" else against
    else:
        name = best(peers, against.split("|"))
        other, name = peers.get(name), "the best queue" if "|" in against else name
    if other is None:
        return "%s %s of %s" % (op, limit, against), None
    if op == "-":
        difference = compare(mine, other, lambda a, b: a - b)
        return "at least %s's %+.2f: %+.3f" % (name, limit, difference), difference >= limit
    ratio = compare(mine, other)
    if against == row.floor and (ratio > 2 if mine.unit in MORE else ratio < 0.5):
        return (
            "%s %gx %s: which was disturbed"
            % ({"<=": "at most", ">=": "at least"}[op], limit, name),
            None,
        )
    text = "%s %gx %s: %.3g" % ({"<=": "at most", ">=": "at least"}[op], limit, name, ratio)
    return text, ratio <= limit if op == "<=" else ratio >= limit


Line = namedtuple("Line", "row mine peer peer_name floor python targets met")


def lines(figures):
    for row in rows():
        peers = figures.get(row.metric, {})
        if "cohort" not in peers:
            continue
        peer = best(
            peers, [p for p in peers if not p.startswith(("cohort", "python")) and p != row.floor]
        )
        python = best(peers, [p for p in peers if p.startswith("python")])
        judged = [judge(target, row, figures) for target in row.targets]
        verdicts = [m for _, m in judged]
        met = False if False in verdicts else None if None in verdicts or not verdicts else True
        yield Line(
            row,
            peers["cohort"],
            peers.get(peer),
            peer,
            peers.get(row.floor),
            peers.get(python),
            [t for t, _ in judged],
            met,
        )


def table(found):
    text = [
        "| work | Cohort | best peer | to it | to Python | to the floor | target | met |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for line in found:
        ratio = lambda other: "" if other is None else "%.3g" % compare(line.mine, other)
        peer = (
            ""
            if line.peer is None
            else "%s (%s)" % (show(line.peer.value, line.peer.unit), line.peer_name)
        )
        met = {True: "yes", False: "**no**", None: "?" if line.row.targets else ""}[line.met]
        text.append(
            "| %s | %s | %s | %s | %s | %s | %s | %s |"
            % (
                line.row.title,
                show(line.mine.value, line.mine.unit),
                peer,
                ratio(line.peer),
                ratio(line.python),
                ratio(line.floor),
                "; ".join(line.targets),
                met,
            )
        )
    return "\n".join(text)


# ---- drawing -------------------------------------------------------------------------------------

STYLE = (
    "<style>text{font:12px sans-serif;fill:#222}"
    ".t{font-weight:bold;font-size:14px}.n{fill:#666;font-size:11px}"
    ".g{stroke:#ddd}.one{stroke:#888}.yes{fill:#3a7d44}.no{fill:#c46a2b}"
    ".none{fill:#7a8ba0}.l{fill:none;stroke:#3a5f8a;stroke-width:2}"
    ".d{fill:#3a5f8a}</style>"
)


def svg(width, height, parts):
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">%s'
        '<rect width="100%%" height="100%%" fill="#fff"/>' % (width, height, width, height, STYLE)
        + "\n".join(parts)
        + "</svg>\n"
    )


def text(x, y, words, kind="", anchor="start"):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return '<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>' % (
        x,
        y,
        kind,
        anchor,
        words,
    )


def speed(line, other):
    ratio = compare(line.mine, other)
    return ratio if line.mine.unit in MORE else 1 / ratio


def ratios(found):
    """One bar for each line: how many times as fast as the best peer; dots: the floor, Python."""
    shown = [line for line in found if line.peer is not None and line.mine.unit != "x"]
    left, right, top, step = 290, 830, 62, 19
    low, high = 0.05, 2000
    x = lambda v: left + (right - left) * (math.log(min(max(v, low), high)) - math.log(low)) / (
        math.log(high) - math.log(low)
    )
    height = top + step * len(shown) + 36
    parts = [
        text(20, 22, "How many times as fast as the best peer", "t"),
        text(
            20,
            40,
            "Bars: Cohort; green: all its targets are met. "
            "Diamonds: the bare floor, which gives no guarantee; circles: "
            "Python, both relative to that peer.",
            "n",
        ),
    ]
    for tick in (0.1, 1, 10, 100, 1000):
        parts.append(
            '<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" class="%s"/>'
            % (x(tick), x(tick), top - 6, height - 30, "one" if tick == 1 else "g")
        )
        parts.append(text(x(tick), height - 14, "%gx" % tick, "n", "middle"))
    for i, line in enumerate(shown):
        y, value = top + step * i, speed(line, line.peer)
        a, b = sorted((x(1), x(value)))
        parts.append(text(left - 8, y + 11, line.row.title, "", "end"))
        parts.append(
            '<rect x="%.1f" y="%d" width="%.1f" height="12" class="%s"/>'
            % (a, y + 1, max(b - a, 1), {True: "yes", False: "no", None: "none"}[line.met])
        )
        for other, draw in (
            (line.floor, '<path d="M%.1f %.1fl5 5l-5 5l-5-5z" fill="#fff" stroke="#222"/>'),
            (line.python, '<circle cx="%.1f" cy="%.1f" r="4" fill="#fff" stroke="#222"/>'),
        ):
            if other is not None:
                mark = speed(line, line.peer) / speed(line, other)
                parts.append(draw % (x(mark), y + (2 if "path" in draw else 7)))
        parts.append(text(right + 8, y + 11, "%.3gx  %s" % (value, line.peer_name), "n"))
    return svg(1010, height, parts)


def panel(left, top, title, unit, across, points):
    width, height = 330, 190
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low = 10 ** math.floor(math.log10(min(ys)))
    high = 10 ** math.ceil(math.log10(max(max(ys), low * 1.01)))
    x = (
        lambda v: left
        + 50
        + width * (math.log(v) - math.log(xs[0])) / (math.log(xs[-1]) - math.log(xs[0]))
    )
    y = (
        lambda v: top
        + 30
        + height * (1 - (math.log(v) - math.log(low)) / (math.log(high) - math.log(low)))
    )
    parts = [text(left + 50, top + 16, "%s, %s" % (title, unit), "t")]
    tick = low
    while tick <= high * 1.001:
        parts.append(
            '<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="g"/>'
            % (left + 50, left + 50 + width, y(tick), y(tick))
        )
        parts.append(text(left + 44, y(tick) + 4, "%g" % tick, "n", "end"))
        tick *= 10
    for v, value in points:
        parts.append('<circle cx="%.1f" cy="%.1f" r="3" class="d"/>' % (x(v), y(value)))
        parts.append(text(x(v), y(value) - 7, "%.3g" % value, "n", "middle"))
        parts.append(
            text(
                x(v),
                top + height + 46,
                "%g" % v if v < 1e4 else "1e%d" % round(math.log10(v)),
                "n",
                "middle",
            )
        )
    parts.append(
        '<path class="l" d="M%s"/>'
        % "L".join("%.1f %.1f" % (x(v), y(value)) for v, value in points)
    )
    parts.append(text(left + 50 + width / 2, top + height + 62, across, "n", "middle"))
    return parts


def scale(figures):
    panels = [
        ("start", "one more start", "us", "processes that live meanwhile"),
        ("message", "a message of 64 B", "ns", "producers, to one consumer"),
        (
            "waiting",
            "one more start, as others wait",
            "us",
            "processes that wait in Cohort meanwhile",
        ),
        ("task", "a task, one by one", "ns", "workers in the pool"),
        ("block", "one more block of 64 B and its end", "ns", "blocks in the arena"),
    ]
    parts = []
    for i, (name, title, unit, across) in enumerate(panels):
        prefix = "scale.%s." % name
        points = sorted(
            (int(m[len(prefix) :]), p["cohort"].value)
            for m, p in figures.items()
            if m.startswith(prefix)
        )
        if len(points) > 1:
            parts += panel(20 + i % 2 * 420, 12 + i // 2 * 280, title, unit, across, points)
    return svg(860, 850, parts) if parts else None


LATER = " (later)"


def keys(titles):
    """What a line with each of these titles is: "the same" is the same as the one before."""
    lead = ""
    for title in titles:
        lead = lead if title.startswith("the same") else title
        yield lead, title


def merge(old, found):
    """The lines of a table, with those of other rows from the old one."""
    kept = [line for line in old.splitlines()[2:] if line.startswith("| ")]
    titles = [line[2:].split(" |")[0].removesuffix(LATER) for line in kept]
    merged = dict(zip(keys(titles), kept))
    key_of = dict(zip((row.metric for row in rows()), keys(row.title for row in rows())))
    head, rule, *fresh = table(found).splitlines()
    for line, text in zip(found, fresh):
        merged[key_of[line.row.metric]] = text.replace(" |", LATER + " |", 1)
    lost = set(merged) - set(key_of.values())
    if lost:
        sys.exit("the table has lines of no row: %s" % sorted(title for _, title in lost))
    return "\n".join([head, rule] + [merged[key] for key in key_of.values() if key in merged])


def replace_table(path, found, some):
    document, mark = open(path).read(), "<!-- table -->\n"
    begin, end = document.index(mark) + len(mark), document.index("<!-- /table -->")
    words = merge(document[begin:end], found) if some else table(found)
    open(path, "w").write(document[:begin] + words + "\n" + document[end:])


def main():
    take_best, some = "--best" in sys.argv, "--some" in sys.argv
    args = [arg for arg in sys.argv[1:] if arg not in ("--best", "--some")]
    figures, directory = read(args[0], take_best), args[1]
    found = list(lines(figures))
    words = table(found)
    print(words)
    judged = [line.met for line in found if line.met is not None]
    print("\n%d of %d lines meet their targets." % (sum(judged), len(judged)))
    for name, drawing in (("ratios", ratios(found)), ("scale", scale(figures))):
        if drawing and not some:
            open("%s/performance-%s.svg" % (directory, name), "w").write(drawing)
    if len(args) > 2:
        replace_table(args[2], found, some)


if __name__ == "__main__":
    main()

# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
"""peers.py PEER METRIC COUNT: the work of cohort-bench by Python's multiprocessing; prints the
microseconds that it took."""

# A spawned child imports this file again, which is part of what spawn costs: everything heavy is
# imported where it is used.
import sys


def now():
    import time

    return time.monotonic() * 1e6


def blocks(once, count):
    """The median time of some hundred blocks, for all; given up after a second."""
    import statistics

    size, took, done, first = count // 500 + 1, [], 0, now()
    while done < count and now() - first < 1e6:
        n = min(size, count - done)
        begin = now()
        for _ in range(n):
            once()
        took.append((now() - begin) / n)
        done += n
    return statistics.median(took) * count


def nothing():
    pass


def square(x):
    return x * x


def be_large(metric):
    """Touch 10 MB, or 2 GiB and start 50 threads."""
    import mmap
    import threading

    large = "2GiB" in metric
    size = 2 << 30 if large else 10 << 20
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[::4096] = b"\1" * (size // 4096)
    for _ in range(50 if large else 0):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return memory


def start_function(peer, metric, count):
    import multiprocessing

    memory = be_large(metric)
    context = multiprocessing.get_context(peer)

    def once():
        process = context.Process(target=nothing)
        process.start()
        process.join()
        assert process.exitcode == 0

    once()  # the server runs now
    took = blocks(once, count)
    memory.close()
    return took


def start_program(peer, metric, count):
    import subprocess

    memory = be_large(metric)

    def once():
        assert subprocess.run(["true"]).returncode == 0

    took = blocks(once, count)
    memory.close()
    return took


def run_program(peer, metric, count):
    import subprocess

    size = 10485760 if "10MiB" in metric else 1024

    def once():
        done = subprocess.run(["head", "-c", str(size), "/dev/zero"], capture_output=True)
        assert done.returncode == 0 and len(done.stdout) == size

    return blocks(once, count)


def commands(peer, metric, count):
    import concurrent.futures
    import subprocess

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        begin = now()
        codes = list(threads.map(lambda _: subprocess.run(["true"]).returncode, range(count)))
        took = now() - begin
    assert codes == [0] * count
    return took


def pin(metric, side):
    import os

    where = metric.rsplit(".", 1)[1]
    if where in ("same", "split"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[side if where == "split" else 0]})


def size_of(metric):
    sizes = {"1B": 1, "64B": 64, "1KiB": 1024, "64KiB": 65536, "1MiB": 1 << 20}
    return sizes[metric.split(".")[1]]


def echo(end, metric):
    pin(metric, 1)
    while True:
        end.send_bytes(end.recv_bytes())


def pingpong(peer, metric, count):
    import multiprocessing

    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=echo, args=(there, metric))
    process.start()
    pin(metric, 0)
    message = b"\7" * size_of(metric)

    def once():
        here.send_bytes(message)
        assert here.recv_bytes() == message

    took = blocks(once, count)
    process.kill()
    process.join()
    return took


def sink(end, count):
    for i in range(count):
        message = end.recv_bytes()
        assert len(message) == 1 << 20 and int.from_bytes(message[:8], "little") == i
    end.send_bytes(b"done")


def oneway(peer, metric, count):
    import multiprocessing

    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=sink, args=(there, count))
    process.start()
    message = bytearray(1 << 20)
    begin = now()
    for i in range(count):
        message[:8] = i.to_bytes(8, "little")
        here.send_bytes(message)
    assert here.recv_bytes() == b"done"
    took = now() - begin
    process.join()
    assert process.exitcode == 0
    return took


def produce(queue, barrier, times, size, first, count):
    rest = b"\0" * (size - 8)
    barrier.wait()
    times.put(("begin", now(), 0, 0))
    for i in range(first, first + count):
        queue.put(i.to_bytes(8, "little") + rest)


def consume(queue, barrier, times, size):
    number = checksum = 0
    barrier.wait()
    while (message := queue.get()) is not None:
        assert len(message) == size
        number += 1
        checksum += int.from_bytes(message[:8], "little")
    times.put(("end", now(), number, checksum))


def crowd(peer, metric, count):
    import multiprocessing

    producers, consumers = map(int, metric.rsplit(".", 1)[1].split("to"))
    context = multiprocessing.get_context("fork")
    queue, times, barrier = (
        context.Queue(1024),
        context.SimpleQueue(),
        context.Barrier(producers + consumers),
    )
    each, size = count // producers + 1, size_of(metric)
    senders = [
        context.Process(target=produce, args=(queue, barrier, times, size, i * each, each))
        for i in range(producers)
    ]
    receivers = [
        context.Process(target=consume, args=(queue, barrier, times, size))
        for _ in range(consumers)
    ]
    for process in receivers + senders:
        process.start()
    for process in senders:
        process.join()
    for _ in receivers:
        queue.put(None)
    marks = [times.get() for _ in senders + receivers]
    for process in receivers:
        process.join()
    everything = each * producers
    assert sum(mark[2] for mark in marks) == everything
    assert sum(mark[3] for mark in marks) == everything * (everything - 1) // 2
    took = max(mark[1] for mark in marks if mark[0] == "end") - min(
        mark[1] for mark in marks if mark[0] == "begin"
    )
    return took * count / everything


def cross(meeting):
    while True:
        meeting.wait()


def barrier(peer, metric, count):
    import multiprocessing

    parties = int(metric.rsplit(".", 1)[1])
    context = multiprocessing.get_context("fork")
    meeting = context.Barrier(parties)
    others = [context.Process(target=cross, args=(meeting,)) for _ in range(parties - 1)]
    for process in others:
        process.start()
    meeting.wait()
    took = blocks(meeting.wait, count)
    for process in others:
        process.kill()
        process.join()
    return took


def pool_map(peer, metric, count):
    import multiprocessing

    numbers = range(count)
    right = [x * x for x in numbers]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(square, range(1000))
        begin = now()
        results = pool.map(square, numbers, 1 if "chunk1" in metric else None)
        took = now() - begin
    assert results == right
    return took


def pool_imap(peer, metric, count):
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(square, range(1000))
        begin = now()
        for i, result in enumerate(pool.imap(square, range(count))):
            assert result == i * i
        return now() - begin


def pool_apply(peer, metric, count):
    import multiprocessing
    import statistics
    import time

    took = []
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(square, range(1000))
        for i in range(count):
            if "idle" in metric:
                time.sleep(0.002)
            begin = now()
            assert pool.apply(square, (i,)) == i * i
            took.append(now() - begin)
    return statistics.median(took) * count


def burn(turns):
    x = turns
    for i in range(turns):
        x = (x * 0xD1342543DE82EF95 + 0x9E3779B97F4A7C15 + i) & 0xFFFFFFFFFFFFFFFF
    return x


def burn_turns(us):
    """How many turns take so long."""
    best = 1e9
    for _ in range(5):
        begin = now()
        burn(20000)
        best = min(best, now() - begin)
    return 1 + int(us / best * 20000)


def share(peer, metric, count):
    import multiprocessing
    import statistics
    import time

    short, long = [burn_turns(10)] * 100, [burn_turns(1000)] * 400
    right, took = [burn(short[0])] * 100, []
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(square, range(1000))
        for _ in range(count):
            beside = pool.map_async(burn, long, 1) if "beside" in metric else None
            time.sleep(0.005 if beside else 0)
            begin = now()
            results = pool.map(burn, short, 1)
            took.append(now() - begin)
            assert results == right
            if beside:
                beside.get()
    return statistics.median(took) * count


WORK = {
    "start.fn": start_function,
    "start.program": start_program,
    "run.collect": run_program,
    "commands.true": commands,
    "pingpong": pingpong,
    "oneway": oneway,
    "queue": crowd,
    "barrier": barrier,
    "pool.map": pool_map,
    "pool.apply": pool_apply,
    "imap": pool_imap,
    "share": share,
}

if __name__ == "__main__":
    for name, work in WORK.items():
        if sys.argv[2].startswith(name):
            print(work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
            sys.exit(0)
    sys.exit(77)

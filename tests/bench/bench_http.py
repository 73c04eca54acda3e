"""Genes over HTTP: 32 clients at once against a real server in a process of its own."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from made import predict
from rows import BENCH, Row

from vortex_model.grid import Grid
from vortex_model.study import Study, StudyInfo

CLIENTS, ROUNDS, SHAPE = 32, 3, (96, 128, 128)


def resident(pid: int) -> float:
    """MiB of a process now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def visit(root: str, gene: int, seconds: list[float], errors: list[int]) -> None:
    """One client: every chunk of one gene, one after the other, over one connection."""
    where = urlsplit(root)
    link = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    for number in np.ndindex(*(-(-n // 32) for n in SHAPE)):
        key = "/".join(str(n) for n in (0, *number))
        start = time.perf_counter()
        link.request("GET", f"{where.path}0.5/h/newest/gene/GENE{gene}.ome.zarr/0/c/{key}")
        answer = link.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - start)
        if answer.status != 200:
            errors.append(answer.status)
    link.close()


def rows(work: Path) -> list[Row]:
    """Measure."""
    with Study.create(work / "h.zarr", StudyInfo("h")):
        pass
    predict(Study.open(work / "h.zarr"), Grid(SHAPE, (12.0,) * 3), 24, 1000)
    program = str(Path(sys.executable).parent / "vortex-viewer")
    server = subprocess.Popen(
        [program, "serve", str(work / "h.zarr"), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        root = next(m[1] for ln in server.stdout if (m := re.search(r"OME-Zarr: (\S+)", ln)))
        memory, found, errors = [], [], []
        for rnd in range(ROUNDS + 1):
            seconds: list[float] = []
            with ThreadPoolExecutor(CLIENTS) as pool:
                genes = range(rnd * CLIENTS, (rnd + 1) * CLIENTS)
                list(pool.map(partial(visit, root, seconds=seconds, errors=errors), genes))
            memory.append(resident(server.pid))
            if rnd:  # the first warms the server
                found += seconds
        p95 = float(np.percentile(found, 95)) * 1e3
    finally:
        server.terminate()
        server.wait(20)
    command = f"{BENCH} http"
    note = f"{len(found):,} chunks of {ROUNDS * CLIENTS} genes, clients on the same cores"
    return [
        Row("HTTP gene chunks, 32 clients at once: 95th percentile", p95, 250.0, "at most", "ms",
            command, f"{note}; median {np.median(found) * 1e3:.0f} ms"),
        Row("HTTP gene chunks: errors", len(errors), 0, "at most", "", command),
        Row("HTTP gene chunks: memory of the server after, over before", memory[-1] / memory[0],
            1.2, "at most", "", command, f"{memory[0]:.0f} to {memory[-1]:.0f} MiB"),
    ]  # fmt: skip

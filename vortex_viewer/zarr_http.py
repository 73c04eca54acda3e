"""Studies as OME-Zarr over HTTP, for programs and pages that are not ours.

Who may read: an address holds a key that is made from the server's secret and cannot be turned
back into it. Whoever has the address can read these images and do nothing else; the cookie of
the app is neither needed nor looked at here, so no page can ride on a visitor's sign-in. The
Host is checked as everywhere, against rebound names. A browser lets a page of another origin
read an answer only where the server names that origin: none by default, those of
``--data-origin`` otherwise, and never with credentials.

::

    /zarr/KEY/                         the list of what there is, JSON
    /zarr/KEY/0.5/STUDY/...            OME-Zarr 0.5; see :mod:`vortex_viewer.zarr_tree`
    /zarr/KEY/0.4/STUDY/...            OME-Zarr 0.4
    /zarr/KEY/open/PROGRAM/STUDY/PREDICTION/GENE    on to a program that shows the gene
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from tornado.routing import PathMatches, Rule
from tornado.web import RequestHandler

from vortex_viewer.gate import Gate
from vortex_viewer.scene.library import Library
from vortex_viewer.zarr_answer import Answer, BytesCache
from vortex_viewer.zarr_image import VERSIONS
from vortex_viewer.zarr_tree import Tree

CACHE_BYTES = 128 << 20
WORKERS = 2
MOST_WAITING = 512
"""Requests that may wait for a worker; more are told to come back."""
LONGEST_KEY = 1024
PROGRAMS = {
    "neuroglancer": "https://neuroglancer-demo.appspot.com",
    "vole": "https://vole.allencell.org",
}


@dataclass
class Data:
    """What the handlers share: who may read, what there is, and what was made already.

    Attributes
    ----------
    origins
        Origins of pages that may read; ``*`` for all.
    """

    gate: Gate
    tree: Tree
    origins: tuple[str, ...] = ()
    cache: BytesCache = field(default_factory=lambda: BytesCache(CACHE_BYTES))
    workers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(WORKERS, thread_name_prefix="data")
    )
    waiting: int = 0

    @classmethod
    def of(cls, gate: Gate, library: Library, origins: Sequence[str] = ()) -> Data:
        """The data of a library behind a gate."""
        return cls(gate, Tree(library), tuple(o.lower().rstrip("/") for o in origins))

    @property
    def key(self) -> str:
        """What an address must hold; the same as long as the secret is."""
        return hmac.new(self.gate.secret.encode(), b"zarr", hashlib.sha256).hexdigest()[:32]

    @property
    def key_path(self) -> str:
        """Where the list is, below the server's own path."""
        return f"zarr/{self.key}/"

    @property
    def root(self) -> str:
        """The path of the list."""
        return f"{self.gate.prefix}/{self.key_path}"

    def gene_path(self, study: str, prediction: str, gene: str, version: str = "0.5") -> str:
        """The path of one gene's image."""
        parts = (version, study, prediction, "gene", f"{gene}.ome.zarr")
        return self.root + "/".join(quote(p, safe="") for p in parts)

    def morphology_path(self, study: str, version: str = "0.5") -> str:
        """The path of a study's morphology."""
        return f"{self.root}{version}/{quote(study, safe='')}/morphology.ome.zarr"

    def rule(self) -> Rule:
        """The route; it goes before the gate's own, because it checks for itself."""
        pattern = re.escape(self.gate.prefix) + r"/zarr/([^/]+)/(.*)"
        return Rule(PathMatches(pattern), Keys, {"data": self})

    def lets_read(self, origin: str) -> bool:
        """Whether pages of this origin may read."""
        return "*" in self.origins or origin.lower() in self.origins


class Keys(RequestHandler):
    """One key of the tree: GET, HEAD, and the question that browsers ask before."""

    def initialize(self, data: Data) -> None:
        """Tornado's constructor."""
        self._data = data

    def set_default_headers(self) -> None:
        """Sent with every answer, refusals too."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse who may not read."""
        data, request = self._data, self.request
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not data.gate.knows_host(host):
            self._refuse(403, f"This server is not called {host!r}.")
            return
        if not hmac.compare_digest(self.path_args[0].encode(), data.key.encode()):
            self._refuse(403, "The key in this address is not this server's. Copy it again.")
            return
        if origin is None:
            return
        if data.lets_read(origin):
            self.set_header("Access-Control-Allow-Origin", "*" if "*" in data.origins else origin)
            self.set_header("Vary", "Origin")
            self.set_header(
                "Access-Control-Expose-Headers",
                "Content-Range, Content-Length, ETag, Accept-Ranges",
            )
        elif urlsplit(origin).netloc.lower() != host.lower():
            self._refuse(
                403,
                f"Pages of {origin} may not read this server's data. Start it with "
                f"--data-origin {origin} to let them.",
            )

    def options(self, _key: str, _path: str) -> None:
        """What a page of another origin may send."""
        self.set_header("Access-Control-Allow-Methods", "GET, HEAD")
        self.set_header("Access-Control-Allow-Headers", "Range, If-None-Match")
        self.set_header("Access-Control-Max-Age", "600")
        if self.request.headers.get("Access-Control-Request-Private-Network") == "true":
            self.set_header("Access-Control-Allow-Private-Network", "true")
        self.set_status(204)

    async def head(self, key: str, path: str) -> None:
        """The same without the bytes."""
        await self.get(key, path)

    async def get(self, _key: str, path: str) -> None:
        """The bytes under a key, whole or a range."""
        if len(path) > LONGEST_KEY:
            self._refuse(414, f"A key has at most {LONGEST_KEY} characters.")
            return
        if path.startswith("open/"):
            await self._go_on(path)
            return
        if self._data.waiting >= MOST_WAITING:
            self.set_header("Retry-After", "1")
            self._refuse(503, "Too many requests wait already. Ask again in a second.")
            return
        held = self.request.headers.get("If-None-Match", "")
        answer, body = await self._work(partial(self._look, path, held))
        if answer is None:
            self._refuse(404, "There is nothing under this key.")
            return
        self.set_header("ETag", f'"{answer.tag}"')
        # what a key holds changes with the study, so clients ask again; a match costs nothing
        self.set_header("Cache-Control", "private, no-cache")
        if body is None:
            self.set_status(304)
            return
        self._send(body, answer.content_type)

    # -- inner -----------------------------------------------------------------------------

    def compute_etag(self) -> str | None:
        """None of Tornado's own: ours does not need the bytes."""
        return None

    def _log(self) -> None:
        """Clients look for keys that are not there, by design; those fill no log."""
        if self.get_status() >= 500:
            super()._log()

    async def _work(self, job: Any) -> Any:
        self._data.waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._data.workers, job)
        finally:
            self._data.waiting -= 1

    def _look(self, path: str, held: str) -> tuple[Answer | None, bytes | None]:
        """What is under a key, and its bytes unless the client holds them; in a worker."""
        answer = self._find(path)
        if answer is None or f'"{answer.tag}"' in held:
            return answer, None
        return answer, self._data.cache.get(answer)

    def _find(self, path: str) -> Answer | None:
        if path == "":
            catalogue = self._list()
            tag = hashlib.blake2b(catalogue, digest_size=12).hexdigest()
            return Answer(tag, "application/json", lambda: catalogue)
        version, _, rest = path.partition("/")
        for known in VERSIONS:
            if version == known:
                return self._data.tree.answer(known, rest)
        return None

    def _list(self) -> bytes:
        data, here = self._data, self._here()
        rows = []
        for row in data.tree.catalogue():
            name = row["study"]
            quoted = quote(name, safe="")
            own: dict[str, Any] = {"study": name}
            if row["morphology"]:
                own["morphology"] = here + data.morphology_path(name)
                own["labels"] = [
                    f"{own['morphology']}/labels/{quote(n, safe='')}" for n in row["labels"]
                ]
            own["predictions"] = [
                {
                    "id": made,
                    "genes": f"{here}{data.root}0.5/{quoted}/{made}/genes.ome.zarr",
                    "gene": here + data.gene_path(name, made, "GENE"),
                    "open": {
                        program: f"{here}{data.root}open/{program}/{quoted}/{made}/GENE"
                        for program in PROGRAMS
                    },
                }
                for made in row["predictions"]
            ]
            rows.append(own)
        return json.dumps({"studies": rows, "older clients": "put 0.4 for 0.5"}, indent=1).encode()

    def _here(self) -> str:
        return f"{self.request.protocol}://{self.request.host}"

    async def _go_on(self, path: str) -> None:
        parts = path.split("/", 4)
        if len(parts) != 5 or parts[1] not in PROGRAMS:
            self._refuse(404, f"Programs are {', '.join(PROGRAMS)}: open/PROGRAM/STUDY/ID/GENE.")
            return
        _, program, study, prediction, gene = parts
        image = f"0.5/{study}/{prediction}/gene/{gene}.ome.zarr/zarr.json"
        _, body = await self._work(partial(self._look, image, ""))
        if body is None:
            self._refuse(404, f"{study} has no gene {gene} in the prediction {prediction}.")
            return
        if not self._data.lets_read(PROGRAMS[program]):
            self._refuse(
                403,
                f"{PROGRAMS[program]} may not read this server's data. Start it with "
                f"--data-origin {PROGRAMS[program]} to let it.",
            )
            return
        record = json.loads(body)
        there = await self._work(partial(self._find, f"0.5/{study}/morphology.ome.zarr/zarr.json"))
        url = self._here() + self._data.gene_path(study, prediction, gene)
        beneath = self._here() + self._data.morphology_path(study) if there else None
        self.redirect(program_link(program, url, gene, record["attributes"]["ome"], beneath))

    def _send(self, body: bytes, content_type: str) -> None:
        self.set_header("Content-Type", content_type)
        self.set_header("Accept-Ranges", "bytes")
        asked = self.request.headers.get("Range")
        span = byte_range(asked, len(body)) if asked else None
        if span == ():
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{len(body)}")
            return
        if span:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{len(body)}")
            body = body[span[0] : span[1]]
        if self.request.method == "HEAD":
            self.set_header("Content-Length", str(len(body)))
            return
        self.write(body)

    def _refuse(self, status: int, why: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(why + "\n")


def byte_range(header: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """First byte and the one after the last of a Range header.

    Returns
    -------
    None where the whole is the answer (several ranges, another unit); ``()`` where nothing of
    what was asked for is there.
    """
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", header)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        last = int(found[2])
        return (max(0, size - last), size) if last and size else ()
    first = int(found[1])
    stop = min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < first:
        return None
    return (first, stop) if first < size else ()


def program_link(
    program: str, url: str, gene: str, ome: dict[str, Any], beneath: str | None
) -> str:
    """A link that opens one gene's image, over the morphology where there is one."""
    if program == "vole":
        return f"{PROGRAMS['vole']}/viewer?url={quote(url, safe='')}"
    window = ome["omero"]["channels"][0]["window"]
    scale = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    low, high = window["start"], window["end"]
    layers: list[dict[str, Any]] = []
    if beneath is not None:
        source = f"{beneath}/|zarr3:"
        layers.append(
            {"type": "image", "name": "morphology", "source": source, "localPosition": [0]}
        )
    shader = (
        f"#uicontrol invlerp window(range=[{low:g}, {high:g}])\n"
        "void main() { float v = window(); emitRGBA(vec4(colormapJet(v), v)); }"
    )
    layers.append(
        {
            "type": "image",
            "name": gene,
            "source": f"{url}/|zarr3:",
            "shader": shader,
            "opacity": 0.7,
        }
    )
    # x, y, z in this order, or Neuroglancer's first pane shows another plane
    state = {
        "dimensions": {a: [s * 1e-6, "m"] for a, s in zip("xyz", scale[:0:-1], strict=True)},
        "layers": layers,
        "layout": "4panel",
    }
    text = json.dumps(state, separators=(",", ":"))
    return f"{PROGRAMS['neuroglancer']}/#!{quote(text, safe='')}"

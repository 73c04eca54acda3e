"""Any gene as OME-Zarr over HTTP: read by other programs' libraries, guarded, cached, bounded."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from vortex_model.multiscale import ArraySource, Channel
from vortex_model.prediction import Prediction
from vortex_model.study import Study
from vortex_viewer.gate import Gate
from vortex_viewer.scene.library import Library
from vortex_viewer.zarr_http import Data, byte_range

ELSEWHERE = "https://viewer.example"
CLIENTS = ThreadPoolExecutor(8)


class Running:
    """A server in a thread: the data alone, or with the app beside it."""

    def __init__(self, path, *, app=False, **options):
        self._ready, self._options, self._path = threading.Event(), options, path
        self._thread = threading.Thread(target=self._app if app else self._alone, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _app(self):
        from vortex_viewer.server import make_server

        self._begin()
        server, _, house = make_server([self._path], port=0, secret="s", **self._options)
        server.start()
        self.data, self.port, self._stop = house.data, server.port, server.stop
        self._run()

    def _alone(self):
        self._begin()
        gate = Gate("127.0.0.1", "s")
        self.data = Data.of(
            gate, Library([self._path], 1_000_000), self._options.get("data_origins", ())
        )
        sockets = bind_sockets(0, "127.0.0.1")
        gate.port = self.port = sockets[0].getsockname()[1]
        server = HTTPServer(Application([self.data.rule()]))
        server.add_sockets(sockets)
        self._stop = server.stop
        self._run()

    def _begin(self):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    def _run(self):
        self.loop.call_soon(self._ready.set)
        self.loop.run_forever()

    def stop(self):
        self.loop.call_soon_threadsafe(self._stop)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def root(self):
        return self.origin + self.data.root

    def get(self, path, method="GET", **headers):
        """Status, headers and body of an address below the data's root, or of a whole one."""
        url = path if path.startswith("http") else self.root + path
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        asked = urllib.request.Request(url, headers=named, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as found:
                return found.status, found.headers, found.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()


@pytest.fixture(scope="module")
def study(phantom, tmp_path_factory):
    import shutil

    place = shutil.copytree(phantom, tmp_path_factory.mktemp("zarr") / "a block.zarr")
    made = Study.open(place)
    lone = np.zeros((1, *made.morphology.grid.shape), np.uint8)
    lone[0, 3:5, :70] = 2  # most chunks of it are empty, and absent on disk
    source = ArraySource(lone, made.morphology.grid, (Channel("lone"),))
    made.write_label("lone", source)
    return place


@pytest.fixture(scope="module")
def server(study):
    one = Running(study)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def opened(study):
    one = Running(study, data_origins=[ELSEWHERE])
    yield one
    one.stop()


@pytest.fixture(scope="module")
def prediction(study):
    return Prediction.load(Study.open(study))


class Remote(zarr.storage.MemoryStore):
    """zarr-python over this server: a store that fetches each key; read-only."""

    def __init__(self, running, path):
        super().__init__(read_only=True)
        self._running, self._path = running, path

    async def get(self, key, prototype, byte_range=None):
        # not zarr's own threads: the server, in this process too, reads its files with those
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(CLIENTS, self._running.get, f"{self._path}/{key}")
        status, _, body = await asked
        return prototype.buffer.from_bytes(body) if status == 200 else None


def read(running, path):
    return zarr.open_group(Remote(running, path), mode="r")


def test_a_gene_over_http_is_the_gene(server, prediction):
    name = str(prediction.genes.index[2])
    want = prediction.gene(name).values
    for version in ("0.5", "0.4"):
        path = f"{version}/a%20block/{prediction.id}/gene/{quote(name)}.ome.zarr"
        group = read(server, path)
        assert np.allclose(group["0"][0], want, atol=1e-5, equal_nan=True), version
        assert np.isnan(group["0"].fill_value)


def test_every_gene_is_a_channel(server, prediction):
    group = read(server, f"0.5/a%20block/{prediction.id}/genes.ome.zarr")
    table = prediction.genes.index
    assert group["0"].shape == (len(table), *prediction.grid.shape)
    channels = group.attrs["ome"]["omero"]["channels"]
    assert [c["label"] for c in channels] == list(table)
    for number in (0, len(table) - 1):
        want = prediction.gene(str(table[number])).values
        assert np.allclose(group["0"][number], want, atol=1e-5, equal_nan=True)
        window = channels[number]["window"]
        assert window["min"] <= window["start"] < window["end"] <= window["max"]
        assert window["start"] == pytest.approx(
            np.nanpercentile(want, 2), abs=0.2 * float(np.nanstd(want))
        )


def test_morphology_and_labels_are_served_at_every_level(server, study):
    image = Study.open(study).morphology
    for version in ("0.5", "0.4"):
        group = read(server, f"{version}/a%20block/morphology.ome.zarr")
        for number, level in enumerate(image.levels):
            assert np.array_equal(group[str(number)][:], level.array[:]), (version, number)
        labels = read(server, f"{version}/a%20block/morphology.ome.zarr/labels")
        names = labels.attrs["ome"]["labels"] if version == "0.5" else labels.attrs["labels"]
        assert names == ["classes", "lone"]
        assert np.array_equal(
            labels["lone"]["0"][:], Study.open(study).label("lone").levels[0].array[:]
        )
        assert labels["lone"]["0"].dtype == np.uint8


def test_metadata_is_valid_ome_zarr(server, prediction):
    models = pytest.importorskip("ome_zarr_models.v05")
    name = prediction.genes.index[0]
    for path in (
        "morphology.ome.zarr",
        f"{prediction.id}/genes.ome.zarr",
        f"newest/gene/{name}.ome.zarr",
    ):
        group = read(server, f"0.5/a%20block/{path}")
        image = models.Image.from_zarr(group)
        units = [axis.unit for axis in image.attributes.ome.multiscales[0].axes]
        assert units == [None, "micrometer", "micrometer", "micrometer"]
    models.ImageLabel.from_zarr(read(server, "0.5/a%20block/morphology.ome.zarr/labels/classes"))
    old = pytest.importorskip("ome_zarr_models.v04")
    old.Image.from_zarr(read(server, f"0.4/a%20block/newest/gene/{name}.ome.zarr"))
    old.ImageLabel.from_zarr(read(server, "0.4/a%20block/morphology.ome.zarr/labels/lone"))


def test_empty_chunks_are_written_like_the_others(server, study):
    shape = Study.open(study).morphology.grid.shape
    counts = [-(-n // 64) for n in shape]
    for number in np.ndindex(*counts):
        key = "/".join(str(n) for n in (0, *number))
        path = f"0.5/a%20block/morphology.ome.zarr/labels/lone/0/c/{key}"
        assert server.get(path)[0] == 200


def test_the_list_tells_where_everything_is(server, prediction):
    status, headers, body = server.get("")
    assert status == 200 and headers["Content-Type"] == "application/json"
    (row,) = json.loads(body)["studies"]
    assert row["study"] == "a block"
    gene = row["predictions"][0]["gene"].replace("GENE", str(prediction.genes.index[0]))
    for url in (row["morphology"], row["predictions"][0]["genes"], gene, *row["labels"]):
        assert server.get(f"{url}/zarr.json")[0] == 200


def test_only_the_key_opens(server, prediction):
    path = "0.5/a%20block/morphology.ome.zarr/zarr.json"
    assert server.get(path)[0] == 200
    stranger = f"{server.origin}/zarr/{'0' * 32}/{path}"
    assert server.get(stranger)[0] == 403
    assert server.get(f"{server.origin}/zarr/s/{path}")[0] == 403  # the secret is not the key
    assert server.data.key != "s" and len(server.data.key) == 32
    assert server.get(path, Host="evil.example")[0] == 403


def test_other_pages_read_only_where_they_were_named(server, opened):
    path = "0.5/a%20block/morphology.ome.zarr/zarr.json"
    status, headers, body = server.get(path, Origin=ELSEWHERE)
    assert status == 403 and "--data-origin https://viewer.example" in body.decode()
    assert headers["Access-Control-Allow-Origin"] is None
    status, headers, _ = opened.get(path, Origin=ELSEWHERE)
    assert status == 200 and headers["Access-Control-Allow-Origin"] == ELSEWHERE
    assert headers["Access-Control-Allow-Credentials"] is None
    status, headers, _ = opened.get(path, "OPTIONS", Origin=ELSEWHERE)
    assert status == 204 and "Range" in headers["Access-Control-Allow-Headers"]
    assert opened.get(path, Origin="https://other.example")[0] == 403
    assert opened.get(path, Origin=opened.origin)[0] == 200


def test_beside_the_app_the_origin_opens_the_data_alone(study):
    both = Running(study, app=True, data_origins=[ELSEWHERE])
    try:
        path = "0.5/a%20block/morphology.ome.zarr/zarr.json"
        assert both.get(path, Origin=ELSEWHERE)[0] == 200
        assert both.get(f"{both.origin}/", Origin=ELSEWHERE)[0] == 403
        assert both.get(f"{both.origin}/?secret={both.data.key}")[0] == 403
    finally:
        both.stop()


def test_what_a_client_holds_already_is_not_sent_again(server, prediction):
    path = f"0.5/a%20block/{prediction.id}/gene/{prediction.genes.index[1]}.ome.zarr/0/c/0/0/0/0"
    _, headers, body = server.get(path)
    status, again, empty = server.get(path, If_None_Match=headers["ETag"])
    assert status == 304 and again["ETag"] == headers["ETag"] and empty == b""
    assert server.get(path, If_None_Match='"other"')[0] == 200
    other = path.replace("/0/0/0/0", "/0/0/0/1")
    assert server.get(other)[1]["ETag"] != headers["ETag"]
    status, head, empty = server.get(path, "HEAD")
    assert status == 200 and int(head["Content-Length"]) == len(body) and empty == b""


def test_a_range_is_that_part(server):
    path = "0.5/a%20block/morphology.ome.zarr/0/c/0/0/0/0"
    whole = server.get(path)[2]
    status, headers, part = server.get(path, Range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])
    assert headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert server.get(path, Range="bytes=-16")[2] == whole[-16:]
    assert server.get(path, Range=f"bytes={len(whole)}-")[0] == 416


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_ranges_follow_the_rules(size, first, last):
    body = bytes(range(size))
    found = byte_range(f"bytes={first}-{last}", size)
    if last < first:
        assert found is None
    elif first >= size:
        assert found == ()
    else:
        assert body[found[0] : found[1]] == body[first : last + 1]
    tail = byte_range(f"bytes=-{last}", size)
    assert (body[tail[0] : tail[1]] if tail else b"") == (body[-last:] if last else b"")
    assert byte_range("bytes=0-1,3-4", size) is None


@pytest.mark.parametrize(
    "path",
    [
        "0.5/absent/morphology.ome.zarr/zarr.json",
        "0.5/a%20block/morphology.ome.zarr/99/zarr.json",
        "0.5/a%20block/morphology.ome.zarr/0/c/0/99/0/0",
        "0.5/a%20block/morphology.ome.zarr/0/c/9/0/0/0",
        "0.5/a%20block/morphology.ome.zarr/0/.zarray",
        "0.5/a%20block/newest/gene/NOGENE.ome.zarr/zarr.json",
        "0.5/a%20block/absent/genes.ome.zarr/zarr.json",
        "0.5/a%20block/..%2F..%2F/genes.ome.zarr/zarr.json",
        "0.6/a%20block/morphology.ome.zarr/zarr.json",
        "open/paint/a%20block/newest/G",
    ],
)
def test_what_is_not_there_is_404(server, path):
    assert server.get(path)[0] == 404


def test_absurd_keys_are_refused(server):
    assert server.get("0.5/" + "x" * 3000)[0] == 414


def test_thirty_two_clients_at_once_all_get_the_truth(server, prediction):
    names = [str(g) for g in prediction.genes.index[:32]]

    def one(name):
        group = read(server, f"0.5/a%20block/{prediction.id}/gene/{quote(name)}.ome.zarr")
        return group["0"][0]

    with ThreadPoolExecutor(32) as pool:
        for name, got in zip(names, pool.map(one, names), strict=True):
            assert np.allclose(got, prediction.gene(name).values, atol=1e-5, equal_nan=True)


def test_a_link_opens_the_gene_in_neuroglancer_once_it_may_read(server, study):
    name = Prediction.load(Study.open(study)).genes.index[0]
    path = f"open/neuroglancer/a%20block/newest/{name}"
    status, _, body = server.get(path)
    assert status == 403 and b"--data-origin https://neuroglancer-demo.appspot.com" in body
    wide = Running(study, data_origins=["*"])
    try:

        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *args):
                return None

        with pytest.raises(urllib.error.HTTPError) as found:
            urllib.request.build_opener(Stay).open(wide.root + path, timeout=30)
        with found.value as answer:
            there = answer.headers["Location"]
        assert there.startswith("https://neuroglancer-demo.appspot.com/#!")
        from urllib.parse import unquote

        state = json.loads(unquote(there.split("#!", 1)[1]))
        assert list(state["dimensions"]) == ["x", "y", "z"]
        url = state["layers"][-1]["source"].removesuffix("/|zarr3:")
        assert wide.get(f"{url}/zarr.json")[0] == 200
        assert wide.get(f"{url}/zarr.json", Origin="null")[1]["Access-Control-Allow-Origin"] == "*"
    finally:
        wide.stop()

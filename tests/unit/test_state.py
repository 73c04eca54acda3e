"""ViewState: links that were made keep their meaning, and nonsense is refused with words."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_model.analysis import shapes
from vortex_model.errors import VortexError
from vortex_viewer.link_text import same, settled
from vortex_viewer.links import LONGEST, Shelf, decode, encode
from vortex_viewer.placed import Clusters, Drawn, Pin
from vortex_viewer.state import (
    COLOURS,
    LAYOUTS,
    MODES,
    PALETTES,
    PRESETS,
    TOGETHER,
    VERSION,
    Camera,
    Layer,
    ViewState,
    Zoom,
    read_file,
)

finite = st.floats(-1e6, 1e6, allow_nan=False)
part = st.floats(0, 1)
pair = st.tuples(finite, finite).map(sorted).filter(lambda p: p[0] < p[1]).map(tuple)
point = st.tuples(finite, finite, finite)
camera = st.builds(Camera, point, point, point, st.floats(1e-3, 1e6))
layer = st.builds(
    Layer, st.text(min_size=1, max_size=9), st.sampled_from(sorted(COLOURS)), st.none() | pair
)
ramp = st.lists(part, min_size=2, max_size=6, unique=True).map(
    lambda places: tuple((p, 1 - p) for p in sorted(places))
)
name = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=9
)
sane = st.floats(-1e5, 1e5).map(lambda v: float(f"{v:.6g}"))
wide = st.tuples(sane, st.floats(1, 1e4)).map(lambda p: (p[0], p[0] + p[1]))
corners = st.lists(st.tuples(sane, sane), min_size=3, max_size=9).map(tuple)
lasso = st.builds(
    lambda axis, planes, span: shapes.Lasso(
        axis, tuple(shapes.Outline(at, c) for at, c in planes.items()), span
    ),
    st.sampled_from("xyz"),
    st.dictionaries(sane, corners, min_size=1, max_size=3),
    wide,
)
shape = st.recursive(
    st.one_of(
        st.builds(shapes.Box, wide, wide, wide),
        st.builds(shapes.Ellipsoid, st.tuples(sane, sane, sane), st.tuples(*[st.floats(1, 9)] * 3)),
        lasso,
        st.builds(shapes.Threshold, st.just("gene"), name, sane),
        st.builds(shapes.Threshold, st.just("morphology"), name, st.none(), sane),
        st.builds(shapes.LabelOf, name, st.lists(st.integers(0, 99), max_size=3).map(tuple)),
        st.just(shapes.Members()),
    ),
    lambda inner: st.builds(shapes.Combined, st.sampled_from(["and", "or", "minus"]), inner, inner),
    max_leaves=4,
)
pins = st.dictionaries(name, st.tuples(sane, sane, sane), max_size=4).map(
    lambda d: tuple(Pin(n, p) for n, p in d.items())
)
regions = st.none() | st.dictionaries(name, st.tuples(st.integers(0, 9), shape), max_size=3).map(
    lambda d: tuple(Drawn(n, *v) for n, v in d.items())
)
domains = st.none() | st.integers(2, 9).flatmap(
    lambda n: st.builds(
        Clusters,
        st.just(n),
        st.integers(0, 99),
        st.just(()) | st.permutations(range(1, n + 1)).map(tuple),
    )
)
states = st.builds(
    ViewState,
    study=st.text(max_size=20),
    prediction=st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
    gene=st.none() | st.text(min_size=1, max_size=12),
    palette=st.sampled_from(PALETTES),
    window=st.none() | pair,
    opacity=part,
    threshold=part,
    morphology=part,
    cursor_um=st.none() | point,
    crop_um=st.none() | st.tuples(pair, pair, pair),
    camera=st.none() | camera,
    spots=st.booleans(),
    planes=st.booleans(),
    depth=st.none() | st.floats(0.1, 1000),
    preset=st.sampled_from(sorted(PRESETS)),
    hold=st.booleans(),
    ramp=st.none() | ramp,
    mode=st.sampled_from(MODES),
    level=part,
    colour=st.sampled_from(sorted(COLOURS)),
    others=st.lists(layer, max_size=3).map(tuple),
    together=st.sampled_from(TOGETHER),
    shared=st.booleans(),
    layout=st.sampled_from(LAYOUTS),
    turning=st.booleans(),
    bar=st.booleans(),
    oblique=st.none() | st.tuples(st.floats(-180, 180), st.floats(-180, 180)),
    zoom=st.none() | st.builds(Zoom, st.floats(1e-3, 1e4), point),
    stained=st.booleans(),
    trusted=st.floats(-1, 1),
    doubt=st.none() | st.floats(0.01, 10),
    pins=pins,
    domains=domains,
    regions=regions,
)
TRIANGLE = shapes.Outline(105.0, ((0.0, 0.0), (90.0, 0.0), (90.0, 60.5)))
PLACED = ViewState(
    gene="VIM",
    pins=(Pin("P1", (320.0, 480.0, 105.0)), Pin("a: b", (1.0, 2.0, 3.25))),
    domains=Clusters(3, 7, (2, 1, 3)),
    regions=(
        Drawn("Region 1", 0, shapes.Box((0.0, 640.0), (10.5, 960.0), (-5.0, 400.0))),
        Drawn("Duct", 2, shapes.Lasso("z", (TRIANGLE,), (0.0, 400.0))),
        Drawn("a; ~b", 1, shapes.Threshold("gene", "mean(KRT8, KRT18) - VIM", above=2.1)),
        Drawn("c", 3, shapes.LabelOf("tissue", (3, 4))),
        Drawn("kept", 4, shapes.Members()),
        Drawn(
            "d",
            5,
            shapes.Combined(
                "minus",
                shapes.Ellipsoid((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
                shapes.Threshold("morphology", "nuclei", above=600.0, below=900.0),
            ),
        ),
    ),
)

# A golden record is never edited: it is somebody's link.
GOLDEN = {
    '{"version":1}': ViewState(
        study="",
        prediction=None,
        gene=None,
        palette="magma",
        window=None,
        opacity=0.85,
        threshold=0.1,
        morphology=0.5,
        cursor_um=None,
        crop_um=None,
        camera=None,
        spots=True,
        planes=True,
        depth=None,
    ),
    '{"crop_um":[[0,640],[0,960],[105,400]],"cursor_um":[320,480,105],"gene":"ERBB2",'
    '"palette":"viridis","planes":false,"study":"demo","version":1,"window":[0.5,2.25]}': ViewState(
        study="demo",
        gene="ERBB2",
        palette="viridis",
        window=(0.5, 2.25),
        cursor_um=(320.0, 480.0, 105.0),
        crop_um=((0.0, 640.0), (0.0, 960.0), (105.0, 400.0)),
        planes=False,
    ),
    '{"camera":{"back":[0,0,-1],"focal":[1,2,3],"height_um":900,"up":[0,-1,0]},"depth":12,'
    '"version":1}': ViewState(
        camera=Camera((1.0, 2.0, 3.0), (0.0, 0.0, -1.0), (0.0, -1.0, 0.0), 900.0), depth=12.0
    ),
    '{"bar":false,"colour":"pink","doubt":0.3,"gene":"=mean(KRT8, KRT18) - VIM","hold":true,'
    '"layout":"four","level":0.7,"mode":"surface","others":[{"colour":"green","gene":"VIM",'
    '"window":[0,2]}],"preset":"50-98","ramp":[[0,0],[1,0.8]],"shared":true,'
    '"together":"beside","trusted":0.2,"turning":true,"version":1}': ViewState(
        gene="=mean(KRT8, KRT18) - VIM",
        preset="50-98",
        hold=True,
        ramp=((0.0, 0.0), (1.0, 0.8)),
        mode="surface",
        level=0.7,
        colour="pink",
        others=(Layer("VIM", "green", (0.0, 2.0)),),
        together="beside",
        shared=True,
        layout="four",
        turning=True,
        bar=False,
        trusted=0.2,
        doubt=0.3,
    ),
    '{"layout":"oblique","oblique":[30,-12.5],"stained":true,"version":1,'
    '"zoom":{"centre":[1,2,3],"um_per_pixel":2.5}}': ViewState(
        layout="oblique", oblique=(30.0, -12.5), zoom=Zoom(2.5, (1.0, 2.0, 3.0)), stained=True
    ),
}

GOLDEN[
    '{"domains":{"count":3,"numbers":[2,1,3],"seed":7},"gene":"VIM","pins":[{"name":"P1",'
    '"place":[320,480,105]},{"name":"a: b","place":[1,2,3.25]}],"regions":[{"ink":0,'
    '"name":"Region 1","shape":{"kind":"box","x":[0,640],"y":[10.5,960],"z":[-5,400]}},{"ink":2,'
    '"name":"Duct","shape":{"axis":"z","kind":"lasso","outlines":[{"at":105,"corners":[[0,0],'
    '[90,0],[90,60.5]]}],"span":[0,400]}},{"ink":1,"name":"a; ~b","shape":{"above":2.1,'
    '"below":null,"kind":"threshold","name":"mean(KRT8, KRT18) - VIM","of":"gene"}},{"ink":3,'
    '"name":"c","shape":{"kind":"label","label":"tissue","values":[3,4]}},{"ink":4,"name":"kept",'
    '"shape":{"kind":"members"}},{"ink":5,"name":"d","shape":{"first":{"centre":[1,2,3],'
    '"kind":"ellipsoid","radii":[4,5,6]},"how":"minus","kind":"combined","second":{"above":600,'
    '"below":900,"kind":"threshold","name":"nuclei","of":"morphology"}}}],"version":1}'
] = PLACED
GOLDEN['{"regions":[],"version":1}'] = ViewState(regions=())

# The same for what stands behind # in an address.
GOLDEN_LINKS = {
    "v=1&gene=VIM&pins=P1:320,480,105;a%253A%20b:1,2,3.25&domains=3,7,2,1,3"
    "&regions=0:Region%201:box~0,640,10.5,960,-5,400"
    ";2:Duct:lasso~z~0,400,105~0,0,90,0,90,60.5"
    ";1:a%253B%20%257Eb:threshold~gene~mean(KRT8,%20KRT18)%20-%20VIM~2.1~"
    ";3:c:label~tissue~3,4;4:kept:members"
    ";5:d:combined~minus~ellipsoid~1,2,3,4,5,6~threshold~morphology~nuclei~600~900": PLACED,
    "v=1&regions=": ViewState(regions=()),
    "v=1": ViewState(),
    "v=1&study=demo&gene=ERBB2&palette=viridis&window=0.5,2.25&cursor_um=320,480,105"
    "&crop_um=0,640,0,960,105,400&planes=0": ViewState(
        study="demo",
        gene="ERBB2",
        palette="viridis",
        window=(0.5, 2.25),
        cursor_um=(320.0, 480.0, 105.0),
        crop_um=((0.0, 640.0), (0.0, 960.0), (105.0, 400.0)),
        planes=False,
    ),
    "v=1&gene==mean(KRT8,%20KRT18)%20-%20VIM&camera=1,2,3,0,0,-1,0,-1,0,900&depth=12"
    "&ramp=0,0,1,0.8&others=blue::VIM;green:0,2:EPCAM&together=beside&doubt=0.3": ViewState(
        gene="=mean(KRT8, KRT18) - VIM",
        camera=Camera((1.0, 2.0, 3.0), (0.0, 0.0, -1.0), (0.0, -1.0, 0.0), 900.0),
        depth=12.0,
        others=(Layer("VIM"), Layer("EPCAM", "green", (0.0, 2.0))),
        together="beside",
        ramp=((0.0, 0.0), (1.0, 0.8)),
        doubt=0.3,
    ),
    "v=1&oblique=30,-12.5&zoom=2.5,1,2,3&stained=1": ViewState(
        oblique=(30.0, -12.5), zoom=Zoom(2.5, (1.0, 2.0, 3.0)), stained=True
    ),
}


@given(states)
def test_a_state_survives_json(state: ViewState) -> None:
    assert ViewState.loads(state.dumps()) == state


@pytest.mark.parametrize("text", list(GOLDEN))
def test_old_links_keep_their_meaning(text: str) -> None:
    assert ViewState.loads(text) == GOLDEN[text]
    assert ViewState.loads(GOLDEN[text].dumps()) == GOLDEN[text]


@pytest.mark.parametrize("text", list(GOLDEN_LINKS))
def test_old_addresses_keep_their_meaning(text: str) -> None:
    assert decode(f"#{text}") == GOLDEN_LINKS[text]
    assert encode(GOLDEN_LINKS[text]) == text


@given(states)
def test_a_state_survives_its_address_to_six_digits(state: ViewState) -> None:
    text = encode(state)
    assert text.isascii()
    assert not set(text) & set(' #<>"')
    back = decode(text)
    assert _rounded(back) == _rounded(state)
    assert encode(back) == text


def _rounded(value: object) -> object:
    if isinstance(value, ViewState):
        value = asdict(value)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return pytest.approx(value, rel=1e-5, abs=1e-30) if isinstance(value, float) else value


def test_a_long_address_is_kept_on_the_server_and_found_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "views")
    short, long = ViewState(gene="VIM"), ViewState(gene="=" + " + ".join(["VIM"] * 400))
    assert shelf.link(short) == "v=1&gene=VIM"
    link = shelf.link(long)
    assert len(link) < 30
    assert Shelf(tmp_path / "views").open("#" + link) == long
    assert shelf.link(long) == link
    old = "fedcba9876543210"  # a link of a version that kept the whole view
    (tmp_path / "views" / f"{old}.json").write_text(long.dumps())
    assert shelf.open(f"#view={old}") == long
    with pytest.raises(VortexError, match="not kept on this server"):
        Shelf(tmp_path / "elsewhere").open(link)
    with pytest.raises(VortexError, match="no id"):
        shelf.open("v=1&more=../../etc/passwd")
    for bad in ("view=../../etc/passwd", "view=", "view=0123456789ABCDEF"):
        with pytest.raises(VortexError, match="no id"):
            shelf.open(bad)


def test_only_what_is_long_is_kept_so_that_turning_keeps_nothing_new(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    many = tuple((float(i), float(i * i % 977)) for i in range(400))
    lasso = shapes.Lasso("z", (shapes.Outline(5.0, many),), (0.0, 400.0))
    view = ViewState(gene="VIM", regions=(Drawn("Duct", 0, lasso),))
    links = set()
    for height in range(20):
        turned = view.with_(camera=Camera((0, 0, 0), (0, 0, 1), (0, 1, 0), 100.0 + height))
        link = shelf.link(turned)
        assert len(link) <= LONGEST and "gene=VIM" in link
        assert shelf.open(link) == turned
        links.add(link)
    assert len(links) == 20
    assert len(list(tmp_path.iterdir())) == 1


@given(shape)
def test_a_shape_with_the_digits_of_an_address_is_drawn_the_same_by_its_link(one: object) -> None:
    own = settled(one)
    assert settled(own) == own
    assert same(own, one)
    assert decode(encode(ViewState(regions=(Drawn("a", 0, own),)))).regions[0].shape == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "no link"),
        ("v=2", "Update vortex-viewer"),
        ("v=one", "version"),
        ("v=1&window=1", "window"),
        ("v=1&window=a,b", "window"),
        ("v=1&camera=1,2,3", "camera"),
        ("v=1&zoom=1,2,3", "zoom"),
        ("v=1&zoom=0,1,2,3", "zoom"),
        ("v=1&oblique=200,0", "oblique"),
        ("v=1&crop_um=1,2,3", "crop_um"),
        ("v=1&spots=yes", "spots"),
        ("v=1&others=VIM", "others"),
        ("v=1&tint=%22red%22", "no field 'tint'"),
        ("v=1&tint=red", "tint"),
        ("v=1&pins=P1:1,2", "pins"),
        ("v=1&pins=P1:1,2,nan", "P1"),
        ("v=1&pins=P1:1,2,3;P1:1,2,3", "pins"),
        ("v=1&domains=1,7", "2 to 100"),
        ("v=1&domains=2,7,1,1", "numbers"),
        ("v=1&regions=0:a:box~1,2,3", "regions"),
        ("v=1&regions=0:a:cube~1,2,3", "regions"),
        ("v=1&regions=0:a:box~2,1,0,1,0,1", "low end"),
        ("v=1&regions=0:a:lasso~z~0,1,5,6~0,0,1,0,1,1", "regions"),
        ("v=1&regions=0:a:members~1", "regions"),
        ("v=1&regions=" + "0:a:" + "combined~or~" * 60 + "members", "regions"),
    ],
)
def test_what_is_no_link_is_refused_with_words(text: str, said: str) -> None:
    with pytest.raises(VortexError, match=said):
        decode(text)


def test_a_view_is_read_from_a_file(tmp_path: Path) -> None:
    place = tmp_path / "view.json"
    place.write_text(ViewState(gene="VIM").dumps())
    assert read_file(place) == ViewState(gene="VIM")
    with pytest.raises(VortexError, match="absent"):
        read_file(tmp_path / "absent.json")


def test_a_short_link_holds_only_what_was_chosen() -> None:
    assert ViewState(gene="VIM").to_json() == {"version": VERSION, "gene": "VIM"}


def test_every_field_is_written_and_read() -> None:
    changed = ViewState(
        study="a",
        prediction="b",
        gene="c",
        palette="viridis",
        window=(1.0, 2.0),
        opacity=0.5,
        threshold=0.5,
        morphology=0.25,
        cursor_um=(1.0, 2.0, 3.0),
        crop_um=((0.0, 1.0), (0.0, 1.0), (0.0, 1.0)),
        camera=Camera((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), 5.0),
        spots=False,
        planes=False,
        depth=3.0,
        preset="full",
        hold=True,
        ramp=((0.0, 0.0), (1.0, 1.0)),
        mode="maximum",
        level=0.25,
        colour="pink",
        others=(Layer("d"),),
        together="difference",
        shared=True,
        layout="view",
        turning=True,
        bar=False,
        oblique=(30.0, -12.5),
        zoom=Zoom(2.5, (1.0, 2.0, 3.0)),
        stained=True,
        trusted=0.5,
        doubt=0.5,
        label="tissue",
        label_as="beside",
        pins=(Pin("P1", (1.0, 2.0, 3.0)),),
        domains=Clusters(4, 7),
        regions=(Drawn("R", 0, shapes.Members()),),
    )
    assert set(changed.to_json()) == {f.name for f in fields(ViewState)} | {"version"}
    assert ViewState.from_json(json.loads(changed.dumps())) == changed


def test_a_state_cannot_be_changed_in_place() -> None:
    state = ViewState()
    with pytest.raises(AttributeError):
        state.gene = "VIM"  # type: ignore[misc]
    assert state.with_(gene="VIM").gene == "VIM"
    assert state.gene is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "no JSON"),
        ("[1]", "JSON object"),
        ("{}", "version"),
        ('{"version":true}', "version"),
        ('{"version":99}', "Update vortex-viewer"),
        ('{"version":1,"tint":"red"}', "no field 'tint'"),
        ('{"version":1,"palette":"jet"}', "viridis"),
        ('{"version":1,"gene":5}', "gene"),
        ('{"version":1,"opacity":"1"}', "opacity"),
        ('{"version":1,"opacity":1.5}', "0 to 1"),
        ('{"version":1,"spots":1}', "spots"),
        ('{"version":1,"spots":null}', "spots"),
        ('{"version":1,"window":[2,1]}', "below its high end"),
        ('{"version":1,"window":[1]}', "window"),
        ('{"version":1,"window":[0,Infinity]}', "window"),
        ('{"version":1,"crop_um":[[0,1],[0,1]]}', "crop_um"),
        ('{"version":1,"crop_um":[[1,0],[0,1],[0,1]]}', "crop"),
        ('{"version":1,"camera":{"focal":[0,0,0]}}', "camera"),
        ('{"version":1,"depth":0}', "depth"),
        ('{"version":1,"layout":"six"}', "layout"),
        ('{"version":1,"mode":null}', "mode"),
        ('{"version":1,"preset":"auto"}', "2-98"),
        ('{"version":1,"colour":"red"}', "orange"),
        ('{"version":1,"ramp":[[0.5,0],[0.5,1]]}', "ramp"),
        ('{"version":1,"ramp":[[0,0]]}', "ramp"),
        ('{"version":1,"others":[{"gene":"A","size":1}]}', "others"),
        ('{"version":1,"others":["A"]}', "others"),
        ('{"version":1,"others":[{"gene":"A"},{"gene":"B"},{"gene":"C"},{"gene":"D"}]}', "three"),
        ('{"version":1,"doubt":0}', "doubt"),
    ],
)
def test_what_is_no_view_is_refused_with_words(text: str, said: str) -> None:
    with pytest.raises(VortexError, match=said):
        ViewState.loads(text)

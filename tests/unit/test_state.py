"""ViewState: links that were made keep their meaning, and nonsense is refused with words."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_model.errors import VortexError
from vortex_viewer.state import PALETTES, VERSION, Camera, ViewState

finite = st.floats(-1e6, 1e6, allow_nan=False)
part = st.floats(0, 1)
pair = st.tuples(finite, finite).map(sorted).filter(lambda p: p[0] < p[1]).map(tuple)
point = st.tuples(finite, finite, finite)
camera = st.builds(Camera, point, point, point, st.floats(1e-3, 1e6))
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
}


@given(states)
def test_a_state_survives_json(state: ViewState) -> None:
    assert ViewState.loads(state.dumps()) == state


@pytest.mark.parametrize("text", list(GOLDEN))
def test_old_links_keep_their_meaning(text: str) -> None:
    assert ViewState.loads(text) == GOLDEN[text]
    assert ViewState.loads(GOLDEN[text].dumps()) == GOLDEN[text]


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
        ('{"version":1,"colour":"red"}', "no field 'colour'"),
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
    ],
)
def test_what_is_no_view_is_refused_with_words(text: str, said: str) -> None:
    with pytest.raises(VortexError, match=said):
        ViewState.loads(text)

"""Undo and redo: a drag is one step, a new step forgets what was undone."""

from vortex_viewer.history import History
from vortex_viewer.state import ViewState


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_steps_go_back_and_forward_and_a_new_one_forgets_the_undone() -> None:
    clock = Clock()
    history = History(clock)
    a, b, c = ViewState(), ViewState(gene="A"), ViewState(gene="A", opacity=0.2)
    history.note(a, b)
    history.note(b, c)
    assert history.back(c) == b
    assert history.back(b) == a
    assert history.back(a) is None
    assert history.forward(a) == b
    clock.now = 10
    d = b.with_(palette="viridis")
    history.note(b, d)
    assert history.forward(d) is None
    assert history.back(d) == b


def test_a_drag_is_one_step_and_two_drags_are_two() -> None:
    clock = Clock()
    history = History(clock)
    state = ViewState()
    for start in (0.0, 5.0):
        for i in range(20):
            clock.now = start + i * 0.05
            new = state.with_(opacity=(start + i) / 100)
            history.note(state, new)
            state = new
    assert history.steps == (2, 0)
    middle = history.back(state)
    assert middle is not None and middle.opacity == 0.19
    assert history.back(middle) == ViewState()


def test_another_change_in_the_middle_of_a_drag_is_its_own_step() -> None:
    history = History(Clock())
    a = ViewState()
    b, c = a.with_(opacity=0.1), a.with_(opacity=0.1, gene="A")
    history.note(a, b)
    history.note(b, c)
    history.note(c, c)
    assert history.steps == (2, 0)


def test_choices_that_follow_each_other_fast_are_steps_each() -> None:
    history = History(Clock())
    a = ViewState()
    b, c = a.with_(layout="four"), a.with_(layout="view")
    history.note(a, b)
    history.note(b, c)
    assert history.back(c) == b

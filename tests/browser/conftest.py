"""One server and one Chromium for all browser tests; each test has its own page."""

from collections.abc import Callable, Iterator

import pytest
from studies import block, many_genes, stack
from visiting import Running, Visitor, chromium_path, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The small studies of ``studies.py``, served."""
    folder = tmp_path_factory.mktemp("served")
    paths = [
        block(folder / "block.zarr"),
        block(folder / "plain.zarr", predicted=False, measured=False, name="plain"),
        stack(folder / "stack.zarr"),
        many_genes(folder / "many.zarr", 20_000),
        folder / "absent.zarr",
    ]
    with running(paths, folder) as one:
        yield one


@pytest.fixture(scope="session")
def browser(play: object) -> Iterator[object]:
    """Chromium, headless."""
    one = play.chromium.launch(
        executable_path=chromium_path(),
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--no-first-run",
        ],
    )
    yield one
    one.close()


@pytest.fixture
def visitors(browser: object) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors, each with cookies of their own; a script error fails the test."""
    contexts, errors = [], []

    def come(width: int = 1280, height: int = 800, first: bool = False, **more: str) -> Visitor:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        if not first:  # whoever has been here before sees no tour
            context.add_init_script(
                "try { localStorage.setItem('vortex-viewer tour', 'seen'); } catch {}"
            )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return Visitor(page)

    yield come
    for context in contexts:
        context.close()
    assert not errors, errors


@pytest.fixture
def visitor(visitors: Callable[..., Visitor], server: Running) -> Visitor:
    """One visitor, looking at the block."""
    one = visitors()
    one.go(server.address)
    return one

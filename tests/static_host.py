"""Static hosts for exports: as Python's own, and as those on the internet are."""

import contextlib
import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path


class Plain(http.server.SimpleHTTPRequestHandler):
    """Python's own static host, without its log: it sends whole files, whatever is asked."""

    def log_message(self, *words: object) -> None:
        pass


class Ranges(Plain):
    """A host as they are on the internet: it sends parts of files, and other sites may read it."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Expose-Headers", "Content-Range, Content-Length")
        super().end_headers()

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        place = Path(self.translate_path(self.path))
        if not asked or not place.is_file():
            super().do_GET()
            return
        data = place.read_bytes()
        start, end = asked.groups()
        first = len(data) - int(end) if not start else int(start)
        last = len(data) - 1 if not start or not end else min(int(end), len(data) - 1)
        self.send_response(206)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        self.wfile.write(data[first : last + 1])


@contextlib.contextmanager
def hosted(folder: Path, kind: type[Plain] = Ranges) -> Iterator[str]:
    """Serve a folder; the address has no slash at its end."""
    handler = functools.partial(kind, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

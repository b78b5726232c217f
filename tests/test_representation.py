"""A container's two ways of being written say the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pod_server.rdf import Syntax, parse
from pod_server.representation import container_statements, last_modified, listing_turtle
from pod_server.store.contract import Entry
from pod_server.terms import Face, Kind, Path, Position
from pod_server.web.paths import normal

ROOT = "http://localhost:8000/ana"
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\"), min_size=1, max_size=12)
MEDIA = st.sampled_from(["text/turtle", "image/svg+xml", "text/plain; charset=utf-8", "x/y^z", "application/x-<odd>"])


def _segment(name: str) -> str:
    from urllib.parse import quote

    from pod_server.errors import Malformed

    try:
        return normal(quote(name, safe=""))
    except Malformed:
        return "plain"


MEMBERS = st.lists(
    st.builds(
        lambda name, media, size, modified, is_container: Entry(
            Path(f"/c/{_segment(name)}{'/' if is_container else ''}"),
            Kind.CONTAINER if is_container else Kind.RDF,
            media,
            size,
            Position(1),
            modified,
            Path("/"),
            Face.MEMBERS,
            None,
            "",
        ),
        NAMES,
        MEDIA,
        st.integers(0, 10**12),
        st.floats(0, 4e9),
        st.booleans(),
    ),
    max_size=8,
    unique_by=lambda entry: entry.path.rstrip("/"),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(MEMBERS)
def test_listings_say_the_same(members: list[Entry]) -> None:
    """The Turtle that is written by hand parses to the statements that queries see."""
    iri = f"{ROOT}/c/"
    written = parse(listing_turtle(iri, members, ROOT), Syntax.TURTLE, iri)
    assert set(written) == set(container_statements(iri, members, ROOT))


def test_a_container_is_as_new_as_its_newest_member() -> None:
    """Last-Modified moves with the members that are seen, and stands without them."""
    container = Entry(Path("/c/"), Kind.CONTAINER, "text/turtle", 0, Position(1), 5.0, Path("/"), Face.OWN, None, "")
    member = Entry(Path("/c/a"), Kind.RDF, "text/turtle", 1, Position(2), 9.0, Path("/"), Face.MEMBERS, None, "")
    assert last_modified(container, [member]) == 9.0
    assert last_modified(container, []) == 5.0

"""What has happened is kept, told and bounded."""

import logging

import pytest

from swlb.events import KEPT, Events


def test_an_event_has_what_belongs_to_its_kind_beside_what_all_have():
    events = Events()
    events.add("port_down", "port a is down", port="a")
    (event,) = events.rows()
    assert event.pop("time") > 0
    assert event == {"kind": "port_down", "service": None, "server": None, "text": "port a is down", "port": "a"}


def test_the_oldest_are_forgotten():
    events = Events()
    for n in range(KEPT + 3):
        events.add("admin", str(n))
    assert [event["text"] for event in (events.rows()[0], events.rows()[-1])] == ["3", str(KEPT + 2)]


@pytest.mark.parametrize(("kind", "level"), [("server_down", logging.WARNING), ("server_up", logging.INFO)])
def test_an_event_is_logged_at_the_level_of_its_kind(caplog, kind, level):
    with caplog.at_level(logging.INFO, "swlb"):
        Events().add(kind, "a 100% reason")
    assert caplog.record_tuples == [("swlb", level, f"{kind}: a 100% reason")]

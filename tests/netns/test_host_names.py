"""The name of a segment's kernel twin: `swlb-SEGMENT` where Linux allows it."""

from swlb.devices import host_device_name


def test_a_short_name_stands_as_it_is():
    assert host_device_name("inside", ()) == "swlb-inside"


def test_ten_letters_just_fit():
    assert host_device_name("abcdefghij", ()) == "swlb-abcdefghij"


def test_a_long_name_is_cut_to_what_linux_takes():
    assert len(host_device_name("abcdefghijk", ())) == 15


def test_long_names_that_begin_alike_stay_apart():
    assert host_device_name("production-a", ()) != host_device_name("production-b", ())


def test_a_segment_has_the_same_name_at_every_start():
    assert host_device_name("production-east", ()) == host_device_name("production-east", ())


def test_letters_that_linux_refuses_are_replaced():
    name = host_device_name("a/b: c%d", ())
    assert not set(name) & set("/: %")


def test_names_that_differ_in_replaced_letters_only_stay_apart():
    assert host_device_name("a/b", ()) != host_device_name("a b", ())


def test_a_name_that_is_taken_is_avoided():
    first = host_device_name("inside", {"swlb-inside"})
    assert host_device_name("inside", {"swlb-inside", first}) not in {"swlb-inside", first}

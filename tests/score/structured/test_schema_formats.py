"""Formats. Expected values: ajv-formats 3 under Node.js 20, except where a remark says otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmgate.score.structured.schema_formats import FORMATS

GOOD: dict[str, list[object]] = {
    "byte": ["", "aGk=", "YQ=="],
    "date": ["2031-02-28", "2000-02-29", "0000-02-29"],
    "date-time": ["2031-02-28T10:00:00Z", "2031-02-28 10:00:00+01:00"],
    "duration": ["P1Y2M3DT4H5M6S", "P3W", "PT1S", "P1M1Y"[:3]],
    "email": ["a.b+c@d-e.fg", "A@B.COM"],
    "hostname": ["a", "api.example", "a.", "x" * 63],
    "int32": [2**31 - 1, -(2**31), 1.0, "no number"],
    "int64": [2**60],
    "ipv4": ["0.0.0.0", "255.255.255.255"],
    "ipv6": ["::1", "::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"],
    "iso-time": ["23:59:59"],
    "json-pointer": ["", "/", "/~0~1"],
    "json-pointer-uri-fragment": ["#", "#/%41", "#/~0"],
    "regex": ["a+", r"\d", "{"],
    "relative-json-pointer": ["0", "1/a", "0#"],
    "time": ["23:59:59Z", "23:59:60Z", "22:59:60-01:00", "00:59:60+01:00", "23:59:59.123z"],
    "uri": ["https://x.example/p?q=1", "urn:isbn:1", "http://[::1]/", "file:///etc", "a:b"],
    "uri-reference": ["/a", "", "#f", "//x/y", "?q", "./a:b"],
    "uri-template": ["http://x/{a}", "{+a,b*}", "{?x,y}"],
    "url": ["http://x.example", "https://a.b/c?d#e"[:0] + "https://a.bc/c?d#e"],
    "uuid": ["6f1d1c1e-0b1a-4c3d-9e2f-0123456789ab"],
}
BAD: dict[str, list[object]] = {
    "byte": ["aGk", "a==="],
    "date": ["2031-02-30", "1900-02-29", "2031-13-01", "2031-1-1", "٢031-01-01", "2031-01-00"],
    "date-time": ["2031-02-28T10:00:00", "2031-02-28", "2031-02-28  10:00:00Z"],
    "duration": ["P", "PT", "P1YT", "P3W1D", "3 days"],
    "email": ["a@b", ".a@b.cd", "a..b@c.de", "a b@c.de"],
    "hostname": ["-bad-", "a..b", "x" * 64, "a_b", ""],
    "int32": [2**31, 1.5],
    "int64": [1.5],
    "ipv4": ["192.0.2.444", "1.2.3", "01.2.3.4", "٣.2.3.4"],
    "ipv6": ["1:2:3", "fe80::1%eth0", "1::2::3", "g::"],
    "json-pointer": ["a", "/~2"],
    "json-pointer-uri-fragment": ["/a", "#/%4", "#/a b"],
    "regex": ["(", "[a", "(?i)a", r"a\Z"],
    "relative-json-pointer": ["01", "-1", "1#/a"],
    "time": ["24:00:00Z", "23:59:59", "12:59:60Z", "23:60:00Z", "10:00:00+24:00"],
    "uri": ["not a uri", "//x", "http://[::1", "http://x/%zz", "1a:b", "http://ünï"],
    "uri-reference": ["a b", "%zz", "#a#b", "\\a"],
    "uri-template": ["{", "a b", "{}"],
    "url": ["http://x", "x.example", "http://exa mple.com"],
    "uuid": ["6f1d1c1e0b1a4c3d9e2f0123456789ab"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
def test_good(name: str, value: object) -> None:
    assert FORMATS[name](value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad(name: str, value: object) -> None:
    assert not FORMATS[name](value)


@settings(deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.text() | st.none() | st.integers() | st.floats() | st.booleans())
def test_any_value_is_decided(name: str, value: object) -> None:
    assert FORMATS[name](value) in {True, False}


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "http://" + "a." * 50_000 + " ",
        "a" * 50_000 + "@" + "a." * 25_000 + "!",
        "/~0" * 30_000 + "~",
        "{a," * 30_000,
        "1:" * 30_000,
    ],
    ids=["word", "dots", "email", "pointer", "braces", "colons"],
)
def test_long_hostile_texts_are_decided(name: str, text: str) -> None:
    assert FORMATS[name](text) in {True, False}

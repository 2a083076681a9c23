"""The formats of JSON schemas that Ajv knows, by the standards that define them.

Dates and times RFC 3339, durations RFC 3339 Appendix A, URIs RFC 3986, URI templates RFC 6570, host names RFC 1123,
addresses RFC 2673 and 4291, UUIDs RFC 4122, JSON pointers RFC 6901. A format says nothing about values of another type.
"""

from __future__ import annotations

import calendar
import ipaddress
import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llmgate.errors import LlmgateError
from llmgate.score.javascript.pattern import Pattern
from llmgate.suite.template.javascript import is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FORMATS"]

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}(?:\.[0-9]+)?)(z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?", re.IGNORECASE
)
_DURATION = re.compile(
    r"P(?!\Z)(?:[0-9]+W|(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?(?:T(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+S)?)?)"
)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\.?\Z){_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}", re.IGNORECASE)
_UUID = re.compile(r"(?:urn:uuid:)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_URI_POINTER = re.compile(r"#(?:/(?:[a-z0-9_.!$&'()*+,;:=@-]|%[0-9a-f]{2}|~[01])*)*", re.IGNORECASE)
_RELATIVE_POINTER = re.compile(r"(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

_PCT = r"%[0-9A-Fa-f]{2}"
_USERINFO = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_PCT})*+"
_REG_NAME = rf"(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_PCT})*+"
_PCHAR = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_PCT})"
_TAIL = rf"(?:\?(?:{_PCHAR}|[/?])*+)?(?:\#(?:{_PCHAR}|[/?])*+)?"
_AUTHORITY = rf"//(?:{_USERINFO}@)?(?:\[(?P<ip>[0-9A-Fa-f:.]+)\]|\[[vV][0-9A-Fa-f]+\.[^\]]+\]|{_REG_NAME})(?::[0-9]*)?"
_PATH = rf"(?:/(?:{_PCHAR}|/)*+|(?:(?!/)(?:{_PCHAR}|/)*+))"
_HIER = rf"(?:{_AUTHORITY}(?:/(?:{_PCHAR}|/)*+)?|(?!//){_PATH})"
_URI = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:{_HIER}{_TAIL}")
_RELATIVE = re.compile(rf"(?![^/?\#]*:){_HIER}{_TAIL}")
_EXPRESSION = rf"\{{[+#./;?&=,!@|]?(?:[A-Za-z0-9_.]|{_PCT})+(?::[1-9][0-9]{{0,3}}|\*)?" + (
    rf"(?:,(?:[A-Za-z0-9_.]|{_PCT})+(?::[1-9][0-9]{{0,3}}|\*)?)*\}}"
)
_URI_TEMPLATE = re.compile(rf"(?:[^\x00-\x20\"'<>%\\^`{{|}}]|{_PCT}|{_EXPRESSION})*+")
_URL = re.compile(r"(?:https?|ftp)://[^\s/?#]+\.[^\s/?#.]{2,}+(?:[/?#]\S*)?", re.IGNORECASE)


def _date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if not match:
        return False
    year, month, day = map(int, match.groups())
    # The proleptic calendar has a year 0, which `calendar` refuses; it is a leap year, as 2000 is.
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year or 2000, month)[1]


def _time(text: str, *, zone: bool = True) -> bool:
    match = _TIME.fullmatch(text)
    if not match or (zone and not match[4]):
        return False
    hour, minute, second = int(match[1]), int(match[2]), float(match[3])
    sign, zone_hour, zone_minute = -1 if match[5] == "-" else 1, int(match[6] or 0), int(match[7] or 0)
    if zone_hour > 23 or zone_minute > 59:
        return False
    if hour <= 23 and minute <= 59 and second < 60:
        return True
    # A leap second is at the end of a day in UTC.
    utc = (hour * 60 + minute - sign * (zone_hour * 60 + zone_minute)) % (24 * 60)
    return hour <= 23 and minute <= 59 and second < 61 and utc == 24 * 60 - 1


def _date_time(text: str, *, zone: bool = True) -> bool:
    parts = re.split(r"[Tt\s]", text)
    return len(parts) == 2 and _date(parts[0]) and _time(parts[1], zone=zone)


def _address(version: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> Callable[[str], bool]:
    def valid(text: str) -> bool:
        try:
            version(text)
        except ValueError:
            return False
        return text.isascii() and "%" not in text

    return valid


_ipv6 = _address(ipaddress.IPv6Address)


def _uri(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    def valid(text: str) -> bool:
        match = pattern.fullmatch(text)
        return match is not None and (match["ip"] is None or _ipv6(match["ip"]))

    return valid


_absolute_uri = _uri(_URI)
_relative_uri = _uri(_RELATIVE)


def _regular_expression(text: str) -> bool:
    if re.search(r"[^\\]\\Z", text):  # Ajv refuses the other languages' anchor, which JavaScript reads as a letter
        return False
    try:
        return not Pattern.compile(text).foreign  # else it is no pattern of JavaScript's
    except LlmgateError:
        return False


def _text(valid: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or valid(value)


def _matching(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return _text(lambda text: pattern.fullmatch(text) is not None)


def _integer(bits: int | None) -> Callable[[object], bool]:
    def valid(value: object) -> bool:
        if not is_number(value):
            return True
        whole = isinstance(value, int) or (math.isfinite(value) and value == math.trunc(value))
        return whole and (bits is None or -(2 ** (bits - 1)) <= value < 2 ** (bits - 1))

    return valid


FORMATS: Final[Mapping[str, Callable[[object], bool]]] = MappingProxyType(
    {
        "binary": lambda _: True,
        "byte": _matching(_BASE64),
        "date": _text(_date),
        "date-time": _text(_date_time),
        "double": lambda _: True,
        "duration": _matching(_DURATION),
        "email": _matching(_EMAIL),
        "float": lambda _: True,
        "hostname": _matching(_HOSTNAME),
        "int32": _integer(32),
        "int64": _integer(None),
        "ipv4": _text(_address(ipaddress.IPv4Address)),
        "ipv6": _text(_ipv6),
        "iso-date-time": _text(lambda text: _date_time(text, zone=False)),
        "iso-time": _text(lambda text: _time(text, zone=False)),
        "json-pointer": _matching(_POINTER),
        "json-pointer-uri-fragment": _matching(_URI_POINTER),
        "password": lambda _: True,
        "regex": _text(_regular_expression),
        "relative-json-pointer": _matching(_RELATIVE_POINTER),
        "time": _text(_time),
        "uri": _text(_absolute_uri),
        "uri-reference": _text(lambda text: _absolute_uri(text) or _relative_uri(text)),
        "uri-template": _matching(_URI_TEMPLATE),
        "url": _matching(_URL),
        "uuid": _matching(_UUID),
    }
)

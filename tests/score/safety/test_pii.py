"""contains-pii. Examples come from the documentation of the standards and of payment providers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn

from llmgate import Evaluation, evaluate_assert

if TYPE_CHECKING:
    import ipaddress


def check(output: object, type_: str = "contains-pii", **config: Any) -> Evaluation:
    return evaluate_assert({"type": type_, "config": config}, output)


EMAIL = [
    "a@b.co",
    "Mail me: jane.doe+news@mail.example.co.uk.",
    "<x_1@ex-ample.org>",
    "Ä: jürgen@müller.de",
    "a@xn--p1b.xn--p1ai",
]
CARD = ["4111 1111 1111 1111", "4111-1111-1111-1111,", "no 4 4111111111111111", "378282246310005", "5555555555554444",
        "6011111111111117", "30569309025904", "3530111333300000", "2223003122003222", "1 2 4111 1111 1111 1111 3"]  # fmt: skip
IBAN = ["GB29 NWBK 6016 1331 9268 19", "DE89370400440532013000", "IBAN FR1420041010050500013M02606 IS MINE",
        "NO93 8601 1117 947", "MT84MALT011000012345MTLCAST001S", "de89 3704 0044 0532 0130 00"]  # fmt: skip
IP = ["10.1.2.3", "(8.8.8.8)", "at 192.168.0.1.", "2001:db8::8a2e:370:7334", "::1", "fe80::1,", "::ffff:10.0.0.1",
      "2001:0db8:85a3:0000:0000:8a2e:0370:7334"]  # fmt: skip
SSN = ["536-90-4399", "SSN: 536 90 4399."]
PHONE = ["+1 650-253-0000", "call +44 20 7946 0958 now", "+49 (0)30 2093-0", "tel:+33-1-42-68-53-00"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kind, text)
        for kind, texts in {
            "email": EMAIL, "credit-card": CARD, "iban": IBAN, "ip": IP, "us-ssn": SSN, "phone": PHONE,
        }.items()
        for text in texts
    ],
)  # fmt: skip
def test_found(kind: str, text: str) -> None:
    for output in (text, f"x: {text}", {"a": [{"b": text}]}, f'{{"note": "say:\\n{text}"}}'):
        found = check(output, kinds=[kind])
        assert (found.outcome, found.score) == ("pass", 1)
        assert kind in found.reason
        assert check(output, "not-contains-pii").outcome == "fail"


@pytest.mark.parametrize(
    "text",
    [
        "", "Hello world", "a@b", "@example.com", "x@.com", "1@2.3", "user @ example . com",
        "4111 1111 1111 1112", "1234567890123", "41111111111111110000000", "order 9111111111111111",
        "GB29 NWBK 6016 1331 9268 18", "XX29NWBK60161331926819", "AB12",
        "1.2.3", "1.2.3.4.5", "256.1.1.1", "v1.2.3.4a", "12:30:45", "std::vector<int>", "Foo a::b", "::", "10:20",
        "000-12-3456", "666-12-3456", "900-12-3456", "123-456-7890", "078-05-1120", "12-345-6789", "536-90-43990",
        "+1 555", "2024-11-23 10:15:00", "3.14159265358979", "The year 1984, page 451",
    ],
)  # fmt: skip
def test_not_found(text: str) -> None:
    assert check(text).outcome == "fail", check(text).reason
    assert check(text, "not-contains-pii").outcome == "pass"


def test_national_numbers_need_a_region() -> None:
    assert check("Call 030 2093-0 now", kinds=["phone"]).outcome == "fail"
    assert check("Call 030 2093-0 now", kinds=["phone"], region="DE").outcome == "pass"
    assert check("Call (650) 253-0000", region="US").outcome == "pass"


def test_only_what_is_asked_for() -> None:
    assert check("a@b.co", kinds=["iban", "phone"]).outcome == "fail"


def test_literal_exceptions() -> None:
    assert check("Help@Example.com", allow=["help@example.com"]).outcome == "fail"
    assert check("help@example.com, a@b.co", allow=["help@example.com"]).outcome == "pass"
    assert check("other.help@example.com", allow=["help@example.com"]).outcome == "pass"
    assert check("+1 (650) 253-0000", allow=["+1 650 253 0000"]).outcome == "fail"
    assert check("4111 1111 1111 1111", allow=["4111111111111111"]).outcome == "fail"


def test_the_reason_does_not_repeat_what_was_found() -> None:
    assert "4111 1111" not in check("4111 1111 1111 1111").reason
    assert "jane" not in check("jane.doe@example.com").reason


@pytest.mark.parametrize(
    "config",
    [
        {"kinds": []}, {"kinds": "email"}, {"kinds": ["emial"]}, {"kinds": [3]}, {"kinds": None}, {"region": "Germany"},
        {"region": 1}, {"region": "DE", "kinds": ["email"]}, {"allow": "a@b.co"}, {"allow": [""]}, {"allow": [1]}, {"kind": ["email"]},
    ],
)  # fmt: skip
def test_broken_settings(config: dict[str, Any]) -> None:
    for type_ in ("contains-pii", "not-contains-pii"):
        assert check("x", type_, **config).outcome == "error"


def test_no_value_is_taken() -> None:
    for type_ in ("contains-pii", "not-contains-pii"):
        assert evaluate_assert({"type": type_, "value": "email"}, "x").outcome == "error"
        assert evaluate_assert({"type": type_, "threshold": 0.5}, "x").outcome != "error"


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    for type_ in ("contains-pii", "not-contains-pii"):
        found = check("x", type_, allow=["y"])
        assert found.outcome == "error"
        assert "pip install 'pytest-llmgate[metrics]'" in found.reason


@given(st.ip_addresses().filter(lambda ip: not ip.is_unspecified), st.sampled_from(["{}", "at {}, I think", "[{}]"]))
def test_every_address_is_found(address: ipaddress.IPv4Address, form: str) -> None:
    text = str(address)
    if any(c.isdigit() for c in text):
        assert check(form.format(text), kinds=["ip"]).outcome == "pass"


@given(st.text(alphabet="0123456789", min_size=15, max_size=15), st.sampled_from(["", " ", "-"]))
def test_every_visa_number_is_found(digits: str, separator: str) -> None:
    digits = "4" + digits[:14]
    digits += luhn.calc_check_digit(digits)
    written = separator.join(digits[i : i + 4] for i in range(0, 16, 4))
    assert check(f"It is {written}.", kinds=["credit-card"]).outcome == "pass"


@given(st.text(alphabet="0123456789", min_size=18, max_size=18))
def test_every_german_iban_is_found(digits: str) -> None:
    number = "DE" + iban.calc_check_digits("DE00" + digits) + digits
    if iban.is_valid(number):
        assert check(f"{iban.format(number)} OK").outcome == "pass"


def test_the_example_number_of_every_country_is_found() -> None:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number(region)
        if number is None:
            continue
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        assert check(f"Call {written} now", kinds=["phone"]).outcome == "pass", region


PIECES = [
    "1",
    "1 ",
    "a@",
    "a.",
    "GB29 ",
    "GB29NWBK",
    ":",
    "1:",
    "f",
    "1.1.1.",
    "+",
    "-1",
    "@",
    "a",
    "a b",
    "4111 ",
    "%",
]
HOSTILE = [*((piece * 200_000)[:200_000] for piece in PIECES), "a@" + "a." * 100_000]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:8])
@pytest.mark.cpu_seconds(30)
def test_hostile_text_takes_bounded_time(text: str) -> None:
    assert check(text, region="US").outcome in {"pass", "fail", "error"}


def test_too_many_digits_are_an_error_and_no_clean_bill() -> None:
    noise = "1 2 3 " * 170_000 + "+1 650-253-0000"
    for type_ in ("contains-pii", "not-contains-pii"):
        assert check(noise, type_, kinds=["phone"]).outcome == "error"


@given(st.text() | st.text(alphabet="0123456789 .-@:+()abGB") | st.dictionaries(st.text(), st.text()))
def test_any_output_is_evaluated(output: object) -> None:
    found = check(output, region="GB")
    assert found.score in {0.0, 1.0}
    assert check(output, "not-contains-pii", region="GB").score == 1 - found.score

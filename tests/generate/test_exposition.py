"""Prometheus' text format, against the reader of prometheus_client where it is installed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmgate.errors import EndpointError
from llmgate.generate.exposition import read_samples

PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a\\"b,c}d\\\\e\\nf"} 3.0
plain 1e-3
with_time{a="b"} -4.5 1395066363000
# TYPE h histogram
h_bucket{le="0.005",} 0
h_bucket{le="+Inf"} 7
h_sum 12.5
h_count 7
weird +Inf
gone NaN
"""


def test_a_page() -> None:
    samples = {(sample.name, *sample.labels.values()): sample.value for sample in read_samples(PAGE)}
    assert samples["vllm:num_requests_running", "0", 'a"b,c}d\\e\nf'] == 3.0
    assert samples["plain",] == 0.001
    assert samples["with_time", "b"] == -4.5
    assert samples["h_bucket", "0.005"] == 0.0
    assert samples["h_bucket", "+Inf"] == 7.0
    assert samples["weird",] == math.inf
    assert math.isnan(samples["gone",])
    assert len(samples) == 9


@pytest.mark.parametrize(
    "line",
    [
        "<html><body>502 Bad Gateway</body></html>",
        '{"error": "not found"}',
        "name",
        "name{} ",
        "name{a=b} 1",
        'name{a="b" 1',
        'name{a="b"c="d"} 1',
        'name{a="b",a="c"} 1',
        'name{a="b",,} 1',
        "name one",
        "name 1_000",
        "name 0x10",
        "name 1 2 3",
        "name 1 2.5",
        "1name 1",
        "name1",
        'name{a="b"}1e 5',
    ],
)
def test_what_is_no_sample_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(EndpointError, match="no sample of the Prometheus text format") as error:
        read_samples(f"ok 1\n{line}\n", where="http://here/metrics")
    assert error.value.where == "http://here/metrics:2"


def test_one_series_does_not_stand_there_twice() -> None:
    with pytest.raises(EndpointError, match="a series of a stands there twice"):
        read_samples('a{b="1",c="2"} 1\na{c="2",b="1"} 2\n')


def test_a_long_line_without_an_end_takes_no_time() -> None:
    with pytest.raises(EndpointError):
        read_samples("a{" + 'b="' * 100_000)
    with pytest.raises(EndpointError):
        read_samples('a{b="' + "\\" * 100_001)


names = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
label_names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,5}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8)


@given(st.lists(st.tuples(names, st.dictionaries(label_names, values, max_size=3), st.floats()), max_size=8))
def test_what_prometheus_client_reads_is_read_alike(rows: list[tuple[str, dict[str, str], float]]) -> None:
    parser: Any = pytest.importorskip("prometheus_client.parser")
    written, seen = [], set()
    for name, labels, value in rows:
        if (name, tuple(sorted(labels.items()))) in seen:
            continue
        seen.add((name, tuple(sorted(labels.items()))))
        quoted = {
            key: text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, text in labels.items()
        }
        inside = ",".join(f'{key}="{text}"' for key, text in quoted.items())
        number = "NaN" if math.isnan(value) else repr(value).replace("inf", "Inf")
        written.append(f"{name}{{{inside}}} {number}" if inside else f"{name} {number}")
    page = "".join(f"{line}\n" for line in written)
    theirs = [
        (sample.name, sample.labels, repr(float(sample.value)))
        for family in parser.text_string_to_metric_families(page)
        for sample in family.samples
    ]
    ours = [(sample.name, dict(sample.labels), repr(sample.value)) for sample in read_samples(page)]
    assert ours == theirs


def test_what_prometheus_client_writes_is_read() -> None:
    client: Any = pytest.importorskip("prometheus_client")
    registry = client.CollectorRegistry()
    gauge = client.Gauge("vllm:num_requests_running", "n", ["engine"], registry=registry)
    gauge.labels("0").set(2)
    client.Counter("vllm:num_preemptions", "n", registry=registry).inc(3)
    client.Histogram("vllm:time_to_first_token_seconds", "s", buckets=(0.1, 1.0), registry=registry).observe(0.5)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for sample in read_samples(client.generate_latest(registry).decode())
    }
    assert samples["vllm:num_requests_running", "0"] == 2.0
    assert samples["vllm:num_preemptions_total",] == 3.0
    assert samples["vllm:time_to_first_token_seconds_bucket", "1.0"] == 1.0
    assert samples["vllm:time_to_first_token_seconds_sum",] == 0.5

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gochat.metrics import Family, Histogram, render


def test_what_is_told_is_what_the_official_parser_reads() -> None:
    odd = 'a "quoted"\\back\nslash, {braces}'
    families = [
        Family("x_total", "counter", f"Counts {odd}", ("who", "why"), {("ann", odd): 3, ("bob", ""): 2**60}),
        Family("y", "gauge", "One.", (), {(): 0.25}),
        Family("z", "gauge", "None yet.", ("who",), {}),
    ]
    x, y, z = text_string_to_metric_families(render(families).decode())
    assert (x.name, x.type, x.documentation) == ("x", "counter", f"Counts {odd}")
    assert [(sample.labels, sample.value) for sample in x.samples] == [
        ({"who": "ann", "why": odd}, 3),
        ({"who": "bob", "why": ""}, 2**60),
    ]
    assert [(sample.name, sample.labels, sample.value) for sample in y.samples] == [("y", {}, 0.25)]
    assert (z.name, z.samples) == ("z", [])


def test_a_histogram_counts_each_value_at_its_edge_and_above() -> None:
    histogram = Histogram(0, 1, 2.5)
    for value in (0, 1, 1, 2, 2.5, 2.6, 100):
        histogram.observe(value)
    (told,) = text_string_to_metric_families(render([Family("h", "histogram", "H.", (), histogram)]).decode())
    assert told.type == "histogram"
    assert [(sample.name, sample.labels.get("le"), sample.value) for sample in told.samples] == [
        ("h_bucket", "0", 1),
        ("h_bucket", "1", 3),
        ("h_bucket", "2.5", 5),
        ("h_bucket", "+Inf", 7),
        ("h_sum", None, 109.1),
        ("h_count", None, 7),
    ]

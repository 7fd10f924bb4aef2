"""Pages of exporters: where they are asked for, and what they say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks import Reading, reading
from ansible_collections.awsome.distributed_training.plugins.module_utils.checks.metrics import (
    Sample,
    page,
    samples,
    unanswered,
)

# after prometheus.io/docs/instrumenting/exposition_formats
TEXT = """\
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045

this is no sample
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(b"one 1\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_samples_have_name_labels_and_value() -> None:
    assert samples(TEXT) == [
        Sample("http_requests_total", {"method": "post", "code": "200"}, 1027),
        Sample(
            "msdos_file_access_time_seconds",
            {"path": "C:\\\\DIR\\\\FILE.TXT", "error": 'Cannot find file:\\n\\"FILE.TXT\\"'},
            1.458255915e9,
        ),
        Sample("metric_without_timestamp_and_labels", {}, 12.47),
        Sample("something_weird", {"problem": "division by zero"}, float("inf")),
    ]


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        (":9100", "http://127.0.0.1:9100/metrics"),
        ("0.0.0.0:9100", "http://127.0.0.1:9100/metrics"),
        ("10.0.0.5:9100", "http://10.0.0.5:9100/metrics"),
        ("[::]:9100", "http://[::1]:9100/metrics"),
        ("[fd00::5]:9100", "http://[fd00::5]:9100/metrics"),
    ],
)
def test_the_page_is_asked_where_the_exporter_listens(listen: str, address: str) -> None:
    assert page(listen).argv[-1] == address


def test_a_page_is_read_past_a_proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    read = reading.read(page(f":{port}"))
    assert (read.out, unanswered(read)) == ("one 1\n", "")


def test_a_page_that_is_not_there_says_why(port: int) -> None:
    read = reading.read(page(":1"))
    assert read.status != 0
    assert "http://127.0.0.1:1/metrics: <urlopen error [Errno 111] Connection refused>" in unanswered(read)


def test_a_page_that_failed_without_a_word_says_the_status() -> None:
    assert unanswered(Reading(124)) == "status 124"

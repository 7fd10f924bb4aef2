"""The exporter of role efa_exporter, over a tree in the form of /sys/class/infiniband (own)."""

from __future__ import annotations

import importlib.util
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.awsome.distributed_training.tests import support

COUNTERS = {"tx_bytes": "1047394519620\n", "rx_drops": "0\n", "lifespan": "12\n"}


def load() -> ModuleType:
    path = support.ROOT / "roles/efa_exporter/files/efa_exporter.py"
    spec = importlib.util.spec_from_file_location("efa_exporter", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["efa_exporter"] = module
    spec.loader.exec_module(module)
    return module


exporter: Any = load()


@pytest.fixture
def devices(workplace: Path) -> Path:
    """Two devices; the second has counters of its own beside its port's."""
    for device in ("rdmap16s27", "rdmap32s27"):
        folder = workplace / device / "ports/1/hw_counters"
        folder.mkdir(parents=True)
        for name, text in COUNTERS.items():
            (folder / name).write_text(text)
    (workplace / "rdmap32s27/hw_counters").mkdir()
    (workplace / "rdmap32s27/hw_counters/cmds_err").write_text("3\n")
    return workplace


def text(devices: Path) -> str:
    found: str = exporter.page(exporter.read_values(str(devices)))
    return found


@pytest.fixture
def address(devices: Path) -> Iterator[str]:
    server = exporter.Server("127.0.0.1:0", str(devices))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_counter_of_every_port_is_served_with_its_type(devices: Path) -> None:
    assert text(devices) == (
        "# HELP node_amazonefa_cmds_err Hardware counter cmds_err.\n"
        "# TYPE node_amazonefa_cmds_err counter\n"
        'node_amazonefa_cmds_err{device="rdmap32s27"} 3\n'
        "# HELP node_amazonefa_info An RDMA device; always 1.\n"
        "# TYPE node_amazonefa_info gauge\n"
        'node_amazonefa_info{device="rdmap16s27"} 1\n'
        'node_amazonefa_info{device="rdmap32s27"} 1\n'
        "# HELP node_amazonefa_lifespan How long the kernel keeps the values of a port, in ms.\n"
        "# TYPE node_amazonefa_lifespan gauge\n"
        'node_amazonefa_lifespan{device="rdmap16s27",port="1"} 12\n'
        'node_amazonefa_lifespan{device="rdmap32s27",port="1"} 12\n'
        "# HELP node_amazonefa_rx_drops Hardware counter rx_drops.\n"
        "# TYPE node_amazonefa_rx_drops counter\n"
        'node_amazonefa_rx_drops{device="rdmap16s27",port="1"} 0\n'
        'node_amazonefa_rx_drops{device="rdmap32s27",port="1"} 0\n'
        "# HELP node_amazonefa_tx_bytes Hardware counter tx_bytes.\n"
        "# TYPE node_amazonefa_tx_bytes counter\n"
        'node_amazonefa_tx_bytes{device="rdmap16s27",port="1"} 1047394519620\n'
        'node_amazonefa_tx_bytes{device="rdmap32s27",port="1"} 1047394519620\n'
        "# HELP node_scrape_collector_success Whether every counter could be read.\n"
        "# TYPE node_scrape_collector_success gauge\n"
        'node_scrape_collector_success{collector="amazonefa"} 1\n'
    )


def test_a_counter_of_64_bits_keeps_every_digit(devices: Path) -> None:
    (devices / "rdmap16s27/ports/1/hw_counters/tx_bytes").write_text("18446744073709551615\n")
    assert 'node_amazonefa_tx_bytes{device="rdmap16s27",port="1"} 18446744073709551615\n' in text(devices)


def test_a_counter_that_nobody_knows_yet_is_served(devices: Path) -> None:
    (devices / "rdmap16s27/ports/1/hw_counters/new-one").write_text("7\n")
    assert 'node_amazonefa_new_one{device="rdmap16s27",port="1"} 7\n' in text(devices)


def test_a_counter_that_cannot_be_read_is_told_and_the_others_are_served(devices: Path) -> None:
    (devices / "rdmap16s27/ports/1/hw_counters/tx_bytes").write_text("-\n")
    found = text(devices)
    assert 'tx_bytes{device="rdmap16s27"' not in found
    assert 'tx_bytes{device="rdmap32s27",port="1"}' in found
    assert 'node_scrape_collector_success{collector="amazonefa"} 0\n' in found


@pytest.mark.parametrize("folder", ["empty", "not-there"])
def test_a_node_without_devices_has_a_page_without_counters(folder: str, workplace: Path) -> None:
    (workplace / "empty").mkdir()
    assert [line for line in text(workplace / folder).splitlines() if line.startswith("node_")] == [
        'node_scrape_collector_success{collector="amazonefa"} 1'
    ]


def test_a_label_is_escaped(workplace: Path) -> None:
    (workplace / 'a"b').mkdir()
    assert 'node_amazonefa_info{device="a\\"b"} 1\n' in text(workplace)


def test_the_page_is_served_as_it_is_at_the_moment(address: str, devices: Path) -> None:
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.read().decode() == text(devices)
    (devices / "rdmap16s27/ports/1/hw_counters/rx_drops").write_text("5\n")
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        assert 'rx_drops{device="rdmap16s27",port="1"} 5\n' in answer.read().decode()


def test_there_is_no_other_page(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as raised:
        urllib.request.urlopen(f"{address}/etc/passwd")
    raised.value.close()


def test_what_cannot_be_read_is_named_in_the_journal(
    address: str, devices: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = devices / "rdmap16s27/ports/1/hw_counters/tx_bytes"
    broken.write_text("")
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        answer.read()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"{broken}: ")

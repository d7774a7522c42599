"""A second broker refuses at once, and leaves the first one's folder as it is. What it takes to run one is tried by every test on Kafka."""

import fcntl
import socket
from pathlib import Path

import pytest

from runtime.local_kafka import Broker, BrokerFailed
from tests.fakes.kafka import free_port


def left_alone(folder: Path, *, port: int, controller_port: int) -> str:
    """Why a broker in the folder of another does not start; what lies there is the same afterwards."""
    folder.mkdir(exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text("of the first\n")
    with pytest.raises(BrokerFailed) as refused:
        Broker(folder, port=port, controller_port=controller_port, home=folder / "no-jars").start()
    assert properties.read_text() == "of the first\n"
    return str(refused.value)


@pytest.mark.parametrize(("first", "option"), [("port", "--port"), ("controller_port", "--controller-port")])
def test_a_port_in_use_is_named(tmp_path: Path, first: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = listening.getsockname()[1]
        ports = {"port": free_port(), "controller_port": free_port(), first: taken}
        told = left_alone(tmp_path / "broker", **ports)
    assert told.startswith(f"Port {taken} is in use")
    assert f"({option})" in told


def test_a_folder_in_use_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    with (folder / "heliograph.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = left_alone(folder, port=free_port(), controller_port=free_port())
    assert told == f"A broker runs on {folder.resolve()}. Stop it, or choose another folder (--data-dir)."

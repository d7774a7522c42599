"""docker-compose.yml and Dockerfile: sound as files, and what they say works, process by process, on a real Kafka."""

import asyncio
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import typer

from runtime.cli import app
from runtime.settings import variables
from tests.fakes import kafka
from tests.fakes.compose import ROOT, compose, interpolated, is_ours, local
from tests.fakes.compose_shape import FILE
from tests.fakes.stack import Stack

DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, Any] = compose()["services"]
OURS = {name: each for name, each in SERVICES.items() if is_ours(each)}
SETTINGS = {name for name, _, _ in variables()}


class TestFile:
    def test_it_is_a_compose_file(self) -> None:
        jsonschema.validate(compose(), FILE)
        for name, service in SERVICES.items():
            assert service.get("depends_on", {}).keys() <= SERVICES.keys(), name
            assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= compose()["volumes"].keys(), name

    @pytest.mark.parametrize(
        ("name", "value"),
        [("comand", ["x"]), ("restart", "sometimes"), ("healthcheck", {"test": ["python"]}), ("depends_on", {"a": {"condition": "up"}})],
    )
    def test_a_slip_would_be_seen(self, name: str, value: object) -> None:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"services": {"one": {"image": "x", name: value}}}, FILE)

    def test_it_runs_every_role(self) -> None:
        assert set(SERVICES) == {"kafka", "topics", "ingress-1", "ingress-2", "processors", "sink", "webhooks", "api", "valkey"}
        assert SERVICES["processors"]["deploy"]["replicas"] == 2
        known: Any = typer.main.get_command(app)
        for name, service in OURS.items():
            command = known
            for word in service["command"]:
                command = command.get_command(None, word)
                assert command is not None, f"{name}: heliograph {' '.join(service['command'])}"

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_service_is_bounded_and_comes_back(self, name: str) -> None:
        service = SERVICES[name]
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert service["restart"] == ("on-failure:5" if name == "topics" else "unless-stopped")
        assert service["logging"]["options"]["max-size"]
        assert ("healthcheck" in service) == (name != "topics")
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]*", service["image"]), "a version, and not whatever is newest"
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged")
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port
        if name != "kafka":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]

    def test_volumes_are_declared_and_each_spill_has_one_owner(self) -> None:
        mounts = [(name, mount.split(":")) for name, service in SERVICES.items() for mount in service.get("volumes", [])]
        assert {volume for _, (volume, *_) in mounts} == set(compose()["volumes"])
        spills = [volume for name, (volume, inside, *_) in mounts if inside == "/data" and name in OURS]
        assert len(spills) == len(set(spills)) == 2
        assert all(name in {"sink", "webhooks", "api"} for name, (volume, *_) in mounts if volume == "lake")
        for name in ("processors", "topics"):
            assert any(mount.startswith("/data:") for mount in SERVICES[name]["tmpfs"])  # the root is read-only

    @pytest.mark.parametrize("name", OURS)
    def test_what_is_said_to_a_role_is_a_setting(self, name: str) -> None:
        environment = OURS[name]["environment"]
        assert set(environment) <= SETTINGS
        assert environment["HELIOGRAPH_AUTH"] == "open"
        assert OURS[name]["env_file"] == [{"path": ".env", "required": False}]
        hosts = environment["HELIOGRAPH_ALLOWED_HOSTS"].split(",")
        assert set(hosts) == set(OURS) - {"topics"}

    def test_shared_state_is_wired_as_soon_as_a_setting_asks_for_it(self) -> None:
        wired = {name for name, each in OURS.items() if "HELIOGRAPH_REDIS_URL" in each["environment"]}
        assert bool(wired) == ("HELIOGRAPH_REDIS_URL" in SETTINGS)
        assert ("profiles" in SERVICES["valkey"]) == (not wired)

    def test_one_env_file_moves_the_ports(self) -> None:
        moved = compose({"HELIOGRAPH_PORT": "1", "INGRESS_2_PORT": "2", "HELIOGRAPH_API_PORT": "3", "KAFKA_PORT": "4"})["services"]
        assert moved["ingress-1"]["ports"] == ["127.0.0.1:1:8787"]
        assert moved["ingress-2"]["ports"] == ["127.0.0.1:2:8787"]
        assert moved["api"]["ports"] == ["127.0.0.1:3:8585"]
        assert moved["kafka"]["ports"] == ["127.0.0.1:4:9094"]
        assert "localhost:4" in moved["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        assert {each["environment"]["HELIOGRAPH_PORT"] for name, each in moved.items() if name in OURS} == {8787}

    def test_the_example_is_good_for_both_who_read_it(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(
            (ROOT / ".env.example").read_text().replace("# HELIO", "HELIO").replace("# INGR", "INGR").replace("# KAFKA_P", "KAFKA_P")
        )
        done = subprocess.run([sys.executable, "-m", "runtime.cli", "settings"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        named = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
        assert {name for name in named if not name.startswith("HELIOGRAPH_")} == {"INGRESS_2_PORT", "KAFKA_PORT"}
        assert named - SETTINGS == {"INGRESS_2_PORT", "KAFKA_PORT"}

    def test_versions_agree(self) -> None:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert {each["image"] for each in OURS.values()} == {f"heliograph:{version}"}
        assert SERVICES["kafka"]["image"] == kafka.IMAGE

    def test_interpolation_is_that_of_compose(self) -> None:
        told = "${A:-x} ${B:-x} ${B-x} ${C-x} $$A"
        assert interpolated(told, {"A": "1", "B": ""}) == "1 x  x $A"
        with pytest.raises(KeyError):
            interpolated("${A}", {})


class TestKafkaOfTheFile:
    @pytest.mark.needs("java")
    def test_its_settings_start_a_broker(self, tmp_path: Path) -> None:
        """The image turns `KAFKA_A_B` into the property `a.b`; a local broker takes them, but for its addresses and folder."""
        environment = SERVICES["kafka"]["environment"]
        properties = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
            for name, value in environment.items()
            if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
        }
        outside, controller = kafka.free_port(), kafka.free_port()
        broker = kafka.local_broker(tmp_path)
        here = {"INSIDE://:9092": f"INSIDE://127.0.0.1:{broker.port}", "CONTROLLER://:9093": f"CONTROLLER://127.0.0.1:{controller}"}
        here |= {"OUTSIDE://:9094": f"OUTSIDE://127.0.0.1:{outside}", "INSIDE://kafka:9092": f"INSIDE://127.0.0.1:{broker.port}"}
        here |= {"OUTSIDE://localhost:9094": f"OUTSIDE://127.0.0.1:{outside}", "kafka:9093": f"127.0.0.1:{controller}"}
        for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
            for before, after in here.items():
                properties[name] = properties[name].replace(before, after)
            assert "kafka:" not in properties[name]
        properties["log.dirs"] = str(tmp_path / "data")
        with kafka.running_broker(kafka.Broker(tmp_path, port=broker.port, controller_port=controller, properties=properties)):
            for port in (broker.port, outside):
                asyncio.run(kafka.create_topics(kafka.config(f"127.0.0.1:{port}")))


def rows_of(url: str, count: int, *, seconds: float = 40) -> list[list[Any]]:
    """The calls, as soon as there are `count`."""
    sql = "SELECT user_id, outcome, cost_usd IS NOT NULL FROM calls ORDER BY created_at"
    deadline = time.monotonic() + seconds
    while True:
        rows: list[list[Any]] = httpx.post(url, json={"sql": sql}, timeout=30).json()["rows"]
        if len(rows) >= count:
            return rows
        assert time.monotonic() < deadline, f"{len(rows)} rows of {count}"
        time.sleep(0.2)


def test_its_services_carry_calls_to_rows(broker: str, tmp_path: Path) -> None:
    provider = Stack(folder=tmp_path)
    dotenv = {
        "HELIOGRAPH_KAFKA__TOPIC_PREFIX": kafka.config(broker).topic_prefix,
        "HELIOGRAPH_KAFKA__PARTITIONS": "4",
        "HELIOGRAPH_UPSTREAMS__OPENAI": provider.provider,
        "HELIOGRAPH_SINK__FLUSH_SECONDS": "1",
        "HELIOGRAPH_PORT": "1",  # of the outside: inside of a container it is what the file says
    }
    with local(tmp_path, broker, dotenv) as running:
        try:
            provider.start_provider()
            for name in OURS:
                running.start(name)
            for name in set(OURS) - {"topics"}:
                running.wait_healthy(name)
            for number in range(20):
                door = ("ingress-1", "ingress-2")[number % 2]
                url = f"http://127.0.0.1:{running.port(door, '8787')}/v1/chat/completions"
                body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}
                headers = {"authorization": "Bearer sk-test", "helicone-user-id": f"user-{number}", "host": door}
                assert httpx.post(url, json=body, headers=headers, timeout=20).status_code == 200
            rows = rows_of(f"http://127.0.0.1:{running.port('api', '8585')}/v1/query", 20)
            assert rows == [[f"user-{number}", "completed", True] for number in range(20)]
            ended = {copy: running.stop(copy) for copy in list(running.processes) if copy != "topics"}
            assert ended == dict.fromkeys(["ingress-1", "ingress-2", "processors-1", "processors-2", "sink", "webhooks", "api"], 0)
        finally:
            if "provider" in provider.processes:
                provider.stop("provider")


class TestDockerfile:
    def test_it_is_two_stages_not_root_and_by_hash(self) -> None:
        build, run = DOCKERFILE.split("FROM ")[1:]
        assert "--require-hashes -r requirements.lock" in build
        assert "USER heliograph" in run
        assert "pip" not in run
        assert 'ENTRYPOINT ["heliograph"]' in run
        for line in re.findall(r"^(?:ARG|FROM) .*", DOCKERFILE, re.MULTILINE):
            assert "latest" not in line

    def test_neither_names_where_packages_come_from(self) -> None:
        for name in ("Dockerfile", "docker-compose.yml", ".dockerignore", ".env.example"):
            assert not re.findall(r"https?://(?!127\.0\.0\.1)|index-url|--index", (ROOT / name).read_text()), name

    def test_what_it_copies_is_all_that_the_program_needs(self, tmp_path: Path) -> None:
        """The image's own steps, on what it copies: a wheel, laid out beside our dependencies, that runs."""
        source = tmp_path / "src"
        source.mkdir()
        for line in re.findall(r"^COPY (?!--from)(.*)", DOCKERFILE, re.MULTILINE):
            *names, target = line.split()
            for name in names:
                kept = source / target / ("" if (ROOT / name).is_dir() else name)
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, kept, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / name, kept)
        copied = {line.removeprefix("!").strip() for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        assert copied == {path.name for path in source.iterdir()}
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "-w",
            str(tmp_path),
            str(source),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        (wheel,) = tmp_path.glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(tmp_path / "site")
        program = "import runtime, sys; from runtime.cli import main; print(runtime.__file__); main(['--version'])"
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(
            [sys.executable, "-P", "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert str(tmp_path / "site") in done.stdout, done.stderr

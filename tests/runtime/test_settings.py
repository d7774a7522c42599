"""Settings: every one read, named in its errors, and told where it comes from."""

from pathlib import Path

import pytest

from runtime.outward import sender
from runtime.settings import Misconfigured, Settings, origin_of, settings, value_of, variables

VARIABLES = [name for name, _, _ in variables()]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_setting_has_a_value_and_says_what_it_is_for(variable: str) -> None:
    found = {name: about for name, _, about in variables()}
    assert found[variable].endswith(".")
    value_of(settings(), variable)


SET = {
    "HELIOGRAPH_PORT": ("1234", 1234),
    "HELIOGRAPH_LIMITS__IDLE_S": ("5", 5.0),
    "HELIOGRAPH_SINK__FLUSH_ROWS": ("7", 7),
    "HELIOGRAPH_ALLOWED_HOSTS": ("a.example, *.b.example", ("a.example", "*.b.example")),
    "HELIOGRAPH_DATA_DIR": ("/elsewhere", Path("/elsewhere")),
    "HELIOGRAPH_UPSTREAMS": ('{"OPENAI": "http://127.0.0.1:9"}', {"openai": "http://127.0.0.1:9"}),
}


@pytest.mark.parametrize(("variable", "pair"), SET.items(), ids=SET)
def test_the_environment_sets(monkeypatch: pytest.MonkeyPatch, variable: str, pair: tuple[str, object]) -> None:
    monkeypatch.setenv(variable, pair[0])
    assert value_of(settings(), variable) == pair[1]
    assert origin_of(variable) == "environment"


def test_an_upstream_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_UPSTREAMS__OPENAI", "http://127.0.0.1:9000")
    assert settings().ingress().upstreams == {"openai": "http://127.0.0.1:9000"}
    assert origin_of("HELIOGRAPH_UPSTREAMS") == "environment"


def test_a_file_sets_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HELIOGRAPH_PORT=1111\nHELIOGRAPH_API_PORT=2222\n")
    monkeypatch.setenv("HELIOGRAPH_API_PORT", "3333")
    assert (settings().port, settings().api_port) == (1111, 3333)
    assert [origin_of(name) for name in ("HELIOGRAPH_PORT", "HELIOGRAPH_API_PORT", "HELIOGRAPH_HOST")] == [".env", "environment", "default"]


WRONG = {
    "a port that is none": ("HELIOGRAPH_PORT", "many", "HELIOGRAPH_PORT"),
    "a port too high": ("HELIOGRAPH_PORT", "70000", "HELIOGRAPH_PORT"),
    "a word that is not among them": ("HELIOGRAPH_DURABILITY", "maybe", "strict"),
    "a time that is none": ("HELIOGRAPH_LIMITS__IDLE_S", "0", "HELIOGRAPH_LIMITS__IDLE_S"),
    "an upstream that is no URL": ("HELIOGRAPH_UPSTREAMS__OPENAI", "localhost", "HELIOGRAPH_UPSTREAMS__OPENAI: "),
    "a host with a scheme": ("HELIOGRAPH_ALLOWED_HOSTS", "a.example,http://foo", "'http://foo' is no host name; expected `a.example`"),
    "a host with a port": ("HELIOGRAPH_ALLOWED_HOSTS", "foo:8787", "'foo:8787' is no host name"),
    "an origin without a scheme": ("HELIOGRAPH_ALLOWED_ORIGINS", "foo", "'foo' is no web origin; expected `https://app.example`"),
    "an origin with a path": ("HELIOGRAPH_ALLOWED_ORIGINS", "https://foo/app", "'https://foo/app' is no web origin"),
    "every origin": ("HELIOGRAPH_ALLOWED_ORIGINS", "*", "'*' is no web origin"),
    "a name that is none": ("HELIOGRAPH_PROT", "1", "Did you mean HELIOGRAPH_PORT"),
    "a group's member that is none": ("HELIOGRAPH_SINK__FLUSH_SECS", "1", "HELIOGRAPH_SINK__FLUSH_SECONDS"),
    "a broker without a port's number": ("HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS", "a:9092, b:kafka", "'b:kafka' is no address of a broker"),
}


@pytest.mark.parametrize(("variable", "value", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured) as refused:
        settings()
    assert told in str(refused.value)


@pytest.mark.parametrize("hosts", ["*", "*.b.example,a.example", "10.0.0.1", "::1", "[::1]", "my_host"])
def test_hosts_that_may_be_named(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    monkeypatch.setenv("HELIOGRAPH_ALLOWED_HOSTS", hosts)
    monkeypatch.setenv("HELIOGRAPH_ALLOWED_ORIGINS", "https://app.example:8443/, http://[::1]:3000, chrome-extension://abc")
    assert settings().allowed_hosts == tuple(hosts.split(","))


def test_an_upstream_that_is_wrong_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_UPSTREAMS__MINE", "sk-secret")
    monkeypatch.setenv("HELIOGRAPH_UPSTREAMS__OPENAI", "https://right.example")
    with pytest.raises(Misconfigured) as refused:
        settings()
    assert str(refused.value).startswith("HELIOGRAPH_UPSTREAMS__MINE: ")
    assert "http(s)://host" in str(refused.value)
    assert "OPENAI" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_rooms_receive_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_EMITTER__LINGER_MS", "5")
    monkeypatch.setenv("HELIOGRAPH_LIMITS__CONNECTIONS", "3")
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", "there")
    found: Settings = settings()
    assert found.ingress().emitter.linger_s == 0.005
    assert found.caps().connections == 3
    assert found.storage().lake_uri == "there/lake"


def test_a_name_in_env_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HELIOGRAPH_PROT=1\nOTHER=2\n")
    with pytest.raises(Misconfigured, match=r"HELIOGRAPH_PROT \(in \.env\) is no setting.*HELIOGRAPH_PORT"):
        settings()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_used_name_their_setting(tmp_path: Path, content: str | None) -> None:
    there = tmp_path / "ca.pem"
    if content is not None:
        there.write_text(content)
    with pytest.raises(Misconfigured, match=f"HELIOGRAPH_CA_FILE={there}: .*PEM"):
        sender(Settings(ca_file=there))


def test_what_our_clients_go_by_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_URL", "http://localhost:8787")
    monkeypatch.setenv("HELIOGRAPH_KEY", "sk-helicone-a")
    assert settings().port == 8787

"""`Helicone-RateLimit-Policy`, read and spelled as Helicone does."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingress.errors import BadDirective
from ingress.policies import LONGEST_S, NAME, Policy, Unit, parse_policy

GOOD = {
    "10;w=60;s=user": (Policy(quota=10, window_s=60, segment="user"), "10;w=60;s=user"),
    "10;w=60": (Policy(quota=10, window_s=60), "10;w=60"),
    "10;w=60;u=request": (Policy(quota=10, window_s=60), "10;w=60"),
    "100;w=86400;u=cents;s=user": (Policy(quota=100, window_s=86_400, unit=Unit.CENTS, segment="user"), "100;w=86400;u=cents;s=user"),
    "0.5;w=1;u=cents": (Policy(quota=0.5, window_s=1, unit=Unit.CENTS), "0.5;w=1;u=cents"),
    "1.5;w=60": (Policy(quota=1.5, window_s=60), "1.5;w=60"),
    " 10;W=60;U=Cents;S=Team_A-1 ": (Policy(quota=10, window_s=60, unit=Unit.CENTS, segment="team_a-1"), "10;w=60;u=cents;s=team_a-1"),
    f"1;w={LONGEST_S}": (Policy(quota=1, window_s=LONGEST_S), f"1;w={LONGEST_S}"),
    "10;w=60;s=USER": (Policy(quota=10, window_s=60, segment="user"), "10;w=60;s=user"),
}


@pytest.mark.parametrize("text", GOOD)
def test_what_is_understood(text: str) -> None:
    policy, spelled = GOOD[text]
    assert parse_policy(text) == policy
    assert str(policy) == spelled
    assert parse_policy(spelled) == policy


BAD = {
    "": "is no policy",
    "10": "is no policy",
    "w=60": "is no policy",
    "10;w=": "is no policy",
    "10;w=1.5": "is no policy",
    "-1;w=60": "is no policy",
    "1e3;w=60": "is no policy",
    "10;w=60;u=tokens": "is no policy",
    "10;w=60;s=": "is no policy",
    "10;w=60;s=a b": "is no policy",
    "10;w=60;s=user;u=cents": "is no policy",
    "10;w=60;": "is no policy",
    "١٠;w=60": "is no policy",
    "9" * 400 + ";w=60": "is no policy",
    "0;w=60": "a quota below one call",
    "0;w=60;u=cents": "a quota below one call",
    "0.5;w=60": "a quota below one call",
    "10;w=0": "a window of 0 seconds",
    f"10;w={LONGEST_S + 1}": f"a window of {LONGEST_S + 1} seconds",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_is_named_with_an_example(text: str) -> None:
    with pytest.raises(BadDirective) as caught:
        parse_policy(text)
    assert BAD[text] in str(caught.value)
    assert "10;w=60;s=user" in str(caught.value)
    assert caught.value.field == NAME


@given(
    st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,9})?", fullmatch=True).filter(lambda text: float(text) > 0),
    st.sampled_from(["", ";u=cents"]),
    st.sampled_from(["", ";s=user"]),
)
def test_what_is_spelled_is_understood_again(quota: str, unit: str, segment: str) -> None:
    assume(unit or float(quota) >= 1)
    policy = parse_policy(f"{quota};w=60{unit}{segment}")
    assert parse_policy(str(policy)) == policy

"""Sessions and tokens: nobody else's, nothing forged, nothing told."""

from storage.dashboard.access import local
from storage.dashboard.session import LASTS_S, Sessions

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
SECRET = "0123456789abcdef"


def test_a_session_opens_until_it_ends_and_nowhere_else() -> None:
    now = [1000.0]
    ours = Sessions(SECRET, lambda: now[0])
    cookie = ours.begin(KEY)
    assert KEY not in cookie
    opened = ours.open(cookie)
    assert opened is not None
    assert opened.key == KEY
    assert KEY not in repr(opened)
    assert Sessions(SECRET, lambda: now[0]).open(cookie) == opened
    assert Sessions("another secret there is", lambda: now[0]).open(cookie) is None
    now[0] += LASTS_S
    assert ours.open(cookie) is None


def test_what_was_altered_is_no_session() -> None:
    ours = Sessions(None, lambda: 0.0)
    cookie = ours.begin(KEY)
    for place in range(0, len(cookie), 7):
        other = "A" if cookie[place] != "A" else "B"
        assert ours.open(cookie[:place] + other + cookie[place + 1 :]) is None
    for said in (None, "", "x", "é", "=" * 50, cookie[:-4], "A" * 10_000):
        assert ours.open(said) is None


def test_a_token_is_another_each_time_and_good_for_one_session() -> None:
    ours = Sessions(None, lambda: 0.0)
    tokens = {ours.token("one") for _ in range(5)}
    assert len(tokens) == 5
    assert all(ours.meant(token, "one") for token in tokens)
    assert not any(ours.meant(token, "another") for token in tokens)
    assert not any(ours.meant(said, "one") for said in (None, "", "AAAA", "é"))


def test_signing_in_leads_into_the_dashboard_and_nowhere_else() -> None:
    assert local("/dashboard/calls?model=a") == "/dashboard/calls?model=a"
    for said in (
        *("https://evil.example/dashboard", "//evil.example/dashboard", "/dashboardevil", "/v1/query", "javascript:alert(1)"),
        *("/dashboard/../v1", "\\\\evil.example", "/dashboard\n", "/dashboard/sign-in?next=x", ""),
    ):
        assert local(said) == "/dashboard"

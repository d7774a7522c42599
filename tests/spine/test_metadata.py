"""What a caller says about a call by headers is what SQL answers about it."""

import json
from decimal import Decimal
from uuid import uuid4

import httpx

from tests.fakes.stack import Stack

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a secret recipe"}]}


def ask(stack: Stack, headers: dict[str, str], body: dict[str, object] = BODY) -> httpx.Response:
    return httpx.post(f"{stack.proxy}/v1/chat/completions", json=body, headers={"authorization": "Bearer sk-test", **headers})


def test_user_session_properties_and_prompt(stack: Stack) -> None:
    session = uuid4().hex
    answer = ask(
        stack,
        {
            "Helicone-User-Id": "user-123",
            "Helicone-Session-Id": session,
            "Helicone-Session-Name": "Support chat",
            "Helicone-Session-Path": "/triage/answer",
            "Helicone-Property-Feature": "support-chat",
            "Helicone-Property-Ticket-Id": "T-5678",
            "Helicone-Prompt-Id": "greeting",
        },
    )
    row = stack.row(f"session_id = '{session}'")
    assert row["user_id"] == "user-123"
    assert (row["session_name"], row["session_path"], row["prompt_id"]) == ("Support chat", "/triage/answer", "greeting")
    assert row["properties"] == {"feature": "support-chat", "ticket-id": "T-5678"}
    assert (row["organization"], row["source"], row["revision"]) == ("default", "proxy", 0)
    assert row["request_id"] == answer.headers["helicone-id"]


def test_what_was_filled_into_a_prompt(stack: Stack) -> None:
    tagged = 'In <helicone-prompt-input key="city">Oslo</helicone-prompt-input>'
    prompt = uuid4().hex
    headers = {"Helicone-Prompt-Id": prompt, "Helicone-Prompt-Version": "3", "Helicone-Prompt-Name": "Weather"}
    ask(stack, headers, BODY | {"messages": [{"role": "user", "content": tagged}]})
    row = stack.row(f"prompt_id = '{prompt}'")
    assert (row["prompt_version"], row["prompt_inputs"]) == ("3", {"city": "Oslo"})
    assert row["properties"] == {"helicone-prompt-name": "Weather"}
    assert stack.row(f"prompt_id = '{prompt}' AND prompt_inputs['city'] = 'Oslo'")
    assert "In Oslo" in json.dumps(stack.call(row["request_id"]))


def test_the_skill_pages_question_can_be_asked(stack: Stack) -> None:
    feature = uuid4().hex
    for _ in range(2):
        ask(stack, {"Helicone-Property-Feature": feature})
    stack.rows(f"properties['feature'] = '{feature}'", count=2)
    (found,) = stack.query(
        f"SELECT model, sum(cost_usd) AS cost, count(*) AS calls FROM calls WHERE properties['feature'] = '{feature}' GROUP BY 1"
    )
    assert found["calls"] == 2
    assert found["cost"] > 0


def test_the_clients_request_id_is_ours(stack: Stack) -> None:
    chosen = str(uuid4())
    assert ask(stack, {"Helicone-Request-Id": chosen}).headers["helicone-id"] == chosen
    row = stack.row(f"request_id = '{chosen}'")
    assert row["call_id"] != chosen
    assert stack.call(chosen)["call_id"] == row["call_id"]


def test_a_request_id_that_is_none_is_replaced_and_said(stack: Stack) -> None:
    answer = ask(stack, {"Helicone-Request-Id": "not-an-id"})
    assert answer.status_code == 200
    assert "Helicone-Request-Id" in answer.headers["helicone-warning"]


def test_the_users_id_may_stand_in_the_body(stack: Stack) -> None:
    user = uuid4().hex
    ask(stack, {}, BODY | {"user": user})
    assert stack.row(f"user_id = '{user}'")


def test_a_model_override_prices_the_call(stack: Stack) -> None:
    request_id = str(uuid4())
    ask(stack, {"Helicone-Request-Id": request_id, "Helicone-Model-Override": "gpt-4o"}, BODY | {"model": "my-deployment"})
    row = stack.row(f"request_id = '{request_id}'")
    assert (row["model"], row["request_model"]) == ("gpt-4o", "my-deployment")
    assert row["cost_usd"] > 0


def test_a_cost_override_prices_a_call_that_no_list_knows(stack: Stack) -> None:
    request_id, rates = str(uuid4()), "input=2,output=8,request=0.01"
    ask(stack, {"Helicone-Request-Id": request_id, "Helicone-Cost-Override": rates}, BODY | {"model": "nobody-knows-1"})
    row = stack.row(f"request_id = '{request_id}'")
    tokens = Decimal(row["prompt_tokens"] * 2 + row["completion_tokens"] * 8) / 1_000_000
    assert Decimal(str(row["cost_usd"])) == tokens + Decimal("0.01")
    assert row["price_source"] == "Helicone-Cost-Override: input=2,output=8,request=0.01"


def test_an_unknown_model_has_no_cost(stack: Stack) -> None:
    request_id = str(uuid4())
    ask(stack, {"Helicone-Request-Id": request_id}, BODY | {"model": "nobody-knows-1"})
    row = stack.row(f"request_id = '{request_id}'")
    assert row["cost_usd"] is None
    assert row["prompt_tokens"] > 0


def test_bodies_are_kept_and_can_be_omitted(stack: Stack) -> None:
    kept = ask(stack, {}).headers["helicone-id"]
    omitted = ask(stack, {"Helicone-Omit-Request": "true", "Helicone-Omit-Response": "true"}).headers["helicone-id"]
    stack.rows(f"request_id IN ('{kept}', '{omitted}')", count=2)
    assert "a secret recipe" in json.dumps(stack.call(kept))
    row = stack.row(f"request_id = '{omitted}'")
    assert row["prompt_tokens"] > 0
    assert "a secret recipe" not in json.dumps(stack.call(omitted))
    assert not stack.query(f"SELECT text FROM bodies WHERE request_id = '{omitted}' AND text IS NOT NULL")

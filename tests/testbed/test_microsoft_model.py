"""What the probe of Graph does not see of its model: faults, limits, contract and the strings that tests pull."""

from __future__ import annotations

import httpx

from tests.testbed.microsoft import Model


def test_an_event_comes_back(microsoft_model: Model) -> None:
    account = microsoft_model.account()
    headers = {"Authorization": f"Bearer {account.token}"}
    with httpx.Client(base_url=f"{microsoft_model.url}/v1.0", headers=headers, trust_env=False) as client:
        at = {"timeZone": "W. Europe Standard Time"}
        body = {
            "start": {"dateTime": "2026-03-02T10:00:00", **at},
            "end": {"dateTime": "2026-03-02T11:00:00", **at},
        }
        made = client.post("/me/events", json=body)
        assert made.status_code == 201
        assert (
            client.get(f"/me/events/{made.json()['id']}")
            .json()["start"]["dateTime"]
            .startswith("2026-03-02T09")
        )

"""What tasks themselves decide: their own labels, hidden controls, dialogues, and texts behind addresses."""

from typing import Any

from support.web import Web

OWN = """
<View>
  <Chat name="chat" value="$messages"/>
  <Choices name="own" toName="chat" value="$options"/>
  <Choices name="about" toName="chat"><Choice value="delivery"/><Choice value="account"/></Choices>
  <View visibleWhen="choice-selected" whenTagName="about" whenChoiceValue="account">
    <Rating name="urgency" toName="chat" maxRating="3"/>
  </View>
</View>
"""
URL = """
<View><Text name="text" value="$url" valueType="url"/>
<Choices name="c" toName="text"><Choice value="a"/><Choice value="b"/></Choices></View>
"""


def message(text: str, *options: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "options": [{"value": name} for name in options]}


def test_each_task_is_answered_with_its_labels_and_only_in_controls_that_it_shows(web: Web) -> None:
    version = web.setup(OWN).json["model_version"]
    parcel, password = "Where is my parcel? The courier never came.", "I forgot my password and cannot log in."
    tasks = [
        message(parcel, "parcels", "passwords"),
        message(password, "passwords", "parcels", "weather"),
        message(parcel, "parcels"),
        {"options": [{"value": "A"}, {"value": "B"}]},
    ]
    first = web.predict(*tasks, config=OWN).json["results"]
    shown = [{one["from_name"]: one["value"].get("choices") for one in task["result"]} for task in first[:3]]
    assert shown == [
        {"own": ["parcels"], "about": ["delivery"]},
        {"own": ["passwords"], "about": ["account"], "urgency": None},
        {"about": ["delivery"]},
    ]
    assert "'messages'" in first[3]["error"]
    assert all(task["model_version"] == version for task in first[:3])
    assert web.predict(*tasks, config=OWN).json["results"] == first  # from the cache


def test_the_web_process_reads_no_address_and_says_what_to_do(web: Web) -> None:
    web.setup(URL)
    (result,) = web.predict({"url": "/data/upload/1/a.txt"}, config=URL).json["results"]
    assert "'url' is an address" in result["error"] and "labelloop connect" in result["error"]

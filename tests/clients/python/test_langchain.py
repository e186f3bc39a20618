from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from common import *

CLIENT, PACKAGE = "langchain-openai (Python)", "langchain-openai"


def model(server: str = DEMO, **more) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{server}/v1", api_key="none", model="gpt-4o", max_retries=0, **{"temperature": 0, **more})


def test_chat():
    message = model().invoke("Hello")
    assert (message.content, message.response_metadata["finish_reason"]) == (GREETING, "stop")
    cut = model(max_tokens=3).invoke("Hello")
    assert (cut.response_metadata["finish_reason"], cut.usage_metadata["output_tokens"]) == ("length", 3)
    # The same by responses.
    assert model(use_responses_api=True).invoke("Hello").text == GREETING


def test_stream():
    chunks = list(model(stream_usage=True).stream("Hello"))
    texts = [chunk.content for chunk in chunks if chunk.content]
    whole = sum(chunks[1:], chunks[0])
    assert whole.content == GREETING and 4 <= len(texts) <= whole.usage_metadata["output_tokens"]
    assert "".join(chunk.text for chunk in model(use_responses_api=True).stream("Hello")) == GREETING


def test_picture():
    shown = {"type": "image", "base64": PICTURE_BASE64, "mime_type": "image/png"}
    message = HumanMessage([shown, {"type": "text", "text": DESCRIBE}])
    assert model().invoke([message]).content == WANTED
    assert model(use_responses_api=True).invoke([message]).text == WANTED


def test_tools():
    bound = model().bind_tools([function(PAINT)], tool_choice="required", parallel_tool_calls=False)
    message = bound.invoke("Hello")
    call = message.tool_calls[0]
    assert (message.response_metadata["finish_reason"], call["name"]) == ("tool_calls", "paint")
    Scene.model_validate(call["args"])
    turns = [HumanMessage("Hello"), message, ToolMessage("Thanks!", tool_call_id=call["id"])]
    after = model().bind_tools([function(PAINT)]).invoke(turns)
    wanted = chat(DEMO, messages=asked() + called("paint", json.dumps(call["args"]), "Thanks!"), tools=[function(PAINT)])
    assert (after.content, after.usage_metadata["input_tokens"]) == wanted
    chunks = list(bound.stream("Hello"))
    assert sum(chunks[1:], chunks[0]).tool_calls[0]["args"] == call["args"]


def test_result_picture():
    call = {"name": "look", "args": {}, "id": "call_1"}
    shown = {"type": "image_url", "image_url": {"url": PICTURE}}
    turns = [HumanMessage("Look."), AIMessage("", tool_calls=[call]), ToolMessage([shown], tool_call_id="call_1")]
    message = model(TOOLS, max_tokens=12).bind_tools([function(LOOK)]).invoke(turns)
    assert (message.content, message.usage_metadata["input_tokens"]) == seen_in_a_result()


def test_schema():
    for method in "json_schema", "function_calling":
        structured = model(temperature=1.5, seed=3).with_structured_output(Scene, method=method)
        assert isinstance(structured.invoke("Hello"), Scene)


def test_abort():
    with Aborted() as aborted:
        stream = model(TOOLS, max_tokens=ENDLESS).stream("Hello")
        assert sum(1 for _, _ in zip(range(3), stream)) == 3
        aborted.begun()
        stream.close()


def test_tokens():
    usage = model().invoke("Hello").usage_metadata
    assert usage["input_tokens"] == post(DEMO, "/v1/tokenize", messages=asked())["count"]
    assert (usage["output_tokens"], usage["total_tokens"]) == (8, usage["input_tokens"] + 8)

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from common import *

CLIENT, PACKAGE = "mcp (Python)", "mcp"
KINDS = ["stdio", "http"]


@asynccontextmanager
async def connected(kind: str):
    """A client with the path of a picture, or its `data:` URL over HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(PICTURE_FILE, folder)
        arguments = ["mcp", str(ROOT / "www/models/demo"), "--root", folder, "--quiet"]
        server = StdioServerParameters(command=os.environ["OCELLI_COMMAND"], args=arguments)
        transport = stdio_client(server) if kind == "stdio" else streamable_http_client(f"{DEMO}/mcp")
        async with Client(transport) as client:
            yield client, PICTURE_FILE.name if kind == "stdio" else PICTURE


def each(kinds: list[str]):
    """Runs a test for each kind of connection."""

    def wrap(test):
        def run(kind):
            async def body():
                async with connected(kind) as (client, picture):
                    await test(client, picture)

            asyncio.run(body())

        return pytest.mark.parametrize("kind", kinds)(run)

    return wrap


@each(KINDS)
async def test_picture(client, picture):
    result = await client.call_tool("describe", {"image": picture})
    assert not result.is_error and result.content[0].text == WANTED


@each(KINDS)
async def test_tools(client, picture):
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"describe", "read_text", "extract", "compare", "find_in_folder"}
    assert set(tools["extract"].input_schema["required"]) == {"image", "schema"}


@each(KINDS)
async def test_schema(client, picture):
    result = await client.call_tool("extract", {"image": picture, "schema": PARAMETERS})
    assert Scene.model_validate(result.structured_content) == Scene.model_validate_json(result.content[0].text)


@each(KINDS)
async def test_progress(client, picture):
    heard = []

    async def hear(progress, total, message):
        heard.append((progress, message))

    result = await client.call_tool("describe", {"image": picture}, progress_callback=hear)
    assert result.content[0].text == WANTED and heard and "of the answer" in heard[-1][1]
    assert [progress for progress, _ in heard] == sorted(progress for progress, _ in heard)


@each(KINDS)
async def test_refusal(client, picture):
    result = await client.call_tool("describe", {"image": "/etc/passwd"})
    assert result.is_error and "is no file" in result.content[0].text


LONG = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1500}}}


def test_abort():
    async def body():
        async with Client(streamable_http_client(f"{TOOLS}/mcp")) as client:
            call = asyncio.ensure_future(client.call_tool("extract", {"image": PICTURE, "schema": LONG}))
            with Aborted(1500) as aborted:
                while not metric(TOOLS, "ocelli_requests_active"):
                    await asyncio.sleep(0.02)
                aborted.begun()
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call

    asyncio.run(body())

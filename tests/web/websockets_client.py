"""Both subprotocols with `websockets` (PyPI), against the broker at the address given: `127.0.0.1:PORT`.

Each check that passed is a line "ok NAME"; whatever fails ends the script with an error.
"""

import asyncio
import json
import sys

import websockets

ADDRESS = sys.argv[1]
URL = f"ws://{ADDRESS}/v1/ws"
HELLO = bytes.fromhex(sys.argv[2])


async def told(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 20))


async def welcomed(compression=None):
    socket = await websockets.connect(URL, subprotocols=["fanwire.json.v1"], compression=compression)
    assert socket.subprotocol == "fanwire.json.v1", socket.subprotocol
    await socket.send(json.dumps({"type": "hello"}))
    welcome = await told(socket)
    assert welcome["type"] == "welcome", welcome
    return socket


async def publishes_and_hears():
    subscriber, publisher = await welcomed(), await welcomed()
    await subscriber.send(json.dumps({"type": "subscribe", "subscription": 1, "filter": "chat/+"}))
    assert (await told(subscriber))["outcome"] == "live"
    for payload in ["hello", "", "\u00e9\u20ac\U0001f600\u0000\n", "x" * 100_000]:
        await publisher.send(
            json.dumps({"type": "publish", "topic": "chat/a", "payload": payload, "ack": "routed"})
        )
        assert (await told(publisher))["type"] == "ack"
        message = await told(subscriber)
        assert (message["topic"], message["payload"]) == ("chat/a", payload), message
    # Sent in fragments, with a ping that is answered.
    text = json.dumps({"type": "publish", "topic": "chat/a", "payload": "in pieces"})
    await publisher.send(iter([text[:10], text[10:30], text[30:]]))
    assert (await told(subscriber))["payload"] == "in pieces"
    await asyncio.wait_for(await publisher.ping(), 20)
    await subscriber.close()
    assert subscriber.close_code == 1000, subscriber.close_code
    await publisher.close()


async def compresses_where_it_is_offered():
    # It offers a window of 12 bits in both directions.
    socket = await welcomed("deflate")
    assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
    await socket.send(json.dumps({"type": "subscribe", "subscription": 1, "filter": "squeezed"}))
    assert (await told(socket))["outcome"] == "live"
    for payload in ["short", "squeezed and long " * 10_000, "\u20ac" * 5_000, ""]:
        await socket.send(json.dumps({"type": "publish", "topic": "squeezed", "payload": payload}))
        assert (await told(socket))["payload"] == payload
    # Fragments of one message.
    text = json.dumps({"type": "publish", "topic": "squeezed", "payload": "in pieces " * 1_000})
    await socket.send(iter([text[:100], text[100:3_000], text[3_000:]]))
    assert (await told(socket))["payload"] == "in pieces " * 1_000
    await socket.close()
    assert socket.close_code == 1000, socket.close_code


async def compresses_native_frames():
    async with websockets.connect(URL, subprotocols=["fanwire.v1"], compression="deflate") as socket:
        assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
        await socket.send(HELLO)
        welcome = await asyncio.wait_for(socket.recv(), 20)
        assert isinstance(welcome, bytes) and welcome[1] == 0x02, welcome


async def is_told_what_was_wrong():
    socket = await welcomed()
    await socket.send("no JSON")
    assert (await told(socket))["name"] == "MALFORMED_FRAME"
    try:
        await asyncio.wait_for(socket.recv(), 20)
    except websockets.exceptions.ConnectionClosed:
        pass
    assert socket.close_code == 1007, socket.close_code


async def speaks_native_frames():
    async with websockets.connect(URL, subprotocols=["fanwire.v1"]) as socket:
        assert socket.subprotocol == "fanwire.v1"
        await socket.send(HELLO)
        welcome = await asyncio.wait_for(socket.recv(), 20)
        assert isinstance(welcome, bytes) and welcome[1] == 0x02, welcome


async def main():
    checks = [
        publishes_and_hears,
        compresses_where_it_is_offered,
        compresses_native_frames,
        is_told_what_was_wrong,
        speaks_native_frames,
    ]
    for check in checks:
        await check()
        print("ok", check.__name__)


asyncio.run(main())

# SPDX-License-Identifier: Apache-2.0
"""The peer: FastAPI in front of a Jupyter Server, in the shape of E2B's in-guest server. POST /execute answers NDJSON,
POST /kernels makes a kernel and answers when 1+1 has run in it."""
import asyncio
import json
import os
import uuid

import httpx
import websockets
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import StreamingResponse

JUPYTER = os.environ["PEER_JUPYTER"]
app = FastAPI()


class Request(BaseModel):
    code: str


class Kernel:
    """One kernel behind one websocket; answers are told apart by their parent's id."""

    def __init__(self, kernel_id):
        self.id, self.session, self.queues, self.lock = kernel_id, str(uuid.uuid4()), {}, asyncio.Lock()

    @classmethod
    async def start(cls):
        async with httpx.AsyncClient() as http:
            kernel = cls((await http.post(f"http://{JUPYTER}/api/kernels", json={"name": "python3"})).json()["id"])
        kernel.ws = await websockets.connect(
            f"ws://{JUPYTER}/api/kernels/{kernel.id}/channels?session_id={kernel.session}", max_size=None, max_queue=None)
        kernel.task = asyncio.create_task(kernel.read())
        return kernel

    async def read(self):
        async for raw in self.ws:
            message = json.loads(raw)
            queue = self.queues.get(message.get("parent_header", {}).get("msg_id"))
            if queue is not None:
                queue.put_nowait((message["msg_type"], message["content"]))

    async def execute(self, code):
        message_id = str(uuid.uuid4())
        queue = self.queues[message_id] = asyncio.Queue()
        async with self.lock:
            await self.ws.send(json.dumps({
                "header": {"msg_id": message_id, "username": "u", "session": self.session, "msg_type": "execute_request",
                           "version": "5.3"}, "parent_header": {}, "metadata": {},
                "content": {"code": code, "silent": False, "store_history": True, "user_expressions": {},
                            "allow_stdin": False}}))
            while True:
                kind, content = await queue.get()
                if kind == "stream":
                    yield {"type": content["name"], "text": content["text"]}
                elif kind in ("execute_result", "display_data"):
                    yield {"type": "result", "is_main_result": kind == "execute_result", "data": content["data"]}
                elif kind == "error":
                    yield {"type": "error", "name": content["ename"], "value": content["evalue"]}
                elif kind == "execute_input":
                    yield {"type": "number_of_executions", "execution_count": content["execution_count"]}
                elif kind == "status" and content["execution_state"] == "idle":
                    break
            del self.queues[message_id]
        yield {"type": "end_of_execution"}


@app.on_event("startup")
async def startup():
    app.state.kernel = await Kernel.start()
    async for _ in app.state.kernel.execute("1"):
        pass


@app.post("/execute")
async def execute(request: Request):
    async def lines():
        async for item in app.state.kernel.execute(request.code):
            yield json.dumps(item) + "\n"
    return StreamingResponse(lines(), media_type="application/x-ndjson")


@app.post("/kernels")
async def kernels():
    kernel = await Kernel.start()
    result = [item async for item in kernel.execute("1+1") if item["type"] == "result"]
    async with httpx.AsyncClient() as http:
        await http.delete(f"http://{JUPYTER}/api/kernels/{kernel.id}")
    return result


@app.get("/health")
async def health():
    return "ok"

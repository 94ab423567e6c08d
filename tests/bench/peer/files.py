# SPDX-License-Identifier: Apache-2.0
"""/files as an envd written in Python would serve them: one body, streamed to and from a file."""
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse

app = FastAPI()


@app.get("/files")
def download(path: str):
    return FileResponse(path)


@app.post("/files")
async def upload(path: str, request: Request):
    with open(path, "wb") as f:
        async for piece in request.stream():
            f.write(piece)
    return [{"name": path.rsplit("/", 1)[1], "path": path, "type": "file"}]

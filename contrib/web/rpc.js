// Connect and gRPC-Web, JSON codec, over fetch: unary calls and server streams.
// https://connectrpc.com/docs/protocol and grpc/grpc doc/PROTOCOL-WEB.md

export class RpcError extends Error {
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

const CODES = ["ok", "canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
  "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented",
  "internal", "unavailable", "data_loss", "unauthenticated"];
const END_CONNECT = 0x02;
const END_GRPC_WEB = 0x80;

function envelope(message) {
  const body = new TextEncoder().encode(JSON.stringify(message));
  const framed = new Uint8Array(5 + body.length);
  new DataView(framed.buffer).setUint32(1, body.length);
  framed.set(body, 5);
  return framed;
}

async function* envelopes(reader) {
  let buffer = new Uint8Array(0);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      if (buffer.length) throw new RpcError("data_loss", "the stream was cut inside a message");
      return;
    }
    const joined = new Uint8Array(buffer.length + value.length);
    joined.set(buffer);
    joined.set(value, buffer.length);
    buffer = joined;
    while (buffer.length >= 5) {
      const size = new DataView(buffer.buffer, buffer.byteOffset).getUint32(1);
      if (buffer.length < 5 + size) break;
      yield { flags: buffer[0], text: new TextDecoder().decode(buffer.subarray(5, 5 + size)) };
      buffer = buffer.slice(5 + size);
    }
  }
}

function grpcStatus(get) {
  const status = Number(get("grpc-status") ?? 2);
  if (status !== 0) throw new RpcError(CODES[status] ?? "unknown", decodeURIComponent(get("grpc-message") ?? ""));
}

function trailers(text) {
  const map = new Map();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) map.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return map;
}

async function httpError(response) {
  let body = {};
  try { body = await response.json(); } catch { /* not JSON: the status has to do */ }
  const code = typeof body.code === "string" ? body.code : response.status === 502 ? "unavailable" : "unknown";
  return new RpcError(code, body.message ?? `HTTP ${response.status}`);
}

// Server stream (or a unary call over gRPC-Web): yields messages; throws RpcError unless it ended well.
export async function* stream(protocol, method, message, headers, signal) {
  const grpcWeb = protocol === "grpc-web";
  const response = await fetch(`/${method}`, {
    method: "POST",
    headers: { ...headers, "content-type": grpcWeb ? "application/grpc-web+json" : "application/connect+json",
      ...(grpcWeb ? { "x-grpc-web": "1" } : { "connect-protocol-version": "1" }) },
    body: envelope(message),
    signal,
  });
  if (!response.ok) throw await httpError(response);
  if (grpcWeb && response.headers.has("grpc-status")) grpcStatus((name) => response.headers.get(name));
  let ended = false;
  for await (const { flags, text } of envelopes(response.body.getReader())) {
    if (grpcWeb ? flags & END_GRPC_WEB : flags & END_CONNECT) {
      ended = true;
      if (grpcWeb) {
        const map = trailers(text);
        grpcStatus((name) => map.get(name));
      } else {
        const { error } = JSON.parse(text);
        if (error) throw new RpcError(error.code, error.message);
      }
    } else {
      yield JSON.parse(text);
    }
  }
  if (!ended && !(grpcWeb && response.headers.has("grpc-status"))) throw new RpcError("unavailable", "the connection was lost");
}

export async function unary(protocol, method, message, headers) {
  if (protocol === "grpc-web") {
    let answer;
    for await (const m of stream(protocol, method, message, headers)) answer = m;
    return answer ?? {};
  }
  const response = await fetch(`/${method}`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", "connect-protocol-version": "1" },
    body: JSON.stringify(message),
  });
  if (!response.ok) throw await httpError(response);
  return response.json();
}

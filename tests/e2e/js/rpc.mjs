// Shared by the tests of RPC clients: services from the descriptor set of the build, no generated code. The server
// and the build are named by the environment that tests/e2e/run sets.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

export const url = process.env.SANDGLASS_URL;
export const keyHeaders = { "x-api-key": process.env.E2B_API_KEY };
export const protoDir = process.env.SANDGLASS_TEST_PROTO;

const set = readFileSync(`${process.env.SANDGLASS_TEST_BUILD}/proto/descriptors.fds`);
export const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, set));

export function service(name) {
  const found = registry.getService(name);
  if (!found) throw new Error(`no service ${name}`);
  return found;
}

// Metadata of calls into a sandbox, from what CreateSandbox answered.
export function dataHeaders(made) {
  return { "sandglass-sandbox-id": made.sandbox.sandboxId, "x-access-token": made.accessToken };
}

// For the agent's E2B services, which have no names of ours to be routed by.
export function envdHeaders(made) {
  return { ...dataHeaders(made), "e2b-sandbox-id": made.sandbox.sandboxId, "e2b-sandbox-port": "49983" };
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
struct http_stream;
struct interpreter;

/* /contexts of E2B's SDKs; rest is the path behind that: "", "/{id}" or "/{id}/restart". */
void contexts_http_handle(struct interpreter *ip, struct http_stream *st, const char *rest);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
struct http_stream;
struct interpreter;

/* POST /execute: answers on st. */
void execute_http_start(struct interpreter *ip, struct http_stream *st);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
struct http_stream;
struct identity;

/* The program behind a port cannot be reached: JSON, or a page for a person with a browser. */
void closed_page_answer(struct http_stream *st, const struct identity *id, unsigned port, int err);

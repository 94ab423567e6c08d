/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core objects as protobuf messages. Texts are borrowed from the object, the rest is held here. */
#include "sandglass/v1/sandbox.pb-c.h"

struct sandbox;
struct template;

struct pb_sandbox {
	Sandglass__V1__Sandbox m;
	Google__Protobuf__Timestamp started, end;
	Sandglass__V1__Sandbox__MetadataEntry *entries, **list;
};
/* 0 or -ENOMEM; finish in any case. Valid until the next loop turn. */
int pb_sandbox_init(struct pb_sandbox *p, const struct sandbox *sb);
void pb_sandbox_fini(struct pb_sandbox *p);

Google__Protobuf__Timestamp pb_timestamp(int64_t real_ns);

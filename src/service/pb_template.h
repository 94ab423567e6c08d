/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Templates as protobuf messages. Texts are borrowed; valid until the next loop turn. */
#include "sandglass/v1/sandbox.pb-c.h"
#include "sandglass/v1/template.pb-c.h"

struct control;
struct template;

void pb_template_fill(
    Sandglass__V1__Template *m, const struct control *ctl, const struct template *t);

struct pb_template_image {
	Sandglass__V1__TemplateImage m;
	Sandglass__V1__Template tmpl;
	Sandglass__V1__Image image;
	Google__Protobuf__Timestamp created;
};
void pb_template_image_fill(
    struct pb_template_image *p, const struct control *ctl, const struct template *t);

/* SPDX-License-Identifier: Apache-2.0 */
#include "service/pb_template.h"

#include "image/template.h"
#include "sandbox/sandbox.h"
#include "service/control.h"
#include "service/pb_sandbox.h"
#include "vmm/images.h"

void pb_template_fill(
    Sandglass__V1__Template *m, const struct control *ctl, const struct template *t)
{
	sandglass__v1__template__init(m);
	m->template_id = (char *)t->id;
	m->name = (char *)t->name;
	m->description = t->description ? t->description : m->description;
	m->aliases = t->aliases;
	while (t->aliases && t->aliases[m->n_aliases])
		m->n_aliases++;
	m->cpu_milli = t->cpu_milli;
	m->memory_bytes = t->memory_bytes;
	m->disk_bytes = t->disk_bytes;
	m->pool_ready = (uint32_t)sandboxes_pool_ready(ctl->sandboxes, t);
}

static Sandglass__V1__ImageState state_of(enum image_state s)
{
	static const Sandglass__V1__ImageState states[] = {
		[IMAGE_ABSENT] = SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_ABSENT,
		[IMAGE_READY] = SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_READY,
		[IMAGE_OUTDATED] = SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_OUTDATED,
		[IMAGE_BUILDING] = SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_BUILDING,
		[IMAGE_FAILED] = SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_FAILED,
	};
	return states[s];
}

void pb_template_image_fill(
    struct pb_template_image *p, const struct control *ctl, const struct template *t)
{
	const struct image_view v = images_get(ctl->images, t->name);
	pb_template_fill(&p->tmpl, ctl, t);
	sandglass__v1__template_image__init(&p->m);
	sandglass__v1__image__init(&p->image);
	p->m.template_ = &p->tmpl;
	p->m.image = &p->image;
	p->m.bases = t->build.bases;
	while (t->build.bases[p->m.n_bases])
		p->m.n_bases++;
	p->m.needs_image = control_needs_image(ctl, t);
	p->image.state = state_of(v.state);
	p->image.hash = (char *)v.hash;
	p->image.format = (char *)v.format;
	p->image.kernel = (char *)v.kernel;
	p->image.bytes = v.bytes;
	p->image.error = (char *)v.text;
	if (v.hash[0]) {
		p->created = pb_timestamp(v.created_real_ns);
		p->image.created_at = &p->created;
	}
}

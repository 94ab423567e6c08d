/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a template file: a template or an error that names the file, never both or neither.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "image/template.h"
#include "image/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err err = ERR_INIT;
	struct yaml_doc *d = yaml_doc_parse("f", p, n, &err);
	struct template *t = d ? template_read(yaml_doc_root(d), &err) : NULL;
	assert((t != NULL) == (err.code == 0));
	assert(t || err.code == -ENOMEM || strncmp(err.text, "f:", 2) == 0);
	(void)template_free(t);
	(void)yaml_doc_free(d);
	return 0;
}

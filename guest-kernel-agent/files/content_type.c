/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/content_type.h"

#include <string.h>

#include "base/str.h"

#define TEXT "text/plain; charset=utf-8"
#define BINARY "application/octet-stream"

static const struct {
	const char *ending, *type;
} endings[] = {
	{ "avif", "image/avif" },
	{ "bmp", "image/bmp" },
	{ "c", TEXT },
	{ "css", "text/css; charset=utf-8" },
	{ "csv", "text/csv; charset=utf-8" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
	{ "h", TEXT },
	{ "htm", "text/html; charset=utf-8" },
	{ "html", "text/html; charset=utf-8" },
	{ "ico", "image/x-icon" },
	{ "ipynb", "application/x-ipynb+json" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript; charset=utf-8" },
	{ "json", "application/json" },
	{ "jsonl", "application/jsonl" },
	{ "log", TEXT },
	{ "md", "text/markdown; charset=utf-8" },
	{ "mjs", "text/javascript; charset=utf-8" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "ogg", "audio/ogg" },
	{ "parquet", "application/vnd.apache.parquet" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "py", "text/x-python; charset=utf-8" },
	{ "sh", "text/x-shellscript; charset=utf-8" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "ts", TEXT },
	{ "tsv", "text/tab-separated-values; charset=utf-8" },
	{ "txt", TEXT },
	{ "wasm", "application/wasm" },
	{ "wav", "audio/wav" },
	{ "webm", "video/webm" },
	{ "webp", "image/webp" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", "text/xml; charset=utf-8" },
	{ "yaml", "application/yaml" },
	{ "yml", "application/yaml" },
	{ "zip", "application/zip" },
};

static const struct {
	const char *bytes;
	size_t n;
	const char *type;
} signatures[] = {
	{ "\x89PNG\r\n\x1a\n", 8, "image/png" },
	{ "\xff\xd8\xff", 3, "image/jpeg" },
	{ "GIF87a", 6, "image/gif" },
	{ "GIF89a", 6, "image/gif" },
	{ "%PDF-", 5, "application/pdf" },
	{ "PK\x03\x04", 4, "application/zip" },
	{ "\x1f\x8b\x08", 3, "application/gzip" },
	{ "\0asm", 4, "application/wasm" },
};

/* Bytes of a character that the piece may have cut off. */
static size_t cut_tail(const unsigned char *p, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++)
		if (p[n - back] >= 0xc0)
			return back;
	return 0;
}

static bool is_text(const unsigned char *p, size_t n, bool at_end)
{
	for (size_t i = 0; i < n; i++)
		if ((p[i] < ' ' && !strchr("\t\n\f\r\x1b", p[i])) || p[i] == '\0' || p[i] == 0x7f)
			return false;
	return str_utf8_valid(p, n) || (!at_end && str_utf8_valid(p, n - cut_tail(p, n)));
}

const char *content_type_of(const char *name, const void *p, size_t n, bool at_end)
{
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && i < sizeof(endings) / sizeof(endings[0]); i++)
		if (str_ieq(dot + 1, endings[i].ending))
			return endings[i].type;
	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
		if (n >= signatures[i].n && memcmp(p, signatures[i].bytes, signatures[i].n) == 0)
			return signatures[i].type;
	if (n > CONTENT_TYPE_SNIFF) {
		n = CONTENT_TYPE_SNIFF;
		at_end = false;
	}
	return n == 0 || is_text(p, n, at_end) ? TEXT : BINARY;
}

bool content_type_is_text(const char *type)
{
	return str_after(type, "text/") || str_ends(type, "json") || str_ends(type, "+xml") ||
	       str_ends(type, "jsonl") || str_ends(type, "/yaml");
}

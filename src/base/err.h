/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Error convention of the whole tree.
 *
 * A function that can fail returns 0 on success, -errno when its caller can only give up and pass
 * the number on unchanged, and a positive MOD_E_X for an outcome that the module's header lists and
 * that the direct caller handles. Nobody compares for an errno that our own code produced.
 *
 * Where a person will read the failure, the function takes a struct err last (reterr). It keeps the
 * first cause: later calls to err_set() on the same object change nothing.
 */
#include <stdarg.h>
#include <stddef.h>

#define ERR_TEXT_MAX 320

struct err {
	int code;		 /* 0 or -errno of the first cause */
	char text[ERR_TEXT_MAX]; /* one sentence without a final full stop; "" while code is 0 */
};

#define ERR_INIT          \
	{                 \
		0,        \
		{         \
			0 \
		}         \
	}

/* Store the first failure; returns code so that "return err_set(...)" reads well. err may be NULL.
 */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Put "what: " before the stored text (truncating at the end). No effect when err is NULL or unset.
 */
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_reset(struct err *err);
/* The text, or the system's words for the code when there is no text. */
const char *err_text(const struct err *err);
/* strerror() for a negative errno, thread safe, never NULL. */
const char *err_name(int code);

#define ERR_CHECKED __attribute__((warn_unused_result))

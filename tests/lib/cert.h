/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A self-signed certificate for tests, in two PEM files of a fresh directory. */
#define CERT_PATH_MAX 64

struct test_cert {
	char dir[CERT_PATH_MAX];
	char cert_file[CERT_PATH_MAX + 16];
	char key_file[CERT_PATH_MAX + 16];
};

/* For host (a DNS name), valid for an hour. Aborts the test on failure. */
void test_cert_make(struct test_cert *c, const char *host);
void test_cert_remove(struct test_cert *c);

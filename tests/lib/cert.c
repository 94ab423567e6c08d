/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <check.h>

static X509 *sign(EVP_PKEY *key, const char *host)
{
	char alt[256];
	X509 *x = X509_new();
	ck_assert_ptr_nonnull(x);
	(void)X509_set_version(x, X509_VERSION_3);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), -60);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	(void)X509_set_pubkey(x, key);
	X509_NAME *name = X509_get_subject_name(x);
	(void)X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0);
	(void)X509_set_issuer_name(x, name);
	(void)snprintf(alt, sizeof(alt), "DNS:%s,IP:127.0.0.1", host);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
	ck_assert_ptr_nonnull(e);
	(void)X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	return x;
}

void test_cert_make(struct test_cert *c, const char *host)
{
	(void)snprintf(c->dir, sizeof(c->dir), "/tmp/sandglass-cert.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(c->dir));
	(void)snprintf(c->cert_file, sizeof(c->cert_file), "%s/cert.pem", c->dir);
	(void)snprintf(c->key_file, sizeof(c->key_file), "%s/key.pem", c->dir);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	ck_assert_ptr_nonnull(key);
	X509 *x = sign(key, host);
	FILE *f = fopen(c->cert_file, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(PEM_write_X509(f, x), 1);
	ck_assert_int_eq(fclose(f), 0);
	f = fopen(c->key_file, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(c->key_file, 0600), 0);
	X509_free(x);
	EVP_PKEY_free(key);
}

void test_cert_remove(struct test_cert *c)
{
	(void)unlink(c->cert_file);
	(void)unlink(c->key_file);
	(void)rmdir(c->dir);
}

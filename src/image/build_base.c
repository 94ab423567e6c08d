/* SPDX-License-Identifier: Apache-2.0 */
/* The lowest layer of an image. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "image/build_private.h"

#define DPKG_EXCLUDE(path) "--dpkgopt=path-exclude=" path

/* Programs are missing when the set "microvm" of contrib/packages is not installed. */
static int explain_missing(const char *program, int r, struct err *reterr)
{
	if (r != -ENOENT)
		return r;
	err_reset(reterr);
	return err_set(reterr, r,
	    "%s is not installed on this machine (contrib/packages microvm installs it)", program);
}

static int make_debian(struct build *b, const void *arg, struct err *reterr)
{
	const char *suite = arg;
	char main_line[512], updates[512], security[512];
	const struct build_host *h = &b->host;
	bool stable = !str_eq(suite, "sid") && !str_eq(suite, "unstable");
	(void)snprintf(main_line, sizeof(main_line), "deb %s %s main", h->mirror, suite);
	(void)snprintf(updates, sizeof(updates), "deb %s %s-updates main", h->mirror, suite);
	(void)snprintf(
	    security, sizeof(security), "deb %s %s-security main", h->security_mirror, suite);
	const char *const argv[] = { "mmdebstrap", "--mode=root", "--variant=minbase",
		"--format=directory",
		"--skip=check/empty,check/qemu,chroot/mount,output/dev,output/mknod",
		"--aptopt=APT::Install-Recommends \"false\"",
		"--aptopt=APT::Sandbox::User \"root\"", "--aptopt=" BUILD_HOST_DIR "/apt.conf",
		DPKG_EXCLUDE("/usr/share/man/*"), DPKG_EXCLUDE("/usr/share/locale/*"),
		DPKG_EXCLUDE("/usr/share/info/*"), DPKG_EXCLUDE("/usr/share/doc/*"),
		"--dpkgopt=path-include=/usr/share/doc/*/copyright", suite, "/target", main_line,
		stable ? updates : NULL, security, NULL };
	const struct jail_plan p = {
		.kind = JAIL_TOOLS, .argv = argv, .online = true, .target_dev = true
	};
	return explain_missing("mmdebstrap", build_exec(b, &p, reterr), reterr);
}

/* ---- OCI ---- */

/* A layout of the host is copied, too: unpacking needs one with a single manifest. */
static const char oci_script[] =
    "set -e\n"
    "command -v skopeo >/dev/null && command -v umoci >/dev/null || exit 127\n"
    "skopeo --insecure-policy --tmpdir /out copy --override-os linux \"$1\" oci:/out/oci:x\n"
    "umoci raw unpack --image /out/oci:x /out/rootfs\n"
    "cd /out/rootfs && tar --one-file-system --numeric-owner --xattrs --xattrs-include='*' -cf - . "
    "|"
    " tar -C /target --numeric-owner --xattrs --xattrs-include='*' -xpf -\n";

static int make_oci(struct build *b, const void *arg, struct err *reterr)
{
	const char *ref = arg, *path = str_after(ref, "dir:");
	char from[600], source[600], out[128];
	(void)snprintf(from, sizeof(from), "docker://%s", ref);
	if (path) {
		(void)str_copy(source, sizeof(source), path);
		char *tag = strchr(source, ':');
		(void)snprintf(from, sizeof(from), "oci:/source%s", tag ? tag : "");
		if (tag)
			*tag = '\0';
	}
	/* The directory that an upper layer would need to work in: on the same disk. */
	(void)snprintf(out, sizeof(out), "%s/work", b->new_layer);
	const char *const argv[] = { "bash", "-o", "pipefail", "-c", oci_script, "bash", from,
		NULL };
	const struct jail_plan p = { .kind = JAIL_TOOLS,
		.argv = argv,
		.source = path ? source : NULL,
		.out = out,
		.online = true };
	return explain_missing("skopeo or umoci", build_exec(b, &p, reterr), reterr);
}

/* ---- what lies on the host ---- */

static const char copy_script[] =
    "cd /source && tar --one-file-system --numeric-owner --xattrs --xattrs-include='*' -cf - . |"
    " tar -C /target --numeric-owner --xattrs --xattrs-include='*' -xpf -";

static int make_dir(struct build *b, const void *arg, struct err *reterr)
{
	const char *const argv[] = { "bash", "-o", "pipefail", "-ec", copy_script, NULL };
	const struct jail_plan p = { .kind = JAIL_TOOLS, .argv = argv, .source = arg };
	return build_exec(b, &p, reterr);
}

static int make_tar(struct build *b, const void *arg, struct err *reterr)
{
	const char *const argv[] = { "tar", "-C", "/target", "--numeric-owner", "--xattrs",
		"--xattrs-include=*", "--exclude=./dev/*", "--exclude=dev/*", "-xpf", "/source",
		NULL };
	const struct jail_plan p = { .kind = JAIL_TOOLS, .argv = argv, .source = arg };
	return build_exec(b, &p, reterr);
}

int build_base_layer(struct build *b, const char *base, struct err *reterr)
{
	static const struct {
		const char *prefix;
		build_step_fn *fn;
		bool on_host;
	} kinds[] = { { "debian:", make_debian, false }, { "oci:", make_oci, false },
		{ "dir:", make_dir, true }, { "tar:", make_tar, true } };
	char what[700];
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct stat st = { 0 };
		const char *rest = str_after(base, kinds[i].prefix);
		if (!rest)
			continue;
		if (kinds[i].on_host && stat(rest, &st) < 0)
			return err_set(reterr, -errno, "base %s: %s", base, err_name(-errno));
		/* What comes from a registry or a mirror counts as the same until "force". */
		int n = snprintf(what, sizeof(what), "%s %lld %lld.%ld", base,
		    (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
		return build_layer(b, "base", what, (size_t)n, kinds[i].fn, rest, reterr);
	}
	return err_set(reterr, -EINVAL, "base %s cannot be built", base);
}

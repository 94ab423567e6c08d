/* SPDX-License-Identifier: Apache-2.0 */
#include "image/hostbase.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/path.h"
#include "base/str.h"

#define FORMAT "2"		   /* to be changed when the skeleton does */
#define FILE_MAX_BYTES (64u << 20) /* larger files are none of configuration */
#define DEPTH_MAX 16
#define SCAN_BYTES 65536u
#define COPY_CHUNK (1u << 20)

/* Copied from the host when they exist. A trailing '*' stands for any ending. */
static const char *const etc_names[] = { "adduser.conf", "alternatives", "apt", "bash.bashrc",
	"bash_completion.d", "ca-certificates", "ca-certificates.conf", "chromium", "chromium.d",
	"debconf.conf", "debian_version", "deluser.conf", "dpkg", "emacs", "ethertypes", "fonts",
	"gai.conf", "ghostscript", "glvnd", "groff", "gtk-2.0", "gtk-3.0", "gtk-4.0", "host.conf",
	"ImageMagick-6", "ImageMagick-7", "inputrc", "ipython", "issue", "java*", "jupyter",
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "libreoffice", "locale.alias", "locale.conf",
	"locale.gen", "localtime", "login.defs", "magic", "magic.mime", "mailcap", "mailcap.order",
	"manpath.config", "matplotlibrc", "mime.types", "networks", "octave*", "OpenCL",
	"os-release", "pam.conf", "pam.d", "papersize", "perl", "php", "profile", "profile.d",
	"protocols", "python*", "R", "rpc", "ruby", "security", "services", "sgml", "shells",
	"skel", "ssl", "terminfo", "texmf", "timezone", "ucf.conf", "vim", "X11", "xdg", "xml",
	NULL };

/* Beneath those: whatever they hold, it is not for guests. */
static const char *const never[] = { "private", "auth.conf", "auth.conf.d", NULL };

/* Parts of the package database; without them every install would begin from nothing. Not its list
 * of overridden owners: it names accounts that sandboxes do not have. */
static const char *const dpkg_names[] = { "alternatives", "arch", "diversions", "info", "status",
	"triggers", NULL };

static const char passwd_text[] = "root:x:0:0:root:/root:/bin/bash\n"
				  "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
				  "bin:x:2:2:bin:/bin:/usr/sbin/nologin\n"
				  "sys:x:3:3:sys:/dev:/usr/sbin/nologin\n"
				  "sync:x:4:65534:sync:/bin:/bin/sync\n"
				  "games:x:5:60:games:/usr/games:/usr/sbin/nologin\n"
				  "man:x:6:12:man:/var/cache/man:/usr/sbin/nologin\n"
				  "lp:x:7:7:lp:/var/spool/lpd:/usr/sbin/nologin\n"
				  "mail:x:8:8:mail:/var/mail:/usr/sbin/nologin\n"
				  "news:x:9:9:news:/var/spool/news:/usr/sbin/nologin\n"
				  "uucp:x:10:10:uucp:/var/spool/uucp:/usr/sbin/nologin\n"
				  "proxy:x:13:13:proxy:/bin:/usr/sbin/nologin\n"
				  "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
				  "backup:x:34:34:backup:/var/backups:/usr/sbin/nologin\n"
				  "list:x:38:38:list:/var/list:/usr/sbin/nologin\n"
				  "irc:x:39:39:irc:/run/ircd:/usr/sbin/nologin\n"
				  "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n"
				  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
				  "user:x:1000:1000:user:/home/user:/bin/bash\n";

static const char group_text[] =
    "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nlp:x:7:\n"
    "mail:x:8:\nnews:x:9:\nuucp:x:10:\nman:x:12:\nproxy:x:13:\nkmem:x:15:\ndialout:x:20:\n"
    "fax:x:21:\nvoice:x:22:\ncdrom:x:24:\nfloppy:x:25:\ntape:x:26:\nsudo:x:27:user\n"
    "audio:x:29:\ndip:x:30:\nwww-data:x:33:\nbackup:x:34:\noperator:x:37:\nlist:x:38:\n"
    "irc:x:39:\nsrc:x:40:\nshadow:x:42:\nutmp:x:43:\nvideo:x:44:\nsasl:x:45:\nplugdev:x:46:\n"
    "staff:x:50:\ngames:x:60:\nusers:x:100:\nnogroup:x:65534:\nuser:x:1000:\n";

static const char shadow_text[] = "root:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\n";

static const char hosts_text[] = "127.0.0.1\tlocalhost\n127.0.1.1\tsandbox\n"
				 "::1\tlocalhost ip6-localhost ip6-loopback\n";

static const char nsswitch_text[] =
    "passwd: files\ngroup: files\nshadow: files\ngshadow: files\nhosts: files dns\n"
    "networks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n";

static const struct {
	const char *path;
	mode_t mode;
	unsigned owner;
} dirs[] = {
	{ "boot", 0755, 0 },
	{ "dev", 0755, 0 },
	{ "etc", 0755, 0 },
	{ "home", 0755, 0 },
	{ "home/user", 0755, HOSTBASE_USER_ID },
	{ "media", 0755, 0 },
	{ "mnt", 0755, 0 },
	{ "opt", 0755, 0 },
	{ "proc", 0555, 0 },
	{ "root", 0700, 0 },
	{ "run", 0755, 0 },
	{ "srv", 0755, 0 },
	{ "sys", 0555, 0 },
	{ "tmp", 01777, 0 },
	{ "usr", 0755, 0 },
	{ "var", 0755, 0 },
	{ "var/backups", 0755, 0 },
	{ "var/cache", 0755, 0 },
	{ "var/cache/apt", 0755, 0 },
	{ "var/cache/apt/archives", 0755, 0 },
	{ "var/cache/apt/archives/partial", 0755, 0 },
	{ "var/cache/debconf", 0755, 0 },
	{ "var/cache/fontconfig", 0755, 0 },
	{ "var/cache/ldconfig", 0700, 0 },
	{ "var/lib", 0755, 0 },
	{ "var/lib/apt", 0755, 0 },
	{ "var/lib/apt/lists", 0755, 0 },
	{ "var/lib/apt/lists/partial", 0755, 0 },
	{ "var/lib/dpkg", 0755, 0 },
	{ "var/lib/dpkg/updates", 0755, 0 },
	{ "var/lib/misc", 0755, 0 },
	{ "var/lib/pam", 0755, 0 },
	{ "var/lib/systemd", 0755, 0 },
	{ "var/lib/ucf", 0755, 0 },
	{ "var/local", 0755, 0 },
	{ "var/log", 0755, 0 },
	{ "var/log/apt", 0755, 0 },
	{ "var/mail", 0755, 0 },
	{ "var/opt", 0755, 0 },
	{ "var/spool", 0755, 0 },
	{ "var/tmp", 01777, 0 },
};

static const struct {
	const char *path, *text;
	mode_t mode;
	unsigned group;
} files[] = {
	{ "etc/passwd", passwd_text, 0644, 0 },
	{ "etc/group", group_text, 0644, 0 },
	{ "etc/shadow", shadow_text, 0640, 42 },
	{ "etc/hosts", hosts_text, 0644, 0 },
	{ "etc/hostname", "sandbox\n", 0644, 0 },
	{ "etc/nsswitch.conf", nsswitch_text, 0644, 0 },
	{ "etc/resolv.conf", "", 0644, 0 },
	{ "etc/environment", "", 0644, 0 },
	{ "etc/fstab", "", 0644, 0 },
};

static const struct {
	const char *path, *target;
} links[] = {
	{ "etc/mtab", "../proc/self/mounts" },
	{ "var/run", "/run" },
	{ "var/lock", "/run/lock" },
};

/* Links at the top that a merged-/usr host has; its own targets are kept. */
static const char *const top_links[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32", NULL };

/* ---- copying ---- */

static int open_dir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* Not copy_file_range(): it refuses two file systems of different types. */
static int copy_bytes(int from, int to)
{
	ssize_t n;
	do {
		n = sendfile(to, from, NULL, COPY_CHUNK);
	} while (n > 0);
	return n < 0 ? -errno : 0;
}

/* "scheme://name:password@" as in lists of package sources: such a file stays on the host. */
static bool has_credentials(int fd)
{
	char text[SCAN_BYTES + 1];
	ssize_t n = pread(fd, text, SCAN_BYTES, 0);
	text[n > 0 ? n : 0] = '\0';
	for (const char *p = text; (p = strstr(p, "://")) != NULL;) {
		p += 3;
		size_t host = strcspn(p, "/ \t\r\n\"'");
		const char *at = memchr(p, '@', host);
		if (at && memchr(p, ':', (size_t)(at - p)))
			return true;
	}
	return false;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	if (!(st->st_mode & S_IROTH) || st->st_size > FILE_MAX_BYTES)
		return 0;
	CLEAN_FD int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (from < 0)
		return errno == ENOENT ? 0 : -errno; /* a package is just being changed */
	if (has_credentials(from))
		return 0;
	CLEAN_FD int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	int r = copy_bytes(from, to);
	if (r == 0 && fchmod(to, st->st_mode & 0755) < 0)
		r = -errno;
	return r;
}

static int copy_link(int from_dir, int to_dir, const char *name)
{
	char target[PATH_LEN_MAX];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to_dir, name) < 0 ? -errno : 0;
}

static bool is_never(const char *name)
{
	for (const char *const *n = never; *n; n++)
		if (str_eq(*n, name))
			return true;
	return str_ends(name, ".key");
}

static int copy_entry(int from_dir, int to_dir, const char *name, int depth);

static int copy_dir(int from_dir, int to_dir, const char *name, mode_t mode, int depth)
{
	if (depth >= DEPTH_MAX)
		return -ELOOP;
	CLEAN_FD int from = open_dir(from_dir, name);
	if (from < 0)
		return from;
	if (mkdirat(to_dir, name, 0700) < 0)
		return -errno;
	CLEAN_FD int to = open_dir(to_dir, name);
	if (to < 0)
		return to;
	DIR *d = fdopendir(from);
	if (!d)
		return -ENOMEM;
	(void)TAKE_FD(from);
	int r = 0;
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;)
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			r = copy_entry(dirfd(d), to, e->d_name, depth + 1);
	(void)closedir(d);
	if (r == 0 && fchmod(to, mode & 0755) < 0)
		r = -errno;
	return r;
}

/* Files, links and directories that others may read; anything else is passed over. */
static int copy_entry(int from_dir, int to_dir, const char *name, int depth)
{
	struct stat st;
	if (is_never(name))
		return 0;
	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(st.st_mode))
		return copy_link(from_dir, to_dir, name);
	if (S_ISREG(st.st_mode))
		return copy_file(from_dir, to_dir, name, &st);
	if (S_ISDIR(st.st_mode) && (st.st_mode & S_IROTH))
		return copy_dir(from_dir, to_dir, name, st.st_mode, depth);
	return 0;
}

/* ---- names of the allow list ---- */

typedef int name_fn(int dir, const char *name, void *arg);

static bool listed(const char *const *list, const char *name)
{
	for (; *list; list++) {
		size_t n = strlen(*list);
		if ((*list)[n - 1] == '*' ? strncmp(*list, name, n - 1) == 0 : str_eq(*list, name))
			return true;
	}
	return false;
}

/* Call fn for each listed name that the directory has. */
static int each_listed(const char *path, const char *const *list, name_fn *fn, void *arg)
{
	DIR *d = opendir(path);
	int r = 0;
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;)
		if (listed(list, e->d_name))
			r = fn(dirfd(d), e->d_name, arg);
	(void)closedir(d);
	return r;
}

static int copy_listed(int dir, const char *name, void *arg)
{
	return copy_entry(dir, *(int *)arg, name, 0);
}

static int copy_from(
    int root, const char *to, const char *host, const char *const *list, struct err *reterr)
{
	CLEAN_FD int dst = open_dir(root, to);
	int r = dst < 0 ? dst : each_listed(host, list, copy_listed, &dst);
	return r < 0 ? err_set(reterr, r, "cannot copy from %s: %s", host, err_name(r)) : 0;
}

/* ---- building ---- */

static int make_dirs(int root)
{
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		const char *p = dirs[i].path;
		if (mkdirat(root, p, 0700) < 0 || fchmodat(root, p, dirs[i].mode, 0) < 0 ||
		    fchownat(root, p, dirs[i].owner, dirs[i].owner, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	return 0;
}

static int make_file(int root, const char *path, const char *text, mode_t mode, gid_t group)
{
	CLEAN_FD int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fchown(fd, 0, group) < 0 || fchmod(fd, mode) < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

static int make_own_files(int root)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int r =
		    make_file(root, files[i].path, files[i].text, files[i].mode, files[i].group);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i].target, root, links[i].path) < 0)
			return -errno;
	return 0;
}

static int make_top_links(int root, struct err *reterr)
{
	CLEAN_FD int host = open_dir(AT_FDCWD, "/");
	if (host < 0)
		return host;
	for (const char *const *name = top_links; *name; name++) {
		struct stat st;
		if (fstatat(host, *name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!S_ISLNK(st.st_mode))
			return err_set(reterr, -ENOTSUP,
			    "/%s of this machine is no link into /usr: base host needs a merged "
			    "/usr",
			    *name);
		int r = copy_link(host, root, *name);
		if (r < 0)
			return r;
	}
	return 0;
}

static int give_to_user(int dir, const char *name, void *arg)
{
	(void)arg;
	return fchownat(dir, name, HOSTBASE_USER_ID, HOSTBASE_USER_ID, AT_SYMLINK_NOFOLLOW) < 0
		   ? -errno
		   : 0;
}

/* What a new account would get. */
static int fill_home(int root, const char *dir)
{
	static const char *const skel[] = { ".bashrc", ".profile", ".bash_logout", NULL };
	char home[PATH_LEN_MAX];
	int r = path_join(home, sizeof(home), dir, "home/user");
	if (r == 0)
		r = copy_from(root, "home/user", "/etc/skel", skel, NULL);
	return r < 0 ? r : each_listed(home, skel, give_to_user, NULL);
}

static int build(const char *dir, struct err *reterr)
{
	if (mkdir(dir, 0755) < 0)
		return -errno;
	CLEAN_FD int root = open_dir(AT_FDCWD, dir);
	if (root < 0)
		return root;
	int r = fchmod(root, 0755) < 0 ? -errno : make_dirs(root);
	if (r == 0)
		r = make_top_links(root, reterr);
	if (r == 0)
		r = make_own_files(root);
	if (r == 0)
		r = copy_from(root, "etc", "/etc", etc_names, reterr);
	if (r == 0)
		r = copy_from(root, "var/lib/dpkg", "/var/lib/dpkg", dpkg_names, reterr);
	if (r == 0)
		r = fill_home(root, dir);
	return r;
}

int hostbase_build(const char *dir, struct err *reterr)
{
	mode_t old = umask(0);
	int r = build(dir, reterr);
	(void)umask(old);
	return r < 0 ? err_set(reterr, r, "cannot build the root file system: %s", err_name(r)) : 0;
}

/* ---- stamp ---- */

static int add_stamp(int dir, const char *name, void *arg)
{
	struct buf *b = arg;
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return buf_printf(b, "%s %lld.%09ld %lld\n", name, (long long)st.st_mtim.tv_sec,
	    st.st_mtim.tv_nsec, (long long)st.st_size);
}

static int add_sources(struct buf *b)
{
	static const char *const top[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr",
		NULL };
	int r = buf_append_str(b, "format " FORMAT "\n");
	if (r == 0)
		r = each_listed("/", top, add_stamp, b);
	if (r == 0)
		r = each_listed("/etc", etc_names, add_stamp, b);
	if (r == 0)
		r = each_listed("/etc/ssl", (const char *const[]){ "certs", NULL }, add_stamp, b);
	return r < 0 ? r : each_listed("/var/lib/dpkg", dpkg_names, add_stamp, b);
}

int hostbase_stamp(char dst[HOSTBASE_STAMP_LEN + 1], struct err *reterr)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char hex[2 * HASH_SHA256_LEN + 1];
	int r = add_sources(&b);
	if (r == 0)
		r = hash_sha256_hex(buf_data(&b), buf_len(&b), hex);
	if (r < 0)
		return err_set(reterr, r, "cannot look at the host's /etc: %s", err_name(r));
	(void)str_copy(dst, HOSTBASE_STAMP_LEN + 1, hex);
	return 0;
}

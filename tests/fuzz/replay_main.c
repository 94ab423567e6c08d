/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libFuzzer: runs the target once over every file that is named or lies in a named
 * folder. Options ("-runs=0") are ignored, so that both can be called alike. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static unsigned long runs;

/* In memory of its exact size, so that a sanitizer sees a read past the end. */
static int replay_file(const char *path, size_t size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(size ? size : 1);
	int r = f && p && fread(p, 1, size, f) == size ? 0 : -1;
	if (r == 0) {
		(void)LLVMFuzzerTestOneInput(p, size);
		runs++;
	} else {
		fprintf(stderr, "%s: cannot be read\n", path);
	}
	if (f)
		fclose(f);
	free(p);
	return r;
}

static int replay(const char *path)
{
	struct stat sb;
	if (stat(path, &sb) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(sb.st_mode))
		return replay_file(path, (size_t)sb.st_size);
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort), r = n < 0 ? -1 : 0;
	for (int i = 0; i < n; i++) {
		char child[4096];
		if (names[i]->d_name[0] != '.') {
			(void)snprintf(child, sizeof(child), "%s/%s", path, names[i]->d_name);
			r |= replay(child);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			r |= replay(argv[i]);
	printf("%s: %lu inputs\n", argv[0], runs);
	return r == 0 && runs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

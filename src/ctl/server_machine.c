/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass keys, sandglass doctor: the business of the server's machine, so sandglassd is run,
 * which has them as commands of the same name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "ctl/ctl.h"

int ctl_server_machine(int argc, char **argv)
{
	char self[PATH_LEN_MAX], program[PATH_LEN_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		if (path_join(program, sizeof(program), self, "sandglassd") < 0 ||
		    !path_exists(program))
			program[0] = '\0';
	}
	char **args = mem_calloc((size_t)argc + 2, sizeof(*args));
	if (!args)
		return EXIT_FAILURE;
	args[0] = (char *)"sandglassd";
	memcpy(args + 1, argv, sizeof(*args) * (size_t)argc);
	if (program[0])
		(void)execv(program, args);
	else
		(void)execvp("sandglassd", args);
	(void)fprintf(
	    stderr, "sandglass: %s: cannot run sandglassd: %s\n", argv[0], err_name(-errno));
	(void)mem_free(args);
	return EXIT_FAILURE;
}

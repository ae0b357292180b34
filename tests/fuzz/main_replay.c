/* Runs a fuzz target over the files named (directories: all files in them). */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay(const char *path)
{
	struct stat st;
	struct dirent *d;
	uint8_t *p;
	FILE *f;
	DIR *dir;
	char sub[4096];
	int n = 0;

	if (stat(path, &st) == -1) {
		perror(path);
		exit(1);
	}
	if (S_ISDIR(st.st_mode)) {
		if ((dir = opendir(path)) == NULL) {
			perror(path);
			exit(1);
		}
		while ((d = readdir(dir)) != NULL)
			if (d->d_name[0] != '.') {
				snprintf(sub, sizeof sub, "%s/%s", path,
				    d->d_name);
				n += replay(sub);
			}
		closedir(dir);
		return n;
	}
	/* An exact allocation, so that a sanitizer sees one byte too many. */
	p = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
	if (p == NULL || (f = fopen(path, "rb")) == NULL) {
		perror(path);
		exit(1);
	}
	if (fread(p, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(p, (size_t)st.st_size);
	free(p);
	return 1;
}

int
main(int argc, char **argv)
{
	int i, n = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (i = 1; i < argc; i++)
		n += replay(argv[i]);
	printf("ok %d inputs\n", n);
	return 0;
}

/* Runs the engine on in-memory stores in a child process. */
#include "unit/lib/engine_fixture.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xmalloc.h"
#include "log.h"
#include "people.h"

#define REGION ((size_t)256 << 20)

void
fixture_start(struct fixture *f)
{
	static int number;
	char name[32];
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	memset(f, 0, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "%s/mailhaul-test-XXXXXX", base);
	if (mkdtemp(f->dir) == NULL) {
		perror(f->dir);
		exit(1);
	}
	snprintf(f->state, sizeof f->state, "%s/state.db", f->dir);
	snprintf(name, sizeof name, "src%d", ++number);
	f->src = mem_store_new(name, REGION);
	snprintf(name, sizeof name, "tgt%d", number);
	f->tgt = mem_store_new(name, REGION);
	f->told = mmap(NULL, sizeof *f->told, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->told == MAP_FAILED)
		abort();
	f->rules = rules_new();
	f->target_user = "joe";
	f->set.lanes = 1;
	f->set.lanes_per_account = 1;
	f->set.settle_ms = 0;
	f->set.patience_s = 5;
	f->set.max_tries = 5;
	f->set.probe_ms = 200;
	f->set.cap_raise_ms = 600000;
	f->set.delete_limit = UNKNOWN64;
	f->set.subscribe = SUBSCRIBE_AUTO;
	f->set.acl = true;
	f->set.rules = f->rules;
	f->set.refusal_rule = "repair=no";
	f->set.selection_rule = "";
}

static void
remove_dir(const char *dir, bool itself)
{
	struct dirent *d;
	DIR *handle = opendir(dir);
	char path[400];

	if (handle == NULL)
		return;
	while ((d = readdir(handle)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, d->d_name);
		if (unlink(path) == -1)
			remove_dir(path, true);
	}
	closedir(handle);
	if (itself)
		rmdir(dir);
}

void
fixture_stop(struct fixture *f)
{
	remove_dir(f->dir, true);
	munmap(f->told, sizeof *f->told);
	rules_free(&f->rules);
}

void
fixture_drop_state(struct fixture *f)
{
	char path[120];

	unlink(f->state);
	snprintf(path, sizeof path, "%s-wal", f->state);
	unlink(path);
	snprintf(path, sizeof path, "%s-shm", f->state);
	unlink(path);
}

void
fixture_copy_state(struct fixture *f, const char *suffix, bool back)
{
	static const char *const parts[] = { "", "-wal" };
	char live[120], kept[140], chunk[65536];

	for (size_t i = 0; i < 2; i++) {
		const char *from, *to;
		FILE *in, *out;
		size_t n;

		snprintf(live, sizeof live, "%s%s", f->state, parts[i]);
		snprintf(kept, sizeof kept, "%s.%s", live, suffix);
		from = back ? kept : live;
		to = back ? live : kept;
		unlink(to);
		if ((in = fopen(from, "rb")) == NULL)
			continue;
		if ((out = fopen(to, "wb")) == NULL) {
			perror(to);
			exit(1);
		}
		while ((n = fread(chunk, 1, sizeof chunk, in)) > 0)
			fwrite(chunk, 1, n, out);
		fclose(in);
		fclose(out);
	}
	snprintf(live, sizeof live, "%s-shm", f->state);
	unlink(live);
}

int
fixture_every(int step)
{
	const char *sparse = getenv("MAILHAUL_SPARSE");
	int n = sparse != NULL ? (int)strtol(sparse, NULL, 10) : 1;

	return n > 1 ? step * n : step;
}

static void
print_log(void *ctx, const char *account, const char *text)
{
	(void)ctx;
	if (getenv("VERBOSE") != NULL)
		fprintf(stderr, "# %s: %s\n", account, text);
}

static void
print_complaint(void *ctx, const char *text)
{
	print_log(ctx, "log", text);
}

static int
failed_run(const struct err *e)
{
	print_log(NULL, "run", e->text);
	return 75;
}

static void
make_account(struct account *a, const char *name, const char *source,
    struct mem_store *src, struct mem_store *tgt, const char *secret)
{
	char text[64];
	struct err e;

	memset(a, 0, sizeof *a);
	a->name = a->target_user = name;
	a->tgt_password = secret;
	snprintf(text, sizeof text, "mem:%s", src->name);
	if (uri_parse(&a->src_uri, source != NULL ? source : text, &e) == -1)
		abort();
	snprintf(text, sizeof text, "mem:%s", tgt->name);
	if (uri_parse(&a->tgt_uri, text, &e) == -1)
		abort();
}

/* With the state open and before anything else, as long as the test wants. */
static void
wait_at_start(void)
{
	const char *name = getenv("FIXTURE_SLOW");
	struct timespec t = { 0, 5000000 };

	if (name == NULL)
		return;
	fclose(fopen(name, "w"));
	while (access(name, F_OK) == 0)
		nanosleep(&t, NULL);
}

static int
run_child(struct fixture *f)
{
	static const char *const names[FIXTURE_MORE] = { "a1", "a2", "a3",
	    "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1", "b2", "b3", "b4",
	    "b5" };
	struct log *log = f->log ? log_new(f->state, NULL, true,
	    print_complaint, NULL) : NULL;
	struct run run = { .set = &f->set, .log = print_log,
	    .state_path = f->state, .state_dir = f->dir,
	    .start_ms = f->started_ms };
	struct account accounts[1 + FIXTURE_MORE] = { 0 };
	struct account *list[1 + FIXTURE_MORE];
	struct accounts *known = NULL;
	struct people *people = NULL;
	struct buf errors;
	struct pool_result r;
	struct err e;
	bool created;

	buf_init(&errors, 1 << 16);
	for (unsigned i = 0; i <= f->more; i++) {
		list[i] = &accounts[i];
		if (i == 0)
			make_account(&accounts[i], "joe", f->source, f->src,
			    f->tgt, f->secret);
		else
			make_account(&accounts[i], names[i - 1], NULL,
			    f->more_src[i - 1], f->more_tgt[i - 1],
			    f->secret);
		if (i == 0)
			accounts[i].target_user = f->target_user;
		accounts[i].expect = f->expect;
		accounts[i].quota = f->quota;
	}
	if (f->people != NULL) {
		accounts_read_text(&known, "list", f->people,
		    strlen(f->people), true, &errors);
		people = people_new(known, NULL);
		run.people = people;
	}
	if (state_open(&run.state, f->state, &created, &e) == -1)
		return failed_run(&e);
	state_set_log(run.state, log);
	wait_at_start();
	if (pass_begin(run.state, "test", "", &e) == -1 ||
	    pool_run(&run, list, 1 + f->more, NULL, NULL, &r, &e) == -1)
		return failed_run(&e);
	if (r.run_failed)
		return failed_run(&r.err);
	for (unsigned i = 0; i <= f->more; i++) {
		if (accounts[i].failed)
			print_log(NULL, accounts[i].name,
			    accounts[i].err.text);
		uri_free(&accounts[i].src_uri);
		uri_free(&accounts[i].tgt_uri);
	}
	if (pass_end(run.state, 0, &e) == -1)
		return 75;
	state_close(&run.state);
	people_free(&people);
	accounts_free(&known);
	buf_release(&errors);
	log_free(&log);
	if (r.stopped > 0)
		return 75;
	return r.done == 1 + f->more ? 0 : 2;
}

pid_t
fixture_begin(struct fixture *f)
{
	pid_t pid;

	fflush(NULL);
	mem_hosts_begin();
	if ((pid = fork()) == 0)
		_exit(run_child(f));
	if (pid == -1) {
		perror("fork");
		exit(1);
	}
	return pid;
}

int
fixture_end(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) == -1) {
		perror("waitpid");
		exit(1);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
add_told(void *ctx, const struct undo_box *b)
{
	struct undo_box *t = ctx;

	t->ours += b->ours;
	t->changed += b->changed;
	t->present += b->present;
	t->foreign += b->foreign;
	t->gone += b->gone;
	t->vanishes = t->vanishes || b->vanishes;
}

static int
undo_child(struct fixture *f, bool apply)
{
	struct run run = { .set = &f->set, .log = print_log,
	    .start_ms = now_ms() };
	struct account a;
	struct lane lane;
	uint64_t left;
	bool created;
	struct err e;
	int rc;

	make_account(&a, "joe", f->source, f->src, f->tgt, f->secret);
	a.target_user = f->target_user;
	arena_init(&a.arena);
	memset(f->told, 0, sizeof *f->told);
	if (state_open(&run.state, f->state, &created, &e) == -1 ||
	    lane_init(&lane, &run, 0, -1, &e) == -1) {
		print_log(NULL, "undo", e.text);
		return 75;
	}
	rc = undo_account(&lane, &a, apply, add_told, f->told, &left, &e);
	if (rc == -1)
		print_log(NULL, "joe", e.text);
	lane_release(&lane);
	state_close(&run.state);
	arena_release(&a.arena);
	uri_free(&a.src_uri);
	uri_free(&a.tgt_uri);
	return rc == -1 ? 2 : left > 0;
}

void
fixture_more(struct fixture *f, unsigned n)
{
	static int number;
	char name[32];

	for (f->more = 0; f->more < n; f->more++) {
		snprintf(name, sizeof name, "srcmore%d", ++number);
		f->more_src[f->more] = mem_store_new(name, (size_t)8 << 20);
		snprintf(name, sizeof name, "tgtmore%d", number);
		f->more_tgt[f->more] = mem_store_new(name, (size_t)8 << 20);
	}
}

int
fixture_run(struct fixture *f)
{
	return fixture_end(fixture_begin(f));
}

int
fixture_undo(struct fixture *f, bool apply)
{
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == 0)
		_exit(undo_child(f, apply));
	if (pid == -1) {
		perror("fork");
		exit(1);
	}
	return fixture_end(pid);
}

void
fixture_sql(struct fixture *f, const char *sql)
{
	struct db *db;
	struct err e;

	if (db_open(&db, f->state, DB_WRITE, &e) == -1 ||
	    db_script(db, sql, &e) == -1) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	db_close(&db);
}

int64_t
fixture_number(struct fixture *f, const char *sql)
{
	struct db *db;
	struct err e;
	long running;
	int64_t n = -1;

	if (state_read_only(f->state, &db, &running, &e) == -1)
		return -1;
	db_number(db, &e, &n, -1, sql, "");
	db_close(&db);
	return n;
}

bool
fixture_balanced(struct fixture *f)
{
	return fixture_number(f, "SELECT count(*) FROM mailbox WHERE outcome ="
	    " 'done' AND source <> copied + present + excluded + refused +"
	    " failed + vanished") == 0 &&
	    fixture_number(f, "SELECT count(*) FROM pass WHERE (sent,"
	    " sent_bytes) <> (SELECT ifnull(sum(sent), 0),"
	    " ifnull(sum(sent_bytes), 0) FROM pace WHERE pace.pass ="
	    " pass.id)") == 0;
}

static int
cmp_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *
fixture_contents(struct mem_store *s, const char *folder)
{
	struct mem_folder *f = mem_folder_get(s, folder, false);
	char *lines[1000], *all;
	struct buf b;
	size_t n = 0;

	mem_settle(s);
	for (struct mem_message *m = f ? f->first : NULL; m; m = m->next) {
		if (m->expunged || n == 1000)
			continue;
		buf_init(&b, 1 << 20);
		buf_addf(&b, "%u [%s] %" PRId64 " ", m->flags, m->keywords,
		    m->date);
		for (size_t i = 0; i < m->len; i++)
			buf_addf(&b, (unsigned char)m->bytes[i] >= 0x20 &&
			    (unsigned char)m->bytes[i] < 0x7f ? "%c" :
			    "\\%02x", (unsigned char)m->bytes[i]);
		buf_addc(&b, '\n');
		lines[n++] = buf_detach(&b, NULL);
	}
	qsort(lines, n, sizeof *lines, cmp_line);
	buf_init(&b, (size_t)64 << 20);
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, lines[i]);
		free(lines[i]);
	}
	all = buf_detach(&b, NULL);
	return all;
}

void
fixture_add(struct mem_store *s, const char *folder, int n,
    const char *extra_header, unsigned flags, const char *keywords,
    int64_t date)
{
	char text[400];
	int len;

	len = snprintf(text, sizeof text, "From: a@example.org\r\n%s"
	    "Subject: number %04d\r\n\r\nThis is message %04d.\r\n",
	    extra_header, n, n);
	mem_add(s, mem_folder_get(s, folder, true), text, (size_t)len, flags,
	    keywords, date);
}

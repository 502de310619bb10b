/* SPDX-License-Identifier: Apache-2.0 */
/* config_yaml.c - a YAML file to keys and values, each error with its line. */
#include "shared/config/config_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "shared/base/assert.h"

#define FILE_MAX_BYTES (1024U * 1024U)
#define PATH_MAX_BYTES 96U /* of a key with its sections */

/* What is known while the events of the parser come. Maps nest by sections; a list is never
 * nested. */
struct reader {
	const char *path;
	struct config *config;
	struct config_error *error;
	yaml_parser_t parser;
	bool seen[CONFIG_KEYS_MAX];
	unsigned depth; /* of open maps */
};

/* No key has so many sections, so a deeper one is unknown long before this; but the bound of the
 * recursion should not depend on the table. */
#define DEPTH_MAX 4U

static int fail(struct reader *r, const yaml_mark_t *mark, int code, const char *key,
                const char *what)
{
	snprintf(r->error->text, sizeof(r->error->text), "%s:%zu: %s%s%s", r->path, mark->line + 1,
	         key, key[0] != '\0' ? ": " : "", what);
	return code;
}

static int fail_parser(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	char what[CONFIG_WHY];
	yaml_mark_t mark = p->problem_mark;

	snprintf(what, sizeof(what), "not YAML: %s",
	         p->problem != NULL ? p->problem : "cannot be read");
	return fail(r, &mark, ERR_SYNTAX, "", what);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Returns what is wrong with an event whatever it means, or NULL. Aliases and what goes with them
 * would make a small file a large one, and no key needs a tag. */
static const char *forbidden(const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return "aliases are not allowed";
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor != NULL)
		return "anchors are not allowed";
	return tag != NULL ? "tags are not allowed" : NULL;
}

/* On 0 the event is the caller's to delete. The key is for the message. */
static int next_event(struct reader *r, const char *key, yaml_event_t *event_r)
{
	const char *what;

	if (!yaml_parser_parse(&r->parser, event_r))
		return fail_parser(r);
	what = forbidden(event_r);
	if (what != NULL) {
		int ret = fail(r, &event_r->start_mark, ERR_SYNTAX, key, what);

		yaml_event_delete(event_r);
		return ret;
	}
	return 0;
}

static struct str scalar_text(const yaml_event_t *event)
{
	return str_make((const char *)event->data.scalar.value, event->data.scalar.length);
}

static bool is_plain(const yaml_event_t *event)
{
	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* YAML writes null in these ways. */
static bool is_nothing(const yaml_event_t *event)
{
	struct str text = scalar_text(event);

	return is_plain(event) &&
	       (text.n == 0 || str_eq(text, STR("~")) || str_eq(text, STR("null")));
}

/* ---- values ---------------------------------------------------------------------------------- */

static int set_scalar(struct reader *r, const struct config_key *key, const yaml_event_t *event)
{
	char why[CONFIG_WHY];
	int ret;

	if (config_key_is_list(key))
		return fail(r, &event->start_mark, ERR_SYNTAX, key->name, "not a list");
	if (is_nothing(event))
		return fail(r, &event->start_mark, ERR_SYNTAX, key->name, "has no value");
	/* YAML says that a quoted number is a text. */
	if (!is_plain(event) && (key->type == CONFIG_INT || key->type == CONFIG_BOOL))
		return fail(r, &event->start_mark, ERR_SYNTAX, key->name, "must not be quoted");
	ret = config_value_set(r->config, key, scalar_text(event), why);
	return ret < 0 ? fail(r, &event->start_mark, ret, key->name, why) : 0;
}

static int add_item(struct reader *r, const struct config_key *key, const yaml_event_t *event)
{
	char why[CONFIG_WHY];
	int ret;

	if (event->type != YAML_SCALAR_EVENT)
		return fail(r, &event->start_mark, ERR_SYNTAX, key->name, "not a list of texts");
	ret = config_list_add(r->config, key, scalar_text(event), why);
	return ret < 0 ? fail(r, &event->start_mark, ret, key->name, why) : 0;
}

static int read_list(struct reader *r, const struct config_key *key, const yaml_event_t *start)
{
	yaml_event_t event;
	bool end = false;
	int ret = 0;

	if (!config_key_is_list(key))
		return fail(r, &start->start_mark, ERR_SYNTAX, key->name, "must not be a list");
	config_list_clear(r->config, key);
	while (ret == 0 && !end) {
		ret = next_event(r, key->name, &event);
		if (ret < 0)
			return ret;
		end = event.type == YAML_SEQUENCE_END_EVENT;
		if (!end)
			ret = add_item(r, key, &event);
		yaml_event_delete(&event);
	}
	return ret;
}

static int read_value(struct reader *r, const struct config_key *key)
{
	yaml_event_t event;
	int ret = next_event(r, key->name, &event);

	if (ret < 0)
		return ret;
	ROSTER_ASSERT(key >= config_keys && key < config_keys + config_key_count);
	if (r->seen[key - config_keys])
		ret = fail(r, &event.start_mark, ERR_EXISTS, key->name, "given twice");
	else if (event.type == YAML_SCALAR_EVENT)
		ret = set_scalar(r, key, &event);
	else if (event.type == YAML_SEQUENCE_START_EVENT)
		ret = read_list(r, key, &event);
	else
		ret = fail(r, &event.start_mark, ERR_SYNTAX, key->name, "must not be a map");
	r->seen[key - config_keys] = true;
	yaml_event_delete(&event);
	return ret;
}

/* ---- maps ------------------------------------------------------------------------------------ */

static int read_map(struct reader *r, const char *prefix);

static int read_section(struct reader *r, const char *path)
{
	yaml_event_t event;
	int ret = next_event(r, path, &event);

	if (ret < 0)
		return ret;
	/* A section whose keys are all commented out is empty. */
	if (event.type == YAML_MAPPING_START_EVENT)
		ret = read_map(r, path);
	else if (event.type != YAML_SCALAR_EVENT || !is_nothing(&event))
		ret = fail(r, &event.start_mark, ERR_SYNTAX, path, "not a map");
	yaml_event_delete(&event);
	return ret;
}

/* Joins section and name to a key. Bytes that cannot be in any key are shown as '?', so that a
 * message stays one clean line. */
static void join(const char *prefix, struct str name, char out[PATH_MAX_BYTES])
{
	size_t n =
	        (size_t)snprintf(out, PATH_MAX_BYTES, "%s%s", prefix, prefix[0] != '\0' ? "." : "");

	for (size_t i = 0; i < name.n && n < PATH_MAX_BYTES - 1; i++, n++)
		out[n] = (unsigned char)name.p[i] <= ' ' || (unsigned char)name.p[i] >= 0x7f
		                 ? '?'
		                 : name.p[i];
	out[n < PATH_MAX_BYTES ? n : PATH_MAX_BYTES - 1] = '\0';
}

static int read_member(struct reader *r, const char *prefix, const yaml_event_t *name)
{
	const struct config_key *key;
	char path[PATH_MAX_BYTES];

	if (name->type != YAML_SCALAR_EVENT)
		return fail(r, &name->start_mark, ERR_SYNTAX, prefix, "a key must be a word");
	join(prefix, scalar_text(name), path);
	key = config_key_find(str_of(path));
	if (key != NULL)
		return read_value(r, key);
	if (config_key_is_section(str_of(path)))
		return read_section(r, path);
	return fail(r, &name->start_mark, ERR_SYNTAX, path, "unknown key");
}

/* Reads a map to its end; its beginning was read already. */
static int read_map(struct reader *r, const char *prefix)
{
	yaml_event_t event;
	bool end = false;
	int ret = 0;

	if (++r->depth > DEPTH_MAX)
		return fail(r, &r->parser.mark, ERR_SYNTAX, prefix, "nested too deep");
	while (ret == 0 && !end) {
		ret = next_event(r, prefix, &event);
		if (ret < 0)
			return ret;
		end = event.type == YAML_MAPPING_END_EVENT;
		if (!end)
			ret = read_member(r, prefix, &event);
		yaml_event_delete(&event);
	}
	ROSTER_ASSERT(r->depth > 0);
	r->depth--;
	return ret;
}

/* ---- the stream ------------------------------------------------------------------------------ */

static int read_root(struct reader *r, const yaml_event_t *event)
{
	if (event->type == YAML_MAPPING_START_EVENT)
		return read_map(r, "");
	if (event->type == YAML_SCALAR_EVENT && is_nothing(event))
		return 0;
	return fail(r, &event->start_mark, ERR_SYNTAX, "", "not a map of keys");
}

/* Reads the beginning of the stream, at most one document with one root, and the end of the
 * stream. */
static int read_stream(struct reader *r)
{
	unsigned documents = 0;
	yaml_event_t event;
	bool end = false;
	int ret = 0;

	while (ret == 0 && !end) {
		ret = next_event(r, "", &event);
		if (ret < 0)
			return ret;
		end = event.type == YAML_STREAM_END_EVENT;
		if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
			ret = fail(r, &event.start_mark, ERR_SYNTAX, "", "more than one document");
		else if (event.type == YAML_SCALAR_EVENT ||
		         event.type == YAML_MAPPING_START_EVENT ||
		         event.type == YAML_SEQUENCE_START_EVENT)
			ret = read_root(r, &event);
		yaml_event_delete(&event);
	}
	return ret;
}

static int fail_file(const char *path, int code, const char *what, struct config_error *error)
{
	snprintf(error->text, sizeof(error->text), "%s: %s", path, what);
	return code;
}

/* Opens a regular file only: at a reload the master must not wait for the other end of a pipe,
 * neither when it reads nor, which O_NONBLOCK is for, when it opens it. */
static FILE *open_file(const char *path, struct config_error *error)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	FILE *file = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 ||
	    (S_ISREG(st.st_mode) && (file = fdopen(fd, "r")) == NULL))
		(void)fail_file(path, ERR_IO, strerror(errno), error);
	else if (file == NULL)
		(void)fail_file(path, ERR_IO, "not a regular file", error);
	if (file == NULL && fd >= 0)
		close(fd);
	return file;
}

/* Reads the whole file at once, so that its size is bounded before the parser sees it. */
static int read_file(const char *path, char *data, size_t *len_r, struct config_error *error)
{
	FILE *file = open_file(path, error);
	bool failed;

	if (file == NULL)
		return ERR_IO;
	*len_r = fread(data, 1, FILE_MAX_BYTES + 1, file);
	failed = ferror(file) != 0;
	fclose(file);
	if (failed)
		return fail_file(path, ERR_IO, "cannot be read", error);
	return *len_r > FILE_MAX_BYTES ? fail_file(path, ERR_TOO_BIG, "longer than 1MiB", error)
	                               : 0;
}

int config_yaml_text(const char *path, struct str text, struct config *config,
                     struct config_error *error_r)
{
	struct reader reader = { .path = path, .config = config, .error = error_r };
	int ret;

	if (!yaml_parser_initialize(&reader.parser))
		return fail_file(path, ERR_NOMEM, "no memory", error_r);
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text.p, text.n);
	ret = read_stream(&reader);
	yaml_parser_delete(&reader.parser);
	return ret;
}

int config_yaml_read(const char *path, struct config *config, struct config_error *error_r)
{
	char *data = malloc(FILE_MAX_BYTES + 1);
	size_t len;
	int ret;

	if (data == NULL)
		return fail_file(path, ERR_NOMEM, "no memory", error_r);
	ret = read_file(path, data, &len, error_r);
	if (ret == 0)
		ret = config_yaml_text(path, str_make(data, len), config, error_r);
	free(data);
	return ret;
}

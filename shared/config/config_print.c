/* SPDX-License-Identifier: Apache-2.0 */
/* config_print.c - the table of keys as a sample file and as a page of doc/. */
#include "shared/config/config.h"

#include "shared/config/config_key.h"

#define SAMPLE_WIDTH 110U

/* The length of the part of the name before the dot; 0 when it has none. */
static size_t section_length(const struct config_key *key)
{
	const char *dot = strchr(key->name, '.');

	return dot != NULL ? (size_t)(dot - key->name) : 0;
}

/* Keys of one section stand together, so the first of them differs from its predecessor. */
static bool opens_section(unsigned i)
{
	size_t n = section_length(&config_keys[i]);

	if (n == 0)
		return false;
	return i == 0 || section_length(&config_keys[i - 1]) != n ||
	       strncmp(config_keys[i - 1].name, config_keys[i].name, n) != 0;
}

static bool is_number(const struct config_key *key)
{
	return key->type == CONFIG_INT || key->type == CONFIG_DURATION || key->type == CONFIG_SIZE;
}

static const char *type_text(enum config_type type)
{
	static const char *const texts[CONFIG_TYPES] = {
		[CONFIG_INT] = "number",
		[CONFIG_BOOL] = "true or false",
		[CONFIG_TEXT] = "text",
		[CONFIG_PATH] = "absolute path",
		[CONFIG_ADDRESS] = "IP address",
		[CONFIG_ORIGINS] = "text",
		[CONFIG_CONTEXT] = "path of a URL",
		[CONFIG_CHOICE] = "word",
		[CONFIG_DURATION] = "duration",
		[CONFIG_SIZE] = "size",
		[CONFIG_TRUSTED] = "list of texts",
		[CONFIG_RANGES] = "list of texts",
	};

	return texts[type];
}

/* Writes "1s to 30d", "error, warning, info, debug" or "up to 199 bytes", and "" where there is
 * nothing to say. */
static const char *range_text(const struct config_key *key, char *out, size_t size)
{
	char low[32], high[32];
	size_t at = 0;

	out[0] = '\0';
	if (is_number(key)) {
		snprintf(out, size, "%s to %s",
		         config_number_text(key->type, key->min, low, sizeof(low)),
		         config_number_text(key->type, key->max, high, sizeof(high)));
	} else if (key->type == CONFIG_CHOICE) {
		for (unsigned i = 0; key->choices[i] != NULL && at < size; i++)
			at += (size_t)snprintf(out + at, size - at, "%s%s", i == 0 ? "" : ", ",
			                       key->choices[i]);
	} else if (config_key_is_list(key)) {
		snprintf(out, size, "up to %u", (unsigned)key->max);
	} else if (key->type != CONFIG_BOOL) {
		snprintf(out, size, "up to %u bytes", (unsigned)key->max);
	}
	return out;
}

/* ---- etc/roster.yaml ------------------------------------------------------------------------- */

static void print_wrapped(FILE *out, const char *indent, struct str text)
{
	size_t width = SAMPLE_WIDTH - strlen(indent);

	while (text.n > 0) {
		size_t n = text.n;

		if (n > width) { /* back to the last blank that fits */
			for (n = width; n > 0 && text.p[n] != ' '; n--)
				;
		}
		fprintf(out, "%s# %.*s\n", indent, (int)n, text.p);
		text = str_trim(str_make(text.p + n, text.n - n));
	}
}

/* Prints texts that commas separate as a YAML list. */
static void print_list(FILE *out, const char *items)
{
	putc('[', out);
	while (*items != '\0') {
		size_t n = strcspn(items, ",");

		fprintf(out, "\"%.*s\"%s", (int)n, items, items[n] == ',' ? ", " : "");
		items += n + (items[n] == ',');
	}
	putc(']', out);
}

static void print_sample_value(FILE *out, const struct config_key *key)
{
	/* YAML would take an empty text for null, and a colon may end a key. */
	if (config_key_is_list(key))
		print_list(out, key->fallback);
	else if (key->fallback[0] == '\0' || strchr(key->fallback, ':') != NULL)
		fprintf(out, "\"%s\"", key->fallback);
	else
		fputs(key->fallback, out);
}

static void print_sample_key(FILE *out, const struct config_key *key)
{
	size_t section = section_length(key);
	const char *indent = section > 0 ? "  " : "";
	char range[96];

	print_wrapped(out, indent, str_of(key->about));
	range_text(key, range, sizeof(range));
	fprintf(out, "%s# (%s%s%s%s%s; %s)\n", indent, type_text(key->type),
	        range[0] != '\0' ? ": " : "", range, key->unit[0] != '\0' ? " " : "", key->unit,
	        key->reloadable ? "reload" : "restart");
	fprintf(out, "%s#%s: ", indent, section > 0 ? key->name + section + 1 : key->name);
	print_sample_value(out, key);
	fputs("\n\n", out);
}

void config_print_sample(FILE *out)
{
	fputs("# Configuration of rosterd. Printed by `rosterd --print-config sample`; what it means is in doc/configuration.md.\n"
	      "# Each key stands here with its default: take the # off and change the value. `rosterd -t` checks the file.\n"
	      "# Durations: 500ms, 15s, 10m, 2h, 1d; a bare number is milliseconds. Sizes: 64KiB, 16MiB, 1GiB; a bare number is "
	      "bytes.\n"
	      "# In brackets: type, range, unit, and whether a reload (SIGHUP) takes a new value or a restart does.\n\n",
	      out);
	for (unsigned i = 0; i < config_key_count; i++) {
		if (opens_section(i))
			fprintf(out, "%.*s:\n", (int)section_length(&config_keys[i]),
			        config_keys[i].name);
		print_sample_key(out, &config_keys[i]);
	}
}

/* ---- doc/configuration.md -------------------------------------------------------------------- */

static void print_doc_key(FILE *out, const struct config_key *key)
{
	char range[96];

	range_text(key, range, sizeof(range));
	fprintf(out, "| `%s` | %s%s%s%s%s | ", key->name, type_text(key->type),
	        range[0] != '\0' ? ", " : "", range, key->unit[0] != '\0' ? " " : "", key->unit);
	if (key->fallback[0] != '\0')
		fprintf(out, "`%s`", key->fallback);
	else
		fputs(config_key_is_list(key) ? "none" : "empty", out);
	fprintf(out, " | %s | %s |\n", key->reloadable ? "reload" : "restart", key->about);
}

static void print_doc_head(FILE *out)
{
	fputs("# Configuration\n\n"
	      "Printed by `rosterd --print-config doc` from the table of keys. A commented file with all defaults is\n"
	      "`etc/roster.yaml`.\n\n"
	      "`rosterd -c FILE` reads one YAML file; maps nest, and the names on the way joined by dots are the key:\n\n"
	      "    listen:\n"
	      "      port: 8848\n\n"
	      "is `listen.port`. `-o listen.port=9000` on the command line comes after the file; a list is given there with commas.\n"
	      "`rosterd -t` reads everything, says what is wrong as `file:line: key: what`, and changes nothing.\n\n"
	      "- Unknown keys, keys given twice, wrong types and values out of range are errors. Nothing of a file with an error is\n"
	      "  used: at the start rosterd ends, at a reload the old configuration stays.\n"
	      "- Durations: `500ms`, `15s`, `10m`, `2h`, `1d`; a bare number is milliseconds.\n"
	      "- Sizes: `64KiB`, `16MiB`, `1GiB`; a bare number is bytes.\n"
	      "- Numbers and `true`, `false` are written without quotes. Anchors, aliases and tags are refused; a file has at most\n"
	      "  1 MiB and one document.\n"
	      "- \"reload\": SIGHUP takes the new value. \"restart\": a reload with another value is refused as a whole.\n"
	      "- An entry of `push.trusted` is `SOURCE[/BITS] CLAIMED[/BITS]`: clients that poll from SOURCE may have pushes sent to\n"
	      "  addresses in CLAIMED.\n"
	      "- An entry of `operator.allow` and `checks.refuse` is `ADDRESS[/BITS]`. The empty `operator.allow` refuses everybody.\n"
	      "- `http.line` is at most `http.head`; `segment.limit` is 0 or at least 8 MiB.\n\n"
	      "| Key | Type and range | Default | Change by | Meaning |\n"
	      "|---|---|---|---|---|\n",
	      out);
}

void config_print_doc(FILE *out)
{
	print_doc_head(out);
	for (unsigned i = 0; i < config_key_count; i++)
		print_doc_key(out, &config_keys[i]);
}

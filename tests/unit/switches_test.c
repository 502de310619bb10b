/* SPDX-License-Identifier: Apache-2.0 */
/* The switches: every word fits one transaction, nothing of a refused change stays, no change is
 * lost, all outlive the processes. What one write does to words and texts: office_test.c. */
#include "tests/unit/registry_fixture.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/registry/office.h"

#define WORDS (sizeof(struct switches) / sizeof(uint64_t))
#define ROUNDS 2000U

static struct switches_copy copy, before;

static const struct switches_texts no_texts;

static char long_text[SWITCHES_TEXT_MAX];

static struct switches_texts long_texts(char fill)
{
	struct str text = { long_text, sizeof(long_text) };

	memset(long_text, fill, sizeof(long_text));
	return (struct switches_texts){ text, text, text };
}

static struct switches with_every_word_changed(const struct switches *words)
{
	struct switches changed;
	uint64_t *word = (uint64_t *)&changed;

	memcpy(&changed, words, sizeof(changed));
	for (size_t n = 0; n < WORDS; n++)
		word[n] = ~word[n];
	changed.generation = words->generation;
	return changed;
}

static void every_word_is_stored_and_fits_the_log(void **state)
{
	struct fixture *f = *state;
	struct switches_texts texts = long_texts('x');
	struct switches words;

	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(switches_read(&f->reg, &copy), 0);
		words = with_every_word_changed(&copy.words);
		f->reg.most_entries = 0;
		assert_int_equal(switches_write(&f->reg, &words, &texts), 0);
		assert_in_range(f->reg.most_entries, WORDS, OP_ENTRIES_SWITCHES);
		assert_int_equal(switches_of(f->seg)->generation, words.generation + 1);
		words.generation++;
		assert_memory_equal(switches_of(f->seg), &words, sizeof(words));
		texts = long_texts('y');
	}
	assert_clean(f);
}

/* No room for the texts: not one word has moved. */
static void a_refused_change_leaves_all_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct switches_texts texts = long_texts('x'),
	                      some = { STR("a,b"), STR("/a:503"), STR("UP") };
	struct switches words;
	unsigned made = 0;
	char name[16];
	int ret;

	fixture_close(f);
	fixture_open(f, 3U << 20);
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	assert_int_equal(switches_write(&f->reg, &copy.words, &some), 0);
	do {
		struct service_key key;
		struct instance_spec spec = spec_for("1.1.1.1", 80);

		snprintf(name, sizeof(name), "g@@s%u", made++);
		key = key_for(name);
		ret = registry_register(&f->reg, client, &key, &spec);
	} while (ret == 0 || made < 2000); /* until every shard is full */
	assert_int_equal(ret, ERR_FULL);
	assert_int_equal(switches_read(&f->reg, &before), 0);
	words = with_every_word_changed(&before.words);
	assert_int_equal(switches_write(&f->reg, &words, &texts), ERR_FULL);
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	assert_memory_equal(&copy.words, &before.words, sizeof(copy.words));
	assert_true(str_eq(copy.texts.masters, some.masters));
	assert_true(str_eq(copy.texts.limited, some.limited));
	assert_true(str_eq(copy.texts.status, some.status));
	assert_clean(f);
	/* What needs no page goes on. */
	before.words.push = 0;
	assert_int_equal(switches_write(&f->reg, &before.words, &some), 0);
	assert_int_equal(switches_of(f->seg)->push, 0);
}

/* ---- several processes ----------------------------------------------------------------------- */

/* Adds one to two words that are equal at any time, once a round; begins when the other end of the
 * pipe is closed, so that nobody is done before the others begin. */
static int add_up(struct fixture *f, const int gate[2])
{
	char none;

	close(gate[1]);
	if (read(gate[0], &none, 1) != 0)
		return ERR_IO;
	for (unsigned round = 0; round < ROUNDS; round++) {
		int ret = ERR_AGAIN;

		while (ret == ERR_AGAIN) {
			if ((ret = switches_read(&f->reg, &copy)) < 0)
				return ret;
			if (copy.words.cache_ms != copy.words.push_cache_ms)
				return ERR_CORRUPT;
			copy.words.cache_ms++;
			copy.words.push_cache_ms++;
			sched_yield();
			ret = switches_write(&f->reg, &copy.words, &no_texts);
		}
		if (ret < 0)
			return ret;
	}
	return 0;
}

static void no_change_is_lost_and_none_is_seen_half(void **state)
{
	struct fixture *f = *state;
	pid_t children[2];
	uint64_t first;
	int gate[2], status;

	assert_int_equal(pipe(gate), 0);
	assert_int_equal(switches_read(&f->reg, &copy), 0);
	copy.words.push_cache_ms = first = copy.words.cache_ms;
	assert_int_equal(switches_write(&f->reg, &copy.words, &no_texts), 0);
	for (unsigned n = 0; n < 2; n++) {
		children[n] = fork();
		assert_true(children[n] >= 0);
		if (children[n] == 0)
			_exit(add_up(f, gate) == 0 ? 0 : 1);
	}
	close(gate[0]);
	close(gate[1]);
	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(waitpid(children[n], &status, 0), children[n]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	assert_int_equal(switches_of(f->seg)->cache_ms, first + 2 * ROUNDS);
	assert_int_equal(switches_of(f->seg)->push_cache_ms, first + 2 * ROUNDS);
	assert_int_equal(switches_generation(switches_of(f->seg)), 1 + 2 * ROUNDS);
	assert_clean(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		ROW(every_word_is_stored_and_fits_the_log),
		ROW(a_refused_change_leaves_all_as_it_was),
		ROW(no_change_is_lost_and_none_is_seen_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

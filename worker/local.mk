# SPDX-License-Identifier: Apache-2.0
libroster_a_SOURCES += \
	worker/main.c \
	worker/worker.h

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Contexts without kernels (guest-kernel-agent/jupyter/context.h). Languages: python, javascript,
 * bash; "java" exists but never starts. Each line of a cell is a command:
 *
 *   print TEXT        stdout TEXT and a newline          err TEXT       the same on stderr
 *   show MIME TEXT    a display with one form            main TEXT      the main result, text/plain
 *   json MIME JSON    a display with a JSON form         raise N VALUE  an error; the cell ends
 *   sleep MS          wait                               hang           wait until interrupted
 *   spam BYTES        that many bytes of stdout, in lines of 1 KiB
 *   env NAME          print the variable's value         die            the kernel dies
 *   stall 0|1         the kernel stands still, or goes on
 *   nul               stdout with NUL and other odd characters
 */
struct contexts;

/* Silent cells that ran since the start, as "[language] code" lines. */
const char *fake_contexts_silent(const struct contexts *cs);

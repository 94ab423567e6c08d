check_PROGRAMS += tests/unit/wire_serial/serial_link_test
TESTS += tests/unit/wire_serial/serial_link_test
tests_unit_wire_serial_serial_link_test_SOURCES = tests/unit/wire_serial/serial_link_test.c tests/lib/test.h
tests_unit_wire_serial_serial_link_test_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_unit_wire_serial_serial_link_test_LDADD = libwire.a libbase.a $(CHECK_LIBS)

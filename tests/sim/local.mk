# tests/sim
check_PROGRAMS += tests/sim/sandbox_sim
TESTS += tests/sim/sandbox_sim
tests_sim_sandbox_sim_SOURCES = tests/sim/sandbox_sim.c $(SANDBOX_WORLD)
tests_sim_sandbox_sim_CPPFLAGS = $(AM_CPPFLAGS) $(TEST_CPPFLAGS)
tests_sim_sandbox_sim_LDADD = $(SANDBOX_WORLD_LIBS)

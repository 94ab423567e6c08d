# tests/unit
include tests/unit/base/local.mk
include tests/unit/loop/local.mk
